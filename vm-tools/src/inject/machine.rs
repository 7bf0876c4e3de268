//! The machine's part: a volume with the Secret, and the disk or filesystem that shows it to the guest.

use std::collections::BTreeSet;

use serde_yaml::Value;

use super::bundle::{Bundle, Object};
use super::{CLOUD_INIT, Delivery, InjectError, Options, VOLUME, map};
use crate::yaml_edit::{EditError, Step};

/// Lists below the instance's spec that hold what is added.
const LISTS: [&[&str]; 3] = [&["domain", "devices", "disks"], &["domain", "devices", "filesystems"], &["volumes"]];

/// Adds volume and disk or filesystem.
pub(super) fn add(bundle: &mut Bundle, machine: &Object, options: &Options) -> Result<(), InjectError> {
    let (list, entry) = match options.delivery {
        Delivery::Disk => {
            let entry = [("name", VOLUME.into()), ("disk", virtio()), ("serial", options.serial.as_str().into())];
            (LISTS[0], map(entry))
        }
        Delivery::Filesystem => (LISTS[1], map([("name", VOLUME.into()), ("virtiofs", map([]))])),
    };
    append(bundle, machine, list, &entry)?;
    let secret = map([("secretName", options.secret.as_str().into())]);
    append(bundle, machine, LISTS[2], &map([("name", VOLUME.into()), ("secret", secret)]))
}

/// Writes out the disks that KubeVirt makes of volumes that are neither a disk nor a filesystem: it appends them, so ours would
/// stand before them, and without a `bootOrder` the guest boots from the first. Source: KubeVirt's `SetDefaultVolumeDisk`, which
/// appends one for a volume of any kind, and gives it no more than the name. In a manifest that has lost its comments they stay
/// after [`unwrite_implicit`], where they mean the same.
pub(super) fn write_implicit(bundle: &mut Bundle, machine: &Object) -> Result<(), InjectError> {
    let disks = entries(bundle, machine, LISTS[0]);
    let Some(at) = disks.iter().position(|disk| name(disk).is_some_and(|name| [VOLUME, CLOUD_INIT].contains(&name)))
    else {
        return Ok(());
    };
    let attached: BTreeSet<_> = disks.iter().chain(entries(bundle, machine, LISTS[1])).filter_map(name).collect();
    // What a memory dump is written into is no drive of the guest's.
    let volumes = entries(bundle, machine, LISTS[2]).iter().filter(|volume| volume.get("memoryDump").is_none());
    let implicit = volumes.filter_map(name).filter(|name| !attached.contains(name)).map(implicit);
    let path = path(machine, LISTS[0]);
    for (offset, disk) in implicit.collect::<Vec<_>>().iter().enumerate() {
        edit(bundle, machine, |editor| editor.insert(&path, at + offset, disk))?;
    }
    Ok(())
}

/// Takes away what [`write_implicit`] wrote and nobody has written on since.
pub(super) fn unwrite_implicit(bundle: &mut Bundle, machine: &Object) -> Result<(), InjectError> {
    for (index, disk) in entries(bundle, machine, LISTS[0]).to_vec().iter().enumerate().rev() {
        let mut path = path(machine, LISTS[0]);
        path.push(index.into());
        let untouched = name(disk).is_some_and(|name| *disk == implicit(name));
        if untouched && bundle.editor(machine).is_made(&path) {
            edit(bundle, machine, |editor| editor.remove(&path))?;
        }
    }
    Ok(())
}

/// A disk that says what KubeVirt would say of a volume: a preference fills in the bus of this one as well.
fn implicit(name: &str) -> Value {
    map([("name", name.into()), ("disk", map([]))])
}

fn name(entry: &Value) -> Option<&str> {
    entry.get("name").and_then(Value::as_str)
}

/// Whether there is an injection: each has its volume.
pub(super) fn is_injected(bundle: &Bundle, machine: &Object) -> bool {
    let ours = |volume: &Value| name(volume) == Some(VOLUME) && volume.get("secret").is_some();
    entries(bundle, machine, LISTS[2]).iter().any(ours)
}

/// That the machine has an instance's spec.
pub(super) fn is_whole(bundle: &Bundle, machine: &Object) -> Result<(), InjectError> {
    if bundle.get(machine, machine.instance()).is_none_or(Value::is_null) {
        return Err(InjectError::new(machine, &machine.instance().join("."), "is missing; give the machine whole"));
    }
    Ok(())
}

/// All that makes an injection into this machine pointless or dangerous.
pub(super) fn refused(bundle: &Bundle, machine: &Object, options: &Options) -> Vec<InjectError> {
    let mut problems = Vec::new();
    let mut refuse = |field: String, message: &str| problems.push(InjectError::new(machine, &field, message));
    let shared = ["spec", "nameGeneration", "appendIndexToSecretRefs"];
    if machine.kind == "VirtualMachinePool" && bundle.get(machine, &shared).and_then(Value::as_bool) == Some(true) {
        refuse(shared.join("."), "gives each VM Secrets of its own; set it to false");
    }
    let (volumes, disks) = (field(machine, LISTS[2]), field(machine, LISTS[0]));
    for (index, volume) in entries(bundle, machine, LISTS[2]).iter().enumerate() {
        if volume.get("sysprep").is_some() {
            refuse(
                format!("{volumes}[{index}]"),
                "is a sysprep volume: Windows has neither cloud-init nor systemd; give that guest the Secret by its own means",
            );
        }
        let named = volume.get("secret").and_then(|secret| secret.get("secretName")).and_then(Value::as_str);
        if named == Some(options.secret.as_str()) {
            let secret = &options.secret;
            refuse(
                format!("{volumes}[{index}]"),
                &format!("already brings the Secret {secret}; remove this volume and its disk"),
            );
        }
    }
    let serial = options.serial.as_str();
    for (index, disk) in entries(bundle, machine, LISTS[0]).iter().enumerate() {
        if options.delivery == Delivery::Disk && disk.get("serial").and_then(Value::as_str) == Some(serial) {
            refuse(format!("{disks}[{index}].serial"), &format!("is `{serial}` already; choose another with --serial"));
        }
    }
    problems
}

/// Takes away everything that has this name of ours.
pub(super) fn remove(bundle: &mut Bundle, machine: &Object, name: &str) -> Result<(), InjectError> {
    for list in LISTS.into_iter().rev() {
        let is_named = |entry: &Value| entry.get("name").and_then(Value::as_str) == Some(name);
        let entries = entries(bundle, machine, list);
        let Some(index) = entries.iter().position(is_named) else { continue };
        let other = |entry: &Value| ["secret", "cloudInitNoCloud"].iter().all(|ours| entry.get(ours).is_none());
        if list == LISTS[2] && entries.get(index).is_some_and(other) {
            let field = format!("{}[{index}].name", field(machine, list));
            return Err(InjectError::new(
                machine,
                &field,
                format!("`{name}` is a name of tandem-vm's; choose another"),
            ));
        }
        let mut path = path(machine, list);
        path.push(index.into());
        edit(bundle, machine, |editor| editor.remove(&path))?;
    }
    Ok(())
}

/// Adds a cloud-init volume whose user data is in a Secret, and its disk.
pub(super) fn add_cloud_init(bundle: &mut Bundle, machine: &Object, secret: &str) -> Result<(), InjectError> {
    append(bundle, machine, LISTS[0], &map([("name", CLOUD_INIT.into()), ("disk", virtio())]))?;
    let source = map([("secretRef", map([("name", secret.into())]))]);
    append(bundle, machine, LISTS[2], &map([("name", CLOUD_INIT.into()), ("cloudInitNoCloud", source)]))
}

fn virtio() -> Value {
    map([("bus", "virtio".into())])
}

/// The fields that lead to the source of the machine's cloud-init, if it has one.
pub(super) fn cloud_init(bundle: &Bundle, machine: &Object) -> Result<Option<Vec<Step>>, InjectError> {
    let mut found = None;
    for (index, volume) in entries(bundle, machine, LISTS[2]).iter().enumerate() {
        for source in ["cloudInitNoCloud", "cloudInitConfigDrive"] {
            let Some(fields) = volume.get(source) else { continue };
            let refused = |message: &str| {
                let field = format!("{}[{index}].{source}", field(machine, LISTS[2]));
                Err(InjectError::new(machine, &field, message))
            };
            let given = ["userData", "userDataBase64", "secretRef"];
            let given: Vec<_> = given.iter().filter_map(|key| fields.get(key)).filter(|data| !data.is_null()).collect();
            if given.len() > 1 {
                return refused(
                    "has several of userData, userDataBase64 and secretRef; KubeVirt admits one; keep that which is meant",
                );
            }
            if given.iter().any(|data| !data.is_string() && !data.is_mapping()) {
                return refused("has user data that is no text; write it as a block with |");
            }
            if found.is_some() {
                return refused("is a second cloud-init volume; keep one");
            }
            let mut path = path(machine, LISTS[2]);
            path.extend([index.into(), source.into()]);
            found = Some(path);
        }
    }
    Ok(found)
}

pub(super) fn edit(
    bundle: &mut Bundle,
    object: &Object,
    change: impl FnOnce(&mut crate::yaml_edit::Editor) -> Result<(), EditError>,
) -> Result<(), InjectError> {
    change(bundle.editor_mut(object)).map_err(|error| InjectError::edit(object, "", error))
}

fn path(machine: &Object, list: &[&str]) -> Vec<Step> {
    machine.path(&[machine.instance(), list].concat())
}

/// The path as messages show it, without a List's entry, which is in the object's place.
fn field(machine: &Object, list: &[&str]) -> String {
    [machine.instance(), list].concat().join(".")
}

fn entries<'b>(bundle: &'b Bundle, machine: &Object, list: &[&str]) -> &'b [Value] {
    let found = bundle.get(machine, &[machine.instance(), list].concat());
    found.and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
}

fn append(bundle: &mut Bundle, machine: &Object, list: &[&str], entry: &Value) -> Result<(), InjectError> {
    let path = path(machine, list);
    edit(bundle, machine, |editor| editor.append(&path, entry))
}
