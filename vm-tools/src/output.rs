//! Objects → text, and text → files that are either whole or not there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Serialize;
use serde_yaml::Value;
use tandem_cli::files::{self, Wanted};
use tandem_cli::{json, stdio, yaml};

use crate::Manifest;
use crate::names::MANAGED_BY;
use crate::yaml_edit;

/// How objects are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A stream of YAML documents, each beginning with `---`.
    #[default]
    Yaml,
    /// A `v1` List, indented.
    Json,
}

/// Objects could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// An object cannot be written as YAML.
    #[error("an object as YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// An object cannot be written as JSON.
    #[error("an object as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Two objects of one kind and name, in different namespaces, would be one file.
    #[error("{0}: objects of two namespaces would be in this file; render each namespace into a folder of its own")]
    OneFile(String),
    /// Files cannot be written.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// What is in the folder already cannot be seen.
    #[error("{}: {source}; give a folder that can be read", path.display())]
    Look {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    api_version: &'a str,
    kind: &'a str,
    items: &'a [Manifest],
}

/// All objects in one text.
///
/// # Errors
/// [`OutputError::Yaml`] or [`OutputError::Json`].
pub fn stream(manifests: &[Manifest], format: Format) -> Result<String, OutputError> {
    match format {
        Format::Yaml => {
            manifests.iter().map(|manifest| Ok(format!("---\n{}", yaml_edit::to_string(manifest)?))).collect()
        }
        Format::Json => {
            let list = List { api_version: "v1", kind: "List", items: manifests };
            Ok(json::text(&list)?)
        }
    }
}

/// One file for each object, `RANK-KIND-NAME.yaml` (or `.json`). The folder is made if it is missing; other files in it
/// are left alone, and so are files that already have the right content. Secrets are written with mode 0600. All
/// contents are on disk under temporary names before the first file is renamed.
///
/// Returns the files of an earlier run that this one did not write, in the order of their names: each has such a name, and
/// in it stands the object that the name says, with our label.
///
/// # Errors
/// [`OutputError`]; files that were there are then as they were, unless it is a rename that failed.
pub fn write_dir(manifests: &[Manifest], format: Format, dir: &Path) -> Result<Vec<PathBuf>, OutputError> {
    let files = manifests.iter().map(|manifest| wanted(manifest, format)).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = files.iter().find(|file| !names.insert(&file.name)) {
        return Err(OutputError::OneFile(twice.name.clone()));
    }
    let left = earlier(dir, &names).map_err(|source| OutputError::Look { path: dir.to_owned(), source })?;
    files::write(dir, &files)?;
    Ok(left)
}

fn earlier(dir: &Path, written: &BTreeSet<&String>) -> io::Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let paths = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    let other = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| !written.contains(&name.to_owned()) && is_ours(path, name))
    };
    let mut left: Vec<_> = paths.into_iter().filter(other).collect();
    left.sort();
    Ok(left)
}

/// Most bytes of a file that is looked into: more than the API server takes of an object.
const MAX_OBJECT: usize = 4 * 1024 * 1024;

/// Whether a file is one that [`write_dir`] wrote; what cannot be read is not.
fn is_ours(path: &Path, name: &str) -> bool {
    let Some((rank, rest)) = name.split_once('-') else { return false };
    let Some((_, extension)) = rest.rsplit_once('.') else { return false };
    let numbered = rank.len() == 2 && rank.bytes().all(|byte| byte.is_ascii_digit());
    let plain = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    if !numbered || !plain || !["yaml", "json"].contains(&extension) {
        return false;
    }
    let Ok((_, Some(text))) = stdio::read(path, &mut io::empty(), MAX_OBJECT) else { return false };
    let Ok(object) = yaml::document(&text, 2 * MAX_OBJECT) else { return false };
    let metadata = |field: &str| object.get("metadata").and_then(|metadata| metadata.get(field));
    let label = metadata("labels").and_then(|labels| labels.get(MANAGED_BY.0)).and_then(Value::as_str);
    let kind = object.get("kind").and_then(Value::as_str);
    let named = kind.zip(metadata("name").and_then(Value::as_str));
    label == Some(MANAGED_BY.1) && named.is_some_and(|(kind, name)| of_object(kind, name, extension) == rest)
}

fn of_object(kind: &str, name: &str, extension: &str) -> String {
    format!("{}-{name}.{extension}", kind.to_lowercase())
}

fn wanted(manifest: &Manifest, format: Format) -> Result<Wanted, OutputError> {
    let (content, extension) = match format {
        Format::Yaml => (yaml_edit::to_string(manifest)?, "yaml"),
        Format::Json => (json::text(manifest)?, "json"),
    };
    let name = format!("{:02}-{}", manifest.rank(), of_object(manifest.kind(), manifest.name(), extension));
    let mode = if matches!(manifest, Manifest::Secret(_)) { 0o600 } else { 0o644 };
    Ok(Wanted { name, content, mode })
}
