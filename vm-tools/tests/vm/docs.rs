//! The pages about `tandem-vm` name what there is: their examples run, and their options exist.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::check::{BEFORE, repository, run};
use crate::command::tandem_vm;
use crate::support::{output, said};

const PAGES: [&str; 3] = ["databasevm.md", "rotation.md", "checks.md"];

fn page(name: &str) -> String {
    fs::read_to_string(repository().join("docs").join(name)).unwrap()
}

/// The commands of a page's shell blocks, each in one line.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0.replace("\\\n", " "));
    blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// What asks a cluster or a server is only read; all else runs in the repository, and may find something.
#[test]
fn every_example_of_the_pages_works() {
    let bin = TempDir::new().unwrap();
    symlink(tandem_vm().get_program(), bin.path().join("tandem-vm")).unwrap();
    let mut run = 0;
    for command in PAGES.iter().flat_map(|name| commands(&page(name))) {
        if command.starts_with("tandem-vm verify") || command.starts_with("tandem-vm stale") {
            let words = command.split_whitespace();
            tandem_vm::cli::command().try_get_matches_from(words).unwrap_or_else(|error| panic!("{command}: {error}"));
            continue;
        }
        let path = format!("{}:/usr/bin:/bin", bin.path().display());
        let mut bash = Command::new("bash");
        let done = output(bash.args(["-o", "pipefail", "-c", &command]).env("PATH", path).current_dir(repository()));
        assert!(
            done.stderr.is_empty() && done.status.code().is_some_and(|code| code <= 1),
            "{command}: {}",
            said(&done)
        );
        run += 1;
    }
    assert!(run >= 5, "only {run} examples were run");
}

/// `--options` of a text, as they are typed.
fn options(text: &str) -> BTreeSet<String> {
    let typed = |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>();
    let starts = text.match_indices("--").filter(|(at, _)| !text[..*at].ends_with('-'));
    starts.map(|(at, _)| typed(&text[at + 2..])).filter(|option| option.len() > 1 && !option.starts_with('-')).collect()
}

#[test]
fn every_option_of_the_pages_exists() {
    let command = tandem_vm::cli::command();
    let mut known: BTreeSet<_> = command
        .get_subcommands()
        .flat_map(|command| {
            command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    // kubectl's, systemctl's and cloud-init's.
    known.extend(["filename", "output", "now", "config-file", "dry-run", "validate"].map(str::to_owned));
    for name in PAGES {
        let named = options(&page(name));
        assert!(!named.is_empty(), "{name}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
    }
}

#[test]
fn every_field_of_a_report_is_in_its_page() {
    let report: Value = serde_json::from_slice(&run(&[BEFORE, "-o", "json"]).stdout).unwrap();
    let finding = &report["findings"][0];
    let page = page("checks.md");
    let fields =
        [&report, finding, &finding["object"]].map(|value| value.as_object().unwrap().keys().collect::<Vec<_>>());
    for field in fields.concat() {
        assert!(page.contains(&format!("`{field}`")), "`{field}` is not in docs/checks.md");
    }
}
