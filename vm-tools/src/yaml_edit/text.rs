//! Lines: where they begin and end, and values as lines.

use serde_yaml::{Mapping, Value};

use super::error::EditError;
use super::write;

/// The first byte of the line.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The byte behind the line's last, before its line break.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    if end > at && text[at..end].ends_with('\r') { end - 1 } else { end }
}

/// The byte behind the line's break, or the text's end.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

/// How lines of this text end.
pub(crate) fn line_break(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// The first line that does not end as the first one does: its number, from 1, how it ends, and how the first one does.
pub(crate) fn other_line_break(text: &str) -> Option<(usize, &'static str, &'static str)> {
    let name = |line: &str| if line.ends_with("\r\n") { "CRLF" } else { "LF" };
    let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(name);
    let first = lines.next()?;
    lines.zip(2..).find(|(other, _)| *other != first).map(|(other, number)| (number, other, first))
}

/// Columns from the line's start, in bytes: what stands before is indentation and dashes.
pub(super) fn column(text: &str, at: usize) -> usize {
    at - line_start(text, at)
}

/// The lines of `key: value`, with the key as it is given.
pub(super) fn entry_lines(key: &str, value: &Value) -> Result<Vec<String>, EditError> {
    let entry: Mapping = [("k".into(), value.clone())].into_iter().collect();
    let mut lines = value_lines(&Value::Mapping(entry))?;
    if let Some(first) = lines.first_mut() {
        first.replace_range(..1, key);
    }
    Ok(lines)
}

/// The lines of `- value`.
pub(super) fn item_lines(value: &Value) -> Result<Vec<String>, EditError> {
    value_lines(&Value::Sequence(vec![value.clone()]))
}

/// A key as YAML writes it.
pub(super) fn key_text(key: &str) -> Result<String, EditError> {
    Ok(value_lines(&key.into())?.join("\n"))
}

fn value_lines(value: &Value) -> Result<Vec<String>, EditError> {
    let text = write::to_string(value).map_err(|error| EditError::NotYaml(error.to_string()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.split('\n').map(str::to_owned).collect())
}

/// Lines as they stand at a column, the first of them behind what is already in its line.
pub(super) fn indented(lines: &[String], column: usize, line_break: &str) -> String {
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            text.push_str(line_break);
            if !line.is_empty() {
                text.extend(std::iter::repeat_n(' ', column));
            }
        }
        text.push_str(line);
    }
    text
}
