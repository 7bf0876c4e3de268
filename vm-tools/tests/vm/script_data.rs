//! The guest's script `tandem-data`, really run, on files in place of disks.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{example, output, program, render, said, tool, write_guest};

fn guest() -> TempDir {
    let guest = TempDir::new().unwrap();
    write_guest(&render(&example("databasevm.yaml")).user_data, guest.path());
    guest
}

/// Programs of `bin` beneath the guest's folder are found first.
fn run(guest: &Path, args: &[&str]) -> Output {
    let path = format!("{}:{}:/usr/sbin:/sbin", guest.join("bin").display(), std::env::var("PATH").unwrap());
    output(
        Command::new("sh")
            .env("PATH", path)
            .arg(guest.join("usr/local/sbin/tandem-data"))
            .arg("--config")
            .arg(guest.join("etc/tandem/data.conf"))
            .args(args),
    )
}

/// An empty disk, larger than the smallest that xfs takes.
fn disk(guest: &Path) -> (PathBuf, String) {
    let path = guest.join("disk");
    File::create(&path).unwrap().set_len(512 * 1024 * 1024).unwrap();
    (path.clone(), path.to_str().unwrap().to_owned())
}

fn start(path: &Path) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    File::open(path).unwrap().take(1024 * 1024).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn an_empty_disk_is_formatted_once() {
    let (Some(_), Some(_)) = (tool("mkfs.xfs"), tool("blkid")) else { return };
    let guest = guest();
    let (path, name) = disk(guest.path());
    let done = run(guest.path(), &["format", &name]);
    assert!(done.status.success() && said(&done).contains("making xfs"), "{}", said(&done));
    assert!(start(&path).starts_with(b"XFSB"));
    let before = start(&path);
    let done = run(guest.path(), &["format", &name]);
    assert!(done.status.success() && said(&done).contains("has its filesystem already"), "{}", said(&done));
    assert!(start(&path) == before, "the filesystem was made anew");
}

#[test]
fn a_disk_with_anything_on_it_is_left_alone() {
    let (Some(_), Some(mkswap)) = (tool("blkid"), tool("mkswap")) else { return };
    let guest = guest();
    let (path, name) = disk(guest.path());
    assert!(output(Command::new(mkswap).arg(&path)).status.success());
    let before = start(&path);
    let done = run(guest.path(), &["format", &name]);
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("holds 'swap', not xfs; it is left alone"), "{}", said(&done));
    assert!(start(&path) == before);
}

#[test]
fn a_disk_that_cannot_be_read_does_not_count_as_empty() {
    let guest = guest();
    let done = run(guest.path(), &["format", guest.path().join("none").to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("cannot be read"), "{}", said(&done));
    // Nor where blkid cannot tell: this one ends as the real one does when it is ambivalent.
    let (path, name) = disk(guest.path());
    let before = start(&path);
    program(&guest.path().join("bin/blkid"), "exit 8");
    let done = run(guest.path(), &["format", &name]);
    let expected = format!("tandem-data: blkid ended with status 8 on {name}; it is left alone\n");
    assert_eq!((done.status.code(), said(&done)), (Some(1), expected));
    assert!(start(&path) == before);
}

#[test]
fn the_folder_is_given_to_the_user_only_if_it_is_not_theirs() {
    let guest = guest();
    let data = guest.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "").unwrap();
    let outside = guest.path().join("outside");
    fs::write(&outside, "").unwrap();
    symlink(&outside, data.join("link")).unwrap();
    let own = |user: &str| run(guest.path(), &["own", data.to_str().unwrap(), user]);
    let me = said(&output(Command::new("id").arg("-un")));
    let done = own(me.trim());
    assert_eq!((done.status.code(), said(&done).as_str()), (Some(0), ""));
    if me.trim() == "root" {
        let done = own("daemon");
        let id = |option: &str| said(&output(Command::new("id").args([option, "daemon"]))).trim().to_owned();
        let expected = format!("tandem-data: giving {} to daemon ({}:{})\n", data.display(), id("-u"), id("-g"));
        assert_eq!((done.status.code(), said(&done)), (Some(0), expected));
        let uid: u32 = id("-u").parse().unwrap();
        for path in [data.clone(), data.join("file"), data.join("link")] {
            assert_eq!(fs::symlink_metadata(path).unwrap().uid(), uid);
        }
        assert_eq!(fs::metadata(outside).unwrap().uid(), 0, "a link was followed");
    }
    let done = own("no-such-user-here");
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("there is no user"), "{}", said(&done));
}

/// `restorecon` stands in for SELinux's, which is real in PostgreSQL's guest. A new filesystem has no label, also where it is
/// root's and the database is, too.
#[test]
fn the_folder_gets_its_label_whoever_owns_it() {
    let guest = guest();
    let data = guest.path().join("data").display().to_string();
    fs::create_dir(&data).unwrap();
    let (labels, fails) = (guest.path().join("labels"), guest.path().join("fails"));
    let text = format!("echo \"$*\" >>{}; [ ! -e {} ]", labels.display(), fails.display());
    program(&guest.path().join("bin/restorecon"), &text);
    let me = said(&output(Command::new("id").arg("-un"))).trim().to_owned();
    let done = run(guest.path(), &["own", &data, &me]);
    assert_eq!((done.status.code(), said(&done).as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(&labels).unwrap(), format!("{data}\n"));
    fs::write(fails, "").unwrap();
    let other = if me == "root" { "daemon" } else { &me };
    let done = run(guest.path(), &["own", &data, other]);
    let expected = format!("restorecon failed; SELinux may keep the database from writing to {data}\n");
    assert!(done.status.success() && said(&done).contains(&expected), "{}", said(&done));
    let option = if me == "root" { "-R " } else { "" };
    assert_eq!(fs::read_to_string(&labels).unwrap(), format!("{data}\n{option}{data}\n"));
}

#[test]
fn it_explains_itself() {
    let guest = guest();
    assert!(said(&run(guest.path(), &["--help"])).contains("Usage: tandem-data"));
    for (arguments, why) in [(&[][..], "''"), (&["mend"], "'mend'")] {
        let done = run(guest.path(), arguments);
        assert_eq!(done.status.code(), Some(2));
        let expected = format!("tandem-data: format or own is needed, not {why}\nUsage: tandem-data");
        assert!(said(&done).starts_with(&expected), "{}", said(&done));
    }
}
