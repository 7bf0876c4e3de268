//! Manifests in which no VM can be given anything.

use serde_json::{Value, json};

use super::{Case, case};

pub(super) const INJECT: &str = "inject --secret db-tls --in-place input";

/// A VirtualMachine with these volumes and a disk for each.
pub(super) fn object(kind: &str, volumes: &[Value]) -> Value {
    let disks: Vec<_> =
        volumes.iter().map(|volume| json!({ "name": volume["name"], "disk": { "bus": "virtio" } })).collect();
    json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": kind,
        "metadata": { "name": "db", "namespace": "shop" },
        "spec": {
            "runStrategy": "Always",
            "template": { "spec": { "domain": { "devices": { "disks": disks } }, "volumes": volumes } },
        },
    })
}

pub(super) fn secret(name: &str, fields: &Value) -> Value {
    let mut secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "shop" } });
    secret.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    secret
}

/// Block YAML, a document for each object.
pub(super) fn stream(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{}", serde_yaml::to_string(object).unwrap())).collect()
}

/// Manifests in which no VM can be given anything.
pub(super) fn cases() -> Vec<Case> {
    let volumes = [json!({ "name": "root", "dataVolume": { "name": "db-root" } })];
    let machine = stream(&[object("VirtualMachine", &volumes)]);
    let with = |from: &str, to: &str| {
        assert_eq!(machine.matches(from).count(), 1, "{from} in\n{machine}");
        machine.replace(from, to)
    };
    let disks =
        "        devices:\n          disks:\n          - disk:\n              bus: virtio\n            name: root\n";
    let volume = "      volumes:\n      - dataVolume:\n          name: db-root\n        name: root\n";
    let mut other = object("VirtualMachine", &volumes);
    other["metadata"]["name"] = "other".into();
    let two = stream(&[object("VirtualMachine", &volumes), other]);
    [
        ("no VM", INJECT, stream(&[secret("a", &json!({}))])),
        ("two VMs", INJECT, two.clone()),
        ("a VM of another name", "inject --secret db-tls --vm none --in-place input", two),
        ("the same VM twice", "inject --secret db-tls --vm db --in-place input", machine.repeat(2)),
        ("a VM without a spec", INJECT, machine.split("spec:").next().unwrap().to_owned()),
        ("a VM without a template", INJECT, with("  template:\n", "  other:\n")),
        ("a VM whose spec is a list", INJECT, with("spec:\n  runStrategy: Always\n", "spec:\n- a\nother:\n")),
        ("a VM without a name", INJECT, with("  name: db\n", "")),
        ("a VM whose template is a text", INJECT, with("  template:\n", "  template: none\n  other:\n")),
        ("devices that are a list", INJECT, with(disks, "        devices:\n        - disks\n")),
        ("disks that are a mapping", INJECT, with(disks, "        devices:\n          disks:\n            root: {}\n")),
        (
            "disks in flow style",
            INJECT,
            with(disks, "        devices:\n          disks: [{name: root, disk: {bus: virtio}}]\n"),
        ),
        (
            "disks that are an alias",
            INJECT,
            format!("{}other: &a\n- name: root\n", with(disks, "        devices:\n          disks: *a\n")),
        ),
        ("volumes that are a text", INJECT, with(volume, "      volumes: root\n")),
        ("volumes in flow style", INJECT, with(volume, "      volumes: [{name: root, dataVolume: {name: db-root}}]\n")),
        (
            "volumes with a shared anchor",
            INJECT,
            format!("{}other: *a\n", with("      volumes:\n", "      volumes: &a\n")),
        ),
        ("a field twice", INJECT, with("  runStrategy: Always\n", "  runStrategy: Always\n  runStrategy: Halted\n")),
        ("a tab as indentation", INJECT, with("  runStrategy: Always\n", "\trunStrategy: Always\n")),
        ("JSON", INJECT, serde_json::to_string(&object("VirtualMachine", &volumes)).unwrap()),
        ("a directive", INJECT, format!("%YAML 1.2\n{machine}")),
        ("a broken document behind the VM", INJECT, format!("{machine}---\na: [\n")),
        ("nothing", INJECT, String::new()),
        (
            "a serial of 21 bytes",
            "inject --secret db-tls --serial 123456789012345678901 --in-place input",
            machine.clone(),
        ),
        ("a serial with a blank", "inject --secret db-tls --serial=a/b --in-place input", machine.clone()),
        ("a Secret's name in capitals", "inject --secret DB --in-place input", machine.clone()),
        ("a folder that is relative", "inject --secret db-tls --folder etc --in-place input", machine.clone()),
        ("nothing to remove", "inject --remove --vm none --in-place input", machine),
    ]
    .map(|(name, command, text)| case(name, command, text))
    .into()
}
