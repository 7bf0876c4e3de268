//! The VirtualMachine. Disks that the guest must find carry a serial and stand on a named bus, because device letters
//! promise nothing.

use k8s_openapi::api::core::v1::{
    Affinity, PersistentVolumeClaimVolumeSource, PodAffinityTerm, PodAntiAffinity, TCPSocketAction,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_yaml::Value;
use tandem_cli::shown;

use super::kubevirt::{
    Cpu, Devices, Disk, DiskTarget, Domain, Empty, Filesystem, InstanceSpec, InstanceTemplate, Interface, Memory,
    Network, NoCloud, Port, Probe, Spec, UserData, VirtualMachine, VirtualMachineSpec, Volume, VolumeSource,
};
use super::{metadata, port_name, root};
use crate::RenderError;
use crate::merge::patch;
use crate::model::{At, Node, fields};
use crate::names::{
    CLOUD_INIT, DATA_DISK, KEYFILE_DISK, MachineNames, Names, ROOT_DISK, database_selector, machine_selector,
    with_common,
};
use crate::spec::{Delivery, Document, Membership};

/// A volume and how the guest gets it: one entry here, so that neither can be without the other.
struct Drive {
    name: String,
    target: Target,
    source: VolumeSource,
}

enum Target {
    Disk { serial: Option<String> },
    Filesystem,
}

pub(super) fn virtual_machine(
    document: &Document,
    names: &Names,
    machine: &MachineNames,
    user_data: UserData,
) -> Result<VirtualMachine, RenderError> {
    let labels = with_common(document, machine_selector(document, machine));
    let rendered = spec(document, names, machine, user_data, labels.clone());
    let template = &document.spec.template;
    let spec = if template.is_empty() {
        Spec::Rendered(Box::new(rendered))
    } else {
        let mut merged = serde_yaml::to_value(&rendered)?;
        let mut problems = Vec::new();
        patch(&mut merged, &template.clone().into(), "spec.template", &mut problems);
        if !problems.is_empty() {
            return Err(RenderError::Fields(problems));
        }
        Spec::Merged(merged)
    };
    Ok(VirtualMachine {
        api_version: "kubevirt.io/v1",
        kind: "VirtualMachine",
        metadata: metadata(document, &machine.vm, labels),
        spec,
    })
}

fn spec(
    document: &Document,
    names: &Names,
    machine: &MachineNames,
    user_data: UserData,
    labels: crate::names::Labels,
) -> VirtualMachineSpec {
    let hardware = &document.spec.machine;
    let (root, data_volume) = root::root(document, machine);
    let (mut disks, mut filesystems, mut volumes) = (Vec::new(), Vec::new(), Vec::new());
    for Drive { name, target, source } in drives(document, names, machine, root, user_data) {
        match target {
            Target::Disk { serial } => {
                disks.push(Disk { name: name.clone(), disk: DiskTarget { bus: "virtio" }, serial });
            }
            Target::Filesystem => filesystems.push(Filesystem { name: name.clone(), virtiofs: Empty {} }),
        }
        volumes.push(Volume { name, source });
    }
    let (cpu, memory) = match hardware.instancetype {
        Some(_) => (None, None),
        None => (
            Some(Cpu { cores: hardware.cores.unwrap_or(2) }),
            Some(Memory { guest: Quantity(hardware.memory.clone().unwrap_or_else(|| "4Gi".to_owned())) }),
        ),
    };
    // The first boot installs a database: no connection should come before it listens.
    let readiness_probe = document.spec.database.port().map(|port| Probe {
        tcp_socket: TCPSocketAction { port: IntOrString::Int(port.into()), ..TCPSocketAction::default() },
        period_seconds: 10,
    });
    VirtualMachineSpec {
        run_strategy: hardware.run_strategy,
        instancetype: hardware.instancetype.clone(),
        preference: hardware.preference.clone(),
        data_volume_templates: data_volume.into_iter().collect(),
        template: InstanceTemplate {
            metadata: ObjectMeta { labels: Some(labels), ..ObjectMeta::default() },
            spec: InstanceSpec {
                hostname: machine.vm.clone(),
                subdomain: machine.member.map(|_| names.service.clone()),
                affinity: machine.member.map(|_| apart(document)),
                termination_grace_period_seconds: hardware.termination_grace_period_seconds,
                readiness_probe,
                domain: Domain {
                    cpu,
                    memory,
                    devices: Devices {
                        disks,
                        filesystems,
                        interfaces: vec![Interface { name: "default", masquerade: Empty {}, ports: ports(document) }],
                        rng: Empty {},
                    },
                },
                networks: vec![Network { name: "default", pod: Empty {} }],
                volumes,
            },
        },
    }
}

fn drives(
    document: &Document,
    names: &Names,
    machine: &MachineNames,
    root: VolumeSource,
    user_data: UserData,
) -> Vec<Drive> {
    let disk = |name: &str, serial, source| Drive { name: name.to_owned(), target: Target::Disk { serial }, source };
    // First, since the firmware boots from the first disk.
    let mut drives = vec![disk(ROOT_DISK, None, root)];
    if document.spec.has_data_disk() {
        let claim = PersistentVolumeClaimVolumeSource {
            claim_name: machine.data.clone(),
            ..PersistentVolumeClaimVolumeSource::default()
        };
        drives.push(disk(DATA_DISK, Some(machine.data_serial.clone()), VolumeSource::PersistentVolumeClaim(claim)));
    }
    drives.push(Drive {
        name: names.certificate_volume.clone(),
        target: match document.spec.delivery {
            Delivery::Disk => Target::Disk { serial: Some(machine.certificate_serial.clone()) },
            Delivery::Filesystem => Target::Filesystem,
        },
        source: VolumeSource::Secret { secret_name: document.spec.certificate.secret_name.clone() },
    });
    if let Some((_, Membership::KeyFile(key))) = document.replica_set() {
        let source = VolumeSource::Secret { secret_name: key.secret_name.clone() };
        drives.push(disk(KEYFILE_DISK, Some(machine.keyfile_serial.clone()), source));
    }
    drives.push(disk(CLOUD_INIT, None, VolumeSource::CloudInitNoCloud(NoCloud { user_data })));
    drives
}

/// Members on one node would fall with it. Only a wish: a small cluster has no more nodes.
fn apart(document: &Document) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(database_selector(document)),
            ..LabelSelector::default()
        }),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                weight: 100,
                pod_affinity_term: term,
            }]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn ports(document: &Document) -> Vec<Port> {
    let database = &document.spec.database;
    let Some(port) = database.port() else {
        // What the program listens on is not known here: all ports are forwarded.
        return Vec::new();
    };
    let mut ports = vec![Port { name: port_name(database), port, protocol: "TCP" }];
    if !document.spec.os.ssh_authorized_keys.is_empty() {
        ports.push(Port { name: "ssh", port: 22, protocol: "TCP" });
    }
    ports
}

/// What of the user's template KubeVirt does not know: merged it is all the same, since a later version may.
pub(crate) fn unknown_fields(document: &Document) -> Vec<String> {
    let template = Value::Mapping(document.spec.template.clone());
    let told = |field: At<Option<&str>>| {
        let meant = field.value.map_or(String::new(), |near| format!("; did you mean {near}?"));
        format!("spec.template.{}: is unknown to KubeVirt 1.9{meant}", shown(&field.path))
    };
    fields::unknown(&Node::root(&template)).into_iter().map(told).collect()
}
