//! The guest's files beneath a folder: what cloud-init would write there, and the rendered script run on them.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::tools;

/// The script that the user data brings.
pub const SCRIPT: &str = "/usr/local/sbin/tandem-tls";

/// A guest's root folder. The host is never touched.
#[derive(Debug)]
pub struct Guest {
    root: PathBuf,
}

/// The one module of cloud-init that the proof needs.
#[derive(Deserialize)]
struct CloudConfig {
    write_files: Vec<WriteFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteFile {
    path: PathBuf,
    content: String,
    permissions: String,
}

impl Guest {
    /// Writes the files of the user data beneath `root`, and a user for the database.
    ///
    /// # Errors
    /// Where the user data is no cloud-config with `write_files`, or asks for something that is not known here.
    pub fn new(user_data: &str, root: &Path) -> Result<Self> {
        if !user_data.starts_with("#cloud-config\n") {
            bail!("the user data does not start with #cloud-config");
        }
        let config: CloudConfig = serde_yaml::from_str(user_data).context("the user data")?;
        for file in config.write_files {
            let path = beneath(root, &file.path)?;
            fs::create_dir_all(path.parent().context("a file without a folder")?)?;
            fs::write(&path, &file.content)?;
            let mode = u32::from_str_radix(&file.permissions, 8).with_context(|| file.permissions.clone())?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        // The package would make the user. Root can give files to anybody, others only to themselves.
        fs::create_dir_all(root.join("etc"))?;
        let owner = fs::metadata(root)?;
        let (uid, gid) = if owner.uid() == 0 { (990, 990) } else { (owner.uid(), owner.gid()) };
        let line = |name: &str| format!("{name}:x:{uid}:{gid}:database:/nonexistent:/bin/false\n");
        fs::write(root.join("etc/passwd"), line("mongod") + &line("mongodb"))?;
        Ok(Self { root: root.to_owned() })
    }

    /// Runs the rendered script on a disk's files, as the guest does at boot; returns what it says.
    ///
    /// # Errors
    /// What it said, where it failed.
    pub fn install_certificate(&self, disk: &Path) -> Result<String> {
        let mut command = Command::new("sh");
        command.arg(beneath(&self.root, Path::new(SCRIPT))?).arg("--source").arg(disk).arg("--root").arg(&self.root);
        Ok(tools::output(&mut command)?.trim().to_owned())
    }

    /// A file of the guest's, by its path in the guest.
    ///
    /// # Errors
    /// Where the path is not absolute.
    pub fn path(&self, path: &str) -> Result<PathBuf> {
        beneath(&self.root, Path::new(path))
    }
}

/// `root` and an absolute path that does not lead out of it.
fn beneath(root: &Path, path: &Path) -> Result<PathBuf> {
    let inside = path.strip_prefix("/").with_context(|| format!("{} is not absolute", path.display()))?;
    if inside.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        bail!("{} leads out of its folder", path.display());
    }
    Ok(root.join(inside))
}
