//! The guest's script `tandem-tls` and a disk that comes late. What stands at the disk's place is a block device of this machine;
//! mount, which would have to be root and to find an ISO there, is played. Really mounted it is in the guests' tests.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::live::eventually;
use crate::secret::{authority, lay_out, secret};
use crate::support::{example, finish, program, render, said, skipped, start, tool, write_guest};

/// Any block device.
pub(crate) fn block_device() -> Option<PathBuf> {
    let is_block = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.file_type().is_block_device());
    let found = fs::read_dir("/dev").unwrap().map(|entry| entry.unwrap().path()).find(is_block);
    if found.is_none() {
        skipped("/dev has no block device");
    }
    found
}

#[test]
fn a_disk_that_comes_late_is_waited_for_and_one_with_a_longer_serial_is_not_it() {
    let Some(device) = block_device() else { return };
    let (folder, secret) = (TempDir::new().unwrap(), secret(&authority()));
    let at = |name: &str| folder.path().join(name);
    let root = at("root");
    write_guest(&render(&example("databasevm.yaml")).user_data, &root);
    let own = fs::metadata(&root).unwrap();
    fs::write(root.join("etc/passwd"), format!("mongod:x:{}:{}::/:/bin/false\n", own.uid(), own.gid())).unwrap();
    lay_out(&at("secret"), &secret, "..2026_01_01");

    // The disk's place, beneath the folder.
    fs::create_dir(at("by-id")).unwrap();
    let config = root.join("etc/tandem/tls.conf");
    let settings = fs::read_to_string(&config).unwrap();
    let settings = settings.replace("/dev/disk/by-id/", &format!("{}/", at("by-id").display()));
    let disk = settings.lines().find_map(|line| line.strip_prefix("DEVICE='")?.strip_suffix('\'')).unwrap().to_owned();
    assert!(Path::new(&disk).starts_with(at("by-id")), "{settings}");
    fs::write(&config, settings).unwrap();
    symlink(&device, format!("{disk}0")).unwrap();

    // Each look that found nothing is followed by a sleep.
    let (slept, mounted, source) = (at("slept"), at("mounted"), at("secret"));
    program(&at("bin/udevadm"), "exit 0");
    let sleep = tool("sleep").unwrap();
    program(&at("bin/sleep"), &format!("echo >>{}\nexec {} \"$@\"", slept.display(), sleep.display()));
    let copies = format!("for place; do :; done\ncp -a {}/. \"$place\"", source.display());
    program(&at("bin/mount"), &format!("echo \"$*\" >>{}\n{copies}", mounted.display()));
    program(&at("bin/umount"), "rm -r \"${1:?}\"/* \"$1\"/..*_* \"$1\"/..data");

    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg(root.join("usr/local/sbin/tandem-tls")).args(["--wait", "20", "--root"]).arg(&root);
    let mut script = start(command.env("PATH", path).stdin(Stdio::null()));
    eventually("it looks twice", || {
        assert!(script.child().try_wait().unwrap().is_none(), "it ended, and only {disk}0 was there");
        (fs::read(&slept).unwrap_or_default().len() >= 2).then_some(())
    });
    assert!(!mounted.exists(), "{}", fs::read_to_string(&mounted).unwrap());
    symlink(&device, &disk).unwrap();
    let done = finish(script);
    assert!(done.status.success(), "{}", said(&done));
    let asked = fs::read_to_string(&mounted).unwrap();
    assert!(asked.contains(&format!(" {disk} ")) && asked.lines().count() == 1, "{asked}");
    let pem = fs::read_to_string(root.join("etc/ssl/mongodb.pem")).unwrap();
    assert_eq!(pem, format!("{}{}", secret.key, secret.chain));
}
