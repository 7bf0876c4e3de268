//! What is wrong with a document, for people: the field, what was found, and what to write instead.

use std::fmt;

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, such as `spec.clients[0].image`; empty for the document as a whole.
    pub field: String,
    /// What was found and what to write, as the rest of a line that begins with the field.
    pub message: String,
}

impl Problem {
    /// One of this field.
    #[must_use]
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.field, self.message) }
    }
}

/// Turns serde's wording into ours. What it does not know it passes on as it is, so a change of serde's wording costs
/// clarity and nothing else.
#[must_use]
pub fn from_serde(error: serde_path_to_error::Error<serde_yaml::Error>) -> Problem {
    // A field's name is the user's, too, where it is unknown.
    let path = match error.path().to_string() {
        path if path == "." => String::new(),
        path => shown(&path),
    };
    let text = &error.into_inner().to_string();
    if let Some(field) = missing_field(text) {
        return Problem::new(join(&path, field), "is missing; add it");
    }
    if let Some(field) = unknown_field(text).map(shown).as_deref() {
        let path = if path == field || path.ends_with(&format!(".{field}")) { path } else { join(&path, field) };
        return Problem::new(path, format!("unknown field; {}", expected_names(field, text)));
    }
    if let Some(value) = between(text, "unknown variant `", "`") {
        let value_shown = shown(value);
        return Problem::new(path, format!("`{value_shown}` is unknown; {}", expected_names(value, text)));
    }
    let kind = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "));
    if let Some((found, expected)) = kind.and_then(|rest| rest.split_once(", expected ")) {
        let found = shown(&kind_of(found, path.is_empty()));
        let (expected, remedy) = match expected {
            "a string" if found.starts_with("the ") => ("a string", "write it in quotes"),
            "a string" => ("a string", "write one value"),
            "a Value::Tagged enum" => ("a word", "write one of those that the field knows"),
            "a sequence" => ("a list", "begin each entry with -"),
            "u8" | "u16" | "u32" | "u64" | "usize" => ("a whole number", range(expected, &found)),
            other if other.starts_with("struct ") || other == "a YAML mapping" => {
                ("a mapping", "write its fields as key: value")
            }
            other => (other, "write one of that kind"),
        };
        return Problem::new(path, format!("expected {expected}, found {found}; {remedy}"));
    }
    // Our own rules say what to do about it.
    let remedy = if text.contains("; ") { "" } else { "; correct it" };
    Problem::new(path, format!("{}{remedy}", shown(text)))
}

/// What to write where a whole number of this type should be.
fn range(kind: &str, found: &str) -> &'static str {
    let Some(number) = found.strip_prefix("the number ") else { return "write one without quotes" };
    match kind {
        _ if number.contains(['.', 'e', 'n']) => "write one without a fraction",
        _ if number.starts_with('-') => "write one that is not negative",
        "u16" => "write at most 65535",
        _ => "write a smaller one",
    }
}

pub(crate) fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// Longest text, in bytes, that is shown where something else should be.
const MAX_TEXT: usize = 32;

/// `integer `5`` → `the number 5`; containers → `a list`, `a mapping`. A text is shown where it is short and a field's: a longer
/// one, or a whole document, may be a key whose file was given by mistake.
fn kind_of(found: &str, whole: bool) -> String {
    let value = between(found, "`", "`");
    match (found.split(' ').next().unwrap_or(found), value) {
        ("integer" | "floating", Some(value)) => format!("the number {value}"),
        ("boolean", Some(value)) => format!("the truth value {value}"),
        ("map", _) => "a mapping".to_owned(),
        ("sequence", _) => "a list".to_owned(),
        ("unit", _) => "nothing".to_owned(),
        ("string", _) if whole || found.len() > "string \"\"".len() + MAX_TEXT => "a text".to_owned(),
        _ => found.to_owned(),
    }
}

/// The field that serde misses.
pub(crate) fn missing_field(text: &str) -> Option<&str> {
    between(text, "missing field `", "`")
}

/// The field that serde does not know.
pub(crate) fn unknown_field(text: &str) -> Option<&str> {
    between(text, "unknown field `", "`")
}

/// Of the names that serde expected the one that was meant, if one is near, and all of them.
pub(crate) fn names_expected<'t>(found: &str, text: &'t str) -> (Option<&'t str>, Vec<&'t str>) {
    let expected = text.split_once(", expected ").map_or("", |(_, names)| names);
    let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    (nearest(found, names.iter().copied()).filter(|_| names.len() > 1), names)
}

fn expected_names(found: &str, text: &str) -> String {
    let (near, names) = names_expected(found, text);
    let all = names.join(", ");
    match near {
        Some(near) => format!("did you mean {near}? Known here: {all}"),
        None => format!("known here: {all}"),
    }
}

/// The name that was meant by one that is not known, if one is near.
pub fn nearest<'n>(found: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let found = found.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&found, &name.to_lowercase());
    let near = names.into_iter().map(|name| (distance(name), name)).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, name)| *distance <= 3 && *distance < name.len() / 2 + 1).map(|(_, name)| name)
}

/// A value as an error shows it: short, without control characters that could disturb a terminal, and never a private key.
#[must_use]
pub fn shown(value: &str) -> String {
    within(value, 80)
}

/// Why a library cannot read a text as YAML: where in the text stands at the message's end. Of one that may be a template, such as
/// Helm's, also what to do.
#[must_use]
pub fn unreadable(text: &str, message: &str) -> String {
    let remedy = if text.contains("{{") { "; where this is a template, render it first" } else { "" };
    format!("{}{remedy}", within(message, 200))
}

/// Whether a private key in PEM (RFC 7468) begins or ends in a text; a few dozen characters of it are most of an ECDSA key.
pub(crate) fn has_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

/// A text whose characters are all for the eye: none moves the cursor, colours what follows, or turns its direction (Unicode Standard
/// Annex 9), as a name in quotes may hold them in a manifest.
#[must_use]
pub fn printable(text: &str) -> String {
    let moves = |c: char| {
        c.is_control()
            || matches!(c, '\u{feff}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if moves(c) { '\u{fffd}' } else { c }).collect()
}

fn within(value: &str, limit: usize) -> String {
    if has_key(value) {
        return "(a private key)".to_owned();
    }
    let mut text = printable(&value.chars().take(limit).collect::<String>());
    if value.chars().nth(limit).is_some() {
        text.push('…');
    }
    text
}
