//! The command: its streams and exit codes.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{EXAMPLES, example, example_path, output, said};

pub(crate) fn tandem_vm() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tandem-vm"))
}

/// `render -` with the text on standard input.
pub(crate) fn render_stdin(text: &[u8], args: &[&str]) -> Output {
    let mut child = tandem_vm()
        .args(["render", "-"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command stops reading at its limit; the rest then has nowhere to go.
    if let Err(error) = child.stdin.take().unwrap().write_all(text) {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
    child.wait_with_output().unwrap()
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
fn help_shows_an_example_that_renders() {
    let help = output(tandem_vm().args(["render", "--help"]));
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, example) = help.split_once("kubectl apply -f -\n").unwrap();
    let (example, _) = example.split_once("  YAML").unwrap();
    let done = render_stdin(example.as_bytes(), &[]);
    assert!(done.status.success(), "{}", said(&done));
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

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = tandem_vm()
        .arg("render")
        .arg(example_path("databasevm.yaml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!((done.status.code(), said(&done).as_str()), (Some(0), ""));
}

#[test]
fn rendering_takes_no_time_worth_mentioning() {
    let start = Instant::now();
    assert!(output(tandem_vm().arg("render").arg(example_path("databasevm.yaml"))).status.success());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
