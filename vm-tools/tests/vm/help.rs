//! Each command's `--help` has examples, and they work: they are run as they stand there.
//!
//! An example is a paragraph below the line `Examples:` (or `Example:`) of a command's `after_long_help`: lines indented
//! by two spaces, first what it is for (`# …`), then what to type; paragraphs that are not indented are prose. Bash runs it
//! in a folder with the files of [`sandbox`], in which kubectl only looks at what it is given. What an example needs beyond
//! that, [`way`] says.

use std::any::Any;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::support::{example, example_path, output, program, renamed, render, said};
use crate::verify::{
    mongodb::mongod,
    secrets::manifest,
    servers::{self, postgresql_programs},
};

/// How the examples of a command are tried.
#[derive(Clone, Copy)]
enum Way {
    /// They are run, and end with this exit code.
    Run(i32),
    /// Their arguments are parsed, nothing more: they need a cluster, and another test runs them in one.
    Parse,
    /// Their endpoint is a PostgreSQL, real; its Secret is what `kubectl get` prints, and read from a file where they read it
    /// from the cluster by themselves.
    PostgreSql,
    /// The same with what speaks as mongod does, to clients with a certificate.
    MongoDb,
}

/// How an example of a command is tried, by what it says: an example that is not named here is run and must succeed.
fn way(command: &str, example: &str) -> Way {
    match command {
        "stale" | "verify" if example.contains("--protocol postgresql") => Way::PostgreSql,
        "verify" => Way::MongoDb,
        // tests/tests/e2e/stale/told.rs
        "stale" => Way::Parse,
        // A disk does not follow its Secret.
        "rotation-plan" if example.contains("kubectl") => Way::Run(1),
        _ => Way::Run(0),
    }
}

/// A folder with the files that examples speak of. Add what yours needs.
fn sandbox() -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = |path: &str| folder.path().join(path);
    for dir in ["bin", "databasevms", "home/.config/fish/completions", "home/.local/share/man"] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    fs::copy(example_path("databasevm.yaml"), at("databasevm.yaml")).unwrap();
    fs::copy(example_path("databasevm.yaml"), at("databasevms/one.yaml")).unwrap();
    let keyfile = "mongodb-replica-set/databasevm-keyfile.yaml";
    fs::copy(example_path(keyfile), at("databasevm-keyfile.yaml")).unwrap();
    fs::copy(example_path("inject-own-vm/vm.yaml"), at("vm.yaml")).unwrap();
    let replica =
        |name: &str| example("inject-own-vm/vm.yaml").replace("  name: shop-db\n", &format!("  name: {name}\n"));
    fs::write(at("replicas.yaml"), format!("{}---\n{}", replica("web-0"), replica("web-1"))).unwrap();
    fs::write(at("resourcelist.yaml"), crate::krm::list(&example("inject-own-vm/vm.yaml"), "{secret: tls}")).unwrap();
    fs::write(at("databasevms/two.yaml"), renamed("databasevm-debian.yaml", "two")).unwrap();
    fs::write(at("mongod.conf"), "net:\n  port: 27017\n").unwrap();
    let manifests = render(&example("databasevm.yaml")).manifests;
    let list = tandem_vm::output::stream(&manifests, tandem_vm::output::Format::Json).unwrap();
    fs::write(at("got.yaml"), list).unwrap();
    symlink(env!("CARGO_BIN_EXE_tandem-vm"), at("bin/tandem-vm")).unwrap();
    // Without a cluster: what would be applied is looked at afterwards, and what it gets a test has put there.
    let kubectl =
        "case $* in 'apply -f -' | 'create -f -') cat > applied.yaml ;; *' get '*) cat got.yaml ;; *) exit 1 ;; esac";
    program(&at("bin/kubectl"), &format!("set -eu\n{kubectl}"));
    folder
}

/// The examples of a help text: paragraphs without their indentation.
fn examples(help: &str) -> Result<Vec<String>, String> {
    let (heading, body) = help.split_once('\n').unwrap_or_default();
    if !["Example:", "Examples:"].contains(&heading) {
        return Err("its examples do not begin with the line `Examples:`".to_owned());
    }
    let paragraphs = body.split("\n\n").filter(|paragraph| paragraph.starts_with(' '));
    let line =
        |line: &str| line.strip_prefix("  ").map(str::to_owned).ok_or(format!("not indented by two spaces: {line}"));
    let example = |paragraph: &str| Ok(paragraph.lines().map(line).collect::<Result<Vec<_>, String>>()?.join("\n"));
    let examples: Vec<_> = paragraphs.map(example).collect::<Result<_, String>>()?;
    if examples.is_empty() { Err("no example stands below `Examples:`".to_owned()) } else { Ok(examples) }
}

/// What is wrong with the examples of these commands, a text each.
fn problems(command: &clap::Command, way: impl Fn(&str, &str) -> Way) -> Vec<String> {
    let mut all = Vec::new();
    for command in command.get_subcommands() {
        let name = command.get_name();
        let Some(help) = command.get_after_long_help() else {
            all.push(format!(
                "`tandem-vm {name}` has no example: give its variant in src/cli/mod.rs \
                 #[command(after_long_help = …::EXAMPLE)]; tests/vm/help.rs says how examples are written and tried"
            ));
            continue;
        };
        match examples(&help.to_string()) {
            Err(problem) => all.push(format!("`tandem-vm {name} --help`: {problem}")),
            Ok(examples) => all.extend(examples.iter().filter_map(|example| {
                let tried = attempt(name, example, way(name, example));
                tried.err().map(|problem| format!("`tandem-vm {name} --help`: {problem}, in the example\n{example}\n"))
            })),
        }
    }
    all
}

fn attempt(name: &str, example: &str, way: Way) -> Result<(), String> {
    if !example.contains(&format!("tandem-vm {name}")) {
        return Err("it does not use the command".to_owned());
    }
    let folder = sandbox();
    let mut example = example.to_owned();
    let mut server: Option<Box<dyn Any>> = None;
    let expected = match way {
        Way::Run(code) => code,
        Way::PostgreSql | Way::MongoDb => {
            let secret = servers::secret(&servers::ca("internal-ca"), &servers::leaf());
            let port = if matches!(way, Way::PostgreSql) {
                let Some(programs) = postgresql_programs() else { return Ok(()) };
                let rules = "hostssl all all all scram-sha-256\n";
                let started = servers::postgresql(&programs, secret.path(), rules, &["ssl=on"]);
                let port = started.port;
                server = Some(Box::new(started));
                port
            } else {
                let started = mongod(secret.path(), "requireTLS", false);
                let port = started.port;
                server = Some(Box::new(started));
                port
            };
            example = with_value(&example, "--endpoint", &format!("--endpoint 127.0.0.1:{port}"));
            example = with_value(&example, "--secret", "--file got.yaml");
            fs::write(folder.path().join("got.yaml"), manifest(secret.path()).to_string()).unwrap();
            0
        }
        Way::Parse => {
            let recorder = folder.path().join("bin/tandem-vm");
            fs::remove_file(&recorder).unwrap();
            program(&recorder, "set -eu\nfor word; do printf '%s\\0' \"$word\"; done > \"$ARGUMENTS\"");
            0
        }
    };
    let arguments = folder.path().join("arguments");
    let done = output(
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", &example])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().join("bin").display()))
            .env("HOME", folder.path().join("home"))
            .env("ARGUMENTS", &arguments),
    );
    drop(server);
    if done.status.code() != Some(expected) {
        return Err(format!("{}, expected exit code {expected}; it said:\n{}\n", done.status, said(&done)));
    }
    if matches!(way, Way::Parse) {
        let words = fs::read_to_string(arguments).map_err(|error| format!("the command was not run: {error}"))?;
        let words = std::iter::once("tandem-vm").chain(words.split_terminator('\0'));
        tandem_vm::cli::command().try_get_matches_from(words).map_err(|error| error.to_string())?;
    }
    match fs::read_to_string(folder.path().join("applied.yaml")) {
        Ok(applied) => check_applied(&applied),
        Err(_) => Ok(()),
    }
}

/// An example with something else in place of an option and its value.
fn with_value(example: &str, option: &str, other: &str) -> String {
    let Some((before, rest)) = example.split_once(&format!("{option} ")) else { return example.to_owned() };
    format!("{before}{other}{}", rest.trim_start_matches(|c: char| !c.is_whitespace()))
}

/// What `kubectl apply` would ask of each document before it asks the cluster.
fn check_applied(stream: &str) -> Result<(), String> {
    let mut count = 0;
    for document in serde_yaml::Deserializer::from_str(stream) {
        let object: serde_json::Value = serde::Deserialize::deserialize(document).map_err(|error| error.to_string())?;
        for field in ["/apiVersion", "/kind", "/metadata/name"] {
            object.pointer(field).and_then(serde_json::Value::as_str).ok_or(format!("an object without {field}"))?;
        }
        count += 1;
    }
    if count == 0 { Err("nothing is applied".to_owned()) } else { Ok(()) }
}

#[test]
fn every_command_has_examples_and_they_work() {
    let problems = problems(&tandem_vm::cli::command(), way);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// `--help` breaks long lines, and one that is broken cannot be typed.
#[test]
fn examples_stand_in_the_help_as_they_are() {
    for command in tandem_vm::cli::command().get_subcommands() {
        let help = output(tandem_vm().args([command.get_name(), "--help"]));
        let examples = command.get_after_long_help().unwrap().to_string();
        assert!(help.status.success() && said(&help).contains(&examples), "{}", said(&help));
    }
}

#[test]
fn an_example_that_is_missing_or_does_not_work_is_found() {
    let command = |help: Option<&'static str>| {
        let render = clap::Command::new("render");
        clap::Command::new("tandem-vm").subcommand(match help {
            Some(help) => render.after_long_help(help),
            None => render,
        })
    };
    let finds = |help, way: Way, expected: &str| {
        let found = problems(&command(help), |_, _| way).join("\n");
        assert!(if expected.is_empty() { found.is_empty() } else { found.contains(expected) }, "{help:?}: {found}");
    };
    finds(None, Way::Run(0), "`tandem-vm render` has no example");
    finds(Some("For example: tandem-vm render -"), Way::Run(0), "do not begin with the line `Examples:`");
    finds(Some("Examples:\ntandem-vm render -"), Way::Run(0), "no example stands below");
    finds(Some("Examples:\n tandem-vm render -"), Way::Run(0), "not indented by two spaces");
    finds(Some("Examples:\n  tandem-vm man"), Way::Run(0), "it does not use the command");
    let missing = "Example:\n  tandem-vm render none.yaml | cat";
    finds(Some(missing), Way::Run(0), "none.yaml: No such file");
    finds(Some(missing), Way::Run(2), "");
    finds(Some(missing), Way::Parse, "");
    finds(Some("Example:\n  tandem-vm render --outptu json x.yaml"), Way::Parse, "unexpected argument '--outptu'");
    finds(Some("Example:\n  # tandem-vm render x.yaml"), Way::Parse, "the command was not run");
    let applied = "Example:\n  tandem-vm render - --user-data-only < databasevm.yaml | kubectl apply -f -";
    finds(Some(applied), Way::Run(0), "an object without /apiVersion");
    let two = "Examples:\n  tandem-vm render databasevm.yaml\n\n  # wrong\n  tandem-vm render databasevm.yaml -o xml";
    finds(Some(two), Way::Run(0), "in the example\n# wrong\n");
}
