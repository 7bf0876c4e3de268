package controlplane

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	cmclient "github.com/cert-manager/cert-manager/pkg/client/clientset/versioned"
	"github.com/cert-manager/cert-manager/pkg/webhook/server"
	webhook "github.com/cert-manager/cert-manager/test/webhook"
	admission "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const webhookName = "webhook.cert-manager.io"

// startWebhook runs cert-manager's webhook and registers it with the API server, as cert-manager's chart does: the
// webhook checks everything except in namespaces labelled cert-manager.io/disable-validation=true, and writes the
// requester into every CertificateRequest.
//
// It must be called by the test's own goroutine, because a failure in it is a t.Fatal.
func startWebhook(ctx context.Context, t *testing.T, r *runner, kube kubernetes.Interface, kubeconfig string, keys *pki) error {
	options, stop := webhook.StartWebhookServer(t,
		[]string{"--kubeconfig=" + kubeconfig, "--tls-cert-file=" + keys.servingCert, "--tls-private-key-file=" + keys.servingKey},
		// It would listen on all addresses of the machine, for nobody.
		func(s *server.Server) { s.HealthzAddr = nil },
	)
	r.run("cert-manager's webhook", func(ctx context.Context) error {
		<-ctx.Done()
		stop()
		return nil
	})

	rule := func(groups []string, resource string, operations ...admission.OperationType) []admission.RuleWithOperations {
		return []admission.RuleWithOperations{{
			Operations: operations,
			Rule:       admission.Rule{APIGroups: groups, APIVersions: []string{"v1"}, Resources: []string{resource}},
		}}
	}
	clientConfig := func(path string) admission.WebhookClientConfig {
		return admission.WebhookClientConfig{URL: new(options.URL + path), CABundle: keys.caPEM}
	}
	meta := metav1.ObjectMeta{Name: "cert-manager-webhook"}

	validating, mutating := kube.AdmissionregistrationV1().ValidatingWebhookConfigurations(), kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
	validation := &admission.ValidatingWebhookConfiguration{
		ObjectMeta: meta,
		Webhooks: []admission.ValidatingWebhook{{
			Name:         webhookName,
			ClientConfig: clientConfig("/validate"),
			Rules:        rule([]string{"cert-manager.io", "acme.cert-manager.io"}, "*/*", admission.Create, admission.Update),
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
				Key: "cert-manager.io/disable-validation", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"true"},
			}}},
			AdmissionReviewVersions: []string{"v1"},
			MatchPolicy:             new(admission.Equivalent),
			FailurePolicy:           new(admission.Fail),
			SideEffects:             new(admission.SideEffectClassNone),
			TimeoutSeconds:          new(int32(30)),
		}},
	}
	mutation := &admission.MutatingWebhookConfiguration{
		ObjectMeta: meta,
		Webhooks: []admission.MutatingWebhook{{
			Name:                    webhookName,
			ClientConfig:            clientConfig("/mutate"),
			Rules:                   rule([]string{"cert-manager.io"}, "certificaterequests", admission.Create),
			AdmissionReviewVersions: []string{"v1"},
			MatchPolicy:             new(admission.Equivalent),
			FailurePolicy:           new(admission.Fail),
			SideEffects:             new(admission.SideEffectClassNone),
			TimeoutSeconds:          new(int32(30)),
		}},
	}
	// Those of an earlier run have its URL.
	if old, err := validating.Get(ctx, meta.Name, metav1.GetOptions{}); err == nil {
		validation.ResourceVersion = old.ResourceVersion
		if _, err := validating.Update(ctx, validation, metav1.UpdateOptions{}); err != nil {
			return err
		}
	} else if _, err := validating.Create(ctx, validation, metav1.CreateOptions{}); err != nil {
		return err
	}
	if old, err := mutating.Get(ctx, meta.Name, metav1.GetOptions{}); err == nil {
		mutation.ResourceVersion = old.ResourceVersion
		_, err := mutating.Update(ctx, mutation, metav1.UpdateOptions{})
		return err
	}
	_, err := mutating.Create(ctx, mutation, metav1.CreateOptions{})
	return err
}

// waitForWebhook returns once the API server asks both webhooks. It learns of a new configuration a little after it was
// stored, and lets everything pass until then; a dry run shows which state it is in.
func waitForWebhook(ctx context.Context, cm cmclient.Interface) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "probe"}}, key)
	if err != nil {
		return err
	}
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	tryCreate := func(csr []byte) (*cmapi.CertificateRequest, error) {
		return cm.CertmanagerV1().CertificateRequests(metav1.NamespaceDefault).Create(ctx, &cmapi.CertificateRequest{
			ObjectMeta: metav1.ObjectMeta{Name: "probe"},
			Spec:       cmapi.CertificateRequestSpec{Request: csr, IssuerRef: cmmeta.IssuerReference{Name: "probe"}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	return poll(ctx, "cert-manager's webhook to answer", func() error {
		created, err := tryCreate(csr)
		if err != nil {
			return err
		}
		if created.Spec.Username == "" {
			return errors.New("the requester is not filled in")
		}
		_, err = tryCreate([]byte("not a CSR"))
		if err == nil {
			return errors.New("a broken CSR is accepted")
		}
		if strings.Contains(err.Error(), webhookName) && strings.Contains(err.Error(), "denied the request") {
			return nil
		}
		return err
	})
}
