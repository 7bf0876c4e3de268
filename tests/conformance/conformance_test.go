package conformance

import (
	"os"
	"testing"

	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	utilfeature "github.com/cert-manager/cert-manager/pkg/util/feature"
	"github.com/cert-manager/cert-manager/test/e2e/framework"
	"github.com/cert-manager/cert-manager/test/e2e/framework/helper/featureset"
	"github.com/cert-manager/cert-manager/test/e2e/suite/conformance/certificates"
	"github.com/cert-manager/cert-manager/test/e2e/suite/conformance/certificatesigningrequests"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

// domain is beneath which the suites make up names. No DNS is asked.
const domain = "example.com"

// exceptions are the features of the suites that are left out.
func exceptions() featureset.FeatureSet {
	if os.Getenv("CONFORMANCE_EXCEPTIONS") == "none" {
		return featureset.NewFeatureSet()
	}
	return featureset.NewFeatureSet(
		// The case expects that a Certificate keeps its private key when it is issued again. Since v1.18 cert-manager makes
		// a new one unless spec.privateKey.rotationPolicy is Never, which the case does not set: no issuer can pass it.
		featureset.ReusePrivateKeyFeature,
	)
}

var _ = framework.ConformanceDescribe("Certificates", func() {
	for _, kind := range kinds {
		(&certificates.Suite{
			Name:                kind.name,
			DomainSuffix:        domain,
			UnsupportedFeatures: exceptions(),
			HTTP01TestType:      "Ingress", // has the cases of Ingresses run; nothing is asked of an Ingress controller
			CreateIssuerFunc: func(f *framework.Framework) cmmeta.ObjectReference {
				return cmmeta.ObjectReference{Group: group, Kind: kind.name, Name: kind.create(f)}
			},
			DeleteIssuerFunc: func(f *framework.Framework, _ cmmeta.ObjectReference) { kind.delete(f) },
		}).Define()
	}
})

var _ = framework.ConformanceDescribe("CertificateSigningRequests", func() {
	for _, kind := range kinds {
		(&certificatesigningrequests.Suite{
			Name:                kind.name,
			DomainSuffix:        domain,
			UnsupportedFeatures: exceptions(),
			CreateIssuerFunc:    func(f *framework.Framework) string { return kind.signer(f, kind.create(f)) },
			DeleteIssuerFunc:    func(f *framework.Framework, _ string) { kind.delete(f) },
		}).Define()
	}
})

func TestConformance(t *testing.T) {
	framework.DefaultConfig.KubeConfig = os.Getenv("KUBECONFIG")
	framework.DefaultConfig.Kubectl = "kubectl" // asked to describe what failed, where there is one
	framework.DefaultConfig.Cleanup = true
	framework.DefaultConfig.Addons.ACMEServer.IngressIP = "127.0.0.1" // any address that certificates may name
	// Cases that need a gate skip themselves where it is off. These gates are those of the cert-manager that the suites come
	// from; in the one that runs, the first concerns its own issuers alone, and the second is on by default.
	err := utilfeature.DefaultMutableFeatureGate.Set("ExperimentalCertificateSigningRequestControllers=true,LiteralCertificateSubject=true")
	if err != nil {
		t.Fatal(err)
	}
	gomega.RegisterFailHandler(ginkgo.Fail)
	ginkgo.RunSpecs(t, "cert-manager's conformance suites")
}
