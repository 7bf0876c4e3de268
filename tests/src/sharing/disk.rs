//! The Secret's way onto the disk, as the kubelet and KubeVirt do it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::tools;

/// Lays a Secret out as the kubelet mounts it: the files in a folder with a time for a name, `..data` pointing to that
/// folder, and each key a link through `..data`. So all keys change at once: where an earlier state is there, a new folder
/// is made beside the old one, the link is renamed over the old link, and the old folder deleted.
///
/// # Errors
/// Where the folder cannot be written.
pub fn lay_out(secret: &BTreeMap<String, Vec<u8>>, folder: &Path) -> Result<()> {
    let data = folder.join("..data");
    let old = fs::read_link(&data).ok();
    let versions = (0..).map(|second| format!("..2026_01_01_00_00_{second:02}.123456789"));
    let version = versions.map(PathBuf::from).find(|version| Some(version) != old.as_ref()).context("no name")?;
    fs::create_dir_all(folder.join(&version)).with_context(|| format!("{}", folder.display()))?;
    for (key, value) in secret {
        fs::write(folder.join(&version).join(key), value)?;
    }
    symlink(&version, folder.join("..data_tmp"))?;
    fs::rename(folder.join("..data_tmp"), &data)?;
    for key in secret.keys().filter(|key| !folder.join(key).is_symlink()) {
        symlink(Path::new("..data").join(key), folder.join(key))?;
    }
    if let Some(old) = old {
        fs::remove_dir_all(folder.join(old))?;
    }
    Ok(())
}

/// Makes the ISO of a mounted Secret, with the options that KubeVirt uses (pkg/config, `defaultCreateIsoImage`).
///
/// # Errors
/// What xorrisofs said.
pub fn make_iso(mounted: &Path, iso: &Path) -> Result<()> {
    let mut command = Command::new("xorrisofs");
    command.arg("-output").arg(iso);
    command.args(["-follow-links", "-volid", "cfgdata", "-joliet", "-rock", "-graft-points"]);
    command.args(["-partition_cyl_align", "on"]).arg(mounted);
    tools::run(&mut command)
}

/// Unpacks an ISO; no mount, so no rights are needed.
///
/// # Errors
/// What xorriso said.
pub fn unpack(iso: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new("xorriso");
    command.args(["-osirrox", "on", "-indev"]).arg(iso).args(["-extract", "/"]).arg(folder);
    tools::run(&mut command)
}
