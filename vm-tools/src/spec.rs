//! The input: YAML text → [`Document`] (its shape is right) → [`DatabaseVm`] (its values are, too).

mod certificate;
mod check;
mod database;
mod document;
mod error;
mod machine;
mod members;
mod network;
mod one_of;

pub use certificate::*;
pub(crate) use check::hba;
pub use database::*;
pub use document::*;
pub use error::SpecError;
pub use machine::*;
pub use members::*;
pub use network::NetworkPolicy;
pub(crate) use network::peer;
use one_of::one_of;
use serde_yaml::Value;
pub use tandem_cli::Problem;
use tandem_cli::shape;

pub(crate) use crate::values;

/// Most bytes of a document. A real one has a few hundred; the bound keeps hostile nesting and aliases cheap.
pub const MAX_BYTES: usize = 64 * 1024;

/// A checked document. Only [`parse`] and [`check()`] make one, so whoever holds it need not ask again.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseVm(Document);

impl DatabaseVm {
    /// The document as it was checked, defaults filled in.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.0
    }
}

/// Reads one YAML document.
///
/// # Errors
/// [`SpecError`], with every field that is wrong; never a panic, whatever the text.
pub fn parse(text: &str) -> Result<DatabaseVm, SpecError> {
    if text.len() > MAX_BYTES {
        return Err(SpecError::TooLarge);
    }
    let nothing = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line.trim() == "---";
    if text.lines().all(nothing) {
        return Err(SpecError::Empty);
    }
    read(tandem_cli::yaml::document(text, 2 * MAX_BYTES).map_err(|error| error::from_yaml(text, &error))?)
}

/// Reads a document whose text was read already, such as one of a stream.
///
/// # Errors
/// [`SpecError::Fields`], with every field that is wrong.
pub fn read(values: Value) -> Result<DatabaseVm, SpecError> {
    // Before its fields are called unknown: perhaps the file is simply another one.
    let header = |key: &str| values.get(key).and_then(Value::as_str);
    if let (Some(version), Some(kind)) = (header("apiVersion"), header("kind"))
        && (version, kind) != (API_VERSION, KIND)
    {
        let found = tandem_cli::shown(&format!("{version} {kind}"));
        let own =
            if version.starts_with("kubevirt.io/") { ", or have tandem-vm inject change a VM of your own" } else { "" };
        let message = format!("found `{found}`; write {API_VERSION} and {KIND}{own}");
        return Err(SpecError::field("apiVersion, kind", message));
    }
    // From values, not from the text: that way a number does not pass for a string.
    let shape::Read { value, problems } = shape::read::<Document>(values);
    match value.map_or_else(|| Err(SpecError::Fields(Vec::new())), check) {
        Ok(vm) if problems.is_empty() => Ok(vm),
        Ok(_) => Err(SpecError::Fields(problems)),
        Err(SpecError::Fields(more)) => Err(SpecError::Fields([problems, more].concat())),
        Err(other) => Err(other),
    }
}

/// Checks the values of a document that was made in code or read in another way.
///
/// # Errors
/// [`SpecError::Fields`] with every field that is wrong.
pub fn check(document: Document) -> Result<DatabaseVm, SpecError> {
    check::document(&document)?;
    Ok(DatabaseVm(document))
}
