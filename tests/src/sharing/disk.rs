//! The Secret's way onto the disk, as the kubelet and KubeVirt do it.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::tools;

/// Lays a Secret out as the kubelet mounts it: the files in a folder with a time for a name, `..data` pointing to that
/// folder, and each key a link through `..data`. So all keys change at once.
///
/// # Errors
/// Where the folder cannot be written.
pub fn lay_out(secret: &BTreeMap<String, Vec<u8>>, folder: &Path) -> Result<()> {
    const VERSION: &str = "..2026_01_01_00_00_00.123456789";
    fs::create_dir_all(folder.join(VERSION)).with_context(|| format!("{}", folder.display()))?;
    symlink(VERSION, folder.join("..data"))?;
    for (key, value) in secret {
        fs::write(folder.join(VERSION).join(key), value)?;
        symlink(Path::new("..data").join(key), folder.join(key))?;
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
