//! The same edits on values: what the edited text must say.

use serde_yaml::{Mapping, Value};

use super::Step;

pub(super) fn get<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

fn get_mut<'v>(value: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

/// Puts a value at a path. Mappings that are missing on the way, or null or empty lists there, are made.
pub(super) fn set(value: &mut Value, path: &[Step], new: Value) {
    let Some((step, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    match step {
        Step::Key(key) => {
            if !value.is_mapping() {
                *value = Mapping::new().into();
            }
            if let Value::Mapping(entries) = value {
                set(entries.entry(key.as_str().into()).or_insert(Value::Null), rest, new);
            }
        }
        Step::Index(index) => {
            if let Some(item) = value.get_mut(index) {
                set(item, rest, new);
            }
        }
    }
}

pub(super) fn insert(value: &mut Value, list: &[Step], index: usize, new: Value) {
    if let Some(Value::Sequence(items)) = get_mut(value, list) {
        items.insert(index.min(items.len()), new);
    }
}

pub(super) fn remove(value: &mut Value, path: &[Step]) {
    let Some((step, outer)) = path.split_last() else {
        *value = Value::Null;
        return;
    };
    match (get_mut(value, outer), step) {
        (Some(Value::Mapping(entries)), Step::Key(key)) => drop(entries.shift_remove(key.as_str())),
        (Some(Value::Sequence(items)), Step::Index(index)) if *index < items.len() => drop(items.remove(*index)),
        _ => {}
    }
}

/// Another key and value in the place of an entry.
pub(super) fn exchange(value: &mut Value, path: &[Step], new_key: &str, new: Value) {
    let Some((Step::Key(old), outer)) = path.split_last() else { return };
    if let Some(Value::Mapping(entries)) = get_mut(value, outer) {
        let changed = std::mem::take(entries).into_iter().map(|(key, value)| match key.as_str() {
            Some(key) if key == old => (new_key.into(), new.clone()),
            _ => (key, value),
        });
        *entries = changed.collect();
    }
}
