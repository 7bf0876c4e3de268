//! User data as a whole: whether it reaches cloud-init, and as what.

use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::encoding;
use crate::model::{At, Format, Machine, Meta, Node, Secret, Stream, USER_DATA_KEYS, UserData, VolumeSource};
use crate::user_data::{MAX_INLINE, user_data_names};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM101",
        name: "user-data-too-long",
        severity: Severity::Error,
        summary: "user data or network data in the machine is longer than KubeVirt admits",
        why: "Inline it may have 2048 bytes, decoded; KubeVirt's admission refuses more.",
        remedy: "Move it to a Secret (key userdata; for network data networkdata), and name that in secretRef (networkDataSecretRef).",
        check: too_long,
    },
    Rule {
        id: "TVM102",
        name: "user-data-not-base64",
        severity: Severity::Error,
        summary: "user data that should be base64 is not",
        why: "KubeVirt or the API server refuses it.",
        remedy: "Encode it with `base64 -w0`, or write it as it is in userData, or in stringData of the Secret.",
        check: not_base64,
    },
    Rule {
        id: "TVM103",
        name: "user-data-secret-key",
        severity: Severity::Error,
        summary: "the user data's Secret has no key that KubeVirt looks for",
        why: "KubeVirt takes userdata or userData, and nothing else: the machine does not start.",
        remedy: "Name the key userdata.",
        check: no_key,
    },
    Rule {
        id: "TVM104",
        name: "user-data-without-header",
        severity: Severity::Error,
        summary: "user data is a cloud-config whose first line does not say so",
        why: "cloud-init knows it by the first line, and passes over this text with no more than a warning in its log.",
        remedy: "Write `#cloud-config` as the first line.",
        check: headerless,
    },
    Rule {
        id: "TVM105",
        name: "user-data-not-looked-at",
        severity: Severity::Note,
        summary: "the rules about user data could not look at it",
        why: "Jinja templates, archives, MIME parts and Secrets that are not in the stream are not read here, so silence means nothing.",
        remedy: "Check the Secret with the machine; a plain #cloud-config can be checked and injected into.",
        check: not_looked_at,
    },
    Rule {
        id: "TVM106",
        name: "secret-in-user-data",
        severity: Severity::Warning,
        summary: "a password or private key stands in a machine's inline user data",
        why: "Whoever may read VirtualMachines reads it, and so does every backup and repository of manifests.",
        remedy: "Move the user data to a Secret, or have the guest read the password or key from one.",
        check: literal_secret,
    },
    Rule {
        id: "TVM107",
        name: "user-data-secret-renamed",
        severity: Severity::Error,
        summary: "the Secret that tandem-vm made for a machine's user data is not called what the machine calls it",
        why: "kustomize's namePrefix and nameSuffix rename a Secret, and not what a machine calls it: the machine waits for the old name.",
        remedy: "Run `tandem-vm krm` in an overlay of the one that renames, or have kustomize follow the name: nameReference in `configurations`.",
        check: renamed,
    },
];

pub(super) fn each(stream: &Stream) -> impl Iterator<Item = (&Machine, &UserData)> {
    stream.machines.iter().flat_map(|machine| machine.user_data.iter().map(move |user_data| (machine, user_data)))
}

fn too_long(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for volume in &machine.volumes {
            let VolumeSource::CloudInit(cloud) = &volume.source else { continue };
            for text in [&cloud.inline, &cloud.network_inline].into_iter().flatten() {
                let length = text.value.len();
                if length > MAX_INLINE {
                    found.add(&machine.meta, &text.path, format!("has {length} bytes"));
                }
            }
            for text in [&cloud.base64, &cloud.network_base64].into_iter().flatten() {
                let length = encoding::from_base64(&text.value).map_or(0, |bytes| bytes.len());
                if length > MAX_INLINE {
                    found.add(&machine.meta, &text.path, format!("has {length} bytes when it is decoded"));
                }
            }
        }
    }
}

fn not_base64(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream) {
        if let Format::NotBase64 = user_data.format {
            found.in_user_data(&machine.meta, user_data, "", "is not base64");
        }
    }
}

fn no_key(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream) {
        let Format::NoKey = user_data.format else { continue };
        for name in secret_refs(machine).filter(|name| name.path == user_data.path) {
            let secret = stream.secret(&machine.meta.namespace, &name.value);
            let keys: Vec<_> = secret.iter().flat_map(|secret| &secret.entries).map(|(key, _)| quoted(key)).collect();
            let keys = if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") };
            let message =
                format!("the Secret {} has {keys}, but not {}", quoted(&name.value), USER_DATA_KEYS.join(" or "));
            found.add(&machine.meta, &name.path, message);
        }
    }
}

/// Secrets in which machines have their user data.
pub(super) fn secret_refs(machine: &Machine) -> impl Iterator<Item = &At<String>> {
    machine.volumes.iter().filter_map(|volume| match &volume.source {
        VolumeSource::CloudInit(cloud) => cloud.secret.as_ref(),
        _ => None,
    })
}

fn headerless(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream) {
        if let Format::Headerless = user_data.format {
            let what = match user_data.text.starts_with('\u{feff}') {
                true => "begins with a byte order mark, not with #cloud-config",
                false => "does not begin with #cloud-config",
            };
            found.in_user_data(&machine.meta, user_data, "", what);
        }
    }
}

/// Where a machine's user data is not in the stream, what it calls the Secret, and one that was made under this name and has got
/// another, as the machine has.
fn other_name<'s>(stream: &'s Stream, machine: &'s Machine) -> Option<(&'s At<String>, &'s Secret)> {
    let Meta { namespace, name, .. } = &machine.meta;
    let missing = secret_refs(machine).find(|secret| stream.secret(namespace, &secret.value).is_none())?;
    let like_the_machine = |secret: &Secret, of: &str| {
        let renamed = |at: usize| format!("{}{}{}", &name[..at], missing.value, &name[at + of.len()..]);
        name.match_indices(of).any(|(at, _)| renamed(at) == secret.meta.name)
    };
    let mut here = stream.secrets.iter().filter(|secret| secret.meta.namespace == *namespace);
    let found = here.find(|secret| {
        let of = secret.user_data_of.as_deref().filter(|of| user_data_names(of).contains(&missing.value));
        of.is_some_and(|of| like_the_machine(secret, of))
    });
    found.map(|secret| (missing, secret))
}

fn renamed(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        let Some((name, secret)) = other_name(stream, machine) else { continue };
        let [missing, there] = [&name.value, &secret.meta.name].map(|name| quoted(name));
        let message = format!("the Secret {missing}, made for its user data, is not in the stream, but {there}");
        found.add(&machine.meta, &name.path, message);
    }
}

fn not_looked_at(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream) {
        let what = match user_data.format {
            Format::Jinja => "is a jinja template",
            Format::Archive => "is a #cloud-config-archive",
            Format::Mime => "has MIME parts",
            Format::Other => "is in a format that is not read here",
            Format::NotInStream if other_name(stream, machine).is_some() => continue,
            Format::NotInStream => "is in a Secret that is not in the stream",
            Format::CloudConfig(_)
            | Format::Broken(_)
            | Format::Headerless
            | Format::Script
            | Format::Empty
            | Format::NotBase64
            | Format::NoKey => continue,
        };
        found.in_user_data(&machine.meta, user_data, "", what);
    }
}

fn literal_secret(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream).filter(|(_, user_data)| !user_data.in_secret) {
        let is_key = |text: &str| text.contains("PRIVATE KEY-----");
        let Some(config) = user_data.config() else {
            if is_key(&user_data.text) {
                found.in_user_data(&machine.meta, user_data, "", "has a private key in it");
            }
            continue;
        };
        let root = config.root();
        for text in strings(&root).iter().filter(|text| is_key(text.value)) {
            found.in_user_data(&machine.meta, user_data, &text.path, "has a private key in it");
        }
        let [named, of_users] = [root.get("chpasswd").get("users"), root.get("users")];
        let fields = named.items().map(|user| user.get("password"));
        let fields = fields.chain(of_users.items().map(|user| user.get("plain_text_passwd")));
        for node in fields.chain([root.get("password")]).filter(|node| node.text().is_some_and(is_plain)) {
            found.in_user_data(&machine.meta, user_data, node.path(), "is a password in plain text");
        }
        // Its deprecated form: USER:PASSWORD, as a list or in lines.
        let list = root.get("chpasswd").get("list");
        for entry in strings(&list) {
            for (user, password) in entry.value.lines().filter_map(|line| line.split_once(':')) {
                if is_plain(password.trim()) {
                    let message = format!("the password of {} is in plain text", quoted(user.trim()));
                    found.in_user_data(&machine.meta, user_data, &entry.path, message);
                }
            }
        }
    }
}

/// Neither a hash nor one of cloud-init's words for a password that it makes.
fn is_plain(password: &str) -> bool {
    !(password.is_empty() || password.starts_with('$') || matches!(password, "RANDOM" | "R"))
}

/// All texts within a value.
fn strings<'v>(node: &Node<'v>) -> Vec<At<&'v str>> {
    let own = node.text().map(|value| At { path: node.path().to_owned(), value });
    let inner = node.items().chain(node.fields().map(|(_, node)| node)).flat_map(|inner| strings(&inner));
    own.into_iter().chain(inner).collect()
}
