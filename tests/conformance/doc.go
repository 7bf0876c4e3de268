// Package conformance runs cert-manager's own conformance suites, as its maintainers wrote them, against Tandem's issuers.
//
// They come from the last version of cert-manager that has them in its main module; later ones keep them in a module that
// is not published. What later ones added is in tests/tests/e2e/conformance.rs, which also starts this.
//
// The environment: KUBECONFIG names a control plane with cert-manager, Tandem's CRDs, its RBAC, and its running issuer.
// With CONFORMANCE_EXCEPTIONS=none nothing is left out: then the cases behind the exceptions run, and must fail.
package conformance
