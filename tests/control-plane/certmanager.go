package controlplane

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"golang.org/x/sync/errgroup"

	// Each of these registers a controller under its name, in init.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/ingresses"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificatesigningrequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificatesigningrequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"

	// What the issuers' controllers find behind an Issuer of the type.
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

const (
	// workers is cert-manager's own default.
	workers = 5
	// maximumBackoff is cert-manager's own default between two attempts at a Certificate whose requests fail.
	maximumBackoff = 32 * time.Hour
)

// certManagerControllers are the names that can be chosen, sorted.
func certManagerControllers() []string {
	return slices.Sorted(maps.Keys(controller.Known()))
}

// chooseCertManagerControllers reads a list like "all,-certificaterequests-approver": names are added, names after a
// minus are taken away, "all" and "none" are what they say.
func chooseCertManagerControllers(list []string) ([]string, error) {
	chosen := map[string]bool{}
	for _, word := range list {
		name, without := strings.CutPrefix(word, "-")
		switch {
		case word == "none":
		case word == "all":
			for _, known := range certManagerControllers() {
				chosen[known] = true
			}
		case controller.Known()[name] == nil:
			return nil, fmt.Errorf("unknown cert-manager controller %q; --list-controllers prints those that there are", name)
		case without:
			delete(chosen, name)
		default:
			chosen[name] = true
		}
	}
	return slices.Sorted(maps.Keys(chosen)), nil
}

// startCertManager runs the chosen controllers with the rights of the kubeconfig's user, and returns once their caches
// are filled.
func startCertManager(ctx context.Context, r *runner, kubeconfig string, chosen []string, backoff time.Duration) error {
	synced := make(chan struct{})
	r.run("cert-manager's controllers", func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
			Kubeconfig: kubeconfig,
			// Used only where the API server has no priority and fairness of its own; ours has, and is not throttled.
			KubernetesAPIQPS:   500,
			KubernetesAPIBurst: 1000,
			IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: certManagerNamespace},
			CertificateOptions: controller.CertificateOptions{
				CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"},
				CertificateRequestMinimumBackoffDuration: backoff,
				CertificateRequestMaximumBackoffDuration: max(backoff, maximumBackoff),
			},
		})
		if err != nil {
			return err
		}
		for _, name := range chosen {
			control, err := controller.Known()[name](factory)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			group.Go(func() error { return control.Run(workers, ctx) })
		}
		// The informers are shared by all contexts of the factory; any of them can start what the controllers asked for.
		shared, err := factory.Build()
		if err != nil {
			return err
		}
		shared.SharedInformerFactory.Start(ctx.Done())
		shared.KubeSharedInformerFactory.Start(ctx.Done())
		shared.SharedInformerFactory.WaitForCacheSync(ctx.Done())
		shared.KubeSharedInformerFactory.WaitForCacheSync(ctx.Done())
		if ctx.Err() == nil {
			close(synced)
		}
		return group.Wait()
	})
	select {
	case <-synced:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
