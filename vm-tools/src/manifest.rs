//! Checked document → Kubernetes objects. Each object comes from types, never from text.

pub mod cdi;
pub mod cert_manager;
mod certificate;
mod client;
pub mod kubevirt;
mod network;
mod release;
mod restart;
mod root;
mod storage;
mod virtual_machine;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
pub(crate) use network::narrower;
pub(crate) use release::other_release;
use serde::Serialize;
pub(crate) use virtual_machine::unknown_fields;

use crate::RenderError;
use crate::names::{Labels, Names};
use crate::spec::{Database, Document};

/// One rendered object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Manifest {
    /// What cert-manager turns into the shared Secret.
    Certificate(Box<cert_manager::Certificate>),
    /// The data disk.
    PersistentVolumeClaim(Box<PersistentVolumeClaim>),
    /// User data that is too long to stand in the VirtualMachine.
    Secret(Box<Secret>),
    /// The database's VM.
    VirtualMachine(Box<kubevirt::VirtualMachine>),
    /// The database's address.
    Service(Box<Service>),
    /// Who may connect to the database.
    NetworkPolicy(Box<NetworkPolicy>),
    /// A client.
    Deployment(Box<Deployment>),
    /// Whom the CronJob is.
    ServiceAccount(Box<ServiceAccount>),
    /// What the CronJob may do.
    Role(Box<Role>),
    /// That the one may do the other.
    RoleBinding(Box<RoleBinding>),
    /// What restarts VMs whose disk has an older Secret.
    CronJob(Box<CronJob>),
}

impl Manifest {
    /// `kind` of the object.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "Certificate",
            Self::PersistentVolumeClaim(_) => "PersistentVolumeClaim",
            Self::Secret(_) => "Secret",
            Self::VirtualMachine(_) => "VirtualMachine",
            Self::Service(_) => "Service",
            Self::NetworkPolicy(_) => "NetworkPolicy",
            Self::Deployment(_) => "Deployment",
            Self::ServiceAccount(_) => "ServiceAccount",
            Self::Role(_) => "Role",
            Self::RoleBinding(_) => "RoleBinding",
            Self::CronJob(_) => "CronJob",
        }
    }

    /// Place of its kind in the order in which objects are written, from 1. It is the same whatever else is rendered.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Certificate(_) => 1,
            Self::PersistentVolumeClaim(_) => 2,
            Self::Secret(_) => 3,
            Self::VirtualMachine(_) => 4,
            Self::Service(_) => 5,
            Self::NetworkPolicy(_) => 6,
            Self::Deployment(_) => 7,
            Self::ServiceAccount(_) => 8,
            Self::Role(_) => 9,
            Self::RoleBinding(_) => 10,
            Self::CronJob(_) => 11,
        }
    }

    /// `metadata.name` of the object.
    #[must_use]
    pub fn name(&self) -> &str {
        let metadata = match self {
            Self::Certificate(object) => &object.metadata,
            Self::PersistentVolumeClaim(object) => &object.metadata,
            Self::Secret(object) => &object.metadata,
            Self::VirtualMachine(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::NetworkPolicy(object) => &object.metadata,
            Self::Deployment(object) => &object.metadata,
            Self::ServiceAccount(object) => &object.metadata,
            Self::Role(object) => &object.metadata,
            Self::RoleBinding(object) => &object.metadata,
            Self::CronJob(object) => &object.metadata,
        };
        metadata.name.as_deref().unwrap_or_default()
    }

    /// Kind and name of the object, and of the Secret that a Certificate becomes.
    pub(crate) fn writes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let secret = match self {
            Self::Certificate(certificate) => Some(("Secret", &*certificate.spec.secret_name)),
            _ => None,
        };
        [(self.kind(), self.name())].into_iter().chain(secret)
    }
}

/// All objects, in the order of their ranks; VMs in the order of their numbers, clients in the document's.
/// `user_data` has one text for each VM.
pub(crate) fn all(document: &Document, names: &Names, user_data: &[String]) -> Result<Vec<Manifest>, RenderError> {
    let spec = &document.spec;
    let certificate = |certificate| Manifest::Certificate(Box::new(certificate));
    let mut all = vec![certificate(certificate::server(document, names))];
    all.extend(certificate::clients(document, names).map(certificate));
    for (machine, user_data) in names.machines.iter().zip(user_data) {
        if spec.has_data_disk() {
            all.push(Manifest::PersistentVolumeClaim(Box::new(storage::claim(document, machine))));
        }
        let (source, secret) = storage::user_data(document, machine, user_data);
        all.extend(secret.map(|secret| Manifest::Secret(Box::new(secret))));
        let vm = virtual_machine::virtual_machine(document, names, machine, source)?;
        all.push(Manifest::VirtualMachine(Box::new(vm)));
    }
    if let Some(port) = spec.database.port() {
        all.push(Manifest::Service(Box::new(network::service(document, names, port))));
        let of_members = names.machines.iter().filter_map(|machine| network::member_service(document, machine, port));
        all.extend(of_members.map(|service| Manifest::Service(Box::new(service))));
        all.push(Manifest::NetworkPolicy(Box::new(network::policy(document, names, port)?)));
        let deployment = |client| Manifest::Deployment(Box::new(client::deployment(document, names, client, port)));
        all.extend(spec.clients.iter().map(deployment));
        all.extend(restart::objects(document, names, port));
    }
    // A stable sort: within a kind the order stays.
    all.sort_by_key(Manifest::rank);
    Ok(all)
}

fn metadata(document: &Document, name: &str, labels: Labels) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(document.metadata.namespace.clone()),
        labels: Some(labels),
        ..ObjectMeta::default()
    }
}

/// Name of the database's port, an IANA service name (RFC 6335).
fn port_name(database: &Database) -> &'static str {
    match database {
        Database::None(_) => "service",
        _ => database.name(),
    }
}
