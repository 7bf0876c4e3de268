//! What the types alone cannot say: the rules between fields, and the limits of Kubernetes, KubeVirt and X.509.

mod certificate;
mod database;
pub(crate) mod hba;
mod machine;
mod members;

use std::collections::HashSet;

use super::document::{API_VERSION, ClientCertificate, Delivery, Document, KIND};
use super::{ClientAuth, Problem, RunStrategy, Spec, SpecError, values};
use crate::model::fields;
use crate::names::{HOST_SUFFIX, MEMBER_SUFFIX, Names};
use crate::schedule;
use crate::user_data;

/// Collects every problem, so that one run shows them all.
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { field: field.into(), message: message.into() });
    }

    fn check<T>(&mut self, field: impl Into<String>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }

    /// The same for a field that may be left out.
    fn check_some(&mut self, field: &str, value: Option<&String>, rule: impl Fn(&str) -> Result<(), String>) {
        if let Some(value) = value {
            self.check(field, rule(value));
        }
    }
}

/// Passes a document that has no problem.
pub(super) fn document(document: &Document) -> Result<(), SpecError> {
    let mut problems = Problems(Vec::new());
    if document.api_version != API_VERSION {
        problems.add("apiVersion", format!("`{}`; write {API_VERSION}", tandem_cli::shown(&document.api_version)));
    }
    if document.kind != KIND {
        problems.add("kind", format!("`{}`; write {KIND}", tandem_cli::shown(&document.kind)));
    }
    // The VM is called NAME-vm, a member NAME-vm-0, which is also a host name and a label: at most 63 bytes.
    let suffix = if document.spec.members > 1 { MEMBER_SUFFIX } else { HOST_SUFFIX };
    let name = values::service_label(&document.metadata.name, 63 - suffix.len());
    let namespace = values::label(&document.metadata.namespace, 63);
    let named = name.is_ok() && namespace.is_ok();
    problems.check("metadata.name", name);
    problems.check("metadata.namespace", namespace);
    let spec = &document.spec;
    database::database(spec, &mut problems);
    machine::os_and_root(spec, &mut problems);
    machine::storage(spec, &mut problems);
    machine::hardware(spec, &mut problems);
    problems.check("spec.clusterDomain", values::subdomain(&spec.cluster_domain));
    certificate::certificate(spec, &mut problems);
    delivery(spec, &mut problems);
    restart_stale(document, &mut problems);
    cloud_config(spec, &mut problems);
    template(spec, &mut problems);
    members::members(document, &mut problems);
    members::subjects(document, &mut problems);
    // Rules about names made from other names: only worth reading once those are right, and are no multitude.
    if named && spec.members <= members::MAX_MEMBERS {
        derived_names(document, &mut problems);
    }
    clients(document, &mut problems);
    if problems.0.is_empty() { Ok(()) } else { Err(SpecError::Fields(problems.0)) }
}

/// KubeVirt refuses a longer virtiofs tag; the limit holds for both deliveries, so that one can become the other.
const MAX_VOLUME_NAME: usize = 36;

fn delivery(spec: &Spec, problems: &mut Problems) {
    let certificate = &spec.certificate;
    if let Some(name) = &certificate.volume_name {
        let path = "spec.certificate.volumeName";
        problems.check(path, values::label(name, MAX_VOLUME_NAME));
        if crate::names::VOLUMES.contains(&name.as_str()) {
            problems.add(path, format!("`{name}` is another volume of the VM; choose another name"));
        }
    }
    if spec.delivery == Delivery::Filesystem && certificate.serial.is_some() {
        problems.add("spec.certificate.serial", "is for delivery: disk, and a filesystem has none; leave it out");
    }
}

/// A CronJob's name has room for what its Jobs' names have beyond it:
/// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#limitations>.
const MAX_CRON_JOB_NAME: usize = 52;

fn restart_stale(document: &Document, problems: &mut Problems) {
    let spec = &document.spec;
    let Some(restart) = &spec.restart_stale else { return };
    if spec.delivery == Delivery::Filesystem {
        problems
            .add("spec.restartStale", "is for delivery: disk; a filesystem follows the Secret by itself; leave it out");
    }
    if spec.machine.run_strategy != RunStrategy::Always {
        let message = format!(
            "needs spec.machine.runStrategy: Always, by which KubeVirt makes a new instance for one that is deleted, and it is {:?}",
            spec.machine.run_strategy
        );
        problems.add("spec.restartStale", message);
    }
    if spec.database.port().is_none() {
        problems.add("spec.restartStale", "has nothing to connect to; add spec.database.none.port, or leave it out");
    }
    let room = MAX_CRON_JOB_NAME - "-restart".len();
    if document.metadata.name.len() > room {
        let length = document.metadata.name.len();
        problems.add(
            "metadata.name",
            format!("has {length} bytes; with restartStale use at most {room}, for the CronJob's name"),
        );
    }
    problems.check("spec.restartStale.schedule", schedule::check(&restart.schedule));
    problems.check("spec.restartStale.image", values::image(&restart.image));
}

/// What cloud-init does not know it passes over, and says so in a log of the guest's.
fn cloud_config(spec: &Spec, problems: &mut Problems) {
    let keys = spec.cloud_config.keys().filter_map(|key| key.as_str());
    for key in keys.filter(|key| !user_data::is_known(key)) {
        let remedy = match user_data::meant(key) {
            Some(known) => format!("did you mean {known}?"),
            None => "https://docs.cloud-init.io/en/latest/reference/modules.html has those that it knows".to_owned(),
        };
        let field = format!("spec.cloudConfig.{}", tandem_cli::shown(key));
        problems.add(field, format!("unknown to cloud-init, which would pass over it; {remedy}"));
    }
}

fn template(spec: &Spec, problems: &mut Problems) {
    for key in spec.template.keys().filter_map(|key| key.as_str()) {
        if fields::is_of_instance(key) {
            let message = "is a field of the instance; write it under spec.template.template.spec";
            problems.add(format!("spec.template.{key}"), message);
        } else if ["apiVersion", "kind", "metadata", "spec"].contains(&key) {
            let message = "is not a field of a VirtualMachine's spec; write what belongs beneath its spec";
            problems.add(format!("spec.template.{key}"), message);
        }
    }
}

fn derived_names(document: &Document, problems: &mut Problems) {
    let names = Names::of(document);
    for machine in &names.machines {
        if document.spec.certificate.secret_name == machine.user_data_secret {
            let message =
                format!("`{}` is the name of the VM's user data Secret; choose another", machine.user_data_secret);
            problems.add("spec.certificate.secretName", message);
        }
        let (certificate, data) = (&machine.certificate_serial, &machine.data_serial);
        if certificate == data && document.spec.has_data_disk() && document.spec.storage.serial.is_none() {
            problems
                .add("spec.certificate.serial", format!("`{certificate}` is the data disk's serial; choose another"));
        }
    }
    let of_machines = names.machines.iter().flat_map(|machine| &machine.dns_names);
    let longest = names.service_names.iter().chain(of_machines).map(String::len).max().unwrap_or_default();
    if longest > 253 {
        problems
            .add("spec.clusterDomain", format!("makes a Service name of {longest} bytes; a DNS name has at most 253"));
    }
    for (i, client) in document.spec.clients.iter().enumerate() {
        let secret = names.client_certificate(client);
        if client.certificate == ClientCertificate::Own && secret == document.spec.certificate.secret_name {
            let message = format!("`{secret}` is the Secret of spec.clients[{i}]; choose another");
            problems.add("spec.certificate.secretName", message);
        }
    }
}

fn clients(document: &Document, problems: &mut Problems) {
    let mut seen = HashSet::new();
    let database = &document.spec.database;
    if database.port().is_none() && !document.spec.clients.is_empty() {
        problems
            .add("spec.clients", "has nothing to connect to; add spec.database.none.port, or leave the clients out");
    }
    if database.port().is_none() && !document.spec.network_policy.from.is_empty() {
        problems.add("spec.networkPolicy", "is for a port; add spec.database.none.port, or leave it out");
    }
    for (i, peer) in document.spec.network_policy.from.iter().enumerate() {
        for Problem { field, message } in super::peer(peer).err().into_iter().flatten() {
            let dot = if field.is_empty() { "" } else { "." };
            problems.add(format!("spec.networkPolicy.from[{i}]{dot}{field}"), message);
        }
    }
    for (i, client) in document.spec.clients.iter().enumerate() {
        let path = format!("spec.clients[{i}]");
        // The Deployment is called NAME-CLIENT, and its pods carry CLIENT as a label.
        let room = 63usize.saturating_sub(document.metadata.name.len() + 1).max(1);
        problems.check(format!("{path}.name"), values::label(&client.name, room));
        if !seen.insert(client.name.as_str()) {
            problems.add(
                format!("{path}.name"),
                format!("`{}` is there twice; give each client a name of its own", tandem_cli::shown(&client.name)),
            );
        }
        problems.check(format!("{path}.image"), values::image(&client.image));
        if database.client_auth() == ClientAuth::Required && client.certificate == ClientCertificate::None {
            let message = format!(
                "`none`, but spec.database.{}.clientAuth is Required and would turn this client away; \
                 write certificate: own, or clientAuth: Optional",
                database.name()
            );
            problems.add(format!("{path}.certificate"), message);
        }
    }
}
