//! MongoDB, as its own packages set it up: <https://www.mongodb.com/docs/manual/administration/install-on-linux/>.

use minijinja::context;

use super::server::Server;
use super::templates::Templates;
use crate::RenderError;
use crate::guest::{GuestKeyFile, GuestReplicaSet, GuestTls, Reload, Source, WriteFile};
use crate::names::{MachineNames, Names};
use crate::spec::{Authorization, ClientAuth, Document, Family, Membership, MongoDb};

const PEM: &str = "/etc/ssl/mongodb.pem";
const CA: &str = "/etc/ssl/ca.crt";
const KEYFILE: &str = "/etc/ssl/mongodb.keyfile";

pub(super) fn server(
    document: &Document,
    names: &Names,
    machine: &MachineNames,
    mongodb: &MongoDb,
    source: Source,
    templates: &Templates,
) -> Result<Server, RenderError> {
    let family = document.spec.os.family;
    let (user, data_folder) = match family {
        Family::Rhel => ("mongod", "/var/lib/mongo"),
        Family::Debian => ("mongodb", "/var/lib/mongodb"),
    };
    let membership = document.replica_set().map(|(_, membership)| membership);
    let key_file = match membership {
        Some(Membership::KeyFile(key)) => Some(GuestKeyFile {
            serial: machine.keyfile_serial.clone(),
            key: key.key.clone(),
            owner: user.to_owned(),
            path: KEYFILE.to_owned(),
        }),
        _ => None,
    };
    let config = templates.render(
        "mongod.conf",
        context! {
            port => document.spec.database.port(),
            pem => PEM,
            ca => CA,
            replica_set => membership.map(|_| names.replica_set(document)),
            key_file => key_file.as_ref().map(|_| KEYFILE),
            authorization => mongodb.authorization == Authorization::Enabled,
            allow_without_certificates => mongodb.client_auth == ClientAuth::Optional,
            db_path => data_folder,
            log_path => "/var/log/mongodb/mongod.log",
        },
    )?;
    // Whole, and before the package's first start: package managers keep a configuration that is there.
    let mut files = vec![WriteFile::text("/etc/mongod.conf", config)];
    if let Some(key_file) = key_file {
        files.extend(key_file.write_files()?);
    }
    if let (Some(_), Some(0)) = (membership, machine.member) {
        let (name, members) = (names.replica_set(document).to_owned(), names.members(document));
        let set = GuestReplicaSet { name, members, pem: PEM.to_owned(), ca: CA.to_owned() };
        files.extend(set.write_files()?);
    }
    let reload = Reload::MongoDb { credentials: mongodb.credential_file.clone() };
    Ok(Server {
        tls: GuestTls { reload, ..GuestTls::mongodb(family, source) },
        user: user.to_owned(),
        unit: Some("mongod.service".to_owned()),
        enable: None,
        data_folder: Some(data_folder.to_owned()),
        files,
        service: vec![
            "# The configuration is ours and does not fork, whatever the package's unit expects.",
            "Type=simple",
        ],
    })
}
