//! Files that are either whole or not there.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// A file to write.
#[derive(Clone)]
pub struct Wanted {
    /// Its name in the folder.
    pub name: String,
    /// Its content.
    pub content: String,
    /// Its permissions, such as `0o600`.
    pub mode: u32,
}

/// Files could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The output folder is something else.
    #[error("{}: is not a folder; give a folder", .0.display())]
    NotAFolder(PathBuf),
    /// What is in a file's place is something else.
    #[error("{}: is neither a file nor a link to one, and is left alone; name a file, or move it away", .0.display())]
    NotAFile(PathBuf),
    /// Somebody else has written a file since it was read.
    #[error("{}: was changed while this ran; nothing is changed here; run it again", .0.display())]
    Changed(PathBuf),
    /// A file that is there cannot be replaced.
    #[error("{}: {source}; nothing is changed; run this as the file's owner, who may write to its folder", path.display())]
    Replace {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("{}: {source}; give a folder that can be written", path.display())]
    Write {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes all files into `dir`, which is made if it is missing. Other files in it are left alone, and so are files that
/// already have the right content. All contents are on disk under temporary names before the first file is renamed.
///
/// # Errors
/// [`Error`]; files that were there are then as they were, unless it is a rename that failed.
pub fn write(dir: &Path, files: &[Wanted]) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    if dir.exists() && !dir.is_dir() {
        return Err(Error::NotAFolder(dir.to_owned()));
    }
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let mut staged = Vec::new();
    for file in files {
        let path = dir.join(&file.name);
        if path.is_dir() {
            return Err(failed(&path)(io::ErrorKind::IsADirectory.into()));
        }
        if special(&path) {
            return Err(Error::NotAFile(path));
        }
        if unchanged(&path, file) {
            continue;
        }
        // Made with mode 0600, and never wider than wanted at any time.
        let mut temporary = temporary_in(dir).map_err(failed(dir))?;
        temporary.as_file_mut().write_all(file.content.as_bytes()).map_err(failed(&path))?;
        temporary.as_file().set_permissions(Permissions::from_mode(file.mode)).map_err(failed(&path))?;
        temporary.as_file().sync_all().map_err(failed(&path))?;
        staged.push((temporary, path));
    }
    for (temporary, path) in staged {
        temporary.persist(&path).map_err(|error| failed(&path)(error.error))?;
    }
    Ok(())
}

/// Writes one file, whole under its name or not at all, and with no more permissions than `mode` at any time.
///
/// # Errors
/// What the system said; [`io::ErrorKind::AlreadyExists`] where something has that name and is not to be replaced.
pub fn write_one(path: &Path, content: &[u8], mode: u32, replace: bool) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if replace && special(path) {
        return Err(io::Error::other("is neither a file nor a link to one, and is left alone"));
    }
    let mut temporary = temporary_in(folder)?;
    temporary.as_file_mut().write_all(content)?;
    temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    let done = if replace { temporary.persist(path) } else { temporary.persist_noclobber(path) };
    done.map(drop).map_err(|error| error.error)
}

/// A file that is there, and what it is to hold.
#[derive(Clone, Copy)]
pub struct Replacement<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// What was read there.
    pub before: &'a str,
    /// What is to be there.
    pub after: &'a str,
}

/// Puts other contents in place of those of files that are there: of all, or of none. Mode and owner stay; of a link, what it
/// leads to is replaced.
///
/// # Errors
/// [`Error::NotAFile`], [`Error::Changed`], so that of two who change a file neither undoes what the other did, and
/// [`Error::Replace`], also where the owner is another and cannot be given back. All files are then as they were, unless it is a
/// rename that failed.
pub fn replace(files: &[Replacement<'_>]) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Replace { path, source }
    };
    if let Some(file) = files.iter().find(|file| fs::metadata(file.path).is_ok_and(|found| !found.is_file())) {
        return Err(Error::NotAFile(file.path.to_owned()));
    }
    let staged = files.iter().map(|file| stage(file.path, file.after.as_bytes()).map_err(failed(file.path)));
    let staged = staged.collect::<Result<Vec<_>, _>>()?;
    for file in files {
        if fs::read(file.path).map_err(failed(file.path))? != file.before.as_bytes() {
            return Err(Error::Changed(file.path.to_owned()));
        }
    }
    for (temporary, path) in staged {
        temporary.persist(&path).map_err(|error| failed(&path)(error.error))?;
    }
    Ok(())
}

/// A new file with mode 0600 and a name that nobody needs to know: opened here, since tempfile's own errors tell it.
fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    Builder::new()
        .make_in(folder, |path| File::options().read(true).write(true).create_new(true).mode(0o600).open(path))
}

/// Whether something is there that is no plain file, nor a link: a folder, a pipe, a device.
fn special(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_file() && !found.is_symlink())
}

/// The new content beside the old, with the same rights, and the place where it is to be.
fn stage(path: &Path, content: &[u8]) -> io::Result<(NamedTempFile, PathBuf)> {
    let path = fs::canonicalize(path)?;
    let found = fs::metadata(&path)?;
    let mut temporary = temporary_in(path.parent().unwrap_or(Path::new("/")))?;
    temporary.as_file_mut().write_all(content)?;
    let file = temporary.as_file();
    // The owner first: a change of it takes rights away.
    fchown(file, Some(found.uid()), Some(found.gid()))?;
    file.set_permissions(found.permissions())?;
    file.sync_all()?;
    Ok((temporary, path))
}

/// A file that cannot be read counts as changed: replacing it needs no right to read it.
fn unchanged(path: &Path, file: &Wanted) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    let narrow_enough = found.permissions().mode() & 0o777 & !file.mode == 0;
    found.is_file() && narrow_enough && fs::read(path).is_ok_and(|content| content == file.content.as_bytes())
}
