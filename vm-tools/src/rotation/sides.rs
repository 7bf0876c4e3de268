//! Who has a certificate's Secret, and how a renewed one comes to them.

use super::restarts::Restarter;
use crate::model::{Certificate, Machine, Stream, Workload};

/// How a Secret comes to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A VM's disk: made when the instance starts.
    Disk {
        /// A CronJob that restarts the VM when what it serves is stale.
        restarter: Option<Restarter>,
    },
    /// A VM's virtiofs: it follows.
    Filesystem(Guest),
    /// A pod's volume, mounted as a whole: it follows.
    Mount,
    /// A mount of one of its files.
    SubPath,
    /// Environment variables.
    Environment,
}

/// What a guest does about a virtiofs whose content changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Guest {
    /// It looks every so many seconds, and has the service take what it finds.
    Reloads {
        /// Between two looks.
        seconds: i64,
        /// The way, as /etc/tandem/tls.conf has it.
        by: String,
    },
    /// It mounts it, and tells the database nothing, as far as its user data says.
    Mounts,
    /// Nothing, as far as its user data says.
    Nothing,
    /// Its user data is not to be seen.
    Unknown,
}

/// Somebody who has the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) who: String,
    pub(super) way: Way,
    /// It shows the certificate: it serves it, or is a client by it.
    pub(super) shows: bool,
}

/// Everybody who has the Secret of a Certificate, machines first.
pub(super) fn sides(stream: &Stream, certificate: &Certificate) -> Vec<Side> {
    let Some(secret) = &certificate.secret_name else { return Vec::new() };
    let namespace = &certificate.meta.namespace;
    let mut sides = Vec::new();
    for machine in stream.machines.iter().filter(|machine| &machine.meta.namespace == namespace) {
        let Some((volume, _)) = machine.secret_volumes().find(|(_, name)| name.value == secret.value) else { continue };
        let way = match machine.filesystem_of(volume) {
            Some(filesystem) => Way::Filesystem(guest(machine, &filesystem.name)),
            None => Way::Disk { restarter: restarter(stream, machine) },
        };
        sides.push(Side { who: machine.meta.to_string(), way, shows: true });
    }
    for workload in stream.workloads.iter().filter(|workload| &workload.meta.namespace == namespace) {
        sides.extend(of_workload(workload, &secret.value));
    }
    sides
}

/// One for each way in which its pods have the Secret.
fn of_workload(workload: &Workload, secret: &str) -> Vec<Side> {
    let mut sides: Vec<Side> = Vec::new();
    let mut add = |way: Way, shows: bool| match sides.iter_mut().find(|side| side.way == way) {
        Some(side) => side.shows |= shows,
        None => sides.push(Side { who: workload.meta.to_string(), way, shows }),
    };
    for container in &workload.containers {
        for mount in &container.mounts {
            let volume = workload.volumes.iter().find(|volume| volume.name == mount.volume);
            for used in volume.into_iter().flat_map(|volume| &volume.secrets).filter(|used| used.name.value == secret) {
                match &mount.sub_path {
                    // One file, or a folder of a projected volume.
                    Some(path) => add(Way::SubPath, !path.value.ends_with("ca.crt")),
                    None => add(Way::Mount, used.has("tls.crt")),
                }
            }
        }
        for key in container
            .env
            .iter()
            .filter_map(|variable| variable.secret.as_ref())
            .filter(|(used, _)| used.name.value == secret)
        {
            add(Way::Environment, key.1 != "ca.crt");
        }
        if container.env_from.iter().any(|used| used.name.value == secret) {
            add(Way::Environment, true);
        }
    }
    sides
}

/// What the user data has of the guest's part, for the filesystem of this tag.
fn guest(machine: &Machine, tag: &str) -> Guest {
    let mut configs = machine.user_data.iter().filter_map(|data| data.config()).peekable();
    if configs.peek().is_none() {
        return Guest::Unknown;
    }
    let mut files = configs.flat_map(|config| &config.files);
    let (mut seconds, mut by) = (None, None);
    for file in &mut files {
        let setting = |key: &str| {
            let text = file.content.value.text()?;
            text.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim_matches('\'').to_owned())
        };
        if file.target.ends_with("/tandem-tls-refresh.timer") {
            seconds = setting("OnUnitInactiveSec=").and_then(|text| text.parse().ok());
        }
        if file.target.ends_with("/etc/tandem/tls.conf") {
            by = setting("RELOAD=");
        }
    }
    match (seconds, by) {
        (Some(seconds), Some(by)) if by != "none" => Guest::Reloads { seconds, by },
        (_, Some(_)) => Guest::Mounts,
        _ if machine.user_data.iter().any(|data| !data.mounted(&[tag]).is_empty()) => Guest::Mounts,
        _ => Guest::Nothing,
    }
}

/// A CronJob of the machine's namespace that runs `tandem-vm stale --restart` for it.
fn restarter(stream: &Stream, machine: &Machine) -> Option<Restarter> {
    let runs = |workload: &&Workload| {
        workload.meta.kind == "CronJob"
            && workload.meta.namespace == machine.meta.namespace
            && workload.containers.iter().any(|container| {
                let words: Vec<&str> = container.words.iter().map(|word| word.value.as_str()).collect();
                let named = words.windows(2).any(|pair| pair == ["--vm", machine.meta.name.as_str()]);
                let named = named || words.contains(&format!("--vm={}", machine.meta.name).as_str());
                words.contains(&"stale") && words.contains(&"--restart") && named
            })
    };
    stream.workloads.iter().find(runs).and_then(Restarter::of)
}
