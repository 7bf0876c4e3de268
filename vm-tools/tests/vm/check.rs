//! `tandem-vm check`: its three forms of output, its exit codes, and what it may never do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jsonschema::{Draft, Validator};
use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_vm::check::{Severity, check, rules};
use tandem_vm::model::Stream;

use crate::command::{tandem_vm, with_stdin};
use crate::support::{output, said};
use crate::{model, properties};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `check` of these arguments, in the repository's root.
fn run(args: &[&str]) -> Output {
    output(tandem_vm().arg("check").args(args).current_dir(repository()))
}

fn run_stdin(text: &str, args: &[&str]) -> Output {
    with_stdin(text.as_bytes(), "check", args)
}

const BEFORE: &str = "examples/check/before.yaml";

fn text_of(done: &Output) -> String {
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
fn many_faults_as_sarif() {
    let done = run(&[BEFORE, "-o", "sarif"]);
    assert_eq!((done.status.code(), done.stderr.len()), (Some(1), 0));
    // The rules are in the log as they are in docs/checks.md; here only those of two.
    let mut log: Value = serde_json::from_slice(&done.stdout).unwrap();
    let driver = &mut log["runs"][0]["tool"]["driver"];
    driver["semanticVersion"] = "VERSION".into();
    driver["rules"].as_array_mut().unwrap().truncate(2);
    insta::assert_snapshot!(serde_json::to_string_pretty(&log).unwrap());
}

/// Of SARIF 2.1.0 (sections 3.13 to 3.51) the objects that are written, with nothing else allowed in them.
fn sarif_in_short() -> Value {
    let message = json!({"type": "object", "required": ["text"], "additionalProperties": false,
        "properties": {"text": {"type": "string", "minLength": 1}}});
    let level = json!({"enum": ["none", "note", "warning", "error"]});
    let rule = json!({"type": "object", "required": ["id"], "additionalProperties": false, "properties": {
        "id": {"type": "string"}, "name": {"type": "string"}, "shortDescription": message, "fullDescription": message, "help": message,
        "defaultConfiguration": {"type": "object", "additionalProperties": false, "properties": {"level": level}}}});
    let location = json!({"type": "object", "additionalProperties": false, "properties": {
        "physicalLocation": {"type": "object", "additionalProperties": false, "properties": {
            "artifactLocation": {"type": "object", "additionalProperties": false, "properties": {"uri": {"type": "string"}}},
            "region": {"type": "object", "additionalProperties": false,
                "properties": {"startLine": {"type": "integer", "minimum": 1}}}}},
        "logicalLocations": {"type": "array", "uniqueItems": true, "items": {"type": "object", "additionalProperties": false,
            "properties": {"name": {"type": "string"}, "fullyQualifiedName": {"type": "string"}, "kind": {"type": "string"}}}}}});
    let result = json!({"type": "object", "required": ["message"], "additionalProperties": false, "properties": {
        "ruleId": {"type": "string"}, "ruleIndex": {"type": "integer", "minimum": 0}, "level": level, "message": message,
        "locations": {"type": "array", "items": location}}});
    let driver = json!({"type": "object", "required": ["name"], "additionalProperties": false, "properties": {
        "name": {"type": "string"}, "semanticVersion": {"type": "string"},
        "rules": {"type": "array", "uniqueItems": true, "items": rule}}});
    let run = json!({"type": "object", "required": ["tool"], "additionalProperties": false, "properties": {
        "tool": {"type": "object", "required": ["driver"], "additionalProperties": false, "properties": {"driver": driver}},
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]}, "results": {"type": "array", "items": result}}});
    json!({"type": "object", "required": ["version", "runs"], "additionalProperties": false, "properties": {
        "$schema": {"type": "string"}, "version": {"const": "2.1.0"}, "runs": {"type": "array", "items": run}}})
}

/// The schema above, and OASIS's own where the environment names it (`SARIF_SCHEMA=FILE`).
fn sarif_schemas() -> Vec<Validator> {
    let published = std::env::var_os("SARIF_SCHEMA").map(|path| {
        let mut schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        // A pattern there is no regular expression: it closes a bracket that is not open.
        for object in ["run", "toolComponent"] {
            schema["definitions"][object]["properties"]["language"].as_object_mut().unwrap().remove("pattern");
        }
        schema
    });
    let build = |schema: &Value| jsonschema::options().with_draft(Draft::Draft7).build(schema).unwrap();
    [Some(sarif_in_short()), published].iter().flatten().map(build).collect()
}

#[test]
fn sarif_is_what_the_standard_says() {
    for args in [&[BEFORE][..], &["examples/check/after.yaml"], &["examples/mongodb-vm"]] {
        let done = run(&[args, &["-o", "sarif"]].concat());
        let log: Value = serde_json::from_slice(&done.stdout).unwrap();
        for schema in sarif_schemas() {
            let faults: Vec<_> =
                schema.iter_errors(&log).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
            assert_eq!(faults, [""; 0], "{args:?}");
        }
        for result in log["runs"][0]["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        }
    }
}

#[test]
fn the_sarif_schemas_find_planted_faults() {
    let good: Value = serde_json::from_slice(&run(&[BEFORE, "-o", "sarif"]).stdout).unwrap();
    for (pointer, fault) in [
        ("/version", json!("2.0.0")),
        ("/runs/0/results/0/level", json!("fatal")),
        ("/runs/0/results/0/ruleIndex", json!(-2)),
        ("/runs/0/tool/driver", json!({})),
        ("/runs/0/results/0/locations/0", json!({"physicalLocation": {"uri": "x"}})),
    ] {
        let mut log = good.clone();
        *log.pointer_mut(pointer).unwrap() = fault;
        assert!(sarif_schemas().iter().all(|schema| !schema.is_valid(&log)), "{pointer}");
    }
}

#[test]
fn files_in_sarif_are_uris() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("a b%.yaml");
    fs::copy(repository().join(BEFORE), &file).unwrap();
    let done = run(&[file.to_str().unwrap(), "-o", "sarif"]);
    let log: Value = serde_json::from_slice(&done.stdout).unwrap();
    let uri = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    let uri = uri.as_str().unwrap();
    assert!(uri.starts_with("file:///") && uri.ends_with("/a%20b%25.yaml"), "{uri}");
    // Standard input has no file to point at.
    let done = run_stdin(&fs::read_to_string(&file).unwrap(), &["-o", "sarif"]);
    let log: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(log["runs"][0]["results"][0]["locations"][0].get("physicalLocation").is_none());
}

/// What a line of a file says that a finding in SARIF points at.
fn pointed_at(file: &Path) -> Vec<(String, String)> {
    let done = run(&[file.to_str().unwrap(), "-o", "sarif"]);
    let log: Value = serde_json::from_slice(&done.stdout).unwrap();
    let text = fs::read_to_string(file).unwrap();
    let line = |result: &Value| {
        let line = result["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64().unwrap();
        let line = text.lines().nth(usize::try_from(line).unwrap() - 1).unwrap();
        (result["ruleId"].as_str().unwrap().to_owned(), line.trim().to_owned())
    };
    log["runs"][0]["results"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn sarif_points_at_the_line_of_the_field() {
    let found = pointed_at(&repository().join(BEFORE));
    for (rule, line) in [
        ("TVM001", "serial: orders-data-certificate"),
        ("TVM013", "running: true"),
        ("TVM201", "issuerRef:"),
        ("TVM122", "userData: |"),
        ("TVM302", "podSelector:"),
        ("TVM404", "subPath: ca.crt"),
    ] {
        assert!(found.contains(&(rule.to_owned(), line.to_owned())), "{rule}: {line}: {found:#?}");
    }
    // What is not there is pointed at by what it is missing from; what is rendered, by its document.
    let fixture = |name: &str| pointed_at(&repository().join("vm-tools/tests/vm/check").join(name));
    assert_eq!(fixture("TVM205-fail.yaml"), [("TVM205".to_owned(), "spec:".to_owned())]);
    let rendered = pointed_at(&repository().join("examples/mongodb-vm/databasevm-debian.yaml"));
    assert_eq!(rendered, [("TVM210".to_owned(), "apiVersion: vm.tandem.internal/v1alpha1".to_owned())]);
    // In a List, and behind keys with dots in them.
    let folder = tempfile::TempDir::new().unwrap();
    let list = folder.path().join("list.json");
    let items = "{\n\"apiVersion\": \"v1\",\n\"kind\": \"List\",\n\"items\": [\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \
                 \"metadata\": {\"name\": \"a\"}},\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\n\
                 \"annotations\": {\n\"vm.tandem.internal/ignore\": \"TVM1\"}}}]}\n";
    fs::write(&list, items).unwrap();
    let line = "\"vm.tandem.internal/ignore\": \"TVM1\"}}}]}".to_owned();
    assert_eq!(pointed_at(&list), [("TVM901".to_owned(), line)]);
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
    }
}

/// The rules that are told.
fn told(done: &Output) -> Vec<String> {
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

/// What a check of a text finds, in all forms of output; `None` where it is no stream.
fn all_forms(text: &str) -> Option<(usize, String)> {
    let stream = Stream::read(&["-".into()], &mut text.as_bytes(), "shop").ok()?;
    let report = check(&stream, &[]);
    let texts = BTreeMap::from([("standard input".to_owned(), text.to_owned())]);
    Some((report.count(Severity::Error), report.text() + &report.json().unwrap() + &report.sarif(&texts).unwrap()))
}

/// User data that says much of what the rules look for, in any order.
fn any_user_data() -> impl Strategy<Value = String> {
    let pieces = [
        "#cloud-config",
        "\n",
        "runcmd:",
        "bootcmd:",
        "write_files:",
        "- ",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "\"",
        "'",
        "|",
        "*",
        "&a",
        "*a",
        "/dev/vdb",
        "/dev/disk/by-id/",
        "virtio-",
        "*-tls",
        "$SERIAL",
        "grep ",
        "lsblk ",
        "mongodb://",
        "a:b@",
        "host=",
        ":27017",
        ",",
        "keyFile: ",
        "--keyFile ",
        "/etc/key",
        "path: ",
        "content: ",
        "permissions: ",
        "0400",
        "644",
        "owner: ",
        "mounts: ",
        "LABEL=",
        "encoding: b64",
        "clusterAuthMode: x509",
        "tls.key",
        "cat ",
        "\u{e9}",
        "\0",
        "\u{feff}",
        "#",
        "## template: jinja",
        "\r\n",
    ];
    proptest::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_render_makes_has_no_errors(document in properties::document()) {
        let text = serde_yaml::to_string(&document).unwrap();
        let (errors, said) = all_forms(&text).unwrap();
        prop_assert_eq!(errors, 0, "{}", said);
    }

    #[test]
    fn no_manifest_makes_it_panic_and_the_same_gives_the_same(text in model::any_manifest()) {
        prop_assert_eq!(all_forms(&text), all_forms(&text));
    }

    #[test]
    fn no_user_data_makes_it_panic(text in prop_oneof![any_user_data(), any_user_data().prop_map(|text| format!("#cloud-config\n{text}"))]) {
        let user_data = serde_json::to_string(&text).unwrap();
        let machine = example_machine().replace("USER_DATA", &user_data);
        if let Some((_, said)) = all_forms(&machine) {
            prop_assert!(said.contains("in 1 object"));
        }
    }

    #[test]
    fn no_damage_to_the_example_makes_it_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..20, "[ -~\n\u{e9}]{0,6}"), 1..6)
    ) {
        let mut text: Vec<char> = fs::read_to_string(repository().join(BEFORE)).unwrap().chars().collect();
        for (index, remove, insert) in edits {
            let at = index.index(text.len());
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
        }
        all_forms(&text.into_iter().collect::<String>());
    }
}

fn example_machine() -> String {
    "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: a}\nspec: {template: {spec: {domain: {devices: {disks: [\
     {name: root, disk: {bus: virtio}}, {name: tls, disk: {bus: virtio}, serial: tls}, {name: seed, disk: {bus: virtio}}]}}, volumes: [\
     {name: root, persistentVolumeClaim: {claimName: a}}, {name: tls, secret: {secretName: tls}}, \
     {name: seed, cloudInitNoCloud: {userData: USER_DATA}}]}}}\n"
        .to_owned()
}

#[test]
fn a_hundred_machines_take_no_time_worth_mentioning() {
    let start = std::time::Instant::now();
    let before = fs::read_to_string(repository().join(BEFORE)).unwrap();
    let many: String = (0..100).map(|i| before.replace("shop", &format!("shop-{i}")) + "---\n").collect();
    let (errors, _) = all_forms(&many).unwrap();
    let (one, _) = all_forms(&before).unwrap();
    assert_eq!(errors, 100 * one);
    assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
}
