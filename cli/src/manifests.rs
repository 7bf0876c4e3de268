//! Files, folders and standard input → documents, each with the place where it stands.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};

use serde_yaml::Value;

use crate::{problem::unreadable, stdio, yaml};

/// Most bytes of one file: what a thousand rendered virtual machines have, and a quarter more. What becomes of it in memory,
/// [`yaml`] bounds.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Where a document stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    file: String,
    /// Which of the file's documents, from 1.
    document: usize,
    /// Which entry of a List, from 1.
    item: Option<usize>,
}

impl Place {
    /// Name of the file, or `standard input`.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Which of the file's documents, from 1.
    #[must_use]
    pub fn document(&self) -> usize {
        self.document
    }

    /// Which entry of a List, from 1.
    #[must_use]
    pub fn item(&self) -> Option<usize> {
        self.item
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: document {}", self.file, self.document)?;
        self.item.map_or(Ok(()), |item| write!(f, ", item {item}"))
    }
}

/// One object as it was written, and where. It has no `Debug`: it may be a Secret.
pub struct Document {
    /// Where it stands.
    pub place: Place,
    /// The object.
    pub value: Value,
}

/// What [`read`] found.
pub struct Found {
    /// All documents, in their order.
    pub documents: Vec<Document>,
    /// The files of folders in which there is none, a line each.
    pub notes: Vec<String>,
}

/// Reads everything that `paths` name, `-` being `stdin`. Of a folder: its files that end in `.yaml`, `.yml` or `.json`, in the order of
/// their names, as kubectl does; those without a document are passed over. Lists are taken apart.
///
/// # Errors
/// A line for each file that cannot be read, for each without a document that is named itself, and where there is no document at all.
pub fn read(paths: &[PathBuf], stdin: &mut dyn Read) -> Result<Found, Vec<String>> {
    let (mut documents, mut empty, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    let nothing = |name: &str| format!("{name}: no document is in it; write Kubernetes manifests");
    for path in paths {
        let files = files(path).unwrap_or_else(|problem| {
            problems.push(problem);
            Vec::new()
        });
        for file in files {
            let before = documents.len();
            match read_file(&file, stdin, &mut documents) {
                Ok(_) if documents.len() > before => {}
                Ok(name) if file == *path => problems.push(nothing(&name)),
                Ok(name) => empty.push(name),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if documents.is_empty() && problems.is_empty() {
        problems.extend(empty.iter().map(|name| nothing(name)));
    }
    let notes = empty.iter().map(|name| format!("{name}: passed over: no document is in it")).collect();
    if problems.is_empty() { Ok(Found { documents, notes }) } else { Err(problems) }
}

/// The file itself, or those of the folder that [`read`] takes.
///
/// # Errors
/// In words, where a folder cannot be read or holds no manifest.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let manifest = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
    let entries = path.read_dir().and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| format!("{}: {error}; give a folder that can be read", path.display()))?;
    let paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    // A pipe would be waited for without end. A link that leads nowhere is kept, so that it is told of.
    let readable = |path: &PathBuf| path.metadata().map_or(true, |found| found.is_file());
    let mut files: Vec<_> = paths.iter().filter(|path| manifest(path) && readable(path)).cloned().collect();
    files.sort();
    if files.is_empty() {
        let remedy = match paths.iter().any(|path| path.is_dir()) {
            true => "name one of the folders in it, which are not looked into",
            false => "name another",
        };
        return Err(format!("{}: no .yaml, .yml or .json file is in this folder; {remedy}", path.display()));
    }
    Ok(files)
}

/// Adds the file's documents to the others; its name for messages.
fn read_file(path: &Path, stdin: &mut dyn Read, all: &mut Vec<Document>) -> Result<String, String> {
    let (name, text) = stdio::read(path, stdin, MAX_BYTES)?;
    let text = text.ok_or_else(|| format!("{name}: more than {MAX_BYTES} bytes; split it into several files"))?;
    // Aliases may make a document several times longer; without them a text stands for less than this.
    let budget = text.len().saturating_mul(8).clamp(128 * 1024, 2 * MAX_BYTES);
    for (index, value) in yaml::documents(&text, budget).enumerate() {
        let place = Place { file: name.clone(), document: index + 1, item: None };
        match value {
            Ok(Value::Null) => {}
            Ok(value) => take_apart(place, value, all)?,
            Err(error) => {
                return Err(format!(
                    "{place}: not readable as YAML or JSON: {}",
                    unreadable(&text, &error.to_string())
                ));
            }
        }
    }
    Ok(name)
}

/// The entries of a List, as `kubectl get --output yaml` prints, and of lists of one kind, such as a VirtualMachineList.
#[must_use]
pub fn items(value: &Value) -> Option<&Vec<Value>> {
    let kind = value.get("kind").and_then(Value::as_str)?;
    value.get("items").and_then(Value::as_sequence).filter(|_| kind.ends_with("List"))
}

/// A document, or the entries of one that is a list, and of lists within it, as kubectl takes them. A list within another counts as
/// the entry that it is of the outermost.
fn take_apart(place: Place, value: Value, all: &mut Vec<Document>) -> Result<(), String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let Some(items) = items(&value) else {
        if (text("apiVersion"), text("kind")) == (Some("v1"), Some("List")) {
            return Err(format!("{place}: is a List whose items are no list; begin each of them with -"));
        }
        all.push(Document { place, value });
        return Ok(());
    };
    for (index, item) in items.iter().enumerate() {
        let place = Place { item: place.item.or(Some(index + 1)), ..place.clone() };
        let mut item = item.clone();
        // The API server writes what the entries of a list are only once.
        if let (Some(fields), Some(kind)) =
            (item.as_mapping_mut(), text("kind").and_then(|kind| kind.strip_suffix("List")))
            && !kind.is_empty()
            && !fields.contains_key("kind")
            && !fields.contains_key("apiVersion")
        {
            fields.insert("kind".into(), kind.into());
            fields.insert("apiVersion".into(), value.get("apiVersion").cloned().unwrap_or_default());
        }
        take_apart(place, item, all)?;
    }
    Ok(())
}
