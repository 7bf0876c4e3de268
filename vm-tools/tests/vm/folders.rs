//! Folders of manifests in which some files hold no document: kubectl passes over those, and so do all commands that read folders.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::json;
use tandem_vm::probe::secret::Material;
use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::secret::{authority, secret};
use crate::support::{example, output, said};

/// Files that are there, and say nothing.
const EMPTY: [(&str, &str); 3] = [
    ("a-blank.yaml", "\n"),
    ("b-comment.yml", "# later\n---\n"),
    ("z-list.json", "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": []}"),
];

/// A folder `m` with these files, and an empty folder's worth beside it in `none`.
fn folders(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, files) in [("m", &[&EMPTY, files].concat()[..]), ("none", &EMPTY)] {
        fs::create_dir(folder.path().join(name)).unwrap();
        for (file, text) in files {
            fs::write(folder.path().join(name).join(file), text).unwrap();
        }
    }
    folder
}

fn run(folder: &Path, args: &[&str]) -> Output {
    output(tandem_vm().args(args).current_dir(folder))
}

/// A line for each of the files.
fn lines(folder: &str, what: &str) -> String {
    EMPTY.map(|(name, _)| format!("tandem-vm: {folder}/{name}: {what}\n")).concat()
}

const COMMANDS: [&[&str]; 3] = [&["render"], &["check"], &["rotation-plan", "--now", "2026-11-21T12:00:00Z"]];

#[test]
fn a_file_without_a_document_is_passed_over_and_told() {
    let folder = folders(&[("vm.yaml", &example("databasevm.yaml"))]);
    for command in COMMANDS {
        let alone = run(folder.path(), &[command, &["m/vm.yaml"]].concat());
        assert!(alone.stderr.is_empty() && !alone.stdout.is_empty(), "{}", said(&alone));
        for (paths, told) in [(&["m"][..], "m"), (&["none", "m/vm.yaml"], "none")] {
            let all = run(folder.path(), &[command, paths].concat());
            assert_eq!((all.status, &all.stdout), (alone.status, &alone.stdout), "{command:?}");
            let told = lines(told, "passed over: no document is in it");
            assert_eq!(String::from_utf8(all.stderr).unwrap(), told, "{command:?}");
        }
    }
}

#[test]
fn where_it_is_named_itself_or_there_is_nothing_else_it_is_an_error() {
    let folder = folders(&[("vm.yaml", &example("databasevm.yaml"))]);
    let why = "no document is in it; write Kubernetes manifests";
    for command in COMMANDS {
        let named = run(folder.path(), &[command, &["m", "m/a-blank.yaml"]].concat());
        let expected = format!("tandem-vm: m/a-blank.yaml: {why}\n");
        assert_eq!((named.status.code(), said(&named)), (Some(2), expected), "{command:?}");
        let nothing = run(folder.path(), &[command, &["none"]].concat());
        assert_eq!((nothing.status.code(), said(&nothing)), (Some(2), lines("none", why)), "{command:?}");
    }
}

#[test]
fn inject_leaves_it_as_it_is() {
    let folder = folders(&[("vm.yaml", &example("inject-own-vm/vm.yaml"))]);
    let done = run(folder.path(), &["inject", "--secret", "tls", "--in-place", "m"]);
    assert!(done.status.success(), "{}", said(&done));
    for (name, text) in EMPTY {
        assert_eq!(fs::read_to_string(folder.path().join("m").join(name)).unwrap(), text);
    }
    assert!(fs::read_to_string(folder.path().join("m/vm.yaml")).unwrap().contains("tandem-vm inject"));
}

#[test]
fn a_secret_is_found_beside_it() {
    let secret = secret(&authority());
    let data = json!({"tls.crt": secret.chain, "tls.key": secret.key, "ca.crt": secret.ca});
    let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-tls"}, "stringData": data});
    let folder = folders(&[("secret.yaml", &manifest.to_string())]);
    let found = Material::from_file(&folder.path().join("m"), &mut std::io::empty());
    assert_eq!(found.err(), None);
    let nothing = Material::from_file(&folder.path().join("none"), &mut std::io::empty());
    assert_eq!(nothing.err().map(|lines| lines.len()), Some(EMPTY.len()));
}
