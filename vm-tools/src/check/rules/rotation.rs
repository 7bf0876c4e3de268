//! Whether the guest follows when cert-manager renews.

mod copies;

use std::sync::LazyLock;

use regex::Regex;

use super::user_data::each;
use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{At, CloudConfig, Format, Machine, Meta, Stream, UserData, VolumeSource};
use crate::spec::values::go_duration;

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM210",
        name: "disk-does-not-follow",
        severity: Severity::Warning,
        summary: "a certificate is renewed while the machine's disk keeps the old one",
        why: "KubeVirt makes a Secret's disk when the machine starts. Neither a reboot of the guest nor a live migration makes it anew: \
              without a restart the guest serves its certificate until that has expired.",
        remedy: "Deliver it as a filesystem (virtiofs), or restart stale machines: `tandem-vm rotation-plan` says when, `tandem-vm stale` \
                 which.",
        check: disk,
    },
    Rule {
        id: "TVM211",
        name: "certificate-copied-once",
        severity: Severity::Warning,
        summary: "the guest copies its certificate at the first boot only",
        why: "runcmd and user scripts run once for each instance. On a root disk that outlives the machine's starts the copy stays, \
              whatever the Secret's disk has.",
        remedy: "Copy it in a systemd unit that runs before the database at every boot, as `tandem-vm render` and `inject` do.",
        check: once,
    },
    Rule {
        id: "TVM212",
        name: "little-time-to-restart",
        severity: Severity::Warning,
        summary: "less than a day lies between a renewal and the end of the old certificate",
        why: "With a Secret's disk that is all the time in which the machine has to be restarted.",
        remedy: "Write a longer renewBefore, such as a third of the duration.",
        check: short,
    },
];

/// Machines with the certificates that reach them as a disk.
fn on_disks(stream: &Stream) -> impl Iterator<Item = (&Machine, &At<String>, &crate::model::Certificate)> {
    stream.machines.iter().flat_map(move |machine| {
        machine.secret_volumes().filter_map(move |(volume, secret)| {
            let disk = machine.filesystem_of(volume).is_none();
            let certificate = stream.certificate_of_secret(&machine.meta.namespace, &secret.value)?;
            disk.then_some((machine, secret, certificate))
        })
    })
}

fn disk(stream: &Stream, found: &mut Findings) {
    for (machine, secret, certificate) in on_disks(stream) {
        if !restarted(stream, &machine.meta) {
            let message =
                format!("Certificate {} is renewed, and the disk stays as it is", quoted(&certificate.meta.name));
            found.add(&machine.meta, &secret.path, message);
        }
    }
}

/// Whether a CronJob of the machine's namespace restarts machines.
fn restarted(stream: &Stream, machine: &Meta) -> bool {
    let jobs = stream
        .workloads
        .iter()
        .filter(|workload| workload.meta.kind == "CronJob" && workload.meta.namespace == machine.namespace);
    jobs.flat_map(|job| &job.containers).any(|container| {
        let line = container.words.iter().map(|word| word.value.as_str()).collect::<Vec<_>>().join(" ");
        line.contains("restart") && (line.contains("stale") || line.contains("virtctl"))
            || line.contains("stale") && line.contains("tandem-vm")
            || line.split_whitespace().any(|word| word == "stale")
    })
}

/// A command that copies the Secret's files. Patterns are constants, and a test compiles them.
static COPIES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[ \t\n;&|(])(?:cat|cp|install|mv|rsync|dd)[ \t][^\n]*tls\.(?:crt|key)").ok());

fn once(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream) {
        let folders = copies::mounted(machine, user_data);
        let outlives = machine.root_volume().is_some_and(|volume| matches!(volume.source, VolumeSource::Persistent));
        if outlives && machine.secret_volumes().next().is_some() {
            for path in copied_once(user_data, &folders) {
                found.in_user_data(&machine.meta, user_data, &path, "copies tls.crt or tls.key at the first boot only");
            }
        }
    }
}

/// Paths of what copies the Secret's files once for each instance.
fn copied_once(user_data: &UserData, folders: &[String]) -> Vec<String> {
    let copies =
        |text: &str| COPIES.as_ref().is_some_and(|regex| regex.is_match(text)) || copies::of_folder(text, folders);
    match &user_data.format {
        Format::CloudConfig(config) => {
            let commands =
                config.runcmd.iter().filter(|command| copies(&command.value)).map(|command| command.path.clone());
            let scripts = config
                .files
                .iter()
                .filter(|file| file.content.value.text().is_some_and(copies) && first_boot_only(config, &file.target));
            commands.chain(scripts.map(|file| file.content.path.clone())).collect()
        }
        Format::Script if copies(&user_data.text) => vec![String::new()],
        _ => Vec::new(),
    }
}

/// Whether a script is run by runcmd, and by nothing that comes again.
fn first_boot_only(config: &CloudConfig, script: &str) -> bool {
    let named = |commands: &[At<String>]| commands.iter().any(|command| command.value.contains(script));
    let again = config.files.iter().any(|file| {
        let comes_again = file.target.starts_with("/etc/systemd/")
            || file.target.starts_with("/usr/lib/systemd/")
            || file.target.starts_with("/etc/cron");
        comes_again && file.content.value.text().is_some_and(|text| text.contains(script))
    });
    let per_boot = script.contains("/per-boot/") || script.starts_with("/etc/cron");
    named(&config.runcmd) && !named(&config.bootcmd) && !again && !per_boot
}

fn short(stream: &Stream, found: &mut Findings) {
    for (machine, _, certificate) in on_disks(stream) {
        let Some(before) = &certificate.renew_before else { continue };
        // Less than five minutes is refused, which is told elsewhere.
        if go_duration(&before.value).is_some_and(|seconds| (300..86400).contains(&seconds)) {
            let message = format!("is {}, in which {} has to be restarted", quoted(&before.value), machine.meta);
            found.add(&certificate.meta, &before.path, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_a_look() {
        let copies = COPIES.as_ref().unwrap();
        for text in ["cat /mnt/tls.key /mnt/tls.crt > /etc/x.pem", "true && install -m 0400 /mnt/tls.key /etc/x"] {
            assert!(copies.is_match(text), "{text}");
        }
        for text in ["openssl x509 -in /mnt/tls.crt", "concat tls.crt", "cat /etc/hosts\nls tls.crt"] {
            assert!(!copies.is_match(text), "{text}");
        }
    }
}
