package controlplane

import (
	"context"

	authentication "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// certManagerNamespace is where cert-manager's account lives, and its cluster resource namespace.
	certManagerNamespace = "cert-manager"
	// certManagerAccount is the ServiceAccount that its controllers run as; the name is that of its chart.
	certManagerAccount = "cert-manager"
	// accountTokenSeconds outlasts any run: the token is made once.
	accountTokenSeconds = 365 * 24 * 60 * 60
)

// certManagerRoles are the rights that cert-manager's chart grants to its controllers, less those for ACME, Gateways and
// leader election, which do not run here. Like there, the approver may approve for cert-manager's own issuers only: an
// external issuer has to bring the RBAC that lets it approve for others.
func certManagerRoles() map[string][]rbac.PolicyRule {
	events := rule("", []string{"events"}, "create", "patch")
	secrets := rule("", []string{"secrets"}, "get", "list", "watch", "create", "update", "delete")
	return map[string][]rbac.PolicyRule{
		"cert-manager-controller-issuers": {
			rule("cert-manager.io", []string{"issuers", "issuers/status"}, "update", "patch"),
			rule("cert-manager.io", []string{"issuers"}, "get", "list", "watch"),
			secrets, events,
		},
		"cert-manager-controller-clusterissuers": {
			rule("cert-manager.io", []string{"clusterissuers", "clusterissuers/status"}, "update", "patch"),
			rule("cert-manager.io", []string{"clusterissuers"}, "get", "list", "watch"),
			secrets, events,
		},
		"cert-manager-controller-certificates": {
			rule("cert-manager.io", []string{"certificates", "certificates/status", "certificaterequests", "certificaterequests/status"},
				"update", "patch"),
			rule("cert-manager.io", []string{"certificates", "certificaterequests", "clusterissuers", "issuers"}, "get", "list", "watch"),
			rule("cert-manager.io", []string{"certificates/finalizers", "certificaterequests/finalizers"}, "update"),
			secrets, rule("", []string{"secrets"}, "patch"), events,
		},
		"cert-manager-controller-ingress-shim": {
			// The controllers of Certificates make their requests by this role as well.
			rule("cert-manager.io", []string{"certificates", "certificaterequests"}, "create", "update", "delete"),
			rule("cert-manager.io", []string{"certificates", "certificaterequests", "issuers", "clusterissuers"}, "get", "list", "watch"),
			rule("networking.k8s.io", []string{"ingresses"}, "get", "list", "watch"),
			rule("networking.k8s.io", []string{"ingresses/finalizers"}, "update"),
			events,
		},
		"cert-manager-controller-certificatesigningrequests": {
			rule("certificates.k8s.io", []string{"certificatesigningrequests"}, "get", "list", "watch", "update"),
			rule("certificates.k8s.io", []string{"certificatesigningrequests/status"}, "update", "patch"),
			named(rule("certificates.k8s.io", []string{"signers"}, "sign"), "issuers.cert-manager.io/*", "clusterissuers.cert-manager.io/*"),
			rule("authorization.k8s.io", []string{"subjectaccessreviews"}, "create"),
		},
		"cert-manager-controller-approve:cert-manager-io": {
			named(rule("cert-manager.io", []string{"signers"}, "approve"), "issuers.cert-manager.io/*", "clusterissuers.cert-manager.io/*"),
		},
	}
}

func rule(group string, resources []string, verbs ...string) rbac.PolicyRule {
	return rbac.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
}

func named(rule rbac.PolicyRule, names ...string) rbac.PolicyRule {
	rule.ResourceNames = names
	return rule
}

// createCertManagerAccount creates the namespace, the ServiceAccount and its rights, and returns a token of it.
func createCertManagerAccount(ctx context.Context, kube kubernetes.Interface) (string, error) {
	create := metav1.CreateOptions{}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: certManagerNamespace}}
	if _, err := kube.CoreV1().Namespaces().Create(ctx, namespace, create); err != nil {
		return "", err
	}
	accounts := kube.CoreV1().ServiceAccounts(certManagerNamespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: certManagerAccount}}
	if _, err := accounts.Create(ctx, account, create); err != nil {
		return "", err
	}
	for name, rules := range certManagerRoles() {
		meta := metav1.ObjectMeta{Name: name}
		if _, err := kube.RbacV1().ClusterRoles().Create(ctx, &rbac.ClusterRole{ObjectMeta: meta, Rules: rules}, create); err != nil {
			return "", err
		}
		if _, err := kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbac.ClusterRoleBinding{
			ObjectMeta: meta,
			RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: name},
			Subjects:   []rbac.Subject{{Kind: rbac.ServiceAccountKind, Namespace: certManagerNamespace, Name: certManagerAccount}},
		}, create); err != nil {
			return "", err
		}
	}
	request, err := accounts.CreateToken(ctx, certManagerAccount, &authentication.TokenRequest{
		Spec: authentication.TokenRequestSpec{ExpirationSeconds: new(int64(accountTokenSeconds))},
	}, create)
	if err != nil {
		return "", err
	}
	return request.Status.Token, nil
}
