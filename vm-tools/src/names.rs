//! Every name, label and serial that is made from the document's names: one source, so that what must match does.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::spec::{Client, Delivery, Document};

/// What the VM's name has beyond the database's; the longest that must fit a label of 63 bytes.
pub(crate) const HOST_SUFFIX: &str = "-vm";

/// Names of the volumes that every VM may have besides that of the Secret.
pub(crate) const VOLUMES: [&str; 3] = [ROOT_DISK, DATA_DISK, CLOUD_INIT];
pub(crate) const ROOT_DISK: &str = "root-disk";
pub(crate) const DATA_DISK: &str = "data-disk";
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
    /// The VMs; for now there is one.
    pub machines: Vec<MachineNames>,
}

/// Names of one VM and of what belongs to it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineNames {
    /// VirtualMachine and host name of the guest.
    pub vm: String,
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
            machines: vec![MachineNames::of(document)],
        }
    }

    /// The fully qualified name of the Service: what clients are told to dial.
    #[must_use]
    pub fn host(&self) -> &str {
        let [.., qualified] = &self.service_names;
        qualified
    }

    /// Deployment of a client.
    #[must_use]
    pub fn client(&self, client: &Client) -> String {
        format!("{}-{}", self.service, client.name)
    }
}

impl MachineNames {
    fn of(document: &Document) -> Self {
        let (name, spec) = (&document.metadata.name, &document.spec);
        let vm = format!("{name}{HOST_SUFFIX}");
        let serial_or = |own: &Option<String>, purpose| own.clone().unwrap_or_else(|| serial(purpose, document));
        Self {
            root: format!("{vm}-root"),
            data: format!("{name}-data"),
            user_data_secret: format!("{vm}-userdata"),
            certificate_serial: serial_or(&spec.certificate.serial, "tls-"),
            data_serial: serial_or(&spec.storage.serial, "data-"),
            vm,
        }
    }
}

/// A serial of exactly 20 bytes, all that a virtio disk shows of it: the purpose, then at least 60 bits of a SHA-256 over
/// namespace and name. The same names give the same serial for ever, so a data disk is found again.
fn serial(purpose: &str, document: &Document) -> String {
    // No name has a NUL, so two different pairs never make the same input.
    let hash = Sha256::digest(format!("{}\0{}", document.metadata.namespace, document.metadata.name));
    let hex = hash.iter().map(|byte| format!("{byte:02x}"));
    purpose.chars().chain(hex.collect::<String>().chars()).take(20).collect()
}

/// Labels as Kubernetes objects carry them.
pub(crate) type Labels = BTreeMap<String, String>;

const DATABASE: &str = "vm.tandem.internal/database";
const ROLE: &str = "vm.tandem.internal/role";
const CLIENT: &str = "vm.tandem.internal/client";

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Selects the pods in which the VM runs. virt-launcher pods carry the labels of the VM's template.
pub(crate) fn database_selector(document: &Document) -> Labels {
    labels(&[(DATABASE, &document.metadata.name), (ROLE, "database")])
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
    let mut all = labels(&[("app.kubernetes.io/managed-by", "tandem-vm"), (DATABASE, &document.metadata.name)]);
    all.extend(selector);
    all
}
