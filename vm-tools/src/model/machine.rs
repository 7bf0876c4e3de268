//! Virtual machines, and what makes them: <https://kubevirt.io/api-reference/main/definitions.html#_v1_virtualmachineinstancespec>.

use super::{At, Meta, Node, PodLabels, Secret, UserData, fields, user_data};

/// A VirtualMachine, VirtualMachineInstance, VirtualMachineInstanceReplicaSet or VirtualMachinePool.
pub struct Machine {
    /// The object.
    pub meta: Meta,
    /// Labels of the virt-launcher pods in which its instances run.
    pub pod_labels: PodLabels,
    /// Path of the instance's spec: that of domain and volumes.
    pub spec_path: String,
    /// `running`, deprecated.
    pub running: Option<At<bool>>,
    /// `runStrategy`.
    pub run_strategy: Option<At<String>>,
    /// Name of the instance type.
    pub instancetype: Option<At<String>>,
    /// Whether a preference may fill in what the domain leaves open.
    pub preference: bool,
    /// Paths of cpu and memory, where they are given explicitly.
    pub resources: Vec<String>,
    /// `hostname`, or the object's name, which is the default.
    pub hostname: String,
    /// `subdomain`: the headless Service beneath which the host name resolves.
    pub subdomain: Option<At<String>>,
    /// `domain.devices.disks`.
    pub disks: Vec<Disk>,
    /// `domain.devices.filesystems`.
    pub filesystems: Vec<Filesystem>,
    /// `volumes`.
    pub volumes: Vec<Volume>,
    /// Ports that masquerade interfaces forward: number, name. `None` where an interface forwards all.
    pub ports: Option<Vec<(u64, String)>>,
    /// Fields that KubeVirt does not know, each with the one that was meant, if one is near.
    pub unknown: Vec<At<Option<&'static str>>>,
    /// What cloud-init reads, one for each volume of that kind.
    pub user_data: Vec<UserData>,
}

/// A disk.
pub struct Disk {
    /// Path of the entry.
    pub path: String,
    /// Name, which is that of its volume.
    pub name: String,
    /// What the guest takes it for.
    pub target: Target,
    /// Its bus; `None` where it is left to KubeVirt, which takes SATA on amd64, or to a preference.
    pub bus: Option<String>,
    /// Its serial.
    pub serial: Option<At<String>>,
    /// `bootOrder`.
    pub boot_order: Option<u64>,
}

/// What the guest takes a disk for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A disk; also where nothing is said.
    Disk,
    /// A CD-ROM.
    Cdrom,
    /// A LUN.
    Lun,
}

/// A filesystem that is shared by virtiofs.
pub struct Filesystem {
    /// Path of the entry.
    pub path: String,
    /// Name, which is that of its volume, and the tag in the guest.
    pub name: String,
}

/// A volume.
pub struct Volume {
    /// Path of the entry.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Where its content comes from.
    pub source: VolumeSource,
}

/// Where the content of a volume comes from.
pub enum VolumeSource {
    /// A Secret.
    Secret {
        /// Its name.
        name: Option<At<String>>,
        /// Label of the ISO.
        label: Option<At<String>>,
        /// Whether the VM starts without it.
        optional: bool,
        /// Fields that KubeVirt does not have, but pods do (`items`, `defaultMode`).
        foreign: Vec<String>,
    },
    /// A ConfigMap.
    ConfigMap {
        /// Label of the ISO.
        label: Option<At<String>>,
    },
    /// User data for cloud-init.
    CloudInit(CloudInit),
    /// An image, as new at each start.
    ContainerDisk,
    /// A claim or DataVolume: it outlives the instance.
    Persistent,
    /// Anything else, by its field.
    Other(String),
}

impl VolumeSource {
    /// Whether the machine starts without it.
    #[must_use]
    pub fn optional(&self) -> bool {
        matches!(self, Self::Secret { optional: true, .. })
    }
}

/// A volume of cloud-init.
pub struct CloudInit {
    /// Path of the source: `…cloudInitNoCloud`, or `…cloudInitConfigDrive`.
    pub path: String,
    /// `userData`.
    pub inline: Option<At<String>>,
    /// `userDataBase64`.
    pub base64: Option<At<String>>,
    /// `secretRef`.
    pub secret: Option<At<String>>,
    /// `networkData`.
    pub network_inline: Option<At<String>>,
    /// `networkDataBase64`.
    pub network_base64: Option<At<String>>,
}

impl Machine {
    pub(super) fn read(meta: Meta, root: &Node<'_>) -> Option<Self> {
        let spec = root.get("spec");
        // What says when it runs, and what an instance is made from.
        let (outer, template) = match meta.kind.as_str() {
            "VirtualMachine" | "VirtualMachineInstanceReplicaSet" => (spec.clone(), spec.get("template")),
            "VirtualMachineInstance" => (spec.clone(), root.clone()),
            "VirtualMachinePool" => {
                let outer = spec.get("virtualMachineTemplate").get("spec");
                (outer.clone(), outer.get("template"))
            }
            _ => return None,
        };
        let instance = template.get("spec");
        let (domain, devices) = (instance.get("domain"), instance.get("domain").get("devices"));
        let running = outer.get("running");
        let resources = [
            domain.get("cpu"),
            domain.get("memory"),
            domain.get("resources").get("requests").get("cpu"),
            domain.get("resources").get("requests").get("memory"),
        ];
        Some(Self {
            pod_labels: PodLabels::of_launchers(root, &template),
            spec_path: instance.path().to_owned(),
            running: running.flag().map(|flag| running.place(flag)),
            run_strategy: outer.get("runStrategy").at(),
            instancetype: outer.get("instancetype").get("name").at(),
            preference: outer.get("preference").is_there(),
            resources: resources.iter().filter(|node| node.is_there()).map(|node| node.path().to_owned()).collect(),
            hostname: instance.get("hostname").text().unwrap_or(&meta.name).to_owned(),
            subdomain: instance.get("subdomain").at(),
            disks: devices.get("disks").items().map(|node| disk(&node)).collect(),
            filesystems: devices
                .get("filesystems")
                .items()
                .map(|node| Filesystem { path: node.path().to_owned(), name: name(&node) })
                .collect(),
            volumes: instance.get("volumes").items().map(|node| volume(&node)).collect(),
            ports: ports(&devices.get("interfaces")),
            unknown: match meta.kind.as_str() {
                "VirtualMachine" | "VirtualMachinePool" => fields::unknown(&outer),
                _ => fields::unknown_in_instance(&instance),
            },
            user_data: Vec::new(),
            meta,
        })
    }

    pub(super) fn read_user_data(&mut self, secrets: &[Secret]) {
        let clouds = self.volumes.iter().filter_map(|volume| match &volume.source {
            VolumeSource::CloudInit(cloud) => Some(cloud),
            _ => None,
        });
        self.user_data = clouds.filter_map(|cloud| user_data::read(&self.meta, cloud, secrets)).collect();
    }

    /// The volumes that hold a Secret, with its name.
    pub fn secret_volumes(&self) -> impl Iterator<Item = (&Volume, &At<String>)> {
        self.volumes.iter().filter_map(|volume| match &volume.source {
            VolumeSource::Secret { name: Some(name), .. } => Some((volume, name)),
            _ => None,
        })
    }

    /// The disk that carries a volume; `None` for one that is a filesystem, or nothing explicit.
    #[must_use]
    pub fn disk_of(&self, volume: &Volume) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.name == volume.name)
    }

    /// The filesystem that carries a volume.
    #[must_use]
    pub fn filesystem_of(&self, volume: &Volume) -> Option<&Filesystem> {
        self.filesystems.iter().find(|filesystem| filesystem.name == volume.name)
    }

    /// The volume of the disk from which the guest boots: of the lowest `bootOrder`, else the first.
    #[must_use]
    pub fn root_volume(&self) -> Option<&Volume> {
        let ordered = self.disks.iter().filter(|disk| disk.boot_order.is_some()).min_by_key(|disk| disk.boot_order);
        let disk = ordered.or(self.disks.first())?;
        self.volumes.iter().find(|volume| volume.name == disk.name)
    }
}

fn name(node: &Node<'_>) -> String {
    node.get("name").text().unwrap_or_default().to_owned()
}

fn disk(node: &Node<'_>) -> Disk {
    let (target, device) = match [node.get("cdrom"), node.get("lun"), node.get("disk")] {
        [cdrom, ..] if cdrom.value().is_some() => (Target::Cdrom, cdrom),
        [_, lun, _] if lun.value().is_some() => (Target::Lun, lun),
        [.., disk] => (Target::Disk, disk),
    };
    Disk {
        path: node.path().to_owned(),
        name: name(node),
        target,
        bus: device.get("bus").text().filter(|bus| !bus.is_empty()).map(str::to_owned),
        serial: node.get("serial").at().filter(|serial| !serial.value.is_empty()),
        boot_order: node.get("bootOrder").number(),
    }
}

fn volume(node: &Node<'_>) -> Volume {
    let source = node.fields().find(|(key, _)| *key != "name");
    let source = match source {
        Some(("secret", secret)) => VolumeSource::Secret {
            name: secret.get("secretName").at(),
            label: secret.get("volumeLabel").at(),
            optional: secret.get("optional").flag().unwrap_or(false),
            foreign: ["items", "defaultMode"]
                .iter()
                .map(|key| secret.get(key))
                .filter(Node::is_there)
                .map(|field| field.path().to_owned())
                .collect(),
        },
        Some(("configMap", map)) => VolumeSource::ConfigMap { label: map.get("volumeLabel").at() },
        Some(("cloudInitNoCloud" | "cloudInitConfigDrive", cloud)) => VolumeSource::CloudInit(CloudInit {
            path: cloud.path().to_owned(),
            inline: cloud.get("userData").at(),
            base64: cloud.get("userDataBase64").at(),
            secret: cloud.get("secretRef").get("name").at(),
            network_inline: cloud.get("networkData").at(),
            network_base64: cloud.get("networkDataBase64").at(),
        }),
        Some(("containerDisk", _)) => VolumeSource::ContainerDisk,
        Some(("persistentVolumeClaim" | "dataVolume", _)) => VolumeSource::Persistent,
        Some((other, _)) => VolumeSource::Other(other.to_owned()),
        None => VolumeSource::Other(String::new()),
    };
    Volume { path: node.path().to_owned(), name: name(node), source }
}

/// Of masquerade interfaces with a list of ports; without one everything is forwarded, as with the other bindings.
fn ports(interfaces: &Node<'_>) -> Option<Vec<(u64, String)>> {
    let mut all = Vec::new();
    for interface in interfaces.items() {
        let ports = interface.get("ports");
        if interface.get("masquerade").value().is_none() || ports.items().next().is_none() {
            return None;
        }
        all.extend(ports.items().filter_map(|port| Some((port.get("port").number()?, name(&port)))));
    }
    (!all.is_empty()).then_some(all)
}
