//! Field → line of its file, for what leads from findings to the text, and how its value is written. The model has values without
//! their places in the text; here the text is read once more, for the fields that are asked for.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::Finding;
use crate::model::join;

/// Lines of one file's documents and fields.
pub(super) struct Lines(HashMap<(usize, String), usize>);

/// A collection that is being read.
enum Open {
    /// With the key whose value comes next.
    Map { path: String, key: Option<String> },
    /// With the index of the next entry.
    List { path: String, index: usize },
}

impl Open {
    /// The path of the value that comes next; `None` where a key does.
    fn next(&self) -> Option<String> {
        match self {
            Self::Map { path, key } => key.as_ref().map(|key| join(path, key)),
            Self::List { path, index } => Some(format!("{path}[{index}]")),
        }
    }

    /// A value, or a key that is a collection itself, has ended.
    fn ended(&mut self) {
        match self {
            Self::Map { key, .. } => *key = if key.is_some() { None } else { Some(String::new()) },
            Self::List { index, .. } => *index += 1,
        }
    }
}

/// The fields of a finding's document that may show where it is, the nearest first, and the document as a whole (`""`) at last.
fn fields(finding: &Finding) -> impl Iterator<Item = (usize, String)> {
    let place = &finding.object.place;
    let document = place.document();
    let item = place.item().map(|item| format!("items[{}]", item.saturating_sub(1))).unwrap_or_default();
    // Within user data there are no lines of the manifest's own; in what is rendered there is only the document.
    let field = finding.field.split(" > ").next().unwrap_or_default();
    let field = if finding.object.rendered { "" } else { field };
    let path = match (item.is_empty(), field.is_empty()) {
        (true, _) => field.to_owned(),
        (false, true) => item,
        (false, false) => format!("{item}.{field}"),
    };
    std::iter::successors(Some(path), |path| {
        (!path.is_empty()).then(|| path.rfind(['.', '[']).and_then(|at| path.get(..at)).unwrap_or_default().to_owned())
    })
    .map(move |path| (document, path))
}

/// Something that stands in a text.
pub(super) struct Token<'t> {
    /// Which of the documents it is in, from 1.
    pub(super) document: usize,
    /// Its field's path.
    pub(super) path: &'t str,
    /// Where it begins, from 1.
    pub(super) line: usize,
    /// What is written, where that is a value in one line without quotes.
    pub(super) plain: Option<&'t str>,
}

/// Reads a text as far as it can be read: of each field the key, and then the value.
pub(super) fn walk(text: &str, mut tell: impl FnMut(Token<'_>)) {
    let (mut document, mut open): (usize, Vec<Open>) = (0, Vec::new());
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        let path = open.last().map_or(Some(String::new()), Open::next);
        let mut tell = |path: &str, plain: Option<&str>| tell(Token { document, path, line: span.start.line(), plain });
        match event {
            Event::DocumentStart(_) => document += 1,
            Event::Scalar(value, style, ..) => match (open.last_mut(), path) {
                (Some(Open::Map { path, key: key @ None }), _) => {
                    tell(&join(path, &value), None);
                    *key = Some(value.into_owned());
                }
                (last, path) => {
                    let plain = (style == ScalarStyle::Plain).then_some(&*value);
                    tell(&path.unwrap_or_default(), plain);
                    last.into_iter().for_each(Open::ended);
                }
            },
            Event::Alias(_) => open.last_mut().into_iter().for_each(Open::ended),
            Event::MappingStart(..) => {
                let path = path.unwrap_or_default();
                tell(&path, None);
                open.push(Open::Map { path, key: None });
            }
            Event::SequenceStart(..) => {
                let path = path.unwrap_or_default();
                tell(&path, None);
                open.push(Open::List { path, index: 0 });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                open.last_mut().into_iter().for_each(Open::ended);
            }
            _ => {}
        }
    }
}

impl Lines {
    /// Of a file's text, as far as these findings are concerned.
    pub(super) fn of<'f>(text: &str, findings: impl Iterator<Item = &'f Finding>) -> Self {
        let wanted: HashSet<_> = findings.flat_map(fields).collect();
        let mut lines = HashMap::new();
        walk(text, |token| {
            let place = (token.document, token.path.to_owned());
            if wanted.contains(&place) {
                lines.entry(place).or_insert(token.line);
            }
        });
        Self(lines)
    }

    /// The line, from 1, of the finding's field, or of the nearest thing around it.
    pub(super) fn line(&self, finding: &Finding) -> Option<usize> {
        fields(finding).find_map(|place| self.0.get(&place).copied())
    }
}
