//! The guest's script `tandem-tls`, really run, on a Secret laid out as a volume or disk has it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcgen::{CertifiedIssuer, KeyPair};
use tempfile::TempDir;

use crate::secret::{SH, Secret, Shell, authority, lay_out, secret, secret_with, tells_no_secret, with_each_shell};
use crate::support::{example, output, output_of, program, render, said, tool, write_guest};

/// A guest in a folder, and a Secret beside it.
pub(crate) struct Guest {
    pub(crate) folder: TempDir,
    shell: Shell,
}

impl Guest {
    pub(crate) fn new(shell: Shell) -> Self {
        let guest = Self { folder: TempDir::new().unwrap(), shell };
        write_guest(&render(&example("databasevm.yaml")).user_data, &guest.root());
        let own = fs::metadata(guest.root()).unwrap();
        let users = format!("root:x:0:0::/:/bin/sh\nmongod:x:{}:{}::/:/bin/false\n", own.uid(), own.gid());
        fs::write(guest.root().join("etc/passwd"), users).unwrap();
        guest
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    pub(crate) fn installed(&self, name: &str) -> PathBuf {
        self.root().join("etc/ssl").join(name)
    }

    pub(crate) fn lay_out(&self, secret: &Secret, date: &str) {
        lay_out(&self.source(), secret, date);
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).arg(self.root().join("usr/local/sbin/tandem-tls"));
        command
    }

    pub(crate) fn run(&self) -> Output {
        output(self.command().args(["--wait", "0", "--source"]).arg(self.source()).arg("--root").arg(self.root()))
    }

    /// Runs and expects success; no key material may be in what it says.
    pub(crate) fn install(&self, secret: &Secret) -> String {
        let done = self.run();
        assert!(done.status.success(), "{}", said(&done));
        tells_no_secret(&done, secret);
        said(&done)
    }

    /// Paths, contents, modes and inodes of what is installed.
    pub(crate) fn state(&self) -> Vec<(PathBuf, String, u32, u64)> {
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
        let verdict = "key and certificate belong together, and the chain verifies; notAfter=Dec 31";
        assert!(said.contains("installed ") && said.contains(verdict), "{said}");
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

/// The key under a passphrase, in the form whose first line does not tell it.
fn locked(key: &str) -> String {
    let Some(openssl) = tool("openssl") else { return String::new() };
    let mut command = Command::new(openssl);
    command.args(["pkey", "-traditional", "-aes-128-cbc", "-passout", "pass:of the test"]);
    let locked = said(&output_of(&mut command, key.as_bytes()));
    assert!(locked.starts_with("-----BEGIN EC PRIVATE KEY-----") && locked.contains("ENCRYPTED"), "{locked}");
    locked
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
            "this guest's clock is behind the certificate: tls.crt is valid from Jan  1 00:00:00 2990 GMT, \
             ca.crt from Jan  1 00:00:00 1975 GMT; the clock says ",
            true,
        ),
        (
            secret_with(authority, |it| it.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth]),
            "certificate purpose",
            true,
        ),
        (
            with(&|s| s.key = s.key.replacen("MI", "AA", 1)),
            "tls.key is not a private key that can be read without a passphrase",
            true,
        ),
        (with(&|s| s.key = locked(&s.key)), "tls.key is not a private key that can be read without a passphrase", true),
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

/// A PATH with links to what every guest has: no openssl, no systemctl, no udevadm, and no database's client.
pub(crate) fn bare_path(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let programs = "cat chmod chown date flock id mkdir mktemp mv rm rmdir sh sha256sum sleep stat sync tail";
    for name in programs.split(' ') {
        symlink(tool(name).unwrap(), folder.join(name)).unwrap();
    }
}

#[test]
fn without_openssl_it_says_so_and_needs_nothing_but_coreutils_and_util_linux() {
    let (guest, secret) = (Guest::new(&["/bin/sh"]), secret(&authority()));
    guest.lay_out(&secret, "..2026_01_01");
    let programs = guest.folder.path().join("bin");
    bare_path(&programs);
    let mut command = guest.command();
    command.env("PATH", &programs).arg("--source").arg(guest.source()).arg("--root").arg(guest.root());
    let done = output(&mut command);
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("openssl is not installed"), "{}", said(&done));
    assert!(guest.installed("mongodb.pem").is_file());
}

/// A `cat` that switches the volume to another generation while the first file is read, and removes the old one.
#[test]
fn a_volume_that_switches_while_it_is_read_gives_one_generation() {
    let (guest, authority) = (Guest::new(SH), authority());
    let (old, new) = (secret(&authority), secret(&authority));
    let volume = guest.source();
    let programs = guest.folder.path().join("bin");
    let cat = format!(
        "{cat} \"$@\" || exit\n[ -e {volume}/..new ] || exit 0\nmv -T {volume}/..new {volume}/..2026_02_01\n\
         ln -s ..2026_02_01 {volume}/..data_tmp && mv -T {volume}/..data_tmp {volume}/..data\nrm -r {volume}/..2026_01_01",
        cat = tool("cat").unwrap().display(),
        volume = volume.display(),
    );
    program(&programs.join("cat"), &cat);
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

/// A `cat` that switches the volume to another generation each time that the key is read.
#[test]
fn a_volume_that_never_stands_still_is_refused() {
    let (guest, secret) = (Guest::new(SH), secret(&authority()));
    guest.lay_out(&secret, "..first");
    let volume = guest.source();
    let at = volume.display();
    assert!(
        output(Command::new("cp").arg("-a").args([volume.join("..first"), volume.join("..other")])).status.success()
    );
    let programs = guest.folder.path().join("bin");
    let cat = format!(
        "{cat} \"$@\" || exit\ncase $1 in {at}/*/tls.key) ;; *) exit 0 ;; esac\n\
         other=..first\n[ \"$(readlink {at}/..data)\" != ..first ] || other=..other\n\
         ln -s \"$other\" {at}/..data_tmp && mv -T {at}/..data_tmp {at}/..data",
        cat = tool("cat").unwrap().display(),
    );
    program(&programs.join("cat"), &cat);
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = guest.command();
    command.env("PATH", path).arg("--source").arg(&volume).arg("--root").arg(guest.root());
    let done = output(&mut command);
    let expected =
        format!("tandem-tls: {at} changes faster than it can be read; the files in place were not touched\n");
    assert_eq!((done.status.code(), said(&done)), (Some(1), expected));
    assert!(!guest.installed("mongodb.pem").exists());
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
