//! Other people's tools judge the user data. Each gate is also shown a planted fault, to prove that it can be red.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use tandem_vm::model::KNOWN_KEYS;
use tempfile::TempDir;

use crate::inject_mongod::injected_for;
use crate::support::{
    EXAMPLES, MONGODB, all_user_data, example, guest_files, output, render, said, skipped, tool, write_guest,
};

/// That of each VM of each example, and of an image with the database in it.
fn everything() -> Vec<String> {
    let image = MONGODB.map(|name| example(name).replace("clientAuth: Optional", "install: Image"));
    EXAMPLES.iter().map(|name| example(name)).chain(image).flat_map(|text| all_user_data(&render(&text))).collect()
}

/// Runs shellcheck on all shell text of guests, on each text once.
pub(crate) fn shellcheck(all: &[String]) -> Option<Output> {
    let mut scripts = BTreeSet::new();
    for user_data in all {
        let files = guest_files(user_data).into_values().map(|file| file.content);
        scripts.extend(files.filter(|content| content.starts_with("#!")));
        let config: serde_json::Value = serde_yaml::from_str(user_data).unwrap();
        for command in config["bootcmd"].as_array().into_iter().flatten() {
            assert_eq!((&command[0], &command[1]), (&"sh".into(), &"-c".into()));
            scripts.insert(command[2].as_str().unwrap().to_owned());
        }
    }
    let (tool, folder) = (tool("shellcheck")?, TempDir::new().unwrap());
    let mut command = Command::new(tool);
    command.args(["--norc", "--shell=sh", "--severity=style"]);
    for (i, script) in scripts.iter().enumerate() {
        let path = folder.path().join(i.to_string());
        fs::write(&path, script).unwrap();
        command.arg(path);
    }
    Some(output(&mut command))
}

#[test]
fn shellcheck_finds_nothing() {
    let Some(checked) = shellcheck(&everything()) else { return };
    assert!(checked.status.success(), "{}", said(&checked));
}

#[test]
fn shellcheck_finds_a_planted_fault() {
    for (name, from, to, complaint) in [
        ("databasevm.yaml", "rm -rf \"$stage\"", "rm -rf $stage", "SC2086"),
        ("postgresql-vm/databasevm.yaml", "\"$(id -g \"$OWNER\")\"", "$(id -g \"$OWNER\")", "SC2046"),
    ] {
        let user_data = render(&example(name)).user_data;
        assert!(user_data.contains(from));
        let Some(checked) = shellcheck(&[user_data.replace(from, to)]) else { return };
        assert!(said(&checked).contains(complaint), "{}", said(&checked));
    }
}

/// cloud-init's verdict.
pub(crate) fn schema(user_data: &str) -> Option<Output> {
    let (tool, folder) = (tool("cloud-init")?, TempDir::new().unwrap());
    let file = folder.path().join("user-data");
    fs::write(&file, user_data).unwrap();
    Some(output(Command::new(tool).args(["schema", "--config-file"]).arg(file)))
}

#[test]
fn cloud_init_knows_every_key() {
    for user_data in everything() {
        let Some(checked) = schema(&user_data) else { return };
        assert!(checked.status.success(), "{}", said(&checked));
        assert!(!said(&checked).to_lowercase().contains("deprecat"), "{}", said(&checked));
        // That of Debian 12 passes over what it does not know at the top.
        let config: serde_json::Value = serde_yaml::from_str(&user_data).unwrap();
        let unknown: Vec<_> =
            config.as_object().unwrap().keys().filter(|key| !KNOWN_KEYS.contains(&key.as_str())).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

#[test]
fn cloud_init_finds_a_planted_fault() {
    let user_data = render(&example("databasevm.yaml")).user_data;
    let Some(checked) = schema(&user_data.replace("permissions: '0755'", "permissions: 755")) else { return };
    assert!(!checked.status.success() && said(&checked).contains("write_files"), "{}", said(&checked));
}

/// systemd's verdict on a system that has our units, a stand-in for the database's and all those of this system.
pub(crate) fn verify_units(user_data: &str) -> Option<Output> {
    let (tool, guest) = (tool("systemd-analyze")?, TempDir::new().unwrap());
    let root = guest.path();
    write_guest(user_data, root);
    let units = root.join("usr/lib/systemd/system");
    fs::create_dir_all(&units).unwrap();
    let system = ["/usr/lib/systemd/system", "/lib/systemd/system"].map(Path::new);
    let Some(system) = system.into_iter().find(|folder| folder.join("sysinit.target").is_file()) else {
        skipped("systemd's own units are not installed");
        return None;
    };
    assert!(output(Command::new("cp").arg("-a").arg(system.join(".")).arg(&units)).status.success());
    let service = service(user_data);
    let database = "[Unit]\nAfter=network-online.target\n[Service]\nExecStart=/usr/local/sbin/tandem-tls\n";
    fs::write(units.join(&service), database).unwrap();
    // What drop-ins of ours start.
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    for program in ["mongod", "postgres", "pg_ctlcluster", "redis-server", "valkey-server"] {
        fs::copy("/bin/true", root.join("usr/bin").join(program)).unwrap();
    }
    // As `systemctl enable` does.
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    let instance = service.replace("@.", "@main.");
    symlink(Path::new("/usr/lib/systemd/system").join(&service), wants.join(&instance)).unwrap();
    let mut command = Command::new(tool);
    command.args(["verify", "--man=no"]).arg(format!("--root={}", root.display()));
    let ours = guest_files(user_data).into_keys().filter_map(|path| Some(path.rsplit_once('/')?.1.to_owned()));
    let ours = ours.filter(|name| [".service", ".timer", ".mount"].iter().any(|suffix| name.ends_with(suffix)));
    Some(output(command.args([&*instance, "multi-user.target"]).args(ours)))
}

/// The unit that the certificate is for, by the drop-in that brings it.
fn service(user_data: &str) -> String {
    let files = guest_files(user_data);
    let mut units = files
        .keys()
        .filter_map(|path| path.strip_prefix("/etc/systemd/system/")?.strip_suffix(".service.d/10-tandem-tls.conf"));
    format!("{}.service", units.next().unwrap_or("mongod"))
}

/// Lines about our units, or about any ordering cycle.
pub(crate) fn about_us(verdict: &Output) -> Vec<String> {
    let words = ["cycle", "tandem", "mongo", "postgresql", "redis", "valkey", "nginx"];
    let ours = |line: &&str| words.iter().any(|word| line.contains(word));
    said(verdict).lines().filter(ours).map(str::to_owned).collect()
}

/// What `inject` adds for each database as the packages of each family have it.
fn all_injected() -> Vec<String> {
    let families = ["rhel", "debian"];
    let all = ["mongodb", "postgresql", "redis"].into_iter().flat_map(|database| families.map(|os| (database, os)));
    all.map(|(database, os)| injected_for(&["--database", database, "--os", os, "--delivery", "filesystem"]).0)
        .collect()
}

#[test]
fn systemd_accepts_the_units_and_their_order() {
    for user_data in everything().into_iter().chain(all_injected()) {
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
    for (user_data, start) in all_injected().into_iter().zip(["mongod", "mongod", "postgres"]) {
        let elsewhere = user_data.replace(&format!("/usr/bin/{start} "), &format!("/opt/{start} "));
        let Some(verdict) = verify_units(&elsewhere) else { return };
        let complaint = format!("/opt/{start} is not executable");
        assert!(about_us(&verdict).iter().any(|line| line.contains(&complaint)), "{complaint}: {}", said(&verdict));
    }
}
