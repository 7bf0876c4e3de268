//! What holds for every document.

use proptest::prelude::*;
use serde_json::Value;
use tandem_vm::output::{Format, stream};
use tandem_vm::spec::{Document, check, parse};

use crate::gates::schema;
use crate::support::{example, find, object, said};

fn label(max: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[a-z][a-z0-9-]{{0,{}}}[a-z0-9]", max - 2)).unwrap()
}

/// What a document's choices are, each of which stands beside any of the others.
fn choices() -> impl Strategy<Value = (&'static str, &'static str, &'static str, &'static str)> {
    let database = prop::sample::select(vec![
        "mongodb: {}",
        "mongodb: {install: Image, version: '7.0'}",
        "postgresql: {clientAuth: Required}",
        "postgresql: {hba: ['local all all trust']}",
        "redis: {}",
        "redis: {server: Valkey, clientAuth: Required}",
        "none: {files: {folder: /etc/app}}",
        "none: {files: {folder: /etc/app, combined: all.pem, mode: '0640'}, service: app.service, port: 8443}",
    ]);
    let root = prop::sample::select(vec![
        "containerDisk: {image: i}",
        "dataVolume: {source: {pvc: {name: golden}}}",
        "persistentVolumeClaim: {claimName: golden}",
    ]);
    let delivery = prop::sample::select(vec!["disk", "filesystem"]);
    let more = prop::sample::select(vec![
        "",
        "  machine: {instancetype: {name: u1.small}, preference: {name: rhel.9}}\n",
        "  template: {template: {spec: {domain: {devices: {disks: [{name: root-disk, bootOrder: 1}]}}}}}\n",
        "  cloudConfig: {packages: [vim], runcmd: [[echo, done]], timezone: UTC}\n",
    ]);
    (database, root, delivery, more)
}

/// Valid documents over names, all choices, and the clients' certificates.
pub(crate) fn document() -> impl Strategy<Value = Document> {
    let clients = proptest::collection::btree_map(label(12), any::<bool>(), 0..4);
    (label(40), label(63), any::<[bool; 2]>(), choices(), clients).prop_map(
        |(name, namespace, [debian, ecdsa], (database, root, delivery, more), mut clients)| {
            if database.starts_with("none") && !database.contains("port") {
                clients.clear();
            }
            let family = if debian { "debian" } else { "rhel" };
            let algorithm = if ecdsa { "ECDSA" } else { "RSA" };
            let required = database.contains("Required");
            let client = |(name, shared): (&String, &bool)| {
                let certificate = if *shared || required { "shared" } else { "none" };
                format!("{{name: {name:?}, image: i, certificate: {certificate}}}")
            };
            let clients: Vec<_> = clients.iter().map(client).collect();
            let text = format!(
                "apiVersion: vm.tandem.internal/v1alpha1\nkind: DatabaseVM\n\
                 metadata: {{name: {name:?}, namespace: {namespace:?}}}\n\
                 spec:\n  database: {{{database}}}\n  os: {{family: {family}}}\n  root: {{{root}}}\n  \
                 delivery: {delivery}\n  \
                 certificate: {{secretName: s, privateKey: {{algorithm: {algorithm}}}, \
                 issuerRef: {{kind: TandemIssuer, name: ca}}}}\n{more}  clients: [{}]\n",
                clients.join(", ")
            );
            parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}")).document().clone()
        },
    )
}

/// What is rendered, and the spec of the only VM's instance.
fn rendered_machine(document: Document) -> (tandem_vm::Rendered, Value) {
    let rendered = tandem_vm::render(&check(document).unwrap()).unwrap();
    let spec = object(&rendered, "VirtualMachine")["spec"]["template"]["spec"].clone();
    (rendered, spec)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|item| item["name"].as_str().unwrap()).collect()
}

fn serials(document: &Document) -> [String; 2] {
    let names = tandem_vm::Names::of(document);
    let machine = &names.machines[0];
    [machine.certificate_serial.clone(), machine.data_serial.clone()]
}

fn subset(inner: &Value, outer: &Value) -> bool {
    let (inner, outer) = (inner.as_object().unwrap(), outer.as_object().unwrap());
    !inner.is_empty() && inner.iter().all(|(key, value)| outer.get(key) == Some(value))
}

proptest! {
    // Each run of cloud-init takes most of a second.
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn cloud_init_knows_every_key_whatever_is_chosen(document in document()) {
        let rendered = tandem_vm::render(&check(document).unwrap()).unwrap();
        if let Some(checked) = schema(&rendered.user_data) {
            prop_assert!(checked.status.success(), "{}\n{}", said(&checked), rendered.user_data);
        }
    }
}

proptest! {
    #[test]
    fn serials_fit_and_are_the_same_everywhere(document in document()) {
        let (rendered, spec) = rendered_machine(document);
        let disks = spec["domain"]["devices"]["disks"].as_array().unwrap();
        let mut in_manifest: Vec<_> = disks.iter().filter_map(|disk| disk["serial"].as_str()).collect();
        let mut in_guest: Vec<_> = rendered
            .user_data
            .split("/dev/disk/by-id/virtio-")
            .skip(1)
            .map(|rest| rest.split(|c: char| c == '\'' || c.is_whitespace()).next().unwrap())
            // In the scripts, SERIAL stands for it.
            .filter(|serial| serial.contains('-'))
            .collect();
        for list in [&mut in_manifest, &mut in_guest] {
            list.sort_unstable();
        }
        let many = in_manifest.len();
        in_manifest.dedup();
        in_guest.dedup();
        prop_assert_eq!(in_manifest.len(), many, "two disks with one serial");
        prop_assert_eq!(&in_manifest, &in_guest);
        for serial in in_manifest {
            prop_assert!(serial.len() <= 20);
            prop_assert!(serial.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.+-".contains(&b)));
        }
        for disk in disks {
            prop_assert_eq!(&disk["disk"]["bus"], "virtio");
        }
    }

    #[test]
    fn each_volume_is_one_disk_or_one_filesystem(document in document()) {
        let (_, spec) = rendered_machine(document);
        let devices = &spec["domain"]["devices"];
        let mut attached = names(&devices["disks"]);
        attached.extend(names(&devices["filesystems"]));
        let mut volumes = names(&spec["volumes"]);
        attached.sort_unstable();
        volumes.sort_unstable();
        prop_assert_eq!(&attached, &volumes);
        volumes.dedup();
        prop_assert_eq!(attached.len(), volumes.len());
        prop_assert!(volumes.iter().all(|name| name.len() <= 36));
        prop_assert_eq!(names(&spec["networks"]), names(&devices["interfaces"]));
    }

    #[test]
    fn every_name_and_label_fits(document in document()) {
        let rendered = tandem_vm::render(&check(document).unwrap()).unwrap();
        for manifest in &rendered.manifests {
            let longest = if manifest.kind() == "Secret" { 253 } else { 63 };
            prop_assert!(manifest.name().len() <= longest, "{}", manifest.name());
            let value = serde_json::to_value(manifest).unwrap();
            for (_, label) in value["metadata"]["labels"].as_object().unwrap() {
                prop_assert!(label.as_str().unwrap().len() <= 63);
            }
        }
        prop_assert!(object(&rendered, "VirtualMachine")["spec"]["template"]["spec"]["hostname"].as_str().unwrap().len() <= 63);
    }

    #[test]
    fn no_file_of_the_guest_is_written_twice(document in document()) {
        let rendered = tandem_vm::render(&check(document).unwrap()).unwrap();
        let config: Value = serde_yaml::from_str(&rendered.user_data).unwrap();
        let files = config["write_files"].as_array().unwrap();
        let paths: std::collections::BTreeSet<_> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
        prop_assert_eq!(paths.len(), files.len());
    }

    #[test]
    fn other_names_give_other_serials(a in document(), b in document()) {
        let key = |d: &Document| (d.metadata.namespace.clone(), d.metadata.name.clone());
        prop_assume!(key(&a) != key(&b));
        let [[a_tls, a_data], [b_tls, b_data]] = [serials(&a), serials(&b)];
        prop_assert!(a_tls != b_tls && a_data != b_data && a_tls != a_data);
    }

    #[test]
    fn moving_a_letter_from_namespace_to_name_changes_the_serials(a in label(20), b in label(20)) {
        let mut one = parse(&example("databasevm.yaml")).unwrap().document().clone();
        let mut two = one.clone();
        (one.metadata.namespace, one.metadata.name) = (a.clone(), format!("x{b}"));
        (two.metadata.namespace, two.metadata.name) = (format!("{a}x"), b);
        prop_assert_ne!(serials(&one), serials(&two));
    }

    #[test]
    fn selectors_match_what_they_are_meant_for(document in document()) {
        let rendered = tandem_vm::render(&check(document).unwrap()).unwrap();
        let vm = object(&rendered, "VirtualMachine")["spec"]["template"]["metadata"]["labels"].clone();
        let Some(policy) = find(&rendered, "NetworkPolicy") else {
            prop_assert!(find(&rendered, "Service").is_none() && find(&rendered, "Deployment").is_none());
            return Ok(());
        };
        let policy = policy["spec"].clone();
        prop_assert!(subset(&object(&rendered, "Service")["spec"]["selector"], &vm));
        prop_assert!(subset(&policy["podSelector"]["matchLabels"], &vm));
        let from = &policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"];
        prop_assert!(!subset(from, &vm));
        for manifest in rendered.manifests.iter().filter(|manifest| manifest.kind() == "Deployment") {
            let spec = serde_json::to_value(manifest).unwrap()["spec"].clone();
            let pod = &spec["template"]["metadata"]["labels"];
            prop_assert!(subset(from, pod));
            prop_assert!(subset(&spec["selector"]["matchLabels"], pod));
            prop_assert!(!subset(&policy["podSelector"]["matchLabels"], pod));
        }
    }

    #[test]
    fn user_data_is_inline_up_to_the_limit_and_else_in_a_secret(document in document()) {
        let rendered = tandem_vm::render(&check(document).unwrap()).unwrap();
        let volumes = object(&rendered, "VirtualMachine")["spec"]["template"]["spec"]["volumes"].clone();
        let source = &volumes.as_array().unwrap().iter().find(|v| v["name"] == "cloud-init").unwrap()["cloudInitNoCloud"];
        if rendered.user_data.len() <= 2048 {
            prop_assert_eq!(&source["userData"], &rendered.user_data);
        } else {
            let secret = object(&rendered, "Secret");
            prop_assert_eq!(&source["secretRef"]["name"], &secret["metadata"]["name"]);
            prop_assert_eq!(&secret["stringData"]["userdata"], &rendered.user_data);
        }
    }

    #[test]
    fn rendering_twice_gives_the_same_bytes(document in document()) {
        let vm = check(document).unwrap();
        let [one, two] = [(); 2].map(|()| tandem_vm::render(&vm).unwrap());
        for format in [Format::Yaml, Format::Json] {
            prop_assert_eq!(stream(&one.manifests, format).unwrap(), stream(&two.manifests, format).unwrap());
        }
    }

    #[test]
    fn documents_survive_yaml(document in document()) {
        let text = serde_yaml::to_string(&document).unwrap();
        let again = parse(&text).unwrap();
        prop_assert_eq!(again.document(), &document);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        drop(parse(&text));
    }

    #[test]
    fn no_damage_to_an_example_makes_it_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..20, "[ -~\n\u{e9}]{0,6}"), 1..6)
    ) {
        let mut text: Vec<char> = example("databasevm.yaml").chars().collect();
        for (index, remove, insert) in edits {
            let at = index.index(text.len());
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
            text.push('\n');
        }
        if let Ok(vm) = parse(&text.into_iter().collect::<String>()) {
            tandem_vm::render(&vm).unwrap();
        }
    }
}
