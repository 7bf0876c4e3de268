//! A Secret's certificate in the guest: where it comes from, which files are made of it, and who takes them how.

use super::settings::{self, Settings, checked};
use super::{GuestCommand, GuestError, TlsStart, WriteFile, systemctl};
use crate::values::VIRTIO_SERIAL;

const PROGRAM: &str = "/usr/local/sbin/tandem-tls";
const COMMAND: &str = "/etc/tandem/tls-reload";

/// The one script for all guests; its parts are files of one idea each.
const SCRIPT: &str = concat!(
    include_str!("scripts/tls-head.sh"),
    include_str!("scripts/common.sh"),
    include_str!("scripts/tls-usage.sh"),
    include_str!("scripts/settings.sh"),
    include_str!("scripts/options.sh"),
    include_str!("scripts/disk.sh"),
    include_str!("scripts/stage.sh"),
    include_str!("scripts/tls-settings.sh"),
    include_str!("scripts/tls-secret.sh"),
    include_str!("scripts/tls-check.sh"),
    include_str!("scripts/tls-place.sh"),
    include_str!("scripts/tls-reload.sh"),
    include_str!("scripts/tls-main.sh"),
);

/// The certificate Secret of one guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestTls {
    /// How the Secret reaches the guest.
    pub source: Source,
    /// The files that are made of it.
    pub files: Vec<InstalledFile>,
    /// Services that start after the files are there, and that [`Reload::Restart`] and [`Reload::PostgreSql`] concern. A
    /// template (`postgresql@.service`) stands for its instances. There may be none.
    pub before: Vec<String>,
    /// How a running service takes a renewed Secret, where the source can bring one.
    pub reload: Reload,
    /// Where the certificate is served in the guest, to see whether a renewed one is. With it the certificate has to be
    /// fit for a server. MongoDB, and Redis without a socket, are told here.
    pub endpoint: Option<Endpoint>,
    /// How the database, which is the service, is started; `None` leaves it to its configuration.
    pub start: Option<TlsStart>,
    /// Seconds between two looks at a [`Source::Filesystem`]: 1 to 86400.
    pub poll: u32,
}

/// How the Secret reaches the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A disk on the virtio bus, as the Secret was when the VM instance started; exactly `/dev/disk/by-id/virtio-SERIAL`.
    Disk {
        /// The disk's serial in the VirtualMachine.
        serial: String,
    },
    /// A virtiofs, which follows the Secret live.
    Filesystem {
        /// The volume's name.
        tag: String,
    },
}

/// A file that is made of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledFile {
    /// What is in it.
    pub content: Content,
    /// Absolute path in the guest.
    pub path: String,
    /// Whose it is; `None` is root's.
    pub owner: Option<Owner>,
    /// Permission bits. A file with the key in it must be closed to others.
    pub mode: u32,
}

/// What of the Secret is in a file, in PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `tls.key`.
    Key,
    /// `tls.crt`: the certificate and its chain.
    Certificate,
    /// `ca.crt`.
    Ca,
    /// Key, certificate and chain, as MongoDB and others want them.
    Combined,
}

/// User and group of a file, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: String,
    /// The group; `None` is the user's own.
    pub group: Option<String>,
}

/// How a running service takes new files. Where it does not take them, the old ones come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Not at all: at its next start.
    None,
    /// `rotateCertificates` by mongosh, at the endpoint; MongoDB 5.0 and later.
    MongoDb {
        /// A file of root's, closed to others, with the name of a user with the role `hostManager` in its first line and
        /// the password in its second. `None` where MongoDB asks for no password.
        credentials: Option<String>,
    },
    /// SIGHUP, by `systemctl reload` of the services.
    PostgreSql,
    /// `CONFIG SET tls-…` by redis-cli or valkey-cli.
    Redis {
        /// As with MongoDB; the user may be `default`.
        credentials: Option<String>,
        /// The server's Unix socket; `None` is the endpoint, where the server's own certificate also has to be fit for a
        /// client if the server asks for one.
        socket: Option<String>,
    },
    /// A script of the user's: `sh`, unless it says otherwise in its first line. It fails with a status other than 0.
    Command(String),
    /// `systemctl try-restart` of the services: connections are dropped.
    Restart,
}

/// Where a certificate is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `HOST:PORT`, as seen in the guest.
    pub address: String,
    /// How TLS begins there.
    pub start: StartTls,
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// With the first byte.
    Direct,
    /// By PostgreSQL's SSLRequest.
    PostgreSql,
}

impl GuestTls {
    /// The files of the cloud-config, in a fixed order.
    ///
    /// # Errors
    /// [`GuestError`] for a value that no guest could use.
    pub fn write_files(&self) -> Result<Vec<WriteFile>, GuestError> {
        let mut files = vec![
            WriteFile::program(PROGRAM, SCRIPT),
            WriteFile::text("/etc/tandem/tls.conf", self.settings()?),
            WriteFile::unit("tandem-tls.service", include_str!("units/tandem-tls.service")),
        ];
        for service in &self.before {
            let service = settings::service("a service of the certificate", service)?;
            // Not Requires=: with a faulty Secret the service goes on with the files that it has.
            let text = "[Unit]\nWants=tandem-tls.service\nAfter=tandem-tls.service\n";
            files.push(WriteFile::unit(&format!("{service}.d/10-tandem-tls.conf"), text));
            if let Some(start) = &self.start {
                // Its name comes after override.conf, where `systemctl edit` keeps what the owner wrote.
                let name = format!("{service}.d/tandem-{}.conf", start.server.name());
                files.push(WriteFile::unit(&name, start.drop_in(&self.files)?));
            }
        }
        let mut wanted = "tandem-tls.service".to_owned();
        if self.follows() {
            wanted += " tandem-tls-refresh.timer";
            files.push(WriteFile::unit("tandem-tls-refresh.service", include_str!("units/tandem-tls-refresh.service")));
            files.push(WriteFile::unit("tandem-tls-refresh.timer", self.timer()?));
        }
        // As `systemctl enable` would, but with no command that might not be run.
        files.push(WriteFile::unit("multi-user.target.d/10-tandem-tls.conf", format!("[Unit]\nWants={wanted}\n")));
        if let Reload::Command(command) = &self.reload {
            let first = if command.starts_with("#!") { "" } else { "#!/bin/sh\nset -eu\n" };
            let end = if command.ends_with('\n') { "" } else { "\n" };
            files.push(WriteFile::program(COMMAND, format!("{first}{command}{end}")));
        }
        Ok(files)
    }

    /// What has to be run at the first boot, when systemd has not read the files yet, before the services are started.
    /// Later boots need nothing. Where the database is not installed yet, this fails and its start does it again.
    #[must_use]
    pub fn commands(&self) -> Vec<GuestCommand> {
        let mut commands = vec![systemctl(["daemon-reload"]), systemctl(["start", "tandem-tls.service"])];
        if self.follows() {
            commands.push(systemctl(["start", "tandem-tls-refresh.timer"]));
        }
        if self.start.is_some() {
            // An image may have started it before the drop-in was there.
            let running = |service: &String| systemctl(["try-restart", &service.replace("@.", "@*.")]);
            commands.extend(self.before.iter().map(running));
        }
        commands
    }

    fn follows(&self) -> bool {
        matches!(self.source, Source::Filesystem { .. })
    }

    fn timer(&self) -> Result<String, GuestError> {
        let seconds = self.poll;
        let fits = (1..=86400).contains(&seconds);
        checked("the time between two looks at the Secret", fits, format!("{seconds} seconds; write 1 to 86400"))?;
        Ok(format!(
            "[Unit]\nDescription=Looks for a renewed Secret\n\n[Timer]\n\
             # No event tells the guest of a file that the host has changed.\n\
             OnActiveSec={seconds}\nOnUnitInactiveSec={seconds}\nAccuracySec=1\n"
        ))
    }

    fn settings(&self) -> Result<String, GuestError> {
        let mut lines = Settings::for_program(PROGRAM);
        let what = "the serial of the Secret's disk";
        match &self.source {
            Source::Disk { serial } => lines
                .line("DEVICE", &format!("/dev/disk/by-id/virtio-{}", settings::serial(what, serial, VIRTIO_SERIAL)?)),
            Source::Filesystem { tag } => lines.line("TAG", settings::tag(tag)?),
        }
        checked("the list of files", !self.files.is_empty(), "is empty; name at least one")?;
        for file in &self.files {
            lines.line("FILE", &file.setting()?);
        }
        for service in &self.before {
            // The instances of a template, by systemctl's pattern.
            lines.line("SERVICE", &settings::service("a service of the certificate", service)?.replace("@.", "@*."));
        }
        self.add_reload(&mut lines)?;
        if let Some(endpoint) = &self.endpoint {
            lines.line("ENDPOINT", settings::address("the endpoint", &endpoint.address)?);
            if endpoint.start == StartTls::PostgreSql {
                lines.line("STARTTLS", "postgres");
            }
        }
        Ok(lines.into_text())
    }

    fn add_reload(&self, lines: &mut Settings) -> Result<(), GuestError> {
        let mut option = |key, what, value: &Option<String>| -> Result<(), GuestError> {
            if let Some(value) = value {
                lines.line(key, settings::path(what, value)?);
            }
            Ok(())
        };
        let (word, needed, rule) = match &self.reload {
            Reload::None => ("none", true, ""),
            Reload::MongoDb { credentials } => {
                option("CREDENTIALS", "the credential file", credentials)?;
                ("mongodb", self.endpoint.is_some(), "MongoDB is told at its endpoint; name it")
            }
            Reload::PostgreSql => ("postgresql", !self.before.is_empty(), "PostgreSQL is told by its service; name it"),
            Reload::Redis { credentials, socket } => {
                option("CREDENTIALS", "the credential file", credentials)?;
                option("SOCKET", "the server's socket", socket)?;
                let told = socket.is_some() || self.endpoint.is_some();
                ("redis", told, "Redis is told at its socket or endpoint; name one of them")
            }
            Reload::Command(command) => {
                option("COMMAND", "the command", &Some(COMMAND.to_owned()))?;
                (
                    "command",
                    !command.trim().is_empty() && !command.contains('\0'),
                    "the command has no text; write a script",
                )
            }
            Reload::Restart => {
                ("restart", !self.before.is_empty(), "a restart needs the service that is restarted; name it")
            }
        };
        checked("the way to reload", needed, rule)?;
        lines.line("RELOAD", word);
        Ok(())
    }
}

impl InstalledFile {
    fn setting(&self) -> Result<String, GuestError> {
        let content = match self.content {
            Content::Key => "key",
            Content::Certificate => "certificate",
            Content::Ca => "ca",
            Content::Combined => "combined",
        };
        let mode = format!("{:04o}", self.mode);
        let what = "the mode of an installed file";
        let fits = self.mode & 0o400 != 0 && self.mode <= 0o777;
        checked(what, fits, format!("{mode} is none that its owner can read; use 0400 to 0777"))?;
        let secret = matches!(self.content, Content::Key | Content::Combined);
        let fits = !secret || self.mode & 0o007 == 0;
        checked(what, fits, format!("{mode} lets every user at a private key; use 0400, 0440 or 0640"))?;
        let what = "the owner of an installed file";
        let owner = match &self.owner {
            None => "-".to_owned(),
            Some(Owner { user, group: None }) => settings::account(what, user)?.to_owned(),
            Some(Owner { user, group: Some(group) }) => {
                format!("{}:{}", settings::account(what, user)?, settings::account(what, group)?)
            }
        };
        Ok(format!("{content} {mode} {owner} {}", settings::path("the path of an installed file", &self.path)?))
    }
}
