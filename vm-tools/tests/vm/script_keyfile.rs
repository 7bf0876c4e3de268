//! The guest's script `tandem-keyfile`, really run.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::script_disk::block_device;
use crate::support::{example, guest_files, output, program, render, said};

const KEY: &str = "dGhlIGtleSBvZiB0aGUgc2V0IG9mIHRlc3Rz";

struct Guest {
    folder: TempDir,
    owner: String,
}

impl Guest {
    fn new() -> Self {
        let rendered = render(&example("mongodb-replica-set/databasevm-keyfile.yaml"));
        let script = guest_files(&rendered.user_data).remove("/usr/local/sbin/tandem-keyfile").unwrap().content;
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("tandem-keyfile"), script).unwrap();
        // Whoever runs the tests owns the file; that user is there.
        let owner = said(&output(Command::new("id").arg("-un"))).trim().to_owned();
        let guest = Self { folder, owner };
        guest.configure("KEY='set.key'");
        guest
    }

    fn configure(&self, key: &str) {
        let (owner, target) = (&self.owner, self.target().display().to_string());
        let text = format!("# of a test\nDEVICE='/dev/none'\n{key}\nOWNER='{owner}'\nTARGET='{target}'\n");
        fs::write(self.folder.path().join("keyfile.conf"), text).unwrap();
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("etc/ssl/mongodb.keyfile")
    }

    /// Lays the Secret out as a disk of KubeVirt's has it, and runs the script on it.
    fn install(&self, content: &str) -> Output {
        let source = self.folder.path().join("secret");
        fs::create_dir_all(source.join("..data")).unwrap();
        fs::write(source.join("..data/set.key"), content).unwrap();
        fs::set_permissions(source.join("..data/set.key"), fs::Permissions::from_mode(0o644)).unwrap();
        if !source.join("set.key").is_symlink() {
            symlink("..data/set.key", source.join("set.key")).unwrap();
        }
        let path = |name: &str| self.folder.path().join(name);
        output(
            Command::new("sh")
                .arg(path("tandem-keyfile"))
                .arg("--config")
                .arg(path("keyfile.conf"))
                .arg("--source")
                .arg(source),
        )
    }
}

#[test]
fn the_key_becomes_a_file_that_mongod_alone_reads_and_twice_is_once() {
    let guest = Guest::new();
    let content = format!("{KEY}\n");
    let done = guest.install(&content);
    assert!(done.status.success() && said(&done).starts_with("tandem-keyfile: installed "), "{}", said(&done));
    let first = fs::metadata(guest.target()).unwrap();
    assert_eq!(first.permissions().mode() & 0o7777, 0o400);
    assert_eq!(fs::read_to_string(guest.target()).unwrap(), content);
    let again = guest.install(&content);
    assert!(said(&again).starts_with("tandem-keyfile: unchanged: "), "{}", said(&again));
    assert_eq!(fs::metadata(guest.target()).unwrap().ino(), first.ino());
    // A mode that mongod would refuse is mended.
    fs::set_permissions(guest.target(), fs::Permissions::from_mode(0o440)).unwrap();
    assert!(said(&guest.install(&content)).starts_with("tandem-keyfile: installed "));
    assert_eq!(fs::metadata(guest.target()).unwrap().permissions().mode() & 0o7777, 0o400);
    assert_eq!(fs::read_dir(guest.target().parent().unwrap()).unwrap().count(), 1, "something was left behind");
}

#[test]
fn both_keys_of_an_exchange_are_installed_as_they_are() {
    let guest = Guest::new();
    let content = format!("- {KEY}\n- {KEY}new\n");
    assert!(guest.install(&content).status.success());
    assert_eq!(fs::read_to_string(guest.target()).unwrap(), content);
}

#[test]
fn what_mongodb_would_not_take_leaves_the_file_in_place_and_no_key_in_the_journal() {
    let guest = Guest::new();
    assert!(guest.install(KEY).status.success());
    for (content, expected) in [
        (String::new(), "set.key is missing or empty on SOURCE"),
        (" \n\t\n".to_owned(), "set.key on SOURCE is missing or empty"),
        ("a b c\n".to_owned(), "set.key on SOURCE has 3 characters; MongoDB takes 6 to 1024"),
        ("x".repeat(1025), "set.key on SOURCE has 1025 characters; MongoDB takes 6 to 1024"),
        (format!("{KEY}!\n"), "set.key on SOURCE has characters that are not of the base64 set"),
    ] {
        let done = guest.install(&content);
        let expected = expected.replace("SOURCE", &guest.folder.path().join("secret").display().to_string());
        assert_eq!((done.status.code(), said(&done)), (Some(1), format!("tandem-keyfile: {expected}\n")));
        assert_eq!(fs::read_to_string(guest.target()).unwrap(), KEY);
        assert_eq!(fs::read_dir(guest.target().parent().unwrap()).unwrap().count(), 1, "something was left behind");
    }
    // The longest that MongoDB takes, however it is broken into lines.
    assert!(guest.install(&"xxxxxxxx\n".repeat(128)).status.success());
}

#[test]
fn settings_and_users_that_are_not_there_are_named() {
    let mut guest = Guest::new();
    guest.configure("KEYS='set.key'");
    let said_of = |guest: &Guest| said(&guest.install(KEY));
    assert!(said_of(&guest).ends_with("has a setting that is not known or not possible: KEYS='set.key'\n"));
    guest.owner = "nobody-of-this-name".to_owned();
    guest.configure("KEY='set.key'");
    let expected = "tandem-keyfile: there is no user nobody-of-this-name yet; install the database first\n";
    assert_eq!(said_of(&guest), expected);
    assert!(!guest.target().exists());
}

#[test]
fn a_target_that_is_a_folder_is_left_alone() {
    let guest = Guest::new();
    fs::create_dir_all(guest.target()).unwrap();
    let expected = format!("tandem-keyfile: {} is a folder; remove it\n", guest.target().display());
    let done = guest.install(KEY);
    assert_eq!((done.status.code(), said(&done)), (Some(1), expected));
}

/// What stands at the disk's place is a block device of this machine, and mount one that finds no ISO there.
#[test]
fn a_disk_that_is_missing_or_holds_something_else_is_named() {
    let guest = Guest::new();
    let path = |name: &str| guest.folder.path().join(name);
    program(&path("bin/udevadm"), "exit 0");
    program(&path("bin/mount"), "exit 32");
    let run = || {
        let mut command = Command::new("sh");
        command.env("PATH", format!("{}:{}", path("bin").display(), std::env::var("PATH").unwrap()));
        output(command.arg(path("tandem-keyfile")).arg("--config").arg(path("keyfile.conf")).args(["--wait", "0"]))
    };
    let done = run();
    let expected = "tandem-keyfile: no disk at /dev/none after 0 seconds; the VirtualMachine must have a disk with this \
                    serial on the virtio bus\n";
    assert_eq!((done.status.code(), said(&done).as_str()), (Some(1), expected));
    // The disk is mounted beneath /run, which is root's.
    let (Some(device), "root") = (block_device(), &*guest.owner) else { return };
    let settings = fs::read_to_string(path("keyfile.conf")).unwrap();
    fs::write(path("keyfile.conf"), settings.replace("/dev/none", &device.display().to_string())).unwrap();
    let done = run();
    let expected = format!("tandem-keyfile: {} does not mount as iso9660\n", device.display());
    assert_eq!((done.status.code(), said(&done)), (Some(1), expected));
}
