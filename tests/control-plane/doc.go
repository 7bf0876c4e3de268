// Package controlplane runs a real Kubernetes control plane with the real cert-manager in one process.
//
//	            ┌──────────────────────── one process ────────────────────────┐
//	kubectl ──▶ │ kube-apiserver ──▶ etcd                                     │
//	tests       │   ▲    ▲   └─────▶ cert-manager's webhook                   │
//	            │   │    └────────── cert-manager's controllers (own account) │
//	            │   └─────────────── kube-controller-manager's controllers    │
//	            └─────────────────────────────────────────────────────────────┘
//
// There is no node: nothing schedules or runs Pods.
//
// serve.go is the flow (what starts after what, and how it stops); each part has a file of its own. cli.go reads the
// arguments. command_test.go is where the process begins: the only public way to start cert-manager's webhook wants a
// *testing.T, so the command is a test binary, and that file hides it.
package controlplane
