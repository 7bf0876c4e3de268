//! The command: its streams and exit codes.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{EXAMPLES, example, example_path, finish, output, output_of, renamed, said, start};

pub(crate) fn tandem_vm() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tandem-vm"))
}

/// `render -` with the text on standard input.
pub(crate) fn render_stdin(text: &[u8], args: &[&str]) -> Output {
    with_stdin(text, "render", args)
}

/// A command with the text on standard input.
pub(crate) fn with_stdin(text: &[u8], command: &str, args: &[&str]) -> Output {
    output_of(tandem_vm().args([command, "-"]).args(args), text)
}

#[test]
fn a_file_and_standard_input_give_the_same() {
    for name in EXAMPLES {
        let file = output(tandem_vm().arg("render").arg(example_path(name)));
        let stdin = render_stdin(example(name).as_bytes(), &[]);
        assert!(file.status.success() && file.stderr.is_empty(), "{}", said(&file));
        assert_eq!(file.stdout, stdin.stdout);
        assert!(file.stdout.starts_with(b"---\napiVersion: cert-manager.io/v1\n"));
    }
}

#[test]
fn json_is_a_list_and_user_data_stands_alone() {
    let text = example("databasevm.yaml");
    let json = render_stdin(text.as_bytes(), &["-o", "json"]);
    let list: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 7);
    let user_data = render_stdin(text.as_bytes(), &["--user-data-only"]);
    assert!(user_data.stdout.starts_with(b"#cloud-config\n"));
    assert_eq!(list["items"][2]["stringData"]["userdata"].as_str().unwrap().as_bytes(), user_data.stdout);
}

#[test]
fn several_documents_come_out_in_their_order_however_they_come_in() {
    let documents = [example("databasevm.yaml"), renamed("databasevm-debian.yaml", "two")];
    let stream = documents.join("---\n");
    let one_stream = render_stdin(stream.as_bytes(), &[]);
    let each =
        documents.each_ref().map(|text| String::from_utf8(render_stdin(text.as_bytes(), &[]).stdout).unwrap()).concat();
    assert_eq!(String::from_utf8(one_stream.stdout.clone()).unwrap(), each);
    let json = render_stdin(stream.as_bytes(), &["-o", "json"]);
    let list: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), each.matches("---\n").count());

    let folder = TempDir::new().unwrap();
    let files = ["1.yaml", "2.yml"].map(|name| folder.path().join(name));
    for (file, text) in files.iter().zip(&documents) {
        fs::write(file, text).unwrap();
    }
    assert_eq!(output(tandem_vm().arg("render").arg(folder.path())).stdout, one_stream.stdout);
    assert_eq!(output(tandem_vm().arg("render").args(&files)).stdout, one_stream.stdout);

    let user_data = render_stdin(stream.as_bytes(), &["--user-data-only"]);
    let expected = "tandem-vm: --user-data-only: there are 2 documents; give one alone\n";
    assert_eq!((user_data.status.code(), said(&user_data).as_str()), (Some(2), expected));
}

/// `man` itself lays the pages out where it is installed; what it is given is checked anywhere.
#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("man1");
    let done = output(tandem_vm().arg("man").arg(&pages));
    assert!(done.status.success() && said(&done).is_empty(), "{}", said(&done));
    let top = fs::read_to_string(pages.join("tandem-vm.1")).unwrap();
    assert_eq!(output(tandem_vm().arg("man")).stdout, top.as_bytes());
    let command = tandem_vm::cli::command();
    let names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
    assert_eq!(fs::read_dir(&pages).unwrap().count(), names.len() + 1);
    for name in names {
        let escaped = name.replace('-', "\\-");
        assert!(top.contains(&format!("tandem\\-vm\\-{escaped}(1)")), "{top}");
        let page = fs::read_to_string(pages.join(format!("tandem-vm-{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH tandem-vm-{name} 1")), "{page}");
        // As --help has it, with each option's value.
        let help = said(&output(tandem_vm().args([name, "--help"])));
        let (usage, _) = help.split_once("Usage: ").unwrap().1.split_once("\n\n").unwrap();
        let (_, synopsis) = page.split_once("\n.SH SYNOPSIS\n").unwrap();
        let (synopsis, _) = synopsis.split_once("\n.SH DESCRIPTION\n").unwrap();
        let synopsis = synopsis.replace("\n.br", "").replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
        assert_eq!(synopsis, usage.replace("\n       ", "\n"));
        let (_, examples) = page.split_once(".SH EXAMPLES\n.nf\n").unwrap();
        assert!(examples.contains(&format!("  tandem\\-vm {escaped}")), "{page}");
    }
    let done = output(tandem_vm().args(["man", "/proc/tandem"]));
    let expected =
        "tandem-vm: /proc/tandem: No such file or directory (os error 2); give a folder that can be written\n";
    assert_eq!((done.status.code(), said(&done).as_str()), (Some(2), expected));
}

#[test]
fn version_completions_and_wrong_arguments() {
    let version = output(tandem_vm().arg("--version"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("tandem-vm {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish"] {
        let script = output(tandem_vm().args(["completions", shell]));
        assert!(script.status.success() && said(&script).contains("output-dir"), "{shell}");
    }
    for wrong in
        [&[][..], &["render"], &["render", "-", "-o", "xml"], &["render", "-", "--user-data-only", "-o", "json"]]
    {
        let done = output(tandem_vm().args(wrong));
        assert_eq!(done.status.code(), Some(2), "{wrong:?}");
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{wrong:?}");
    }
}

/// What bash answers to a press of TAB, by the function that it was told to ask.
#[test]
fn bash_completes_what_follows_a_subcommand() {
    const PRESS: &str = r#"source <("$0" completions bash)
        read -ra told <<< "$(complete -p tandem-vm)"
        for ((i = 0; i < ${#told[@]}; i++)); do [[ ${told[i]} == -F ]] && function=${told[i+1]}; done
        COMP_WORDS=(tandem-vm "$@") COMP_CWORD=$#
        "$function" tandem-vm "${@: -1}" "${COMP_WORDS[COMP_CWORD-1]}"
        echo "${COMPREPLY[@]}""#;
    for (words, answer) in [
        (&["rotation-p"][..], "rotation-plan"),
        (&["inject", "--datab"], "--database"),
        (&["mongod-conf", "--cluster-c"], "--cluster-ca"),
        (&["inject", "--delivery", "f"], "filesystem"),
        (&["help", "rotation-p"], "rotation-plan"),
    ] {
        let mut bash = std::process::Command::new("bash");
        let done = output(bash.args(["-c", PRESS, env!("CARGO_BIN_EXE_tandem-vm")]).args(words));
        assert_eq!(said(&done), format!("{answer}\n"), "{words:?}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = start(tandem_vm().arg("render").arg(example_path("databasevm.yaml")));
    drop(child.child().stdout.take());
    let done = finish(child);
    assert_eq!((done.status.code(), said(&done).as_str()), (Some(0), ""));
}

#[test]
fn rendering_takes_no_time_worth_mentioning() {
    let start = Instant::now();
    assert!(output(tandem_vm().arg("render").arg(example_path("databasevm.yaml"))).status.success());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
