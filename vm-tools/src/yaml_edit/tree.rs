//! Text → nodes, each with the bytes where it stands. The library reads YAML; here its events become a tree.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use tandem_cli::problem::unreadable;

use super::error::EditError;
use super::text::{line_end, line_start};

/// Collections within one another; a manifest has about fifteen.
const MAX_DEPTH: usize = 100;

/// A value in the text.
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Its first byte; of a block scalar its header's; of one without a text the byte where it would stand.
    pub(super) start: usize,
    /// Of a block scalar the first byte of its first line that is not blank, behind the indentation.
    pub(super) content: usize,
    /// The byte behind its last; of a block collection its last entry's; of a block scalar that of its last line, without
    /// the line break.
    pub(super) end: usize,
    /// Not 0 where it has an anchor.
    pub(super) anchor: usize,
}

pub(super) enum Kind {
    Scalar(ScalarStyle),
    /// Of the anchor with that number.
    Alias(usize),
    Map {
        flow: bool,
        entries: Vec<(Node, Node)>,
    },
    List {
        flow: bool,
        items: Vec<Node>,
    },
}

impl Node {
    /// Whether it is null or has no entries, and fits into a line: what may be opened into a block.
    pub(super) fn is_empty(&self, text: &str) -> bool {
        match &self.kind {
            Kind::Scalar(ScalarStyle::Plain) => matches!(&text[self.start..self.end], "" | "~" | "null"),
            Kind::Scalar(_) | Kind::Alias(_) => false,
            Kind::Map { flow, entries } => *flow && entries.is_empty() && !text[self.start..self.end].contains('\n'),
            Kind::List { flow, items } => *flow && items.is_empty() && !text[self.start..self.end].contains('\n'),
        }
    }

    /// What stands last in it.
    pub(super) fn last(&self) -> &Self {
        let last = match &self.kind {
            Kind::Map { entries, .. } => entries.last().map(|(_, value)| value),
            Kind::List { items, .. } => items.last(),
            Kind::Scalar(_) | Kind::Alias(_) => None,
        };
        last.map_or(self, Self::last)
    }

    pub(super) fn is_block_scalar(&self) -> bool {
        matches!(self.kind, Kind::Scalar(ScalarStyle::Literal | ScalarStyle::Folded))
    }

    /// Whether an alias of this anchor is here or inside.
    pub(super) fn refers_to(&self, anchor: usize) -> bool {
        match &self.kind {
            Kind::Scalar(_) => false,
            Kind::Alias(of) => *of == anchor,
            Kind::Map { entries, .. } => {
                entries.iter().any(|(key, value)| key.refers_to(anchor) || value.refers_to(anchor))
            }
            Kind::List { items, .. } => items.iter().any(|item| item.refers_to(anchor)),
        }
    }
}

/// What a text holds.
pub(super) struct Parsed {
    /// The first byte of each document: of its `---`, or, without, of the text.
    pub(super) starts: Vec<usize>,
    /// The root of each.
    pub(super) roots: Vec<Node>,
}

pub(super) fn parse(text: &str) -> Result<Parsed, EditError> {
    let mut reader = Reader {
        text,
        bytes: (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect()),
        parser: Parser::new_from_str(text),
    };
    let mut parsed = Parsed { starts: Vec::new(), roots: Vec::new() };
    loop {
        match reader.next()? {
            (Event::DocumentStart(explicit), span) => {
                parsed.starts.push(if explicit { reader.byte(span.start.index()) } else { 0 });
                let event = reader.next()?;
                parsed.roots.push(reader.node(event, 0)?);
            }
            (Event::StreamEnd, _) => return Ok(parsed),
            _ => {}
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    /// Byte of each character, where that is not its index.
    bytes: Option<Vec<usize>>,
    parser: Parser<'t, StrInput<'t>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), EditError> {
        let event = self.parser.next_event().unwrap_or_else(|| Ok((Event::StreamEnd, Span::default())));
        event.map_err(|error| EditError::NotYaml(unreadable(self.text, &error.to_string())))
    }

    fn byte(&self, index: usize) -> usize {
        let byte = self.bytes.as_ref().map_or(Some(index), |bytes| bytes.get(index).copied());
        byte.map_or(self.text.len(), |byte| byte.min(self.text.len()))
    }

    fn node(&mut self, (event, span): (Event<'t>, Span), depth: usize) -> Result<Node, EditError> {
        if depth > MAX_DEPTH {
            return Err(EditError::NotYaml("it is nested too deep; write it flatter".to_owned()));
        }
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        let node = |kind, end, anchor| Node { kind, start, content: start, end, anchor };
        // A flow collection begins with its bracket; a block collection has no characters of its own.
        let flow = self.text[start..end].starts_with(['{', '[']);
        Ok(match event {
            Event::Scalar(value, style @ (ScalarStyle::Literal | ScalarStyle::Folded), anchor, _) => {
                // With an anchor or tag it is said to begin there, otherwise with its content.
                let (header, keeps) = self.header(start);
                let end =
                    if value.is_empty() { header + 1 } else { self.block_end(start, end, span.start.col(), keeps) };
                let start = if self.text[start..].starts_with(['&', '!']) { start } else { header };
                Node { start, ..node(Kind::Scalar(style), end, anchor) }
            }
            Event::Scalar(_, style @ (ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted), anchor, _) => {
                node(Kind::Scalar(style), self.quoted_end(start, end, style), anchor)
            }
            Event::Scalar(_, style, anchor, _) => node(Kind::Scalar(style), end, anchor),
            Event::MappingStart(anchor, _) => {
                let mut entries: Vec<(Node, Node)> = Vec::new();
                let closing = loop {
                    match self.next()? {
                        (Event::MappingEnd, span) => break self.byte(span.start.index()) + 1,
                        event => {
                            let key = self.node(event, depth + 1)?;
                            let event = self.next()?;
                            let mut value = self.node(event, depth + 1)?;
                            if value.end <= value.start
                                && !value.is_block_scalar()
                                && !matches!(value.kind, Kind::Alias(_))
                            {
                                // Without a text of its own it may be placed behind comments.
                                value.end = key.end;
                                value.start = key.end;
                            }
                            entries.push((key, value));
                        }
                    }
                };
                let end = if flow { closing } else { entries.last().map_or(start, |(_, value)| value.end) };
                node(Kind::Map { flow, entries }, end, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut items: Vec<Node> = Vec::new();
                let closing = loop {
                    match self.next()? {
                        (Event::SequenceEnd, span) => break self.byte(span.start.index()) + 1,
                        event => items.push(self.node(event, depth + 1)?),
                    }
                };
                let end = if flow { closing } else { items.last().map_or(start, |item| item.end) };
                node(Kind::List { flow, items }, end, anchor)
            }
            Event::Alias(of) => node(Kind::Alias(of), end, 0),
            _ => return Err(EditError::NotYaml("it ends too early".to_owned())),
        })
    }

    /// The header (`|`, `>-`, …) of a block scalar whose content begins here, and whether it keeps blank lines (`+`).
    fn header(&self, content: usize) -> (usize, bool) {
        let mut end = content;
        loop {
            let start = line_start(self.text, end);
            // From an anchor or tag the header is in the same line, otherwise before it.
            let line = &self.text[start..line_end(self.text, end)];
            let line = line.split(" #").next().unwrap_or_default().trim_end();
            let token = line.rsplit([' ', '\t']).next().unwrap_or_default();
            if token.starts_with(['|', '>']) && token[1..].chars().all(|c| matches!(c, '+' | '-' | '0'..='9')) {
                return (start + line.len() - token.len(), token.contains('+'));
            }
            if start == 0 {
                return (content, false);
            }
            end = start - 1;
        }
    }

    /// The byte behind the closing quote: the library counts blanks and a comment behind it in.
    fn quoted_end(&self, start: usize, end: usize, style: ScalarStyle) -> usize {
        let quote = if style == ScalarStyle::SingleQuoted { '\'' } else { '"' };
        let Some(open) = self.text[start..end].find(quote).map(|at| start + at + 1) else { return end };
        let mut chars = self.text[open..end].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let doubled = quote == '\'' && c == quote && chars.peek().is_some_and(|(_, next)| *next == quote);
            if doubled || quote == '"' && c == '\\' {
                chars.next();
            } else if c == quote {
                return open + at + 1;
            }
        }
        end
    }

    /// Where the last line of a block scalar ends. Blank lines behind it belong to it only where it keeps them (`|+`), or
    /// where they are longer than its indentation.
    fn block_end(&self, start: usize, end: usize, indentation: usize, keeps: bool) -> usize {
        // The library may count the next line's indentation in.
        let last = line_start(self.text, end);
        let end = if last > start && self.text[last..end].chars().all(|c| c == ' ') { last } else { end };
        let mut content = &self.text[start..end];
        content = content.strip_suffix('\n').map_or(content, |rest| rest.strip_suffix('\r').unwrap_or(rest));
        while let (false, Some((before, last))) = (keeps, content.rsplit_once('\n')) {
            let last = last.trim_end_matches('\r');
            if last.chars().any(|c| c != ' ') || last.len() > indentation {
                break;
            }
            content = before.strip_suffix('\r').unwrap_or(before);
        }
        start + content.len()
    }
}

/// The root of a text without a document.
pub(super) fn nothing(at: usize) -> Node {
    Node { kind: Kind::Scalar(ScalarStyle::Plain), start: at, content: at, end: at, anchor: 0 }
}
