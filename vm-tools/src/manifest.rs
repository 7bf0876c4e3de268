//! Checked document → Kubernetes objects. Each object comes from types, never from text.

pub mod cert_manager;
mod certificate;
mod client;
pub mod kubevirt;
mod network;
mod storage;
mod virtual_machine;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::names::{Labels, Names};
use crate::spec::Document;

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
        };
        metadata.name.as_deref().unwrap_or_default()
    }
}

/// All objects, in the order of their ranks; clients in the document's order.
pub(crate) fn all(document: &Document, names: &Names, user_data: &str) -> Vec<Manifest> {
    let mut all = vec![
        Manifest::Certificate(Box::new(certificate::certificate(document, names))),
        Manifest::PersistentVolumeClaim(Box::new(storage::claim(document, names))),
    ];
    let (source, secret) = storage::user_data(document, names, user_data);
    all.extend(secret.map(|secret| Manifest::Secret(Box::new(secret))));
    all.extend([
        Manifest::VirtualMachine(Box::new(virtual_machine::virtual_machine(document, names, source))),
        Manifest::Service(Box::new(network::service(document, names))),
        Manifest::NetworkPolicy(Box::new(network::policy(document, names))),
    ]);
    let deployment = |client| Manifest::Deployment(Box::new(client::deployment(document, names, client)));
    all.extend(document.spec.clients.iter().map(deployment));
    all
}

fn metadata(document: &Document, name: &str, labels: Labels) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(document.metadata.namespace.clone()),
        labels: Some(labels),
        ..ObjectMeta::default()
    }
}
