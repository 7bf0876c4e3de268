//! What KubeVirt refuses, or takes otherwise than it was meant: volumes and what attaches them, and when a machine runs.

use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{Stream, Target, VolumeSource};

/// Longest label of a volume's ISO, in characters: xorrisofs fails on more.
const MAX_LABEL: usize = 32;
/// Longest tag of a virtiofs filesystem, in bytes (virtio 1.2, 5.11.4).
const MAX_TAG: usize = 36;

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM007",
        name: "volume-attached-twice",
        severity: Severity::Error,
        summary: "a volume is both a disk and a filesystem",
        why: "KubeVirt's admission refuses the machine: a volume is attached in one way.",
        remedy: "Keep the disk (found by serial, as it was when the machine started) or the filesystem (virtiofs, follows the Secret).",
        check: attached_twice,
    },
    Rule {
        id: "TVM008",
        name: "volume-not-attached",
        severity: Severity::Warning,
        summary: "a volume is neither a disk nor a filesystem",
        why: "KubeVirt then makes it a disk of its own choice: on the default bus, last in order, without a serial to find it by.",
        remedy: "Add a disk of the volume's name: of cloud-init's with a bus, of any other with bus and serial. A Secret may be a filesystem \
                 of its name instead.",
        check: not_attached,
    },
    Rule {
        id: "TVM009",
        name: "disk-without-volume",
        severity: Severity::Error,
        summary: "a disk or filesystem has no volume",
        why: "Both find their volume by name; KubeVirt's admission refuses the machine.",
        remedy: "Write the volume's name, or add the volume.",
        check: without_volume,
    },
    Rule {
        id: "TVM010",
        name: "volume-label-too-long",
        severity: Severity::Error,
        summary: "a volumeLabel is longer than an ISO takes",
        why: "The ISO is made when the machine starts: that fails, and so the machine does not start.",
        remedy: "Write a label of at most 32 characters, or leave it out: the disk is found by its serial.",
        check: label,
    },
    Rule {
        id: "TVM011",
        name: "filesystem-tag-too-long",
        severity: Severity::Error,
        summary: "the name of a filesystem is longer than a virtiofs tag",
        why: "The name is the tag by which the guest mounts the filesystem, and virtio has 36 bytes for it.",
        remedy: "Give volume and filesystem a name of at most 36 bytes.",
        check: tag,
    },
    Rule {
        id: "TVM012",
        name: "secret-volume-of-a-pod",
        severity: Severity::Error,
        summary: "a machine's Secret volume has a field that only pods have",
        why: "KubeVirt's Secret volume knows secretName, optional and volumeLabel: the disk holds all keys, as 0644. A strict API server \
              refuses the field, another drops it.",
        remedy: "Leave it out; the guest installs the files that it needs with the mode that they need.",
        check: foreign_fields,
    },
    Rule {
        id: "TVM013",
        name: "running-deprecated",
        severity: Severity::Warning,
        summary: "a machine has the deprecated field `running`",
        why: "runStrategy says the same and more; KubeVirt has deprecated the other.",
        remedy: "Write `runStrategy: Always` for true, `runStrategy: Halted` for false.",
        check: running,
    },
    Rule {
        id: "TVM014",
        name: "running-and-run-strategy",
        severity: Severity::Error,
        summary: "a machine has both `running` and `runStrategy`",
        why: "They exclude each other: KubeVirt's admission refuses the machine.",
        remedy: "Keep runStrategy.",
        check: running_twice,
    },
    Rule {
        id: "TVM015",
        name: "instancetype-and-resources",
        severity: Severity::Error,
        summary: "a machine has an instance type and cpu or memory of its own",
        why: "The instance type sets them, and KubeVirt's admission refuses the conflict.",
        remedy: "Leave cpu and memory out, or the instance type.",
        check: instancetype,
    },
    Rule {
        id: "TVM017",
        name: "secret-volume-optional",
        severity: Severity::Note,
        summary: "a machine starts without its certificate",
        why: "With `optional: true` a machine that is started before cert-manager has issued gets an empty disk, and keeps it until it is \
              started anew.",
        remedy: "Leave `optional` out: KubeVirt then waits for the Secret.",
        check: optional,
    },
    Rule {
        id: "TVM018",
        name: "unknown-field",
        severity: Severity::Warning,
        summary: "KubeVirt knows no such field",
        why: "The API server passes over it or refuses the machine; what was meant by it does not happen. Looked at are the spec, the \
              instance's, domain, cpu, memory, devices, disks, filesystems, interfaces, networks and volumes, as KubeVirt 1.9 has them.",
        remedy: "Correct its name, or ask the cluster: `kubectl apply --dry-run=server --validate=strict`.",
        check: unknown_field,
    },
];

fn attached_twice(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for volume in &machine.volumes {
            if let (Some(disk), Some(filesystem)) = (machine.disk_of(volume), machine.filesystem_of(volume)) {
                let message = format!("{} is also {}", quoted(&volume.name), disk.path);
                found.add(&machine.meta, &filesystem.path, message);
            }
        }
    }
}

fn not_attached(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for volume in &machine.volumes {
            let attached = machine.disk_of(volume).is_some() || machine.filesystem_of(volume).is_some();
            // What KubeVirt writes into, and never shows the guest.
            let hidden = matches!(&volume.source, VolumeSource::Other(field) if field == "memoryDump");
            if !attached && !hidden {
                found.add(
                    &machine.meta,
                    &volume.path,
                    format!("no disk or filesystem is called {}", quoted(&volume.name)),
                );
            }
        }
    }
}

fn without_volume(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        let has = |name: &str| machine.volumes.iter().any(|volume| volume.name == name);
        // A CD-ROM may be empty.
        let disks =
            machine.disks.iter().filter(|disk| disk.target != Target::Cdrom).map(|disk| (&disk.path, &disk.name));
        let filesystems = machine.filesystems.iter().map(|filesystem| (&filesystem.path, &filesystem.name));
        for (path, name) in disks.chain(filesystems).filter(|(_, name)| !has(name)) {
            found.add(&machine.meta, path, format!("no volume is called {}", quoted(name)));
        }
    }
}

fn label(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for volume in &machine.volumes {
            if let VolumeSource::Secret { label: Some(label), .. } | VolumeSource::ConfigMap { label: Some(label) } =
                &volume.source
            {
                let length = label.value.chars().count();
                if length > MAX_LABEL {
                    found.add(&machine.meta, &label.path, format!("{} has {length} characters", quoted(&label.value)));
                }
            }
        }
    }
}

fn tag(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for filesystem in &machine.filesystems {
            let length = filesystem.name.len();
            if length > MAX_TAG {
                found.add(&machine.meta, &filesystem.path, format!("{} has {length} bytes", quoted(&filesystem.name)));
            }
        }
    }
}

fn foreign_fields(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for volume in &machine.volumes {
            let VolumeSource::Secret { foreign, .. } = &volume.source else { continue };
            for path in foreign {
                found.add(&machine.meta, path, "is a field of a pod's Secret volume");
            }
        }
    }
}

fn running(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        if let (Some(running), None) = (&machine.running, &machine.run_strategy) {
            found.add(&machine.meta, &running.path, format!("is {}", running.value));
        }
    }
}

fn running_twice(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        if let (Some(running), Some(strategy)) = (&machine.running, &machine.run_strategy) {
            let message = format!("is {}, and {} is {}", running.value, strategy.path, quoted(&strategy.value));
            found.add(&machine.meta, &running.path, message);
        }
    }
}

fn instancetype(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        let Some(instancetype) = &machine.instancetype else { continue };
        for path in &machine.resources {
            found.add(&machine.meta, path, format!("stands beside the instance type {}", quoted(&instancetype.value)));
        }
    }
}

fn optional(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for volume in &machine.volumes {
            if let VolumeSource::Secret { name: Some(name), optional: true, .. } = &volume.source {
                let message = format!("the machine starts even if there is no Secret {}", quoted(&name.value));
                found.add(&machine.meta, format!("{}.secret.optional", volume.path), message);
            }
        }
    }
}

fn unknown_field(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for field in &machine.unknown {
            let meant = field.value.map_or(String::new(), |near| format!("; did you mean {near}?"));
            found.add(&machine.meta, &field.path, format!("is unknown to KubeVirt{meant}"));
        }
    }
}
