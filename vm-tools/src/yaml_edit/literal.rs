//! A new text in a literal block (`|`), with the lines that stay left as they are.

use saphyr_parser::ScalarStyle;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::text::{column, line_break, line_end, next_line};
use super::tree::{Kind, Node};

/// The document's text with another value in its literal block `node`, which belongs to a key that ends at `key_end`.
/// `None` where that is not how the block is written, or where the new value does not fit its header.
pub(super) fn replaced(text: &str, key_end: usize, node: &Node, old: &str, new: &str) -> Option<String> {
    if !matches!(node.kind, Kind::Scalar(ScalarStyle::Literal)) {
        return None;
    }
    if node.start > line_end(text, key_end) {
        return None;
    }
    let first = next_line(text, node.start);
    if first > node.end {
        return None;
    }
    let source: Vec<&str> = text[first..node.end].split('\n').collect();
    let (old_lines, new_lines): (Vec<&str>, Vec<&str>) = (lines(old), lines(new));
    // One line of source for each of the value, or it is not understood.
    if source.len() < old_lines.len() || new_lines.is_empty() {
        return None;
    }
    let indentation = " ".repeat(column(text, node.content));
    let carriage = if line_break(text) == "\r\n" { "\r" } else { "" };
    let mut result: Vec<String> = Vec::new();
    // The last line of the source ends without its line break.
    let kept = |index: usize| {
        let end = if index + 1 == source.len() { carriage } else { "" };
        source.get(index).map(|line| format!("{line}{end}"))
    };
    let made = |line: &&str| match *line {
        "" => carriage.to_owned(),
        line => format!("{indentation}{line}{carriage}"),
    };
    for op in capture_diff_slices(Algorithm::Myers, &old_lines, &new_lines) {
        match op {
            DiffOp::Equal { old_index, len, .. } => result.extend((old_index..old_index + len).filter_map(kept)),
            DiffOp::Delete { .. } => {}
            DiffOp::Insert { new_index, new_len, .. } | DiffOp::Replace { new_index, new_len, .. } => {
                result.extend(new_lines.iter().skip(new_index).take(new_len).map(made));
            }
        }
    }
    // Blank lines at the end of a block that keeps them, beyond the lines of its value.
    result.extend((old_lines.len()..source.len()).filter_map(kept));
    let content = result.join("\n");
    let content = content.strip_suffix('\r').unwrap_or(&content);
    Some(format!("{}{content}{}", &text[..first], &text[node.end..]))
}

/// The lines of a value, of which the last may lack its line break.
fn lines(value: &str) -> Vec<&str> {
    let value = value.strip_suffix('\n').unwrap_or(value);
    if value.is_empty() { Vec::new() } else { value.split('\n').collect() }
}
