package controlplane

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// serviceRange is where Services get their cluster addresses; its first address is the Service "kubernetes".
var serviceRange = net.IPNet{IP: net.IPv4(10, 96, 0, 0), Mask: net.CIDRMask(24, 32)}

var kubernetesServiceIP = net.IPv4(10, 96, 0, 1)

//go:embed audit-policy.yaml
var auditPolicy []byte

// apiServer is how to reach a server: as its administrator, and as kube-controller-manager, which has the same rights
// under a name of its own, so that an audit log tells the two apart.
type apiServer struct {
	url                      string
	admin, controllerManager string // paths of kubeconfigs
}

// startAPIServer runs kube-apiserver on 127.0.0.1. It returns once the server listens; whether it is ready is for the
// caller to ask.
//
// It takes the server's flags but not its cobra command, because that one answers SIGTERM by itself, at the same time as
// everything that still needs the server in order to stop in peace.
func startAPIServer(r *runner, o serveOptions, etcdURL string, keys *pki) (*apiServer, error) {
	const manager = "system:kube-controller-manager"
	adminToken, managerToken := rand.Text(), rand.Text()
	tokens := filepath.Join(o.dir, "tokens.csv")
	if !o.resume {
		lines := fmt.Appendf(nil, "%s,admin,admin,system:masters\n%s,%s,%s,system:masters\n", adminToken, managerToken, manager, manager)
		if err := os.WriteFile(tokens, lines, 0o600); err != nil {
			return nil, err
		}
	}
	args := []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		// A loopback address may not stand in the endpoints of the Service "kubernetes"; nobody reads them here.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=" + serviceRange.String(),
		"--tls-cert-file=" + keys.servingCert,
		"--tls-private-key-file=" + keys.servingKey,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + keys.accountKey,
		"--service-account-signing-key-file=" + keys.accountKey,
		"--token-auth-file=" + tokens,
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--profiling=false",
	}
	if o.auditLog != "" {
		policy := filepath.Join(o.dir, "audit-policy.yaml")
		if err := os.WriteFile(policy, auditPolicy, 0o644); err != nil {
			return nil, err
		}
		args = append(args,
			"--audit-policy-file="+policy,
			"--audit-log-path="+o.auditLog,
			// A line stands in the file before the client has its answer, so a test can read it at once.
			"--audit-log-mode=blocking",
			// In MB: tests read it as one file, and 2,000 requests come close to the default of 100.
			"--audit-log-maxsize=100000",
		)
	}

	server := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range server.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	// Bound here and handed over, so that nobody else can take a free port between the choice and its use.
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", o.port))
	if err != nil {
		return nil, err
	}
	server.SecureServing.Listener = listener
	server.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port

	if err := server.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, err
	}
	completed, err := server.Complete(context.Background())
	if err != nil {
		return nil, err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return nil, utilerrors.NewAggregate(errs)
	}
	r.run("kube-apiserver", func(ctx context.Context) error { return app.Run(ctx, completed) })

	running := &apiServer{
		url:               "https://" + listener.Addr().String(),
		admin:             filepath.Join(o.dir, "kubeconfig"),
		controllerManager: filepath.Join(o.dir, "kube-controller-manager.kubeconfig"),
	}
	if o.resume { // with the tokens, they are those of the earlier run
		return running, nil
	}
	if err := writeKubeconfig(running.admin, running.url, keys.caPEM, "admin", adminToken); err != nil {
		return nil, err
	}
	return running, writeKubeconfig(running.controllerManager, running.url, keys.caPEM, manager, managerToken)
}
