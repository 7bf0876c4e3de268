//! Why a place cannot be edited, for people.

use std::fmt;

/// A step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value of a mapping's key.
    Key(String),
    /// The entry of a list, from 0.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The steps through mappings alone.
#[must_use]
pub fn keys(keys: &[&str]) -> Vec<Step> {
    keys.iter().map(|key| Step::from(*key)).collect()
}

/// A path as messages show it, such as `spec.volumes[0].name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At(String);

impl At {
    pub(super) fn new(path: &[Step]) -> Self {
        let mut text = String::new();
        for step in path {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => text.extend([".", key]),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        Self(text)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "the document" } else { &self.0 })
    }
}

/// The document was not edited; it is as it was. Each message names the place, what stands there and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The text is not YAML, has a key twice, a tab as indentation, or aliases that stand for too much.
    #[error("not readable as YAML: {0}")]
    NotYaml(String),
    /// The text holds several documents.
    #[error("holds several documents; give one")]
    Several,
    /// A list or scalar stands where a mapping is to be edited.
    #[error("{0}: is no mapping; write its fields as key: value")]
    NotAMapping(At),
    /// Something else stands where a list is to be edited.
    #[error("{0}: is no list; begin each entry with -")]
    NotAList(At),
    /// There is nothing at the path.
    #[error("{0}: is not there")]
    Missing(At),
    /// The value is written with brackets.
    #[error("{0}: is in flow style ({{…}} or […]); write it in block style, a line for each entry")]
    Flow(At),
    /// The value is an alias.
    #[error("{0}: is an alias (*…); write the value out in its place")]
    Alias(At),
    /// The value has an anchor, and a change would show in another place or lose it.
    #[error("{0}: has an anchor (&…); write the value without it, and out where it is used")]
    Anchor(At),
    /// The mapping takes fields from another by `<<`.
    #[error("{0}: takes fields from elsewhere with <<; write them out in their place")]
    Merge(At),
    /// A plain or quoted scalar goes over several lines.
    #[error("{0}: is a text over several lines; write it in one line, or as a block with |")]
    Multiline(At),
    /// An entry that must go shares its first line with its list's dash, and comments stand before its next.
    #[error("{0}: begins its list's entry; move it below the entry's other fields")]
    First(At),
    /// A key is written with `?`, or a list has an entry without a value.
    #[error("{0}: is written in a way that is not edited here; write plain `key: value` lines and `- value` entries")]
    Unusual(At),
    /// As [`Self::Different`], in a text that ends without a line break: in a block of text at its end that makes a difference.
    #[error("{0}: cannot be changed in a text that ends without a line break; end it with one")]
    Unended(At),
    /// The edited text would not say exactly what was asked for.
    #[error("{0}: cannot be changed without changing something else; write the lines around it plainer")]
    Different(At),
}
