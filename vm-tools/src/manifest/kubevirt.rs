//! The fields of KubeVirt's `VirtualMachine` that are rendered:
//! <https://kubevirt.io/api-reference/main/definitions.html#_v1_virtualmachine>.

use k8s_openapi::api::core::v1::{Affinity, LocalObjectReference, PersistentVolumeClaimVolumeSource, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::cdi::DataVolumeTemplate;
use crate::spec::{Matcher, RunStrategy};

/// A `kubevirt.io/v1` VirtualMachine.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualMachine {
    /// `kubevirt.io/v1`.
    pub api_version: &'static str,
    /// `VirtualMachine`.
    pub kind: &'static str,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What to run, and when.
    pub spec: Spec,
}

/// The spec as it was rendered, or merged with a template of the user's, which may have any field.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the line above says it")]
pub enum Spec {
    Rendered(Box<VirtualMachineSpec>),
    Merged(serde_yaml::Value),
}

/// What to run, and when.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualMachineSpec {
    /// When to run; excludes the deprecated `running`.
    pub run_strategy: RunStrategy,
    /// Instance type, in place of CPU and memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instancetype: Option<Matcher>,
    /// How devices are set up where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preference: Option<Matcher>,
    /// Volumes that CDI makes with the VirtualMachine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_volume_templates: Vec<DataVolumeTemplate>,
    /// What to run.
    pub template: InstanceTemplate,
}

/// Template of the VirtualMachineInstance; its labels are also those of the virt-launcher pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstanceTemplate {
    /// Labels.
    pub metadata: ObjectMeta,
    /// The machine.
    pub spec: InstanceSpec,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSpec {
    /// Host name of the guest.
    pub hostname: String,
    /// The headless Service in whose domain the host name resolves to the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<String>,
    /// Which nodes it had better not share with whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Seconds between the request to stop and the end.
    pub termination_grace_period_seconds: u32,
    /// When the pod counts as ready, and so when a Service sends connections to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// Hardware.
    pub domain: Domain,
    /// Networks, joined to the interfaces by name.
    pub networks: Vec<Network>,
    /// Volumes, joined to the disks and filesystems by name.
    pub volumes: Vec<Volume>,
}

/// A probe by TCP connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// What to connect to.
    pub tcp_socket: TCPSocketAction,
    /// Seconds between probes.
    pub period_seconds: u32,
}

/// Hardware.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Domain {
    /// Processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Devices.
    pub devices: Devices,
}

/// Processor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cpu {
    /// Cores that the guest sees.
    pub cores: u32,
}

/// Memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// Memory that the guest sees.
    pub guest: Quantity,
}

/// Devices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Devices {
    /// Disks.
    pub disks: Vec<Disk>,
    /// virtiofs filesystems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filesystems: Vec<Filesystem>,
    /// Network interfaces.
    pub interfaces: Vec<Interface>,
    /// Random numbers from the host.
    pub rng: Empty,
}

/// A field that is set by being there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Empty {}

/// A disk.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Disk {
    /// Name of its volume.
    pub name: String,
    /// How it is attached.
    pub disk: DiskTarget,
    /// `/dev/disk/by-id/virtio-SERIAL` in the guest; at most 20 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// How a disk is attached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiskTarget {
    /// Bus, always named: KubeVirt's default differs between architectures.
    pub bus: &'static str,
}

/// A filesystem of the host's in the guest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Filesystem {
    /// Name of its volume, and what the guest mounts (`mount -t virtiofs NAME DIR`); at most 36 bytes.
    pub name: String,
    /// By virtiofs.
    pub virtiofs: Empty,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interface {
    /// Name of its network.
    pub name: &'static str,
    /// Behind the pod's address.
    pub masquerade: Empty,
    /// Ports that are forwarded to the guest, and no others; without any, all are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// A forwarded port.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Port {
    /// Name.
    pub name: &'static str,
    /// Number.
    pub port: u16,
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    /// Name.
    pub name: &'static str,
    /// The pod's network.
    pub pod: Empty,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Volume {
    /// Name of its disk or filesystem.
    pub name: String,
    /// Where the content comes from.
    #[serde(flatten)]
    pub source: VolumeSource,
}

/// Where a volume's content comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "KubeVirt's page explains each")]
pub enum VolumeSource {
    #[serde(rename_all = "camelCase")]
    ContainerDisk {
        image: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        image_pull_secret: Option<String>,
    },
    DataVolume {
        name: String,
    },
    PersistentVolumeClaim(PersistentVolumeClaimVolumeSource),
    #[serde(rename_all = "camelCase")]
    Secret {
        secret_name: String,
    },
    CloudInitNoCloud(NoCloud),
}

/// User data for cloud-init's NoCloud source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoCloud {
    /// Where the user data is. Flattened, because YAML would show a bare enum inside another as a tag.
    #[serde(flatten)]
    pub user_data: UserData,
}

/// User data in the manifest (at most 2048 bytes) or in a Secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum UserData {
    UserData(String),
    SecretRef(LocalObjectReference),
}
