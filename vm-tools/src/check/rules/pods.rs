//! The clients: what they get of the Secret, and whether they follow its renewal.

use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{PodVolume, SecretUse, Stream, Workload};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM403",
        name: "client-has-the-servers-key",
        severity: Severity::Warning,
        summary: "a client mounts the private key of the server",
        why: "It can pose as the server, and read what is meant for it. To verify the server, ca.crt is enough.",
        remedy: "Mount `items: [{key: ca.crt, path: ca.crt}]`, and give a client that has to show a certificate one of its own.",
        check: servers_key,
    },
    Rule {
        id: "TVM404",
        name: "sub-path",
        severity: Severity::Warning,
        summary: "a certificate is mounted by subPath",
        why: "The kubelet never updates such a mount: the pod keeps the certificate with which it was started.",
        remedy: "Mount the whole volume into a folder of its own.",
        check: sub_path,
    },
    Rule {
        id: "TVM405",
        name: "certificate-in-environment",
        severity: Severity::Warning,
        summary: "a pod has a certificate in its environment",
        why: "An environment does not change while a container runs, and shows in crash reports and to whoever may exec.",
        remedy: "Mount the Secret as a volume.",
        check: environment,
    },
    Rule {
        id: "TVM406",
        name: "secret-in-environment",
        severity: Severity::Warning,
        summary: "a password stands literally in a pod's environment or arguments",
        why: "Whoever may read the object, its history or the repository has it.",
        remedy: "Take it from a Secret: valueFrom.secretKeyRef, or a mounted file.",
        check: literal,
    },
];

fn servers_key(stream: &Stream, found: &mut Findings) {
    for workload in &stream.workloads {
        let mounted = |(volume, used): &(&PodVolume, &SecretUse)| used.has("tls.key") && shows_key(workload, volume);
        for (_, used) in workload.secrets().filter(mounted) {
            let server = stream.machines.iter().find(|machine| {
                machine.meta.namespace == workload.meta.namespace
                    && stream.delivered(machine).any(|(volume, _)| {
                        matches!(&volume.source, crate::model::VolumeSource::Secret { name: Some(name), .. } if name.value == used.name.value)
                    })
            });
            if let Some(server) = server {
                let message = format!("{} with its tls.key is what {} serves", quoted(&used.name.value), server.meta);
                found.add(&workload.meta, &used.name.path, message);
            }
        }
    }
}

/// Whether a container sees tls.key of a volume that holds it. A mount by `subPath` shows one file, or the folder that is the
/// volume's content (`..data`); under which path `items` put the key is not looked at.
fn shows_key(workload: &Workload, volume: &PodVolume) -> bool {
    let mounts = workload.containers.iter().flat_map(|container| &container.mounts);
    let mut mounts = mounts.filter(|mount| mount.volume == volume.name).peekable();
    let renamed = volume.secrets.iter().any(|used| used.keys.is_some());
    let shows = |path: &str| path.ends_with("tls.key") || path.starts_with("..") || path.contains("$(");
    mounts.peek().is_none()
        || renamed
        || mounts.any(|mount| mount.sub_path.as_ref().is_none_or(|path| shows(&path.value)))
}

/// Whether a Secret holds a certificate, as far as the stream says.
fn is_certificate(stream: &Stream, namespace: &str, name: &str) -> bool {
    stream.certificate_of_secret(namespace, name).is_some()
        || stream.secret(namespace, name).is_some_and(|secret| secret.get("tls.crt").is_some())
}

fn sub_path(stream: &Stream, found: &mut Findings) {
    for workload in &stream.workloads {
        for mount in workload.containers.iter().flat_map(|container| &container.mounts) {
            let Some(sub_path) = &mount.sub_path else { continue };
            let secret = workload.secrets().find(|(volume, used)| {
                volume.name == mount.volume && is_certificate(stream, &workload.meta.namespace, &used.name.value)
            });
            if let Some((_, used)) = secret {
                let message = format!(
                    "{} of the Secret {} does not follow it",
                    quoted(&sub_path.value),
                    quoted(&used.name.value)
                );
                found.add(&workload.meta, &sub_path.path, message);
            }
        }
    }
}

fn environment(stream: &Stream, found: &mut Findings) {
    for workload in &stream.workloads {
        for container in &workload.containers {
            let variables =
                container.env.iter().filter_map(|variable| variable.secret.as_ref().map(|(secret, _)| secret));
            for secret in variables.chain(&container.env_from).map(|used| &used.name) {
                if is_certificate(stream, &workload.meta.namespace, &secret.value) {
                    found.add(
                        &workload.meta,
                        &secret.path,
                        format!("is the Secret {} of a certificate", quoted(&secret.value)),
                    );
                }
            }
        }
    }
}

/// Endings of variables that hold something secret.
const SECRET: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "PRIVATE_KEY", "PWD"];

fn literal(stream: &Stream, found: &mut Findings) {
    for workload in &stream.workloads {
        for container in &workload.containers {
            for variable in &container.env {
                let Some(value) = variable.value.as_ref().filter(|value| !value.value.is_empty()) else { continue };
                let name = variable.name.to_ascii_uppercase();
                // $(OTHER) takes another variable's value.
                let named =
                    SECRET.iter().any(|end| name.ends_with(end)) && !value.value.starts_with("$(") && name != "PWD";
                if named {
                    found.add(&workload.meta, &value.path, format!("{} has a literal value", quoted(&variable.name)));
                } else if has_password(&value.value) {
                    found.add(
                        &workload.meta,
                        &value.path,
                        format!("{} has a password in its URL", quoted(&variable.name)),
                    );
                }
            }
            for word in container.words.iter().filter(|word| has_password(&word.value)) {
                found.add(&workload.meta, &word.path, "has a password in a URL");
            }
        }
    }
}

/// Whether a URL in the text has a password in it that is not taken from a variable.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let end =
            rest.find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace()).unwrap_or(rest.len());
        let user = rest.get(..end).and_then(|authority| authority.rsplit_once('@')).map(|(user, _)| user);
        let password = user.and_then(|user| user.split_once(':')).map(|(_, password)| password);
        password
            .is_some_and(|password| !password.is_empty() && !password.starts_with('$') && !password.starts_with('<'))
    })
}

#[cfg(test)]
mod tests {
    use super::has_password;

    #[test]
    fn passwords_in_urls_are_told_from_ports_and_variables() {
        for text in ["mongodb://app:hunter2@db:27017/x", "see postgres://a:b@h"] {
            assert!(has_password(text), "{text}");
        }
        for text in ["mongodb://db:27017/?a=b@c", "mongodb://app@db", "mongodb://app:$(PASSWORD)@db", "http://h/a:b@c"]
        {
            assert!(!has_password(text), "{text}");
        }
    }
}
