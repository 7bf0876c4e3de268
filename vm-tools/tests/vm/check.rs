//! `tandem-vm check` as a command: its text and JSON, its exit codes, what is ignored, and what it may never print.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tandem_vm::check::rules;

use crate::command::{tandem_vm, with_stdin};
use crate::support::{output, said};

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `check` of these arguments, in the repository's root.
pub(crate) fn run(args: &[&str]) -> Output {
    output(tandem_vm().arg("check").args(args).current_dir(repository()))
}

pub(crate) fn run_stdin(text: &str, args: &[&str]) -> Output {
    with_stdin(text.as_bytes(), "check", args)
}

pub(crate) const BEFORE: &str = "examples/check/before.yaml";

pub(crate) fn text_of(done: &Output) -> String {
    String::from_utf8(done.stdout.clone()).unwrap()
}

#[test]
fn many_faults_as_text() {
    let done = run(&[BEFORE]);
    assert_eq!((done.status.code(), done.stderr.len()), (Some(1), 0));
    insta::assert_snapshot!(text_of(&done));
}

#[test]
fn many_faults_as_json() {
    let done = run(&[BEFORE, "-o", "json"]);
    assert_eq!((done.status.code(), done.stderr.len()), (Some(1), 0));
    insta::assert_snapshot!(text_of(&done));
}

#[test]
fn errors_end_with_1_warnings_with_0_and_bad_input_with_2() {
    assert_eq!(run(&[BEFORE]).status.code(), Some(1));
    assert_eq!(run(&["examples/check/after.yaml"]).status.code(), Some(0));
    let warned = run(&["examples/mongodb-vm/databasevm.yaml"]);
    assert!(text_of(&warned).starts_with("warning TVM210"), "{}", said(&warned));
    assert_eq!(warned.status.code(), Some(0));
    for (args, complaint) in [
        (&["no/such/file"][..], "tandem-vm: no/such/file: No such file or directory"),
        (&["README.md"], "tandem-vm: README.md: document 1: "),
        (&["--explain", "TVM999"], "tandem-vm: there is no rule `TVM999`; --rules lists them\n"),
        (&["--ignore", "TVM999", BEFORE], "there is no rule `TVM999`; --rules lists them"),
        (&["--ignore", "TVM001:x", BEFORE], "write RULE, or for one object RULE:KIND/NAMESPACE/NAME"),
        (&[], "required arguments were not provided"),
        (&["--rules", BEFORE], "cannot be used with"),
    ] {
        let done = run(args);
        assert_eq!((done.status.code(), done.stdout.len()), (Some(2), 0), "{args:?}: {}", said(&done));
        assert!(said(&done).contains(complaint), "{args:?}: {}", said(&done));
    }
}

#[test]
fn rules_are_listed_and_explained() {
    let list = text_of(&run(&["--rules"]));
    assert_eq!(list.lines().count(), rules().count());
    for rule in rules() {
        assert!(list.contains(&format!("{} {}", rule.id, rule.severity)), "{}", rule.id);
        let told = text_of(&run(&["--explain", rule.id]));
        assert!([rule.id, rule.name, rule.why, rule.remedy].iter().all(|text| told.contains(text)), "{told}");
        assert_eq!(text_of(&run(&["--explain", &rule.name.to_uppercase()])), told);
    }
}

/// The rules that are told.
pub(crate) fn told(done: &Output) -> Vec<String> {
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    report["findings"].as_array().unwrap().iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_rule_can_be_ignored_by_command_line_for_all_or_one_object() {
    let all = told(&run(&[BEFORE, "-o", "json"]));
    assert!(all.contains(&"TVM001".to_owned()) && all.contains(&"TVM201".to_owned()));
    let without = |ignore: &str| {
        let done = run(&[BEFORE, "-o", "json", "--ignore", ignore]);
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        (told(&done), report["ignored"].as_u64().unwrap())
    };
    let rest: Vec<_> = all.iter().filter(|rule| *rule != "TVM001").cloned().collect();
    assert_eq!(without("TVM001"), (rest.clone(), 1));
    assert_eq!(without("TVM001:VirtualMachine/shop/orders-0"), (rest, 1));
    assert_eq!(without("TVM001:VirtualMachine/shop/other"), (all.clone(), 0));
    let every: Vec<_> = all.iter().flat_map(|rule| ["--ignore", rule]).collect();
    let done = run(&[&[BEFORE, "-o", "json"], &every[..]].concat());
    assert_eq!((told(&done), done.status.code()), (Vec::new(), Some(0)));
    // In a list, and by their names.
    let names = all.iter().map(|id| rules().find(|rule| rule.id == id).unwrap().name.to_owned());
    for list in [all.join(","), all.join(", "), names.collect::<Vec<_>>().join(",")] {
        assert_eq!(without(&list), (Vec::new(), all.len() as u64), "{list}");
    }
    let listed = "TVM001:VirtualMachine/shop/other,serial-too-long:VirtualMachine/orders-0";
    assert_eq!(without(listed).1, 1);
}

#[test]
fn the_exit_code_tells_of_what_it_is_asked_for() {
    let (errors, warning, nothing) = (BEFORE, "examples/mongodb-vm/databasevm.yaml", "examples/check/after.yaml");
    for (fail_on, codes) in [("error", [1, 0, 0]), ("warning", [1, 1, 0]), ("note", [1, 1, 0]), ("never", [0, 0, 0])] {
        let code = |file| run(&["--fail-on", fail_on, file]).status.code().unwrap();
        assert_eq!([errors, warning, nothing].map(code), codes, "{fail_on}");
    }
    let note = text_of(&run(&["vm-tools/tests/vm/check/TVM017-fail.yaml"]));
    assert!(note.ends_with("0 errors, 0 warnings, 1 note in 1 object\n"), "{note}");
    let code = |fail_on| run(&["--fail-on", fail_on, "vm-tools/tests/vm/check/TVM017-fail.yaml"]).status.code();
    assert_eq!(["error", "warning", "note", "never"].map(code), [0, 0, 1, 0].map(Some));
    // What is ignored fails nothing.
    let ignored = run(&["--fail-on", "warning", "--ignore", "TVM210,TVM403", warning]);
    assert_eq!(ignored.status.code(), Some(0), "{}", said(&ignored));
}

#[test]
fn a_finding_has_its_line_in_text_and_json_from_a_file_and_from_standard_input() {
    let text = fs::read_to_string(repository().join(BEFORE)).unwrap();
    let line = 1 + text.lines().position(|line| line.trim() == "serial: orders-data-certificate").unwrap();
    let document = text.lines().take(line).filter(|line| *line == "---").count() + 1;
    for (done, file) in [(run(&[BEFORE]), BEFORE), (run_stdin(&text, &[]), "standard input")] {
        let wanted = format!("error TVM001 {file}:{line}: document {document}: VirtualMachine shop/orders-0\n");
        assert!(text_of(&done).contains(&wanted), "{wanted}{}", text_of(&done));
    }
    for done in [run(&[BEFORE, "-o", "json"]), run_stdin(&text, &["-o", "json"])] {
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["rule"] == "TVM001").unwrap();
        assert_eq!(found["line"].as_u64().unwrap(), line as u64);
        assert!(findings.iter().all(|finding| finding["line"].as_u64() > Some(0)));
    }
}

#[test]
fn a_rule_can_be_ignored_by_annotation_of_the_object_or_of_the_machine_that_it_concerns() {
    let text = fs::read_to_string(repository().join("examples/check/after.yaml")).unwrap();
    // In the Secret with the user data.
    let broken = text.replace("virtio-orders-0-data", "virtio-orders-1-data");
    let annotated = |name: &str| {
        let annotation =
            format!("metadata:\n  annotations: {{vm.tandem.internal/ignore: \"TVM009, TVM123\"}}\n  name: {name}\n");
        broken.replace(&format!("metadata:\n  name: {name}\n"), &annotation)
    };
    let check = |text: &str| told(&run_stdin(text, &["-o", "json"]));
    assert_eq!(check(&broken), ["TVM123"]);
    assert_eq!(check(&annotated("orders-0-userdata")), [""; 0]);
    assert_eq!(check(&annotated("web")), ["TVM123"]);
    // The machine, and a Service of its name.
    assert_eq!(check(&annotated("orders-0")), [""; 0]);
}

#[test]
fn objects_without_a_namespace_are_in_the_one_that_is_named() {
    let text = fs::read_to_string(repository().join("examples/check/after.yaml")).unwrap();
    // Of the first object, which is the Certificate.
    let text = text.replacen("  namespace: shop\n", "", 1);
    assert_eq!(told(&run_stdin(&text, &["-o", "json"])), ["TVM407", "TVM407"]);
    assert_eq!(told(&run_stdin(&text, &["-n", "shop", "-o", "json"])), [""; 0]);
}

#[test]
fn a_cron_job_that_restarts_stale_machines_is_enough_to_follow() {
    let text = crate::support::example("databasevm-debian.yaml");
    assert_eq!(told(&run_stdin(&text, &["-o", "json"])), ["TVM210"]);
    let restarted = text + "  restartStale: {schedule: 30 3 * * *, image: registry.example/tandem-vm:0.1}\n";
    assert_eq!(told(&run_stdin(&restarted, &["-o", "json"])), [""; 0]);
}

#[test]
fn no_example_has_an_error() {
    let mut looked_at = 0;
    for folder in fs::read_dir(repository().join("examples")).unwrap() {
        let folder = folder.unwrap().path();
        // That one is there to be found fault with.
        if folder.file_name().unwrap() == "check" {
            continue;
        }
        // One by one: some are alternatives to each other.
        for file in fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|end| end == "yaml") {
                let done = run(&[file.to_str().unwrap()]);
                assert_eq!(done.status.code(), Some(0), "{}", said(&done));
                looked_at += 1;
            }
        }
    }
    assert!(looked_at >= 5, "{looked_at}");
}

/// Of a README the commands in its blocks, each with the lines that it is said to print: `$ COMMAND` in console blocks, every line in sh
/// blocks.
fn commands(readme: &str) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    let mut block = None;
    for line in readme.lines() {
        match (block, line) {
            (_, "```") => block = None,
            (None, line) if line.starts_with("```") => block = Some(&line[3..]),
            (Some("sh"), line) => all.push((line.to_owned(), Vec::new())),
            (Some("console"), line) => match line.strip_prefix("$ ") {
                Some(command) => all.push((command.to_owned(), Vec::new())),
                None => all.last_mut().unwrap().1.push(line.to_owned()),
            },
            _ => {}
        }
    }
    all
}

#[test]
fn the_commands_of_the_page_and_of_the_example_work() {
    let bin = Path::new(env!("CARGO_BIN_EXE_tandem-vm")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut tried = 0;
    for page in ["examples/check/README.md", "docs/checks.md"] {
        let text = fs::read_to_string(repository().join(page)).unwrap();
        for (command, expected) in commands(&text) {
            let mut bash = Command::new("bash");
            let done = output(bash.args(["-c", &command]).env("PATH", &path).current_dir(repository()));
            assert!(
                done.stderr.is_empty() && [0, 1].contains(&done.status.code().unwrap()),
                "{command}: {}",
                said(&done)
            );
            let printed: Vec<_> = text_of(&done).lines().map(str::to_owned).collect();
            let lines: Vec<_> = expected.iter().take_while(|line| *line != "…").collect();
            assert_eq!(printed.iter().take(lines.len()).collect::<Vec<_>>(), lines, "{command}");
            assert!(!printed.is_empty(), "{command}");
            tried += 1;
        }
    }
    assert!(tried >= 6, "{tried}");
}

#[test]
fn help_names_the_page_and_both_name_rules_that_exist() {
    let help = said(&run(&["--help"]));
    assert!(help.contains("docs/checks.md"));
    let page = fs::read_to_string(repository().join("docs/checks.md")).unwrap();
    for text in [help, page] {
        for (at, _) in text.match_indices("TVM") {
            let id = &text[at..at + 6];
            assert!(rules().any(|rule| rule.id == id), "{id}");
        }
    }
}

#[test]
fn nothing_secret_is_printed() {
    let marker = "bm8tb25lLW1heS1yZWFkLXRoaXM";
    let text = fs::read_to_string(repository().join(BEFORE)).unwrap();
    let text = text
        .replace("not-a-secret@", &format!("{marker}@"))
        // No keyFile may have this character.
        .replace("dGhpcy1pcy1hbi1leGFtcGxlLWFuZC1uby1zZWNyZXQ=", &format!("'{marker}!'"))
        .replace("#cloud-config\n", &format!("#cloud-config\n              password: {marker}\n"))
        + &format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: orders-keyfile, namespace: shop}}\n\
             stringData: {{keyfile: '{marker}!', tls.key: '-----BEGIN PRIVATE KEY-----{marker}'}}\n"
        );
    for format in ["text", "json", "sarif"] {
        let done = said(&run_stdin(&text, &["-o", format]));
        for rule in ["TVM106", "TVM130", "TVM406"] {
            assert!(done.contains(rule), "{rule}: {done}");
        }
        assert!(!done.contains(&marker[..8]), "{done}");
    }
}
