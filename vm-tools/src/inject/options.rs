//! What the user says about the guest → [`GuestTls`].

use serde::Deserialize;

use super::VOLUME;
use crate::guest::{
    Bus, Content, Endpoint, GuestTls, InstalledFile, MongodTls, Owner, Reload, Source, StartTls, TlsMode,
};
use crate::spec::{ClientAuth, Family, values};

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
    /// The VM, where there are several: its name, or NAMESPACE/NAME
    #[arg(long, value_name = "NAME")]
    pub vm: Option<String>,
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
    /// File in the guest for key, certificate and chain in one PEM, in place of tls.crt and tls.key
    #[arg(long, value_name = "FILE")]
    pub combined: Option<String>,
    /// Who reads the key in the guest
    #[arg(long, value_name = "USER[:GROUP]")]
    pub owner: Option<String>,
    /// A systemd service that starts after the files are there; may be repeated, replaces the database's own
    #[arg(long, value_name = "UNIT")]
    #[serde(default)]
    pub service: Vec<String>,
    /// Which connections mongod takes (requireTLS, unless said otherwise). It is started with TLS by options in a systemd
    /// drop-in, which win over mongod.conf
    #[arg(long, value_enum, value_name = "MODE")]
    pub tls_mode: Option<TlsMode>,
    /// Whether mongod's clients have to show a certificate (Optional, unless said otherwise)
    #[arg(long, value_enum)]
    pub client_auth: Option<ClientAuth>,
    /// How the unit starts mongod, where MongoDB's packages are not its origin: its ExecStart
    #[arg(long, value_name = "COMMAND")]
    pub exec_start: Option<String>,
    /// Leave TLS to mongod.conf, which then has to name the files
    #[arg(long, conflicts_with_all = ["tls_mode", "client_auth", "exec_start"])]
    #[serde(default)]
    pub keep_mongod_conf: bool,
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
            Delivery::Disk => Source::Disk { serial: self.serial.clone(), bus: Bus::Virtio },
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
        if !self.service.is_empty() {
            guest.before.clone_from(&self.service);
        }
        guest.mongod = self.mongod(family, &guest.before).unwrap_or_else(|why| {
            problems.push(why);
            None
        });
        if let Some(address) = &self.endpoint {
            let start = guest.endpoint.map_or(StartTls::Direct, |endpoint| endpoint.start);
            guest.endpoint = Some(Endpoint { address: address.clone(), start });
        }
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
        problems.extend(guest.write_files().err().map(|error| error.to_string()));
        if problems.is_empty() { Ok(guest) } else { Err(problems) }
    }

    /// How mongod is started, unless that is left to its configuration file.
    fn mongod(&self, family: Family, services: &[String]) -> Result<Option<MongodTls>, String> {
        let refused = |why: &str| Err(why.to_owned());
        let asked = self.tls_mode.is_some() || self.client_auth.is_some() || self.exec_start.is_some();
        if self.database != Database::MongoDb {
            return match asked || self.keep_mongod_conf {
                false => Ok(None),
                true => refused(
                    "--tls-mode, --client-auth, --exec-start and --keep-mongod-conf: are for --database mongodb; leave them \
                     out, and name the files in the service's own configuration",
                ),
            };
        }
        if self.keep_mongod_conf {
            let both =
                "--keep-mongod-conf: leaves TLS to mongod.conf; leave --tls-mode, --client-auth and --exec-start out";
            return if asked { refused(both) } else { Ok(None) };
        }
        let exec_start = match (services, &self.exec_start) {
            ([_], Some(command)) => command.clone(),
            ([unit], None) if unit == "mongod.service" => MongodTls::packaged(family).to_owned(),
            ([unit], None) => {
                return Err(format!(
                    "--service: how {unit} starts mongod is not known; add --exec-start with what `systemctl cat {unit}` shows \
                     after ExecStart=, or --keep-mongod-conf"
                ));
            }
            _ => return refused("--service: one unit alone starts mongod; name that one, or add --keep-mongod-conf"),
        };
        let (mode, client_auth) = (self.tls_mode.unwrap_or_default(), self.client_auth.unwrap_or_default());
        Ok(Some(MongodTls { mode, client_auth, exec_start }))
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

    /// What else the user has to do or to know.
    pub(super) fn notes(&self, guest: &GuestTls) -> Vec<String> {
        let file = |file: &InstalledFile| {
            let owner = file.owner.as_ref().map_or("root", |owner| &owner.user);
            format!("{} ({owner}, {:04o})", file.path, file.mode)
        };
        let files: Vec<_> = guest.files.iter().map(file).collect();
        let before = match guest.before.as_slice() {
            [] => String::new(),
            services => format!(" before {} starts", services.join(", ")),
        };
        let named = match &guest.mongod {
            Some(mongod) => {
                let unit =
                    if self.exec_start.is_some() { "" } else { "; a unit that starts it otherwise needs --exec-start" };
                format!(
                    "mongod is started with them, by `{}` and options that win over mongod.conf{unit}",
                    mongod.exec_start
                )
            }
            None if self.database == Database::MongoDb => {
                "name them in mongod.conf, as `tandem-vm mongod-conf` does".to_owned()
            }
            None => "name them in the service's configuration".to_owned(),
        };
        let mut notes = vec![format!("the guest, which needs systemd, gets {}{before}; {named}", files.join(", "))];
        notes.extend(guest.mongod.as_ref().map(who_is_let_in));
        notes.push(
            "cloud-init writes files at a guest's first boot only: one that has booted before takes them after `cloud-init clean --reboot`".to_owned(),
        );
        if self.delivery == Delivery::Filesystem {
            notes.push(
                "a Secret as a filesystem (virtiofs) needs KubeVirt 1.8 or later, or from 1.5 on its feature gate \
                 EnableVirtioFsConfigVolumes"
                    .to_owned(),
            );
        }
        notes.push(match (self.delivery, &guest.reload) {
            (Delivery::Disk, _) => "a renewed certificate reaches the guest when its VM instance is made anew; \
                 with --delivery filesystem it does within minutes"
                .to_owned(),
            (Delivery::Filesystem, Reload::None) => {
                "a renewed certificate is placed within minutes, and served after the service's next start; \
                 --reload-command can tell it"
                    .to_owned()
            }
            (Delivery::Filesystem, Reload::Restart) => {
                "a renewed certificate restarts the service, which drops its connections".to_owned()
            }
            (Delivery::Filesystem, _) => "a renewed certificate is placed and reloaded within minutes".to_owned(),
        });
        notes
    }
}

/// What clients meet that know nothing of TLS yet, and how to go on.
fn who_is_let_in(mongod: &MongodTls) -> String {
    let clients = match mongod.mode {
        TlsMode::Require => {
            "mongod turns away whoever comes without TLS, also on 127.0.0.1; where clients or members of its set cannot do it \
             yet, begin with --tls-mode allowTLS"
        }
        TlsMode::Allow => {
            "mongod takes clients with TLS and without; once all clients and members have it, go on with --tls-mode preferTLS"
        }
        TlsMode::Prefer => {
            "mongod takes clients with TLS and without, and comes to other members with it; once nobody comes without, go on \
             with --tls-mode requireTLS"
        }
    };
    let certificates = match mongod.client_auth {
        ClientAuth::Optional => "nobody has to show a certificate, unless --client-auth Required says so",
        ClientAuth::Required => "with TLS, all have to show a certificate",
    };
    format!("{clients}; {certificates}")
}
