//! VMs of one Secret, looked at by their instances, and restarted one at a time where they are stale.
//!
//! A VM is restarted by deleting its instance: KubeVirt makes a new one where the run strategy is Always. The restart
//! subresource would do for other strategies as well, but it cannot be told which instance is meant: a deletion names its
//! UID, so that an instance that somebody else has restarted meanwhile is left alone.
//! <https://kubevirt.io/user-guide/compute/run_strategies/>

use std::time::{Duration, Instant};

use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Preconditions},
    core::{ApiResource, GroupVersionKind},
};
use serde::Serialize;

use super::{Age, Seen, look};
use crate::{
    cluster::unread,
    probe::{Endpoint, Target, secret::Material},
};

/// Between two looks at a VM that is coming back.
const INTERVAL: Duration = Duration::from_secs(2);

/// What became of one VM.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    pub(crate) vm: String,
    /// What it served at first.
    pub(crate) seen: Seen,
    /// It was restarted, and serves this now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restarted: Option<Seen>,
}

/// VMs that share a Secret.
pub(crate) struct Fleet<'a> {
    instances: Api<DynamicObject>,
    secret: &'a Material,
    /// Where to connect, but for the host.
    target: Target,
}

/// An instance as far as it matters.
struct Instance {
    uid: String,
    running: bool,
    address: Option<String>,
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(client: Client, namespace: &str, secret: &'a Material, target: Target) -> Self {
        let kind = GroupVersionKind::gvk("kubevirt.io", "v1", "VirtualMachineInstance");
        let instances = Api::namespaced_with(client, namespace, &ApiResource::from_gvk(&kind));
        Self { instances, secret, target }
    }

    /// Looks at each VM.
    ///
    /// # Errors
    /// Why nothing is known of the first of which nothing is.
    pub(crate) async fn look(&self, vms: &[String]) -> Result<Vec<(Told, String)>, String> {
        let mut all = Vec::new();
        for vm in vms {
            let instance =
                self.instance(vm).await?.ok_or_else(|| format!("VM {vm} has no instance: it does not run"))?;
            let seen = self.served(vm, &instance)?;
            all.push((Told { vm: vm.clone(), seen, restarted: None }, instance.uid));
        }
        Ok(all)
    }

    /// Restarts each VM that is stale, and waits until it serves the new certificate before it goes on to the next.
    ///
    /// `told` hears what is done, as it is done.
    ///
    /// # Errors
    /// Which VM was not restarted, or did not come back with the new certificate; those after it are as they were.
    pub(crate) async fn restart(
        &self,
        all: Vec<(Told, String)>,
        wait: Duration,
        mut told: impl FnMut(&str) -> Result<(), String>,
    ) -> Result<Vec<Told>, String> {
        let mut done = Vec::new();
        for (mut vm, uid) in all {
            told(&format!("{}: {}", vm.vm, vm.seen.text(self.secret)))?;
            if vm.seen.age == Age::Stale {
                self.delete(&vm.vm, &uid).await?;
                told(&format!("{}: restarting", vm.vm))?;
                let seen = self.back(&vm.vm, &uid, wait).await?;
                told(&format!("{}: {}", vm.vm, seen.text(self.secret)))?;
                vm.restarted = Some(seen);
            }
            done.push(vm);
        }
        Ok(done)
    }

    async fn instance(&self, vm: &str) -> Result<Option<Instance>, String> {
        let found = self.instances.get_opt(vm).await;
        let found = found.map_err(|error| unread(&format!("VirtualMachineInstance {vm}"), &error))?;
        Ok(found.map(|object| {
            let text =
                |pointer: &str| object.data.pointer(pointer).and_then(serde_json::Value::as_str).map(str::to_owned);
            Instance {
                uid: object.metadata.uid.clone().unwrap_or_default(),
                running: text("/status/phase").as_deref() == Some("Running"),
                address: text("/status/interfaces/0/ipAddress").filter(|address| !address.is_empty()),
            }
        }))
    }

    fn served(&self, vm: &str, instance: &Instance) -> Result<Seen, String> {
        let address = instance.address.clone().filter(|_| instance.running);
        let host = address.ok_or_else(|| format!("VM {vm} is not running, or has no address yet"))?;
        let endpoint = Endpoint { host, port: self.target.endpoint.port };
        look(&Target { endpoint, ..self.target.clone() }, self.secret).map_err(|why| format!("VM {vm}: {why}"))
    }

    async fn delete(&self, vm: &str, uid: &str) -> Result<(), String> {
        let only = Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() };
        match self.instances.delete(vm, &DeleteParams::default().preconditions(only)).await {
            Ok(_) => Ok(()),
            // Somebody else has restarted it: it comes back all the same.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(error) => {
                let why = match error {
                    kube::Error::Api(status) => status.message,
                    error => error.to_string(),
                };
                Err(format!("VM {vm} was not restarted: VirtualMachineInstance {vm} cannot be deleted: {why}"))
            }
        }
    }

    /// Waits for another instance that serves what the Secret has. What goes wrong on the way may heal until then.
    async fn back(&self, vm: &str, before: &str, wait: Duration) -> Result<Seen, String> {
        let deadline = Instant::now() + wait;
        loop {
            let last = match self.instance(vm).await {
                Ok(Some(instance)) if instance.uid != before => match self.served(vm, &instance) {
                    Ok(seen) if !seen.age.is_behind() => return Ok(seen),
                    Ok(seen) => seen.text(self.secret),
                    Err(why) => why,
                },
                Ok(Some(_)) => "its old instance is still stopping".to_owned(),
                Ok(None) => "it has no new instance; is its run strategy Always?".to_owned(),
                Err(why) => why,
            };
            if Instant::now() + INTERVAL > deadline {
                return Err(format!(
                    "VM {vm} did not come back with the new certificate within {wait:?}; no other was restarted after it: {last}"
                ));
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
