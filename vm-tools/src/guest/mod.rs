//! What runs in the guest: typed settings → the files and commands of a cloud-config.
//!
//! The scripts are the same in every guest; what differs is in settings that they read as data. Nothing here depends on
//! `runcmd` to come back: units start the scripts at every boot, and a timer looks for a renewed Secret.
//!
//! ```text
//! GuestTls ──▶ /etc/tandem/tls.conf ──▶ /usr/local/sbin/tandem-tls            installs what the Secret holds
//!         ├──▶ tandem-tls.service           at every boot, before the services ─┘ │
//!         └──▶ tandem-tls-refresh.timer     virtiofs only: every `poll` seconds ──┘ --reload: the service takes it
//!
//! GuestData ─▶ /etc/tandem/data.conf ─▶ /usr/local/sbin/tandem-data           formats an empty disk, gives it to its user
//!          └─▶ tandem-data.service ◀─requires─ FOLDER.mount ◀─requires─ the service
//!
//! GuestKeyFile, GuestReplicaSet ─▶ tandem-keyfile.service before mongod, tandem-replset.service after it
//! ```

mod data;
mod defaults;
mod replica_set;
pub(crate) mod settings;
pub(crate) mod start;
mod tls;

use serde::Serialize;

pub use data::{Filesystem, GuestData};
pub use replica_set::{GuestKeyFile, GuestReplicaSet};
pub use settings::GuestError;
pub use start::{Server, TlsMode, TlsStart};
pub use tls::{Content, Endpoint, GuestTls, InstalledFile, Owner, Reload, Source, StartTls};

/// Where systemd reads what is not its packages'.
const UNITS: &str = "/etc/systemd/system/";

/// One entry of cloud-init's `write_files`, to be written before packages and their users are there: root's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WriteFile {
    /// Absolute path in the guest.
    pub path: String,
    /// Octal, as a string: cloud-init reads a YAML number as decimal.
    pub permissions: &'static str,
    /// The text, which ends with a line end.
    pub content: String,
}

impl WriteFile {
    /// A file that all may read.
    #[must_use]
    pub fn text(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self { path: path.into(), permissions: "0644", content: content.into() }
    }

    /// A file that all may read and run.
    #[must_use]
    pub fn program(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self { permissions: "0755", ..Self::text(path, content) }
    }

    fn unit(name: &str, content: impl Into<String>) -> Self {
        Self::text(format!("{UNITS}{name}"), content)
    }

    /// Whether it is a unit of systemd's, or a part of one.
    pub(crate) fn is_unit(&self) -> bool {
        self.path.starts_with(UNITS)
    }
}

/// A command of cloud-init's `runcmd`: program and arguments, without a shell.
pub type GuestCommand = Vec<String>;

fn systemctl<const N: usize>(arguments: [&str; N]) -> GuestCommand {
    ["systemctl"].into_iter().chain(arguments).map(str::to_owned).collect()
}
