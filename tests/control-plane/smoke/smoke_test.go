package smoke

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const authorities = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: self-signed, namespace: cert-manager}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: ca, namespace: cert-manager}
spec: {isCA: true, commonName: ca, secretName: ca, issuerRef: {name: self-signed}}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: ca}
spec: {ca: {secretName: ca}}
`

const leaf = `
apiVersion: v1
kind: Namespace
metadata: {name: app}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: leaf, namespace: app}
spec: {dnsNames: [leaf.test], secretName: leaf, issuerRef: {kind: ClusterIssuer, name: ca}}
`

// A certificate is issued from a self-made CA, and its namespace goes away with all that is in it.
func TestIssues(t *testing.T) {
	t.Parallel()
	plane := serve(t)
	var version struct {
		ClientVersion, ServerVersion struct{ GitVersion string }
	}
	must(t, json.Unmarshal([]byte(plane.kubectl(t, "", "version", "-o", "json")), &version))
	if client, server := version.ClientVersion.GitVersion, version.ServerVersion.GitVersion; client != "v1.36.3" || server != client {
		t.Errorf("client %s, server %s", client, server)
	}

	plane.apply(t, authorities)
	plane.wait(t, "condition=Ready", "clusterissuer/ca")
	plane.apply(t, leaf)
	plane.wait(t, "condition=Ready", "certificate/leaf", "-n", "app")
	var secret struct{ Data map[string]string }
	must(t, json.Unmarshal([]byte(plane.kubectl(t, "", "get", "secret", "leaf", "-n", "app", "-o", "json")), &secret))
	for _, key := range []string{"tls.crt", "tls.key", "ca.crt"} {
		if secret.Data[key] == "" {
			t.Errorf("the Secret has no %s", key)
		}
	}

	plane.kubectl(t, "", "delete", "namespace", "app", "--timeout="+waitTimeout)
	plane.stop(t, plane.terminate)
}

// With its CA controller in a process of its own, cert-manager issues as well, and not without it.
func TestAttach(t *testing.T) {
	t.Parallel()
	const controller = "certificaterequests-issuer-ca"
	plane := serve(t, "--cert-manager-controllers=all,-"+controller)
	plane.apply(t, authorities)
	plane.wait(t, "condition=Ready", "clusterissuer/ca")
	plane.apply(t, leaf)
	plane.wait(t, "create", "certificaterequest/leaf-1", "-n", "app")
	plane.wait(t, "condition=Approved", "certificaterequest/leaf-1", "-n", "app")
	if certificate := plane.kubectl(t, "", "get", "certificaterequest", "leaf-1", "-n", "app", "-o", "jsonpath={.status.certificate}"); certificate != "" {
		t.Error("issued without the controller")
	}

	attached := start(t, "attach", "--kubeconfig", plane.line, "--cert-manager-controllers", controller)
	if attached.line != "ready" {
		t.Errorf("attach printed %q", attached.line)
	}
	plane.wait(t, "condition=Ready", "certificate/leaf", "-n", "app")
	attached.stop(t, attached.terminate)
	plane.stop(t, func() { must(t, plane.stdin.Close()) }) // as if the parent had died
}

const externalIssuerKind = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tandemclusterissuers.pki.tandem.internal}
spec:
  group: pki.tandem.internal
  names: {kind: TandemClusterIssuer, plural: tandemclusterissuers}
  scope: Cluster
  versions:
    - {name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

const approval = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: tandem-approve}
rules:
  - {apiGroups: [cert-manager.io], resources: [signers], verbs: [approve], resourceNames: [tandemclusterissuers.pki.tandem.internal/*]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: tandem-approve}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tandem-approve}
subjects: [{kind: ServiceAccount, namespace: cert-manager, name: cert-manager}]
`

// cert-manager's approver may approve for an external issuer only once it was given the right to.
func TestApproverNeedsRights(t *testing.T) {
	t.Parallel()
	audit := filepath.Join(t.TempDir(), "audit.log")
	plane := serve(t, "--audit-log", audit)
	plane.apply(t, externalIssuerKind)
	plane.wait(t, "condition=Established", "crd/tandemclusterissuers.pki.tandem.internal")
	plane.apply(t, fmt.Sprintf(`
apiVersion: cert-manager.io/v1
kind: CertificateRequest
metadata: {name: external, namespace: default}
spec: {request: %s, issuerRef: {group: pki.tandem.internal, kind: TandemClusterIssuer, name: any}}
`, csr(t)))

	refused := awaitAudit(t, audit, func(e auditEvent) bool {
		return e.ObjectRef.Resource == "certificaterequests" && e.ObjectRef.Subresource == "status" && e.ObjectRef.Name == "external"
	})
	if refused.User.Username != "system:serviceaccount:cert-manager:cert-manager" || refused.ResponseStatus.Code != 403 {
		t.Errorf("%s was answered %d", refused.User.Username, refused.ResponseStatus.Code)
	}
	if conditions := plane.kubectl(t, "", "get", "certificaterequest", "external", "-o", "jsonpath={.status.conditions}"); conditions != "" {
		t.Errorf("without the right to: %s", conditions)
	}

	plane.apply(t, approval)
	plane.wait(t, "condition=Approved", "certificaterequest/external")
	plane.stop(t, plane.terminate)
}

// A signal in the middle of the start is obeyed, too; and a used directory is refused.
func TestStopsWhileStarting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	command := exec.Command(binary("control-plane"), "serve", "--dir", dir)
	progress, err := command.StderrPipe()
	must(t, err)
	must(t, command.Start())
	lines := bufio.NewReader(progress)
	_, err = lines.ReadString('\n') // the first of several steps
	must(t, err)
	must(t, command.Process.Signal(syscall.SIGTERM))
	_, err = io.Copy(io.Discard, lines)
	must(t, err)
	must(t, command.Wait())

	var exit *exec.ExitError
	if err := exec.Command(binary("control-plane"), "serve", "--dir", dir).Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("a used directory: %v", err)
	}
	if err := exec.Command(binary("control-plane"), "serve").Run(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("no directory: %v", err)
	}
}

// csr returns a CertificateRequest's spec.request.
func csr(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"external.test"}}, key)
	must(t, err)
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

type auditEvent struct {
	User           struct{ Username string }
	ObjectRef      struct{ Resource, Subresource, Name string }
	ResponseStatus struct{ Code int }
}

// awaitAudit follows the audit log until an event matches.
func awaitAudit(t *testing.T, path string, matches func(auditEvent) bool) auditEvent {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	limit, err := time.ParseDuration(waitTimeout)
	must(t, err)
	reader, deadline, line := bufio.NewReader(file), time.Now().Add(limit), strings.Builder{}
	for time.Now().Before(deadline) {
		part, err := reader.ReadString('\n')
		line.WriteString(part)
		if err == io.EOF { // nothing more so far
			<-time.After(20 * time.Millisecond)
			continue
		}
		must(t, err)
		var event auditEvent
		must(t, json.Unmarshal([]byte(line.String()), &event))
		line.Reset()
		if matches(event) {
			return event
		}
	}
	t.Fatal("no such event in the audit log")
	return auditEvent{}
}
