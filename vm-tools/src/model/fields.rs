//! The fields that KubeVirt knows, where one is easily misspelt: as of 1.9,
//! <https://kubevirt.io/api-reference/main/definitions.html#_v1_virtualmachinespec>. A later version may know more.

use tandem_cli::problem::nearest;

use super::{At, Node};

/// Paths within an instance's spec (`[]`: each entry of a list), and the fields there.
pub const INSTANCE: [(&str, &[&str]); 10] = [
    (
        "",
        &[
            "accessCredentials",
            "affinity",
            "architecture",
            "dnsConfig",
            "dnsPolicy",
            "domain",
            "evictionStrategy",
            "hostname",
            "livenessProbe",
            "networks",
            "nodeSelector",
            "priorityClassName",
            "readinessProbe",
            "resourceClaims",
            "schedulerName",
            "serviceAccountName",
            "startStrategy",
            "subdomain",
            "terminationGracePeriodSeconds",
            "tolerations",
            "topologySpreadConstraints",
            "utilityVolumes",
            "volumes",
        ],
    ),
    (
        "domain",
        &[
            "chassis",
            "clock",
            "cpu",
            "devices",
            "features",
            "firmware",
            "ioThreads",
            "ioThreadsPolicy",
            "launchSecurity",
            "machine",
            "memory",
            "rebootPolicy",
            "resources",
        ],
    ),
    (
        "domain.cpu",
        &[
            "cores",
            "dedicatedCpuPlacement",
            "features",
            "isolateEmulatorThread",
            "maxSockets",
            "model",
            "numa",
            "realtime",
            "sockets",
            "threads",
        ],
    ),
    ("domain.memory", &["guest", "hugepages", "maxGuest", "reservedOverhead"]),
    (
        "domain.devices",
        &[
            "autoattachGraphicsDevice",
            "autoattachInputDevice",
            "autoattachMemBalloon",
            "autoattachPodInterface",
            "autoattachSerialConsole",
            "autoattachVSOCK",
            "blockMultiQueue",
            "clientPassthrough",
            "disableHotplug",
            "disks",
            "downwardMetrics",
            "filesystems",
            "gpus",
            "hostDevices",
            "inputs",
            "interfaces",
            "logSerialConsole",
            "networkInterfaceMultiqueue",
            "panicDevices",
            "rng",
            "sound",
            "tpm",
            "useVirtioTransitional",
            "video",
            "watchdog",
        ],
    ),
    (
        "domain.devices.disks[]",
        &[
            "blockSize",
            "bootOrder",
            "cache",
            "cdrom",
            "changedBlockTracking",
            "dedicatedIOThread",
            "disk",
            "errorPolicy",
            "io",
            "lun",
            "name",
            "serial",
            "shareable",
            "tag",
        ],
    ),
    ("domain.devices.filesystems[]", &["name", "virtiofs"]),
    (
        "domain.devices.interfaces[]",
        &[
            "acpiIndex",
            "binding",
            "bootOrder",
            "bridge",
            "dhcpOptions",
            "macAddress",
            "macvtap",
            "masquerade",
            "model",
            "name",
            "passt",
            "passtBinding",
            "pciAddress",
            "portRanges",
            "ports",
            "slirp",
            "sriov",
            "state",
            "tag",
        ],
    ),
    ("networks[]", &["multus", "name", "pod", "resourceClaim"]),
    (
        "volumes[]",
        &[
            "cloudInitConfigDrive",
            "cloudInitNoCloud",
            "configMap",
            "containerDisk",
            "containerPath",
            "dataVolume",
            "downwardAPI",
            "downwardMetrics",
            "emptyDisk",
            "ephemeral",
            "hostDisk",
            "memoryDump",
            "name",
            "persistentVolumeClaim",
            "secret",
            "serviceAccount",
            "sysprep",
        ],
    ),
];

/// The same of a VirtualMachine's spec.
pub const MACHINE: [(&str, &[&str]); 2] = [
    (
        "",
        &[
            "dataVolumeTemplates",
            "instancetype",
            "preference",
            "runStrategy",
            "running",
            "template",
            "updateVolumesStrategy",
        ],
    ),
    ("template", &["metadata", "spec"]),
];

/// Fields of a VirtualMachine's spec that KubeVirt does not know, each with the one that was meant, if one is near.
#[must_use]
pub fn unknown(spec: &Node<'_>) -> Vec<At<Option<&'static str>>> {
    let instance = spec.get("template").get("spec");
    [among(spec, &MACHINE), among(&instance, &INSTANCE)].concat()
}

/// Whether an instance's spec has the field, which a VirtualMachine's easily gets one level too high.
pub(crate) fn is_of_instance(field: &str) -> bool {
    INSTANCE.iter().any(|(path, names)| path.is_empty() && names.contains(&field))
}

/// The same of an instance's spec.
pub(super) fn unknown_in_instance(spec: &Node<'_>) -> Vec<At<Option<&'static str>>> {
    among(spec, &INSTANCE)
}

fn among(spec: &Node<'_>, known: &[(&str, &[&'static str])]) -> Vec<At<Option<&'static str>>> {
    let mut all = Vec::new();
    for (path, names) in known {
        let (path, list) = path.strip_suffix("[]").map_or((*path, false), |path| (path, true));
        let node = path.split('.').filter(|key| !key.is_empty()).fold(spec.clone(), |node, key| node.get(key));
        let nodes = if list { node.items().collect() } else { vec![node] };
        for (key, field) in nodes.iter().flat_map(Node::fields) {
            // A directive of a merge, such as `$patch`, is no field.
            if !names.contains(&key) && !key.starts_with('$') {
                all.push(field.place(nearest(key, names.iter().copied())));
            }
        }
    }
    all
}
