//! The VirtualMachine against KubeVirt's own API description, where the environment names one.

use std::fs;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_vm::model::fields::{INSTANCE, MACHINE};
use tandem_vm::spec::check;

use crate::command::render_stdin;
use crate::properties::document;
use crate::support::{EXAMPLES, document as document_of, example, object, objects, render, said};

/// A validator over the description at `$KUBEVIRT_OPENAPI`. The description allows unknown fields; here each of its types
/// refuses them, or a misspelt one would pass.
pub(crate) fn validator(kind: &str) -> Option<Validator> {
    let Some(path) = std::env::var_os("KUBEVIRT_OPENAPI") else {
        eprintln!("skipped: KUBEVIRT_OPENAPI names no file");
        return None;
    };
    let mut api: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for definition in api["definitions"].as_object_mut().unwrap().values_mut() {
        if definition.get("properties").is_some() && definition.get("additionalProperties").is_none() {
            definition["additionalProperties"] = false.into();
        }
    }
    let version = if kind == "VirtualMachinePool" { "v1beta1" } else { "v1" };
    let schema = json!({"$ref": format!("#/definitions/{version}.{kind}"), "definitions": api["definitions"]});
    // An OpenAPI 2 description is written in this draft.
    Some(jsonschema::options().with_draft(Draft::Draft4).build(&schema).unwrap())
}

/// Where `machine` differs from the description, and how.
pub(crate) fn faults(validator: &Validator, machine: &Value) -> Vec<String> {
    let mut faults: Vec<_> =
        validator.iter_errors(machine).map(|error| format!("{}: {error}", error.instance_path())).collect();
    faults.sort();
    faults
}

#[test]
fn every_field_is_one_of_kubevirts() {
    let Some(validator) = validator("VirtualMachine") else { return };
    for name in EXAMPLES {
        for machine in objects(&render(&example(name)), "VirtualMachine") {
            assert_eq!(faults(&validator, &machine), [""; 0], "{name}");
        }
    }
}

/// What is called unknown is unknown to KubeVirt, and the other way round.
#[test]
fn the_fields_that_are_known_are_those_of_the_description() {
    let Some(path) = std::env::var_os("KUBEVIRT_OPENAPI") else { return };
    let api: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let described = |start: &str, path: &str| -> Vec<String> {
        let mut kind = &api["definitions"][start];
        for key in path.split('.').filter(|key| !key.is_empty()) {
            let field = &kind["properties"][key.trim_end_matches("[]")];
            let reference = field.pointer("/items/$ref").or(field.get("$ref")).or(field.pointer("/allOf/0/$ref"));
            kind = &api["definitions"][reference.unwrap().as_str().unwrap().rsplit('/').next().unwrap()];
        }
        kind["properties"].as_object().unwrap().keys().cloned().collect()
    };
    for (start, known) in [("v1.VirtualMachineSpec", &MACHINE[..]), ("v1.VirtualMachineInstanceSpec", &INSTANCE)] {
        for (path, names) in known {
            assert_eq!(described(start, path), *names, "{start} {path}");
        }
    }
}

/// It is merged all the same: a later KubeVirt may know it.
#[test]
fn a_field_of_the_template_that_kubevirt_does_not_know_is_told() {
    let spec = "database: {redis: {}}\nos: {family: debian, image: i}\nclients: [{name: a, image: i}]\ntemplate:\n  runStrategi: \
                Halted\n  template:\n    spec:\n      nodeSelector: {a: b}\n      domain: {devices: {disks: [{name: root-disk, bootordr: 1}, \
                {name: data-disk, $patch: delete}]}, wholly: new}\n      volumes: [{name: data-disk, $patch: delete}]";
    let done = render_stdin(document_of(spec).as_bytes(), &[]);
    let warning = "tandem-vm: warning: standard input: document 1: spec.template.";
    let warnings = said(&done);
    let warnings: Vec<_> = warnings.lines().filter_map(|line| line.strip_prefix(warning)).collect();
    assert_eq!(
        warnings,
        [
            "runStrategi: is unknown to KubeVirt 1.9; did you mean runStrategy?",
            "template.spec.domain.wholly: is unknown to KubeVirt 1.9",
            "template.spec.domain.devices.disks[0].bootordr: is unknown to KubeVirt 1.9; did you mean bootOrder?",
        ]
    );
    let rendered = String::from_utf8(done.stdout).unwrap();
    assert!(rendered.contains("runStrategi: Halted") && rendered.contains("wholly: new"), "{rendered}");
    // Where the document is checked, it is told of what is rendered.
    let checked = crate::check::run_stdin(&document_of(spec), &[]);
    assert_eq!(said(&checked).matches("warning TVM018").count(), 3, "{}", said(&checked));
}

/// Nor is refused what it breaks.
#[test]
fn what_a_template_breaks_is_told() {
    let told = |template: &str| {
        let spec = "database: {redis: {}}\nos: {family: debian, image: i}\nclients: [{name: a, image: i}]\ntemplate: ";
        let done = render_stdin(document_of(&format!("{spec}{template}")).as_bytes(), &[]);
        assert!(done.status.success(), "{}", said(&done));
        String::from_utf8(done.stderr).unwrap()
    };
    let warning = |what: &str| {
        format!(
            "tandem-vm: warning: standard input: document 1: spec.template: breaks {what}; `tandem-vm check` says what to do\n"
        )
    };
    assert_eq!(
        told("{running: true}"),
        warning("TVM014 in VirtualMachine shop/orders-vm: spec.running: is true, and spec.runStrategy is `Always`")
    );
    assert_eq!(
        told("{template: {spec: {domain: {devices: {disks: [{name: secret-disk, $patch: delete}]}}}}}"),
        warning(
            "TVM123 in Secret shop/orders-vm-userdata: stringData.userdata > write_files[2].content: looks for \
             `/dev/disk/by-id/virtio-tls-273b481b0b7498df`"
        )
    );
    assert_eq!(told("{template: {spec: {nodeSelector: {a: b}}}}"), "");
}

#[test]
fn the_check_finds_planted_faults() {
    let Some(validator) = validator("VirtualMachine") else { return };
    let mut machine = object(&render(&example("databasevm.yaml")), "VirtualMachine");
    let spec = &mut machine["spec"]["template"]["spec"];
    spec["hostName"] = "x".into();
    spec["domain"]["devices"]["disks"][0]["name"] = 1.into();
    spec["networks"][0].as_object_mut().unwrap().remove("name");
    let found = faults(&validator, &machine).join("\n");
    for planted in ["'hostName' was unexpected", "/disks/0/name: 1 is not of type \"string\"", "\"name\" is a required"]
    {
        assert!(found.contains(planted), "{planted} is not among\n{found}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_field_is_one_of_kubevirts_whatever_is_chosen(document in document()) {
        // Reading the description takes longer than a check against it.
        static VALIDATOR: LazyLock<Option<Validator>> = LazyLock::new(|| validator("VirtualMachine"));
        let Some(validator) = &*VALIDATOR else { return Ok(()) };
        let rendered = tandem_vm::render(&check(document).unwrap()).unwrap();
        prop_assert_eq!(faults(validator, &object(&rendered, "VirtualMachine")), [""; 0]);
    }
}
