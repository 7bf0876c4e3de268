//! What a stream of manifests says: the objects that have to agree for one Secret to reach a VM and its clients.
//!
//! ```text
//! manifests::read ─▶ Document ─┬─ DatabaseVM ─▶ render ─┐
//!                              └─ everything else ──────┴▶ Node (a value and its path) ─▶ Stream
//! ```
//!
//! It is read-only and lenient: a field of an unknown name or of the wrong kind is passed over, since the API server is the
//! judge of those. Whoever reports something has the object with its place ([`Meta`]) and the field's path ([`At`]).
//! Of foreign kinds only the fields that somebody here uses are read:
//! cert-manager <https://cert-manager.io/docs/reference/api-docs/>,
//! KubeVirt <https://kubevirt.io/api-reference/main/definitions.html>.

mod certificate;
mod cloud_config;
pub mod fields;
mod labels;
mod machine;
mod mounts;
mod network;
mod node;
mod owner;
mod store;
mod user_data;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, io::Read, path::PathBuf};

use serde_yaml::Value;
use tandem_cli::manifests::{self, Document, Found, Place};

pub use crate::user_data::KNOWN_KEYS;
pub(crate) use certificate::DEFAULT_DURATION;
pub use certificate::{Certificate, Issuer, IssuerRef, IssuerSource, Subject};
pub use cloud_config::{CloudConfig, WrittenFile};
pub use labels::PodLabels;
pub use machine::{CloudInit, Disk, Filesystem, Machine, Target, Volume, VolumeSource};
pub(crate) use mounts::{commands, program};
pub use network::{NetworkPolicy, Peer, PolicyRule, Selector, Service, ServicePort};
pub(crate) use node::join;
pub use node::{At, Node};
pub(crate) use owner::controller;
pub(crate) use store::ENCRYPTED;
pub use store::{ConfigMap, Content, Secret};
pub(crate) use user_data::{Beginning, FOLDED, is_folded};
pub use user_data::{Format, USER_DATA_KEYS, UserData};
pub use workload::{Container, Cron, EnvVar, Mount, PodVolume, SecretRef, SecretUse, Workload};

use crate::spec;

/// Labels and annotations.
pub type Map = BTreeMap<String, String>;

/// Which object, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// File and document.
    pub place: Place,
    /// `apiVersion`, such as `kubevirt.io/v1`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace`, or the namespace that the reader named for objects without one; empty for kinds that have none.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: Map,
    /// `metadata.annotations`.
    pub annotations: Map,
    /// Which object of the stream it is, from 0.
    pub index: usize,
    /// It does not stand in the document itself: the document is a DatabaseVM, of which it is rendered.
    pub rendered: bool,
}

impl Meta {
    /// The API group: what stands before the slash of `apiVersion`, empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

/// `VirtualMachine shop/orders-vm`.
impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| tandem_cli::shown(text);
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        write!(f, "{} {}{slash}{}", shown(&self.kind), shown(&self.namespace), shown(&self.name))?;
        if self.rendered { f.write_str(" (rendered)") } else { Ok(()) }
    }
}

/// All objects of a stream that the model knows, by kind, each kind in the order of the stream.
#[derive(Default)]
pub struct Stream {
    /// cert-manager's Certificates.
    pub certificates: Vec<Certificate>,
    /// Issuers of cert-manager and of Tandem.
    pub issuers: Vec<Issuer>,
    /// VirtualMachines and what else makes instances.
    pub machines: Vec<Machine>,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// ConfigMaps.
    pub config_maps: Vec<ConfigMap>,
    /// Services.
    pub services: Vec<Service>,
    /// NetworkPolicies.
    pub policies: Vec<NetworkPolicy>,
    /// Pods and what else makes pods.
    pub workloads: Vec<Workload>,
    /// Every object of the stream, in its order, also those of other kinds.
    pub objects: Vec<Meta>,
    /// Short texts in issuers and in objects of kinds that are not read: one of them may be a name that is used there, as that of a
    /// Secret is in an Ingress, or that is made there.
    pub mentioned: BTreeSet<String>,
    /// Files that were passed over, a line each.
    pub notes: Vec<String>,
}

impl Stream {
    /// Reads files, folders and, for `-`, `stdin`. Objects without a namespace are taken to be in `namespace`, as kubectl would
    /// put them into the namespace of its context. What a controller has made of another object of the stream is left out.
    ///
    /// # Errors
    /// A line for each file that cannot be read, each document that is no object, and each DatabaseVM that cannot be rendered.
    pub fn read(paths: &[PathBuf], stdin: &mut dyn Read, namespace: &str) -> Result<Self, Vec<String>> {
        let Found { documents, notes } = manifests::read(paths, stdin)?;
        Ok(Self { notes, ..Self::of(documents, namespace)? })
    }

    /// The same for documents that were read already.
    ///
    /// # Errors
    /// As [`Stream::read`].
    pub fn of(documents: Vec<Document>, namespace: &str) -> Result<Self, Vec<String>> {
        let (mut stream, mut problems) = (Self::default(), Vec::new());
        let repeated = owner::repeated(&documents);
        for (Document { place, value }, _) in documents.into_iter().zip(repeated).filter(|(_, twice)| !twice) {
            let header = |key: &str| value.get(key).and_then(Value::as_str);
            match (header("apiVersion"), header("kind")) {
                (Some(spec::API_VERSION), Some(spec::KIND)) => match rendered(&value) {
                    Ok(objects) => objects.iter().for_each(|object| stream.add(&place, object, namespace, true)),
                    Err(lines) => problems.extend(lines.into_iter().map(|line| format!("{place}: {line}"))),
                },
                (Some(_), Some(_)) => stream.add(&place, &value, namespace, false),
                _ => problems.push(format!("{place}: has no apiVersion and kind; write Kubernetes manifests")),
            }
        }
        // User data in a Secret is read once all Secrets are known, since they may stand behind the VM.
        let Self { machines, secrets, .. } = &mut stream;
        machines.iter_mut().for_each(|machine| machine.read_user_data(secrets));
        if problems.is_empty() { Ok(stream) } else { Err(problems) }
    }

    fn add(&mut self, place: &Place, value: &Value, namespace: &str, rendered: bool) {
        let root = Node::root(value);
        let meta = meta(place, &root, namespace, self.objects.len(), rendered);
        self.objects.push(meta.clone());
        match (meta.group(), meta.kind.as_str()) {
            ("cert-manager.io", "Certificate") => self.certificates.push(Certificate::read(meta, &root)),
            ("cert-manager.io", "Issuer" | "ClusterIssuer")
            | ("pki.tandem.internal", "TandemIssuer" | "TandemClusterIssuer") => {
                self.issuers.push(Issuer::read(meta, &root));
                mention(value, &mut self.mentioned);
            }
            ("kubevirt.io" | "pool.kubevirt.io", _) => self.machines.extend(Machine::read(meta, &root)),
            ("", "Secret") => self.secrets.push(Secret::read(meta, &root)),
            ("", "ConfigMap") => self.config_maps.push(ConfigMap::read(meta, &root)),
            ("", "Service") => self.services.push(Service::read(meta, &root)),
            ("networking.k8s.io", "NetworkPolicy") => self.policies.push(NetworkPolicy::read(meta, &root)),
            ("" | "apps" | "batch", _) => self.workloads.extend(Workload::read(meta, &root)),
            _ => mention(value, &mut self.mentioned),
        }
    }

    /// The Secret of this name, where the stream has it.
    #[must_use]
    pub fn secret(&self, namespace: &str, name: &str) -> Option<&Secret> {
        self.secrets.iter().find(|secret| secret.meta.namespace == namespace && secret.meta.name == name)
    }

    /// The Certificate that cert-manager turns into the Secret of this name.
    #[must_use]
    pub fn certificate_of_secret(&self, namespace: &str, secret: &str) -> Option<&Certificate> {
        self.certificates.iter().find(|certificate| {
            certificate.meta.namespace == namespace
                && certificate.secret_name.as_ref().is_some_and(|name| name.value == secret)
        })
    }

    /// The issuer that a Certificate names, where the stream has it.
    #[must_use]
    pub fn issuer_of(&self, certificate: &Certificate) -> Option<&Issuer> {
        let wanted = &certificate.issuer;
        self.issuers.iter().find(|issuer| {
            issuer.meta.group() == wanted.group
                && issuer.meta.kind == wanted.kind
                && issuer.meta.name == wanted.name.value
                && (issuer.cluster_scoped() || issuer.meta.namespace == certificate.meta.namespace)
        })
    }

    /// The Certificates that reach a machine as a volume, with that volume.
    pub fn delivered<'s>(&'s self, machine: &'s Machine) -> impl Iterator<Item = (&'s Volume, &'s Certificate)> {
        machine.secret_volumes().filter_map(|(volume, secret)| {
            Some((volume, self.certificate_of_secret(&machine.meta.namespace, &secret.value)?))
        })
    }

    /// The machines whose pods a Service selects.
    pub fn machines_behind<'s>(&'s self, service: &'s Service) -> impl Iterator<Item = &'s Machine> {
        self.machines
            .iter()
            .filter(|machine| machine.meta.namespace == service.meta.namespace && service.selects(&machine.pod_labels))
    }

    /// The workloads whose pods a Service selects.
    pub fn workloads_behind<'s>(&'s self, service: &'s Service) -> impl Iterator<Item = &'s Workload> {
        self.workloads
            .iter()
            .filter(|workload| workload.meta.namespace == service.meta.namespace && service.selects(&workload.labels))
    }
}

/// Every text in a value that may be a name: those have at most 253 bytes.
pub(crate) fn mention(value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.len() <= 253 => drop(all.insert(text.clone())),
        Value::Sequence(entries) => entries.iter().for_each(|entry| mention(entry, all)),
        Value::Mapping(fields) => fields.values().for_each(|field| mention(field, all)),
        Value::Tagged(tagged) => mention(&tagged.value, all),
        _ => {}
    }
}

/// The objects of a DatabaseVM.
fn rendered(value: &Value) -> Result<Vec<Value>, Vec<String>> {
    let vm = spec::read(value.clone()).map_err(|error| error.lines())?;
    let rendered = crate::render(&vm).map_err(|error| error.lines())?;
    let value = |object| serde_yaml::to_value(object).map_err(|error| vec![error.to_string()]);
    rendered.manifests.iter().map(value).collect()
}

/// Kinds of the stream that are in no namespace.
const CLUSTER_SCOPED: [&str; 9] = [
    "ClusterIssuer",
    "TandemClusterIssuer",
    "Namespace",
    "StorageClass",
    "PersistentVolume",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "VirtualMachineClusterInstancetype",
];

fn meta(place: &Place, root: &Node<'_>, namespace: &str, index: usize, rendered: bool) -> Meta {
    let metadata = root.get("metadata");
    let text = |node: Node<'_>| node.text().unwrap_or_default().to_owned();
    let kind = text(root.get("kind"));
    let namespace = if CLUSTER_SCOPED.contains(&&*kind) { "" } else { namespace };
    Meta {
        place: place.clone(),
        api_version: text(root.get("apiVersion")),
        kind,
        namespace: metadata.get("namespace").text().unwrap_or(namespace).to_owned(),
        // What has only a generateName is called by that.
        name: metadata.get("name").text().or(metadata.get("generateName").text()).unwrap_or_default().to_owned(),
        labels: metadata.get("labels").texts(),
        annotations: metadata.get("annotations").texts(),
        index,
        rendered,
    }
}
