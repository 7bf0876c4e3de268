//! Other people's tools judge the user data. Each gate is also shown a planted fault, to prove that it can be red.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{EXAMPLES, example, output, render, said, skipped, tool, write_guest};

fn all_user_data() -> Vec<String> {
    let rendered = |name: &&str| {
        let text = example(name);
        [text.replace("clientAuth: Optional", "install: Image"), text].map(|text| render(&text).user_data)
    };
    EXAMPLES.iter().flat_map(rendered).collect()
}

/// Runs shellcheck on all shell text of a guest.
fn shellcheck(user_data: &str) -> Option<Output> {
    let (tool, guest) = (tool("shellcheck")?, TempDir::new().unwrap());
    write_guest(user_data, guest.path());
    let mut scripts = ["tandem-tls", "tandem-data"].map(|name| guest.path().join("usr/local/sbin").join(name)).to_vec();
    let config: serde_json::Value = serde_yaml::from_str(user_data).unwrap();
    for (i, command) in config["bootcmd"].as_array().into_iter().flatten().enumerate() {
        assert_eq!((&command[0], &command[1]), (&"sh".into(), &"-c".into()));
        scripts.push(guest.path().join(format!("bootcmd-{i}")));
        fs::write(&scripts[scripts.len() - 1], command[2].as_str().unwrap()).unwrap();
    }
    Some(output(Command::new(tool).args(["--norc", "--shell=sh", "--severity=style"]).args(scripts)))
}

#[test]
fn shellcheck_finds_nothing() {
    for user_data in all_user_data() {
        let Some(checked) = shellcheck(&user_data) else { return };
        assert!(checked.status.success(), "{}", said(&checked));
    }
}

#[test]
fn shellcheck_finds_a_planted_fault() {
    let user_data = render(&example("databasevm.yaml")).user_data;
    let Some(checked) = shellcheck(&user_data.replace("rm -rf \"$stage\"", "rm -rf $stage")) else { return };
    assert!(said(&checked).contains("SC2086"), "{}", said(&checked));
}

fn schema(user_data: &str) -> Option<Output> {
    let (tool, folder) = (tool("cloud-init")?, TempDir::new().unwrap());
    let file = folder.path().join("user-data");
    fs::write(&file, user_data).unwrap();
    Some(output(Command::new(tool).args(["schema", "--config-file"]).arg(file)))
}

#[test]
fn cloud_init_knows_every_key() {
    for user_data in all_user_data() {
        let Some(checked) = schema(&user_data) else { return };
        assert!(checked.status.success(), "{}", said(&checked));
        assert!(!said(&checked).to_lowercase().contains("deprecat"), "{}", said(&checked));
    }
}

#[test]
fn cloud_init_finds_a_planted_fault() {
    let user_data = render(&example("databasevm.yaml")).user_data;
    let Some(checked) = schema(&user_data.replace("permissions: '0755'", "permissions: 755")) else { return };
    assert!(!checked.status.success() && said(&checked).contains("write_files"), "{}", said(&checked));
}

/// systemd's verdict on a system that has our units, a stand-in for the database's and all those of this system.
fn verify_units(user_data: &str) -> Option<Output> {
    let (tool, guest) = (tool("systemd-analyze")?, TempDir::new().unwrap());
    let root = guest.path();
    write_guest(user_data, root);
    let units = root.join("lib/systemd/system");
    fs::create_dir_all(&units).unwrap();
    let system = ["/usr/lib/systemd/system", "/lib/systemd/system"].map(Path::new);
    let Some(system) = system.into_iter().find(|folder| folder.join("sysinit.target").is_file()) else {
        skipped("systemd's own units are not installed");
        return None;
    };
    assert!(output(Command::new("cp").arg("-a").arg(system.join(".")).arg(&units)).status.success());
    let database = "[Unit]\nAfter=network-online.target\n[Service]\nExecStart=/usr/local/sbin/tandem-tls\n";
    fs::write(units.join("mongod.service"), database).unwrap();
    // As `systemctl enable` does.
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink("/lib/systemd/system/mongod.service", wants.join("mongod.service")).unwrap();
    let mut command = Command::new(tool);
    command.args(["verify", "--man=no"]).arg(format!("--root={}", root.display()));
    Some(output(command.args(["mongod.service", "tandem-tls.service", "tandem-data.service", "multi-user.target"])))
}

/// Lines about our units, or about any ordering cycle.
fn about_us(verdict: &Output) -> Vec<String> {
    let ours = |line: &&str| ["cycle", "tandem", "mongo"].iter().any(|word| line.contains(word));
    said(verdict).lines().filter(ours).map(str::to_owned).collect()
}

#[test]
fn systemd_accepts_the_units_and_their_order() {
    for user_data in all_user_data() {
        let Some(verdict) = verify_units(&user_data) else { return };
        assert_eq!(about_us(&verdict), [""; 0], "{}", said(&verdict));
    }
}

#[test]
fn systemd_finds_planted_faults() {
    let user_data = render(&example("databasevm.yaml")).user_data;
    for (from, to, complaint) in [
        ("DefaultDependencies=no\n", "# \n", "ordering cycle"),
        ("PrivateMounts=yes", "PrivateMount=yes", "Unknown key"),
    ] {
        let Some(verdict) = verify_units(&user_data.replace(from, to)) else { return };
        assert!(about_us(&verdict).iter().any(|line| line.contains(complaint)), "{complaint}: {}", said(&verdict));
    }
}
