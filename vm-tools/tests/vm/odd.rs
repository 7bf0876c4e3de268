//! Documents that can be read and are odd: at each place stands something else than a command expects, and texts are written in ways that
//! nobody is used to. Whatever comes, a command ends with one of its exit codes, names the file and the document that are at fault, and leaves
//! files as they were or as they are to be.

mod made;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_yaml::Value;
use tempfile::TempDir;

use self::made::{documents, odd_in_each_object, odd_in_one_place, stream, written_oddly};
use crate::inject::manifest;
use crate::krm::list;
use crate::mongod_conf::CONF;
use crate::support::example;

/// A command that is given a document, and what may come of it.
#[derive(Clone, Copy)]
struct Given {
    /// Its arguments; `FILE` stands for the document, `DIR` for a folder to write to.
    arguments: &'static str,
    /// The exit codes that it has beside 2.
    codes: &'static [u8],
    /// The document is its standard input.
    stdin: bool,
    /// It writes to the file that it reads, if it ends with 0.
    in_place: bool,
}

const fn given(arguments: &'static str, codes: &'static [u8]) -> Given {
    Given { arguments, codes, stdin: false, in_place: false }
}

const CHECK: [Given; 3] =
    [given("check FILE", &[0, 1]), given("check FILE -o json -n odd", &[0, 1]), given("check FILE -o sarif", &[0, 1])];
const PLAN: [Given; 2] = [
    given("rotation-plan FILE --now 2026-11-21T12:00:00Z --count 3", &[0, 1]),
    given("rotation-plan FILE --now 2026-11-21T12:00:00Z --until 2030-01-01T00:00:00Z -o json", &[0, 1]),
];
const RENDER: [Given; 1] = [given("render FILE --output-dir DIR", &[0])];
const INJECT: [Given; 2] = [
    Given { in_place: true, ..given("inject --secret db-tls --in-place FILE", &[0]) },
    given("inject --secret db-tls --delivery filesystem --database postgresql --os debian FILE", &[0]),
];
const REMOVE: [Given; 1] = [Given { in_place: true, ..given("inject --remove --in-place FILE", &[0]) }];
const KRM: [Given; 1] = [Given { stdin: true, ..given("krm", &[0]) }];
const MONGOD: [Given; 2] = [
    Given {
        in_place: true,
        ..given("mongod-conf FILE --in-place --mode requireTLS --cert /a.pem --ca /ca.crt --repl-set rs0", &[0])
    },
    given("mongod-conf FILE --port 2 --set net.ipv6=true -o json", &[0]),
];

/// What a command says where the fault is in none of the files alone.
const OF_ALL: [&str; 3] = ["there is no VM in the input", "there are several VMs", "no Certificate of cert-manager"];

/// A folder in which commands are given documents one after the other.
struct Desk {
    folder: TempDir,
    file: PathBuf,
    faults: Vec<String>,
    /// How often a command ended with 0 or 1, and how often with 2.
    ended: [usize; 2],
}

impl Desk {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("odd.yaml");
        Self { folder, file, faults: Vec::new(), ended: [0, 0] }
    }

    fn give(&mut self, command: &Given, text: &str) {
        if let Err(fault) = self.run(command, text) {
            self.faults.push(format!("tandem-vm {}: {fault}\n{text}\n", command.arguments));
        }
    }

    fn run(&mut self, command: &Given, text: &str) -> Result<(), String> {
        let dir = self.folder.path().join("out");
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let word = |word: &str| match word {
            "FILE" => path(&self.file),
            "DIR" => path(&dir),
            word => word.to_owned(),
        };
        let words = ["tandem-vm"].into_iter().chain(command.arguments.split(' ')).map(word);
        fs::write(&self.file, text).unwrap();
        let (mut stdin, mut stdout, mut stderr) =
            (if command.stdin { text.as_bytes() } else { b"".as_slice() }, Vec::new(), Vec::new());
        let words: Vec<_> = words.map(Into::into).collect();
        let run = || tandem_vm::cli::run(words, &mut stdin, &mut stdout, &mut stderr);
        let code = catch_unwind(AssertUnwindSafe(run)).map_err(|_| "panics".to_owned())?;
        let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let after = fs::read_to_string(&self.file).unwrap();
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {stdout}{stderr}")) };
        if command.codes.iter().any(|known| code == ExitCode::from(*known)) {
            self.ended[0] += 1;
            holds(command.in_place || after == text, "its input has changed")?;
            let written = if command.in_place { &after } else { &stdout };
            let read = serde_yaml::Deserializer::from_str(written).map(serde::Deserialize::deserialize);
            let read = read.collect::<Result<Vec<Value>, _>>();
            // A table for people is no YAML.
            holds(
                command.arguments.starts_with("check FILE") || read.is_ok() || command.codes.contains(&1),
                "what it writes is no YAML",
            )?;
            let _ = fs::remove_dir_all(&dir);
            return Ok(());
        }
        self.ended[1] += 1;
        holds(code == ExitCode::from(2), "its exit code is none of its own")?;
        holds(after == text && !dir.exists(), "it has failed, and has written")?;
        holds(stdout.is_empty() || command.stdin, "it has failed, and prints")?;
        holds(
            !stderr.is_empty() && !stderr.chars().any(|c| c.is_control() && c != '\n'),
            "it says nothing, or moves the cursor",
        )?;
        for line in stderr.lines() {
            // Of the one list on standard input there is no need to say which it is.
            let named =
                command.stdin || line.contains("odd.yaml: ") || OF_ALL.iter().any(|general| line.contains(general));
            holds(line.starts_with("tandem-vm: ") && line.len() < 900, "not a line of ours")?;
            holds(named, "it names no file")?;
        }
        Ok(())
    }

    /// Sees to it that there was no fault, and that enough was taken and enough refused for that to mean something.
    fn end(self, taken: usize, refused: usize) {
        // One of each kind is enough.
        let mut kinds = BTreeMap::new();
        for fault in &self.faults {
            kinds.entry(fault.chars().take(150).collect::<String>()).or_insert(fault.as_str());
        }
        let first: Vec<_> = kinds.into_values().take(10).collect();
        assert!(self.faults.is_empty(), "{} faults, such as\n{}", self.faults.len(), first.join("\n"));
        assert!(self.ended[0] >= taken && self.ended[1] >= refused, "taken and refused: {:?}", self.ended);
    }
}

fn valid() -> Vec<Value> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/check/valid.yaml")).unwrap();
    // To the API server a binary is a text; here it is a tag that nobody knows.
    documents(&text.replace("!!binary ", ""))
}

/// A VM, its certificate and its clients, as `check` and `rotation-plan` look at them together.
fn scenario() -> Vec<Value> {
    let rendered = crate::support::render(&example("mongodb-replica-set/databasevm-keyfile.yaml"));
    rendered.manifests.iter().map(|object| serde_yaml::to_value(object).unwrap()).collect()
}

#[test]
fn check_takes_any_value_in_any_place() {
    let mut desk = Desk::new();
    for (turn, text) in [odd_in_each_object(&valid()), odd_in_each_object(&scenario())].concat().iter().enumerate() {
        desk.give(&CHECK[turn % CHECK.len()], text);
    }
    desk.end(100, 1);
}

#[test]
fn rotation_plan_takes_any_value_in_any_place() {
    let mut desk = Desk::new();
    let [certificate, machine] = ["Certificate", "VirtualMachine"]
        .map(|kind| scenario().into_iter().find(|object| object["kind"] == *kind).unwrap());
    for (turn, text) in odd_in_each_object(&[certificate.clone(), machine.clone()]).iter().enumerate() {
        desk.give(&PLAN[turn % PLAN.len()], text);
    }
    for (turn, certificate) in odd_in_one_place(&certificate, 1).into_iter().enumerate() {
        desk.give(&PLAN[turn % PLAN.len()], &stream(&[certificate, machine.clone()]));
    }
    desk.end(100, 1);
}

#[test]
fn render_takes_any_value_in_any_place() {
    let mut desk = Desk::new();
    for name in [
        "postgresql-vm/databasevm-rhel.yaml",
        "mongodb-replica-set/databasevm-keyfile.yaml",
        "files-only/databasevm.yaml",
    ] {
        let document = documents(&example(name)).remove(0);
        for odd in odd_in_one_place(&document, 1) {
            desk.give(&RENDER[0], &serde_yaml::to_string(&odd).unwrap());
        }
    }
    desk.end(20, 500);
}

#[test]
fn inject_takes_any_value_in_any_place() {
    let mut desk = Desk::new();
    for name in ["inline.yaml", "secret-string.yaml"] {
        let objects = documents(&manifest(name));
        for (index, object) in objects.iter().enumerate() {
            for (turn, odd) in odd_in_one_place(object, 24).into_iter().enumerate() {
                let mut objects = objects.clone();
                objects[index] = odd;
                desk.give(&INJECT[turn % INJECT.len()], &stream(&objects));
            }
        }
    }
    desk.end(20, 20);
}

#[test]
fn remove_takes_any_value_in_any_place() {
    let mut desk = Desk::new();
    let injected = crate::inject::injected(&manifest("inline.yaml"), &crate::inject::options("orders"));
    let objects = documents(&injected);
    for (index, object) in objects.iter().enumerate() {
        for odd in odd_in_one_place(object, 4) {
            let mut objects = objects.clone();
            objects[index] = odd;
            desk.give(&REMOVE[0], &stream(&objects));
        }
    }
    desk.end(20, 5);
}

/// In a machine, and in the Secret that it names.
#[test]
fn user_data_may_have_any_value_in_any_place() {
    let mut desk = Desk::new();
    let machine = documents(&manifest("inline.yaml")).remove(0);
    let config: Value = serde_yaml::from_str(
        "{write_files: [{path: /etc/a, content: aGk=, encoding: b64, permissions: '0644', owner: 'root:root', defer: true}], \
         runcmd: [[mount, /dev/disk/by-id/virtio-tls, /mnt], ls /dev/vdb], bootcmd: [ls], packages: [vim], users: [default, {name: a}], \
         mounts: [[LABEL=a, /mnt, virtiofs]], groups: {a: [b]}, merge_how: 'list(append)'}",
    )
    .unwrap();
    for (turn, odd) in odd_in_one_place(&config, 12).into_iter().enumerate() {
        let text = format!("#cloud-config\n{}", serde_yaml::to_string(&odd).unwrap());
        let mut machine = machine.clone();
        let volumes = machine["spec"]["template"]["spec"]["volumes"].as_sequence_mut().unwrap();
        let source = volumes.iter_mut().find_map(|volume| volume.get_mut("cloudInitNoCloud")).unwrap();
        source["userData"] = text.into();
        let text = stream(&[machine]);
        desk.give(&INJECT[turn % INJECT.len()], &text);
        desk.give(&CHECK[turn % CHECK.len()], &text);
    }
    desk.end(50, 1);
}

#[test]
fn krm_takes_any_value_in_any_place() {
    let mut desk = Desk::new();
    let spec = "{secret: shop-tls, vm: orders, delivery: disk, database: postgresql, os: debian, service: [a.service], keepConfig: true, reload: none}";
    let list = documents(&list(&manifest("inline.yaml"), spec)).remove(0);
    for odd in odd_in_one_place(&list, 24) {
        desk.give(&KRM[0], &serde_yaml::to_string(&odd).unwrap());
    }
    desk.end(10, 10);
}

#[test]
fn mongod_conf_takes_any_value_in_any_place() {
    let mut desk = Desk::new();
    let tls = "  tls: {mode: preferTLS, certificateKeyFile: /a.pem, CAFile: /b.pem}\n";
    let conf = documents(&CONF.replace("net:\n", &format!("net:\n{tls}"))).remove(0);
    for (turn, odd) in odd_in_one_place(&conf, 1).into_iter().enumerate() {
        desk.give(&MONGOD[turn % MONGOD.len()], &serde_yaml::to_string(&odd).unwrap());
    }
    desk.end(100, 50);
}

#[test]
fn texts_may_be_written_in_any_way() {
    let mut desk = Desk::new();
    let inline = manifest("inline.yaml");
    let krm = list(&inline, "{secret: tls}");
    let spec = example("databasevm.yaml");
    for (text, commands) in [
        (&inline, &[&CHECK[..], &PLAN, &INJECT, &REMOVE].concat()[..]),
        (&spec, &[&CHECK[..], &PLAN, &RENDER].concat()),
        (&krm, &KRM),
        (&CONF.to_owned(), &MONGOD),
    ] {
        for odd in written_oddly(text) {
            for command in commands {
                desk.give(command, &odd);
            }
        }
    }
    desk.end(200, 200);
}
