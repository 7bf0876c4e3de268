//! Labels of pods, as far as manifests tell them.

use std::collections::BTreeMap;

use super::{Map, Node};

/// Labels of pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodLabels {
    /// Those that are known.
    pub known: Map,
    /// Those whose values are made with the pod, and how these begin.
    pub made: BTreeMap<&'static str, String>,
}

impl From<Map> for PodLabels {
    fn from(known: Map) -> Self {
        Self { known, made: BTreeMap::new() }
    }
}

/// Longest value of a label.
const MAX_VALUE: usize = 63;
/// What KubeVirt keeps of a longer name, at the least.
const KEPT: usize = 54;

impl PodLabels {
    /// Of the virt-launcher pods of a machine that is made from this template: the template's, and over them those that KubeVirt sets
    /// itself (`podLabels` in its `pkg/virt-controller/services`).
    pub(super) fn of_launchers(root: &Node<'_>, template: &Node<'_>) -> Self {
        let mut labels = Self::from(template.get("metadata").get("labels").texts());
        let (name, whole) = instance_name(root, template);
        labels.set("kubevirt.io", "virt-launcher", true);
        labels.set("kubevirt.io/created-by", "", false);
        labels.set("vmi.kubevirt.io/id", &name, whole);
        let hostname = template.get("spec").get("hostname").text().filter(|hostname| !hostname.is_empty());
        match (hostname, name.split_once('.')) {
            (Some(first), _) | (None, Some((first, _))) => labels.set("vm.kubevirt.io/name", first, true),
            (None, None) => labels.set("vm.kubevirt.io/name", &name, whole),
        }
        labels
    }

    fn set(&mut self, key: &'static str, value: &str, whole: bool) {
        if whole && value.len() <= MAX_VALUE {
            self.known.insert(key.to_owned(), value.to_owned());
        } else {
            let kept = if value.len() > MAX_VALUE { KEPT } else { MAX_VALUE };
            self.known.remove(key);
            self.made.insert(key, value.chars().take(kept).collect());
        }
    }

    /// Whether there is a label of this key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.known.contains_key(key) || self.made.contains_key(key)
    }

    /// Whether the label of this key has the value, or may have it.
    #[must_use]
    pub fn may_be(&self, key: &str, value: &str) -> bool {
        self.known.get(key).is_some_and(|known| known == value)
            || self.made.get(key).is_some_and(|begin| value.starts_with(begin.as_str()))
    }
}

/// The name of a machine's instances, and whether that is all of it.
fn instance_name(root: &Node<'_>, template: &Node<'_>) -> (String, bool) {
    let text = |node: &Node<'_>, key: &str| node.get("metadata").get(key).text().map(str::to_owned);
    let (name, generated) = (text(root, "name"), text(root, "generateName").unwrap_or_default());
    match (root.get("kind").text(), name) {
        (_, None) => (generated, false),
        (Some("VirtualMachinePool"), Some(name)) => (format!("{name}-"), false),
        (Some("VirtualMachineInstanceReplicaSet"), Some(name)) => {
            (text(template, "name").or(text(template, "generateName")).unwrap_or(name), false)
        }
        (_, Some(name)) => (name, true),
    }
}
