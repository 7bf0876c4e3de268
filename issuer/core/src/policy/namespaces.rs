//! Which namespaces may use an issuer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::decide::Namespace;

/// The namespaces that are named, and those whose labels fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// By name.
    pub names: BTreeSet<String>,
    /// By label: all of these. `None`: none by label.
    pub selector: Option<Vec<Requirement>>,
}

/// What a label has to be, as in Kubernetes' LabelSelector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The label is there and has one of the values.
    In(String, BTreeSet<String>),
    /// The label is not there, or has none of the values.
    NotIn(String, BTreeSet<String>),
    /// The label is there.
    Exists(String),
    /// The label is not there.
    DoesNotExist(String),
}

impl Namespaces {
    /// Where labels count and are not known, the answer is no.
    pub(crate) fn allow(&self, namespace: &Namespace<'_>) -> bool {
        let by_label = || {
            let (selector, labels) = self.selector.as_ref().zip(namespace.labels)?;
            Some(selector.iter().all(|requirement| requirement.is_met_by(labels)))
        };
        self.names.contains(namespace.name) || by_label().unwrap_or(false)
    }
}

impl Requirement {
    fn is_met_by(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}

/// As `kubectl --selector` takes it.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match self {
            Self::In(key, values) => write!(f, "{key} in ({})", list(values)),
            Self::NotIn(key, values) => write!(f, "{key} notin ({})", list(values)),
            Self::Exists(key) => f.write_str(key),
            Self::DoesNotExist(key) => write!(f, "!{key}"),
        }
    }
}
