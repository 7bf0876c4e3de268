//! What controllers have made, as `kubectl get` shows it beside what they made it of.

use std::collections::HashSet;

use serde_yaml::Value;
use tandem_cli::manifests::Document;

/// What has made an object, and would make it anew:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/>.
pub(crate) struct Controller<'v> {
    api_version: &'v str,
    pub(crate) kind: &'v str,
    pub(crate) name: &'v str,
}

/// Of an object its controller.
pub(crate) fn controller(object: &Value) -> Option<Controller<'_>> {
    let owners = object.get("metadata")?.get("ownerReferences")?.as_sequence()?;
    let owner = owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
    let text = |key: &str| owner.get(key).and_then(Value::as_str);
    Some(Controller { api_version: text("apiVersion")?, kind: text("kind")?, name: text("name")? })
}

/// Whether each document is a machine, or makes pods or is one, and says again what its controller does, which is among them as well; or is
/// the pod in which KubeVirt runs a machine.
pub(super) fn repeated(documents: &[Document]) -> Vec<bool> {
    let text = |value: &'_ Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let namespace =
        |value: &Value| value.get("metadata").map(|metadata| text(metadata, "namespace")).unwrap_or_default();
    let named = |value: &Value| {
        let name = value.get("metadata").map(|metadata| text(metadata, "name")).unwrap_or_default();
        [namespace(value), text(value, "kind"), name]
    };
    let all: HashSet<_> = documents.iter().map(|document| named(&document.value)).collect();
    let runs = |kind: &str| ["Pod", "ReplicaSet", "Job", "VirtualMachine", "VirtualMachineInstance"].contains(&kind);
    let repeats = |value: &Value| {
        let Some(owner) = controller(value).filter(|_| runs(&text(value, "kind"))) else { return false };
        let of_machine = owner.kind == "VirtualMachineInstance" && owner.api_version.starts_with("kubevirt.io/");
        let pod = text(value, "kind") == "Pod";
        pod && of_machine || all.contains(&[namespace(value), owner.kind.to_owned(), owner.name.to_owned()])
    };
    documents.iter().map(|document| repeats(&document.value)).collect()
}
