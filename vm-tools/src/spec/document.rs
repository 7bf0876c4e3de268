//! The document as a user writes it. Every field here is rendered somewhere; an unknown one is an error.

use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

use super::{Certificate, Database, Machine, NetworkPolicy, Os, Root, Storage, Subject};

/// `apiVersion` of the document.
pub const API_VERSION: &str = "vm.tandem.internal/v1alpha1";
/// `kind` of the document.
pub const KIND: &str = "DatabaseVM";

/// A whole document, not yet checked: [`super::check()`] turns it into a [`super::DatabaseVm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Document {
    /// Always [`API_VERSION`].
    pub api_version: String,
    /// Always [`KIND`].
    pub kind: String,
    /// Name and namespace of everything that is rendered.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: Spec,
}

/// Name and namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The Service's name, from which the other names are made (NAME-vm, NAME-data, NAME-cert, …): an RFC 1035 label of
    /// at most 60 bytes, 58 with members.
    pub name: String,
    /// Namespace of all objects: an RFC 1123 label.
    pub namespace: String,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Spec {
    /// The database in the VM, or `none`.
    pub database: Database,
    /// The guest's operating system.
    pub os: Os,
    /// The certificate that server and clients share.
    pub certificate: Certificate,
    /// How the Secret comes into the guest.
    #[serde(default)]
    pub delivery: Delivery,
    /// A CronJob that restarts each VM that still serves an older certificate than the Secret has, one at a time; with
    /// `delivery: disk` nothing else brings a renewed one into the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_stale: Option<RestartStale>,
    /// The root disk; a container disk of `os.image` may be written there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// The data disk.
    #[serde(default)]
    pub storage: Storage,
    /// The virtual hardware.
    #[serde(default)]
    pub machine: Machine,
    /// How many VMs there are. From 2 on they are the members of a MongoDB replica set, in which at most 7 have a vote; of an
    /// odd number more than half are left when one is lost.
    #[serde(default = "one_member", skip_serializing_if = "is_one")]
    pub members: u32,
    /// The cluster's DNS domain, part of the longest name in the certificate.
    #[serde(default = "cluster_domain")]
    pub cluster_domain: String,
    /// Programs that may reach the database, one Deployment each.
    #[serde(default)]
    pub clients: Vec<Client>,
    /// Who else may reach it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network_policy: NetworkPolicy,
    /// More `#cloud-config` for the guest, merged into ours: mappings field by field, lists appended to ours. A value that
    /// contradicts one of ours is an error.
    #[serde(default, skip_serializing_if = "Mapping::is_empty")]
    pub cloud_config: Mapping,
    /// A part of a VirtualMachine's `spec`, merged into the rendered one last: mappings field by field, lists whose entries
    /// have a `name` by that name, other lists and values replaced; `null` removes a field, and `$patch: delete` beside its
    /// `name` an entry.
    #[serde(default, skip_serializing_if = "Mapping::is_empty")]
    pub template: Mapping,
}

fn one_member() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_one(members: &u32) -> bool {
    *members == 1
}

fn is_default(policy: &NetworkPolicy) -> bool {
    *policy == NetworkPolicy::default()
}

fn cluster_domain() -> String {
    "cluster.local".to_owned()
}

/// How the Secret comes into the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// A disk that the guest finds by its serial. KubeVirt makes it when the VM starts: a renewed certificate comes with
    /// the next start.
    #[default]
    Disk,
    /// A virtiofs filesystem, which follows the Secret while the VM runs (KubeVirt 1.8, or its feature gate
    /// `EnableVirtioFsConfigVolumes`).
    Filesystem,
}

/// When stale VMs are restarted, and by what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartStale {
    /// When to look, as a CronJob has it, such as `30 3 * * *`: <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/>.
    pub schedule: String,
    /// Container image with `tandem-vm` in its path.
    pub image: String,
}

/// A program that may reach the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Client {
    /// Part of the Deployment's name, NAME-CLIENT.
    pub name: String,
    /// Container image; its user must be given by number and not be 0.
    pub image: String,
    /// What of the Secret the client gets.
    #[serde(default)]
    pub certificate: ClientCertificate,
    /// Common name of its own certificate, at most 64 characters. Default: NAME-CLIENT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// What stands in the subject of its own certificate besides the common name. Default: the namespace as organization, and no
    /// organizational unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Number of pods.
    #[serde(default = "one")]
    pub replicas: u16,
    /// Replaces the image's entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Replaces the image's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

fn one() -> u16 {
    1
}

/// What of the Secret a client gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// `ca.crt` alone: enough to verify the server, and it makes the client nobody.
    #[default]
    None,
    /// The whole Secret, the server's private key with it: such a client can pose as the server.
    Shared,
    /// A certificate and a key of its own, in a Secret of its own, and the server's `ca.crt`.
    Own,
}

impl Spec {
    /// Whether the VM has a data disk.
    #[must_use]
    pub fn has_data_disk(&self) -> bool {
        let storage = &self.storage;
        storage.data_disk.unwrap_or(!matches!(self.database, Database::None(_)) || storage.mount_path.is_some())
    }
}
