//! A database with TLS, whatever its configuration says of it: options on its command line win, and no file of its owner's is
//! touched.
//!
//! <https://www.mongodb.com/docs/manual/reference/program/mongod/>,
//! <https://www.postgresql.org/docs/current/app-postgres.html>, <https://redis.io/docs/latest/operate/oss_and_stack/management/config/>

use serde::Deserialize;

use super::settings::{self, checked};
use super::{Content, GuestError, InstalledFile};
use crate::spec::{ClientAuth, Family};

/// How a database is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsStart {
    /// What is started, and whom it lets in.
    pub server: Server,
    /// How its unit starts it without TLS: an `ExecStart=` of systemd's, to which options can be added at the end.
    pub exec_start: String,
}

/// A database's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// mongod.
    Mongod {
        /// Which connections are taken.
        mode: TlsMode,
        /// Whether clients have to show a certificate.
        client_auth: ClientAuth,
    },
    /// PostgreSQL, whose pg_hba.conf says who may come without TLS and who has to show a certificate.
    Postgres,
    /// Redis or Valkey.
    Redis {
        /// Which connections are taken.
        mode: TlsMode,
        /// Whether clients have to show a certificate.
        client_auth: ClientAuth,
        /// Where it listens with TLS. The port without is its configuration's, or with [`TlsMode::Require`] none.
        port: u16,
    },
}

/// MongoDB's `net.tls.mode`, and what corresponds to it elsewhere:
/// <https://www.mongodb.com/docs/manual/reference/configuration-options/#mongodb-setting-net.tls.mode>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
pub enum TlsMode {
    /// Clients with TLS and without; among members the server itself connects without.
    #[value(name = "allowTLS")]
    #[serde(rename = "allowTLS")]
    Allow,
    /// Clients with TLS and without; among members the server itself connects with it.
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

impl Server {
    /// Its program, for messages and names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mongod { .. } => "mongod",
            Self::Postgres => "postgresql",
            Self::Redis { .. } => "redis",
        }
    }

    /// How the packages start it: MongoDB's own, which in the RHEL family let the owner say more in /etc/sysconfig/mongod, and
    /// the distributions'. Debian's run each PostgreSQL cluster as an instance of one unit.
    #[must_use]
    pub fn packaged(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::Mongod { .. }, Family::Rhel) => "/usr/bin/mongod $OPTIONS",
            (Self::Mongod { .. }, Family::Debian) => "/usr/bin/mongod --config /etc/mongod.conf",
            (Self::Postgres, Family::Rhel) => "/usr/bin/postgres -D ${PGDATA}",
            (Self::Postgres, Family::Debian) => "-/usr/bin/pg_ctlcluster --skip-systemctl-redirect %i start",
            (Self::Redis { .. }, _) => {
                "/usr/bin/redis-server /etc/redis/redis.conf --supervised systemd --daemonize no"
            }
        }
    }
}

impl TlsStart {
    /// The drop-in for the server's unit.
    pub(super) fn drop_in(&self, files: &[InstalledFile]) -> Result<String, GuestError> {
        let start = command("the command that starts the database", &self.exec_start)?;
        let options = self.options(files)?;
        // The RHEL family's would look for the port that is closed; the signal that follows is enough.
        let stop = match self.server {
            Server::Redis { mode: TlsMode::Require, .. } => "ExecStop=\n",
            _ => "",
        };
        Ok(format!(
            "[Service]\n# Options win over the configuration, which stays as its owner wrote it. A unit has one ExecStart: the\n\
             # first line takes away those of before.\nExecStart=\nExecStart={start} {options}\n{stop}"
        ))
    }

    fn options(&self, files: &[InstalledFile]) -> Result<String, GuestError> {
        const WHAT: &str = "the files of the database";
        let path = |contents: &[Content], problem: &str| {
            let found = files.iter().find(|file| contents.contains(&file.content)).map(|file| file.path.as_str());
            checked(WHAT, found.is_some(), problem)?;
            settings::path(WHAT, found.unwrap_or_default())
        };
        let missing = "certificate, key and authorities are needed; have all of them";
        let ca = path(&[Content::Ca], missing)?;
        if let Server::Mongod { mode, client_auth } = self.server {
            let problem = "mongod reads key and certificate from one file, and the authorities from another; \
                 have both (inject: --combined FILE)";
            let pem = path(&[Content::Combined], problem)?;
            let anonymous = match client_auth {
                ClientAuth::Optional => " --tlsAllowConnectionsWithoutCertificates",
                ClientAuth::Required => "",
            };
            let mode = mode.word();
            return Ok(format!("--tlsMode {mode} --tlsCertificateKeyFile {pem} --tlsCAFile {ca}{anonymous}"));
        }
        let certificate = path(&[Content::Certificate, Content::Combined], missing)?;
        let key = path(&[Content::Key, Content::Combined], missing)?;
        Ok(match self.server {
            Server::Redis { mode, client_auth, port } => {
                let ports = match mode {
                    TlsMode::Allow => format!("--tls-port {port}"),
                    TlsMode::Prefer => format!("--tls-port {port} --tls-replication yes"),
                    TlsMode::Require => format!("--port 0 --tls-port {port} --tls-replication yes"),
                };
                let asked = match client_auth {
                    ClientAuth::Optional => "optional",
                    ClientAuth::Required => "yes",
                };
                format!(
                    "{ports} --tls-cert-file {certificate} --tls-key-file {key} --tls-ca-cert-file {ca} --tls-auth-clients {asked}"
                )
            }
            _ => {
                let options =
                    format!("-c ssl=on -c ssl_cert_file={certificate} -c ssl_key_file={key} -c ssl_ca_file={ca}");
                // These start the server, and hand it what is in one argument.
                let is_starter = |word: &str| matches!(word.rsplit('/').next(), Some("pg_ctl" | "pg_ctlcluster"));
                let started = self.exec_start.split_whitespace().any(is_starter);
                if started { format!("-o \"{options}\"") } else { options }
            }
        })
    }
}

/// An `ExecStart=` to which options can be added.
pub(crate) fn command<'a>(what: &'static str, command: &'a str) -> Result<&'a str, GuestError> {
    // systemd's own signs may stand before the path.
    let line = command.trim_start_matches(['-', ':', '+', '!', '@']).starts_with('/');
    checked(
        what,
        line && !command.contains(char::is_control),
        "write one line that begins with an absolute path, as `systemctl cat` shows it after ExecStart=",
    )?;
    let open = !command.ends_with(['\\', '\'', '"']);
    checked(what, open, "ends in a quoted text, to which no option can be added; write the server's own call")?;
    let plain = command.split_whitespace().all(|word| !word.starts_with("--tls") && !word.starts_with("--ssl"));
    checked(what, plain, "has options for TLS, which may stand there once; leave them out")?;
    Ok(command)
}
