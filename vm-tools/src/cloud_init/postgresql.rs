//! PostgreSQL, as the distributions package it. Nothing that is theirs is edited but one line at the end of the RHEL family's
//! postgresql.conf: our settings are a file that is read after theirs, and so are the rules of who may connect.
//!
//! ```text
//! Debian  /etc/postgresql/15/main/conf.d/50-tandem.conf    data in /var/lib/postgresql/15/main
//! RHEL    /etc/tandem/postgresql.conf, by an include       data in /var/lib/pgsql/data
//! ```

use minijinja::context;
use minijinja::value::Serde;

use super::server::Server;
use super::templates::Templates;
use crate::RenderError;
use crate::guest::{GuestTls, Source, WriteFile};
use crate::spec::{ClientAuth, Document, Family, PostgreSql};

/// User of the server in both families.
const USER: &str = "postgres";
const HBA_FILE: &str = "/etc/tandem/pg_hba.conf";
const SCRIPT: &str = "/usr/local/sbin/tandem-initdb";
const MAKE_CLUSTER: &str = "ExecStartPre=+/usr/local/sbin/tandem-initdb";
/// As the data disk's own drop-in says it.
const OWN: &str = "ExecStartPre=+/usr/local/sbin/tandem-data own";

/// What differs between the families.
struct Layout {
    unit: String,
    enable: Option<String>,
    /// Home of the server's user, where the data disk is mounted.
    home: &'static str,
    data: String,
    initdb: String,
    config: String,
    /// Whether that configuration has to be named in the cluster's own.
    include: bool,
    /// Lines for the unit.
    service: Vec<&'static str>,
}

impl Layout {
    fn of(family: Family, postgresql: &PostgreSql) -> Self {
        match family {
            Family::Debian => {
                let version = postgresql.version_on_debian();
                Self {
                    unit: format!("postgresql@{version}-main.service"),
                    // Its generator has all clusters started by this one.
                    enable: Some("postgresql.service".to_owned()),
                    home: "/var/lib/postgresql",
                    data: format!("/var/lib/postgresql/{version}/main"),
                    initdb: format!("/usr/lib/postgresql/{version}/bin/initdb"),
                    config: format!("/etc/postgresql/{version}/main/conf.d/50-tandem.conf"),
                    include: false,
                    service: vec![MAKE_CLUSTER],
                }
            }
            Family::Rhel => Self {
                unit: "postgresql.service".to_owned(),
                enable: None,
                home: "/var/lib/pgsql",
                data: "/var/lib/pgsql/data".to_owned(),
                initdb: "/usr/bin/initdb".to_owned(),
                config: "/etc/tandem/postgresql.conf".to_owned(),
                include: true,
                service: vec![
                    "# The package's own first step refuses to start where there is no cluster yet.",
                    "ExecStartPre=",
                    OWN,
                    MAKE_CLUSTER,
                ],
            },
        }
    }
}

pub(super) fn server(
    document: &Document,
    postgresql: &PostgreSql,
    source: Source,
    templates: &Templates,
) -> Result<Server, RenderError> {
    let family = document.spec.os.family;
    let mut layout = Layout::of(family, postgresql);
    if !document.spec.has_data_disk() {
        layout.service.retain(|line| *line != OWN);
    }
    let Layout { unit, enable, home, data, initdb, config, include, service } = layout;
    let [certificate, key, ca] = ["tls.crt", "tls.key", "ca.crt"].map(|name| format!("/etc/ssl/postgresql/{name}"));
    let clientcert =
        (postgresql.client_auth == ClientAuth::Required).then(|| postgresql.clientcert.unwrap_or_default());
    let settings = templates.render(
        "postgresql.conf",
        context! { port => document.spec.database.port(), certificate, key, ca, hba_file => HBA_FILE },
    )?;
    let rules =
        templates.render("pg_hba.conf", context! { hba => postgresql.hba.clone(), clientcert => Serde(clientcert) })?;
    let script = templates
        .render("tandem-initdb.sh", context! { data, initdb, user => USER, include => include.then_some(&config) })?;
    Ok(Server {
        tls: GuestTls { before: vec![unit.clone()], ..GuestTls::postgresql(family, source) },
        user: USER.to_owned(),
        unit: Some(unit),
        enable,
        data_folder: Some(home.to_owned()),
        files: vec![
            WriteFile::text(config, settings),
            WriteFile::text(HBA_FILE, rules),
            WriteFile::program(SCRIPT, script),
        ],
        service,
    })
}
