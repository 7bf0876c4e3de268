package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// pki is the key material of one control plane, as files under its directory.
//
// The API server and cert-manager's webhook could each make their own: RSA keys, which cost a second, and for the
// webhook a certificate that ends after an hour, too early for a demo that is left running.
type pki struct {
	caFile      string // PEM; the root that clients trust
	caPEM       []byte
	servingCert string // PEM, leaf then CA; for 127.0.0.1 and the names of the Service "kubernetes"
	servingKey  string
	accountKey  string // signs the tokens of ServiceAccounts
}

// clockSkew is by how much clients' clocks may be behind: in a cluster, too, the API server's certificate is older than
// what talks to it.
const clockSkew = time.Hour

func pkiIn(dir string) *pki {
	return &pki{
		caFile:      filepath.Join(dir, "ca.crt"),
		servingCert: filepath.Join(dir, "serving.crt"),
		servingKey:  filepath.Join(dir, "serving.key"),
		accountKey:  filepath.Join(dir, "service-account.key"),
	}
}

// existingPKI is what newPKI made in an earlier run.
func existingPKI(dir string) (*pki, error) {
	p := pkiIn(dir)
	var err error
	p.caPEM, err = os.ReadFile(p.caFile)
	return p, err
}

func newPKI(dir string, serviceIP net.IP) (*pki, error) {
	p := pkiIn(dir)
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "control-plane", NotBefore: time.Now().Add(-clockSkew)}, caKey)
	if err != nil {
		return nil, err
	}
	p.caPEM = pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: ca.Raw})
	if err := os.WriteFile(p.caFile, p.caPEM, 0o644); err != nil {
		return nil, err
	}

	servingKey, err := writeKey(p.servingKey)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "control-plane"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), serviceIP},
	}, ca, servingKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	chain := append(pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: leaf}), p.caPEM...)
	if err := os.WriteFile(p.servingCert, chain, 0o644); err != nil {
		return nil, err
	}
	_, err = writeKey(p.accountKey)
	return p, err
}

// writeKey makes a P-256 key and keeps it in a PEM file that only its owner reads.
func writeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, err
	}
	return key, os.WriteFile(path, encoded, 0o600)
}
