//! What each server asks of its guest.

use super::templates::Templates;
use super::{mongodb, postgresql, redis};
use crate::RenderError;
use crate::guest::{Content, GuestTls, InstalledFile, Owner, Reload, Source, WriteFile};
use crate::names::{MachineNames, Names};
use crate::spec::{self, Database, Delivery, Document, FilesOnly, ServiceReload};

/// What a server asks of its guest.
#[derive(Debug)]
pub(super) struct Server {
    /// The certificate's files.
    pub(super) tls: GuestTls,
    /// User of the server, to whom the data disk is given.
    pub(super) user: String,
    /// Unit that serves.
    pub(super) unit: Option<String>,
    /// Unit that is enabled, if that is another one.
    pub(super) enable: Option<String>,
    /// Where the data disk is mounted, if there is one.
    pub(super) data_folder: Option<String>,
    /// Configuration, and what else the server needs.
    pub(super) files: Vec<WriteFile>,
    /// Lines for the `[Service]` of its unit.
    pub(super) service: Vec<&'static str>,
}

/// The server of a document.
pub(super) fn of(
    document: &Document,
    names: &Names,
    machine: &MachineNames,
    templates: &Templates,
) -> Result<Server, RenderError> {
    let source = match document.spec.delivery {
        Delivery::Disk => Source::Disk { serial: machine.certificate_serial.clone() },
        Delivery::Filesystem => Source::Filesystem { tag: names.certificate_volume.clone() },
    };
    let (mut server, reload) = match &document.spec.database {
        Database::MongoDb(mongodb) => {
            (mongodb::server(document, names, machine, mongodb, source, templates)?, &mongodb.reload)
        }
        Database::PostgreSql(postgresql) => {
            (postgresql::server(document, postgresql, source, templates)?, &postgresql.reload)
        }
        Database::Redis(redis) => (redis::server(document, redis, source, templates)?, &redis.reload),
        Database::None(none) => (files_only(document, none, source), &none.reload),
    };
    if let Some(reload) = reload {
        server.tls.reload = match (reload, &server.unit) {
            (spec::Reload::Command(command), _) => Reload::Command(command.clone()),
            (spec::Reload::Service(ServiceReload::Restart), _) => Reload::Restart,
            (spec::Reload::Service(ServiceReload::Reload), unit) => {
                Reload::Command(format!("systemctl reload {}", unit.as_deref().unwrap_or_default()))
            }
        };
    }
    if !document.spec.has_data_disk() {
        server.data_folder = None;
    }
    Ok(server)
}

fn files_only(document: &Document, none: &FilesOnly, source: Source) -> Server {
    let files = &none.files;
    let path = |name: &str| format!("{}/{name}", files.folder);
    let public = |content, name| InstalledFile { content, path: path(name), owner: None, mode: 0o644 };
    let private = |content, name| InstalledFile {
        content,
        path: path(name),
        owner: Some(Owner { user: files.owner.clone(), group: files.group.clone() }),
        mode: u32::from_str_radix(&files.mode, 8).unwrap_or(0o400),
    };
    let mut installed = match &files.combined {
        Some(name) => vec![private(Content::Combined, name)],
        None => vec![public(Content::Certificate, &files.certificate), private(Content::Key, &files.key)],
    };
    installed.push(public(Content::Ca, &files.ca));
    let before = none.service.iter().cloned().collect();
    Server {
        tls: GuestTls { files: installed, before, ..GuestTls::files_only(source, &files.folder) },
        user: files.owner.clone(),
        unit: none.service.clone(),
        enable: None,
        data_folder: document.spec.storage.mount_path.clone(),
        files: Vec::new(),
        service: Vec::new(),
    }
}
