//! New text for one edit, made of the old text's pieces.

use serde_yaml::Value;

use super::text::{column, entry_lines, indented, item_lines, key_text, line_break, line_end, line_start, next_line};
use super::tree::{Kind, Node};
use super::{At, EditError, Editor, Found, Step, literal, read, value};

impl Editor {
    /// With a new entry for what is missing of the path at its end.
    pub(super) fn added(&self, found: &Found<'_>, path: &[Step], new: &Value) -> Result<String, EditError> {
        let (to, missing) = path.split_at(found.depth);
        let missing: Vec<&str> = missing
            .iter()
            .map(|step| match step {
                Step::Key(key) => Ok(key.as_str()),
                Step::Index(_) => Err(EditError::Missing(At::new(path))),
            })
            .collect::<Result<_, _>>()?;
        // What is missing, from the inside out: the value, or the only entry of mappings within one another.
        let nested = missing
            .iter()
            .skip(1)
            .rev()
            .fold(new.clone(), |inner, key| Value::Mapping([((*key).into(), inner)].into_iter().collect()));
        let lines = match (missing.first(), &nested) {
            (Some(key), value) => entry_lines(&key_text(key)?, value)?,
            (None, Value::Mapping(entries)) => entries
                .iter()
                .map(|(key, value)| entry_lines(&key_text(key.as_str().unwrap_or_default())?, value))
                .collect::<Result<Vec<_>, _>>()?
                .concat(),
            (None, Value::Sequence(items)) => items.iter().map(item_lines).collect::<Result<Vec<_>, _>>()?.concat(),
            (None, _) => return Err(EditError::Different(At::new(path))),
        };
        let made = if missing.is_empty() { 1 } else { missing.len() + usize::from(matches!(new, Value::Sequence(_))) };
        let lines = self.marked(self.widened(lines), made);
        let first_key = match &found.node.kind {
            Kind::Map { flow: false, entries } => entries.first().map(|(key, _)| key),
            _ => None,
        };
        if let Some(first) = first_key {
            if self.text[line_start(&self.text, first.start)..first.start].trim_end().ends_with('?') {
                let name = &self.text[first.start..first.end];
                return Err(EditError::Unusual(At::new(&[to, &[name.into()]].concat())));
            }
            return Ok(self.with_lines(found.node.end, column(&self.text, first.start), &lines));
        }
        if !found.node.is_empty(&self.text) {
            return Err(EditError::NotAMapping(At::new(to)));
        }
        match found.key {
            // The document itself is null: behind its comments.
            None if to.is_empty() => Ok(self.with_lines(self.text.trim_end().len(), 0, &lines)),
            None => Err(EditError::Unusual(At::new(to))),
            Some(key) => {
                let opened = self.opening(key, found.node)?;
                // A list may stand at its key's own column, as everything else that is written here has it.
                let deeper =
                    if matches!(nested, Value::Sequence(_)) && missing.is_empty() { 0 } else { self.indentation };
                let end = line_end(&opened, key.end);
                Ok(insert_lines(&opened, end, column(&self.text, key.start) + deeper, &lines))
            }
        }
    }

    /// The text in which the empty value of a key makes place for a block.
    fn opening(&self, key: &Node, node: &Node) -> Result<String, EditError> {
        let text = &self.text;
        let colon = self.colon(key)?;
        let empty = node.start == node.end || node.start < colon;
        Ok(match (&self.mark, empty) {
            (Some(mark), true) => format!("{} # {mark}{WAS}{NOTHING}{}", &text[..colon], &text[colon..]),
            (Some(mark), false) => format!("{}# {mark}{WAS}{}", &text[..node.start], &text[node.start..]),
            (None, true) => text.clone(),
            (None, false) => format!("{}{}", text[..node.start].trim_end(), &text[node.end..]),
        })
    }

    /// The byte behind a key's colon.
    fn colon(&self, key: &Node) -> Result<usize, EditError> {
        let behind = &self.text[key.end..];
        let colon = behind.find(':').filter(|colon| behind[..*colon].trim().is_empty());
        let name = &self.text[key.start..key.end];
        colon.map(|colon| key.end + colon + 1).ok_or_else(|| EditError::Unusual(At::new(&[name.into()])))
    }

    /// Whether the mark stands behind a key.
    pub(super) fn is_marked(&self, key: &Node) -> bool {
        let line = &self.text[key.end..line_end(&self.text, key.end)];
        self.mark.as_ref().is_some_and(|mark| line.contains(&format!("# {mark}")))
    }

    /// Where a key was opened under the mark: the bytes to take away, and what its value was.
    pub(super) fn opened(&self, key: &Node) -> Option<((usize, usize), String)> {
        let line = &self.text[key.end..line_end(&self.text, key.end)];
        let opened = format!("# {}{WAS}", self.mark.as_ref()?);
        let start = key.end + line.find(&opened)?;
        let was = &line[start - key.end + opened.len()..];
        match was.strip_prefix(NOTHING) {
            Some(_) => Some(((start - 1, start + opened.len() + NOTHING.len()), String::new())),
            None => Some(((start, start + opened.len()), was.split(" #").next().unwrap_or_default().to_owned())),
        }
    }

    /// With another value in place of the one that is there.
    pub(super) fn replaced(&self, found: &Found<'_>, path: &[Step], new: &Value) -> Result<String, EditError> {
        let (text, node) = (&self.text, found.node);
        let at = || At::new(path);
        if node.anchor != 0 {
            return Err(EditError::Anchor(at()));
        }
        let Some(key) = found.key else { return Err(EditError::Unusual(at())) };
        let key_source = &text[key.start..key.end];
        let lines = entry_lines(key_source, new)?;
        let several = text[node.start..node.end].contains('\n');
        match node.kind {
            Kind::Scalar(_) if node.is_block_scalar() => {
                if let (Some(Value::String(old)), Value::String(new)) = (self.get(path), new)
                    && let Some(text) = literal::replaced(text, key.end, node, old, new)
                    && read(&text).is_ok_and(|value| value::get(&value, path) == Some(&new.as_str().into()))
                {
                    return Ok(text);
                }
            }
            Kind::Scalar(_) if several => return Err(EditError::Multiline(at())),
            _ => {}
        }
        if lines.len() == 1 && !several && !node.is_block_scalar() {
            // In the line of its key: what follows there stays.
            let scalar = lines.concat()[key_source.len()..].trim_start_matches(':').trim_start().to_owned();
            if node.start > key.end {
                return Ok(format!("{}{scalar}{}", &text[..node.start], &text[node.end..]));
            }
            let colon = self.colon(key)?;
            return Ok(format!("{} {scalar}{}", &text[..colon], &text[colon..]));
        }
        let indented = indented(&lines, column(text, key.start), line_break(text));
        Ok(format!("{}{indented}{}", &text[..key.start], &text[line_end(text, node.end.max(key.end))..]))
    }

    /// Without the entry at a path.
    pub(super) fn without(&self, root: &Node, path: &[Step]) -> Result<String, EditError> {
        let text = &self.text;
        let Some((_, outer)) = path.split_last() else {
            // All entries of the document: only comments before and behind them stay.
            let first = match &root.kind {
                Kind::Map { entries, .. } => entries.first().map(|(key, _)| key.start),
                Kind::List { items, .. } => items.first().and_then(|item| dash(text, item)),
                _ => None,
            };
            let first = first.ok_or_else(|| EditError::Unusual(At::new(path)))?;
            return Ok(cut_lines(text, first, root.end));
        };
        let found = self.existing(root, path)?;
        let unusual = || EditError::Unusual(At::new(path));
        let start = match found.key {
            Some(key) => key.start,
            None => dash(text, found.node).ok_or_else(unusual)?,
        };
        let end = found.node.end.max(found.key.map_or(0, |key| key.end));
        if text[line_start(text, start)..start].trim().is_empty() {
            return Ok(cut_lines(text, start, end));
        }
        // The first of a list's entry, behind the dash: the next takes its place.
        let siblings = match &self.existing(root, outer)?.node.kind {
            Kind::Map { entries, .. } => entries.get(1).map(|(key, _)| key.start),
            _ => None,
        };
        let next = siblings.filter(|next| text[line_end(text, end)..*next].trim().is_empty());
        let next = next.ok_or_else(|| EditError::First(At::new(path)))?;
        Ok(format!("{}{}", &text[..start], &text[next..]))
    }

    /// Lines that are indented by twos, as the text has it.
    fn widened(&self, mut lines: Vec<String>) -> Vec<String> {
        for line in lines.iter_mut().filter(|_| self.indentation != 2) {
            let inner = line.trim_start_matches(' ');
            *line = format!("{}{inner}", " ".repeat((line.len() - inner.len()) / 2 * self.indentation));
        }
        lines
    }

    /// Lines with the mark behind the first `made` of them.
    pub(super) fn marked(&self, mut lines: Vec<String>, made: usize) -> Vec<String> {
        if let Some(mark) = &self.mark {
            lines.iter_mut().take(made).for_each(|line| *line = format!("{line} # {mark}"));
        }
        lines
    }

    /// With lines behind the one in which `behind` is.
    pub(super) fn with_lines(&self, behind: usize, column: usize, lines: &[String]) -> String {
        insert_lines(&self.text, line_end(&self.text, behind), column, lines)
    }
}

const WAS: &str = ", was ";
const NOTHING: &str = "nothing";

pub(super) fn is_collection(value: &Value) -> bool {
    matches!(value, Value::Mapping(_) | Value::Sequence(_))
}

fn insert_lines(text: &str, at: usize, column: usize, lines: &[String]) -> String {
    let line_break = line_break(text);
    let block = format!("{}{}", " ".repeat(column), indented(lines, column, line_break));
    // In an empty text there is no line before.
    let before = if at == 0 { "" } else { line_break };
    format!("{}{before}{block}{}", &text[..at], &text[at..])
}

/// Without whole lines: as they were put in, with the line break before them.
fn cut_lines(text: &str, start: usize, end: usize) -> String {
    let (start, end) = (line_start(text, start), line_end(text, end));
    if start == 0 {
        return text[next_line(text, end)..].to_owned();
    }
    let before = text[..start].strip_suffix('\n').map_or(start, str::len);
    let before = text[..before].strip_suffix('\r').map_or(before, str::len);
    format!("{}{}", &text[..before], &text[end..])
}

pub(super) fn entries(node: &Node) -> usize {
    match &node.kind {
        Kind::Map { entries, .. } => entries.len(),
        Kind::List { items, .. } => items.len(),
        Kind::Scalar(_) | Kind::Alias(_) => 0,
    }
}

/// The dash of a list's entry.
pub(super) fn dash(text: &str, item: &Node) -> Option<usize> {
    let mut end = item.start;
    loop {
        let start = line_start(text, end);
        let mut line = text[start..end].trim_end();
        let last = |line: &str| line.rsplit([' ', '\t']).next().map_or(0, str::len);
        // An anchor or a tag of the entry stands between.
        while line[line.len() - last(line)..].starts_with(['&', '!']) {
            line = line[..line.len() - last(line)].trim_end();
        }
        if !line.is_empty() {
            return (line[line.len() - last(line)..] == *"-").then_some(start + line.len() - 1);
        }
        // The entry begins below its dash, perhaps behind comments.
        end = start.checked_sub(1)?;
        let above = line_start(text, end);
        let is_comment = |at: &usize| text[above..*at].ends_with([' ', '\t']) || *at == above;
        end = text[above..end].match_indices('#').map(|(at, _)| above + at).find(is_comment).unwrap_or(end);
    }
}
