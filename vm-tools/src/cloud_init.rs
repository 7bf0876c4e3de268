//! Checked document → user data.
//!
//! The `#cloud-config` itself is serialized from types; templates make only the texts inside it (scripts, units,
//! `mongod.conf`), so nothing is ever quoted or indented by hand.
//!
//! ```text
//! write_files ─▶ mongod.conf; what crate::guest has  (first boot, before the packages)
//! packages ────▶ mongod, with its user              (first boot)
//! runcmd ──────▶ start mongod.service               (first boot)
//!
//! mongod.service ─wants────▶ tandem-tls.service     (every boot: Secret disk → /etc/ssl)
//!                └requires─▶ data mount ─requires─▶ tandem-data.service   (every boot: format only if empty)
//! ```

mod guest;

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::RenderError;
use crate::guest::{Bus, Filesystem, GuestCommand, GuestData, GuestTls, Source, WriteFile};
use crate::names::{MONGODB_PORT, Names};
use crate::spec::{ClientAuth, Document};
use guest::Guest;

/// The database's unit, under the same name in both families' packages.
const SERVICE: &str = "mongod.service";
/// What MongoDB's production notes recommend under WiredTiger.
const FILESYSTEM: Filesystem = Filesystem::Xfs;

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
    write_files: Vec<WriteFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_update: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packages: Vec<&'static str>,
    runcmd: Vec<GuestCommand>,
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

/// What the templates may use; anything else in them is an error.
#[derive(Serialize)]
struct Context<'a> {
    #[serde(flatten)]
    guest: Guest,
    port: u16,
    folder: &'a str,
    pem: &'a str,
    ca: &'a str,
    allow_without_certificates: bool,
}

/// The templates by name.
const TEMPLATES: [(&str, &str); 2] = [
    ("mongod.conf", include_str!("templates/mongod.conf")),
    ("database-drop-in.conf", include_str!("templates/database-drop-in.conf")),
];

/// The whole user data, beginning with `#cloud-config`.
///
/// # Errors
/// [`RenderError`] if a template names something that is not in its context, or the guest cannot use a value; that is a
/// fault of this crate.
pub(crate) fn user_data(document: &Document, names: &Names) -> Result<String, RenderError> {
    let mongodb = &document.spec.database.mongodb;
    let guest = Guest::of(document.spec.os.family);
    let context = Context {
        guest,
        port: MONGODB_PORT,
        folder: "/etc/ssl",
        pem: "mongodb.pem",
        ca: "ca.crt",
        allow_without_certificates: mongodb.client_auth == ClientAuth::Optional,
    };
    let family = document.spec.os.family;
    let tls = GuestTls::mongodb(family, Source::Disk { serial: names.certificate_serial(document), bus: Bus::Virtio });
    let data = GuestData {
        serial: names.data_serial(document),
        filesystem: FILESYSTEM,
        folder: guest.db_path.to_owned(),
        owner: guest.user.to_owned(),
        service: SERVICE.to_owned(),
    };
    let mut write_files = files(&context)?;
    write_files.extend(tls.write_files()?);
    write_files.extend(data.write_files()?);
    let mut runcmd = tls.commands();
    // Not only `start`: a package may have started the server before systemd had read our units.
    for word in ["enable", "restart"] {
        runcmd.push(["systemctl", word, SERVICE].map(str::to_owned).to_vec());
    }
    let mut config = CloudConfig {
        ssh_authorized_keys: document.spec.os.ssh_authorized_keys.clone(),
        write_files,
        runcmd,
        ..CloudConfig::default()
    };
    guest::add_packages(&mut config, family, mongodb);
    Ok(format!("#cloud-config\n{}", serde_yaml::to_string(&config)?))
}

fn files(context: &Context<'_>) -> Result<Vec<WriteFile>, RenderError> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).build()?);
    for (name, text) in TEMPLATES {
        templates.add_template(name, text)?;
    }
    let render = |template: &str, path: &str| -> Result<WriteFile, RenderError> {
        Ok(WriteFile::text(path, templates.get_template(template)?.render(Serde(context))?))
    };
    Ok(vec![
        render("mongod.conf", "/etc/mongod.conf")?,
        render("database-drop-in.conf", &format!("/etc/systemd/system/{SERVICE}.d/10-tandem.conf"))?,
    ])
}
