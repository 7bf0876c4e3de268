//! What holds for every document.

use proptest::prelude::*;
use serde_json::Value;
use tandem_vm::output::{Format, stream};
use tandem_vm::spec::{Document, check, parse};

use crate::support::{example, object};

fn label(max: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[a-z][a-z0-9-]{{0,{}}}[a-z0-9]", max - 2)).unwrap()
}

/// Valid documents over names, families, and the clients' certificates.
fn document() -> impl Strategy<Value = Document> {
    let clients = proptest::collection::btree_map(label(12), any::<bool>(), 0..4);
    (label(40), label(63), any::<[bool; 3]>(), clients).prop_map(|(name, namespace, [debian, image, ecdsa], clients)| {
        let family = if debian { "debian" } else { "rhel" };
        let install = if image { "Image" } else { "Packages" };
        let algorithm = if ecdsa { "ECDSA" } else { "RSA" };
        let clients: Vec<_> = clients
            .iter()
            .map(|(name, shared)| format!("{{name: {name:?}, image: i, certificate: {}}}", if *shared { "shared" } else { "none" }))
            .collect();
        let text = format!(
            "apiVersion: vm.tandem.internal/v1alpha1\nkind: DatabaseVM\nmetadata: {{name: {name:?}, namespace: {namespace:?}}}\n\
             spec:\n  database: {{mongodb: {{install: {install}}}}}\n  os: {{family: {family}, image: i}}\n  \
             certificate: {{secretName: s, privateKey: {{algorithm: {algorithm}}}, issuerRef: {{kind: TandemIssuer, name: ca}}}}\n  \
             clients: [{}]\n",
            clients.join(", ")
        );
        parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}")).document().clone()
    })
}

fn serials(document: &Document) -> [String; 2] {
    let names = tandem_vm::Names::of(document);
    [names.certificate_serial(document), names.data_serial(document)]
}

fn subset(inner: &Value, outer: &Value) -> bool {
    let (inner, outer) = (inner.as_object().unwrap(), outer.as_object().unwrap());
    !inner.is_empty() && inner.iter().all(|(key, value)| outer.get(key) == Some(value))
}

proptest! {
    #[test]
    fn serials_fit_and_are_the_same_everywhere(document in document()) {
        let rendered = tandem_vm::render(&check(document.clone()).unwrap()).unwrap();
        let devices = object(&rendered, "VirtualMachine")["spec"]["template"]["spec"]["domain"]["devices"].clone();
        let in_manifest: Vec<_> =
            devices["disks"].as_array().unwrap().iter().filter_map(|disk| disk["serial"].as_str()).collect();
        let mut in_guest: Vec<_> = rendered
            .user_data
            .split("/dev/disk/by-id/virtio-")
            .skip(1)
            .map(|rest| rest.split(|c: char| c == '\'' || c.is_whitespace()).next().unwrap())
            .collect();
        in_guest.sort_unstable();
        in_guest.dedup();
        prop_assert_eq!(&in_manifest, &in_guest);
        for serial in in_manifest {
            prop_assert!(serial.len() <= 20);
            prop_assert!(serial.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.+-".contains(&b)));
        }
        for disk in devices["disks"].as_array().unwrap() {
            prop_assert_eq!(&disk["disk"]["bus"], "virtio");
        }
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
        let policy = object(&rendered, "NetworkPolicy")["spec"].clone();
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
