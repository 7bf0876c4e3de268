//! What a thousand machines need is read and written; what would take memory without end is not.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::support::{example, output, said};

#[test]
fn a_thousand_rendered_machines_are_read_from_one_file() {
    let folder = TempDir::new().unwrap();
    let document = example("databasevm.yaml");
    let named = |number: usize| {
        let named = document.replace("name: mongodb\n", &format!("name: db{number}\n"));
        named.replace("mongodb-cert-tls", &format!("db{number}-tls"))
    };
    let documents: Vec<_> = (0..1000).map(named).collect();
    let (specs, rendered) = (folder.path().join("specs.yaml"), folder.path().join("rendered.yaml"));
    fs::write(&specs, documents.join("---\n")).unwrap();
    let done = output(tandem_vm().arg("render").arg(&specs));
    assert!(done.status.success(), "{}", said(&done));
    fs::write(&rendered, done.stdout).unwrap();
    let done = output(tandem_vm().arg("check").arg(&rendered));
    assert!(done.status.success() && said(&done).contains(" in 7000 objects"), "{}", said(&done));
}

/// With a gigabyte of memory, and the most that a file may have: each is refused, and nothing is killed.
#[test]
fn a_text_takes_no_more_memory_than_a_gigabyte_whatever_is_in_it() {
    let folder = TempDir::new().unwrap();
    let filled = |piece: &str, end: &str| piece.repeat((64 * 1024 * 1024 - 16) / piece.len()) + end;
    let millions = "it holds millions of values; split it into several files";
    let aliases = "its aliases stand for too much; write the values out";
    for (name, text, why) in [
        ("a list in flow style", format!("[{}", filled("1,", "1]")), millions),
        ("a list in block style", filled("- 1\n", ""), millions),
        ("lists in lists in one line", filled("- ", ""), millions),
        ("a mapping in JSON", format!("{{{}", filled("\"a\":1,", "\"b\":1}")), millions),
        ("keys without values", format!("{{{}", filled("? a,", "b: 1}")), millions),
        ("aliases", format!("a: &a [{}1]\nb: [{}1]\n", "1,".repeat(1_000_000), "*a,".repeat(1_000_000)), aliases),
        (
            "aliases of a text",
            format!("a: &a {}\nb: [{}1]\n", "x".repeat(20_000_000), "*a,".repeat(1_000_000)),
            aliases,
        ),
    ] {
        fs::write(folder.path().join("input.yaml"), text).unwrap();
        let mut shell = Command::new("bash");
        shell.args(["-c", "ulimit -v 1000000; exec \"$0\" check input.yaml"]).arg(tandem_vm().get_program());
        let done = output(shell.current_dir(folder.path()));
        assert_eq!(done.status.code(), Some(2), "{name}: {}", said(&done));
        assert!(said(&done).contains(why), "{name}: {}", said(&done));
    }
}
