//! The VirtualMachine against KubeVirt's own API description, where the environment names one.

use std::fs;

use serde_json::Value;

use crate::support::{EXAMPLES, example, object, render, skipped};

/// Reads the description at `$KUBEVIRT_OPENAPI`.
fn description() -> Option<Value> {
    let Some(path) = std::env::var_os("KUBEVIRT_OPENAPI") else {
        skipped("KUBEVIRT_OPENAPI names no file");
        return None;
    };
    Some(serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
}

/// Everything in `value` that `schema` does not allow.
fn faults(api: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let definition = &api["definitions"][reference.trim_start_matches("#/definitions/")];
        assert!(definition.is_object(), "{reference} is not described");
        return faults(api, definition, value, path);
    }
    match value {
        Value::Object(fields) => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let missing =
                required.filter(|name| !fields.contains_key(*name)).map(|name| format!("{path}.{name} is missing"));
            let inner = fields.iter().flat_map(|(name, value)| {
                let path = format!("{path}.{name}");
                match (schema["properties"].get(name), schema.get("additionalProperties")) {
                    (Some(schema), _) | (None, Some(schema)) => faults(api, schema, value, &path),
                    (None, None) => vec![format!("{path} is unknown")],
                }
            });
            missing.chain(inner).collect()
        }
        Value::Array(items) if schema["type"] == "array" => {
            let each = items.iter().enumerate();
            each.flat_map(|(i, item)| faults(api, &schema["items"], item, &format!("{path}[{i}]"))).collect()
        }
        _ => {
            let fits = match schema["type"].as_str() {
                Some("string") => value.is_string() || (schema["format"] == "int-or-string" && value.is_i64()),
                Some("integer") => value.is_i64(),
                Some("boolean") => value.is_boolean(),
                Some(_) => false,
                // A quantity or another type that reads several kinds.
                None => true,
            };
            if fits { Vec::new() } else { vec![format!("{path} is not of type {}", schema["type"])] }
        }
    }
}

fn machine_faults(api: &Value, machine: &Value) -> Vec<String> {
    faults(api, &serde_json::json!({"$ref": "#/definitions/v1.VirtualMachine"}), machine, "")
}

#[test]
fn every_field_is_one_of_kubevirts() {
    let Some(api) = description() else { return };
    for name in EXAMPLES {
        assert_eq!(machine_faults(&api, &object(&render(&example(name)), "VirtualMachine")), [""; 0], "{name}");
    }
}

#[test]
fn the_check_finds_planted_faults() {
    let Some(api) = description() else { return };
    let mut machine = object(&render(&example("databasevm.yaml")), "VirtualMachine");
    let spec = &mut machine["spec"]["template"]["spec"];
    spec["hostName"] = "x".into();
    spec["domain"]["devices"]["disks"][0]["name"] = 1.into();
    spec["networks"][0].as_object_mut().unwrap().remove("name");
    let expected = [
        ".spec.template.spec.domain.devices.disks[0].name is not of type \"string\"",
        ".spec.template.spec.hostName is unknown",
        ".spec.template.spec.networks[0].name is missing",
    ];
    let mut found = machine_faults(&api, &machine);
    found.sort();
    assert_eq!(found, expected);
}
