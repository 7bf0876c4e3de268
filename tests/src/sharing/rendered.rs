//! What is looked for in rendered objects.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{
    Api,
    api::{DynamicObject, ListParams},
};
use serde_json::Value;

use crate::Cluster;

/// A namespace's Secrets by name, each by key, as those who mount them get them.
pub type Secrets = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// Reads all Secrets of a namespace.
///
/// # Errors
/// What the server said.
pub async fn secrets(cluster: &Cluster, namespace: &str) -> Result<Secrets> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let mut all = BTreeMap::new();
    for secret in api.list(&ListParams::default()).await? {
        let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        all.insert(secret.metadata.name.unwrap_or_default(), data);
    }
    Ok(all)
}

/// The objects of a kind.
pub fn all<'a>(objects: &'a [DynamicObject], kind: &str) -> impl Iterator<Item = &'a DynamicObject> {
    objects.iter().filter(move |object| object.types.as_ref().is_some_and(|types| types.kind == kind))
}

/// The first object of a kind.
///
/// # Errors
/// Where there is none.
pub fn find<'a>(objects: &'a [DynamicObject], kind: &str) -> Result<&'a DynamicObject> {
    all(objects, kind).next().with_context(|| format!("no {kind} was rendered"))
}

/// The client's Deployment.
///
/// # Errors
/// Where there is none.
pub fn deployment(objects: &[DynamicObject]) -> Result<Deployment> {
    Ok(serde_json::from_value(serde_json::to_value(find(objects, "Deployment")?)?)?)
}

/// The serial of the disk whose volume is a Secret.
///
/// # Errors
/// Where the VirtualMachine has none.
pub fn serial(vm: &DynamicObject) -> Result<String> {
    let serial = || {
        let spec = vm.data.pointer("/spec/template/spec")?;
        let volume = spec["volumes"].as_array()?.iter().find(|volume| volume.get("secret").is_some())?;
        let disks = spec.pointer("/domain/devices/disks")?.as_array()?;
        disks.iter().find(|disk| disk["name"] == volume["name"])?["serial"].as_str().map(str::to_owned)
    };
    serial().context("the VirtualMachine has no disk with a serial for a Secret")
}

/// The guest's user data: inline in the VirtualMachine, or in the Secret that it names.
///
/// # Errors
/// Where there is none.
pub fn user_data(vm: &DynamicObject, secrets: &Secrets) -> Result<String> {
    let volumes = vm.data.pointer("/spec/template/spec/volumes").and_then(Value::as_array).context("no volumes")?;
    let source = volumes.iter().find_map(|volume| volume.get("cloudInitNoCloud")).context("no cloud-init volume")?;
    if let Some(inline) = source["userData"].as_str() {
        return Ok(inline.to_owned());
    }
    let name = source.pointer("/secretRef/name").and_then(Value::as_str).context("no user data")?;
    let bytes = secrets.get(name).and_then(|secret| secret.get("userdata")).context("no Secret with user data")?;
    Ok(String::from_utf8(bytes.clone())?)
}
