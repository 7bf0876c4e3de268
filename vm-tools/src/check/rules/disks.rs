//! Serials of disks: what the guest sees of them, and whether it can tell them apart.

use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{At, Disk, Machine, Stream, Target};

/// What a virtio or SATA disk shows of its serial, in bytes (VIRTIO_BLK_ID_BYTES; ATA's serial number).
pub(super) const VISIBLE: usize = 20;
/// The longest that QEMU takes on SCSI, in bytes.
const MAX_SCSI: usize = 36;

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM001",
        name: "serial-too-long",
        severity: Severity::Error,
        summary: "a disk's serial is longer than what the guest sees of it",
        why: "KubeVirt admits 256 characters, but a virtio or SATA disk shows 20 bytes of them: the guest looks for a disk that is not \
              there under that name. QEMU refuses more than 36 on SCSI.",
        remedy: "Write a serial of at most 20 bytes, which is right on every bus.",
        check: too_long,
    },
    Rule {
        id: "TVM002",
        name: "serial-characters",
        severity: Severity::Error,
        summary: "a disk's serial has a character that KubeVirt does not admit",
        why: "KubeVirt's admission refuses the machine; udev would replace the character anyway.",
        remedy: "Use only A-Z, a-z, 0-9, _, ., + and -.",
        check: characters,
    },
    Rule {
        id: "TVM003",
        name: "serial-twice",
        severity: Severity::Error,
        summary: "two disks of a machine show the guest the same serial",
        why: "The name under /dev/disk/by-id goes to either of them, and not to the same one at every boot.",
        remedy: "Give each disk a serial of its own, different within its first 20 bytes.",
        check: twice,
    },
    Rule {
        id: "TVM004",
        name: "serial-within-serial",
        severity: Severity::Warning,
        summary: "a disk's serial is the beginning or the end of another's",
        why: "A look-up by pattern (`grep SERIAL`, `*-SERIAL`) finds both disks. It need not stand in this user data: somebody will \
              type it.",
        remedy: "Choose serials of which none begins or ends another.",
        check: within,
    },
    Rule {
        id: "TVM005",
        name: "serial-without-bus",
        severity: Severity::Warning,
        summary: "a disk has a serial but names no bus",
        why: "The bus is part of the name under /dev/disk/by-id. Left open it is SATA on amd64, virtio on arm64 and s390x, or what a \
              preference says.",
        remedy: "Write `bus: virtio` beneath `disk`.",
        check: without_bus,
    },
    Rule {
        id: "TVM006",
        name: "serial-on-cdrom-or-lun",
        severity: Severity::Error,
        summary: "a CD-ROM or LUN has a serial",
        why: "KubeVirt sets serials of `disk` only and drops this one without a word.",
        remedy: "Make it a `disk`, or leave the serial out and do not look for it.",
        check: not_a_disk,
    },
    Rule {
        id: "TVM016",
        name: "secret-disk-without-serial",
        severity: Severity::Warning,
        summary: "a disk that carries a Secret has no serial",
        why: "Device letters follow the order of disks on a bus, which the next disk changes; without a serial the guest can only guess.",
        remedy: "Give the disk a serial of at most 20 bytes, and look for it under /dev/disk/by-id.",
        check: secret_without_serial,
    },
];

fn serials(stream: &Stream) -> impl Iterator<Item = (&Machine, &Disk, &At<String>)> {
    stream.machines.iter().flat_map(|machine| {
        let disks = machine.disks.iter().filter(|disk| disk.target == Target::Disk);
        disks.filter_map(move |disk| Some((machine, disk, disk.serial.as_ref()?)))
    })
}

/// What the guest sees of a disk's serial.
pub(super) fn visible(disk: &Disk) -> Option<&str> {
    let serial = disk.serial.as_ref().filter(|_| disk.target == Target::Disk)?;
    let limit = if disk.bus.as_deref() == Some("scsi") { MAX_SCSI } else { VISIBLE };
    let end = (0..=limit.min(serial.value.len())).rev().find(|end| serial.value.is_char_boundary(*end))?;
    serial.value.get(..end)
}

fn too_long(stream: &Stream, found: &mut Findings) {
    for (machine, disk, serial) in serials(stream) {
        let (length, seen) = (serial.value.len(), visible(disk).unwrap_or_default());
        if seen.len() < length {
            let message = match disk.bus.as_deref() {
                Some("scsi") => {
                    format!("{} has {length} bytes, and QEMU refuses more than {MAX_SCSI}", quoted(&serial.value))
                }
                _ => format!("{} has {length} bytes, and the guest sees {}", quoted(&serial.value), quoted(seen)),
            };
            found.add(&machine.meta, &serial.path, message);
        }
    }
}

fn characters(stream: &Stream, found: &mut Findings) {
    for (machine, _, serial) in serials(stream) {
        if let Some(bad) = serial.value.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.+-".contains(*c))) {
            found.add(&machine.meta, &serial.path, format!("{} has the character {bad:?}", quoted(&serial.value)));
        }
    }
}

/// Pairs of a machine's disks with what is visible of their serials; the later one first.
fn pairs(machine: &Machine) -> impl Iterator<Item = [(&Disk, &str); 2]> {
    let seen: Vec<_> = machine.disks.iter().filter_map(|disk| Some((disk, visible(disk)?))).collect();
    let pairs: Vec<_> = seen
        .iter()
        .enumerate()
        .flat_map(|(i, later)| seen[..i].iter().map(move |earlier| [*later, *earlier]))
        .collect();
    pairs.into_iter()
}

fn twice(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for [(later, serial), (earlier, other)] in pairs(machine) {
            if serial == other {
                let message = format!("the guest sees {}, as of the disk {}", quoted(serial), quoted(&earlier.name));
                found.add(&machine.meta, format!("{}.serial", later.path), message);
            }
        }
    }
}

fn within(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for [a, b] in pairs(machine) {
            let (short, long) = if a.1.len() < b.1.len() { (a, b) } else { (b, a) };
            let where_found = match () {
                () if short.1 == long.1 => continue,
                () if long.1.starts_with(short.1) => "beginning",
                () if long.1.ends_with(short.1) => "end",
                () => continue,
            };
            let message = format!(
                "{} is the {where_found} of {} of the disk {}",
                quoted(short.1),
                quoted(long.1),
                quoted(&long.0.name)
            );
            found.add(&machine.meta, format!("{}.serial", short.0.path), message);
        }
    }
}

fn without_bus(stream: &Stream, found: &mut Findings) {
    for (machine, disk, serial) in serials(stream) {
        if disk.bus.is_none() {
            let filled = if machine.preference { ", and a preference may fill it in" } else { "" };
            let message = format!("the disk with serial {} names no bus{filled}", quoted(&serial.value));
            found.add(&machine.meta, &disk.path, message);
        }
    }
}

fn not_a_disk(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for disk in &machine.disks {
            let target = match disk.target {
                Target::Disk => continue,
                Target::Cdrom => "a CD-ROM",
                Target::Lun => "a LUN",
            };
            if let Some(serial) = &disk.serial {
                found.add(&machine.meta, &serial.path, format!("{} is of {target}", quoted(&serial.value)));
            }
        }
    }
}

fn secret_without_serial(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for (volume, secret) in machine.secret_volumes() {
            if let Some(disk) =
                machine.disk_of(volume).filter(|disk| disk.target == Target::Disk && disk.serial.is_none())
            {
                found.add(
                    &machine.meta,
                    &disk.path,
                    format!("carries the Secret {} without a serial", quoted(&secret.value)),
                );
            }
        }
    }
}
