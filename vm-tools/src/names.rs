//! Every name, label and serial that is made from the document's names: one source, so that what must match does.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::encoding;
use crate::spec::{Client, Delivery, Document};
use crate::values::VIRTIO_SERIAL;

/// What the VM's name has beyond the database's; the longest that must fit a label of 63 bytes.
pub(crate) const HOST_SUFFIX: &str = "-vm";
/// The same for a member of a replica set, whose number has one digit.
pub(crate) const MEMBER_SUFFIX: &str = "-vm-0";

/// Names of the volumes that every VM may have besides that of the Secret.
pub(crate) const VOLUMES: [&str; 4] = [ROOT_DISK, DATA_DISK, KEYFILE_DISK, CLOUD_INIT];
pub(crate) const ROOT_DISK: &str = "root-disk";
pub(crate) const DATA_DISK: &str = "data-disk";
pub(crate) const KEYFILE_DISK: &str = "keyfile-disk";
pub(crate) const CLOUD_INIT: &str = "cloud-init";

/// Names of the rendered objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Service, and the stem of the others.
    pub service: String,
    /// NetworkPolicy.
    pub policy: String,
    /// Certificate.
    pub certificate: String,
    /// CronJob that restarts stale VMs, and what belongs to it.
    pub restart: String,
    /// The Service's DNS names, from the shortest to the fully qualified one:
    /// <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>.
    pub service_names: [String; 4],
    /// The VM's volume that carries the certificate Secret; with `delivery: filesystem` also what the guest mounts.
    pub certificate_volume: String,
    /// The VMs, in the order of their numbers: one, or the members of a replica set.
    pub machines: Vec<MachineNames>,
}

/// Names of one VM and of what belongs to it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineNames {
    /// Its number, if it is a member of a replica set.
    pub member: Option<u32>,
    /// VirtualMachine and host name of the guest; of a member also its own Service.
    pub vm: String,
    /// All names under which it alone is dialled, from the shortest on; the last is the fully qualified one of a member,
    /// which resolves to its pod: by it the members and their clients find one another.
    pub dns_names: Vec<String>,
    /// DataVolume of the root disk, if that is one.
    pub root: String,
    /// PersistentVolumeClaim of the data disk.
    pub data: String,
    /// Secret with the user data, if that is too long to stand in the VirtualMachine.
    pub user_data_secret: String,
    /// Serial of the disk that carries the certificate Secret.
    pub certificate_serial: String,
    /// Serial of the data disk.
    pub data_serial: String,
    /// Serial of the disk that carries the keyFile, where there is one.
    pub keyfile_serial: String,
}

impl Names {
    /// The names for a document.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let (name, namespace, spec) = (&document.metadata.name, &document.metadata.namespace, &document.spec);
        Self {
            service: name.clone(),
            policy: format!("{name}{HOST_SUFFIX}"),
            certificate: format!("{name}-cert"),
            restart: format!("{name}-restart"),
            service_names: [
                name.clone(),
                format!("{name}.{namespace}"),
                format!("{name}.{namespace}.svc"),
                format!("{name}.{namespace}.svc.{}", spec.cluster_domain),
            ],
            certificate_volume: spec.certificate.volume_name.clone().unwrap_or_else(|| {
                match spec.delivery {
                    Delivery::Disk => "secret-disk",
                    Delivery::Filesystem => "secret-files",
                }
                .to_owned()
            }),
            machines: match spec.members {
                ..=1 => vec![MachineNames::of(document, None)],
                members => (0..members).map(|member| MachineNames::of(document, Some(member))).collect(),
            },
        }
    }

    /// The fully qualified name of the Service: what clients are told to dial.
    #[must_use]
    pub fn host(&self) -> &str {
        let [.., qualified] = &self.service_names;
        qualified
    }

    /// Name of the replica set, if there is one.
    #[must_use]
    pub fn replica_set<'a>(&'a self, document: &'a Document) -> &'a str {
        let named = document.replica_set().and_then(|(mongodb, _)| mongodb.replica_set_name.as_deref());
        named.unwrap_or(&self.service)
    }

    /// `HOST:PORT` of each member of a replica set, as members and clients dial them.
    #[must_use]
    pub fn members(&self, document: &Document) -> Vec<String> {
        let port = document.spec.database.port().unwrap_or_default();
        self.machines.iter().map(|machine| format!("{}:{port}", machine.host())).collect()
    }

    /// Certificate and Secret of a client that has its own.
    #[must_use]
    pub fn client_certificate(&self, client: &Client) -> String {
        format!("{}-tls", self.client(client))
    }

    /// Deployment of a client.
    #[must_use]
    pub fn client(&self, client: &Client) -> String {
        format!("{}-{}", self.service, client.name)
    }
}

impl MachineNames {
    fn of(document: &Document, member: Option<u32>) -> Self {
        let (name, namespace, spec) = (&document.metadata.name, &document.metadata.namespace, &document.spec);
        let number = member.map(|member| format!("-{member}")).unwrap_or_default();
        let vm = format!("{name}{HOST_SUFFIX}{number}");
        let serial_or = |own: &Option<String>, made: String| own.clone().unwrap_or(made);
        let mut dns_names = vec![vm.clone()];
        if member.is_some() {
            let domain = &spec.cluster_domain;
            // Those of its Service, then those of its pod, whose subdomain is the Service of the set.
            for host in [vm.clone(), format!("{vm}.{name}")] {
                if host != vm {
                    dns_names.push(host.clone());
                }
                for rest in [namespace.clone(), format!("{namespace}.svc"), format!("{namespace}.svc.{domain}")] {
                    dns_names.push(format!("{host}.{rest}"));
                }
            }
        }
        Self {
            member,
            root: format!("{vm}-root"),
            data: format!("{name}-data{number}"),
            user_data_secret: format!("{vm}-userdata"),
            certificate_serial: serial_or(&spec.certificate.serial, serial("tls-", document, None)),
            data_serial: serial_or(&spec.storage.serial, serial("data-", document, member)),
            keyfile_serial: serial("key-", document, None),
            vm,
            dns_names,
        }
    }

    /// The fully qualified name by which it alone is dialled.
    #[must_use]
    pub fn host(&self) -> &str {
        self.dns_names.last().unwrap_or(&self.vm)
    }
}

/// A serial of exactly 20 bytes, all that a virtio disk shows of it: the purpose, then at least 60 bits of a SHA-256 over
/// namespace, name and, if it is given, number. The same names give the same serial for ever, so a data disk is found again.
fn serial(purpose: &str, document: &Document, member: Option<u32>) -> String {
    // No name has a NUL, so two different pairs never make the same input.
    let number = member.map(|member| format!("\0{member}")).unwrap_or_default();
    let hash = Sha256::digest(format!("{}\0{}{number}", document.metadata.namespace, document.metadata.name));
    purpose.chars().chain(encoding::hex(&hash).chars()).take(VIRTIO_SERIAL).collect()
}

/// Labels as Kubernetes objects carry them.
pub(crate) type Labels = BTreeMap<String, String>;

/// The label of everything that is rendered.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "tandem-vm");
const DATABASE: &str = "vm.tandem.internal/database";
const ROLE: &str = "vm.tandem.internal/role";
const CLIENT: &str = "vm.tandem.internal/client";
const MEMBER: &str = "vm.tandem.internal/member";

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Selects the pods in which the VMs run. virt-launcher pods carry the labels of the VM's template.
pub(crate) fn database_selector(document: &Document) -> Labels {
    labels(&[(DATABASE, &document.metadata.name), (ROLE, "database")])
}

/// Selects the pod in which one VM runs.
pub(crate) fn machine_selector(document: &Document, machine: &MachineNames) -> Labels {
    let mut selector = database_selector(document);
    if let Some(member) = machine.member {
        selector.extend(labels(&[(MEMBER, &member.to_string())]));
    }
    selector
}

/// Selects the pods of all clients.
pub(crate) fn clients_selector(document: &Document) -> Labels {
    labels(&[(DATABASE, &document.metadata.name), (ROLE, "client")])
}

/// Selects the pods of one client.
pub(crate) fn client_selector(document: &Document, client: &Client) -> Labels {
    let mut selector = clients_selector(document);
    selector.extend(labels(&[(CLIENT, &client.name)]));
    selector
}

/// What every object carries besides its selector labels:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>.
pub(crate) fn with_common(document: &Document, selector: Labels) -> Labels {
    let mut all = labels(&[MANAGED_BY, (DATABASE, &document.metadata.name)]);
    all.extend(selector);
    all
}
