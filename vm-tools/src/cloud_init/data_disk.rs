//! What of the user's cloud-config would take the data disk, or its folder, for something else: cloud-init sees to filesystems and mounts
//! before the guest's own units do, and then one hides the other, or a disk is formatted that has data on it.

use std::path::Path;

use serde_yaml::{Mapping, Value};
use tandem_cli::{Problem, shown};

/// The data disk, as the guest finds it, and where it is mounted.
pub(super) struct DataDisk {
    pub(super) serial: String,
    pub(super) folder: String,
}

impl DataDisk {
    /// Of `mounts` (device, folder, …), `fs_setup` (mappings with a device) and `disk_setup` (by device):
    /// <https://docs.cloud-init.io/en/latest/reference/modules.html#disk-setup>.
    pub(super) fn problems(&self, more: &Mapping) -> Vec<Problem> {
        let mut problems = Vec::new();
        let entries = |key: &str| more.get(key).and_then(Value::as_sequence).into_iter().flatten().enumerate();
        for (i, mount) in entries("mounts") {
            let text = |at: usize| mount.get(at).and_then(Value::as_str);
            if let Some(device) = text(0).filter(|device| self.is(device)) {
                problems.push(of_device(format!("spec.cloudConfig.mounts[{i}][0]"), device));
            } else if let Some(folder) = text(1).filter(|folder| self.hides(folder)) {
                let message = format!(
                    "`{}` and the data disk, which is mounted on `{}`, would hide one another; choose another folder",
                    shown(folder),
                    self.folder
                );
                problems.push(Problem::new(format!("spec.cloudConfig.mounts[{i}][1]"), message));
            }
        }
        for (i, setup) in entries("fs_setup") {
            if let Some(device) = setup.get("device").and_then(Value::as_str).filter(|device| self.is(device)) {
                problems.push(of_device(format!("spec.cloudConfig.fs_setup[{i}].device"), device));
            }
        }
        let setups = more.get("disk_setup").and_then(Value::as_mapping).into_iter().flatten();
        for device in setups.filter_map(|(device, _)| device.as_str()).filter(|device| self.is(device)) {
            problems.push(of_device("spec.cloudConfig.disk_setup".to_owned(), device));
        }
        problems
    }

    /// Whether it is our disk, or a part of it.
    fn is(&self, device: &str) -> bool {
        let rest = device.trim().strip_prefix("/dev/disk/by-id/virtio-").and_then(|id| id.strip_prefix(&*self.serial));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("-part"))
    }

    /// Whether a mount there, above or below lies over our folder, or under it. The root is everybody's.
    fn hides(&self, folder: &str) -> bool {
        let (ours, theirs) = (Path::new(&self.folder), Path::new(folder.trim()));
        theirs.is_absolute() && theirs != Path::new("/") && (ours.starts_with(theirs) || theirs.starts_with(ours))
    }
}

fn of_device(field: String, device: &str) -> Problem {
    Problem::new(
        field,
        format!("`{}` is the data disk, which tandem-vm formats and mounts; leave it out", shown(device)),
    )
}
