//! A section that a file does not have yet, where somebody would write it by hand.

use serde_yaml::Value;

use crate::yaml_edit::Editor;

/// The file with an empty section of this name, if it has none: where a comment keeps the place, as `#security:` does in the packages'
/// files, or else behind the last section. Where that would say anything else, the file as it is.
pub(super) fn opened(editor: Editor, name: &str) -> Editor {
    let Some(sections) = editor.value().as_mapping().filter(|sections| !sections.contains_key(name)) else {
        return editor;
    };
    let mut wanted = sections.clone();
    wanted.insert(name.into(), Value::Null);
    let text = uncommented(editor.text(), name).unwrap_or_else(|| behind(editor.text(), name));
    match Editor::new(text) {
        Ok(opened) if *opened.value() == Value::Mapping(wanted) => opened,
        _ => editor,
    }
}

/// With the comment that names the section made the section.
fn uncommented(text: &str, name: &str) -> Option<String> {
    let mut places = text.split_inclusive('\n').filter(|line| {
        let line = line.strip_prefix('#').map(|line| line.trim().strip_suffix(':'));
        line == Some(Some(name))
    });
    let (place, None) = (places.next()?, places.next()) else { return None };
    let line_break = &place[place.trim_end().len()..];
    // It is the only line of this kind.
    Some(
        text.split_inclusive('\n')
            .map(|line| if line == place { format!("{name}:{line_break}") } else { line.to_owned() })
            .collect(),
    )
}

/// With the section behind the last one and the comments that are its own, by the indentation before or behind their `#`; after a blank
/// line, if there are any between the others.
fn behind(text: &str, name: &str) -> String {
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let is_outside = |line: &&str| line.trim().is_empty() || line.starts_with('#');
    let end = lines.iter().rposition(|line| !is_outside(line)).map_or(0, |last| last + 1);
    let is_own = |line: &&&str| ["#  ", "#\t"].iter().any(|own| line.starts_with(own));
    let end = end + lines.iter().skip(end).take_while(is_own).count();
    let start = lines.iter().position(|line| !is_outside(line)).unwrap_or(end);
    let blank = lines.get(start..end).is_some_and(|inner| inner.iter().any(|line| line.trim().is_empty()));
    let (before, after) = lines.split_at(end);
    let ended = if before.last().is_none_or(|line| line.ends_with('\n')) { "" } else { line_break };
    let blank = if blank { line_break } else { "" };
    let end = if ended.is_empty() { line_break } else { "" };
    format!("{}{ended}{blank}{name}:{end}{}", before.concat(), after.concat())
}

/// By how many columns the file's sections indent what stands in them.
pub(super) fn indentation(text: &str) -> usize {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let first =
        lines.find_map(|line| Some(line.len() - line.trim_start_matches(' ').len()).filter(|spaces| *spaces > 0));
    first.filter(|spaces| *spaces <= 8).unwrap_or(2)
}
