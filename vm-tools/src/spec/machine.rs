//! The machine: its operating system, disks and hardware.

use serde::{Deserialize, Serialize};

use super::one_of;

/// The guest's operating system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Os {
    /// Whose packages, users and paths the guest has.
    pub family: Family,
    /// Container disk image of the root disk; short for `root: {containerDisk: {image: …}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
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
    /// Debian. Ubuntu has its users, units and paths, but another repository of MongoDB's: there with [`super::Install::Image`].
    Debian,
}

one_of! {
    /// The root disk.
    Root {
        /// An image that is as new at each start of the VM.
        "containerDisk" => ContainerDisk(ContainerDisk),
        /// A volume that CDI makes and fills, and that lives as long as the VirtualMachine.
        "dataVolume" => DataVolume(DataVolume),
        /// A volume that is there.
        "persistentVolumeClaim" => PersistentVolumeClaim(ExistingClaim),
    }
}

/// A container disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerDisk {
    /// The image.
    pub image: String,
    /// Secret of type `kubernetes.io/dockerconfigjson` for its registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_secret: Option<String>,
}

/// A volume that is there, in the document's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ExistingClaim {
    /// Name of the PersistentVolumeClaim.
    pub claim_name: String,
}

/// A volume that CDI makes and fills: <https://kubevirt.io/user-guide/storage/disks_and_volumes/#datavolume>.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DataVolume {
    /// Where its content comes from.
    pub source: Source,
    /// Size as a Kubernetes quantity, at least 1Gi. From `pvc`, `snapshot` and `dataSource` it may be left out: it is then
    /// the source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// StorageClass; the cluster's default otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
}

one_of! {
    /// Where a data volume's content comes from: <https://github.com/kubevirt/containerized-data-importer>.
    Source {
        /// An image file on a web server.
        "http" => Http(Remote),
        /// A container disk image, `docker://registry.example/name:tag`.
        "registry" => Registry(Remote),
        /// An image file in an S3 bucket.
        "s3" => S3(Remote),
        /// A copy of a PersistentVolumeClaim.
        "pvc" => Pvc(Local),
        /// A VolumeSnapshot.
        "snapshot" => Snapshot(Local),
        /// A DataSource, which names the newest of several volumes or snapshots.
        "dataSource" => DataSource(Local),
    }
}

/// Content that is fetched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Remote {
    /// Where from.
    pub url: String,
    /// Secret with the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<String>,
    /// ConfigMap with the authorities to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_config_map: Option<String>,
}

/// Content that is in the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// Its name.
    pub name: String,
    /// Its namespace; the document's otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The data disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Storage {
    /// Whether there is one. Without it, the data is on the root disk, which then must be one that lasts. Default: yes with
    /// a database, and with `none` where there is a `mountPath`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_disk: Option<bool>,
    /// Size as a Kubernetes quantity, at least 1Gi; 30Gi by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// StorageClass; the cluster's default otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// Serial of the data disk: at most 20 bytes. Default: made from the names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Where the guest mounts it, with `database: {none: …}`; a database knows its own place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
}

/// The virtual hardware.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Machine {
    /// CPU cores that the guest sees; 2 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Memory that the guest sees, as a Kubernetes quantity of at least 512Mi; 4Gi by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Instance type, in place of `cores` and `memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instancetype: Option<Matcher>,
    /// Preference: how devices are set up where the VirtualMachine does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<Matcher>,
    /// When KubeVirt runs the VM.
    pub run_strategy: RunStrategy,
    /// Seconds that a stop leaves to the guest; a database needs time to write its last checkpoint.
    pub termination_grace_period_seconds: u32,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cores: None,
            memory: None,
            instancetype: None,
            preference: None,
            run_strategy: RunStrategy::default(),
            termination_grace_period_seconds: 180,
        }
    }
}

/// An instance type or preference: <https://kubevirt.io/user-guide/user_workloads/instancetypes/>.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// Its kind, where it is one of the namespace's (`VirtualMachineInstancetype`, `VirtualMachinePreference`); the
    /// cluster's otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
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
