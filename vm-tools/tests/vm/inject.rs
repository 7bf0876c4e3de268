//! `inject` on manifests as people write them: what comes in goes out, with what the VM needs, and comes back by `--remove`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;
use tandem_vm::inject::{self, Database, Delivery, Input, Options, Os};

use crate::gates::schema;
use crate::kubevirt;
use crate::support::said;

/// The manifests, each with the VMs in it.
pub(crate) const MANIFESTS: [(&str, &[&str]); 15] = [
    ("after-it-all.yaml", &["last"]),
    ("anchors.yaml", &["anchored"]),
    ("base64.yaml", &["cache"]),
    ("folded.yaml", &["folded"]),
    ("inline.yaml", &["orders"]),
    ("list.yaml", &["shop/billing"]),
    ("multiline-secret.yaml", &["wrapped"]),
    ("network-only.yaml", &["net"]),
    ("none.yaml", &["bare"]),
    ("pool.yaml", &["workers"]),
    ("quoted.yaml", &["groesse"]),
    ("replicaset.yaml", &["probe-"]),
    ("secret-data.yaml", &["web"]),
    ("secret-string.yaml", &["ledger"]),
    ("several.yaml", &["db-0", "shop/db-1", "stage/db-1"]),
];

pub(crate) fn manifest(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/manifests").join(name)).unwrap()
}

pub(crate) fn options(vm: &str) -> Options {
    Options {
        secret: "shop-tls".to_owned(),
        vm: vec![vm.to_owned()],
        serial: "tandem-tls".to_owned(),
        ..Options::default()
    }
}

/// Every database, delivery and family.
pub(crate) fn every_delivery(vm: &str) -> [Options; 4] {
    let database = |database, os| Options { database, os: Some(os), ..options(vm) };
    [
        options(vm),
        Options { delivery: Delivery::Filesystem, ..database(Database::PostgreSql, Os::Rhel) },
        Options { serial: "db-cert".to_owned(), ..database(Database::MongoDb, Os::Debian) },
        Options { delivery: Delivery::Filesystem, ..database(Database::Redis, Os::Rhel) },
    ]
}

pub(crate) fn injected(text: &str, options: &Options) -> String {
    let input = Input { name: "vm.yaml".to_owned(), text: text.to_owned() };
    inject::inject(&[input], options).unwrap_or_else(|errors| panic!("{errors:?}\n{text}")).texts.concat()
}

pub(crate) fn removed(text: &str, vm: &str) -> String {
    let input = Input { name: "vm.yaml".to_owned(), text: text.to_owned() };
    inject::remove(&[input], &[vm.to_owned()]).unwrap_or_else(|errors| panic!("{errors:?}\n{text}")).texts.concat()
}

/// The objects of a stream, those of Lists alone.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    let documents = serde_yaml::Deserializer::from_str(text).map(|document| {
        let mut value = serde_yaml::Value::deserialize(document).unwrap();
        value.apply_merge().unwrap();
        serde_json::to_value(value).unwrap()
    });
    let apart = |value: Value| match value["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![value],
    };
    documents.flat_map(apart).filter(|value| !value.is_null()).collect()
}

/// The instance's spec of a VM.
pub(crate) fn instance(machine: &Value) -> &Value {
    match machine["kind"].as_str().unwrap() {
        "VirtualMachineInstance" => &machine["spec"],
        "VirtualMachinePool" => &machine["spec"]["virtualMachineTemplate"]["spec"]["template"]["spec"],
        _ => &machine["spec"]["template"]["spec"],
    }
}

pub(crate) fn is_named(object: &Value, vm: &str) -> bool {
    let name = object["metadata"]["name"].as_str().or(object["metadata"]["generateName"].as_str());
    let full = format!("{}/{}", object["metadata"]["namespace"].as_str().unwrap_or_default(), name.unwrap_or_default());
    let machine = object["kind"].as_str().is_some_and(|kind| kind.starts_with("VirtualMachine"));
    machine && (name == Some(vm) || full == vm)
}

pub(crate) fn decoded(text: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let text: String = text.split_whitespace().collect();
    String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap()
}

/// The user data of a VM, as KubeVirt reads it.
pub(crate) fn user_data(objects: &[Value], vm: &str) -> Option<String> {
    let machine = objects.iter().find(|object| is_named(object, vm)).unwrap();
    let volumes = instance(machine)["volumes"].as_array()?;
    let source =
        volumes.iter().find_map(|volume| volume.get("cloudInitNoCloud").or(volume.get("cloudInitConfigDrive")))?;
    if let Some(text) = source["userData"].as_str() {
        return Some(text.to_owned());
    }
    if let Some(text) = source["userDataBase64"].as_str() {
        return Some(decoded(text));
    }
    let name = source["secretRef"]["name"].as_str()?;
    let secret =
        objects.iter().find(|object| object["kind"] == "Secret" && object["metadata"]["name"] == name).unwrap();
    let found = ["userdata", "userData"].iter().find_map(|key| {
        secret["stringData"][key].as_str().map(str::to_owned).or_else(|| secret["data"][key].as_str().map(decoded))
    });
    Some(found.unwrap())
}

/// Each manifest as it is, with CRLF, without a line break at its end, behind a byte order mark, and with one line that ends otherwise.
fn variants(text: &str) -> [String; 5] {
    let (first, rest) = text.split_once('\n').unwrap();
    let (kind, rest) = rest.split_once('\n').unwrap();
    [
        text.to_owned(),
        text.replace('\n', "\r\n"),
        text.trim_end().to_owned(),
        format!("\u{feff}{text}"),
        format!("{first}\n{kind}\r\n{rest}"),
    ]
}

#[test]
fn twice_is_once_and_removing_gives_back_every_byte() {
    for (name, machines) in MANIFESTS {
        for (variant, text) in variants(&manifest(name)).into_iter().enumerate() {
            for vm in machines {
                let options = &every_delivery(vm)[variant % 4];
                let once = injected(&text, options);
                assert_ne!(once, text);
                assert_eq!(injected(&once, options), once, "{name} {vm}");
                assert_eq!(removed(&once, vm), text, "{name} {vm}");
            }
        }
    }
}

#[test]
fn other_options_take_the_place_of_those_of_before() {
    let text = manifest("inline.yaml");
    let [one, two, ..] = every_delivery("orders");
    assert_eq!(injected(&injected(&text, &one), &two), injected(&text, &two));
}

#[test]
fn several_machines_are_injected_one_after_the_other_and_taken_back_in_any_order() {
    let text = manifest("several.yaml");
    let (one, two) = ("db-0", "shop/db-1");
    let both = injected(&injected(&text, &options(one)), &options(two));
    assert_eq!(removed(&removed(&both, one), two), text);
    assert_eq!(removed(&removed(&both, two), one), text);
}

/// The leaves of a value, with their paths.
fn leaves(value: &Value, at: &str, all: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            entries.iter().for_each(|(key, value)| leaves(value, &format!("{at}/{key}"), all));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, value)| leaves(value, &format!("{at}/{index}"), all));
        }
        Value::Object(_) | Value::Array(_) => {}
        other => all.push((at.to_owned(), other.clone())),
    }
}

/// That nothing of the user's is gone or different, and the VM has what it needs.
pub(crate) fn check_injected(before: &str, after: &str, options: &Options) {
    let [vm] = &options.vm[..] else { panic!("{options:?}") };
    let (before, after) = (objects(before), objects(after));
    for old in &before {
        let same = |new: &&Value| new["kind"] == old["kind"] && new["metadata"] == old["metadata"];
        let new = after.iter().find(same).unwrap_or_else(|| panic!("{} is gone", old["kind"]));
        let (mut wanted, mut found) = (Vec::new(), Vec::new());
        leaves(old, "", &mut wanted);
        leaves(new, "", &mut found);
        let is_user_data = |path: &str| path.to_lowercase().contains("userdata");
        // What is there and nothing may become something.
        for leaf in wanted.iter().filter(|(path, value)| !is_user_data(path) && !value.is_null()) {
            assert!(found.contains(leaf), "{leaf:?} is gone");
        }
        if !is_named(old, vm) && old["kind"] != "Secret" {
            assert_eq!(old, new);
        }
    }
    let machine = after.iter().find(|object| is_named(object, vm)).unwrap();
    let spec = instance(machine);
    let named = |list: &Value| {
        list.as_array().into_iter().flatten().filter(|entry| entry["name"] == "tandem-tls").cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        named(&spec["volumes"]),
        [serde_json::json!({"name": "tandem-tls", "secret": {"secretName": "shop-tls"}})]
    );
    let (disks, filesystems) =
        (named(&spec["domain"]["devices"]["disks"]), named(&spec["domain"]["devices"]["filesystems"]));
    match options.delivery {
        Delivery::Disk => {
            let disk = serde_json::json!({"name": "tandem-tls", "disk": {"bus": "virtio"}, "serial": options.serial});
            assert_eq!((disks, filesystems), (vec![disk], vec![]));
        }
        Delivery::Filesystem => {
            let filesystem = serde_json::json!({"name": "tandem-tls", "virtiofs": {}});
            assert_eq!((disks, filesystems), (vec![], vec![filesystem]));
        }
    }
    let read = |text: &str| -> Value {
        let mut value: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
        value.apply_merge().unwrap();
        serde_json::to_value(value).unwrap()
    };
    let old = user_data(&before, vm).map_or(Value::Null, |text| read(&text));
    let text = user_data(&after, vm).unwrap();
    assert!(text.trim_start().to_lowercase().starts_with("#cloud-config"), "{text}");
    let new = read(&text);
    for (key, value) in old.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("write_files", Value::Array(files)) => assert!(new[key].as_array().unwrap().starts_with(files), "{key}"),
            ("runcmd", Value::Array(commands)) => assert!(new[key].as_array().unwrap().ends_with(commands), "{key}"),
            ("write_files" | "runcmd", Value::Null) => {}
            _ => assert_eq!(&new[key], value, "{key}"),
        }
    }
    let paths: Vec<_> =
        new["write_files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    for path in ["/usr/local/sbin/tandem-tls", "/etc/tandem/tls.conf"] {
        assert_eq!(paths.iter().filter(|other| **other == path).count(), 1, "{path}");
    }
    assert_eq!(new["runcmd"][0], serde_json::json!(["systemctl", "daemon-reload"]));
}

#[test]
fn nothing_of_the_users_is_lost_and_the_vm_has_what_it_needs() {
    for (name, machines) in MANIFESTS {
        let text = manifest(name);
        for vm in machines {
            for options in &every_delivery(vm) {
                check_injected(&text, &injected(&text, options), options);
            }
        }
    }
}

#[test]
fn only_what_must_change_changes() {
    let text = manifest("secret-string.yaml");
    let after = injected(&text, &options("ledger"));
    let mut lines = after.lines();
    for line in text.lines() {
        assert!(lines.any(|new| new == line), "not there, or not in its place: {line}");
    }
}

#[test]
fn cloud_init_accepts_the_user_data() {
    for (name, machines) in MANIFESTS {
        let text = manifest(name);
        for vm in machines {
            for options in &every_delivery(vm) {
                let user_data = user_data(&objects(&injected(&text, options)), vm).unwrap();
                let Some(verdict) = schema(&user_data) else { return };
                assert!(verdict.status.success(), "{name} {options:?}: {}", said(&verdict));
            }
        }
    }
}

/// What KubeVirt's description finds in a VM, and did not find before: such as a creationTimestamp of null, which is not ours.
/// Nothing where there is no description.
pub(crate) fn new_faults(before: &str, after: &str, vm: &str) -> Vec<String> {
    // Reading the description takes longer than a check against it.
    static VALIDATORS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
        let kinds =
            ["VirtualMachine", "VirtualMachineInstance", "VirtualMachineInstanceReplicaSet", "VirtualMachinePool"];
        kinds.into_iter().filter_map(|kind| Some((kind, kubevirt::validator(kind)?))).collect()
    });
    let faults = |text: &str| {
        let machine = objects(text).into_iter().find(|object| is_named(object, vm)).unwrap();
        let validator = VALIDATORS.get(machine["kind"].as_str().unwrap());
        validator.map(|validator| kubevirt::faults(validator, &machine)).unwrap_or_default()
    };
    let known = faults(before);
    faults(after).into_iter().filter(|fault| !known.contains(fault)).collect()
}

#[test]
fn kubevirts_description_has_every_field() {
    for (name, machines) in MANIFESTS {
        let text = manifest(name);
        for vm in machines {
            for options in &every_delivery(vm) {
                let after = injected(&text, options);
                assert_eq!(new_faults(&text, &after, vm), [""; 0], "{name} {options:?}");
            }
        }
    }
}
