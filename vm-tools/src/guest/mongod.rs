//! mongod with TLS, whatever its configuration file says of it: options on its command line win over the file.
//!
//! <https://www.mongodb.com/docs/manual/reference/program/mongod/>

use serde::Deserialize;

use super::settings::{self, checked};
use super::{Content, GuestError, InstalledFile};
use crate::spec::{ClientAuth, Family};

/// How mongod is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MongodTls {
    /// Which connections are taken.
    pub mode: TlsMode,
    /// Whether clients have to show a certificate.
    pub client_auth: ClientAuth,
    /// How its unit starts it without TLS: an `ExecStart=` of systemd's, to which options can be added at the end.
    pub exec_start: String,
}

/// `net.tls.mode`: <https://www.mongodb.com/docs/manual/reference/configuration-options/#mongodb-setting-net.tls.mode>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
pub enum TlsMode {
    /// Clients with TLS and without; among members mongod itself connects without.
    #[value(name = "allowTLS")]
    #[serde(rename = "allowTLS")]
    Allow,
    /// Clients with TLS and without; among members mongod itself connects with it.
    #[value(name = "preferTLS")]
    #[serde(rename = "preferTLS")]
    Prefer,
    /// TLS alone. The default: of the three it is the one that takes nothing away from what the file may have asked for.
    #[default]
    #[value(name = "requireTLS")]
    #[serde(rename = "requireTLS")]
    Require,
}

impl TlsMode {
    /// As mongod has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allowTLS",
            Self::Prefer => "preferTLS",
            Self::Require => "requireTLS",
        }
    }
}

impl MongodTls {
    /// How MongoDB's own packages start mongod. Those of the RHEL family let the owner say more in /etc/sysconfig/mongod.
    #[must_use]
    pub fn packaged(family: Family) -> &'static str {
        match family {
            Family::Rhel => "/usr/bin/mongod $OPTIONS",
            Family::Debian => "/usr/bin/mongod --config /etc/mongod.conf",
        }
    }

    /// The `ExecStart=` with TLS, for the drop-in of mongod's unit.
    pub(super) fn drop_in(&self, files: &[InstalledFile]) -> Result<String, GuestError> {
        const WHAT: &str = "the files of mongod";
        let path = |content| {
            let found = files.iter().find(|file| file.content == content).map(|file| file.path.as_str());
            let problem = "mongod reads key and certificate from one file, and the authorities from another; \
                 have both (inject: --combined FILE)";
            checked(WHAT, found.is_some(), problem)?;
            settings::path(WHAT, found.unwrap_or_default())
        };
        let (start, pem, ca) = (self.start()?, path(Content::Combined)?, path(Content::Ca)?);
        let anonymous = match self.client_auth {
            ClientAuth::Optional => " --tlsAllowConnectionsWithoutCertificates",
            ClientAuth::Required => "",
        };
        Ok(format!(
            "[Service]\n# Options win over the configuration file, which stays as its owner wrote it. A unit has one ExecStart: the\n\
             # first line takes away those of before.\nExecStart=\n\
             ExecStart={start} --tlsMode {} --tlsCertificateKeyFile {pem} --tlsCAFile {ca}{anonymous}\n",
            self.mode.word()
        ))
    }

    fn start(&self) -> Result<&str, GuestError> {
        const WHAT: &str = "the command that starts mongod";
        let command = self.exec_start.as_str();
        let line = command.starts_with('/') && !command.contains(char::is_control);
        checked(
            WHAT,
            line,
            "write one line that begins with an absolute path, as `systemctl cat` shows it after ExecStart=",
        )?;
        let open = !command.ends_with(['\\', '\'', '"']);
        checked(WHAT, open, "ends in a quoted text, to which no option can be added; write mongod's own call")?;
        let plain = command.split_whitespace().all(|word| !word.starts_with("--tls") && !word.starts_with("--ssl"));
        checked(WHAT, plain, "has options for TLS, which mongod takes once; leave them out")?;
        Ok(command)
    }
}
