//! The VirtualMachine. Disks that the guest must find carry a serial and stand on a named bus, because device letters
//! promise nothing.

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::kubevirt::{
    Cpu, Devices, Disk, DiskTarget, Domain, Empty, InstanceSpec, InstanceTemplate, Interface, Memory, Network, NoCloud,
    Port, Probe, UserData, VirtualMachine, VirtualMachineSpec, Volume, VolumeSource,
};
use super::metadata;
use crate::names::{MONGODB_PORT, Names, database_selector, with_common};
use crate::spec::Document;

/// A disk and its volume: one entry here, so that neither can be without the other.
struct Drive {
    name: &'static str,
    serial: Option<String>,
    source: VolumeSource,
}

pub(super) fn virtual_machine(document: &Document, names: &Names, user_data: UserData) -> VirtualMachine {
    let labels = with_common(document, database_selector(document));
    let machine = &document.spec.machine;
    let (disks, volumes) = drives(document, names, user_data).into_iter().map(attach).unzip();
    VirtualMachine {
        api_version: "kubevirt.io/v1",
        kind: "VirtualMachine",
        metadata: metadata(document, &names.vm, labels.clone()),
        spec: VirtualMachineSpec {
            run_strategy: machine.run_strategy,
            template: InstanceTemplate {
                metadata: ObjectMeta { labels: Some(labels), ..ObjectMeta::default() },
                spec: InstanceSpec {
                    hostname: names.vm.clone(),
                    termination_grace_period_seconds: machine.termination_grace_period_seconds,
                    // The first boot installs a database: no connection should come before it listens.
                    readiness_probe: Probe {
                        tcp_socket: TCPSocketAction {
                            port: IntOrString::Int(MONGODB_PORT.into()),
                            ..TCPSocketAction::default()
                        },
                        period_seconds: 10,
                    },
                    domain: Domain {
                        cpu: Cpu { cores: machine.cores },
                        memory: Memory { guest: Quantity(machine.memory.clone()) },
                        devices: Devices {
                            disks,
                            interfaces: vec![Interface {
                                name: "default",
                                masquerade: Empty {},
                                ports: ports(document),
                            }],
                            rng: Empty {},
                        },
                    },
                    networks: vec![Network { name: "default", pod: Empty {} }],
                    volumes,
                },
            },
        },
    }
}

fn drives(document: &Document, names: &Names, user_data: UserData) -> Vec<Drive> {
    vec![
        // First, since the firmware boots from the first disk.
        Drive {
            name: "root-disk",
            serial: None,
            source: VolumeSource::ContainerDisk { image: document.spec.os.image.clone() },
        },
        Drive {
            name: "data-disk",
            serial: Some(names.data_serial(document)),
            source: VolumeSource::PersistentVolumeClaim(PersistentVolumeClaimVolumeSource {
                claim_name: names.data.clone(),
                ..PersistentVolumeClaimVolumeSource::default()
            }),
        },
        Drive {
            name: "secret-disk",
            serial: Some(names.certificate_serial(document)),
            source: VolumeSource::Secret { secret_name: document.spec.certificate.secret_name.clone() },
        },
        Drive { name: "cloud-init", serial: None, source: VolumeSource::CloudInitNoCloud(NoCloud { user_data }) },
    ]
}

fn attach(drive: Drive) -> (Disk, Volume) {
    let disk = Disk { name: drive.name.to_owned(), disk: DiskTarget { bus: "virtio" }, serial: drive.serial };
    (disk, Volume { name: drive.name.to_owned(), source: drive.source })
}

fn ports(document: &Document) -> Vec<Port> {
    let mut ports = vec![Port { name: "mongodb", port: MONGODB_PORT, protocol: "TCP" }];
    if !document.spec.os.ssh_authorized_keys.is_empty() {
        ports.push(Port { name: "ssh", port: 22, protocol: "TCP" });
    }
    ports
}
