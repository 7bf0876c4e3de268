//! Bad input by kinds: specs, manifests, user data and other files, each with its message, each leaving everything as it
//! was. The messages are in the snapshots, one for each kind.
//!
//! A case is its name, the command that is given the input, and the input. It runs in a folder in which the input is
//! `input`, and an earlier run has left `out`; [`crate::unharmed::tree`] says whether anything there was touched.

mod files;
mod hostile;
mod manifests;

mod specs;
mod user_data;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::support::{output, said};
use crate::unharmed::tree;

/// A broken input.
pub(crate) struct Case {
    name: String,
    /// The command, whose word `input` stands for the file.
    args: Vec<String>,
    input: Vec<u8>,
}

/// One that is given to a command.
fn case(name: impl Into<String>, command: &str, input: impl Into<Vec<u8>>) -> Case {
    Case { name: name.into(), args: command.split(' ').map(str::to_owned).collect(), input: input.into() }
}

/// What a command says of each case. It refuses the input, says why in lines that a terminal can show, prints nothing
/// else, and writes nothing.
fn messages(cases: &[Case]) -> String {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/05-service-mongodb.yaml"), "of an earlier run\n").unwrap();
    let (mut all, mut faults) = (BTreeMap::new(), Vec::new());
    for Case { name, args, input } in cases {
        fs::write(folder.path().join("input"), input).unwrap();
        let before = tree(folder.path());
        let done = output(Command::new(tandem_vm().get_program()).args(args).current_dir(folder.path()));
        let stderr = String::from_utf8(done.stderr.clone()).unwrap();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{name}: {what}: {}\n", said(&done)));
            }
        };
        expect(done.status.code() == Some(2), "the exit code is not 2");
        expect(done.stdout.is_empty(), "something is printed");
        expect(!stderr.is_empty(), "nothing is said");
        expect(stderr.lines().all(|line| line.starts_with("tandem-vm: ") && line.len() < 700), "not our lines");
        expect(!stderr.chars().any(|c| c.is_control() && c != '\n'), "control characters");
        expect(tree(folder.path()) == before, "something is written");
        let lines: String = stderr.lines().map(|line| format!("  {line}\n")).collect();
        assert!(all.insert(name.as_str(), lines).is_none(), "two cases are called {name}");
    }
    assert!(faults.is_empty(), "{}", faults.concat());
    all.iter().map(|(name, lines)| format!("{name}\n{lines}")).collect()
}

/// Each kind's messages, asked for once.
static SPECS: LazyLock<String> = LazyLock::new(|| messages(&specs::cases()));
static HOSTILE: LazyLock<String> = LazyLock::new(|| messages(&hostile::cases()));
static MANIFESTS: LazyLock<String> = LazyLock::new(|| messages(&manifests::cases()));
static USER_DATA: LazyLock<String> = LazyLock::new(|| messages(&user_data::cases()));
static FILES: LazyLock<String> = LazyLock::new(|| messages(&files::cases()));

#[test]
fn broken_specs_have_their_messages() {
    insta::assert_snapshot!(*SPECS);
}

#[test]
fn hostile_texts_have_their_messages_whatever_command_reads_them() {
    insta::assert_snapshot!(*HOSTILE);
}

#[test]
fn broken_manifests_have_their_messages() {
    insta::assert_snapshot!(*MANIFESTS);
}

#[test]
fn user_data_that_cannot_be_merged_into_have_their_messages() {
    insta::assert_snapshot!(*USER_DATA);
}

#[test]
fn other_broken_files_have_their_messages() {
    insta::assert_snapshot!(*FILES);
}

/// Faults of different kinds, not one many times.
#[test]
fn of_each_kind_there_are_many_and_their_messages_differ() {
    for (kind, least, messages) in
        [("specs", 50, &SPECS), ("hostile", 40, &HOSTILE), ("manifests", 20, &MANIFESTS), ("user data", 30, &USER_DATA)]
    {
        let different: BTreeSet<_> = messages.lines().filter(|line| line.starts_with("  ")).collect();
        assert!(different.len() >= least, "only {} different messages for {kind}", different.len());
    }
}
