//! Checked document → user data.
//!
//! The `#cloud-config` itself is serialized from types, and the user's is merged into it as a value; templates make only
//! texts inside it (the servers' configurations), so nothing is ever quoted or indented by hand.
//!
//! ```text
//! write_files ─▶ configuration, scripts, units      (first boot, before the packages)
//! packages ────▶ the server, with its user          (first boot)
//! runcmd ──────▶ start the server                   (first boot)
//!
//! server.service ─wants────▶ tandem-tls.service     (every boot: Secret → files)
//!                └─requires▶ data mount ─requires─▶ tandem-data.service   (every boot: format only if empty)
//! ```

mod config;
mod data_disk;
mod mongodb;
mod packages;
mod postgresql;
mod redis;
mod server;
mod templates;

use minijinja::context;
use serde_yaml::{Mapping, Value};
use tandem_cli::Problem;

use crate::RenderError;
use crate::guest::{Filesystem, GuestData, WriteFile};
use crate::merge;
use crate::names::{MachineNames, Names};
use crate::spec::{Database, Document};
use crate::yaml_edit;
use config::{CloudConfig, Host};
use data_disk::DataDisk;
use templates::Templates;

/// XFS is what MongoDB's production notes recommend under WiredTiger, and what the other databases do not mind; its mkfs
/// comes with their packages. Where no packages are installed, it is one that every guest can make.
fn filesystem(document: &Document) -> Filesystem {
    if matches!(document.spec.database, Database::None(_)) { Filesystem::Ext4 } else { Filesystem::Xfs }
}

/// The whole user data of a machine, beginning with `#cloud-config`.
///
/// # Errors
/// [`RenderError::Fields`] where the user's cloud-config contradicts ours; any other is a fault of this crate.
pub(crate) fn user_data(document: &Document, names: &Names, machine: &MachineNames) -> Result<String, RenderError> {
    let (config, data_disk) = config(document, names, machine)?;
    let more = &document.spec.cloud_config;
    let text =
        if more.is_empty() { yaml_edit::to_string(&config)? } else { merged(&config, data_disk.as_ref(), more)? };
    Ok(format!("#cloud-config\n{text}"))
}

fn config(
    document: &Document,
    names: &Names,
    machine: &MachineNames,
) -> Result<(CloudConfig, Option<DataDisk>), RenderError> {
    let templates = Templates::new()?;
    let server = server::of(document, names, machine, &templates)?;
    let mut files = server.files;
    files.extend(server.tls.write_files()?);
    let mut data_disk = None;
    if let (Some(folder), Some(service)) = (server.data_folder, &server.unit) {
        data_disk = Some(DataDisk { serial: machine.data_serial.clone(), folder: folder.clone() });
        let data = GuestData {
            serial: machine.data_serial.clone(),
            filesystem: filesystem(document),
            folder,
            owner: server.user,
            service: service.clone(),
        };
        files.extend(data.write_files()?);
    }
    let mut runcmd = server.tls.commands();
    if let Some(unit) = server.unit {
        if !server.service.is_empty() {
            let text = templates.render("database-drop-in.conf", context! { lines => server.service })?;
            // After those of the data disk and the certificate, so that it may begin a list anew.
            files.push(WriteFile::text(format!("/etc/systemd/system/{unit}.d/20-tandem.conf"), text));
        }
        let systemctl = |verb: &str, unit| vec!["systemctl".to_owned(), verb.to_owned(), unit];
        // Not only `start`: a package may have started the server before systemd had read our units.
        runcmd.extend([systemctl("enable", server.enable.unwrap_or_else(|| unit.clone())), systemctl("restart", unit)]);
    }
    let ssh_authorized_keys = document.spec.os.ssh_authorized_keys.clone();
    let host = machine.member.map(|_| Host {
        hostname: machine.vm.clone(),
        fqdn: machine.host().to_owned(),
        prefer_fqdn_over_hostname: false,
        manage_etc_hosts: "localhost",
    });
    let mut config = CloudConfig { host, ssh_authorized_keys, write_files: files, runcmd, ..CloudConfig::default() };
    packages::add(&mut config, document);
    Ok((config, data_disk))
}

/// Ours and the user's in one.
fn merged(ours: &CloudConfig, data_disk: Option<&DataDisk>, more: &Mapping) -> Result<String, RenderError> {
    let mut problems = data_disk.map(|disk| disk.problems(more)).unwrap_or_default();
    for (i, file) in more.get("write_files").and_then(Value::as_sequence).into_iter().flatten().enumerate() {
        let path = file.get("path").and_then(Value::as_str);
        if let Some(path) = path.filter(|path| ours.write_files.iter().any(|file| file.path == *path)) {
            let field = format!("spec.cloudConfig.write_files[{i}].path");
            problems.push(Problem::new(field, format!("`{path}` is written by tandem-vm; choose another path")));
        }
    }
    let mut all: Mapping = serde_yaml::from_value(serde_yaml::to_value(ours)?)?;
    merge::extend(&mut all, more, "spec.cloudConfig", &mut problems);
    if problems.is_empty() { Ok(yaml_edit::to_string(&all)?) } else { Err(RenderError::Fields(problems)) }
}
