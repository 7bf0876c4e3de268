//! The machine's part: a volume with the Secret, and the disk or filesystem that shows it to the guest.

use std::collections::BTreeSet;

use serde_yaml::Value;

use super::bundle::{Bundle, Object};
use super::secret;
use super::{CLOUD_INIT, Delivery, InjectError, Options, VOLUME, map};
use crate::yaml_edit::{EditError, Step};

/// Lists below the instance's spec that hold what is added.
const LISTS: [&[&str]; 3] = [&["domain", "devices", "disks"], &["domain", "devices", "filesystems"], &["volumes"]];

/// What is written into one of the [`LISTS`] under a name of ours; `own` is a disk's serial, or the name of a volume's Secret.
fn ours(list: &[&str], name: &str, own: &str) -> Value {
    let virtio = ("disk", map([("bus", "virtio".into())]));
    let fields = match (list, name) {
        ([.., "disks"], VOLUME) => vec![virtio, ("serial", own.into())],
        ([.., "disks"], _) => vec![virtio],
        ([.., "filesystems"], _) => vec![("virtiofs", map([]))],
        (_, VOLUME) => vec![("secret", map([("secretName", own.into())]))],
        _ => vec![("cloudInitNoCloud", map([("secretRef", map([("name", own.into())]))]))],
    };
    map([("name", name.into())].into_iter().chain(fields))
}

/// The first field of an entry that we would not have written into this list.
fn foreign(list: &[&str], name: &str, entry: &Value) -> Option<String> {
    let own: [&[&str]; 3] = [&["serial"], &["secret", "secretName"], &["cloudInitNoCloud", "secretRef", "name"]];
    let value = |path: &[&str]| path.iter().try_fold(entry, |value, key| value.get(key)).and_then(Value::as_str);
    more(entry, &ours(list, name, own.into_iter().find_map(value).unwrap_or_default()))
}

/// The first field that one value has beyond another, or otherwise.
fn more(found: &Value, known: &Value) -> Option<String> {
    found.as_mapping()?.iter().find_map(|(key, value)| {
        let key = key.as_str()?;
        match known.get(key) {
            Some(same) if same == value => None,
            Some(other) => Some(more(value, other).map_or_else(|| key.to_owned(), |rest| format!("{key}.{rest}"))),
            None => Some(key.to_owned()),
        }
    })
}

/// Adds volume and disk or filesystem.
pub(super) fn add(bundle: &mut Bundle, machine: &Object, options: &Options) -> Result<(), InjectError> {
    let list = match options.delivery {
        Delivery::Disk => LISTS[0],
        Delivery::Filesystem => LISTS[1],
    };
    append(bundle, machine, list, &ours(list, VOLUME, &options.serial))?;
    append(bundle, machine, LISTS[2], &ours(LISTS[2], VOLUME, &options.secret))
}

/// How many disks are written.
pub(super) fn disks(bundle: &Bundle, machine: &Object) -> usize {
    entries(bundle, machine, LISTS[0]).len()
}

/// Writes out the disks that KubeVirt makes of volumes that are neither a disk nor a filesystem, behind the `at` disks that were there
/// before ours: KubeVirt appends them, so ours would stand before them, and without a `bootOrder` the guest boots from the first.
/// Source: KubeVirt's `SetDefaultVolumeDisk`, which appends one for a volume of any kind, and gives it no more than the name. In a
/// manifest that has lost its comments they stay after [`unwrite_implicit`], where they mean the same.
pub(super) fn write_implicit(bundle: &mut Bundle, machine: &Object, at: usize) -> Result<(), InjectError> {
    let [disks, filesystems, volumes] = LISTS.map(|list| entries(bundle, machine, list));
    if disks.len() == at {
        return Ok(());
    }
    let attached: BTreeSet<_> = disks.iter().chain(&filesystems).filter_map(name).collect();
    // What a memory dump is written into is no drive of the guest's.
    let volumes = volumes.iter().filter(|volume| volume.get("memoryDump").is_none());
    let implicit = volumes.filter_map(name).filter(|name| !attached.contains(name)).map(implicit);
    let path = path(machine, LISTS[0]);
    for (offset, disk) in implicit.collect::<Vec<_>>().iter().enumerate() {
        edit(bundle, machine, |editor| editor.insert(&path, at + offset, disk))?;
    }
    Ok(())
}

/// Takes away what [`write_implicit`] wrote and nobody has written on since, once ours are gone. Before a disk that stays they stay as
/// well: KubeVirt would append them behind it.
pub(super) fn unwrite_implicit(bundle: &mut Bundle, machine: &Object) -> Result<(), InjectError> {
    for (index, disk) in entries(bundle, machine, LISTS[0]).iter().enumerate().rev() {
        let path = entry(machine, LISTS[0], index);
        let untouched = name(disk).is_some_and(|name| *disk == implicit(name));
        if !untouched || !bundle.editor(machine).is_made(&path) {
            break;
        }
        edit(bundle, machine, |editor| editor.remove(&path))?;
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

/// What is said of a guest that cannot read what is written here.
const WINDOWS: &str = "Windows has neither cloud-init nor systemd; give that guest the Secret by its own means";

/// The fields that lead to the name of a machine's preference, where it can have one. Those that KubeVirt comes with are called
/// by the guest's system: `windows.11`, `windows.2k22`.
fn preference(machine: &Object) -> Option<Vec<&'static str>> {
    let [outer @ .., "template", "spec"] = machine.instance() else { return None };
    Some([outer, &["preference", "name"]].concat())
}

/// All that makes an injection into this machine pointless or dangerous.
pub(super) fn refused(bundle: &Bundle, machine: &Object, options: &Options) -> Vec<InjectError> {
    let mut problems = Vec::new();
    let mut refuse = |field: String, message: &str| problems.push(InjectError::new(machine, &field, message));
    let shared = ["spec", "nameGeneration", "appendIndexToSecretRefs"];
    if machine.kind == "VirtualMachinePool" && bundle.get(machine, &shared).and_then(Value::as_bool) == Some(true) {
        refuse(shared.join("."), "gives each VM Secrets of its own; set it to false");
    }
    if let Some(preference) = preference(machine).filter(|path| {
        let name = bundle.get(machine, path).and_then(Value::as_str);
        name.is_some_and(|name| name.split('.').next() == Some("windows"))
    }) {
        refuse(preference.join("."), &format!("is for Windows guests: {WINDOWS}"));
    }
    let (volumes, disks) = (field(machine, LISTS[2]), field(machine, LISTS[0]));
    for (index, volume) in entries(bundle, machine, LISTS[2]).iter().enumerate() {
        if volume.get("sysprep").is_some() {
            refuse(format!("{volumes}[{index}]"), &format!("is a sysprep volume: {WINDOWS}"));
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

/// Takes away what has this name of ours. Where there is no injection, what has it and no mark is somebody else's.
pub(super) fn remove(bundle: &mut Bundle, machine: &Object, name: &str, injected: bool) -> Result<(), InjectError> {
    for list in LISTS.into_iter().rev() {
        let Some((index, found)) = called(bundle, machine, list, name) else { continue };
        let path = entry(machine, list, index);
        if !injected && !bundle.editor(machine).is_made(&path) {
            return Err(taken(machine, &path, name));
        }
        if let Some(more) = foreign(list, name, &found) {
            let field = format!("{}[{index}].{more}", field(machine, list));
            let why = "is not what tandem-vm wrote there, and would go with the rest; take it out, or give volume and disk another name";
            return Err(InjectError::new(machine, &field, why));
        }
        edit(bundle, machine, |editor| editor.remove(&path))?;
    }
    Ok(())
}

/// The entry of a list that has this name.
fn called(bundle: &Bundle, machine: &Object, list: &[&str], wanted: &str) -> Option<(usize, Value)> {
    entries(bundle, machine, list).into_iter().enumerate().find(|(_, entry)| name(entry) == Some(wanted))
}

/// The entry at a path is the user's, and could not be told from one of ours.
pub(super) fn taken(machine: &Object, entry: &[Step], name: &str) -> InjectError {
    let field = secret::field(machine, &[entry, &["name".into()]].concat());
    InjectError::new(machine, &field, format!("`{name}` is a name of tandem-vm's; choose another"))
}

/// Adds a cloud-init volume whose user data is in a Secret, and its disk.
pub(super) fn add_cloud_init(bundle: &mut Bundle, machine: &Object, secret: &str) -> Result<(), InjectError> {
    for list in LISTS.into_iter().rev() {
        if let Some((index, _)) = called(bundle, machine, list, CLOUD_INIT) {
            return Err(taken(machine, &entry(machine, list, index), CLOUD_INIT));
        }
    }
    [LISTS[0], LISTS[2]].into_iter().try_for_each(|list| append(bundle, machine, list, &ours(list, CLOUD_INIT, secret)))
}

/// Whether a volume is as [`add_cloud_init`] writes it, and nobody has added to it.
pub(super) fn is_added_cloud_init(volume: &Value) -> bool {
    name(volume) == Some(CLOUD_INIT) && foreign(LISTS[2], CLOUD_INIT, volume).is_none()
}

/// Sources of cloud-init, as volumes name them.
const SOURCES: [&str; 2] = ["cloudInitNoCloud", "cloudInitConfigDrive"];

/// The Secret that the machine names for its user data.
pub(super) fn user_data_secret(bundle: &Bundle, machine: &Object) -> Option<String> {
    let volumes = entries(bundle, machine, LISTS[2]);
    let mut sources = volumes.iter().flat_map(|volume| SOURCES.iter().filter_map(|source| volume.get(source)));
    sources.find_map(|source| source.get("secretRef")?.get("name")?.as_str().map(str::to_owned))
}

/// The fields that lead to the source of the machine's cloud-init, if it has one.
pub(super) fn cloud_init(bundle: &Bundle, machine: &Object) -> Result<Option<Vec<Step>>, InjectError> {
    let mut found = None;
    for (index, volume) in entries(bundle, machine, LISTS[2]).iter().enumerate() {
        for source in SOURCES {
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
            found = Some([entry(machine, LISTS[2], index), vec![source.into()]].concat());
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

fn entry(machine: &Object, list: &[&str], index: usize) -> Vec<Step> {
    [path(machine, list), vec![index.into()]].concat()
}

/// The path as messages show it, without a List's entry, which is in the object's place.
fn field(machine: &Object, list: &[&str]) -> String {
    [machine.instance(), list].concat().join(".")
}

/// The entries of a list, with what is merged into them; an edit of those is refused.
fn entries(bundle: &Bundle, machine: &Object, list: &[&str]) -> Vec<Value> {
    let mut found = bundle.get(machine, &[machine.instance(), list].concat()).cloned().unwrap_or_default();
    // What `<<` has there and is no mapping stays as it is, for KubeVirt to refuse.
    found.apply_merge().ok();
    if let Value::Sequence(entries) = found { entries } else { Vec::new() }
}

fn append(bundle: &mut Bundle, machine: &Object, list: &[&str], entry: &Value) -> Result<(), InjectError> {
    let path = path(machine, list);
    edit(bundle, machine, |editor| editor.append(&path, entry))
}
