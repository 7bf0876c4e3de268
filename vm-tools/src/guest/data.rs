//! The data disk in the guest: formatted if it is empty, mounted, and given to the database's user.

use std::fmt::Write as _;

use super::settings::{self, Settings};
use super::{GuestError, WriteFile};
use crate::values::VIRTIO_SERIAL;

const PROGRAM: &str = "/usr/local/sbin/tandem-data";

const SCRIPT: &str = concat!(
    include_str!("scripts/data-head.sh"),
    include_str!("scripts/common.sh"),
    include_str!("scripts/data-usage.sh"),
    include_str!("scripts/settings.sh"),
    include_str!("scripts/disk.sh"),
    include_str!("scripts/data-main.sh"),
);

/// A data disk on the virtio bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestData {
    /// The disk's serial in the VirtualMachine: at most 20 bytes.
    pub serial: String,
    /// What is put on the disk if it carries nothing.
    pub filesystem: Filesystem,
    /// Absolute path of the folder on which it is mounted.
    pub folder: String,
    /// The user to whom the folder belongs, with the user's own group.
    pub owner: String,
    /// The service that needs the folder.
    pub service: String,
}

/// A filesystem, by the name that blkid and mkfs have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// XFS, which MongoDB's production notes recommend under WiredTiger.
    Xfs,
    /// ext4.
    Ext4,
}

impl Filesystem {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Xfs => "xfs",
            Self::Ext4 => "ext4",
        }
    }

    /// The package with its mkfs, under the same name in both families.
    #[must_use]
    pub fn package(self) -> &'static str {
        match self {
            Self::Xfs => "xfsprogs",
            Self::Ext4 => "e2fsprogs",
        }
    }
}

impl GuestData {
    /// The files of the cloud-config, in a fixed order. systemd has to read them before the service starts:
    /// [`super::GuestTls::commands`] have it do so.
    ///
    /// # Errors
    /// [`GuestError`] for a value that no guest could use.
    pub fn write_files(&self) -> Result<Vec<WriteFile>, GuestError> {
        let serial = settings::serial("the serial of the data disk", &self.serial, VIRTIO_SERIAL)?;
        let folder = settings::path("the data folder", &self.folder)?;
        let owner = settings::account("the owner of the data folder", &self.owner)?;
        let service = settings::service("the service of the data folder", &self.service)?;
        let (device, filesystem) = (format!("/dev/disk/by-id/virtio-{serial}"), self.filesystem.name());
        let mut lines = Settings::for_program(PROGRAM);
        for (key, value) in [("DEVICE", &*device), ("FILESYSTEM", filesystem), ("FOLDER", folder), ("OWNER", owner)] {
            lines.line(key, value);
        }
        let mount = format!(
            "[Unit]\nDescription=Data of the database\nRequires=tandem-data.service\nAfter=tandem-data.service\n\
             # Not part of local-fs.target: the disk is formatted by a service that starts after it.\n\
             DefaultDependencies=no\nConflicts=umount.target\nBefore=umount.target\n\n\
             [Mount]\nWhat={device}\nWhere={folder}\nType={filesystem}\nOptions=nodev,nosuid,noexec,noatime\n"
        );
        let needs = format!("[Unit]\nRequiresMountsFor={folder}\n\n[Service]\nExecStartPre=+{PROGRAM} own\n");
        Ok(vec![
            WriteFile::program(PROGRAM, SCRIPT),
            WriteFile::text("/etc/tandem/data.conf", lines.into_text()),
            WriteFile::unit("tandem-data.service", include_str!("units/tandem-data.service")),
            WriteFile::unit(&mount_unit(folder), mount),
            WriteFile::unit(&format!("{service}.d/10-tandem-data.conf"), needs),
        ])
    }
}

/// The unit that systemd expects for a mount point: systemd-escape(1) with `--path`.
fn mount_unit(path: &str) -> String {
    let mut unit = String::new();
    for (i, byte) in path.trim_matches('/').bytes().enumerate() {
        // Writing to a String cannot fail.
        let _ = match byte {
            b'/' => write!(unit, "-"),
            b'.' if i == 0 => write!(unit, "\\x2e"),
            b'.' | b':' | b'_' => write!(unit, "{}", char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => write!(unit, "{}", char::from(byte)),
            _ => write!(unit, "\\x{byte:02x}"),
        };
    }
    unit + ".mount"
}

#[cfg(test)]
mod tests {
    use super::mount_unit;

    /// As `systemd-escape --path --suffix=mount` prints them.
    #[test]
    fn mount_units_are_named_as_systemd_expects() {
        for (path, unit) in [
            ("/var/lib/mongo", "var-lib-mongo.mount"),
            ("/srv/my-data", "srv-my\\x2ddata.mount"),
            ("/.data/a.b_c:d", "\\x2edata-a.b_c:d.mount"),
            ("/srv/a+b@c", "srv-a\\x2bb\\x40c.mount"),
        ] {
            assert_eq!(mount_unit(path), unit);
        }
    }
}
