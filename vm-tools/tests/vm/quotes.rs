//! What is written reads as the same by YAML 1.1 as by 1.2: kubectl reads by the one, cloud-init as well, and we by the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_vm::yaml_edit::{Editor, keys, to_string};
use tempfile::TempDir;

use crate::command::{render_stdin, tandem_vm, with_stdin};
use crate::gates::schema;
use crate::inject::user_data;
use crate::support::{document, example, output, output_of, said, tool};

/// What PyYAML, go-yaml or YAML 1.2 itself has for other than strings, while the library writes it without quotes.
const MISREAD: [&str; 62] = [
    "y",
    "Y",
    "n",
    "N",
    "yes",
    "Yes",
    "YES",
    "no",
    "No",
    "NO",
    "on",
    "On",
    "ON",
    "off",
    "Off",
    "OFF",
    "=",
    "<<",
    "1_000",
    "+1_0",
    "-1_",
    "1__0",
    "0_7",
    "0b1_0",
    "0B1",
    "0b-1",
    "0b_",
    "0x1_F",
    "0X1F",
    "0_x1F",
    "0xf_",
    "-0x_1",
    "0o7_0",
    "0O7",
    "+_1",
    "1_0.5",
    "1_0e3",
    "1.5e1_0",
    "1._5",
    ".5_0",
    "._5",
    "-_.5",
    "1.0e+999",
    "1e999",
    "12:30",
    "+12:30",
    "-1:0",
    "1:59:59",
    "190:20:30",
    "1_9:20",
    "02:42:00:05:30:07.",
    "12:30:45:50:10:20",
    "7:30.5",
    "2001-01-01",
    "2001-1-1",
    "2001-12-14t21:59:43.10-05:00",
    "2001-12-14 21:59:43.10 -5",
    "2001-12-15 2:59:43.10",
    "2001-12-15T02:59:43Z",
    "2001-12-15 02:59:43.",
    "0x123456789abcdef0123456789abcdef012345",
    "08.5_",
];

/// What looks like such a word, and is none.
const BARE: [&str; 40] = [
    "yEs",
    "nO",
    "oN",
    "yes please",
    "offline",
    "==",
    "<",
    "<<<",
    "N/A",
    "1_000x",
    "30Gi",
    "15s",
    "1.2.3",
    "10.0.0.0/8",
    "12:60",
    "12:300",
    "0:30",
    "00:16:3e:00:00:01",
    "12:30pm",
    "::1",
    "fe80::1",
    "a:1",
    "2001-01",
    "2001-01-001",
    "20010-01-01",
    "2001-01-01 12:30",
    "2001-01-01x",
    "0b2_",
    "0xg_",
    "0o8_",
    "1-2",
    "1+1",
    "e3",
    "_1",
    "__",
    "1e_",
    "abc_1",
    "v1_0",
    "face",
    "deadbeef",
];

/// What the library itself quotes.
const QUOTED: [&str; 17] = [
    "true", "False", "null", "~", "", "1", "-1", "0755", "+1", "1.5", "1e3", ".5", ".inf", "-.Inf", ".nan", "0x1F",
    "0o7",
];

#[test]
fn each_word_of_either_yaml_is_quoted_and_no_other() {
    let written = |text: &str| to_string(&json!({ text: [text] })).unwrap();
    for word in MISREAD.iter().chain(&QUOTED) {
        assert_eq!(written(word), format!("'{word}':\n- '{word}'\n"));
    }
    for word in BARE {
        assert_eq!(written(word), format!("{word}:\n- {word}\n"));
    }
    let digits = "1".repeat(400);
    assert_eq!(to_string(&digits).unwrap(), format!("'{digits}'\n"));
    assert_eq!(to_string(&["on", "off"]).unwrap(), "- 'on'\n- 'off'\n");
}

#[test]
fn what_is_no_string_or_stands_in_a_text_has_no_quotes() {
    let value = json!({"no": [true, 1, -5, 1.5, null], "text": "no: on\n- 12:30\nyes\n", "ä": {"b": "ß", "on": {}}});
    assert_eq!(
        to_string(&value).unwrap(),
        "'no':\n- true\n- 1\n- -5\n- 1.5\n- null\ntext: |\n  no: on\n  - 12:30\n  yes\nä:\n  b: ß\n  'on': {}\n"
    );
    // A merge that somebody wrote is not a string: cloud-init merges.
    let value = json!({"a": {"<<": {"b": "<<"}}, "c": {"<<": [{"b": 1}]}, "d": {"<<": "e"}});
    assert_eq!(to_string(&value).unwrap(), "a:\n  <<:\n    b: '<<'\nc:\n  <<:\n  - b: 1\nd:\n  '<<': e\n");
}

#[test]
fn what_an_edit_writes_is_quoted_and_what_stands_there_is_left() {
    let mut editor = Editor::new("a: no\nlist:\n- on\n").unwrap();
    editor.set(&keys(&["b", "yes"]), &"12:30".into()).unwrap();
    editor.append(&keys(&["list"]), &"off".into()).unwrap();
    editor.set(&keys(&["b", "yes"]), &"2001-01-01".into()).unwrap();
    assert_eq!(editor.text(), "a: no\nlist:\n- on\n- 'off'\nb:\n  'yes': '2001-01-01'\n");
}

/// The documents as PyYAML reads them, which cloud-init needs.
fn by_pyyaml(text: &str) -> Option<Vec<Value>> {
    const READ: &str = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin.buffer)), sys.stdout)";
    tool("cloud-init")?;
    let read = output_of(Command::new("/usr/bin/python3").args(["-c", READ]), text.as_bytes());
    assert!(read.status.success(), "{}\n{text}", said(&read));
    Some(serde_json::from_slice(&read.stdout).unwrap())
}

/// The documents as we read them; PyYAML must read the same.
fn by_both(text: &str) -> Vec<Value> {
    let read = |document| serde::Deserialize::deserialize(document).unwrap();
    let ours: Vec<Value> = serde_yaml::Deserializer::from_str(text).map(read).collect();
    if let Some(theirs) = by_pyyaml(text) {
        assert_eq!(ours, theirs, "{text}");
    }
    ours
}

fn word() -> impl Strategy<Value = String> {
    let words: Vec<&str> = MISREAD.iter().chain(&BARE).chain(&QUOTED).copied().collect();
    prop_oneof![
        2 => proptest::sample::select(words).prop_map(str::to_owned),
        2 => "[-+.]?[0-9][0-9a-fbox_.:e+-]{0,8}",
        1 => "[0-9]{1,4}([-:][0-9]{1,2}){1,3}([Tt ][0-9:.]{3,8}Z?)?",
        1 => "[yYnNoO][eEoOfFnN]{0,2}[sS]?",
        2 => "[ -~äß€🦀]{0,12}",
        1 => "[a-z]{1,5}\n(on|no: 12:30|- yes)\n",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn pyyaml_reads_each_string_as_what_it_is(words in proptest::collection::vec(word(), 200)) {
        let lines = words.iter().filter(|word| !word.contains('\n'));
        let fields: BTreeMap<_, _> = lines.zip(&words).collect();
        let value = json!({"list": words, "fields": fields, "nested": [[{"a": words}]]});
        let text = to_string(&value).unwrap();
        prop_assert_eq!(by_both(&text), [value]);
    }
}

const SPEC: &str = r#"database: {mongodb: {}}
os: {family: rhel, image: "registry.example/centos-stream:9"}
clients:
- {name: "y", image: "registry.example/app:1.0", args: ["on", "1_000", "y", "2001-01-01"]}
template: {template: {metadata: {annotations: {a: "yes", "on": "12:30"}}}}
cloudConfig:
  keyboard: {layout: "no"}
  users: [{name: temp, expiredate: "2032-09-01"}]
  mounts: [["12:30", "off"]]"#;

#[test]
fn every_reader_reads_what_is_rendered_alike() {
    let text = document(SPEC).replace("namespace: shop", "namespace: \"no\"");
    let rendered = render_stdin(text.as_bytes(), &[]);
    assert!(rendered.status.success(), "{}", said(&rendered));
    let stream = String::from_utf8(rendered.stdout).unwrap();
    let objects = by_both(&stream);
    assert!(objects.iter().all(|object| object["metadata"]["namespace"] == "no"));
    let of_kind = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap();
    let container = &of_kind("Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["on", "1_000", "y", "2001-01-01"]));
    let annotations = &of_kind("VirtualMachine")["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(*annotations, json!({"a": "yes", "on": "12:30"}));

    let config = user_data(&objects, "orders-vm").unwrap();
    for written in ["layout: 'no'\n", "expiredate: '2032-09-01'\n", "- - '12:30'\n  - 'off'\n"] {
        assert!(config.contains(written), "{config}");
    }
    by_both(&config);
    let Some(checked) = schema(&config) else { return };
    assert!(checked.status.success(), "{}", said(&checked));
}

#[test]
fn every_reader_reads_what_is_injected_alike() {
    let vm = example("inject-own-vm/vm.yaml").replace("namespace: shop", "namespace: 'no'");
    let injected = with_stdin(vm.as_bytes(), "inject", &["--secret", "on"]);
    assert!(injected.status.success(), "{}", said(&injected));
    let objects = by_both(&String::from_utf8(injected.stdout).unwrap());
    assert!(objects.iter().all(|object| object["metadata"]["namespace"] == "no"), "{objects:?}");
    let machine = objects.iter().find(|object| object["kind"] == "VirtualMachine").unwrap();
    let volumes = machine["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.iter().any(|volume| volume["secret"]["secretName"] == "on"), "{volumes:?}");
    let config = user_data(&objects, machine["metadata"]["name"].as_str().unwrap()).unwrap();
    by_both(&config);
    let Some(checked) = schema(&config) else { return };
    assert!(checked.status.success(), "{}", said(&checked));
}

#[test]
fn every_reader_reads_a_key_file_s_secret_alike() {
    let made = output(tandem_vm().args(["keyfile", "--secret", "off", "--namespace", "no"]));
    let secret = by_both(&String::from_utf8(made.stdout).unwrap()).remove(0);
    assert_eq!((&secret["metadata"]["name"], &secret["metadata"]["namespace"]), (&"off".into(), &"no".into()));
}

#[test]
fn an_object_in_a_file_of_its_own_is_quoted_as_well() {
    let folder = TempDir::new().unwrap();
    let text = document(SPEC).replace("namespace: shop", "namespace: \"no\"");
    let rendered = render_stdin(text.as_bytes(), &["--output-dir", folder.path().to_str().unwrap()]);
    assert!(rendered.status.success(), "{}", said(&rendered));
    for file in fs::read_dir(folder.path()).unwrap() {
        by_both(&fs::read_to_string(file.unwrap().path()).unwrap());
    }
}

#[test]
fn nothing_else_writes_yaml() {
    fn sources(folder: &Path, all: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                sources(&entry, all);
            } else if fs::read_to_string(&entry).unwrap().contains("serde_yaml::to_string(") {
                all.push(entry.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    assert_eq!(all, ["write.rs"]);
}
