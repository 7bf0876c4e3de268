package controlplane

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
)

// kubeControllers is what a namespace, a ServiceAccount, an owner reference and an aggregated ClusterRole need in
// order to behave as they do in a cluster.
var kubeControllers = []string{
	names.ClusterRoleAggregationController,
	names.GarbageCollectorController,
	names.NamespaceController,
	names.RootCACertificatePublisherController,
	names.ServiceAccountController,
	names.ServiceAccountTokenController,
}

// checkKubeControllers says which of the names kube-controller-manager does not know.
func checkKubeControllers(chosen []string) error {
	known := map[string]bool{}
	for _, name := range app.KnownControllers() {
		known[name] = true
	}
	for _, name := range chosen {
		if !known[name] {
			return fmt.Errorf("unknown Kubernetes controller %q; known are:\n  %s", name, strings.Join(app.KnownControllers(), "\n  "))
		}
	}
	return nil
}

// startControllerManager runs kubeControllers and the extra ones.
//
// It comes after the CRDs: the garbage collector looks only every 30 seconds for kinds that it does not know yet.
func startControllerManager(r *runner, kubeconfig string, keys *pki, extra []string) error {
	manager, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	sets := manager.Flags(app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
	flags := pflag.NewFlagSet("kube-controller-manager", pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse([]string{
		"--kubeconfig=" + kubeconfig,
		"--controllers=" + strings.Join(append(kubeControllers, extra...), ","),
		"--secure-port=0",
		"--leader-elect=false",
		"--service-account-private-key-file=" + keys.accountKey,
		"--root-ca-file=" + keys.caFile,
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	}); err != nil {
		return err
	}
	config, err := manager.Config(context.Background(), app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
	if err != nil {
		return err
	}
	r.run("kube-controller-manager", func(ctx context.Context) error { return app.Run(ctx, config.Complete()) })
	return nil
}
