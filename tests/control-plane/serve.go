package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	cmclient "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned"
	"golang.org/x/sync/errgroup"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// readyTimeout is a limit for a machine under load; a ready control plane takes a few seconds.
const readyTimeout = 3 * time.Minute

type serveOptions struct {
	dir                    string // absolute; new or empty
	port                   int    // 0: any free one
	resume                 bool   // with what an earlier run left in dir
	auditLog               string // empty: no audit
	certManagerControllers []string
	kubeControllers        []string // besides the usual ones
	requestBackoff         time.Duration
	ready                  func(kubeconfig string) // told once, when everything answers
	progress               func(format string, args ...any)
}

func (o serveOptions) logFile() string        { return filepath.Join(o.dir, "control-plane.log") }
func (o serveOptions) webhookLogFile() string { return filepath.Join(o.dir, "webhook.log") }

// serve runs everything until ctx ends (the error is nil then) or a part fails.
func serve(ctx context.Context, t *testing.T, o serveOptions) error {
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &runner{fail: fail}
	// Deferred, because a t.Fatal inside cert-manager's webhook leaves this function without returning.
	defer r.stop()

	err := start(running, t, r, o)
	if err == nil {
		<-running.Done()
		err = context.Cause(running)
	}
	if ctx.Err() != nil { // told to stop, be it halfway through the start
		o.progress("stopping")
		return nil
	}
	// Shown before the parts stop and bury it under their farewells.
	o.progress("failed; the last lines of %s:\n%s", o.logFile(), tail(o.logFile()))
	return err
}

// start brings up the parts, each as soon as what it needs is there, and returns when all of them answer.
func start(ctx context.Context, t *testing.T, r *runner, o serveOptions) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %s", readyTimeout))
	defer cancel()
	began := time.Now()
	step := func(what string) { o.progress("%5.1f s  %s", time.Since(began).Seconds(), what) }

	var keys *pki
	var err error
	if o.resume {
		keys, err = existingPKI(o.dir)
	} else {
		keys, err = newPKI(o.dir, kubernetesServiceIP)
	}
	if err != nil {
		return err
	}
	etcdURL, err := startEtcd(ctx, r, o.dir, o.logFile())
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	server, err := startAPIServer(r, o, etcdURL, keys)
	if err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	admin, err := newClients(server.admin)
	if err != nil {
		return err
	}
	// Two of its own first steps are tried again only after a second. They give rights to others than the
	// administrator, and priorities to Pods: what comes next needs neither.
	if err := admin.waitForServer(ctx, "poststarthook/rbac/bootstrap-roles", "poststarthook/scheduling/bootstrap-system-priority-classes"); err != nil {
		return err
	}
	step("API server answers")

	certManagerKubeconfig := filepath.Join(o.dir, "cert-manager.kubeconfig")
	prepare, prepareCtx := errgroup.WithContext(ctx)
	prepare.Go(func() error { return installCRDs(prepareCtx, admin.extensions, admin.kube.Discovery()) })
	prepare.Go(func() error {
		if o.resume { // the account is there, and so is its kubeconfig
			return nil
		}
		token, err := createCertManagerAccount(prepareCtx, admin.kube)
		if err != nil {
			return err
		}
		return writeKubeconfig(certManagerKubeconfig, server.url, keys.caPEM, certManagerAccount, token)
	})
	if err := prepare.Wait(); err != nil {
		return err
	}
	step("cert-manager's CRDs served")

	if err := startControllerManager(r, server.controllerManager, keys, o.kubeControllers); err != nil {
		return fmt.Errorf("kube-controller-manager: %w", err)
	}
	if err := admin.waitForServer(ctx); err != nil {
		return err
	}
	step("API server ready")
	if err := startWebhook(ctx, t, r, admin.kube, certManagerKubeconfig, keys); err != nil {
		return fmt.Errorf("cert-manager's webhook: %w", err)
	}
	if len(o.certManagerControllers) > 0 {
		if err := startCertManager(ctx, r, certManagerKubeconfig, o.certManagerControllers, o.requestBackoff); err != nil {
			return fmt.Errorf("cert-manager's controllers: %w", err)
		}
	}
	step("cert-manager's controllers synced")
	if err := poll(ctx, "the ServiceAccount of the default namespace", func() error {
		_, err := admin.kube.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	}); err != nil {
		return err
	}
	if err := waitForSettledCRDs(ctx, admin.extensions); err != nil {
		return err
	}
	if err := waitForWebhook(ctx, admin.certManager); err != nil {
		return err
	}
	step("cert-manager's webhook answers: ready")
	o.ready(server.admin)
	return nil
}

// attach runs only cert-manager controllers, against a server that somebody else runs.
func attach(ctx context.Context, kubeconfig string, chosen []string, backoff time.Duration, ready func()) error {
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &runner{fail: fail}
	defer r.stop()

	starting, cancel := context.WithTimeoutCause(running, readyTimeout, fmt.Errorf("not ready after %s", readyTimeout))
	defer cancel()
	err := startCertManager(starting, r, kubeconfig, chosen, backoff)
	if err == nil {
		ready()
		<-running.Done()
		err = context.Cause(running)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// prepareDir makes the directory and its log. A used one is refused unless that is asked for: keys and tokens would be made
// anew, and would not fit what the earlier run left in etcd.
func (o serveOptions) prepareDir() (*os.File, error) {
	if o.resume {
		return os.OpenFile(o.logFile(), os.O_WRONLY|os.O_APPEND, 0o600)
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(o.logFile(), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s was used by an earlier run: name a new directory, or go on with it by --resume", o.dir)
	}
	return log, err
}

// clients are those of the administrator; they are not throttled.
type clients struct {
	kube        kubernetes.Interface
	extensions  apiextensionsclient.Interface
	certManager cmclient.Interface
}

func newClients(kubeconfig string) (*clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	c := &clients{}
	if c.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.extensions, err = apiextensionsclient.NewForConfig(config); err != nil {
		return nil, err
	}
	c.certManager, err = cmclient.NewForConfig(config)
	return c, err
}

// waitForServer returns once the API server says that it is ready, but for the checks that are left out.
func (c *clients) waitForServer(ctx context.Context, leftOut ...string) error {
	return poll(ctx, "the API server to be ready", func() error {
		request := c.kube.Discovery().RESTClient().Get().AbsPath("/readyz")
		for _, check := range leftOut {
			request.Param("exclude", check)
		}
		return request.Do(ctx).Error()
	})
}
