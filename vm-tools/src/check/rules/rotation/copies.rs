//! Copies of all files of a folder at which user data mounts a Secret. What a shell would expand is not looked into.

use crate::check::rules::disks::visible;
use crate::model::{Machine, UserData, commands, program};

/// What copies files; tar has its folder anywhere, the others before their last word.
const COPIERS: [&str; 5] = ["cp", "mv", "rsync", "install", "tar"];

/// The folders at which user data mounts a Secret's disk, by its serial, or filesystem, by its tag.
pub(super) fn mounted(machine: &Machine, user_data: &UserData) -> Vec<String> {
    let names = machine.secret_volumes().filter_map(|(volume, _)| match machine.disk_of(volume) {
        Some(disk) => visible(disk),
        None => Some(volume.name.as_str()),
    });
    user_data.mounted(&names.collect::<Vec<_>>())
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
