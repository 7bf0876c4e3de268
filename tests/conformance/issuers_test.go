package conformance

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/cert-manager/cert-manager/test/e2e/framework"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	group = "pki.tandem.internal"
	// tandem is the namespace of the issuer's account and of the cluster issuers' CA Secrets.
	tandem = "tandem"
)

// An issuerKind is one of Tandem's two issuers.
type issuerKind struct {
	name   string
	signer func(f *framework.Framework, issuer string) string
	// objects are made before the issuer and its CA Secret.
	objects func(f *framework.Framework) []client.Object
	// secrets is the namespace of the CA Secret.
	secrets func(f *framework.Framework) string
	newKey  func() (crypto.Signer, error)
}

var kinds = []issuerKind{
	{
		name: "TandemIssuer",
		signer: func(f *framework.Framework, issuer string) string {
			return fmt.Sprintf("tandemissuers.%s/%s.%s", group, f.Namespace.Name, issuer)
		},
		objects: allowSecrets,
		secrets: func(f *framework.Framework) string { return f.Namespace.Name },
		newKey:  func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	},
	{
		name: "TandemClusterIssuer",
		signer: func(_ *framework.Framework, issuer string) string {
			return fmt.Sprintf("tandemclusterissuers.%s/%s", group, issuer)
		},
		objects: func(*framework.Framework) []client.Object { return nil },
		secrets: func(*framework.Framework) string { return tandem },
		newKey:  func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	},
}

// create makes an issuer and its CA, and returns the issuer's name. It waits for nothing: requests do.
func (k issuerKind) create(f *framework.Framework) string {
	secret, err := k.newCA(f)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	for _, object := range append(k.objects(f), secret, k.issuer(f)) {
		gomega.Expect(f.CRClient.Create(context.Background(), object)).To(gomega.Succeed())
	}
	return f.Namespace.Name
}

// delete takes away what is not in the case's namespace, which the framework deletes.
func (k issuerKind) delete(f *framework.Framework) {
	if k.secrets(f) == f.Namespace.Name {
		return
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: k.secrets(f), Name: f.Namespace.Name}}
	for _, object := range []client.Object{k.issuer(f), secret} {
		gomega.Expect(f.CRClient.Delete(context.Background(), object)).To(gomega.Succeed())
	}
}

// issuer is named like the case's namespace, which has a name of its own.
func (k issuerKind) issuer(f *framework.Framework) client.Object {
	issuer := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"ca": map[string]any{"secretName": f.Namespace.Name},
		// What cert-manager's CA issuer does, and the suites count on: theirs has a CA of one minute.
		"leafBeyondCA": "Permit",
	}}}
	issuer.SetAPIVersion(group + "/v1alpha1")
	issuer.SetKind(k.name)
	issuer.SetName(f.Namespace.Name)
	if k.secrets(f) == f.Namespace.Name {
		issuer.SetNamespace(f.Namespace.Name)
	}
	return issuer
}

// newCA makes a CA that ends before anything that it will sign.
func (k issuerKind) newCA(f *framework.Framework) (client.Object, error) {
	key, err := k.newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "conformance CA"},
		NotBefore:             time.Now(),
		NotAfter:              time.Now().Add(30 * time.Minute),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: k.secrets(f), Name: f.Namespace.Name},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}),
		},
	}, nil
}

// allowSecrets lets the issuer read the Secrets of the case's namespace.
func allowSecrets(f *framework.Framework) []client.Object {
	meta := metav1.ObjectMeta{Namespace: f.Namespace.Name, Name: "tandem-issuer-ca"}
	return []client.Object{
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list", "watch"}},
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: tandem, Name: "tandem-issuer"}},
		},
	}
}
