//! Objects → text, and text → files that are either whole or not there.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

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
    /// The output folder is something else.
    #[error("{}: is not a folder; give --output-dir a folder", .0.display())]
    NotAFolder(PathBuf),
    /// A file or folder cannot be written.
    #[error("{}: {source}; give --output-dir a folder that can be written", path.display())]
    Write {
        /// File or folder.
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
            manifests.iter().map(|manifest| Ok(format!("---\n{}", serde_yaml::to_string(manifest)?))).collect()
        }
        Format::Json => {
            let list = List { api_version: "v1", kind: "List", items: manifests };
            Ok(serde_json::to_string_pretty(&list)? + "\n")
        }
    }
}

/// A file to write.
struct Wanted {
    path: PathBuf,
    content: String,
    mode: u32,
}

/// One file for each object, `RANK-KIND-NAME.yaml` (or `.json`). The folder is made if it is missing; other files in it
/// are left alone, and so are files that already have the right content. Secrets are written with mode 0600. All
/// contents are on disk under temporary names before the first file is renamed.
///
/// # Errors
/// [`OutputError`]; files that were there are then as they were, unless it is a rename that failed.
pub fn write_dir(manifests: &[Manifest], format: Format, dir: &Path) -> Result<(), OutputError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OutputError::Write { path, source }
    };
    let files = manifests.iter().map(|manifest| wanted(manifest, format, dir)).collect::<Result<Vec<_>, _>>()?;
    if dir.exists() && !dir.is_dir() {
        return Err(OutputError::NotAFolder(dir.to_owned()));
    }
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let mut staged = Vec::new();
    for file in &files {
        if file.path.is_dir() {
            return Err(failed(&file.path)(io::ErrorKind::IsADirectory.into()));
        }
        if unchanged(file) {
            continue;
        }
        let mut temporary = NamedTempFile::new_in(dir).map_err(failed(dir))?;
        temporary.write_all(file.content.as_bytes()).map_err(failed(&file.path))?;
        temporary.as_file().set_permissions(Permissions::from_mode(file.mode)).map_err(failed(&file.path))?;
        temporary.as_file().sync_all().map_err(failed(&file.path))?;
        staged.push((temporary, &file.path));
    }
    for (temporary, path) in staged {
        temporary.persist(path).map_err(|error| failed(path)(error.error))?;
    }
    Ok(())
}

fn wanted(manifest: &Manifest, format: Format, dir: &Path) -> Result<Wanted, OutputError> {
    let (content, extension) = match format {
        Format::Yaml => (serde_yaml::to_string(manifest)?, "yaml"),
        Format::Json => (serde_json::to_string_pretty(manifest)? + "\n", "json"),
    };
    let name = format!("{:02}-{}-{}.{extension}", manifest.rank(), manifest.kind().to_lowercase(), manifest.name());
    let mode = if matches!(manifest, Manifest::Secret(_)) { 0o600 } else { 0o644 };
    Ok(Wanted { path: dir.join(name), content, mode })
}

/// A file that cannot be read counts as changed: replacing it needs no right to read it.
fn unchanged(file: &Wanted) -> bool {
    let Ok(found) = fs::symlink_metadata(&file.path) else { return false };
    let narrow_enough = found.permissions().mode() & 0o777 & !file.mode == 0;
    found.is_file() && narrow_enough && fs::read(&file.path).is_ok_and(|content| content == file.content.as_bytes())
}
