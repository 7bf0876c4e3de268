//! A command that fails leaves files and folders as they were: on a full disk, in a folder that cannot be written, and
//! with something else in the place of what it would write.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::support::{example_path, output, said};

/// Of all that is beneath a folder: content (of a link its target), mode, owner and inode. So a file that was replaced by
/// the same content is seen as well.
pub(crate) fn tree(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32, u32, u64)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let content = match found.file_type() {
                kind if kind.is_file() => fs::read(&path).unwrap(),
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                _ => Vec::new(),
            };
            if found.is_dir() {
                folders.push(path.clone());
            }
            all.insert(path, (content, found.mode(), found.uid(), found.ino()));
        }
    }
    all
}

/// What a command does in the [`sandbox`].
struct Touches {
    name: &'static str,
    /// Arguments with which it writes to the folder `out` or to a file in it, and a file that is among what it writes.
    writes: Option<(&'static str, &'static str)>,
    /// Arguments with which it prints something.
    prints: Option<&'static str>,
}

/// All commands. Add yours, with all that it writes.
const COMMANDS: &[Touches] = &[
    Touches {
        name: "render",
        writes: Some(("render vm.yaml --output-dir out", "out/07-deployment-mongodb-python-app.yaml")),
        prints: Some("render vm.yaml"),
    },
    Touches { name: "keyfile", writes: Some(("keyfile out/new.key", "out/new.key")), prints: Some("keyfile -") },
    Touches {
        name: "mongod-conf",
        writes: Some(("mongod-conf out/mongod.conf --in-place --port 1", "out/mongod.conf")),
        prints: Some("mongod-conf out/mongod.conf --port 1"),
    },
    Touches { name: "rotation-plan", writes: None, prints: Some("rotation-plan vm.yaml") },
    Touches { name: "stale", writes: None, prints: None },
    Touches { name: "verify", writes: None, prints: None },
    Touches { name: "check", writes: None, prints: Some("check vm.yaml") },
    Touches {
        name: "inject",
        writes: Some(("inject --secret tls --in-place out/own.yaml", "out/own.yaml")),
        prints: Some("inject --secret tls out/own.yaml"),
    },
    Touches { name: "krm", writes: None, prints: None },
    Touches { name: "completions", writes: None, prints: Some("completions bash") },
    Touches { name: "man", writes: Some(("man out", "out/tandem-vm-render.1")), prints: Some("man") },
];

/// The name of each command that writes, its arguments, and a file that it writes.
fn writers() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    COMMANDS.iter().filter_map(|command| command.writes.map(|(args, file)| (command.name, args, file)))
}

/// A folder with what the commands read and, in `out`, files that are not to change.
fn sandbox() -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir(at("out")).unwrap();
    fs::copy(example_path("databasevm.yaml"), at("vm.yaml")).unwrap();
    fs::copy(example_path("inject-own-vm/vm.yaml"), at("out/own.yaml")).unwrap();
    for (name, content) in [
        ("04-virtualmachine-mongodb-vm.yaml", "of an earlier run\n"),
        ("mongod.conf", "net:\n  port: 27017\n"),
        ("tandem-vm.1", "of an earlier version\n"),
    ] {
        fs::write(at("out").join(name), content).unwrap();
    }
    // Whatever the rights of the checkout and this process' umask: others read all of it.
    for file in ["vm.yaml", "out/own.yaml", "out/mongod.conf"] {
        fs::set_permissions(at(file), fs::Permissions::from_mode(0o644)).unwrap();
    }
    folder
}

/// Runs a command by way of a shell that has set the scene.
fn run(folder: &Path, scene: &str, command: &str) -> Output {
    output(
        Command::new("bash")
            .arg("-c")
            .arg(format!("{scene} exec \"$0\" {command}"))
            .arg(tandem_vm().get_program())
            .current_dir(folder),
    )
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Sees to it that the command has failed, has said so, and has changed nothing.
fn fails(name: &str, folder: &TempDir, done: &Output, before: &BTreeMap<PathBuf, (Vec<u8>, u32, u32, u64)>) {
    assert_eq!(done.status.code(), Some(2), "{name}: {}", said(done));
    assert!(done.stderr.starts_with(b"tandem-vm: ") && done.stderr.ends_with(b"\n"), "{name}: {}", said(done));
    let after = tree(folder.path());
    let changed: Vec<_> =
        after.keys().chain(before.keys()).filter(|path| after.get(*path) != before.get(*path)).collect();
    assert!(changed.is_empty(), "{name} failed ({}), but has changed {changed:?}", said(done));
}

#[test]
fn every_command_is_known_here() {
    let known: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
    let command = tandem_vm::cli::command();
    let unknown: Vec<_> =
        command.get_subcommands().map(clap::Command::get_name).filter(|name| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}: add them to COMMANDS in tests/vm/unharmed.rs, with all that they write");
}

/// Without a fault they would all write: otherwise the other tests show nothing.
#[test]
fn without_a_fault_every_writer_writes() {
    for (name, command, _) in writers() {
        let folder = sandbox();
        let before = tree(folder.path());
        let done = run(folder.path(), "", command);
        assert!(done.status.success(), "{name}: {}", said(&done));
        assert_ne!(tree(folder.path()), before, "{name}");
    }
}

/// A disk that is full stops a write midway. Here the limit of a file's size does: of the first file, and of a later one.
#[test]
fn a_full_disk() {
    for (name, command, _) in writers() {
        for limit in [0, 2] {
            let folder = sandbox();
            let before = tree(folder.path());
            let done = run(folder.path(), &format!("trap '' XFSZ; ulimit -f {limit};"), command);
            // Small files fit into the larger limit.
            if limit == 0 || !done.status.success() {
                assert!(said(&done).contains("File too large"), "{name}: {}", said(&done));
                fails(name, &folder, &done, &before);
            }
        }
    }
    // One of them is stopped when others are written already.
    let folder = sandbox();
    let done = run(folder.path(), "trap '' XFSZ; ulimit -f 2;", "render vm.yaml --output-dir out");
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
}

/// The command, in a folder of which those without rights can start it. Copied by another process: a file that this one has
/// open for writing, a process that another thread starts at that moment has open, too, and the system then refuses to run it.
fn for_others() -> TempDir {
    let program = TempDir::new().unwrap();
    fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copied = output(Command::new("cp").arg(tandem_vm().get_program()).arg(program.path()));
    assert!(copied.status.success(), "{}", said(&copied));
    fs::set_permissions(program.path().join("tandem-vm"), fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Runs that command where `out` has this mode, as somebody who is bound by it: root is not.
fn run_bound(program: &TempDir, folder: &TempDir, mode: u32, command: &str) -> Output {
    fs::set_permissions(folder.path().join("out"), fs::Permissions::from_mode(mode)).unwrap();
    let mut run = Command::new(program.path().join("tandem-vm"));
    run.args(command.split(' ')).current_dir(folder.path());
    if is_root() {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        run.uid(65534).gid(65534);
    }
    let done = output(&mut run);
    fs::set_permissions(folder.path().join("out"), fs::Permissions::from_mode(0o755)).unwrap();
    done
}

#[test]
fn a_folder_that_cannot_be_written() {
    let program = for_others();
    for (name, command, _) in writers() {
        let folder = sandbox();
        let before = tree(folder.path());
        let done = run_bound(&program, &folder, 0o555, command);
        let remedy = match name {
            "render" | "man" => "; give a folder that can be written",
            "inject" => "; nothing is changed; run this as the file's owner, who may write to its folder",
            _ => "",
        };
        let told = ["Permission denied", "out", remedy].iter().all(|text| said(&done).contains(text));
        assert!(told, "{name}: {}", said(&done));
        assert!(!said(&done).contains(".tmp"), "{name} tells of its own files: {}", said(&done));
        fails(name, &folder, &done, &before);
    }
}

/// Somebody may look for names in it, and not ask for them.
#[test]
fn a_folder_that_cannot_be_read() {
    let program = for_others();
    for (command, what) in [
        ("check out", "out: Permission denied (os error 13); give a folder that can be read"),
        ("render vm.yaml --output-dir out", "out: Permission denied (os error 13); give a folder that can be read"),
    ] {
        let folder = sandbox();
        let before = tree(folder.path());
        let done = run_bound(&program, &folder, 0o333, command);
        assert!(said(&done).contains(what), "{command}: {}", said(&done));
        fails(command, &folder, &done, &before);
    }
}

/// All is written that is to be written, and only then what is of an earlier run goes.
#[test]
fn a_file_that_cannot_be_deleted_is_left_to_its_owner() {
    let (program, folder) = (for_others(), sandbox());
    let out = folder.path().join("out");
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir(&out).unwrap();
    let rendered = run_bound(&program, &folder, 0o777, "render vm.yaml --output-dir out");
    assert!(rendered.status.success(), "{}", said(&rendered));
    let service = fs::read_to_string(out.join("05-service-mongodb.yaml")).unwrap();
    let old = out.join("05-service-old.yaml");
    fs::write(&old, service.replacen("name: mongodb\n", "name: old\n", 1)).unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o644)).unwrap();
    let done = run_bound(&program, &folder, 0o555, "render vm.yaml --output-dir out --prune");
    let told = "out/05-service-old.yaml: Permission denied (os error 13); all else is written: delete this file\n";
    assert!(done.status.code() == Some(2) && said(&done).ends_with(told), "{}", said(&done));
}

#[test]
fn something_else_in_the_place_of_the_file_or_folder() {
    for (name, command, file) in writers() {
        let folder = sandbox();
        let path = folder.path().join(file);
        if path.is_file() {
            fs::remove_file(&path).unwrap();
        }
        fs::create_dir(&path).unwrap();
        let before = tree(folder.path());
        fails(name, &folder, &run(folder.path(), "", command), &before);

        let folder = sandbox();
        let out = folder.path().join("out");
        fs::remove_dir_all(&out).unwrap();
        fs::write(&out, "no folder").unwrap();
        let before = tree(folder.path());
        fails(name, &folder, &run(folder.path(), "", command), &before);
    }
}

/// What is printed may have nowhere to go either.
#[test]
fn standard_output_on_a_full_disk() {
    for command in COMMANDS.iter().filter_map(|command| command.prints).chain(["--help", "check --help", "--version"]) {
        let folder = sandbox();
        let before = tree(folder.path());
        let done = run(folder.path(), "exec >/dev/full;", command);
        assert_eq!(said(&done), "tandem-vm: standard output: No space left on device (os error 28)\n", "{command}");
        fails(command, &folder, &done, &before);
    }
}
