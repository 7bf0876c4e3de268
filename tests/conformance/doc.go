// Package conformance runs cert-manager's own conformance suites, as its maintainers wrote them, against Tandem's issuers.
//
// They come from v1.11, the last version of cert-manager that has them in its main module. Later ones keep them in a module
// of their own, github.com/cert-manager/cert-manager/e2e-tests, which has no versions and is in another folder than its path
// says: no go.mod elsewhere can require it. What they added is in tests/tests/e2e/conformance.rs, which also starts this.
//
// The environment: KUBECONFIG names a control plane with cert-manager, Tandem's CRDs, its RBAC, and its running issuer.
// With CONFORMANCE_EXCEPTIONS=none nothing is left out: then the cases behind the exceptions run, and must fail.
package conformance
