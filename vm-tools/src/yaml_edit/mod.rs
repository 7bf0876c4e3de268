//! Edits of YAML text that leave everything else as it was: comments, order, quoting, indentation, line breaks.
//!
//! ```text
//! text ──tree::parse──▶ nodes with their bytes ──▶ splice ──▶ new text ──▶ read again: is it exactly what was asked for?
//! ```
//!
//! Only block style is edited. A place in flow style, an alias, a shared anchor, a text over several lines: each is refused
//! with the reason ([`EditError`]), and so is an edit whose result does not read as the old value with the asked change.
//!
//! ```
//! use tandem_vm::yaml_edit::{Editor, keys};
//!
//! let mut file = Editor::new("net: # the network\n  port: 27017\n")?;
//! file.set(&keys(&["net", "tls", "mode"]), &"requireTLS".into())?;
//! assert_eq!(file.text(), "net: # the network\n  port: 27017\n  tls:\n    mode: requireTLS\n");
//! # Ok::<(), tandem_vm::yaml_edit::EditError>(())
//! ```
//!
//! A mark, where the editor has one, is a comment behind each key and entry that it makes. An empty value that it opens into a
//! block keeps its old text behind the mark (`devices: # MARK, was {}`). So [`Editor::remove`] knows what to take away with
//! the last entry and what to put back, and undoes insertions byte for byte.

mod error;
mod literal;
mod splice;
pub mod stream;
mod strings;
mod text;
mod tree;
mod value;
mod write;

use std::sync::{Arc, OnceLock};

use serde_yaml::Value;
use tandem_cli::{problem::unreadable, yaml};

pub use error::{At, EditError, Step, keys};
use splice::{dash, entries, is_collection};
use text::{column, item_lines, line_end, line_start};
pub(crate) use text::{line_break, other_line_break};
use tree::{Kind, Node};
pub use write::to_string;

/// What a document may stand for once its aliases are replaced; see [`yaml::documents`].
const BUDGET: usize = 32 * 1024 * 1024;

/// One document that is being edited. After an error it is as it was before.
#[derive(Clone)]
pub struct Editor {
    text: String,
    value: Value,
    /// The nodes of the text, once they have been asked for: of most documents they never are.
    root: OnceLock<Arc<Node>>,
    mark: Option<String>,
    /// Columns by which what is made stands further in than what it is made in.
    indentation: usize,
}

/// What was found on the way along a path.
struct Found<'n> {
    /// The value as far as the path exists.
    node: &'n Node,
    /// The key under which it stands, if it stands in a mapping.
    key: Option<&'n Node>,
    /// How many steps of the path exist.
    depth: usize,
}

impl Editor {
    /// Reads a text with one document, or without any (which is null).
    ///
    /// # Errors
    /// [`EditError::NotYaml`], [`EditError::Several`].
    pub fn new(text: impl Into<String>) -> Result<Self, EditError> {
        let text = text.into();
        let value = read(&text)?;
        root(&text)?;
        Ok(Self { text, value, root: OnceLock::new(), mark: None, indentation: 2 })
    }

    /// With a comment behind what is made from now on; without `#` and line breaks.
    #[must_use]
    pub fn with_mark(mut self, mark: &str) -> Self {
        self.mark = Some(mark.to_owned());
        self
    }

    /// With other than two columns between what is made and what it is made in; of texts in one line.
    #[must_use]
    pub fn with_indentation(mut self, columns: usize) -> Self {
        self.indentation = columns;
        self
    }

    /// The text as it is now.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value at a path.
    #[must_use]
    pub fn get(&self, path: &[Step]) -> Option<&Value> {
        value::get(&self.value, path)
    }

    /// The lines of the value at a path as they stand in the text, with the key; for an entry of a list, from behind its dash.
    ///
    /// # Errors
    /// Where the path is not there or cannot be followed.
    pub fn source(&self, path: &[Step]) -> Result<&str, EditError> {
        let root = self.root()?;
        let found = self.existing(&root, path)?;
        let start = found.key.unwrap_or(found.node).start;
        Ok(&self.text[start..line_end(&self.text, found.node.end.max(start))])
    }

    /// Whether the mark stands behind the first line of the value at a path, which was made under it then.
    #[must_use]
    pub fn is_made(&self, path: &[Step]) -> bool {
        let first = self.source(path).ok().and_then(|source| source.lines().next());
        self.mark.as_ref().zip(first).is_some_and(|(mark, line)| line.ends_with(&format!("# {mark}")))
    }

    /// Writes a value: in place of the one that is there, or as a new last entry of its mapping; mappings that are missing
    /// on the way are made.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn set(&mut self, path: &[Step], new: &Value) -> Result<(), EditError> {
        let root = self.root()?;
        let found = self.find_to_edit(&root, path)?;
        let text = if found.depth < path.len() || found.node.is_empty(&self.text) && is_collection(new) {
            self.added(&found, path, new)?
        } else {
            self.replaced(&found, path, new)?
        };
        let mut wanted = self.value.clone();
        value::set(&mut wanted, path, new.clone());
        self.accept(text, wanted, path)
    }

    /// Writes an entry into a list before the one with that index, or as its last; the list is made if it is missing.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn insert(&mut self, list: &[Step], index: usize, new: &Value) -> Result<(), EditError> {
        let root = self.root()?;
        let found = self.find_to_edit(&root, list)?;
        if found.depth < list.len() || found.node.is_empty(&self.text) {
            return self.set(list, &Value::Sequence(vec![new.clone()]));
        }
        let Kind::List { items, .. } = &found.node.kind else { return Err(EditError::NotAList(At::new(list))) };
        let unusual = || EditError::Unusual(At::new(list));
        let index = index.min(items.len());
        let dash = dash(&self.text, items.first().ok_or_else(unusual)?).ok_or_else(unusual)?;
        let behind = match (index.checked_sub(1).and_then(|before| items.get(before)), found.key) {
            (Some(item), _) => item.end,
            (None, Some(key)) if line_start(&self.text, key.start) < line_start(&self.text, dash) => key.end,
            (None, _) => return Err(unusual()),
        };
        let lines = self.marked(item_lines(new)?, 1);
        let text = self.with_lines(behind, column(&self.text, dash), &lines);
        let mut wanted = self.value.clone();
        value::insert(&mut wanted, list, index, new.clone());
        self.accept(text, wanted, list)
    }

    /// Writes a last entry into a list, which is made if it is missing.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn append(&mut self, list: &[Step], new: &Value) -> Result<(), EditError> {
        self.insert(list, usize::MAX, new)
    }

    /// Writes an entry under another key in the place of the one at a path, without a mark; comments before and behind it
    /// stay.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn exchange(&mut self, path: &[Step], key: &str, new: &Value) -> Result<(), EditError> {
        let lines = text::entry_lines(&text::key_text(key)?, new)?;
        let root = self.root()?;
        self.find_own(&root, path)?;
        let column = self.existing(&root, path)?.key.map_or(0, |key| column(&self.text, key.start));
        self.put(path, &text::indented(&lines, column, text::line_break(&self.text)), key, new.clone())
    }

    /// Puts the source of an entry, as [`Self::source`] gave it, in the place of the one at a path.
    ///
    /// # Errors
    /// [`EditError`]; [`EditError::NotYaml`] where the source is not that of an entry.
    pub fn put_back(&mut self, path: &[Step], source: &str) -> Result<(), EditError> {
        let lines: Vec<&str> = source.split('\n').map(|line| line.trim_end_matches('\r')).collect();
        let lines = lines.join(text::line_break(&self.text));
        // A block of text at the end of a text without a line break says something else than one before a line break.
        let (key, value) = self.entry_of(path, &format!("{source}\n"))?;
        self.put(path, &lines, &key, value).or_else(|_| {
            let (key, value) = self.entry_of(path, source)?;
            self.put(path, &lines, &key, value)
        })
    }

    /// Key and value that a source stands for, in the column of the entry at a path.
    ///
    /// # Errors
    /// As [`Self::put_back`].
    pub fn entry_of(&self, path: &[Step], source: &str) -> Result<(String, Value), EditError> {
        let root = self.root()?;
        let column = self.existing(&root, path)?.key.map_or(0, |key| column(&self.text, key.start));
        let entry = read(&format!("{}{source}", " ".repeat(column)))?;
        let entry = entry.as_mapping().and_then(|entries| entries.iter().next());
        let (key, value) = entry.ok_or_else(|| EditError::NotYaml("it is no entry of a mapping".to_owned()))?;
        Ok((key.as_str().unwrap_or_default().to_owned(), value.clone()))
    }

    /// Whole lines, the first without its indentation, in the place of an entry's.
    fn put(&mut self, path: &[Step], lines: &str, key: &str, new: Value) -> Result<(), EditError> {
        let root = self.root()?;
        let found = self.existing(&root, path)?;
        let place = found.key.ok_or_else(|| EditError::Unusual(At::new(path)))?;
        let end = line_end(&self.text, found.node.end.max(place.end));
        let edited = format!("{}{lines}{}", &self.text[..place.start], &self.text[end..]);
        let mut wanted = self.value.clone();
        value::exchange(&mut wanted, path, key, new);
        self.accept(edited, wanted, path)
    }

    /// Takes a value away with its key or dash, and with it each collection that has no entry left. Under a mark a mapping
    /// without it stays, empty; and what was opened into a block becomes again what it was.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn remove(&mut self, path: &[Step]) -> Result<(), EditError> {
        let root = self.root()?;
        let mut gone = path;
        self.existing(&root, gone)?;
        let mut wanted = self.value.clone();
        // The outermost collection that would be left empty.
        while let [outer @ .., _] = gone {
            let parent = self.existing(&root, outer)?;
            if entries(parent.node) > 1 {
                break;
            }
            if let Some((span, was)) = parent.key.and_then(|key| self.opened(key)) {
                let rest = if was.is_empty() { Value::Null } else { read(&was)? };
                value::set(&mut wanted, outer, rest);
                let end = line_end(&self.text, parent.node.end);
                let line = line_end(&self.text, span.1);
                let text = format!("{}{}{}", &self.text[..span.0], &self.text[span.1..line], &self.text[end..]);
                return self.accept(text, wanted, path);
            }
            let of_others = parent.key.is_some_and(|key| !self.is_marked(key)) && self.mark.is_some();
            if of_others && matches!(parent.node.kind, Kind::Map { .. }) {
                return self.set(outer, &Value::Mapping(serde_yaml::Mapping::new()));
            }
            gone = outer;
        }
        let text = self.without(&root, gone)?;
        value::remove(&mut wanted, gone);
        self.accept(text, wanted, path)
    }

    /// Has a block with which a text without a line break ends (`|`, `|+`) say the same whatever comes behind it (`|-`). A text
    /// that ends otherwise stays as it is.
    ///
    /// # Errors
    /// [`EditError::Different`], [`EditError::Unended`].
    pub fn strip_last_block(&mut self) -> Result<(), EditError> {
        let root = self.root()?;
        let (before, last) = self.text.split_at(root.last().start);
        let text = match last.split_at_checked(1) {
            Some((style @ ("|" | ">"), rest)) => {
                let content = rest.trim_start_matches(|c: char| "+-".contains(c) || c.is_ascii_digit());
                let indent: String = rest[..rest.len() - content.len()].chars().filter(char::is_ascii_digit).collect();
                format!("{before}{style}{indent}-{content}")
            }
            _ => self.text.clone(),
        };
        self.accept(text, self.value.clone(), &[])
    }

    /// Takes the new text if it reads as the wanted value.
    fn accept(&mut self, text: String, wanted: Value, path: &[Step]) -> Result<(), EditError> {
        let at = At::new(path);
        let different = || if self.text.ends_with('\n') { EditError::Different(at) } else { EditError::Unended(at) };
        let value = read(&text).ok().filter(|value| *value == wanted);
        let (value, root) = value.zip(root(&text).ok()).ok_or_else(different)?;
        (self.text, self.value, self.root) = (text, value, OnceLock::from(Arc::new(root)));
        Ok(())
    }

    /// The nodes of the text.
    fn root(&self) -> Result<Arc<Node>, EditError> {
        if let Some(root) = self.root.get() {
            return Ok(Arc::clone(root));
        }
        let root = Arc::new(root(&self.text)?);
        Ok(Arc::clone(self.root.get_or_init(|| root)))
    }

    /// Follows a path as far as it exists, and refuses what it cannot go through.
    fn find<'n>(&self, root: &'n Node, path: &[Step]) -> Result<Found<'n>, EditError> {
        let mut found = Found { node: root, key: None, depth: 0 };
        loop {
            let at = || At::new(&path[..found.depth]);
            let node = found.node;
            let flow = matches!(node.kind, Kind::Map { flow: true, .. } | Kind::List { flow: true, .. });
            let Some(step) = path.get(found.depth) else { return Ok(found) };
            if node.anchor != 0 && root.refers_to(node.anchor) {
                return Err(EditError::Anchor(at()));
            }
            if node.is_empty(&self.text) {
                return Ok(found);
            }
            match (&node.kind, step) {
                (Kind::Alias(_), _) => return Err(EditError::Alias(at())),
                _ if flow => return Err(EditError::Flow(at())),
                (Kind::Map { entries, .. }, Step::Key(name)) => {
                    let named = |key: &Node, name: &str| self.is_key(key, name);
                    match entries.iter().find(|(key, _)| named(key, name)) {
                        Some((key, value)) => found = Found { node: value, key: Some(key), depth: found.depth + 1 },
                        None if entries.iter().any(|(key, _)| named(key, "<<")) => return Err(EditError::Merge(at())),
                        None => return Ok(found),
                    }
                }
                (Kind::List { items, .. }, Step::Index(index)) => match items.get(*index) {
                    Some(item) => found = Found { node: item, key: None, depth: found.depth + 1 },
                    None => return Err(EditError::Missing(At::new(path))),
                },
                (_, Step::Key(_)) => return Err(EditError::NotAMapping(at())),
                (_, Step::Index(_)) => return Err(EditError::NotAList(at())),
            }
        }
    }

    /// As [`Self::find`], but the value itself is to go or to change as well, and with it no other.
    fn find_own<'n>(&self, root: &'n Node, path: &[Step]) -> Result<Found<'n>, EditError> {
        let found = self.find(root, path)?;
        let at = || At::new(&path[..found.depth]);
        match found.node.kind {
            Kind::Alias(_) => Err(EditError::Alias(at())),
            _ if found.node.anchor != 0 && root.refers_to(found.node.anchor) => Err(EditError::Anchor(at())),
            _ => Ok(found),
        }
    }

    /// As [`Self::find_own`], but the value is to be edited where it stands.
    fn find_to_edit<'n>(&self, root: &'n Node, path: &[Step]) -> Result<Found<'n>, EditError> {
        let found = self.find_own(root, path)?;
        match found.node.kind {
            Kind::Map { flow: true, .. } | Kind::List { flow: true, .. } if !found.node.is_empty(&self.text) => {
                Err(EditError::Flow(At::new(&path[..found.depth])))
            }
            _ => Ok(found),
        }
    }

    /// As [`Self::find`], but the whole path must be there.
    fn existing<'n>(&self, root: &'n Node, path: &[Step]) -> Result<Found<'n>, EditError> {
        let found = self.find(root, path)?;
        if found.depth == path.len() { Ok(found) } else { Err(EditError::Missing(At::new(path))) }
    }

    /// Whether a key, as it is written, is this one.
    fn is_key(&self, key: &Node, name: &str) -> bool {
        let source = &self.text[key.start..key.end];
        // What is written so says itself and nothing else.
        let plain = source.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
        source == name || !plain && yaml::document(source, BUDGET).is_ok_and(|value| value == name)
    }
}

/// The one document of a text.
fn read(text: &str) -> Result<Value, EditError> {
    let mut all = yaml::documents(text, BUDGET);
    let not_yaml = |error: serde_yaml::Error| EditError::NotYaml(unreadable(text, &error.to_string()));
    let first = all.next().unwrap_or(Ok(Value::Null)).map_err(not_yaml)?;
    if all.next().is_some() { Err(EditError::Several) } else { Ok(first) }
}

/// Its root, null where there is no document.
fn root(text: &str) -> Result<Node, EditError> {
    let mut roots = tree::parse(text)?.roots;
    match (roots.pop(), roots.is_empty()) {
        (Some(root), true) => Ok(root),
        (Some(_), false) => Err(EditError::Several),
        (None, _) => Ok(tree::nothing(text.len())),
    }
}
