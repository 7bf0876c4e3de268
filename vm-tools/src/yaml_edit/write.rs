//! Values → text. The library writes by the core schema of YAML 1.2, and leaves bare what older readers take for something
//! else than a string: `no`, `12:30`, `2032-09-01`. Both who read what is written here do: kubectl by go-yaml v2, and
//! cloud-init by PyYAML.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use saphyr_parser::ScalarStyle;
use serde::Serialize;
use serde::ser::Error;

use super::strings;
use super::tree::{self, Kind, Node};

/// A value as YAML, in which each string is one for every reader, of YAML 1.1 as of 1.2.
///
/// # Errors
/// As [`serde_yaml::to_string`].
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_yaml::Error> {
    let text = serde_yaml::to_string(value)?;
    // Of most values nothing more is looked at.
    if !strings::any(value, is_misread) {
        return Ok(text);
    }
    let mut bare = Vec::new();
    for root in &tree::parse(&text).map_err(serde_yaml::Error::custom)?.roots {
        misread(root, &text, &mut bare);
    }
    let (mut quoted, mut written) = (String::with_capacity(text.len() + 2 * bare.len()), 0);
    for Range { start, end } in bare {
        quoted.extend([&text[written..start], "'", &text[start..end], "'"]);
        written = end;
    }
    quoted.push_str(&text[written..]);
    Ok(quoted)
}

/// Where such a scalar stands without quotes, in the order of the text.
fn misread(node: &Node, text: &str, bare: &mut Vec<Range<usize>>) {
    match &node.kind {
        Kind::Scalar(ScalarStyle::Plain) if is_misread(&text[node.start..node.end]) => bare.push(node.start..node.end),
        Kind::Scalar(_) | Kind::Alias(_) => {}
        Kind::List { items, .. } => items.iter().for_each(|item| misread(item, text, bare)),
        Kind::Map { entries, .. } => {
            for (key, value) in entries {
                // A merge that somebody wrote is left to who reads it.
                if !(&text[key.start..key.end] == "<<" && is_merged(value)) {
                    misread(key, text, bare);
                }
                misread(value, text, bare);
            }
        }
    }
}

/// Whether a value can be what `<<` merges: a mapping, or several.
fn is_merged(value: &Node) -> bool {
    let is_map = |node: &Node| matches!(node.kind, Kind::Map { .. });
    is_map(value) || matches!(&value.kind, Kind::List { items, .. } if !items.is_empty() && items.iter().all(is_map))
}

/// Numbers and times of PyYAML, those of older versions as well:
/// <https://github.com/yaml/pyyaml/blob/6.0.2/lib/yaml/resolver.py>. Dates also as go-yaml has them, with one digit.
static PYYAML: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let float = r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9_]+(?:[eE][-+][0-9]+)?";
    let base60 = r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+";
    let int = "[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+";
    let date = "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}";
    let time = r"[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?";
    Regex::new(&format!(r"^(?:{float}|{base60}|{int}|{date}(?:(?:[Tt]|[ \t]+){time})?)$")).ok()
});

/// Numbers of go-yaml v2, which takes all `_` out first: <https://github.com/yaml/go-yaml/blob/v2.4.0/resolve.go>.
static GO_YAML: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let int = "[-+]?0[bB][-+]?[01]+|[-+]?0[oO]?[0-7]+|[-+]?0[xX][0-9a-fA-F]+";
    let float = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?";
    Regex::new(&format!("^(?:{int}|{float})$")).ok()
});

/// As many digits, or more, may be no number that the library knows.
const DIGITS: usize = 300;

/// Whether a reader of YAML 1.1 takes a string for something else, and the library writes it without quotes.
fn is_misread(text: &str) -> bool {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true,
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => true,
        "=" | "<<" => true,
        _ => may_be_number(text) && is_number(text) && is_bare(text),
    }
}

/// At a glance. Digits alone, which are in every machine's user data, the library quotes.
fn may_be_number(text: &str) -> bool {
    let is_digits = || text.len() < DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_in_numbers = |byte: u8| byte.is_ascii_hexdigit() || b"_+-.:xXoOTtZ \t".contains(&byte);
    text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.bytes().all(is_in_numbers)
        && !is_digits()
}

fn is_number(text: &str) -> bool {
    let matches = |regex: &Option<Regex>, text: &str| regex.as_ref().is_some_and(|regex| regex.is_match(text));
    matches(&PYYAML, text) || matches(&GO_YAML, &text.replace('_', ""))
}

/// Whether the library writes a string without quotes.
fn is_bare(text: &str) -> bool {
    serde_yaml::to_string(text).is_ok_and(|written| written.trim_end() == text)
}
