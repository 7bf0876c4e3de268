//! The settings and options of the guest's script `tandem-tls`, whom the files are given to, and what keeps them from being
//! put in place.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::script_tls::Guest;
use crate::secret::{SH, authority, secret, with_each_shell};
use crate::support::{output, said};

#[test]
fn settings_are_data_and_what_is_wrong_with_them_is_said() {
    with_each_shell(|shell| {
        let (guest, secret) = (Guest::new(shell), secret(&authority()));
        guest.lay_out(&secret, "..2026_01_01");
        let config = guest.root().join("etc/tandem/tls.conf");
        let good = fs::read_to_string(&config).unwrap();
        let ran = guest.folder.path().join("ran");
        let code = format!("RELOAD='$(touch {ran})`touch {ran}`'\n", ran = ran.display());
        for (line, expected) in [
            (&*code, "a setting that is not known or not possible"),
            (&*format!("touch {}\n", ran.display()), "a line that is not KEY='value': touch "),
            ("RELOAD=none\n", "a line that is not KEY='value'"),
            ("RELOAD='none' # comment\n", "a line that is not KEY='value'"),
            ("RELOAD='none'\r\n", "a line that is not KEY='value'"),
            ("ENDPOINT='a'b'\n", "a quote within a value"),
            ("PATH='/tmp'\n", "a setting that is not known"),
            ("FILE='leaf 0400 - /etc/ssl/x'\n", "'leaf' is not key, certificate, ca or combined"),
            ("FILE='key 400 - /etc/ssl/x'\n", "'400' is not an octal mode"),
            ("FILE='key 0400 - etc/ssl/x'\n", "'etc/ssl/x' is not the absolute path of a file"),
            ("FILE='key 0400 - /etc/ssl/x y'\n", "more words than"),
            ("FILE='key 0400 nobody-here /etc/ssl/x'\n", "etc/passwd has no nobody-here; install the service first"),
            ("FILE='key 0400 mongod:nobody-here /etc/ssl/x'\n", "etc/group"),
        ] {
            fs::write(&config, format!("{good}{line}")).unwrap();
            let done = guest.run();
            assert_eq!(done.status.code(), Some(1), "{line}: {}", said(&done));
            assert!(said(&done).contains(expected), "{line}: {}", said(&done));
            assert!(!ran.exists() && !guest.installed("mongodb.pem").exists(), "{line}");
        }
        let no_file: String =
            good.lines().filter(|line| !line.starts_with("FILE=")).map(|line| format!("{line}\n")).collect();
        fs::write(&config, no_file).unwrap();
        assert_eq!(said(&guest.run()), format!("tandem-tls: {} names no FILE\n", config.display()));
        fs::remove_file(&config).unwrap();
        assert_eq!(said(&guest.run()), format!("tandem-tls: {} cannot be read\n", config.display()));
        fs::write(&config, good.trim_end()).unwrap();
        guest.install(&secret);
    });
}

#[test]
fn an_owner_other_than_us_is_given_by_number() {
    let (guest, secret) = (Guest::new(SH), secret(&authority()));
    guest.lay_out(&secret, "..2026_01_01");
    fs::write(guest.root().join("etc/passwd"), "mongod:x:4242:4343::/:/bin/false\n").unwrap();
    let done = guest.run();
    if fs::metadata(guest.root()).unwrap().uid() == 0 {
        assert!(done.status.success(), "{}", said(&done));
        let found = fs::metadata(guest.installed("mongodb.pem")).unwrap();
        assert_eq!((found.uid(), found.gid(), found.permissions().mode() & 0o777), (4242, 4343, 0o400));
    } else {
        assert_eq!(done.status.code(), Some(1));
        assert!(said(&done).contains("run as root"), "{}", said(&done));
    }
}

#[test]
fn a_group_of_its_own_is_given_by_number() {
    let (guest, secret) = (Guest::new(SH), secret(&authority()));
    guest.lay_out(&secret, "..2026_01_01");
    let own = fs::metadata(guest.root()).unwrap();
    fs::write(guest.root().join("etc/group"), format!("root:x:0:\ntls:x:{}:mongod\n", own.gid())).unwrap();
    let users = fs::read_to_string(guest.root().join("etc/passwd")).unwrap();
    fs::write(guest.root().join("etc/passwd"), users.replace(&format!(":{}::", own.gid()), ":4711::")).unwrap();
    let config = guest.root().join("etc/tandem/tls.conf");
    let settings = fs::read_to_string(&config).unwrap().replace("combined 0400 mongod ", "combined 0440 mongod:tls ");
    fs::write(&config, settings).unwrap();
    guest.install(&secret);
    let found = fs::metadata(guest.installed("mongodb.pem")).unwrap();
    assert_eq!((found.gid(), found.permissions().mode() & 0o777), (own.gid(), 0o440));
}

#[test]
fn it_refuses_what_would_go_wrong_later() {
    let (guest, secret) = (Guest::new(SH), secret(&authority()));
    guest.lay_out(&secret, "..2026_01_01");
    let fails = |expected: &str| {
        let done = guest.run();
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
        assert!(said(&done).contains(expected), "{expected}: {}", said(&done));
    };
    let users = fs::read_to_string(guest.root().join("etc/passwd")).unwrap();
    fs::write(guest.root().join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
    fails("has no mongod");
    fs::remove_file(guest.root().join("etc/passwd")).unwrap();
    fails("etc/passwd cannot be read, so the ids of mongod are unknown");
    fs::write(guest.root().join("etc/passwd"), users).unwrap();
    fs::create_dir_all(guest.installed("mongodb.pem")).unwrap();
    fails("mongodb.pem is a folder");
    fs::remove_dir_all(guest.root().join("etc/ssl")).unwrap();
    let outside = guest.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, guest.root().join("etc/ssl")).unwrap();
    fails("lies outside");
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

/// The last of three files has no place to go to: none of them is replaced, and nothing is left beside them.
#[test]
fn what_cannot_be_put_in_place_is_named_and_nothing_is_replaced() {
    with_each_shell(|shell| {
        let (guest, authority) = (Guest::new(shell), authority());
        guest.lay_out(&secret(&authority), "..2026_01_01");
        assert!(guest.run().status.success());
        let before = guest.state();
        let config = guest.root().join("etc/tandem/tls.conf");
        let settings = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{settings}FILE='ca 0644 - /etc/passwd/ca.crt'\n")).unwrap();
        guest.lay_out(&secret(&authority), "..2026_02_01");
        let done = guest.run();
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
        assert!(said(&done).contains("/etc/passwd/ca.crt could not be replaced"), "{}", said(&done));
        assert_eq!(guest.state(), before);
    });
}

#[test]
fn a_missing_disk_or_folder_is_named() {
    let guest = Guest::new(SH);
    let folder = guest.folder.path().join("none");
    let done = output(guest.command().arg("--source").arg(&folder).arg("--root").arg(guest.root()));
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert_eq!(said(&done), format!("tandem-tls: {} is not a folder\n", folder.display()));
    let done = output(guest.command().args(["--wait", "0", "--root"]).arg(guest.root()));
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("no disk at /dev/disk/by-id/virtio-tls-"), "{}", said(&done));
}

#[test]
fn it_explains_itself() {
    let guest = Guest::new(SH);
    let help = output(guest.command().arg("--help"));
    assert!(help.status.success() && said(&help).contains("--source DIR"), "{}", said(&help));
    for (wrong, why) in [
        (&["--nonsense"][..], "unknown argument --nonsense"),
        (&["--source"], "--source needs a value"),
        (&["--wait", "soon"], "--wait takes whole seconds, not soon"),
        (&["--reload", "--root", "/tmp"], "--reload is for the running system, not for one beneath --root"),
    ] {
        let done = output(guest.command().args(wrong));
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        assert!(said(&done).starts_with(&format!("tandem-tls: {why}\nUsage: tandem-tls")), "{}", said(&done));
    }
}
