//! What the model reads from a stream of manifests.

use proptest::prelude::*;
use tandem_vm::model::{CloudConfig, Format, KNOWN_KEYS, Stream, Target, VolumeSource};

use crate::support::{example, skipped};

fn stream(text: &str) -> Stream {
    Stream::read(&["-".into()], &mut text.as_bytes(), "shop").unwrap_or_else(|lines| panic!("{lines:?}"))
}

/// A virtual machine whose cloud-init volume is this.
fn machine(cloud_init: &str) -> String {
    format!(
        "---\napiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {{name: orders}}\n\
         spec: {{template: {{spec: {{volumes: [{{name: seed, cloudInitNoCloud: {cloud_init}}}]}}}}}}\n"
    )
}

#[test]
fn a_database_vm_is_looked_at_as_its_objects() {
    let stream = stream(&example("databasevm.yaml"));
    let [machine] = &stream.machines[..] else { panic!("{} machines", stream.machines.len()) };
    assert_eq!(
        format!("{}: {}", machine.meta.place, machine.meta),
        "standard input: document 1: VirtualMachine kubevirt-networking-poc/mongodb-vm (rendered)"
    );
    let delivered: Vec<_> = stream.delivered(machine).map(|(volume, c)| (&*volume.name, &*c.meta.name)).collect();
    assert_eq!(delivered, [("secret-disk", "mongodb-cert")]);
    let disk = machine.disk_of(machine.secret_volumes().next().unwrap().0).unwrap();
    assert_eq!((disk.target, disk.bus.as_deref()), (Target::Disk, Some("virtio")));
    assert!(machine.user_data[0].in_secret && machine.user_data[0].config().is_some());
    assert!(matches!(machine.root_volume().unwrap().source, VolumeSource::ContainerDisk));
    let [service] = &stream.services[..] else { panic!("{} services", stream.services.len()) };
    assert_eq!(stream.machines_behind(service).count(), 1);
    assert_eq!(stream.workloads_behind(service).count(), 0);
}

#[test]
fn user_data_is_found_wherever_it_stands() {
    let text = "#cloud-config\nruncmd: [[touch, /x]]\n";
    let encoded = "I2Nsb3VkLWNvbmZpZwpydW5jbWQ6IFtbdG91Y2gsIC94XV0K";
    let secret = |data: &str| format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: seed}}\n{data}\n");
    for (manifests, field) in [
        (machine(&format!("{{userData: {text:?}}}")), "spec.template.spec.volumes[0].cloudInitNoCloud.userData"),
        (
            machine(&format!("{{userDataBase64: {encoded}}}")),
            "spec.template.spec.volumes[0].cloudInitNoCloud.userDataBase64",
        ),
        // The Secret may stand behind the machine.
        (machine("{secretRef: {name: seed}}") + &secret(&format!("data: {{userData: {encoded}}}")), "data.userData"),
        (
            secret(&format!("stringData: {{userdata: {text:?}}}")) + &machine("{secretRef: {name: seed}}"),
            "stringData.userdata",
        ),
    ] {
        let stream = stream(&manifests);
        let user_data = &stream.machines[0].user_data[0];
        assert_eq!(user_data.text, text, "{manifests}");
        let runcmd = &user_data.config().unwrap().runcmd;
        assert_eq!((&*runcmd[0].value, user_data.field(&runcmd[0].path)), ("touch /x", format!("{field} > runcmd[0]")));
    }
}

#[test]
fn user_data_that_cannot_be_had_says_why() {
    let format = |cloud_init: &str| {
        let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: seed}\nstringData: {user-data: x}\n";
        let stream = stream(&(machine(cloud_init) + secret));
        match &stream.machines[0].user_data[0].format {
            Format::CloudConfig(_) => "config",
            Format::Broken(_) => "broken",
            Format::Headerless => "headerless",
            Format::Script => "script",
            Format::Jinja => "jinja",
            Format::Archive => "archive",
            Format::Mime => "mime",
            Format::Other => "other",
            Format::Empty => "empty",
            Format::NotBase64 => "not base64",
            Format::NoKey => "no key",
            Format::NotInStream => "not in stream",
        }
    };
    for (cloud_init, expected) in [
        (r##"{userData: "#cloud-config\na: [\n"}"##, "broken"),
        (r##"{userData: "#cloud-config\n- a\n"}"##, "broken"),
        (r##"{userData: "runcmd: [ls]\n"}"##, "headerless"),
        (r##"{userData: "#!/bin/sh\nls\n"}"##, "script"),
        (r###"{userData: "## template: jinja\n#cloud-config\n"}"###, "jinja"),
        (r##"{userData: "#cloud-config-archive\n[]\n"}"##, "archive"),
        (r##"{userData: "Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n"}"##, "mime"),
        (r##"{userData: "#include\nhttps://example.org\n"}"##, "other"),
        (r##"{userData: ""}"##, "empty"),
        ("{userDataBase64: '*'}", "not base64"),
        ("{secretRef: {name: seed}}", "no key"),
        ("{secretRef: {name: other}}", "not in stream"),
    ] {
        assert_eq!(format(cloud_init), expected, "{cloud_init}");
    }
}

#[test]
fn what_makes_machines_is_read_as_a_machine() {
    let instance = "metadata: {labels: {app: orders}}, spec: {domain: {devices: {disks: [{name: a, serial: s}]}}}";
    for (kind, spec, path) in [
        ("kubevirt.io/v1", format!("kind: VirtualMachine, spec: {{template: {{{instance}}}}}"), "spec.template.spec"),
        ("kubevirt.io/v1", format!("kind: VirtualMachineInstance, {instance}"), "spec"),
        (
            "kubevirt.io/v1",
            format!("kind: VirtualMachineInstanceReplicaSet, spec: {{template: {{{instance}}}}}"),
            "spec.template.spec",
        ),
        (
            "pool.kubevirt.io/v1beta1",
            format!(
                "kind: VirtualMachinePool, spec: {{virtualMachineTemplate: {{spec: {{template: {{{instance}}}}}}}}}"
            ),
            "spec.virtualMachineTemplate.spec.template.spec",
        ),
    ] {
        let stream = stream(&format!("{{apiVersion: {kind}, {spec}}}"));
        let machine = &stream.machines[0];
        assert_eq!((&*machine.spec_path, &*machine.pod_labels.known["app"]), (path, "orders"));
        let serial = machine.disks[0].serial.as_ref().unwrap();
        assert_eq!(serial.path, format!("{path}.domain.devices.disks[0].serial"));
    }
}

/// Where cloud-init is installed: its own description of cloud-configs.
#[test]
fn every_key_that_cloud_init_describes_is_known() {
    let path = "/usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json";
    let Ok(schema) = std::fs::read(path) else {
        return skipped("cloud-init's description of cloud-configs is not there");
    };
    let schema: serde_json::Value = serde_json::from_slice(&schema).unwrap();
    let modules = schema["allOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|module| schema.pointer(module["$ref"].as_str().unwrap().trim_start_matches('#')).unwrap());
    let keys: Vec<_> = modules
        .filter_map(|module| module["properties"].as_object())
        .flat_map(|properties| properties.keys())
        .collect();
    assert!(keys.len() > 80, "{keys:?}");
    for key in keys {
        assert!(KNOWN_KEYS.contains(&key.as_str()), "{key}");
    }
}

#[test]
fn what_is_no_object_is_named_with_its_place() {
    let read = |text: &str| Stream::read(&["-".into()], &mut text.as_bytes(), "shop").err().unwrap();
    assert_eq!(
        read("a: 1\n---\napiVersion: v1\nkind: Service\n---\n[]\n"),
        [
            "standard input: document 1: has no apiVersion and kind; write Kubernetes manifests",
            "standard input: document 3: has no apiVersion and kind; write Kubernetes manifests"
        ]
    );
    let broken = example("databasevm.yaml").replace("size: 30Gi", "size: much");
    assert_eq!(
        read(&broken),
        [
            "standard input: document 1: spec.storage.size: `much` is not a quantity; write a number with a unit, such as 1Gi"
        ]
    );
}

/// Any YAML under the names that the model looks for.
pub(crate) fn any_manifest() -> impl Strategy<Value = String> {
    let names = [
        "metadata",
        "name",
        "namespace",
        "labels",
        "spec",
        "template",
        "domain",
        "devices",
        "disks",
        "serial",
        "volumes",
        "secret",
        "secretName",
        "items",
        "cloudInitNoCloud",
        "userData",
        "userDataBase64",
        "secretRef",
        "selector",
        "matchLabels",
        "ports",
        "containers",
        "env",
        "value",
        "args",
        "volumeMounts",
        "subPath",
        "dnsNames",
        "usages",
        "issuerRef",
        "data",
        "stringData",
        "filesystems",
        "podSelector",
        "ingress",
        "from",
        "userdata",
        "tls.crt",
        "duration",
        "running",
        "disk",
        "bus",
        "keyFile",
    ];
    let scalar = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        "[ -~\n\u{e9}]{0,20}".prop_map(serde_json::Value::from),
        "#cloud-config\n(runcmd|write_files|mounts): [ -~\n]{0,40}".prop_map(serde_json::Value::from),
        prop::sample::select(&["mongodb://a:b@c:1,d/e", "grep x", "/dev/vdb", "/dev/disk/by-id/*-x", "1h", "x"][..])
            .prop_map(serde_json::Value::from),
    ];
    let value = scalar.prop_recursive(8, 96, 6, move |inner| {
        let name = prop::sample::select(names.to_vec());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map(name.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    });
    let kinds = [
        ("cert-manager.io/v1", "Certificate"),
        ("cert-manager.io/v1", "Issuer"),
        ("kubevirt.io/v1", "VirtualMachine"),
        ("kubevirt.io/v1", "VirtualMachineInstance"),
        ("pool.kubevirt.io/v1alpha1", "VirtualMachinePool"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("v1", "Service"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("apps/v1", "Deployment"),
        ("v1", "Pod"),
    ];
    let document = (prop::sample::select(kinds.to_vec()), value.clone(), value.clone(), value).prop_map(
        |((version, kind), spec, metadata, data)| {
            serde_json::json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "data": data})
        },
    );
    proptest::collection::vec(document, 1..6)
        .prop_map(|documents| documents.iter().map(|document| format!("---\n{document}\n")).collect())
}

proptest! {
    #[test]
    fn no_manifest_stops_the_reading(text in any_manifest()) {
        let stream = Stream::read(&["-".into()], &mut text.as_bytes(), "shop");
        prop_assert!(stream.is_ok(), "{:?}", stream.err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Stream::read(&["-".into()], &mut &bytes[..], "shop"));
    }

    #[test]
    fn no_user_data_makes_it_panic(text in any::<String>(), head in prop::sample::select(&["", "#cloud-config\n", "#!"][..])) {
        let text = format!("{head}{text}");
        let machine = machine(&format!("{{userData: {}}}", serde_json::to_string(&text).unwrap()));
        // Not every character may stand in YAML.
        if let Ok(stream) = Stream::read(&["-".into()], &mut machine.as_bytes(), "shop") {
            prop_assert_eq!(&stream.machines[0].user_data[0].text, &text);
        }
    }
}

/// As cloud-init's schema has them, and as kubectl reads a manifest.
#[test]
fn a_fields_name_may_be_a_number_or_a_truth_value() {
    let config = CloudConfig::read("#cloud-config\nsnap: {commands: {10: one, true: two}}\n")
        .unwrap_or_else(|why| panic!("{why}"));
    let commands = config.root().get("snap").get("commands");
    assert_eq!(["10", "true"].map(|name| commands.get(name).text()), [Some("one"), Some("two")]);
    let twice = CloudConfig::read("10: one\n'10': two\n").err();
    assert_eq!(twice.as_deref(), Some("the field `10` is there twice at line 2 column 1"));
}
