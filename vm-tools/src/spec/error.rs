//! Why a text is no DatabaseVM.

use tandem_cli::{Problem, problem::unreadable};

/// Why a text is no [`super::DatabaseVm`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// More text than any honest document has.
    #[error("the document has more than {limit} bytes; a DatabaseVM is a few lines of YAML", limit = super::MAX_BYTES)]
    TooLarge,
    /// Nothing but white space and comments.
    #[error("the document is empty; write a DatabaseVM (tandem-vm render --help shows one)")]
    Empty,
    /// More than one YAML document in one text.
    #[error("there are several YAML documents; write each into a file of its own")]
    SeveralDocuments,
    /// Not YAML, or YAML nested or aliased beyond measure.
    #[error("not readable as YAML: {0}")]
    Yaml(String),
    /// Fields that are unknown, missing or wrong; all that were found.
    #[error("{}", lines(.0))]
    Fields(Vec<Problem>),
}

impl SpecError {
    /// One line for each thing that is wrong.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Fields(problems) => problems.iter().map(Problem::to_string).collect(),
            Self::TooLarge | Self::Empty | Self::SeveralDocuments | Self::Yaml(_) => vec![self.to_string()],
        }
    }

    pub(super) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Fields(vec![Problem::new(field, message)])
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// A fault of the text itself: syntax, several documents, too much nesting or too many aliases.
pub(super) fn from_yaml(text: &str, error: &serde_yaml::Error) -> SpecError {
    let message = error.to_string();
    if message.contains("more than one document") {
        return SpecError::SeveralDocuments;
    }
    SpecError::Yaml(unreadable(text, &message))
}
