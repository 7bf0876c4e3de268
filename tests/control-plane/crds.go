package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/yaml"
)

// crdFiles finds cert-manager's CRDs. They are a megabyte of somebody else's YAML: the Makefile takes them out of the
// module and lays them beside the binary.
func crdFiles() ([]string, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	pattern := filepath.Join(filepath.Dir(binary), "crds", "*.yaml")
	files, err := filepath.Glob(pattern)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no cert-manager CRDs at %s: build with make, which puts them there", pattern)
	}
	return files, err
}

// settling is how long the API server holds back each create of a kind whose CRD was established less than that ago
// (so that all of several servers know it). The time of the condition is in whole seconds.
const settling = 2 * time.Second

// installCRDs creates cert-manager's CRDs and returns once the API server serves all of them.
func installCRDs(ctx context.Context, client apiextensionsclient.Interface, served discovery.DiscoveryInterface) error {
	files, err := crdFiles()
	if err != nil {
		return err
	}
	wanted := map[string][]string{} // group and version → resources
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		crd := &apiextensions.CustomResourceDefinition{}
		if err := yaml.Unmarshal(text, crd); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if _, err := client.ApiextensionsV1().CustomResourceDefinitions().Create(ctx, crd, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, version := range crd.Spec.Versions {
			groupVersion := crd.Spec.Group + "/" + version.Name
			wanted[groupVersion] = append(wanted[groupVersion], crd.Spec.Names.Plural)
		}
	}
	// Discovery comes after Established, and is what the controllers go by.
	return poll(ctx, "cert-manager's CRDs to be served", func() error {
		for groupVersion, resources := range wanted {
			list, err := served.ServerResourcesForGroupVersion(groupVersion)
			if err != nil {
				return err
			}
			names := map[string]bool{}
			for _, resource := range list.APIResources {
				names[resource.Name] = true
			}
			for _, resource := range resources {
				if !names[resource] {
					return errors.New(resource + " is not served")
				}
			}
		}
		return nil
	})
}

// waitForSettledCRDs returns when objects can be created without delay. Asking earlier takes longer: the server sleeps
// for the whole time then, whatever part of it has passed.
func waitForSettledCRDs(ctx context.Context, client apiextensionsclient.Interface) error {
	list, err := client.ApiextensionsV1().CustomResourceDefinitions().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var last time.Time
	for _, crd := range list.Items {
		for _, condition := range crd.Status.Conditions {
			if condition.Type == apiextensions.Established && condition.LastTransitionTime.After(last) {
				last = condition.LastTransitionTime.Time
			}
		}
	}
	select {
	case <-time.After(time.Until(last.Add(settling))):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
