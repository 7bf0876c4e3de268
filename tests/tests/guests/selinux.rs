//! SELinux with Debian's policy, in one guest: what the guest's scripts have put there has the label that the policy has for
//! its path. It is permissive: denials are logged, and refuse nothing.

use anyhow::{Context, Result, ensure};
use tandem_tests::guests::Machine;

/// The label of each path, which must be the policy's.
fn labels(machine: &mut Machine, paths: &str) -> Result<Vec<String>> {
    let found = machine.shell(&format!("stat --format '%n %C' {paths}"))?;
    let expected = machine.shell(&format!("matchpathcon {paths}"))?.replace('\t', " ");
    ensure!(found == expected, "labels:\n{found}\nThe policy has:\n{expected}");
    Ok(found.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect())
}

/// The certificate's files and the data have their labels. Somebody has to have given them: the image has a rule of its own
/// for the key, which would else have its folder's label, and a new filesystem has none.
pub(crate) fn assert_labelled(machine: &mut Machine, folder: &str, data: &str) -> Result<()> {
    machine.shell("test -e /sys/fs/selinux/enforce").context("SELinux is not switched on")?;
    let mode = machine.shell("getenforce")?;
    ensure!(mode == "Permissive", "SELinux is {mode}");
    let found = labels(machine, &format!("{folder} {folder}/tls.key {folder}/tls.crt {folder}/ca.crt {data}"))?;
    ensure!(found.first() != found.get(1), "the key's label is no other than its folder's: {found:?}");
    Ok(())
}

/// Folders that are made for a file get their labels as well: where the RHEL family keeps its keys, and Debian has nothing.
pub(crate) fn assert_new_folders_are_labelled(machine: &mut Machine, source: &str) -> Result<()> {
    const FOLDER: &str = "/etc/pki/tls/private";
    machine
        .shell(&format!("test ! -e /etc/pki && echo \"FILE='key 0400 - {FOLDER}/app.key'\" >/run/app.conf"))
        .context("/etc/pki")?;
    machine.shell(&format!(
        "RUNTIME_DIRECTORY=/run/app /usr/local/sbin/tandem-tls --config /run/app.conf --source {source}"
    ))?;
    let found = labels(machine, &format!("/etc /etc/pki {FOLDER} {FOLDER}/app.key"))?;
    ensure!(found[0] != found[1] && found[1] != found[2], "the policy has no labels of their own for them: {found:?}");
    Ok(())
}
