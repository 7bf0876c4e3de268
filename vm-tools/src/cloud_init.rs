//! Checked document → user data.
//!
//! The `#cloud-config` itself is serialized from types; templates make only the texts inside it (scripts, units,
//! `mongod.conf`), so nothing is ever quoted or indented by hand.
//!
//! ```text
//! write_files ─▶ mongod.conf, scripts, units        (first boot, before the packages)
//! packages ────▶ mongod, with its user              (first boot)
//! runcmd ──────▶ start mongod.service               (first boot)
//!
//! mongod.service ─requires─▶ tandem-tls.service     (every boot: Secret disk → /etc/ssl)
//!                └requires─▶ data mount ─requires─▶ tandem-data.service   (every boot: format only if empty)
//! ```

mod guest;

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::RenderError;
use crate::names::{MONGODB_PORT, Names};
use crate::spec::{ClientAuth, Document};
use guest::Guest;

/// The database's unit, under the same name in both families' packages.
const SERVICE: &str = "mongod.service";
/// What MongoDB's production notes recommend under WiredTiger.
const FILESYSTEM: &str = "xfs";
/// The package with `mkfs.xfs`, under the same name in both families.
const FILESYSTEM_PACKAGE: &str = "xfsprogs";

/// The `#cloud-config` keys that are rendered, of which cloud-init 22.4 and later know all:
/// <https://docs.cloud-init.io/en/latest/reference/modules.html>.
#[derive(Debug, Default, Serialize)]
struct CloudConfig {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh_authorized_keys: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bootcmd: Vec<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    yum_repos: Option<BTreeMap<String, YumRepository>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    apt: Option<Apt>,
    write_files: Vec<File>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_update: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packages: Vec<&'static str>,
    runcmd: Vec<Vec<&'static str>>,
}

#[derive(Debug, Serialize)]
struct YumRepository {
    name: String,
    baseurl: String,
    enabled: bool,
    gpgcheck: bool,
    gpgkey: String,
}

#[derive(Debug, Serialize)]
struct Apt {
    sources: BTreeMap<String, AptSource>,
}

#[derive(Debug, Serialize)]
struct AptSource {
    source: String,
    append: bool,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    /// Octal, as a string: cloud-init reads a YAML number as decimal.
    permissions: &'static str,
    content: String,
}

/// What the templates may use; anything else in them is an error.
#[derive(Serialize)]
struct Context<'a> {
    #[serde(flatten)]
    guest: Guest,
    service: &'a str,
    serial: String,
    data_serial: String,
    mount_unit: String,
    filesystem: &'a str,
    port: u16,
    folder: &'a str,
    pem: &'a str,
    ca: &'a str,
    allow_without_certificates: bool,
}

/// The templates by name; `include` finds them by the same names.
const TEMPLATES: [(&str, &str); 8] = [
    ("wait-for-disk.sh", include_str!("templates/wait-for-disk.sh")),
    ("mongod.conf", include_str!("templates/mongod.conf")),
    ("tandem-tls.sh", include_str!("templates/tandem-tls.sh")),
    ("tandem-tls.service", include_str!("templates/tandem-tls.service")),
    ("tandem-data.sh", include_str!("templates/tandem-data.sh")),
    ("tandem-data.service", include_str!("templates/tandem-data.service")),
    ("data.mount", include_str!("templates/data.mount")),
    ("database-drop-in.conf", include_str!("templates/database-drop-in.conf")),
];

/// The whole user data, beginning with `#cloud-config`.
///
/// # Errors
/// [`RenderError`] if a template names something that is not in its context; that is a fault of this crate.
pub(crate) fn user_data(document: &Document, names: &Names) -> Result<String, RenderError> {
    let mongodb = &document.spec.database.mongodb;
    let guest = Guest::of(document.spec.os.family);
    let context = Context {
        guest,
        service: SERVICE,
        serial: names.certificate_serial(document),
        data_serial: names.data_serial(document),
        mount_unit: mount_unit(guest.db_path),
        filesystem: FILESYSTEM,
        port: MONGODB_PORT,
        folder: "/etc/ssl",
        pem: "mongodb.pem",
        ca: "ca.crt",
        allow_without_certificates: mongodb.client_auth == ClientAuth::Optional,
    };
    let mut config = CloudConfig {
        ssh_authorized_keys: document.spec.os.ssh_authorized_keys.clone(),
        write_files: files(&context)?,
        // Not only `start`: a package may have started the server before systemd had read our units.
        runcmd: vec![
            vec!["systemctl", "daemon-reload"],
            vec!["systemctl", "enable", SERVICE],
            vec!["systemctl", "restart", SERVICE],
        ],
        ..CloudConfig::default()
    };
    guest::add_packages(&mut config, document.spec.os.family, mongodb);
    Ok(format!("#cloud-config\n{}", serde_yaml::to_string(&config)?))
}

fn files(context: &Context<'_>) -> Result<Vec<File>, RenderError> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).build()?);
    for (name, text) in TEMPLATES {
        templates.add_template(name, text)?;
    }
    let unit = |name: &str| format!("/etc/systemd/system/{name}");
    let wanted = [
        ("mongod.conf", "/etc/mongod.conf".to_owned(), "0644"),
        ("tandem-tls.sh", "/usr/local/sbin/tandem-tls".to_owned(), "0755"),
        ("tandem-tls.service", unit("tandem-tls.service"), "0644"),
        ("tandem-data.sh", "/usr/local/sbin/tandem-data".to_owned(), "0755"),
        ("tandem-data.service", unit("tandem-data.service"), "0644"),
        ("data.mount", unit(&context.mount_unit), "0644"),
        ("database-drop-in.conf", unit(&format!("{}.d/10-tandem.conf", context.service)), "0644"),
    ];
    let render = |(template, path, permissions): (&str, String, _)| {
        Ok(File { path, permissions, content: templates.get_template(template)?.render(Serde(context))? })
    };
    wanted.into_iter().map(render).collect()
}

/// The unit that systemd expects for a mount point (systemd.mount(5)). The paths here need no further escaping.
fn mount_unit(path: &str) -> String {
    format!("{}.mount", path.trim_matches('/').replace('/', "-"))
}
