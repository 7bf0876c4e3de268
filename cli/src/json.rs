//! Values as JSON.

use serde::Serialize;

/// Indented, with a line's end.
///
/// # Errors
/// Where the value has no form in JSON.
pub fn text(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}
