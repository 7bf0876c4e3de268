//! What the user says about the guest → [`GuestTls`].

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_yaml::Value;

use super::VOLUME;
use crate::guest::{
    Content, Endpoint, GuestTls, InstalledFile, Owner, Reload, Server, Source, StartTls, TlsMode, TlsStart, settings,
    start,
};
use crate::probe;
use crate::spec::{ClientAuth, Family, values};

/// Where Redis listens with TLS, if it also does without.
const BESIDE: &str = "127.0.0.1:6380";

/// What an injection puts in, as arguments of `inject` and as the `spec` of a KRM function's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// The Secret (tls.crt, tls.key, ca.crt) that the VM gets, in the VM's namespace
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "remove",
        default_value = "",
        hide_default_value = true
    )]
    pub secret: String,
    /// The VM, where there are several: its name, or NAMESPACE/NAME; may be repeated, for the same edit of each
    #[arg(long, value_name = "NAME")]
    #[serde(default, deserialize_with = "one_or_several")]
    pub vm: Vec<String>,
    /// How it reaches the guest: as a disk, or as a filesystem (virtiofs), which follows the Secret live
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub delivery: Delivery,
    /// Serial of the disk: at most 20 letters, digits and _ . + -
    #[arg(long, default_value = VOLUME)]
    #[serde(default = "serial")]
    pub serial: String,
    /// Whose files, service and way to reload are meant; `none`: files alone
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub database: Database,
    /// The guest's family of systems, by which the database's user and service are called
    #[arg(long, value_enum, required_if_eq_any = [("database", "mongodb"), ("database", "postgresql"), ("database", "redis")])]
    pub os: Option<Os>,
    /// Folder in the guest for tls.crt, tls.key and ca.crt, in place of the database's own
    #[arg(long, value_name = "DIR")]
    pub folder: Option<String>,
    /// File in the guest, by its absolute path also beside --folder, for key, certificate and chain in one PEM, in place of
    /// tls.crt and tls.key
    #[arg(long, value_name = "FILE")]
    pub combined: Option<String>,
    /// Who reads the key in the guest
    #[arg(long, value_name = "USER[:GROUP]")]
    pub owner: Option<String>,
    /// A systemd service that starts after the files are there; may be repeated, replaces the database's own
    #[arg(long, value_name = "UNIT")]
    #[serde(default)]
    pub service: Vec<String>,
    /// Which connections mongod or Redis takes (requireTLS, unless said otherwise). Databases are started with TLS by options
    /// in a systemd drop-in, which win over their configuration
    #[arg(long, value_enum, value_name = "MODE")]
    pub tls_mode: Option<TlsMode>,
    /// Whether the clients of mongod or Redis have to show a certificate (Optional, unless said otherwise)
    #[arg(long, value_enum)]
    pub client_auth: Option<ClientAuth>,
    /// How the unit starts the database, where it is not as the packages have it: its ExecStart
    #[arg(long, value_name = "COMMAND")]
    pub exec_start: Option<String>,
    /// Leave TLS to the database's own configuration, which then has to name the files
    #[arg(long, conflicts_with_all = ["tls_mode", "client_auth", "exec_start"])]
    #[serde(default)]
    pub keep_config: bool,
    /// How the service takes a renewed certificate: by the database's own means, not at all, or by a restart
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub reload: ReloadBy,
    /// A shell command that has the service take a renewed certificate, in place of --reload
    #[arg(long, value_name = "COMMAND", conflicts_with = "reload")]
    pub reload_command: Option<String>,
    /// A file in the guest (root's, mode 0600) with user and password, a line each, for the database's own means
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<String>,
    /// Where the guest serves the certificate, to see that a renewed one is served
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: Option<String>,
}

/// How the Secret reaches the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// As a disk, made when the VM instance starts.
    #[default]
    Disk,
    /// As a virtiofs, which follows the Secret; needs KubeVirt 1.8, or 1.5 with the gate EnableVirtioFsConfigVolumes.
    Filesystem,
}

/// What serves the certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Database {
    /// Nothing that is known here.
    #[default]
    None,
    /// mongod.
    #[value(name = "mongodb")]
    MongoDb,
    /// PostgreSQL.
    #[value(name = "postgresql")]
    PostgreSql,
    /// Redis or Valkey.
    Redis,
}

/// A family of guest systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Os {
    /// Red Hat Enterprise Linux and its relatives.
    Rhel,
    /// Debian and Ubuntu.
    Debian,
}

/// How a running service takes a renewed certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReloadBy {
    /// By the database's own means.
    #[default]
    Database,
    /// Not at all: at its next start.
    None,
    /// By a restart, which drops connections.
    Restart,
}

fn serial() -> String {
    VOLUME.to_owned()
}

/// A text, or a list of texts.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Vec::new()),
        Value::String(one) => Ok(vec![one]),
        Value::Sequence(several) if !several.is_empty() => {
            serde_yaml::from_value(several.into()).map_err(D::Error::custom)
        }
        _ => Err(D::Error::custom("expected a name or a list of names")),
    }
}

impl Options {
    /// What is wrong with the options, whatever manifests they meet: a line each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.guest().err().unwrap_or_default()
    }

    /// What runs in the guest, or what is wrong.
    pub(super) fn guest(&self) -> Result<GuestTls, Vec<String>> {
        let secret = values::subdomain(&self.secret).err().map(|why| format!("--secret: {why}"));
        let mut problems: Vec<_> = secret.into_iter().chain(self.useless()).collect();
        let source = match self.delivery {
            Delivery::Disk => Source::Disk { serial: self.serial.clone() },
            Delivery::Filesystem => Source::Filesystem { tag: VOLUME.to_owned() },
        };
        let family = match self.os {
            Some(Os::Debian) => Family::Debian,
            Some(Os::Rhel) => Family::Rhel,
            None if self.database == Database::None => Family::Debian,
            None => {
                problems.push("--os: is missing; the database's user and service depend on it".to_owned());
                Family::Debian
            }
        };
        let mut guest = match self.database {
            Database::None => GuestTls::files_only(source, "/etc/ssl/tandem"),
            Database::MongoDb => GuestTls::mongodb(family, source),
            Database::PostgreSql => GuestTls::postgresql(family, source),
            Database::Redis => GuestTls::redis(family, source),
        };
        self.place_files(&mut guest);
        let ca = guest.files.iter().find(|file| file.content == Content::Ca);
        if ca.is_some_and(|ca| self.combined.as_ref() == Some(&ca.path)) {
            problems.push(
                "--combined: is the file of ca.crt as well, and one would replace the other; name another".to_owned(),
            );
        }
        let units = self.service.iter().filter_map(|unit| values::others_unit(unit).err());
        problems.extend(units.map(|why| format!("--service: {why}")));
        let packaged = guest.before.clone();
        if !self.service.is_empty() {
            guest.before.clone_from(&self.service);
        }
        let mode = self.tls_mode.unwrap_or_default();
        match (&self.endpoint, &mut guest.endpoint) {
            (Some(address), Some(endpoint)) => endpoint.address.clone_from(address),
            (Some(address), None) => {
                guest.endpoint = Some(Endpoint { address: address.clone(), start: StartTls::Direct });
            }
            // The port without TLS stays where it is.
            (None, Some(endpoint)) if self.database == Database::Redis && mode != TlsMode::Require => {
                endpoint.address = BESIDE.to_owned();
            }
            (None, _) => {}
        }
        guest.start = self.start(family, &guest, &packaged).unwrap_or_else(|why| {
            problems.push(why);
            None
        });
        guest.reload = match (&self.reload_command, self.reload, guest.reload) {
            (Some(command), ..) => Reload::Command(command.clone()),
            (None, ReloadBy::None, _) => Reload::None,
            (None, ReloadBy::Restart, _) => Reload::Restart,
            (None, ReloadBy::Database, Reload::MongoDb { .. }) => {
                Reload::MongoDb { credentials: self.credentials.clone() }
            }
            (None, ReloadBy::Database, Reload::Redis { socket, .. }) => {
                Reload::Redis { credentials: self.credentials.clone(), socket }
            }
            (None, ReloadBy::Database, other) => other,
        };
        // What no guest could use is said before anything else.
        let unusable: Vec<_> = self.unusable().collect();
        if unusable.is_empty() {
            problems.extend(guest.write_files().err().map(|error| error.to_string()));
        }
        problems.extend(unusable);
        if problems.is_empty() { Ok(guest) } else { Err(problems) }
    }

    /// Values that no guest could use, by the options that have them.
    fn unusable(&self) -> impl Iterator<Item = String> {
        let disk = self.delivery == Delivery::Disk;
        let serial = disk.then(|| settings::serial("--serial", &self.serial, values::VIRTIO_SERIAL));
        let folder = self.folder.iter().map(|folder| folder.trim_end_matches('/')).filter(|folder| !folder.is_empty());
        let owner = self.owner.iter().flat_map(|owner| owner.splitn(2, ':'));
        let all = serial
            .into_iter()
            .chain(folder.map(|folder| settings::path("--folder", folder)))
            .chain(self.combined.iter().map(|path| settings::path("--combined", path)))
            .chain(owner.map(|name| settings::account("--owner", name)))
            .chain(self.service.iter().map(|unit| settings::service("--service", unit)))
            .chain(self.exec_start.iter().map(|command| start::command("--exec-start", command)))
            .chain(self.credentials.iter().map(|path| settings::path("--credentials", path)))
            .chain(self.endpoint.iter().map(|address| settings::address("--endpoint", address)));
        all.filter_map(Result::err).map(|error| error.to_string())
    }

    /// How the database is started, unless that is left to its configuration; `packaged` is the unit of its packages.
    fn start(&self, family: Family, guest: &GuestTls, packaged: &[String]) -> Result<Option<TlsStart>, String> {
        let refused = |why: &str| Err(why.to_owned());
        let who = self.tls_mode.is_some() || self.client_auth.is_some();
        let asked = who || self.exec_start.is_some();
        let (mode, client_auth) = (self.tls_mode.unwrap_or_default(), self.client_auth.unwrap_or_default());
        let server = match self.database {
            Database::None if asked || self.keep_config => {
                return refused(
                    "--tls-mode, --client-auth, --exec-start and --keep-config: are for a --database; leave them out, and name \
                     the files in the service's own configuration",
                );
            }
            Database::None => return Ok(None),
            _ if self.keep_config && asked => {
                return refused(
                    "--keep-config: leaves TLS to the database's own configuration; leave --tls-mode, --client-auth and \
                     --exec-start out",
                );
            }
            _ if self.keep_config => return Ok(None),
            Database::PostgreSql if who => {
                return refused(
                    "--tls-mode and --client-auth: are for mongodb and redis; PostgreSQL's pg_hba.conf says who may come without \
                     TLS (host, hostssl) and who has to show a certificate (clientcert=verify-ca)",
                );
            }
            Database::MongoDb => Server::Mongod { mode, client_auth },
            Database::PostgreSql => Server::Postgres,
            Database::Redis => {
                let endpoint = guest.endpoint.as_ref().and_then(|endpoint| endpoint.address.parse().ok());
                // One that cannot be read is refused with the settings.
                let port = endpoint.map_or(0, |endpoint: probe::Endpoint| endpoint.port);
                Server::Redis { mode, client_auth, port }
            }
        };
        let exec_start = match (guest.before.as_slice(), &self.exec_start) {
            ([_], Some(command)) => command.clone(),
            (units @ [_], None) if units == packaged => server.packaged(family).to_owned(),
            ([unit], None) => {
                return Err(format!(
                    "--service: how {unit} starts {} is not known; add --exec-start with what `systemctl cat {unit}` shows \
                     after ExecStart=, or --keep-config",
                    server.name()
                ));
            }
            _ => return refused("--service: one unit alone starts a database; name that one, or add --keep-config"),
        };
        Ok(Some(TlsStart { server, exec_start }))
    }

    /// The files where the user wants them.
    fn place_files(&self, guest: &mut GuestTls) {
        let key_owner = guest.files.iter().find_map(|file| file.owner.clone());
        let owner = self.owner.as_ref().map(|owner| match owner.split_once(':') {
            Some((user, group)) => Owner { user: user.to_owned(), group: Some(group.to_owned()) },
            None => Owner { user: owner.clone(), group: None },
        });
        let owner = owner.or(key_owner);
        let file = |content, path: String, owner: Option<Owner>, mode| InstalledFile { content, path, owner, mode };
        let folder = self.folder.as_ref().map(|folder| folder.trim_end_matches('/'));
        if let Some(folder) = folder {
            guest.files = vec![
                file(Content::Certificate, format!("{folder}/tls.crt"), None, 0o644),
                file(Content::Key, format!("{folder}/tls.key"), None, 0o400),
                file(Content::Ca, format!("{folder}/ca.crt"), None, 0o644),
            ];
        }
        if let Some(path) = &self.combined {
            guest.files.retain(|file| file.content == Content::Ca);
            guest.files.insert(0, file(Content::Combined, path.clone(), None, 0o400));
        }
        for file in &mut guest.files {
            if matches!(file.content, Content::Key | Content::Combined) {
                file.owner.clone_from(&owner);
            }
        }
    }
}
