//! How the guest looks for its disks.

use std::sync::LazyLock;

use regex::Regex;

use super::disks::visible;
use super::user_data::each;
use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{At, Disk, Machine, Stream, UserData};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM120",
        name: "device-letter",
        severity: Severity::Warning,
        summary: "user data finds a disk by its letter",
        why: "Letters follow the order in which the guest finds the disks, per bus: one more disk, or another bus, and the letter is \
              another disk's, perhaps that of the data.",
        remedy: "Give the disk a serial and look for /dev/disk/by-id/virtio-SERIAL.",
        check: letters,
    },
    Rule {
        id: "TVM121",
        name: "disk-by-pattern",
        severity: Severity::Warning,
        summary: "user data finds a disk by a pattern of its serial",
        why: "A pattern also matches a longer serial, or a disk that is added later, and misses the names that other buses give \
              (ata-QEMU_HARDDISK_SERIAL).",
        remedy: "Look for exactly /dev/disk/by-id/virtio-SERIAL, on a bus that the manifest names virtio.",
        check: pattern,
    },
    Rule {
        id: "TVM122",
        name: "pattern-finds-several-disks",
        severity: Severity::Error,
        summary: "a pattern in user data finds several disks of the machine",
        why: "Which one is taken depends on their order: the guest may mount, or format, the wrong one.",
        remedy: "Look for exactly /dev/disk/by-id/virtio-SERIAL, on a bus that the manifest names virtio.",
        check: ambiguous,
    },
    Rule {
        id: "TVM123",
        name: "no-disk-of-this-name",
        severity: Severity::Error,
        summary: "user data looks for a disk that the machine does not have",
        why: "The guest waits for a name under /dev/disk/by-id that never comes: no disk on the virtio bus has this serial.",
        remedy: "Write the serial (its first 20 bytes) of a disk on the virtio bus, or give the disk this serial and `bus: virtio`.",
        check: missing,
    },
];

/// A device by its letter. Patterns are constants, and a test compiles them.
static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"/dev/(?:vd|sd|xvd|hd)[a-z][0-9]*").ok());
/// A path under by-id, with quotes, variables and wildcards in it.
static BY_ID: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"/dev/disk/by-id/[^ \t\n;|&<>()`\]]*").ok());
/// grep with options and a pattern.
static GREP: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"grep((?:[ \t]+-[A-Za-z-]+)*)[ \t]+(?:--[ \t]+)?(?:"([^"\n]*)"|'([^'\n]*)'|([^ \t\n;|&<>()"'`]+))"#)
        .ok()
});

/// Most matches that are looked at in one text.
const MOST: usize = 200;

/// Everything that matches in everything that the guest runs.
fn matches<'a>(regex: &'static Option<Regex>, texts: &[At<&'a str>]) -> Vec<At<&'a str>> {
    let one = |text: &At<&'a str>| -> Vec<At<&'a str>> {
        let found = regex.iter().flat_map(|regex| regex.find_iter(text.value)).take(MOST);
        // A comment is for people.
        found
            .filter(|found| !line_of(text.value, found.start()).trim_start().starts_with('#'))
            .map(|found| At { path: text.path.clone(), value: found.as_str() })
            .collect()
    };
    texts.iter().flat_map(one).collect()
}

fn line_of(text: &str, at: usize) -> &str {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
}

fn letters(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream) {
        for At { path, value } in matches(&LETTER, &user_data.texts()) {
            found.in_user_data(&machine.meta, user_data, &path, format!("looks for {value}"));
        }
        for At { path, value } in devices(user_data) {
            let bare = LETTER.as_ref().and_then(|regex| regex.find(&value)).map(|found| found.as_str().to_owned());
            // `mounts` also takes a name without /dev/.
            let short = ["vd", "sd", "xvd"].iter().any(|bus| {
                let rest = value.strip_prefix(bus).unwrap_or_default();
                rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest[1..].bytes().all(|b| b.is_ascii_digit())
            });
            if let Some(device) = bare.or(short.then_some(value)) {
                found.in_user_data(&machine.meta, user_data, &path, format!("names {}", tandem_cli::shown(&device)));
            }
        }
    }
}

/// The devices that modules of a cloud-config name.
fn devices(user_data: &UserData) -> Vec<At<String>> {
    let Some(config) = user_data.config() else { return Vec::new() };
    let root = config.root();
    let mounts = root.get("mounts").items().filter_map(|entry| entry.list().into_iter().next());
    let filesystems = root.get("fs_setup").items().filter_map(|entry| entry.get("device").at());
    let disks = root.get("disk_setup").fields();
    let disks = disks.map(|(device, node)| At { path: node.path().to_owned(), value: device.to_owned() });
    mounts.chain(filesystems).chain(disks).collect()
}

/// Everything in which a device may be named: what the guest runs, and what modules name.
fn places<'a>(user_data: &'a UserData, devices: &'a [At<String>]) -> Vec<At<&'a str>> {
    let devices = devices.iter().map(|device| At { path: device.path.clone(), value: device.value.as_str() });
    user_data.texts().into_iter().chain(devices).collect()
}

/// A look-up by pattern, and how many disks of the machine it finds.
struct Lookup {
    path: String,
    shown: String,
    finds: Vec<String>,
}

fn lookups(machine: &Machine, user_data: &UserData) -> Vec<Lookup> {
    let devices = devices(user_data);
    let texts = places(user_data, &devices);
    let mut all = Vec::new();
    for At { path, value } in matches(&BY_ID, &texts) {
        let plain: String = value.chars().filter(|c| !matches!(c, '"' | '\'' | '\\')).collect();
        let name = plain.trim_start_matches("/dev/disk/by-id/");
        let Some(wild) = name.find(['*', '?']) else { continue };
        // What only goes through all disks compares for itself.
        let literal = name.split(['*', '?']).any(|part| part.bytes().any(|b| b.is_ascii_alphanumeric() || b == b'$'));
        let whole_bus = ["virtio-*", "scsi-*", "ata-*"].contains(&name);
        if literal && !whole_bus && name.find('$').is_none_or(|variable| variable > wild) {
            let finds = if name.contains('$') { Vec::new() } else { globbed(machine, name) };
            all.push(Lookup { path, shown: tandem_cli::shown(&plain), finds });
        }
    }
    for text in &texts {
        for found in GREP.iter().flat_map(|regex| regex.captures_iter(text.value)).take(MOST) {
            let Some(whole) = found.get(0) else { continue };
            let line = line_of(text.value, whole.start());
            let options = found.get(1).map_or("", |options| options.as_str());
            let Some(pattern) = (2..5).find_map(|group| found.get(group)) else { continue };
            let finds = grepped(machine, pattern.as_str());
            let about_disks = ["lsblk", "/dev/disk/by-id", "blkid", "udevadm"].iter().any(|word| line.contains(word));
            let exact = options.contains('x') || line.trim_start().starts_with('#');
            let serial_in_mind = !finds.is_empty() || pattern.as_str().contains('$');
            if about_disks && serial_in_mind && !exact {
                all.push(Lookup { path: text.path.clone(), shown: tandem_cli::shown(whole.as_str()), finds });
            }
        }
    }
    all
}

/// The disks that a wildcard finds, by the names that udev gives them.
fn globbed(machine: &Machine, glob: &str) -> Vec<String> {
    let expression: String = glob
        .chars()
        .map(|c| match c {
            '*' => ".*".to_owned(),
            '?' => ".".to_owned(),
            c => regex::escape(&c.to_string()),
        })
        .collect();
    let Ok(expression) = Regex::new(&format!("^(?:{expression})$")) else { return Vec::new() };
    let finds = |serial: &&str| {
        ["virtio-", "ata-QEMU_HARDDISK_", "scsi-0QEMU_QEMU_HARDDISK_"]
            .iter()
            .any(|bus| expression.is_match(&format!("{bus}{serial}")))
    };
    machine.disks.iter().filter_map(visible).filter(finds).map(str::to_owned).collect()
}

fn grepped(machine: &Machine, pattern: &str) -> Vec<String> {
    // A serial has nothing that means more than itself to grep, but for the dot.
    machine.disks.iter().filter_map(visible).filter(|serial| serial.contains(pattern)).map(str::to_owned).collect()
}

fn pattern(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream) {
        for lookup in lookups(machine, user_data).into_iter().filter(|lookup| lookup.finds.len() < 2) {
            found.in_user_data(&machine.meta, user_data, &lookup.path, format!("looks up `{}`", lookup.shown));
        }
    }
}

fn ambiguous(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream) {
        for lookup in lookups(machine, user_data).into_iter().filter(|lookup| lookup.finds.len() >= 2) {
            let serials: Vec<_> = lookup.finds.iter().map(|serial| quoted(serial)).collect();
            let message = format!("`{}` finds the disks {}", lookup.shown, serials.join(" and "));
            found.in_user_data(&machine.meta, user_data, &lookup.path, message);
        }
    }
}

/// The serials that a name behind `virtio-` may stand for: all of it; without what ends a sentence or a list of paths; that of a
/// partition's disk.
fn meant(name: &str) -> [&str; 3] {
    let word = name.trim_end_matches(['.', ',', ':', '!', '?', '}']);
    let partition = word.rsplit_once("-part").filter(|(_, number)| number.bytes().all(|b| b.is_ascii_digit()));
    [name, word, partition.map_or(word, |(disk, _)| disk)]
}

fn missing(stream: &Stream, found: &mut Findings) {
    for (machine, user_data) in each(stream) {
        let devices = devices(user_data);
        for At { path, value } in matches(&BY_ID, &places(user_data, &devices)) {
            let plain = value.trim_matches(['"', '\'']);
            let Some(name) = plain.strip_prefix("/dev/disk/by-id/virtio-") else { continue };
            let names = meant(name);
            let literal =
                !name.is_empty() && names[1].bytes().all(|b| b.is_ascii_alphanumeric() || b"_.+-".contains(&b));
            let is = |disk: &Disk| visible(disk).is_some_and(|serial| names.contains(&serial));
            let on_virtio = |bus: Option<&str>| bus.is_none_or(|bus| bus == "virtio");
            if literal && !machine.disks.iter().any(|disk| is(disk) && on_virtio(disk.bus.as_deref())) {
                let elsewhere = machine.disks.iter().find(|disk| is(disk));
                let hint =
                    elsewhere.map(|disk| format!("; the disk {} has the serial, but another bus", quoted(&disk.name)));
                let message = format!("looks for {}{}", quoted(plain), hint.unwrap_or_default());
                found.in_user_data(&machine.meta, user_data, &path, message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_compile() {
        assert!(LETTER.is_some() && BY_ID.is_some() && GREP.is_some());
    }

    #[test]
    fn grep_is_read_with_its_options_and_quotes() {
        let pattern = |text: &str| {
            let found = GREP.as_ref().unwrap().captures(text).unwrap();
            (2..5).find_map(|group| found.get(group)).unwrap().as_str().to_owned()
        };
        assert_eq!(pattern("lsblk -o NAME,SERIAL | grep -i orders-tls | cut -f1"), "orders-tls");
        assert_eq!(pattern("grep \"a b\""), "a b");
        assert_eq!(pattern("grep -E -- '^x'"), "^x");
    }
}
