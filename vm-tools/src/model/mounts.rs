//! Where user data mounts a disk or filesystem: by commands, units, fstab, and cloud-init's own `mounts`. What a shell would
//! expand is not looked into.

use super::{Format, UserData, WrittenFile};

impl UserData {
    /// The folders at which it mounts a disk of one of these serials, or a filesystem of one of these tags.
    #[must_use]
    pub fn mounted(&self, names: &[&str]) -> Vec<String> {
        let named = |word: &str| {
            let before = |name: &&str| word.strip_suffix(name);
            let names = names.iter().filter(|name| !name.is_empty());
            // A serial stands at the end of a path, behind its bus.
            let ends = |before: &str| before.ends_with('=') || before.contains('/') && before.ends_with('-');
            names.filter_map(before).any(|before| before.is_empty() || ends(before))
        };
        let by_commands = self.run().flat_map(commands).filter_map(|words| {
            let mount = words.iter().position(|word| program(word) == "mount" || *word == "virtiofs")?;
            // A line of fstab has its type behind the folder.
            let words = if program(words[mount]) == "mount" { &words[mount + 1..] } else { &words[..mount] };
            let folder = words.iter().rfind(|word| word.starts_with('/'))?;
            words.iter().any(|word| word != folder && named(word)).then_some(*folder)
        });
        let configs = || self.config().into_iter();
        let by_units = configs().flat_map(|config| &config.files).filter_map(unit);
        let by_units = by_units.filter(|(what, _)| named(what)).map(|(_, folder)| folder);
        let entries: Vec<_> =
            configs().flat_map(|config| config.root().get("mounts").items()).map(|entry| entry.list()).collect();
        let by_cloud_init = entries.iter().filter_map(|entry| match &entry[..] {
            // It passes over tags.
            [device, folder, ..] if device.value.starts_with('/') && named(&device.value) => Some(&*folder.value),
            _ => None,
        });
        let all =
            by_commands.chain(by_units).chain(by_cloud_init).map(|folder| folder.trim_end_matches('/').to_owned());
        all.filter(|folder| !folder.is_empty()).collect()
    }

    /// Everything that the guest runs, or is given to run.
    fn run(&self) -> impl Iterator<Item = &str> {
        let of_config = self.config().into_iter().flat_map(|config| {
            let commands = config.bootcmd.iter().chain(&config.runcmd).map(|command| command.value.as_str());
            commands.chain(config.files.iter().filter_map(|file| file.content.value.text()))
        });
        let script = matches!(self.format, Format::Script).then_some(self.text.as_str());
        of_config.chain(script)
    }
}

/// What a mount unit mounts, and where.
fn unit(file: &WrittenFile) -> Option<(&str, &str)> {
    let text = file.content.value.text().filter(|_| file.target.ends_with(".mount"))?;
    let setting = |key: &str| {
        let mut settings = text.lines().filter_map(|line| line.split_once('='));
        settings.rfind(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
    };
    Some((setting("What")?, setting("Where")?))
}

/// The words of each simple command, without quotes.
pub(crate) fn commands(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let simple = lines.flat_map(|line| line.split([';', '|', '&', '(', ')']));
    simple.map(|command| command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect())
}

/// The name of a program, which may stand with its folder.
pub(crate) fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}
