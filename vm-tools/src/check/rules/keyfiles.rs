//! Replica set keyFiles: <https://www.mongodb.com/docs/manual/core/security-internal-authentication/#keyfiles>.

use std::sync::LazyLock;

use regex::Regex;

use super::cloud_config::configs;
use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::keyfile;
use crate::model::{Content, Machine, Stream, UserData, WrittenFile};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM130",
        name: "keyfile-content",
        severity: Severity::Error,
        summary: "a keyFile holds what MongoDB does not take",
        why: "MongoDB takes 6 to 1024 characters of the base64 set, white space not counted, and does not start with anything else.",
        remedy: "Make one with `tandem-vm keyfile`, or with `openssl rand -base64 756`.",
        check: content,
    },
    Rule {
        id: "TVM131",
        name: "keyfile-too-open",
        severity: Severity::Error,
        summary: "a keyFile can be read by others than its owner",
        why: "MongoDB ends with \"permissions are too open\". Without `permissions` cloud-init writes 0644.",
        remedy: "Write permissions: '0400' and the owner that MongoDB runs as, with `defer: true` if its package makes that user.",
        check: permissions,
    },
    Rule {
        id: "TVM132",
        name: "keyfile-mounted-directly",
        severity: Severity::Error,
        summary: "a pod's MongoDB reads its keyFile directly from a Secret volume",
        why: "Files of a Secret volume belong to root, and to be readable for another user they need group bits, which MongoDB calls too \
              open: no defaultMode satisfies both.",
        remedy: "Copy it in an init container to an emptyDir, owned by MongoDB's user and with mode 0400, and name the copy.",
        check: mounted,
    },
];

/// `keyFile: PATH` in mongod.conf, `--keyFile PATH` on a command line.
static NAMED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?:keyFile:[ \t]*|--keyFile[= \t]+)["']?(/[^ \t\n"';]+)"#).ok());

fn named_in(text: &str) -> impl Iterator<Item = &str> {
    let found = NAMED.iter().flat_map(move |regex| regex.captures_iter(text));
    found.filter_map(|found| found.get(1)).map(|path| path.as_str())
}

/// Whether a file or key is called as keyFiles are.
fn sounds_like_it(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    // What brings a keyFile is none: a script, its settings, a unit.
    if name == "tandem-keyfile" || [".conf", ".service", ".sh"].iter().any(|end| name.ends_with(end)) {
        return false;
    }
    name.contains("keyfile") || ["replica.key", "replica-key", "mongodb.key", "mongo.key"].contains(&&*name)
}

/// keyFiles that user data writes.
fn written(stream: &Stream) -> impl Iterator<Item = (&Machine, &UserData, &WrittenFile)> {
    configs(stream).flat_map(|(machine, user_data, config)| {
        let named: Vec<String> =
            user_data.texts().iter().flat_map(|text| named_in(text.value)).map(str::to_owned).collect();
        let is_one = move |file: &&WrittenFile| named.contains(&file.target) || sounds_like_it(&file.target);
        config.files.iter().filter(is_one).map(move |file| (machine, user_data, file))
    })
}

fn faults(content: &Content) -> Vec<String> {
    match content {
        Content::Text(text) => {
            keyfile::check(text.as_bytes()).err().into_iter().flatten().map(|fault| fault.to_string()).collect()
        }
        Content::Binary => vec!["is not text".to_owned()],
        Content::Undecodable => Vec::new(),
    }
}

fn content(stream: &Stream, found: &mut Findings) {
    for (machine, user_data, file) in written(stream) {
        for fault in faults(&file.content.value) {
            let message = format!("the keyFile {}: {fault}", quoted(&file.target));
            found.in_user_data(&machine.meta, user_data, &file.content.path, message);
        }
    }
    for secret in &stream.secrets {
        for (key, content) in secret.entries.iter().filter(|(key, _)| sounds_like_it(key)) {
            for fault in faults(&content.value) {
                found.add(&secret.meta, &content.path, format!("the keyFile {}: {fault}", quoted(key)));
            }
        }
    }
}

fn permissions(stream: &Stream, found: &mut Findings) {
    for (machine, user_data, file) in written(stream) {
        let later = configs(stream).filter(|(_, other, _)| std::ptr::eq(*other, user_data)).any(|(_, _, config)| {
            let mut commands = config.bootcmd.iter().chain(&config.runcmd);
            commands.any(|command| command.value.contains("chmod") && command.value.contains(&file.target))
        });
        let Some(Err(fault)) = file.mode().map(keyfile::check_mode) else { continue };
        if !later {
            let path = file.permissions.as_ref().map_or(&file.path, |permissions| &permissions.path);
            found.in_user_data(
                &machine.meta,
                user_data,
                path,
                format!("of the keyFile {}: {fault}", quoted(&file.target)),
            );
        }
    }
}

fn mounted(stream: &Stream, found: &mut Findings) {
    for workload in &stream.workloads {
        for container in &workload.containers {
            let line = container.words.iter().map(|word| word.value.as_str()).collect::<Vec<_>>().join(" ");
            for path in named_in(&line) {
                // The longest mount above the file is the one that it comes from.
                let above = container.mounts.iter().filter(|mount| {
                    let rest = path.strip_prefix(mount.mount_path.trim_end_matches('/'));
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                });
                let Some(mount) = above.max_by_key(|mount| mount.mount_path.len()) else { continue };
                if workload.secrets().any(|(volume, _)| volume.name == mount.volume) {
                    found.add(&workload.meta, &mount.path, format!("{} is the keyFile", quoted(path)));
                }
            }
        }
    }
}

/// What user data says of MongoDB.
pub(super) struct MongoDb {
    /// It is a member of a replica set.
    pub(super) member: bool,
    /// Members know each other by their certificates.
    pub(super) x509: bool,
}

static MEMBER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"replSetName:[ \t]*[^ \t\n]|--replSet[= \t]"#).ok());
static X509: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:clusterAuthMode:[ \t]*|--clusterAuthMode[= \t]+)["']?(?:x509|sendX509|sendKeyFile)"#).ok()
});

pub(super) fn mongodb(machine: &Machine) -> MongoDb {
    let texts: Vec<_> = machine.user_data.iter().flat_map(UserData::texts).collect();
    let any =
        |regex: &Option<Regex>| regex.as_ref().is_some_and(|regex| texts.iter().any(|text| regex.is_match(text.value)));
    let x509 = any(&X509);
    MongoDb { member: x509 || any(&MEMBER), x509 }
}

/// The machines whose user data says so.
pub(super) fn members(stream: &Stream, x509: bool) -> impl Iterator<Item = &Machine> {
    stream.machines.iter().filter(move |machine| {
        let found = mongodb(machine);
        if x509 { found.x509 } else { found.member }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_compile() {
        assert!(NAMED.is_some() && MEMBER.is_some() && X509.is_some());
    }

    #[test]
    fn a_key_file_is_found_in_configuration_and_on_command_lines() {
        let text = "security:\n  keyFile: /etc/a.key\n# mongod --keyFile=/b --keyFile '/c d'\n";
        assert_eq!(named_in(text).collect::<Vec<_>>(), ["/etc/a.key", "/b", "/c"]);
    }
}
