//! The document as a user writes it. Every field here is rendered somewhere; an unknown one is an error.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

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
    /// at most 60 bytes.
    pub name: String,
    /// Namespace of all objects: an RFC 1123 label.
    pub namespace: String,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Spec {
    /// The database in the VM.
    pub database: Database,
    /// The guest's operating system.
    pub os: Os,
    /// The certificate that server and clients share.
    pub certificate: Certificate,
    /// The data disk.
    #[serde(default)]
    pub storage: Storage,
    /// The virtual hardware.
    #[serde(default)]
    pub machine: Machine,
    /// The cluster's DNS domain, part of the longest name in the certificate.
    #[serde(default = "cluster_domain")]
    pub cluster_domain: String,
    /// Programs that may reach the database, one Deployment each.
    #[serde(default)]
    pub clients: Vec<Client>,
}

fn cluster_domain() -> String {
    "cluster.local".to_owned()
}

/// The database; the field's name says which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// MongoDB.
    pub mongodb: MongoDb,
}

/// MongoDB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct MongoDb {
    /// Release series as MongoDB names its repositories: `MAJOR.MINOR`, 5.0 or later.
    pub version: String,
    /// Whether a client must present a certificate.
    pub client_auth: ClientAuth,
    /// Where the database's program comes from.
    pub install: Install,
}

impl Default for MongoDb {
    fn default() -> Self {
        Self { version: "8.0".to_owned(), client_auth: ClientAuth::default(), install: Install::default() }
    }
}

/// Whether a client must present a certificate. One that is presented is verified in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientAuth {
    /// Clients verify the server; the server asks for no certificate
    /// (`net.tls.allowConnectionsWithoutCertificates: true`).
    #[default]
    Optional,
    /// Every client needs a certificate of the same authority.
    Required,
}

/// Where the database's program comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Install {
    /// From MongoDB's package repository, which the guest reaches at first boot.
    #[default]
    Packages,
    /// It is in the root disk's image, with the package's user, folders and `mongod.service`; nothing is downloaded.
    Image,
}

/// The guest's operating system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Os {
    /// Whose packages, users and paths the guest has.
    pub family: Family,
    /// Container disk image of the root disk.
    pub image: String,
    /// SSH public keys (one line each) of the image's default user. With any, the VM also forwards port 22; the
    /// NetworkPolicy keeps it closed until a policy of your own opens it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_authorized_keys: Vec<String>,
}

/// Whose packages, users and paths the guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Red Hat Enterprise Linux, CentOS Stream, Rocky Linux, AlmaLinux.
    Rhel,
    /// Debian.
    Debian,
}

/// The certificate that server and clients share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Certificate {
    /// Secret that cert-manager writes and that VM and clients read.
    pub secret_name: String,
    /// Who signs.
    pub issuer_ref: IssuerRef,
    /// Subject common name, at most 64 characters (RFC 5280, ub-common-name). Default: NAME.NAMESPACE.svc, or NAME where
    /// that is too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// DNS names beyond those of the Service and the VM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// IP addresses to put into the certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<IpAddr>,
    /// The private key's kind.
    #[serde(default)]
    pub private_key: PrivateKey,
    /// Lifetime as a Go duration such as `2160h`, at least 1h; cert-manager's default otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// How long before its end it is renewed, as a Go duration of at least 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<String>,
    /// Serial of the disk that carries the Secret: at most 20 bytes. Default: made from the names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// Who signs the certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerRef {
    /// API group; for cert-manager's own issuers say `cert-manager.io`.
    #[serde(default = "issuer_group")]
    pub group: String,
    /// `TandemIssuer`, `TandemClusterIssuer`, or a kind of the named group.
    pub kind: String,
    /// The issuer's name.
    pub name: String,
}

fn issuer_group() -> String {
    "pki.tandem.internal".to_owned()
}

/// The private key's kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivateKey {
    /// Signature algorithm.
    pub algorithm: Algorithm,
    /// Bits: 2048, 3072 or 4096 for RSA (default 2048), 256, 384 or 521 for ECDSA (default 256).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u16>,
}

/// Signature algorithm of the private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// What every MongoDB driver and tool can use.
    #[default]
    #[serde(rename = "RSA")]
    Rsa,
    /// Smaller and faster.
    #[serde(rename = "ECDSA")]
    Ecdsa,
}

/// The data disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Storage {
    /// Size as a Kubernetes quantity, at least 1Gi.
    pub size: String,
    /// StorageClass; the cluster's default otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// Serial of the data disk: at most 20 bytes. Default: made from the names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: "30Gi".to_owned(), storage_class_name: None, serial: None }
    }
}

/// The virtual hardware.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Machine {
    /// CPU cores that the guest sees.
    pub cores: u32,
    /// Memory that the guest sees, as a Kubernetes quantity of at least 512Mi.
    pub memory: String,
    /// When KubeVirt runs the VM.
    pub run_strategy: RunStrategy,
    /// Seconds that a stop leaves to the guest; a database needs time to write its last checkpoint.
    pub termination_grace_period_seconds: u32,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cores: 2,
            memory: "4Gi".to_owned(),
            run_strategy: RunStrategy::default(),
            termination_grace_period_seconds: 180,
        }
    }
}

/// When KubeVirt runs the VM:
/// <https://kubevirt.io/user-guide/compute/run_strategies/>. `WaitAsReceiver` is for migrations, not for a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the page above explains them")]
pub enum RunStrategy {
    #[default]
    Always,
    RerunOnFailure,
    Manual,
    Halted,
    Once,
}

/// A program that may reach the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Part of the Deployment's name, NAME-CLIENT.
    pub name: String,
    /// Container image; its user must be given by number and not be 0.
    pub image: String,
    /// What of the Secret the client gets.
    #[serde(default)]
    pub certificate: ClientCertificate,
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
}
