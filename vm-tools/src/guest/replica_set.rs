//! What makes a server a member of a MongoDB replica set: the keyFile, and from the first member the initiation.

use super::settings::{self, Settings};
use super::{GuestError, WriteFile};
use crate::values::VIRTIO_SERIAL;

const KEYFILE: &str = "/usr/local/sbin/tandem-keyfile";
const REPLSET: &str = "/usr/local/sbin/tandem-replset";

const KEYFILE_SCRIPT: &str = concat!(
    include_str!("scripts/keyfile-head.sh"),
    include_str!("scripts/common.sh"),
    include_str!("scripts/keyfile-usage.sh"),
    include_str!("scripts/settings.sh"),
    include_str!("scripts/options.sh"),
    include_str!("scripts/disk.sh"),
    include_str!("scripts/stage.sh"),
    include_str!("scripts/keyfile-main.sh"),
);

const REPLSET_SCRIPT: &str = concat!(
    include_str!("scripts/replset-head.sh"),
    include_str!("scripts/common.sh"),
    include_str!("scripts/replset-usage.sh"),
    include_str!("scripts/settings.sh"),
    include_str!("scripts/options.sh"),
    include_str!("scripts/replset-main.sh"),
);

/// The set's keyFile, from a Secret's disk on the virtio bus: installed at every boot before mongod starts, mode 0400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestKeyFile {
    /// The disk's serial in the VirtualMachine: at most 20 bytes.
    pub serial: String,
    /// Key of the Secret.
    pub key: String,
    /// The user to whom it belongs, with the user's own group: as whom mongod runs.
    pub owner: String,
    /// Absolute path.
    pub path: String,
}

impl GuestKeyFile {
    /// The files of the cloud-config, in a fixed order.
    ///
    /// # Errors
    /// [`GuestError`] for a value that no guest could use.
    pub fn write_files(&self) -> Result<Vec<WriteFile>, GuestError> {
        let serial = settings::serial("the serial of the keyFile's disk", &self.serial, VIRTIO_SERIAL)?;
        let mut lines = Settings::for_program(KEYFILE);
        lines.line("DEVICE", &format!("/dev/disk/by-id/virtio-{serial}"));
        lines.line("KEY", settings::secret_key("the keyFile's key", &self.key)?);
        lines.line("OWNER", settings::account("the owner of the keyFile", &self.owner)?);
        lines.line("TARGET", settings::path("the path of the keyFile", &self.path)?);
        Ok(vec![
            WriteFile::program(KEYFILE, KEYFILE_SCRIPT),
            WriteFile::text("/etc/tandem/keyfile.conf", lines.into_text()),
            WriteFile::unit("tandem-keyfile.service", include_str!("units/tandem-keyfile.service")),
            WriteFile::unit(
                "mongod.service.d/10-tandem-keyfile.conf",
                "[Unit]\nRequires=tandem-keyfile.service\nAfter=tandem-keyfile.service\n",
            ),
        ])
    }
}

/// The initiation of a set, by its first member: at each start of mongod, and without effect once there is a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestReplicaSet {
    /// Name of the set.
    pub name: String,
    /// `HOST:PORT` of each member, the first one's first: as clients and the other members dial them.
    pub members: Vec<String>,
    /// Path of key, certificate and chain in one file.
    pub pem: String,
    /// Path of the authorities to trust.
    pub ca: String,
}

impl GuestReplicaSet {
    /// The files of the first member's cloud-config, in a fixed order.
    ///
    /// # Errors
    /// [`GuestError`] for a value that no guest could use.
    pub fn write_files(&self) -> Result<Vec<WriteFile>, GuestError> {
        let mut lines = Settings::for_program(REPLSET);
        lines.line("SET", settings::set_name(&self.name)?);
        for member in &self.members {
            lines.line("MEMBER", settings::address("the endpoint", member)?);
        }
        lines.line("PEM", settings::path("the path of the certificate", &self.pem)?);
        lines.line("CA", settings::path("the path of the authorities", &self.ca)?);
        Ok(vec![
            WriteFile::program(REPLSET, REPLSET_SCRIPT),
            WriteFile::text("/etc/tandem/replset.conf", lines.into_text()),
            WriteFile::unit("tandem-replset.service", include_str!("units/tandem-replset.service")),
            // Not Requires: a set that cannot be initiated yet is no reason to stop the member.
            WriteFile::unit("mongod.service.d/10-tandem-replset.conf", "[Unit]\nWants=tandem-replset.service\n"),
        ])
    }
}
