//! Why nothing was changed.

use std::fmt;

use tandem_cli::Problem;

use super::bundle::Object;
use crate::yaml_edit::EditError;

/// Nothing was changed: one reason, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectError {
    /// File, document and object; empty where it is about all of them.
    pub object: String,
    /// What is wrong.
    pub problem: Problem,
}

impl std::error::Error for InjectError {}

impl fmt::Display for InjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object.is_empty() { self.problem.fmt(f) } else { write!(f, "{}: {}", self.object, self.problem) }
    }
}

/// For those who tell all reasons at once.
impl From<InjectError> for Vec<InjectError> {
    fn from(error: InjectError) -> Self {
        vec![error]
    }
}

impl InjectError {
    pub(super) fn new(object: &Object, field: &str, message: impl Into<String>) -> Self {
        Self { object: object.place.clone(), problem: Problem::new(field, message) }
    }

    /// Of a file, or of one of its documents.
    pub(super) fn in_file(place: &str, message: impl Into<String>) -> Self {
        Self { object: place.to_owned(), problem: Problem::new("", message) }
    }

    pub(super) fn general(message: impl Into<String>) -> Self {
        Self { object: String::new(), problem: Problem::new("", message) }
    }

    pub(super) fn of_options(problems: Vec<String>) -> Vec<Self> {
        problems.into_iter().map(Self::general).collect()
    }

    /// An edit that was refused; within the user data, the field that it stands in comes first.
    pub(super) fn edit(object: &Object, within: &str, error: EditError) -> Self {
        Self::new(object, within, error.to_string())
    }
}
