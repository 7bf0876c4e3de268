//! The command line: help with examples, completions, manual pages, exit codes, streams.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{
    ca_secret, certificate, cluster_issuer, command, condition, explain, extend, folder, request, run_with, sign,
    stderr, stdout, stream,
};

/// Runs the examples of a command's help as they stand, in order, except those that need a cluster; how many there were.
fn run_examples(of: &str) -> usize {
    let help = run_with("", &[of, "--help"]);
    let help = stdout(&help);
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    let commands: Vec<_> = examples
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("tandem-issuer "))
        .filter(|line| !line.contains("--from-cluster"))
        .collect();
    let mut kept = certificate(json!({}));
    kept["spec"]["privateKey"] = json!({"algorithm": "ECDSA", "rotationPolicy": "Never"});
    let mut other = certificate(json!({"secretName": "db-tls"}));
    other["metadata"]["name"] = json!("other");
    let folder = folder(&[
        ("issuer.yaml", cluster_issuer().to_string()),
        ("ca.yaml", ca_secret().to_string()),
        ("certificate.yaml", kept.to_string()),
        ("requests/a.yaml", request("a").to_string()),
        ("requests/b.json", other.to_string()),
    ]);
    let bin = Path::new(env!("CARGO_BIN_EXE_tandem-issuer")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    for line in &commands {
        let done =
            Command::new("sh").args(["-ec", line]).env("PATH", &path).current_dir(folder.path()).output().unwrap();
        assert!(done.status.success() && stderr(&done).is_empty(), "{line}: {}", stderr(&done));
    }
    commands.len()
}

#[test]
fn the_examples_of_sign_work_as_they_stand() {
    assert_eq!(run_examples("sign"), 4);
}

#[test]
fn the_examples_of_explain_work_as_they_stand() {
    assert_eq!(run_examples("explain"), 2);
}

#[test]
fn completions_and_manual_pages_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&run_with("", &["completions", shell])).contains("from-cluster"), "{shell}");
    }
    let folder = folder(&[]);
    let done = run_with("", &["man", folder.path().to_str().unwrap()]);
    assert_eq!((done.status.code(), stderr(&done)), (Some(0), String::new()));
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("tandem-issuer.1").contains("tandem\\-issuer\\-sign(1)"));
    assert!(page("tandem-issuer-sign.1").contains("Exit codes"));
    assert!(page("tandem-issuer-explain.1").contains("shop/db\\-tls\\-1"));

    let done = run_with("", &["man", "/proc/none"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(stderr(&done).starts_with("tandem-issuer: /proc/none: "), "{}", stderr(&done));
}

/// What bash answers to a press of TAB, by the function that it was told to ask.
#[test]
fn bash_completes_what_follows_a_subcommand() {
    const PRESS: &str = r#"source <("$0" completions bash)
        read -ra told <<< "$(complete -p tandem-issuer)"
        for ((i = 0; i < ${#told[@]}; i++)); do [[ ${told[i]} == -F ]] && function=${told[i+1]}; done
        COMP_WORDS=(tandem-issuer "$@") COMP_CWORD=$#
        "$function" tandem-issuer "${@: -1}" "${COMP_WORDS[COMP_CWORD-1]}"
        echo "${COMPREPLY[@]}""#;
    for (words, answer) in [(&["expl"][..], "explain"), (&["explain", "--from-c"], "--from-cluster")] {
        let done = Command::new("bash").args(["-c", PRESS, env!("CARGO_BIN_EXE_tandem-issuer")]).args(words).output();
        let done = done.unwrap();
        assert_eq!(stdout(&done), format!("{answer}\n"), "{words:?}: {}", stderr(&done));
    }
}

/// What the files ask for, and the exit code of both commands.
#[test]
fn both_commands_end_alike() {
    let with_status = |conditions: &[Value]| {
        let mut request = request("a");
        request["status"] = json!({ "conditions": conditions });
        request
    };
    let approved = condition("Approved", "True", "");
    let mut long = request("long");
    extend(&mut long["spec"], json!({"duration": "20000000h"}));
    let cases = [
        ("approved", with_status(std::slice::from_ref(&approved)), 0),
        ("a Certificate", certificate(json!({})), 0),
        ("denied", with_status(&[approved.clone(), condition("Denied", "True", "")]), 1),
        ("too long", long, 1),
        ("unreadable", certificate(json!({"dnsNames": "db"})), 2),
    ];
    for (name, document, code) in cases {
        let documents = [document];
        let (signed, explained) = (sign(&documents, &[]), explain(&documents, &["--assume-approved"]));
        assert_eq!(signed.status.code(), Some(code), "sign, {name}: {}", stderr(&signed));
        assert_eq!(explained.status.code(), Some(code), "explain, {name}: {}", stderr(&explained));
        assert_eq!(signed.stdout.is_empty(), code != 0, "sign, {name}");
    }
    // A CA that is not valid yet.
    let early = |command| run_with(stream(&[request("a")]), &[command, "-", "--now", "1970-01-02T00:00:00Z"]);
    for command in ["sign", "explain"] {
        let done = early(command);
        assert_eq!(done.status.code(), Some(3), "{command}: {}", stderr(&done));
    }
    assert_eq!(
        stderr(&early("sign")).split_once("has to wait: ").map(|(_, why)| why.to_owned()),
        Some(
            "TandemClusterIssuer internal-ca is not ready: the Secret tandem/internal-ca: the CA certificate \
             \"CN=Internal CA\" is not valid before 1975-01-01T00:00:00Z; put a valid CA there\n"
                .to_owned()
        )
    );
    // Nobody has approved: sign is the approval, explain waits for one.
    assert_eq!(sign(&[request("a")], &[]).status.code(), Some(0));
    assert_eq!(explain(&[request("a")], &[]).status.code(), Some(3));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let folder = folder(&[("all.yaml", stream(&[request("a"), certificate(json!({}))]))]);
    for of in ["sign", "explain"] {
        let mut command = command();
        command.arg(of).arg(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        assert_eq!(stderr(&done), "", "{of}");
    }
}
