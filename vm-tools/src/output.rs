//! Objects → text, and text → files that are either whole or not there.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use tandem_cli::files::{self, Wanted};

use crate::Manifest;

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
            manifests.iter().map(|manifest| Ok(format!("---\n{}", serde_yaml::to_string(manifest)?))).collect()
        }
        Format::Json => {
            let list = List { api_version: "v1", kind: "List", items: manifests };
            Ok(serde_json::to_string_pretty(&list)? + "\n")
        }
    }
}

/// One file for each object, `RANK-KIND-NAME.yaml` (or `.json`). The folder is made if it is missing; other files in it
/// are left alone, and so are files that already have the right content. Secrets are written with mode 0600. All
/// contents are on disk under temporary names before the first file is renamed.
///
/// # Errors
/// [`OutputError`]; files that were there are then as they were, unless it is a rename that failed.
pub fn write_dir(manifests: &[Manifest], format: Format, dir: &Path) -> Result<(), OutputError> {
    let files = manifests.iter().map(|manifest| wanted(manifest, format)).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = files.iter().find(|file| !names.insert(&file.name)) {
        return Err(OutputError::OneFile(twice.name.clone()));
    }
    Ok(files::write(dir, &files)?)
}

fn wanted(manifest: &Manifest, format: Format) -> Result<Wanted, OutputError> {
    let (content, extension) = match format {
        Format::Yaml => (serde_yaml::to_string(manifest)?, "yaml"),
        Format::Json => (serde_json::to_string_pretty(manifest)? + "\n", "json"),
    };
    let name = format!("{:02}-{}-{}.{extension}", manifest.rank(), manifest.kind().to_lowercase(), manifest.name());
    let mode = if matches!(manifest, Manifest::Secret(_)) { 0o600 } else { 0o644 };
    Ok(Wanted { name, content, mode })
}
