//! A value of a document that knows where it stands. What is not there is a node as well, so that reading never fails.

use std::fmt;

use serde_yaml::Value;

use super::Map;
use crate::yaml_edit;

/// Something that was read, and the path of its field, such as `spec.dnsNames[1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The field's path within the object.
    pub path: String,
    /// What stands there.
    pub value: T,
}

impl<T: fmt::Display> fmt::Display for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// A field, whether it is there or not.
#[derive(Clone)]
pub struct Node<'v> {
    value: Option<&'v Value>,
    path: String,
}

impl<'v> Node<'v> {
    /// A whole document.
    #[must_use]
    pub fn root(value: &'v Value) -> Self {
        Self { value: Some(value), path: String::new() }
    }

    /// A field of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Node<'v> {
        Node { value: self.value.and_then(|value| value.get(key)), path: self.path_of(key) }
    }

    /// The entries of a list.
    pub fn items(&self) -> impl Iterator<Item = Node<'v>> + use<'v> {
        let (path, items) = (self.path.clone(), self.value.and_then(Value::as_sequence));
        items
            .into_iter()
            .flatten()
            .enumerate()
            .map(move |(index, value)| Node { value: Some(value), path: format!("{path}[{index}]") })
    }

    /// The fields of a mapping, with their names.
    pub fn fields(&self) -> impl Iterator<Item = (&'v str, Node<'v>)> + use<'v> {
        let (own, fields) = (self.clone(), self.value.and_then(Value::as_mapping));
        fields.into_iter().flatten().filter_map(move |(key, value)| {
            let key = key.as_str()?;
            Some((key, Node { value: Some(value), path: own.path_of(key) }))
        })
    }

    fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Path of the field.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether something stands here; null does not count.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.value.is_some_and(|value| !value.is_null())
    }

    /// The value itself.
    #[must_use]
    pub fn value(&self) -> Option<&'v Value> {
        self.value
    }

    /// A string.
    #[must_use]
    pub fn text(&self) -> Option<&'v str> {
        self.value.and_then(Value::as_str)
    }

    /// A string with its path.
    #[must_use]
    pub fn at(&self) -> Option<At<String>> {
        self.text().map(|text| self.place(text.to_owned()))
    }

    /// A string with its path; of anything else the YAML, which is no string that means something.
    #[must_use]
    pub(super) fn written(&self) -> Option<At<String>> {
        let value = self.value.filter(|value| !value.is_null())?;
        Some(self.place(value.as_str().map_or_else(|| yaml(value), str::to_owned)))
    }

    /// A truth value.
    #[must_use]
    pub fn flag(&self) -> Option<bool> {
        self.value.and_then(Value::as_bool)
    }

    /// A whole number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.value.and_then(Value::as_u64)
    }

    /// A file's mode. One such as 0400 is octal to kubectl (YAML 1.1), and a string to YAML 1.2.
    #[must_use]
    pub fn mode(&self) -> Option<u32> {
        match self.text() {
            Some(text) => u32::from_str_radix(text.trim_start_matches("0o"), 8).ok(),
            None => self.number().and_then(|number| number.try_into().ok()),
        }
    }

    /// The strings of a list, each with its path.
    #[must_use]
    pub fn list(&self) -> Vec<At<String>> {
        self.items().filter_map(|item| item.at()).collect()
    }

    /// A mapping of strings; entries of other kinds are passed over.
    #[must_use]
    pub fn texts(&self) -> Map {
        self.fields().filter_map(|(key, value)| Some((key.to_owned(), value.text()?.to_owned()))).collect()
    }

    /// Something, at this path.
    pub(super) fn place<T>(&self, value: T) -> At<T> {
        At { path: self.path.clone(), value }
    }
}

/// A value as YAML.
pub(super) fn yaml(value: &Value) -> String {
    yaml_edit::to_string(value).unwrap_or_default().trim_end().to_owned()
}

/// The path of a field of a mapping.
pub(crate) fn join(path: &str, key: &str) -> String {
    // A key with a dot in it, such as a file's name in a ConfigMap, would read as two.
    match (path.is_empty(), key.contains(['.', '/'])) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}[\"{key}\"]"),
        (false, false) => format!("{path}.{key}"),
    }
}
