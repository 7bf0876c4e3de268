//! Two merges of YAML values: one that only adds, for cloud-config, and one that may change everything, for the
//! VirtualMachine's template.

use serde_yaml::{Mapping, Value};
use tandem_cli::{Problem, shown};

/// Adds `more` to `ours`: mappings field by field, lists after ours. Whatever contradicts a value of ours is a problem.
pub(crate) fn extend(ours: &mut Mapping, more: &Mapping, path: &str, problems: &mut Vec<Problem>) {
    for (key, value) in more {
        let path = format!("{path}.{}", key.as_str().unwrap_or_default());
        match (ours.get_mut(key), value) {
            (None, _) => {
                ours.insert(key.clone(), value.clone());
            }
            (Some(Value::Mapping(ours)), Value::Mapping(more)) => extend(ours, more, &path, problems),
            (Some(Value::Sequence(ours)), Value::Sequence(more)) => ours.extend(more.iter().cloned()),
            (Some(ours), value) if ours == value => {}
            (Some(Value::Sequence(_)), _) => {
                problems.push(Problem::new(path, "is appended to a list of ours; write a list"));
            }
            (Some(Value::Mapping(_)), _) => {
                problems.push(Problem::new(path, "is merged into a mapping of ours; write its fields as key: value"));
            }
            (Some(ours), _) => {
                let message = format!("contradicts ours, which says `{}`; leave it out", scalar(ours));
                problems.push(Problem::new(path, message));
            }
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        _ => "nothing".to_owned(),
    }
}

/// Changes `target` by `patch`: mappings field by field, where `null` removes a field; lists whose entries all have a name by
/// that name, where `$patch: delete` removes an entry; any other value is replaced.
pub(crate) fn patch(target: &mut Value, patch: &Value, path: &str, problems: &mut Vec<Problem>) {
    match patch {
        Value::Mapping(fields) => {
            if !target.is_mapping() {
                *target = Value::Mapping(Mapping::new());
            }
            let Value::Mapping(target) = target else { return };
            for (key, value) in fields {
                if value.is_null() {
                    target.remove(key);
                    continue;
                }
                let path = format!("{path}.{}", key.as_str().unwrap_or_default());
                let old = target.entry(key.clone()).or_insert(Value::Null);
                self::patch(old, value, &path, problems);
            }
        }
        Value::Sequence(entries) => match target {
            Value::Sequence(target) if named(target) && named(entries) => by_name(target, entries, path, problems),
            _ => {
                let mut all = Vec::new();
                for (i, entry) in entries.iter().enumerate() {
                    if is_deletion(entry) {
                        problems.push(no_such_entry(format!("{path}[{i}]"), entry));
                        continue;
                    }
                    let mut new = Value::Null;
                    self::patch(&mut new, entry, &format!("{path}[{i}]"), problems);
                    all.push(new);
                }
                *target = Value::Sequence(all);
            }
        },
        value => *target = value.clone(),
    }
}

fn by_name(target: &mut Vec<Value>, entries: &[Value], path: &str, problems: &mut Vec<Problem>) {
    for (i, entry) in entries.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let place = target.iter().position(|old| name(old) == name(entry));
        match (place, is_deletion(entry)) {
            (Some(place), true) => drop(target.remove(place)),
            (Some(place), false) => patch(&mut target[place], entry, &path, problems),
            (None, true) => problems.push(no_such_entry(path, entry)),
            (None, false) => {
                let mut new = Value::Null;
                patch(&mut new, entry, &path, problems);
                target.push(new);
            }
        }
    }
}

/// What Kubernetes calls the directive of a strategic merge patch.
fn is_deletion(entry: &Value) -> bool {
    entry.get("$patch").and_then(Value::as_str) == Some("delete")
}

fn no_such_entry(path: String, entry: &Value) -> Problem {
    let name = shown(name(entry).unwrap_or_default());
    Problem::new(path, format!("there is no entry `{name}` to delete; leave it out"))
}

fn named(entries: &[Value]) -> bool {
    entries.iter().all(|entry| name(entry).is_some())
}

/// An entry's name; that of a DataVolume template is in its metadata.
fn name(entry: &Value) -> Option<&str> {
    entry.get("name").or_else(|| entry.get("metadata")?.get("name"))?.as_str()
}
