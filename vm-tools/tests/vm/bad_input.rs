//! Bad input by kinds: specs, manifests, user data and other files, each with its message, each leaving everything as it
//! was. The messages are in the snapshots, one for each kind.
//!
//! A case is its name, the command that is given the input, and the input. It runs in a folder in which the input is
//! `input`, and an earlier run has left `out`; [`crate::unharmed::tree`] says whether anything there was touched.

mod files;
mod hostile;
mod specs;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

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
    let mut all = BTreeMap::new();
    for Case { name, args, input } in cases {
        fs::write(folder.path().join("input"), input).unwrap();
        let before = tree(folder.path());
        let done = output(Command::new(tandem_vm().get_program()).args(args).current_dir(folder.path()));
        let stderr = String::from_utf8(done.stderr.clone()).unwrap();
        assert_eq!(done.status.code(), Some(2), "{name}: {}", said(&done));
        assert!(done.stdout.is_empty(), "{name}: {}", said(&done));
        assert!(!stderr.is_empty() && stderr.lines().all(|line| line.starts_with("tandem-vm: ")), "{name}: {stderr}");
        assert!(stderr.lines().all(|line| line.len() < 700), "{name}: {stderr}");
        assert!(!stderr.chars().any(|c| c.is_control() && c != '\n'), "{name}: {stderr:?}");
        assert_eq!(tree(folder.path()), before, "{name}: something was written");
        let lines: String = stderr.lines().map(|line| format!("  {line}\n")).collect();
        assert!(all.insert(name.as_str(), lines).is_none(), "two cases are called {name}");
    }
    all.iter().map(|(name, lines)| format!("{name}\n{lines}")).collect()
}

#[test]
fn broken_specs_have_their_messages() {
    insta::assert_snapshot!(messages(&specs::cases()));
}

#[test]
fn hostile_texts_have_their_messages_whatever_command_reads_them() {
    insta::assert_snapshot!(messages(&hostile::cases()));
}

#[test]
fn other_broken_files_have_their_messages() {
    insta::assert_snapshot!(messages(&files::cases()));
}

/// The same faults told apart, not the same case many times.
#[test]
fn there_are_at_least_sixty_and_their_messages_differ() {
    let all = [specs::cases(), hostile::cases(), files::cases()].map(|cases| messages(&cases)).concat();
    let different: std::collections::BTreeSet<_> = all.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(different.len() >= 60, "only {} different messages", different.len());
}
