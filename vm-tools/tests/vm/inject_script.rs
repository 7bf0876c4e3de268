//! `inject --guest-script`: what is injected, for a guest that has booted before. In a real guest it runs in
//! `tests/tests/guests/injected.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::inject_mongod::{injected_for, run};
use crate::secret::{authority, lay_out, secret};
use crate::support::{guest_files, output, output_of, program, said, tool};

/// For each database and delivery, and a command in which the script's own marks stand.
const OPTIONS: [&[&str]; 4] = [
    &["--database", "mongodb", "--os", "debian", "--tls-mode", "allowTLS"],
    &["--database", "postgresql", "--os", "rhel", "--delivery", "filesystem"],
    &["--database", "redis", "--os", "debian", "--delivery", "filesystem", "--client-auth", "Required"],
    &[
        "--delivery",
        "filesystem",
        "--service",
        "a.service",
        "--reload-command",
        "cat <<'END_OF_FILE'\nEND_OF_FILE\nEND_OF_FILE_\n",
    ],
];

fn script(options: &[&str]) -> String {
    let done = run(&[options, &["--guest-script"]].concat());
    assert!(done.status.success() && done.stderr.is_empty(), "{}", said(&done));
    String::from_utf8(done.stdout).unwrap()
}

/// Runs the script with `root` in place of `/`, as root or as somebody who is taken for root, and with a systemctl that notes
/// its arguments down. Its program reads the Secret from there, if there is one.
fn run_beneath(root: &Path, script: &str) -> Output {
    let bin = root.join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (name, text) in [
        ("systemctl", "echo \"$*\" >>\"$CALLS\""),
        ("id", "case $* in -u) echo 0 ;; *) exec /usr/bin/id \"$@\" ;; esac"),
    ] {
        program(&bin.join(name), text);
    }
    let at = root.display();
    let program = format!("\n{at}/usr/local/sbin/tandem-tls --root '{at}' --source '{at}/secret' ||\n");
    let script = script.replace("\n/usr/local/sbin/tandem-tls ||\n", &program);
    let script = script.lines().map(|line| match line.strip_prefix("put ") {
        Some(rest) if rest.contains(" '/") => format!("put {}\n", rest.replacen(" '/", &format!(" '{at}/"), 1)),
        _ => format!("{line}\n"),
    });
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut sh = Command::new("sh");
    output_of(
        sh.env("PATH", path).env("CALLS", root.join("calls")).stdin(Stdio::piped()),
        script.collect::<String>().as_bytes(),
    )
}

/// The files beneath `/etc/systemd` and the others that are not ours to make in a guest, by path, with mode and text.
fn found(root: &Path, paths: impl Iterator<Item = String>) -> BTreeMap<String, (u32, String)> {
    let read = |path: String| {
        let file = root.join(path.trim_start_matches('/'));
        let mode = fs::metadata(&file).ok()?.permissions().mode() & 0o777;
        Some((path, (mode, fs::read_to_string(file).unwrap())))
    };
    paths.filter_map(read).collect()
}

/// A folder for a guest, with the users that own the files.
fn guest() -> TempDir {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let own = output(Command::new("sh").args(["-c", "echo $(id -u):$(id -g)"]));
    let own = said(&own).trim().to_owned();
    let users = ["mongodb", "postgres", "redis"].map(|user| format!("{user}:x:{own}::/:/bin/false\n")).concat();
    fs::write(root.path().join("etc/passwd"), format!("root:x:0:0::/:/bin/sh\n{users}")).unwrap();
    root
}

#[test]
fn the_script_puts_the_same_files_there_and_runs_the_same_commands_as_cloud_init() {
    for options in OPTIONS {
        let root = guest();
        let secret = secret(&authority());
        lay_out(&root.path().join("secret"), &secret, "..first");
        let script = script(options);
        let (user_data, _) = injected_for(options);
        let expected: BTreeMap<_, _> =
            guest_files(&user_data).into_iter().map(|(path, file)| (path, (file.mode, file.content))).collect();
        // A second time nothing is otherwise.
        for _ in 0..2 {
            let done = run_beneath(root.path(), &script);
            assert!(done.status.success(), "{options:?}: {}", said(&done));
            assert_eq!(found(root.path(), expected.keys().cloned()), expected);
        }
        let config: Value = serde_yaml::from_str(&user_data).unwrap();
        let words = |command: &Value| serde_json::from_value::<Vec<String>>(command.clone()).unwrap()[1..].join(" ");
        let commands: Vec<_> = config["runcmd"].as_array().unwrap().iter().map(words).collect();
        let calls = fs::read_to_string(root.path().join("calls")).unwrap();
        // The program asks whether the services run.
        let calls: Vec<_> = calls.lines().filter(|call| !call.starts_with("is-active")).collect();
        assert_eq!(calls, [&commands[..], &commands].concat());
        // The certificate is in place, and no half file beside any.
        let left = output(Command::new("find").arg(root.path()).args(["-name", "*.new"]));
        assert_eq!(said(&left), "");
        let ca = output(Command::new("find").arg(root.path().join("etc/ssl")).args(["-name", "ca.crt"]));
        assert_eq!(fs::read_to_string(said(&ca).trim()).unwrap(), secret.ca);
    }
}

/// As where the VM runs with its old manifest: a unit that was there would keep the database from its next start.
#[test]
fn where_the_secret_does_not_come_no_unit_is_written_and_nothing_is_run() {
    for options in OPTIONS {
        let root = guest();
        let done = run_beneath(root.path(), &script(options));
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
        assert!(said(&done).contains("no unit was written, and the database is as it was"), "{}", said(&done));
        assert!(!root.path().join("calls").exists() && !root.path().join("etc/systemd").exists());
    }
}

#[test]
fn the_script_is_plain_shell() {
    let Some(shellcheck) = tool("shellcheck") else { return };
    for options in OPTIONS {
        let done = output_of(Command::new(&shellcheck).args(["--shell=sh", "-"]), script(options).as_bytes());
        assert!(done.status.success(), "{}", said(&done));
    }
}

#[test]
fn a_script_is_made_of_what_could_be_injected_alone() {
    let options = ["--database", "mongodb", "--os", "debian", "--guest-script"];
    for (more, why) in
        [(&["--exec-start", "mongod"][..], "begins with an absolute path"), (&["--diff"], "cannot be used with")]
    {
        let done = run(&[&options[..], more].concat());
        assert!(done.status.code() == Some(2) && done.stdout.is_empty(), "{}", said(&done));
        assert!(said(&done).contains(why), "{}", said(&done));
    }
}
