//! `tandem-vm check`: what selects pods by the labels that KubeVirt sets on them.

use crate::check_answers::{found, vm};

/// What is found of a machine, with a Service and a NetworkPolicy that select it so.
fn selected(machine: &str, selector: &str) -> Vec<String> {
    found(&format!(
        "{machine}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: pg, namespace: shop}}\nspec: {{selector: {{{selector}}}, \
         ports: [{{port: 5432}}]}}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: pg, namespace: \
         shop}}\nspec: {{podSelector: {{matchLabels: {{{selector}}}}}, ingress: []}}\n"
    ))
}

/// By KubeVirt's `podLabels`; the host name is that of its `SanitizeHostname`.
#[test]
fn pods_of_machines_have_the_labels_that_kubevirt_sets() {
    let machine = |kind: &str, name: &str, spec: &str| {
        let group = if kind == "VirtualMachinePool" { "pool.kubevirt.io/v1beta1" } else { "kubevirt.io/v1" };
        format!("apiVersion: {group}\nkind: {kind}\nmetadata: {{{name}, namespace: shop}}\nspec: {spec}\n")
    };
    let vm = |name: &str, spec: &str| machine("VirtualMachine", name, &format!("{{template: {{spec: {spec}}}}}"));
    let plain = vm("name: pg", "{}");
    let instance = machine("VirtualMachineInstance", "name: pg", "{}");
    let long = format!("name: {}", "x".repeat(70));
    let pool = machine("VirtualMachinePool", "name: pg", "{virtualMachineTemplate: {spec: {template: {spec: {}}}}}");
    let several = machine("VirtualMachineInstanceReplicaSet", "name: pg", "{template: {spec: {}}}");
    let kept = "x".repeat(54);
    for (machine, selector) in [
        (&plain, "kubevirt.io: virt-launcher"),
        (&plain, "vm.kubevirt.io/name: pg"),
        (&plain, "vmi.kubevirt.io/id: pg, kubevirt.io: virt-launcher"),
        (&plain, "kubevirt.io/created-by: 3cbb32a1-f11c-4065-99e6-62ce670bff12"),
        (&instance, "vm.kubevirt.io/name: pg"),
        (&vm("name: pg", "{hostname: db}"), "vm.kubevirt.io/name: db, vmi.kubevirt.io/id: pg"),
        (&vm("name: pg.a", "{}"), "vm.kubevirt.io/name: pg, vmi.kubevirt.io/id: pg.a"),
        (&vm("generateName: pg-", "{}"), "vm.kubevirt.io/name: pg-x7x7x"),
        (&vm(&long, "{}"), &format!("vmi.kubevirt.io/id: {kept}-0123abcd")),
        (&pool, "vm.kubevirt.io/name: pg-0"),
        (&several, "vm.kubevirt.io/name: pgx7x7x"),
    ] {
        assert_eq!(selected(machine, selector), [""; 0], "{machine} {selector}");
    }
    for (machine, selector) in [
        (&plain, "vm.kubevirt.io/name: other"),
        (&plain, "kubevirt.io/domain: pg"),
        (&vm("name: pg", "{hostname: db}"), "vm.kubevirt.io/name: pg"),
        (&pool, "vm.kubevirt.io/name: pg"),
        (&pool, "vm.kubevirt.io/name: other-0"),
    ] {
        let all = selected(machine, selector);
        assert_eq!(all, ["TVM301 spec.selector", "TVM302 spec.podSelector"], "{machine} {selector}");
    }
    let expression = |operator: &str| {
        plain.clone()
            + &format!(
                "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: pg, namespace: shop}}\nspec: \
                 {{podSelector: {{matchExpressions: [{{key: {operator}}}]}}, ingress: []}}\n"
            )
    };
    for (operator, selects) in [
        ("vm.kubevirt.io/name, operator: In, values: [a, pg]", true),
        ("vm.kubevirt.io/name, operator: In, values: [a, b]", false),
        ("vm.kubevirt.io/name, operator: NotIn, values: [pg]", false),
        ("kubevirt.io/created-by, operator: NotIn, values: [a]", true),
        ("kubevirt.io/created-by, operator: Exists", true),
        ("kubevirt.io/created-by, operator: DoesNotExist", false),
    ] {
        assert_eq!(found(&expression(operator)).is_empty(), selects, "{operator}");
    }
}

/// What stands behind such a selector is looked at as behind any other.
#[test]
fn a_service_leads_to_a_machine_by_kubevirts_labels() {
    let machine = vm("#cloud-config\nhostname: a\n")
        .replace("{name: tls, persistentVolumeClaim: {claimName: b}}", "{name: tls, secret: {secretName: tls}}");
    let with = |selector: &str| {
        let service = format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: db, namespace: shop}}\nspec: {{selector: {{{selector}}}, ports: \
             [{{port: 5432}}]}}\n---\napiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {{name: tls, namespace: \
             shop}}\nspec: {{secretName: tls, issuerRef: {{name: ca}}, dnsNames: [wrong.example]}}\n"
        );
        found(&(machine.clone() + &service))
    };
    let expected = with("app: db");
    assert!(expected.contains(&"TVM305 spec.dnsNames".to_owned()), "{expected:?}");
    assert_eq!(with("vm.kubevirt.io/name: vm"), expected);
}
