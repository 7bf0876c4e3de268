//! `tandem-vm check -o sarif`: the standard's form, and the lines that it points at.

use std::fs;
use std::path::Path;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::check::{BEFORE, repository, run, run_stdin};

#[test]
fn many_faults_as_sarif() {
    let done = run(&[BEFORE, "-o", "sarif"]);
    assert_eq!((done.status.code(), done.stderr.len()), (Some(1), 0));
    // The rules are in the log as they are in docs/checks.md; here only those of two.
    let mut log: Value = serde_json::from_slice(&done.stdout).unwrap();
    let driver = &mut log["runs"][0]["tool"]["driver"];
    driver["semanticVersion"] = "VERSION".into();
    driver["rules"].as_array_mut().unwrap().truncate(2);
    insta::assert_snapshot!(serde_json::to_string_pretty(&log).unwrap());
}

/// Of SARIF 2.1.0 (sections 3.13 to 3.51) the objects that are written, with nothing else allowed in them.
fn sarif_in_short() -> Value {
    let message = json!({"type": "object", "required": ["text"], "additionalProperties": false,
        "properties": {"text": {"type": "string", "minLength": 1}}});
    let level = json!({"enum": ["none", "note", "warning", "error"]});
    let rule = json!({"type": "object", "required": ["id"], "additionalProperties": false, "properties": {
        "id": {"type": "string"}, "name": {"type": "string"}, "shortDescription": message, "fullDescription": message, "help": message,
        "defaultConfiguration": {"type": "object", "additionalProperties": false, "properties": {"level": level}}}});
    let location = json!({"type": "object", "additionalProperties": false, "properties": {
        "physicalLocation": {"type": "object", "additionalProperties": false, "properties": {
            "artifactLocation": {"type": "object", "additionalProperties": false, "properties": {"uri": {"type": "string"}}},
            "region": {"type": "object", "additionalProperties": false,
                "properties": {"startLine": {"type": "integer", "minimum": 1}}}}},
        "logicalLocations": {"type": "array", "uniqueItems": true, "items": {"type": "object", "additionalProperties": false,
            "properties": {"name": {"type": "string"}, "fullyQualifiedName": {"type": "string"}, "kind": {"type": "string"}}}}}});
    let result = json!({"type": "object", "required": ["message"], "additionalProperties": false, "properties": {
        "ruleId": {"type": "string"}, "ruleIndex": {"type": "integer", "minimum": 0}, "level": level, "message": message,
        "locations": {"type": "array", "items": location}}});
    let driver = json!({"type": "object", "required": ["name"], "additionalProperties": false, "properties": {
        "name": {"type": "string"}, "semanticVersion": {"type": "string"},
        "rules": {"type": "array", "uniqueItems": true, "items": rule}}});
    let run = json!({"type": "object", "required": ["tool"], "additionalProperties": false, "properties": {
        "tool": {"type": "object", "required": ["driver"], "additionalProperties": false, "properties": {"driver": driver}},
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]}, "results": {"type": "array", "items": result}}});
    json!({"type": "object", "required": ["version", "runs"], "additionalProperties": false, "properties": {
        "$schema": {"type": "string"}, "version": {"const": "2.1.0"}, "runs": {"type": "array", "items": run}}})
}

/// The schema above, and OASIS's own where the environment names it (`SARIF_SCHEMA=FILE`).
fn sarif_schemas() -> Vec<Validator> {
    let published = std::env::var_os("SARIF_SCHEMA").map(|path| {
        let mut schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        // A pattern there is no regular expression: it closes a bracket that is not open.
        for object in ["run", "toolComponent"] {
            schema["definitions"][object]["properties"]["language"].as_object_mut().unwrap().remove("pattern");
        }
        schema
    });
    let build = |schema: &Value| jsonschema::options().with_draft(Draft::Draft7).build(schema).unwrap();
    [Some(sarif_in_short()), published].iter().flatten().map(build).collect()
}

#[test]
fn sarif_is_what_the_standard_says() {
    for args in [&[BEFORE][..], &["examples/check/after.yaml"], &["examples/mongodb-vm"]] {
        let done = run(&[args, &["-o", "sarif"]].concat());
        let log: Value = serde_json::from_slice(&done.stdout).unwrap();
        for schema in sarif_schemas() {
            let faults: Vec<_> =
                schema.iter_errors(&log).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
            assert_eq!(faults, [""; 0], "{args:?}");
        }
        for result in log["runs"][0]["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        }
    }
}

#[test]
fn the_sarif_schemas_find_planted_faults() {
    let good: Value = serde_json::from_slice(&run(&[BEFORE, "-o", "sarif"]).stdout).unwrap();
    for (pointer, fault) in [
        ("/version", json!("2.0.0")),
        ("/runs/0/results/0/level", json!("fatal")),
        ("/runs/0/results/0/ruleIndex", json!(-2)),
        ("/runs/0/tool/driver", json!({})),
        ("/runs/0/results/0/locations/0", json!({"physicalLocation": {"uri": "x"}})),
    ] {
        let mut log = good.clone();
        *log.pointer_mut(pointer).unwrap() = fault;
        assert!(sarif_schemas().iter().all(|schema| !schema.is_valid(&log)), "{pointer}");
    }
}

#[test]
fn files_in_sarif_are_uris() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("a b%.yaml");
    fs::copy(repository().join(BEFORE), &file).unwrap();
    let done = run(&[file.to_str().unwrap(), "-o", "sarif"]);
    let log: Value = serde_json::from_slice(&done.stdout).unwrap();
    let uri = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    let uri = uri.as_str().unwrap();
    assert!(uri.starts_with("file:///") && uri.ends_with("/a%20b%25.yaml"), "{uri}");
    // Standard input is a file of that name.
    let done = run_stdin(&fs::read_to_string(&file).unwrap(), &["-o", "sarif"]);
    let log: Value = serde_json::from_slice(&done.stdout).unwrap();
    let place = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "stdin");
    assert!(place["region"]["startLine"].is_u64(), "{place}");
}

/// What a line of a file says that a finding in SARIF points at.
fn pointed_at(file: &Path) -> Vec<(String, String)> {
    let done = run(&[file.to_str().unwrap(), "-o", "sarif"]);
    let log: Value = serde_json::from_slice(&done.stdout).unwrap();
    let text = fs::read_to_string(file).unwrap();
    let line = |result: &Value| {
        let line = result["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64().unwrap();
        let line = text.lines().nth(usize::try_from(line).unwrap() - 1).unwrap();
        (result["ruleId"].as_str().unwrap().to_owned(), line.trim().to_owned())
    };
    log["runs"][0]["results"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn sarif_points_at_the_line_of_the_field() {
    let found = pointed_at(&repository().join(BEFORE));
    for (rule, line) in [
        ("TVM001", "serial: orders-data-certificate"),
        ("TVM013", "running: true"),
        ("TVM201", "issuerRef:"),
        ("TVM122", "userData: |"),
        ("TVM302", "podSelector:"),
        ("TVM404", "subPath: ca.crt"),
    ] {
        assert!(found.contains(&(rule.to_owned(), line.to_owned())), "{rule}: {line}: {found:#?}");
    }
    // What is not there is pointed at by what it is missing from; what is rendered, by its document.
    let fixture = |name: &str| pointed_at(&repository().join("vm-tools/tests/vm/check").join(name));
    assert_eq!(fixture("TVM205-fail.yaml"), [("TVM205".to_owned(), "spec:".to_owned())]);
    let rendered = pointed_at(&repository().join("examples/mongodb-vm/databasevm-debian.yaml"));
    assert_eq!(rendered, [("TVM210".to_owned(), "apiVersion: vm.tandem.internal/v1alpha1".to_owned())]);
    // In a List, and behind keys with dots in them.
    let folder = tempfile::TempDir::new().unwrap();
    let list = folder.path().join("list.json");
    let items = "{\n\"apiVersion\": \"v1\",\n\"kind\": \"List\",\n\"items\": [\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \
                 \"metadata\": {\"name\": \"a\"}},\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\n\
                 \"annotations\": {\n\"vm.tandem.internal/ignore\": \"TVM1\"}}}]}\n";
    fs::write(&list, items).unwrap();
    let line = "\"vm.tandem.internal/ignore\": \"TVM1\"}}}]}".to_owned();
    assert_eq!(pointed_at(&list), [("TVM901".to_owned(), line)]);
}
