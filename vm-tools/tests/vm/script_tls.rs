//! The guest's script `tandem-tls`, really run, on a Secret laid out as a volume or disk has it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcgen::{CertifiedIssuer, KeyPair};
use tempfile::TempDir;

use crate::secret::{SH, Secret, Shell, authority, lay_out, secret, secret_with, tells_no_secret, with_each_shell};
use crate::support::{example, output, render, said, tool, write_guest};

/// A guest in a folder, and a Secret beside it.
struct Guest {
    folder: TempDir,
    shell: Shell,
}

impl Guest {
    fn new(shell: Shell) -> Self {
        let guest = Self { folder: TempDir::new().unwrap(), shell };
        write_guest(&render(&example("databasevm.yaml")).user_data, &guest.root());
        let own = fs::metadata(guest.root()).unwrap();
        let users = format!("root:x:0:0::/:/bin/sh\nmongod:x:{}:{}::/:/bin/false\n", own.uid(), own.gid());
        fs::write(guest.root().join("etc/passwd"), users).unwrap();
        guest
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    fn installed(&self, name: &str) -> PathBuf {
        self.root().join("etc/ssl").join(name)
    }

    fn lay_out(&self, secret: &Secret, date: &str) {
        lay_out(&self.source(), secret, date);
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).arg(self.root().join("usr/local/sbin/tandem-tls"));
        command
    }

    fn run(&self) -> Output {
        output(self.command().args(["--wait", "0", "--source"]).arg(self.source()).arg("--root").arg(self.root()))
    }

    /// Runs and expects success; no key material may be in what it says.
    fn install(&self, secret: &Secret) -> String {
        let done = self.run();
        assert!(done.status.success(), "{}", said(&done));
        tells_no_secret(&done, secret);
        said(&done)
    }

    /// Paths, contents, modes and inodes of what is installed.
    fn state(&self) -> Vec<(PathBuf, String, u32, u64)> {
        let mut state: Vec<_> = fs::read_dir(self.root().join("etc/ssl"))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let found = fs::metadata(&path).unwrap();
                (path.clone(), fs::read_to_string(&path).unwrap(), found.permissions().mode() & 0o7777, found.ino())
            })
            .collect();
        state.sort();
        state
    }
}

#[test]
fn it_installs_key_chain_and_authority() {
    with_each_shell(|shell| {
        let (guest, secret) = (Guest::new(shell), secret(&authority()));
        guest.lay_out(&secret, "..2026_01_01");
        let said = guest.install(&secret);
        let expected = [
            (guest.installed("ca.crt"), secret.ca.clone(), 0o644),
            (guest.installed("mongodb.pem"), format!("{}{}", secret.key, secret.chain), 0o400),
        ];
        let state: Vec<_> = guest.state().into_iter().map(|(path, content, mode, _)| (path, content, mode)).collect();
        assert_eq!(state, expected);
        assert!(said.contains("installed ") && said.contains("notAfter="), "{said}");
        assert_eq!(fs::metadata(guest.root().join("etc/ssl")).unwrap().permissions().mode() & 0o777, 0o755);
    });
}

#[test]
fn twice_is_once() {
    with_each_shell(|shell| {
        let (guest, secret) = (Guest::new(shell), secret(&authority()));
        guest.lay_out(&secret, "..2026_01_01");
        guest.install(&secret);
        let before = guest.state();
        assert!(guest.install(&secret).contains("unchanged"));
        assert_eq!(guest.state(), before);
    });
}

#[test]
fn a_renewed_secret_replaces_both_files_and_repairs_a_mode() {
    let (guest, authority) = (Guest::new(SH), authority());
    let (old, new) = (secret(&authority), secret(&authority));
    guest.lay_out(&old, "..2026_01_01");
    guest.install(&old);
    guest.lay_out(&new, "..2026_02_01");
    assert!(guest.install(&new).contains("installed "));
    let pem = guest.installed("mongodb.pem");
    assert_eq!(fs::read_to_string(&pem).unwrap(), format!("{}{}", new.key, new.chain));
    fs::set_permissions(&pem, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(guest.install(&new).contains("installed "));
    assert_eq!(fs::metadata(&pem).unwrap().permissions().mode() & 0o777, 0o400);
}

#[test]
fn a_missing_end_of_line_does_not_join_two_blocks() {
    let (guest, mut secret) = (Guest::new(SH), secret(&authority()));
    secret.key = secret.key.trim_end().to_owned();
    guest.lay_out(&secret, "..2026_01_01");
    guest.install(&secret);
    let pem = fs::read_to_string(guest.installed("mongodb.pem")).unwrap();
    assert_eq!(pem, format!("{}\n{}", secret.key, secret.chain));
}

/// Faulty Secrets, and what the script must say. `true`: only openssl can tell.
fn faulty(good: &Secret, authority: &CertifiedIssuer<'_, KeyPair>) -> Vec<(Secret, &'static str, bool)> {
    let other = secret(authority);
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    let with = |change: &dyn Fn(&mut Secret)| {
        let mut secret = good.clone();
        change(&mut secret);
        secret
    };
    vec![
        (with(&|s| s.key.clear()), "tls.key is missing or empty", false),
        (with(&|s| s.chain.clear()), "tls.crt is missing or empty", false),
        (with(&|s| s.ca.clear()), "ca.crt is missing or empty", false),
        (with(&|s| s.key = cut(&s.key)), "tls.key holds no whole PEM private key", false),
        (with(&|s| s.chain = cut(&s.chain)), "tls.crt holds no whole PEM certificate", false),
        (with(&|s| s.ca = cut(&s.ca)), "ca.crt holds no whole PEM certificate", false),
        (with(&|s| std::mem::swap(&mut s.key, &mut s.chain)), "tls.key holds no whole PEM private key", false),
        (with(&|s| s.key.clone_from(&other.key)), "tls.key is not the key of tls.crt", true),
        (with(&|s| s.ca = self::authority().pem()), "tls.crt does not verify against ca.crt", true),
        (
            secret_with(authority, |it| it.not_after = rcgen::date_time_ymd(2001, 12, 31)),
            "certificate has expired",
            true,
        ),
        (
            secret_with(authority, |it| it.not_before = rcgen::date_time_ymd(2990, 1, 1)),
            "this guest's clock is behind the certificate: tls.crt is valid from Jan  1 00:00:00 2990 GMT",
            true,
        ),
        (
            secret_with(authority, |it| it.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth]),
            "certificate purpose",
            true,
        ),
        (with(&|s| s.key = s.key.replacen("MI", "AA", 1)), "tls.key is not a private key", true),
        (with(&|s| s.chain = s.chain.replacen("MI", "AA", 1)), "tls.crt is not a certificate", true),
    ]
}

#[test]
fn a_faulty_secret_leaves_the_files_in_place() {
    let openssl = tool("openssl").is_some();
    with_each_shell(|shell| {
        let (guest, authority) = (Guest::new(shell), authority());
        let good = secret(&authority);
        guest.lay_out(&good, "..good");
        guest.install(&good);
        let before = guest.state();
        for (i, (bad, expected, needs_openssl)) in faulty(&good, &authority).into_iter().enumerate() {
            if needs_openssl && !openssl {
                continue;
            }
            guest.lay_out(&bad, &format!("..bad_{i}"));
            let done = guest.run();
            assert_eq!(done.status.code(), Some(1), "{expected}: {}", said(&done));
            assert!(said(&done).contains(expected), "{expected}: {}", said(&done));
            tells_no_secret(&done, &bad);
            assert_eq!(guest.state(), before, "{expected}");
        }
        fs::remove_file(guest.source().join("..data/tls.crt")).unwrap();
        let done = guest.run();
        assert_eq!((done.status.code(), guest.state()), (Some(1), before), "{}", said(&done));
    });
}

/// A PATH with links to all programs but openssl.
fn path_without_openssl(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let programs = "cat chmod chown flock id install mkdir mktemp mv rm rmdir sha256sum sleep stat sync tail";
    for name in programs.split(' ') {
        symlink(tool(name).unwrap(), folder.join(name)).unwrap();
    }
}

#[test]
fn without_openssl_it_says_so_and_needs_nothing_but_coreutils_and_util_linux() {
    let (guest, secret) = (Guest::new(&["/bin/sh"]), secret(&authority()));
    guest.lay_out(&secret, "..2026_01_01");
    let programs = guest.folder.path().join("bin");
    path_without_openssl(&programs);
    let mut command = guest.command();
    command.env("PATH", &programs).arg("--source").arg(guest.source()).arg("--root").arg(guest.root());
    let done = output(&mut command);
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("openssl is not installed"), "{}", said(&done));
    assert!(guest.installed("mongodb.pem").is_file());
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

#[test]
fn a_missing_disk_is_named() {
    let guest = Guest::new(SH);
    let done = output(guest.command().args(["--wait", "0", "--root"]).arg(guest.root()));
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("no disk at /dev/disk/by-id/virtio-tls-"), "{}", said(&done));
}

#[test]
fn it_explains_itself() {
    let guest = Guest::new(SH);
    let help = output(guest.command().arg("--help"));
    assert!(help.status.success() && said(&help).contains("--source DIR"), "{}", said(&help));
    for wrong in [&["--nonsense"][..], &["--source"], &["--wait", "soon"], &["--reload", "--root", "/tmp"]] {
        let done = output(guest.command().args(wrong));
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        assert!(said(&done).contains("Usage: tandem-tls"), "{}", said(&done));
    }
}

/// A `cat` that switches the volume to another generation while the first file is read, and removes the old one.
#[test]
fn a_volume_that_switches_while_it_is_read_gives_one_generation() {
    let (guest, authority) = (Guest::new(SH), authority());
    let (old, new) = (secret(&authority), secret(&authority));
    let volume = guest.source();
    let programs = guest.folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    let cat = format!(
        "#!/bin/sh\n{cat} \"$@\" || exit\n[ -e {volume}/..new ] || exit 0\nmv -T {volume}/..new {volume}/..2026_02_01\n\
         ln -s ..2026_02_01 {volume}/..data_tmp && mv -T {volume}/..data_tmp {volume}/..data\nrm -r {volume}/..2026_01_01\n",
        cat = tool("cat").unwrap().display(),
        volume = volume.display(),
    );
    fs::write(programs.join("cat"), cat).unwrap();
    fs::set_permissions(programs.join("cat"), fs::Permissions::from_mode(0o755)).unwrap();
    guest.lay_out(&new, "..2026_01_01");
    fs::rename(volume.join("..2026_01_01"), volume.join("..new")).unwrap();
    fs::remove_file(volume.join("..data")).unwrap();
    guest.lay_out(&old, "..2026_01_01");
    let mut path = programs.clone().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut command = guest.command();
    command.env("PATH", path).arg("--source").arg(&volume).arg("--root").arg(guest.root());
    let done = output(&mut command);
    assert!(done.status.success(), "{}", said(&done));
    assert!(!volume.join("..new").exists(), "the volume was never switched");
    let pem = fs::read_to_string(guest.installed("mongodb.pem")).unwrap();
    assert_eq!(pem, format!("{}{}", new.key, new.chain));
}

#[test]
fn a_clock_that_reaches_the_certificate_while_the_guest_boots_is_waited_for() {
    if tool("openssl").is_none() {
        return;
    }
    let guest = Guest::new(SH);
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
    guest.lay_out(&secret_with(&authority(), |it| it.not_before = soon.into()), "..2026_01_01");
    let mut command = guest.command();
    command.args(["--wait", "60", "--source"]).arg(guest.source()).arg("--root").arg(guest.root());
    let done = output(&mut command);
    assert!(done.status.success(), "{}", said(&done));
    assert!(std::time::SystemTime::now() >= soon - std::time::Duration::from_secs(1));
}

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
        fs::write(&config, good.trim_end()).unwrap();
        guest.install(&secret);
    });
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
