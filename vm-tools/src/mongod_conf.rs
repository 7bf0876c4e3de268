//! A `mongod.conf` that somebody wrote: settings of TLS, network and replication are changed in place, and everything
//! else stays as it was.
//!
//! ```text
//! text ──▶ can it be edited? ──▶ section, yaml_edit ──▶ rules: would mongod start? ──▶ new text, warnings
//! ```
//!
//! Options: <https://www.mongodb.com/docs/manual/reference/configuration-options/>.

mod rules;
mod section;
mod settings;

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};
use tandem_cli::{Problem, shown};

use crate::yaml_edit::{Editor, keys};
pub use settings::{AUTH_MODES, MODES, SETTINGS, Setting, named};

/// A setting and its new value.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    setting: &'static Setting,
    value: Value,
}

impl Change {
    /// The value as a user writes it, such as `requireTLS`, `27017` or `true`.
    ///
    /// # Errors
    /// [`Problem`] where there is no such setting, or it does not take the value.
    pub fn new(setting: &str, value: &str) -> Result<Self, Problem> {
        let setting = named(setting)?;
        Ok(Self { setting, value: setting.value(value).map_err(|message| Problem::new(setting.name, message))? })
    }

    /// The setting's dotted name, such as `net.tls.mode`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.setting.name
    }

    /// The new value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// A changed file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Changed {
    /// The whole new text; the old one where nothing had to be changed.
    pub text: String,
    /// What was changed: the setting's name, and its value before, if it had one, and after.
    pub changes: Vec<(&'static str, Option<Value>, Value)>,
    /// What is wrong with the file, but was before.
    pub warnings: Vec<Problem>,
}

/// Makes the changes. A setting that has the wanted value already is left as it is written.
///
/// # Errors
/// What cannot be edited safely, and what would keep mongod from starting though it did not before.
pub fn change(text: &str, changes: &[Change]) -> Result<Changed, Vec<Problem>> {
    let mut editor = open(text).map_err(|problem| vec![problem])?;
    let columns = section::indentation(text);
    let before = flat(editor.value());
    let refused: Vec<_> = changes.iter().flat_map(|change| in_the_way(change.name(), &before)).collect();
    if !refused.is_empty() {
        return Err(without_repetitions(refused));
    }
    let mut made = Vec::new();
    for Change { setting, value } in changes {
        let path = keys(&setting.name.split('.').collect::<Vec<_>>());
        let old = editor.get(&path).cloned();
        if old.as_ref().is_some_and(|old| same(old, value)) {
            continue;
        }
        let name = setting.name.split('.').next().unwrap_or_default();
        editor = section::opened(editor, name).with_indentation(columns);
        editor.set(&path, value).map_err(|error| vec![Problem::new("", error.to_string())])?;
        made.push((setting.name, old.filter(|old| !old.is_null()), value.clone()));
    }
    let known = rules::broken(&before);
    let (warnings, refused): (Vec<_>, Vec<_>) =
        rules::broken(&flat(editor.value())).into_iter().partition(|problem| known.contains(problem));
    if !refused.is_empty() {
        return Err(refused);
    }
    let warnings = warnings.into_iter().chain(rules::deprecated(&before)).collect();
    // A file that was empty had no line to end.
    let end = if text.is_empty() && !made.is_empty() { "\n" } else { "" };
    Ok(Changed { text: format!("{}{end}", editor.text()), changes: made, warnings })
}

fn open(text: &str) -> Result<Editor, Problem> {
    let document = |message: &str| Problem::new("", message);
    if text.starts_with('\u{feff}') {
        return Err(document("begins with a byte order mark; save the file without"));
    }
    if text.contains('\0') {
        return Err(document("has a NUL byte, with which mongod does not start; take it out"));
    }
    if is_ini(text) {
        return Err(document(
            "is in the old format, key = value; write it as YAML first, such as port = 27017 as net: and below it port: 27017",
        ));
    }
    let editor = Editor::new(text).map_err(|error| document(&error.to_string()))?;
    match editor.value() {
        Value::Mapping(fields) if fields.contains_key("apiVersion") && fields.contains_key("kind") => {
            Err(document("is a manifest of Kubernetes; give a mongod.conf, or have tandem-vm inject change a VM"))
        }
        Value::Mapping(_) | Value::Null => Ok(editor),
        _ => Err(document("is no mapping; write sections such as net: and below them their settings")),
    }
}

/// The format of before MongoDB 2.6, which mongod still reads: nothing but `key = value`.
fn is_ini(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    let name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    lines.peek().is_some() && lines.all(|line| line.split_once('=').is_some_and(|(key, _)| name(key.trim_end())))
}

/// All settings of a file by their dotted names, as mongod sees them: `net.port: 1` in one key is the same to it as two keys
/// within each other.
#[derive(Default)]
struct Flat {
    settings: BTreeMap<String, Value>,
    /// Names that stand in one key with dots.
    dotted: Vec<String>,
    /// Values that mongod fetches when it starts (`__rest`, `__exec`).
    fetched: Vec<String>,
}

fn flat(value: &Value) -> Flat {
    let mut flat = Flat::default();
    if let Value::Mapping(mapping) = value {
        flat.add("", mapping);
    }
    flat
}

impl Flat {
    fn add(&mut self, path: &str, mapping: &Mapping) {
        if ["__rest", "__exec"].iter().any(|directive| mapping.contains_key(directive)) {
            self.fetched.push(path.to_owned());
            self.settings.insert(path.to_owned(), Value::Mapping(mapping.clone()));
            return;
        }
        for (key, value) in mapping {
            let key = key.as_str().unwrap_or_default();
            let name = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            if key.contains('.') {
                self.dotted.push(name.clone());
            }
            match value {
                Value::Mapping(inner) => self.add(&name, inner),
                // An empty section, or a setting without a value, says nothing.
                Value::Null => {}
                _ => {
                    self.settings.insert(name, value.clone());
                }
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.settings.contains_key(name)
    }

    /// A scalar as it is written: mongod itself decides what a text stands for.
    fn text(&self, name: &str) -> Option<String> {
        self.settings.get(name).and_then(scalar)
    }

    fn is_true(&self, name: &str) -> bool {
        // As yaml-cpp, with which mongod reads the file.
        let yes = ["true", "yes", "on", "y"];
        self.text(name).is_some_and(|text| yes.iter().any(|word| text.eq_ignore_ascii_case(word)))
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether two values are the same to mongod, which takes `27017` and `"27017"` alike.
fn same(old: &Value, new: &Value) -> bool {
    scalar(old).is_some() && scalar(old) == scalar(new)
}

/// Whether one of two names is the other, or contains it.
fn overlap(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        outer.is_empty() || inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
    };
    within(one, other) || within(other, one)
}

/// What of a file keeps a setting from being changed.
fn in_the_way(name: &str, before: &Flat) -> Vec<Problem> {
    let mut all = Vec::new();
    for dotted in before.dotted.iter().filter(|dotted| overlap(dotted, name)) {
        all.push(Problem::new(
            shown(dotted),
            "is written as one key with dots; write sections within each other, each on a line of its own",
        ));
    }
    for fetched in before.fetched.iter().filter(|fetched| overlap(fetched, name)) {
        let field = if fetched.is_empty() { "the document" } else { fetched };
        all.push(Problem::new(
            shown(field),
            "is fetched by mongod when it starts (__rest or __exec); change it where it comes from, or write it out here",
        ));
    }
    if name.starts_with("net.tls.") {
        all.extend(rules::old_names(before));
    }
    for (setting, other) in rules::EXCLUSIVE {
        // Of two that are turned on or off, the one that is off is in nobody's way.
        if name == setting && before.has(other) && before.text(other).as_deref() != Some("false") {
            all.push(Problem::new(other, format!("excludes {setting}; take it out first")));
        }
    }
    all
}

fn without_repetitions(problems: Vec<Problem>) -> Vec<Problem> {
    let mut all = Vec::new();
    for problem in problems {
        if !all.contains(&problem) {
            all.push(problem);
        }
    }
    all
}
