//! Copies of all files of a folder at which user data mounts a Secret. What a shell would expand is not looked into.

use crate::check::rules::disks::visible;
use crate::model::{Format, Machine, UserData};

/// What copies files; tar has its folder anywhere, the others before their last word.
const COPIERS: [&str; 5] = ["cp", "mv", "rsync", "install", "tar"];

/// The folders at which user data mounts a Secret's disk, by its serial, or filesystem, by its tag.
pub(super) fn mounted(machine: &Machine, user_data: &UserData) -> Vec<String> {
    let names: Vec<&str> = machine
        .secret_volumes()
        .filter_map(|(volume, _)| match machine.disk_of(volume) {
            Some(disk) => visible(disk),
            None => Some(volume.name.as_str()),
        })
        .filter(|name| !name.is_empty())
        .collect();
    let named = |word: &str| {
        names
            .iter()
            .any(|name| word.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with(['-', '='])))
    };
    let by_commands = texts(user_data).flat_map(commands).filter_map(|words| {
        let mount = words.iter().position(|word| program(word) == "mount")?;
        let words = &words[mount + 1..];
        let folder = words.iter().rfind(|word| word.starts_with('/'))?;
        (words.iter().any(|word| word != folder && named(word))).then(|| folder.trim_end_matches('/').to_owned())
    });
    let root = user_data.config().map(|config| config.root().get("mounts").items().map(|entry| entry.list()).collect());
    let entries: Vec<Vec<_>> = root.unwrap_or_default();
    let by_cloud_init = entries.iter().filter_map(|entry| match &entry[..] {
        [device, folder, ..] if named(&device.value) => Some(folder.value.trim_end_matches('/').to_owned()),
        _ => None,
    });
    by_commands.chain(by_cloud_init).filter(|folder| !folder.is_empty()).collect()
}

/// Whether a text copies everything in one of the folders.
pub(super) fn of_folder(text: &str, folders: &[String]) -> bool {
    let whole = |word: &str| {
        folders.iter().any(|folder| matches!(word.strip_prefix(folder.as_str()), Some("" | "/" | "/." | "/*" | "/./")))
    };
    !folders.is_empty()
        && commands(text).any(|words| {
            let Some(copier) = words.iter().position(|word| COPIERS.contains(&program(word))) else { return false };
            let end = if program(words[copier]) == "tar" { words.len() } else { words.len() - 1 };
            words.get(copier + 1..end).is_some_and(|words| words.iter().any(|word| whole(word)))
        })
}

/// Everything that the guest runs, or is given to run.
fn texts(user_data: &UserData) -> impl Iterator<Item = &str> {
    let config = user_data.config().into_iter();
    let of_config = config.flat_map(|config| {
        let commands = config.bootcmd.iter().chain(&config.runcmd).map(|command| command.value.as_str());
        commands.chain(config.files.iter().filter_map(|file| file.content.value.text()))
    });
    let script = matches!(user_data.format, Format::Script).then_some(user_data.text.as_str());
    of_config.chain(script)
}

/// The words of each simple command, without quotes.
fn commands(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let simple = text.split(['\n', ';', '|', '&', '(', ')']);
    simple.map(|command| command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect())
}

fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}
