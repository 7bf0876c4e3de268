//! No message tells a private key, wherever it stands in the input.

use std::{process::Command, sync::LazyLock};

use serde_json::{Value, json};
use tandem_tests::canary::Canary;

use crate::support::{CA, ca_secret, certificate, request, request_of, run_with, stderr, stdout, stream};

static CANARY: LazyLock<Canary> =
    LazyLock::new(|| Canary::of(&[&CA.key().serialize_pem()], &[&CA.as_ref().pem()]).unwrap());

fn assert_untold(text: &str, what: &str) {
    let leaks = CANARY.find(text);
    assert!(leaks.is_empty(), "{what}: {leaks:?} of the key was told: {text}");
}

#[test]
fn a_key_as_an_argument_is_repeated_by_no_command() {
    let key = CA.key().serialize_pem();
    let split: Vec<_> = key.split_whitespace().collect();
    let one = |command: &'static str, option: &str| vec![command.to_owned(), format!("{option}{key}")];
    let mut all = vec![vec![key.clone()], split.iter().map(|word| (*word).to_owned()).collect()];
    for command in ["run", "sign", "explain", "crds", "completions", "man"] {
        for option in ["", "--kubeconfig=", "--output-dir=", "--namespace=", "--now=", "--from-cluster=", "--none="] {
            all.push(one(command, option));
        }
        all.push([command, "--"].iter().chain(&split).map(|word| (*word).to_owned()).collect());
    }
    for arguments in all {
        let done = Command::new(env!("CARGO_BIN_EXE_tandem-issuer")).args(&arguments).output().unwrap();
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains("an argument is a private key") && done.stdout.is_empty(), "{said}");
        assert_untold(&said, "an argument");
    }
}

#[test]
fn keys_in_wrong_places_are_not_told() {
    let key = CA.key().serialize_pem();
    let bare: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let secret = |field: &str, data: Value| {
        let mut secret = ca_secret();
        secret.as_object_mut().unwrap().remove("stringData");
        secret[field] = data;
        format!("{secret}\n---\n{}", certificate(json!({})))
    };
    let texts = [
        ("a Secret as a text", secret("data", json!(key))),
        ("a Secret as a list", secret("stringData", json!([key]))),
        ("PEM in data", secret("data", json!({"tls.key": key}))),
        ("a list in stringData", secret("stringData", json!({"tls.key": [key]}))),
        ("a mapping in data", secret("data", json!({"tls.key": {"a": bare}}))),
        ("the type", secret("type", json!([key]))),
        ("a name in data", secret("data", json!({key.as_str(): "x"}))),
        ("a name in stringData", secret("stringData", json!({bare.as_str(): ["x"]}))),
        ("a field's name", secret(&key, json!("x"))),
        (
            "in place of the certificate",
            stream(&[json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}, "stringData": {"tls.crt": key},
            })]),
        ),
        ("in place of the request", stream(&[request_of("a", &key)])),
        (
            "bare in place of the request",
            stream(&[{
                let mut request = request("a");
                request["spec"]["request"] = json!(key);
                request
            }]),
        ),
        ("not YAML", format!("{}\n  tls.key: |\n{key}\n: [", stream(&[]))),
        ("a key that does not fit", {
            let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
            stream(&[certificate(json!({}))]).replace(&json!(key).to_string(), &json!(other).to_string())
        }),
        ("a cut key", {
            let cut: String = key.chars().take(key.len() - 60).collect();
            stream(&[certificate(json!({}))]).replace(&json!(key).to_string(), &json!(cut).to_string())
        }),
    ];
    for (what, text) in texts {
        for command in ["sign", "explain"] {
            let done = run_with(&text, &[command, "-"]);
            assert_ne!(done.status.code(), Some(0), "{command}, {what}");
            assert!(!stderr(&done).is_empty() || command == "explain", "{command}, {what}");
            assert_untold(&stderr(&done), what);
            assert_untold(&stdout(&done), what);
        }
    }
}

#[test]
fn explain_never_prints_a_key() {
    let done = run_with(stream(&[certificate(json!({}))]), &["explain", "-", "-o", "json"]);
    assert_eq!(done.status.code(), Some(0));
    assert_untold(&stdout(&done), "explain");
    assert!(!stdout(&done).contains("PRIVATE"), "{}", stdout(&done));
}
