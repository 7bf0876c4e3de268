//! The inside of a `#cloud-config`: what cloud-init refuses, drops, or does otherwise than it was meant. Typing errors beyond these
//! are found by `cloud-init schema`.

use std::collections::BTreeMap;

use serde_yaml::Value;
use tandem_cli::shown;

use super::user_data::each;
use crate::check::lines::walk;
use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{At, CloudConfig, Content, Format, Machine, Stream, UserData};
use crate::user_data::{is_known, meant};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM110",
        name: "cloud-config-unreadable",
        severity: Severity::Error,
        summary: "a cloud-config is not YAML, not a mapping, or has a key twice",
        why: "cloud-init drops all of it, and the guest boots as if there were none; of a key that is there twice it takes the last alone.",
        remedy: "Correct the YAML: `cloud-init schema --config-file FILE` says where; write what stands beneath a key twice beneath one.",
        check: unreadable,
    },
    Rule {
        id: "TVM111",
        name: "cloud-config-unknown-key",
        severity: Severity::Warning,
        summary: "cloud-init knows no such key at the top of a cloud-config",
        why: "It is passed over: what stands beneath it does not happen.",
        remedy: "Correct its name; https://docs.cloud-init.io/en/latest/reference/modules.html lists them.",
        check: unknown_key,
    },
    Rule {
        id: "TVM112",
        name: "cloud-config-shape",
        severity: Severity::Error,
        summary: "a module of a cloud-config is of the wrong shape",
        why: "cloud-init skips the module, or ends it at that entry, with a line in its log that nobody reads.",
        remedy: "Write a list, each entry beginning with -; an entry of write_files needs an absolute path.",
        check: shape,
    },
    Rule {
        id: "TVM113",
        name: "owner-before-its-package",
        severity: Severity::Warning,
        summary: "write_files gives a file to a user that does not exist yet",
        why: "write_files runs before users are made and packages are installed: the file stays root's, and the module ends there.",
        remedy: "Add `defer: true` to the entry: it is then written after the packages.",
        check: owner,
    },
    Rule {
        id: "TVM114",
        name: "permissions-not-quoted",
        severity: Severity::Warning,
        summary: "permissions in write_files are a number",
        why: "YAML reads 644 as decimal, which is mode 1204, and 0644 as octal or as decimal, by its version.",
        remedy: "Write them in quotes: permissions: '0644'.",
        check: permissions,
    },
    Rule {
        id: "TVM115",
        name: "mounts-skips-the-device",
        severity: Severity::Error,
        summary: "cloud-init's mounts skips virtiofs tags and LABEL=",
        why: "The module looks for a device of that name, finds none and leaves the entry out of /etc/fstab.",
        remedy: "Write a systemd mount unit with write_files, and enable it in runcmd.",
        check: mounts,
    },
    Rule {
        id: "TVM116",
        name: "file-content-not-base64",
        severity: Severity::Error,
        summary: "the content of a file in write_files is not in the encoding that it names",
        why: "cloud-init cannot decode it and ends the module there.",
        remedy: "Encode the content with `base64 -w0`, or leave `encoding` out.",
        check: encoding,
    },
    Rule {
        id: "TVM117",
        name: "parts-replace-each-other",
        severity: Severity::Warning,
        summary: "a part of an archive replaces the lists of an earlier one",
        why: "cloud-init merges by replacing: of two parts with runcmd or write_files only the last counts.",
        remedy: "Add `merge_how: list(append)+dict(no_replace,recurse_list)+str()` to the later part, or write one cloud-config.",
        check: replaced,
    },
];

pub(super) fn configs(stream: &Stream) -> impl Iterator<Item = (&Machine, &UserData, &CloudConfig)> {
    each(stream).filter_map(|(machine, user_data)| Some((machine, user_data, user_data.config()?)))
}

fn unreadable(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream) {
        if let Format::Broken(why) = &user_data.format {
            found.in_user_data(&machine.meta, user_data, "", format!("is not readable: {why}"));
        }
    }
}

fn unknown_key(stream: &Stream, found: &mut Findings) {
    for (machine, user_data, config) in configs(stream) {
        for (key, _) in config.root().fields().filter(|(key, _)| !is_known(key)) {
            let hint = meant(key).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
            found.in_user_data(&machine.meta, user_data, "", format!("{} is unknown to cloud-init{hint}", quoted(key)));
        }
    }
}

/// Keys at the top that are lists, and such as are mappings, by cloud-init's schema (`schema-cloud-config-v1.json`). `groups` may
/// also be a mapping, or names with commas between them; `rsyslog`, still, a list.
const LISTS: [&str; 11] = [
    "bootcmd",
    "runcmd",
    "write_files",
    "packages",
    "mounts",
    "mount_default_fields",
    "fs_setup",
    "ssh_authorized_keys",
    "ssh_import_id",
    "ssh_genkeytypes",
    "groups",
];
const MAPPINGS: [&str; 37] = [
    "ansible",
    "apk_repos",
    "apt",
    "autoinstall",
    "ca_certs",
    "chef",
    "chpasswd",
    "device_aliases",
    "disk_setup",
    "drivers",
    "fan",
    "growpart",
    "grub_dpkg",
    "keyboard",
    "landscape",
    "lxd",
    "mcollective",
    "ntp",
    "phone_home",
    "power_state",
    "puppet",
    "random_seed",
    "resolv_conf",
    "rh_subscription",
    "salt_minion",
    "snap",
    "spacewalk",
    "ssh",
    "ssh_keys",
    "ssh_publish_hostkeys",
    "swap",
    "ubuntu_advantage",
    "updates",
    "vendor_data",
    "wireguard",
    "yum_repos",
    "zypper",
];

fn shape(stream: &Stream, found: &mut Findings) {
    for (machine, user_data, config) in configs(stream) {
        let root = config.root();
        let mut add = |path: &str, message: String| found.in_user_data(&machine.meta, user_data, path, message);
        for node in LISTS.iter().map(|key| root.get(key)) {
            if let Some(value) = node.value().filter(|value| !value.is_sequence() && node.path() != "groups") {
                add(node.path(), format!("is {}, not a list", kind(value)));
            }
        }
        for node in MAPPINGS.iter().map(|key| root.get(key)) {
            // Nothing stands for the defaults, such as in `ntp:`.
            if let Some(value) = node.value().filter(|value| !value.is_mapping() && !value.is_null()) {
                add(node.path(), format!("is {}, not a mapping", kind(value)));
            }
        }
        for node in ["bootcmd", "runcmd"].iter().flat_map(|key| root.get(key).items()) {
            if let Some(value) = node.value().filter(|value| !(value.is_string() || value.is_sequence())) {
                add(node.path(), format!("is {}, neither a string nor a list of words", kind(value)));
            }
        }
        for node in root.get("write_files").items() {
            match node.get("path").text() {
                Some(path) if path.starts_with('/') => {}
                Some(path) => {
                    add(&format!("{}.path", node.path()), format!("{} is not an absolute path", quoted(path)))
                }
                None => add(node.path(), "has no path".to_owned()),
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(_) => "a tagged value",
    }
}

fn owner(stream: &Stream, found: &mut Findings) {
    for (machine, user_data, config) in configs(stream) {
        for file in config.files.iter().filter(|file| !file.deferred) {
            let Some(owner) = &file.owner else { continue };
            let user = owner.value.split(':').next().unwrap_or_default();
            if !(user.is_empty() || user == "root" || user.bytes().all(|b| b.is_ascii_digit())) {
                let message = format!("{} is the owner of {}", quoted(&owner.value), quoted(&file.target));
                found.in_user_data(&machine.meta, user_data, &owner.path, message);
            }
        }
    }
}

fn permissions(stream: &Stream, found: &mut Findings) {
    for (machine, user_data, config) in configs(stream) {
        // With a leading zero YAML 1.2 has a string, but cloud-init reads 1.1: only the text shows the missing quotes.
        let mut written = BTreeMap::new();
        walk(&user_data.text, |token| {
            written.extend(token.plain.filter(|text| digits(text)).map(|text| (token.path.to_owned(), shown(text))));
        });
        for At { path, .. } in config.files.iter().filter_map(|file| file.permissions.as_ref()) {
            if let Some(text) = written.get(path) {
                found.in_user_data(&machine.meta, user_data, path, format!("is {text} without quotes"));
            }
        }
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn mounts(stream: &Stream, found: &mut Findings) {
    for (machine, user_data, config) in configs(stream) {
        for entry in config.root().get("mounts").items() {
            let words = entry.list();
            let Some(device) = words.first() else { continue };
            let kind = words.get(2).map_or("", |word| word.value.as_str());
            let tag = machine.filesystems.iter().any(|filesystem| filesystem.name == device.value);
            if kind == "virtiofs" || tag {
                let message = format!("{} is a virtiofs tag, and no device", quoted(&device.value));
                found.in_user_data(&machine.meta, user_data, entry.path(), message);
            } else if device.value.starts_with("LABEL=") {
                found.in_user_data(
                    &machine.meta,
                    user_data,
                    entry.path(),
                    format!("{} is skipped", quoted(&device.value)),
                );
            }
        }
    }
}

fn encoding(stream: &Stream, found: &mut Findings) {
    for (machine, user_data, config) in configs(stream) {
        for file in config.files.iter().filter(|file| file.content.value == Content::Undecodable) {
            found.in_user_data(&machine.meta, user_data, &file.content.path, "is not base64, which its encoding says");
        }
    }
}

fn replaced(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream).filter(|(_, user_data)| matches!(user_data.format, Format::Archive)) {
        let Ok(archive) = tandem_cli::yaml::document(&user_data.text, 1024 * 1024) else { continue };
        let parts = archive.as_sequence().into_iter().flatten().map(|part| {
            let content = part.get("content").and_then(Value::as_str).or(part.as_str()).unwrap_or_default();
            CloudConfig::read(content).ok().filter(|_| content.starts_with("#cloud-config"))
        });
        let mut earlier: Vec<&str> = Vec::new();
        for (index, config) in parts.enumerate() {
            let Some(config) = config else { continue };
            let root = config.root();
            let merges = root.get("merge_how").is_there() || root.get("merge_type").is_there();
            for key in ["bootcmd", "runcmd", "write_files", "packages", "users", "mounts"] {
                if !root.get(key).is_there() {
                    continue;
                }
                if earlier.contains(&key) && !merges {
                    let message = format!("{key} replaces that of an earlier part");
                    found.in_user_data(&machine.meta, user_data, &format!("[{index}]"), message);
                }
                earlier.push(key);
            }
        }
    }
}
