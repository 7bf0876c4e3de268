//! A text with several documents → the text of each. Put together again they are the text.

use std::ops::Range;

use tandem_cli::{problem::unreadable, yaml};

use super::{BUDGET, EditError, read, tree};

/// The bytes of each document: from its `---` to the next, the first from the text's start, so that comments before it are
/// with it. A text without a document is one.
///
/// # Errors
/// [`EditError::NotYaml`], also for a text that cannot be taken apart, since it has directives (`%YAML`).
pub fn split(text: &str) -> Result<Vec<Range<usize>>, EditError> {
    let mut starts = tree::parse(text)?.starts;
    if starts.is_empty() {
        starts.push(0);
    }
    starts[0] = 0;
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let ranges: Vec<_> = starts.iter().zip(ends).map(|(start, end)| *start..end).collect();
    let not_yaml = |error: serde_yaml::Error| EditError::NotYaml(unreadable(text, &error.to_string()));
    let whole = yaml::documents(text, BUDGET).collect::<Result<Vec<_>, _>>().map_err(not_yaml)?;
    let parts = ranges.iter().map(|range| read(&text[range.clone()])).collect::<Result<Vec<_>, _>>();
    // Of an empty text the one reader makes a null, the other nothing.
    match parts {
        Ok(parts) if parts == whole || whole.is_empty() && parts.iter().all(serde_yaml::Value::is_null) => Ok(ranges),
        _ => Err(EditError::NotYaml("its documents do not stand alone; remove %YAML and %TAG lines".to_owned())),
    }
}

/// The byte of a document's `---`, if it has one.
///
/// # Errors
/// [`EditError::NotYaml`].
pub fn explicit_start(document: &str) -> Result<Option<usize>, EditError> {
    let parsed = tree::parse(document)?;
    Ok(parsed.starts.first().copied().filter(|start| document[*start..].starts_with("---")))
}
