//! MongoDB, as its own packages set it up: <https://www.mongodb.com/docs/manual/administration/install-on-linux/>.

use minijinja::context;

use super::server::Server;
use super::templates::Templates;
use crate::RenderError;
use crate::guest::{GuestTls, Reload, Source, WriteFile};
use crate::spec::{ClientAuth, Document, Family, MongoDb};

pub(super) fn server(
    document: &Document,
    mongodb: &MongoDb,
    source: Source,
    templates: &Templates,
) -> Result<Server, RenderError> {
    let family = document.spec.os.family;
    let (user, data_folder) = match family {
        Family::Rhel => ("mongod", "/var/lib/mongo"),
        Family::Debian => ("mongodb", "/var/lib/mongodb"),
    };
    let config = templates.render(
        "mongod.conf",
        context! {
            port => document.spec.database.port(),
            pem => "/etc/ssl/mongodb.pem",
            ca => "/etc/ssl/ca.crt",
            allow_without_certificates => mongodb.client_auth == ClientAuth::Optional,
            db_path => data_folder,
            log_path => "/var/log/mongodb/mongod.log",
        },
    )?;
    let reload = Reload::MongoDb { credentials: mongodb.credential_file.clone() };
    Ok(Server {
        tls: GuestTls { reload, ..GuestTls::mongodb(family, source) },
        user: user.to_owned(),
        unit: Some("mongod.service".to_owned()),
        enable: None,
        data_folder: Some(data_folder.to_owned()),
        // Whole, and before the package's first start: package managers keep a configuration that is there.
        files: vec![WriteFile::text("/etc/mongod.conf", config)],
        service: vec![
            "# The configuration is ours and does not fork, whatever the package's unit expects.",
            "Type=simple",
        ],
    })
}
