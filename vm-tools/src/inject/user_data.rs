//! User data: a `#cloud-config` text with and without what the guest needs.

use serde_yaml::Value;

use super::{MARK, map, mixed_line_ends};
use crate::guest::{GuestCommand, WriteFile};
use crate::model::{Beginning, FOLDED, is_folded};
use crate::yaml_edit::{EditError, Editor, Step, keys};

/// What goes into a cloud-config.
pub(super) struct Part {
    pub(super) files: Vec<WriteFile>,
    pub(super) commands: Vec<GuestCommand>,
}

/// What is said of a value that SOPS has encrypted.
pub(super) const DECRYPT: &str = "is encrypted, as by SOPS; decrypt it first, and encrypt it again afterwards";

/// The first line of what is edited, and all of a user data that is new.
pub(super) const HEADER: &str = "#cloud-config\n";

/// The text with the part added; it has none of an earlier one.
pub(super) fn with(text: &str, part: &Part) -> Result<String, String> {
    editable(text)?;
    let new = added(text, part).or_else(|why| added(&stripped(text), part).map_err(|_| why))?;
    match mixed_line_ends(text) {
        Some(why) if !without(&new).is_ok_and(|rest| is_same(text, &rest)) => Err(why),
        _ => Ok(new),
    }
}

fn added(text: &str, part: &Part) -> Result<String, String> {
    let mut editor = editor(text)?;
    if !matches!(editor.value(), Value::Mapping(_) | Value::Null) {
        return Err("is no mapping below #cloud-config; write its fields as key: value".to_owned());
    }
    let told = |error: EditError| error.to_string();
    for (index, entry) in list(&editor, "write_files").iter().enumerate() {
        let path = entry.get("path").and_then(Value::as_str);
        if let Some(file) = part.files.iter().find(|file| Some(file.path.as_str()) == path) {
            return Err(format!(
                "write_files[{index}].path: is {} already, without the mark of an injection; remove what tandem-vm or somebody else wrote there",
                file.path
            ));
        }
    }
    for file in &part.files {
        // The content is not the last, so that the entry ends well in a text without a line break at its end.
        let entry = map([
            ("path", file.path.as_str().into()),
            ("content", file.content.as_str().into()),
            ("permissions", file.permissions.into()),
        ]);
        editor.append(&keys(&["write_files"]), &entry).map_err(told)?;
    }
    // First, so that the user's own commands find the files.
    for command in part.commands.iter().rev() {
        let command = command.iter().map(|word| word.as_str().into()).collect();
        editor.insert(&keys(&["runcmd"]), 0, &Value::Sequence(command)).map_err(told)?;
    }
    Ok(editor.text().to_owned())
}

/// The text without what carries the mark.
pub(super) fn without(text: &str) -> Result<String, String> {
    if !text.contains(MARK) {
        return Ok(text.to_owned());
    }
    let mut editor = editor(text)?;
    for key in ["write_files", "runcmd"] {
        for index in (0..list(&editor, key).len()).rev() {
            let path: Vec<Step> = vec![key.into(), index.into()];
            let source = editor.source(&path).map_err(|error| error.to_string())?;
            if source.lines().next().is_some_and(|line| line.trim_end().ends_with(&format!("# {MARK}"))) {
                editor.remove(&path).map_err(|error| error.to_string())?;
            }
        }
    }
    Ok(editor.text().to_owned())
}

/// Whether what is left of a text with the part is what it was before, perhaps with another line break at its end.
pub(super) fn is_same(before: &str, rest: &str) -> bool {
    let before = before.trim_end_matches('\n');
    before == rest.trim_end_matches('\n') || stripped(before) == rest
}

/// The text in which something may follow a block at an end without a line break.
fn stripped(text: &str) -> String {
    let stripped = editor(text).and_then(|mut editor| {
        editor.strip_last_block().map(|()| editor.text().to_owned()).map_err(|error| error.to_string())
    });
    stripped.unwrap_or_else(|_| text.to_owned())
}

/// Whether cloud-init reads a text as the one format that can be edited.
fn editable(text: &str) -> Result<(), String> {
    let why = match Beginning::of(text) {
        Some(Beginning::CloudConfig) if is_folded(text) => FOLDED,
        Some(Beginning::CloudConfig) => return Ok(()),
        Some(Beginning::Jinja) => "is a template, which only the guest fills in; write it as plain #cloud-config",
        Some(Beginning::Archive) => "is a #cloud-config-archive; write its parts as one #cloud-config",
        Some(Beginning::JsonPatch) => "is a JSON patch (#cloud-config-jsonp); write what it makes as one #cloud-config",
        Some(Beginning::Boothook) => "is a boot hook; put it into `bootcmd` of a #cloud-config",
        Some(Beginning::Include) => "includes what stands elsewhere; write it as one #cloud-config",
        Some(Beginning::PartHandler) => "is a part handler; write its parts as one #cloud-config",
        Some(Beginning::Script) => {
            "is a script; put it into `runcmd` of a #cloud-config, or into a file that `runcmd` runs"
        }
        None => unknown(text),
    };
    Err(why.to_owned())
}

/// Of a text that cloud-init does not know by its beginning, what it may have been meant for.
fn unknown(text: &str) -> &'static str {
    let start = text.trim_start().to_lowercase();
    let meant = [
        ("\u{feff}", "begins with a byte order mark, so cloud-init passes over it; write it without"),
        ("## template:", "is a template, which only the guest fills in; write it as plain #cloud-config"),
        ("enc[", DECRYPT),
        ("content-type:", "has several parts (MIME); write them as one #cloud-config"),
        ("mime-version:", "has several parts (MIME); write them as one #cloud-config"),
        (
            "{",
            "is JSON, as Ignition reads it; cloud-init reads #cloud-config, and an Ignition guest needs the files in its own config",
        ),
        (
            "<powershell>",
            "is a Windows script; Windows has neither systemd nor what is written here; give that guest the Secret by its own means",
        ),
    ];
    let why = meant.iter().find(|(beginning, _)| start.starts_with(beginning)).map(|(_, why)| *why);
    why.unwrap_or("does not begin with #cloud-config, so cloud-init passes over it; write that as its first line")
}

fn editor(text: &str) -> Result<Editor, String> {
    Editor::new(text).map(|editor| editor.with_mark(MARK)).map_err(|error| error.to_string())
}

fn list<'e>(editor: &'e Editor, key: &str) -> &'e [Value] {
    editor.get(&keys(&[key])).and_then(Value::as_sequence).map_or(&[], Vec::as_slice)
}
