//! What happens while a command runs: files change, it is interrupted or killed, and others write to the same folder; and where what it
//! should write to is no file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::support::{LIMIT, example, example_path, finish, output, output_of, said, start};
use crate::unharmed::tree;

const MACHINE: &str = "inject-own-vm/vm.yaml";

fn pipe(path: &Path) {
    assert!(output(Command::new("mkfifo").arg(path)).status.success());
}

/// Two who change a file at the same time: the second does not undo what the first did.
#[test]
fn a_file_that_changes_after_it_was_read_is_not_written() {
    let folder = TempDir::new().unwrap();
    let [file, later] = ["vm.yaml", "later.yaml"].map(|name| folder.path().join(name));
    fs::copy(example_path(MACHINE), &file).unwrap();
    pipe(&later);
    let child = start(tandem_vm().args(["inject", "--secret", "tls", "--in-place"]).args([&file, &later]));
    // It is opened for writing once it is open for reading, and by then the file before it has been read.
    let mut opened = File::options().write(true).open(&later).unwrap();
    let theirs = example(MACHINE).replace("runStrategy", "# theirs\n  runStrategy");
    fs::write(&file, &theirs).unwrap();
    opened.write_all(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n").unwrap();
    drop(opened);
    let done = finish(child);
    let expected =
        format!("tandem-vm: {}: was changed while this ran; nothing is changed here; run it again\n", file.display());
    assert_eq!((done.status.code(), said(&done)), (Some(2), expected));
    assert_eq!(fs::read_to_string(&file).unwrap(), theirs);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "something was left behind");
}

/// A folder may hold what is opened only once somebody writes to it.
#[test]
fn a_pipe_in_a_folder_is_passed_over() {
    let folder = TempDir::new().unwrap();
    fs::copy(example_path(MACHINE), folder.path().join("vm.yaml")).unwrap();
    pipe(&folder.path().join("a.yaml"));
    for arguments in [&["inject", "--secret", "tls", "--diff"][..], &["check", "--fail-on", "never"]] {
        let done = finish(start(tandem_vm().args(arguments).arg(folder.path())));
        assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    }
}

#[test]
fn whoever_ends_a_command_before_it_writes_finds_everything_as_it_was() {
    let folder = TempDir::new().unwrap();
    let [file, later] = ["vm.yaml", "later.yaml"].map(|name| folder.path().join(name));
    fs::copy(example_path(MACHINE), &file).unwrap();
    pipe(&later);
    let before = tree(folder.path());
    let mut child = start(tandem_vm().args(["inject", "--secret", "tls", "--in-place"]).args([&file, &later]));
    let opened = File::options().write(true).open(&later).unwrap();
    let pid = child.child().id().to_string();
    // As Ctrl-C does it; but SIGINT is ignored by whatever a shell has started in the background, tests among it.
    assert!(output(Command::new("kill").args(["-TERM", &pid])).status.success());
    let done = finish(child);
    drop(opened);
    assert!(done.status.code().is_none() && said(&done).is_empty(), "{}", said(&done));
    assert_eq!(tree(folder.path()), before);
}

/// The contents of the files of a folder that kubectl would apply.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let manifests = entries.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    // One that is replaced at this moment is read whole, before or after.
    manifests.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

/// Documents of so many databases.
fn many(number: usize) -> String {
    let document = example("databasevm.yaml");
    let named = |i: usize| {
        document
            .replace("name: mongodb\n", &format!("name: db{i}\n"))
            .replace("mongodb-cert-tls", &format!("db{i}-tls"))
    };
    (0..number).map(named).collect::<Vec<_>>().join("---\n")
}

#[test]
fn a_command_that_is_killed_leaves_every_manifest_whole() {
    let folder = TempDir::new().unwrap();
    let [specs, whole, killed] = ["specs.yaml", "whole", "killed"].map(|name| folder.path().join(name));
    fs::write(&specs, many(100)).unwrap();
    let render = |dir: &Path| {
        let mut command = tandem_vm();
        command.arg("render").arg(&specs).arg("--output-dir").arg(dir);
        command
    };
    assert!(output(&mut render(&whole)).status.success());
    let whole = files(&whole);
    assert_eq!(whole.len(), 700);
    let mut child = start(&mut render(&killed));
    let started = Instant::now();
    while files(&killed).is_empty() && started.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.child().kill().unwrap();
    finish(child);
    let found = files(&killed);
    assert!(!found.is_empty());
    for (name, content) in found {
        assert_eq!(whole.get(&name), Some(&content), "{name}");
    }
}

/// Each deletes what the other has written and it has not, and both find it all in order.
#[test]
fn two_who_write_and_prune_in_one_folder_stay_out_of_each_others_way() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let specs = [many(8), many(8).replace("name: db", "name: other").replace("secretName: db", "secretName: other")];
    let paths = ["a.yaml", "b.yaml"].map(|name| folder.path().join(name));
    for (path, text) in paths.iter().zip(&specs) {
        fs::write(path, text).unwrap();
    }
    let render = |path: &Path, dir: &Path| {
        let mut command = tandem_vm();
        command.arg("render").arg(path).arg("--prune").arg("--output-dir").arg(dir);
        command
    };
    let mut known = BTreeMap::new();
    for path in &paths {
        let alone = TempDir::new().unwrap();
        assert!(output(&mut render(path, alone.path())).status.success());
        known.extend(files(alone.path()));
    }
    assert_eq!(known.len(), 112);
    for _ in 0..10 {
        let both = [&paths[0], &paths[1], &paths[1]].map(|path| start(&mut render(path, &out)));
        for done in both.map(finish) {
            assert!(done.status.success(), "{}", said(&done));
        }
        for (name, content) in files(&out) {
            assert_eq!(known.get(&name), Some(&content), "{name}");
        }
    }
}

#[test]
fn what_is_neither_a_file_nor_a_link_is_not_replaced() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let render = |dir: &Path| {
        output(tandem_vm().arg("render").arg(example_path("databasevm.yaml")).arg("--output-dir").arg(dir))
    };
    fs::create_dir(at("out")).unwrap();
    pipe(&at("out/05-service-mongodb.yaml"));
    pipe(&at("key"));
    let before = tree(folder.path());
    let refused = |done: std::process::Output| {
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        assert!(said(&done).contains("is neither a file nor a link to one, and is left alone"), "{}", said(&done));
        assert_eq!(tree(folder.path()), before);
    };
    refused(render(&at("out")));
    refused(output(tandem_vm().args(["keyfile", "--replace"]).arg(at("key"))));
    let text = example(MACHINE);
    let stdin = output_of(tandem_vm().args(["inject", "--secret", "tls", "--in-place", "/dev/stdin"]), text.as_bytes());
    let whole = "/dev/stdin: is neither a file nor a link to one, and is left alone; name a file, or move it away";
    assert!(said(&stdin).contains(whole), "{}", said(&stdin));
    refused(stdin);
    refused(output_of(
        tandem_vm().args(["mongod-conf", "/dev/stdin", "--in-place", "--port", "1"]),
        b"net:\n  port: 2\n",
    ));
}

/// A link to a folder is that folder; a link in the place of a manifest is replaced, and what it leads to stays.
#[test]
fn links_lead_where_they_should() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("real")).unwrap();
    symlink("real", at("out")).unwrap();
    fs::write(at("theirs"), "theirs").unwrap();
    symlink("../theirs", at("real/05-service-mongodb.yaml")).unwrap();
    let done =
        output(tandem_vm().arg("render").arg(example_path("databasevm.yaml")).arg("--output-dir").arg(at("out")));
    assert!(done.status.success() && said(&done).is_empty(), "{}", said(&done));
    assert_eq!(files(&at("real")).len(), 7);
    assert!(fs::symlink_metadata(at("real/05-service-mongodb.yaml")).unwrap().is_file());
    assert_eq!(fs::read_to_string(at("theirs")).unwrap(), "theirs");
    // In place, a link stays one, and its file is changed.
    fs::copy(example_path(MACHINE), at("vm.yaml")).unwrap();
    symlink("vm.yaml", at("link.yaml")).unwrap();
    let done = output(tandem_vm().args(["inject", "--secret", "tls", "--in-place"]).arg(at("link.yaml")));
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(fs::read_link(at("link.yaml")).unwrap(), Path::new("vm.yaml"));
    assert!(fs::read_to_string(at("vm.yaml")).unwrap().contains("tandem-tls"));
    // A link that leads nowhere is told of.
    symlink("nowhere", at("dangling")).unwrap();
    let done =
        output(tandem_vm().arg("render").arg(example_path("databasevm.yaml")).arg("--output-dir").arg(at("dangling")));
    let expected = format!(
        "tandem-vm: {}: File exists (os error 17); give a folder that can be written\n",
        at("dangling").display()
    );
    assert_eq!((done.status.code(), said(&done)), (Some(2), expected));
}

/// Of a command's reader who has seen enough nobody hears anything, whatever the command would still say.
#[test]
fn a_reader_of_everything_that_leaves_early_is_no_error() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("specs.yaml"), many(30)).unwrap();
    fs::copy(example_path(MACHINE), folder.path().join("vm.yaml")).unwrap();
    fs::write(folder.path().join("mongod.conf"), "net:\n  tls:\n    mode: requireTLS\n").unwrap();
    for (command, code) in [
        ("render specs.yaml", 0),
        ("render specs.yaml -o json", 0),
        ("render specs.yaml --output-dir out", 0),
        ("check specs.yaml -o sarif", 0),
        ("rotation-plan specs.yaml", 1),
        ("inject --secret tls vm.yaml", 0),
        ("inject --secret tls --diff vm.yaml", 0),
        ("mongod-conf mongod.conf --port 2", 0),
        ("keyfile -", 0),
        ("completions zsh", 0),
        ("man", 0),
        ("--help", 0),
    ] {
        let mut child = start(tandem_vm().args(command.split(' ')).current_dir(folder.path()));
        drop(child.child().stdout.take());
        drop(child.child().stderr.take());
        assert_eq!(finish(child).status.code(), Some(code), "{command}");
    }
}
