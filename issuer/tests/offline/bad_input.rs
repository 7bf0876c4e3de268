//! Bad input: the exact message of each kind, with exit code 2 and nothing on standard output.

mod certificates;

use serde_json::{Value, json};

use crate::support::{ca_secret, certificate, extend, folder, issuer, request, run_with, sign, stderr, stream};

const PLACE: &str = "standard input: document 3";

/// Expects both commands to refuse the text with exactly these lines.
fn refused(text: impl AsRef<[u8]>, lines: &[&str]) {
    let expected: String = lines.iter().map(|line| format!("tandem-issuer: {line}\n")).collect();
    for command in ["sign", "explain"] {
        let done = run_with(text.as_ref(), &[command, "-"]);
        assert_eq!((done.status.code(), stderr(&done)), (Some(2), expected.clone()), "{command}");
        assert!(done.stdout.is_empty(), "{command} wrote something");
    }
}

/// Expects a Certificate with these fields in its spec to be refused, each line beginning with its place.
fn refused_spec(spec: Value, lines: &[&str]) {
    let lines: Vec<_> = lines.iter().map(|line| format!("{PLACE}: {line}")).collect();
    refused(stream(&[certificate(spec)]), &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

fn without(mut document: Value, field: &str) -> Value {
    document["spec"].as_object_mut().unwrap().remove(field);
    document
}

#[test]
fn several_problems_are_told_at_once() {
    let mut first = certificate(json!({"duration": "soon", "usages": ["all"]}));
    first["metadata"]["name"] = json!("first");
    refused(
        stream(&[first, certificate(json!({"dnsNames": ["ä"]}))]),
        &[
            "standard input: document 3: spec.duration: `soon` is not a duration such as 2160h; correct it",
            "standard input: document 3: spec.usages[0]: `all` is not a key usage; correct it",
            "standard input: document 4: spec.dnsNames[0]: `ä` is not ASCII; write host names as A-labels (xn--…), URIs \
             percent-encoded",
        ],
    );
    let list =
        json!({"apiVersion": "v1", "kind": "List", "items": [request("a"), certificate(json!({"isCA": "yes"}))]});
    refused(
        stream(&[list]),
        &[
            "standard input: document 3, item 2: spec.isCA: expected a boolean, found string \"yes\"; write one of that kind",
        ],
    );
}

#[test]
fn object_names() {
    let named = |metadata: Value| {
        let mut document = certificate(json!({}));
        document["metadata"] = metadata;
        stream(&[document])
    };
    let rule = "is not a name that Kubernetes takes; use a-z, 0-9, - and, in names, dots; begin and end with a letter or \
                digit";
    refused(named(json!({})), &[&format!("{PLACE}: metadata.name: is missing; add it")]);
    refused(named(json!({"name": "../db"})), &[&format!("{PLACE}: metadata.name: `../db` {rule}")]);
    refused(named(json!({"name": "db", "namespace": "a/b"})), &[&format!("{PLACE}: metadata.namespace: `a/b` {rule}")]);
    refused_spec(
        json!({"secretName": "../../db"}),
        &["spec.secretName: `../../db` is not the name of a Secret; correct it"],
    );
    refused(
        stream(&[request("a"), request("a")]),
        &[
            "standard input: document 4, CertificateRequest shop/a: is there twice, first in standard input: document 3; \
           remove one of them",
        ],
    );
}

#[test]
fn two_certificates_for_one_secret() {
    let mut other = certificate(json!({}));
    other["metadata"]["name"] = json!("other");
    let done = sign(&[certificate(json!({})), other], &[]);
    let expected =
        "tandem-issuer: two Certificates would be written to the Secret shop/db-tls; give each its own secretName\n";
    assert_eq!((done.status.code(), stderr(&done).as_str()), (Some(2), expected));
    assert!(done.stdout.is_empty());

    // One says its namespace, and one leaves it to the command.
    let mut other = certificate(json!({}));
    other["metadata"] = json!({"name": "other"});
    let done = sign(&[certificate(json!({})), other], &["--namespace", "shop"]);
    let expected =
        "tandem-issuer: two Certificates would be written to the Secret db-tls; give each its own secretName\n";
    assert_eq!((done.status.code(), stderr(&done).as_str()), (Some(2), expected));
    assert!(done.stdout.is_empty());
}

#[test]
fn issuers_and_secrets() {
    let with = |spec: Value| {
        let manifest = json!({
            "apiVersion": "pki.tandem.internal/v1alpha1", "kind": "TandemClusterIssuer",
            "metadata": {"name": "internal-ca"}, "spec": spec,
        });
        format!("{manifest}\n---\n{}\n---\n{}\n", ca_secret(), certificate(json!({})))
    };
    let ca = json!({"secretName": "internal-ca"});
    refused(
        with(json!({"ca": ca, "leafBeyondCa": "Permit"})),
        &["standard input: document 1: spec.leafBeyondCa: unknown field; remove it, or correct its name"],
    );
    refused(
        with(json!({"ca": {"secretName": "internal-ca", "ocspservers": []}})),
        &["standard input: document 1: spec.ca.ocspservers: unknown field; remove it, or correct its name"],
    );
    refused(
        with(json!({"ca": ca, "policy": {"usages": []}})),
        &["standard input: document 1: spec.policy.usages: it is empty; name those that are allowed, or leave it out"],
    );
    refused(
        with(json!({"ca": ca, "policy": {"usages": ["digital signature", "serverAuth"]}})),
        &["standard input: document 1: spec.policy.usages: \"serverAuth\" is not a key usage; correct it"],
    );
    refused(
        with(json!({"ca": ca, "leafBeyondCA": "permit"})),
        &[
            "standard input: document 1: spec.leafBeyondCA: `permit` is unknown; did you mean Permit? Known here: Refuse, \
           Truncate, Permit",
        ],
    );
    refused(
        with(json!({"ca": ca, "backdate": "soon"})),
        &["standard input: document 1: spec.backdate: \"soon\" is not a duration such as 1m or 1h30m"],
    );
    refused(
        with(json!({})),
        &["standard input: document 1: spec.ca: is missing; add it, with the secretName of the CA"],
    );
    refused(
        with(json!({"ca": {"secretName": "other"}})),
        &[
            "standard input: document 3, Certificate shop/db: the Secret other of TandemClusterIssuer internal-ca is not \
           among the input; add it, with tls.crt and tls.key",
        ],
    );
    let mut elsewhere = ca_secret();
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    refused(
        stream(&[elsewhere, certificate(json!({}))]),
        &[
            "standard input: document 4, Certificate shop/db: two Secrets could be that of TandemClusterIssuer internal-ca: \
           tandem/internal-ca and elsewhere/internal-ca; choose with --cluster-resource-namespace",
        ],
    );
    refused(
        format!("{}\n", certificate(json!({}))),
        &[
            "standard input: document 1, Certificate shop/db: TandemClusterIssuer internal-ca is not among the input; add \
           its manifest",
        ],
    );
    refused(
        format!(
            "{}---\n{}\n",
            issuer().replace("pki.tandem.internal/v1alpha1", "pki.tandem.internal/v1"),
            request("a")
        ),
        &["standard input: document 1: apiVersion: `pki.tandem.internal/v1` is not a version that is read; write \
           pki.tandem.internal/v1alpha1"],
    );
}

#[test]
fn requests() {
    let with = |field: &str, value: Value| {
        let mut document = request("a");
        extend(&mut document["spec"], json!({ field: value }));
        stream(&[document])
    };
    refused(
        with("request", json!("no base64!")),
        &[&format!("{PLACE}: spec.request: Invalid symbol 32, offset 2.; correct it")],
    );
    refused(
        with("isCa", json!(true)),
        &[&format!("{PLACE}: spec.isCa: unknown field; remove it, or correct its name")],
    );
    refused(stream(&[without(request("a"), "issuerRef")]), &[&format!("{PLACE}: spec.issuerRef: is missing; add it")]);
    let mut other = request("a");
    other["spec"]["issuerRef"]["group"] = json!("cert-manager.io");
    refused(
        stream(&[other]),
        &[
            "standard input: document 3, CertificateRequest shop/a: passed over: it does not refer to a TandemIssuer or \
             TandemClusterIssuer",
            NOTHING,
        ],
    );
}

const NOTHING: &str = "nothing is asked for; add a Certificate, CertificateRequest or CertificateSigningRequest that refers \
                       to an issuer of Tandem's";

#[test]
fn texts_that_are_no_manifests() {
    refused("", &["standard input: no document is in it; write Kubernetes manifests"]);
    refused("# nothing\n---\n", &["standard input: no document is in it; write Kubernetes manifests"]);
    refused("5", &["standard input: document 1: is not an object; write a Kubernetes manifest"]);
    refused("[]", &["standard input: document 1: is not an object; write a Kubernetes manifest"]);
    refused("kind: Secret", &["standard input: document 1: apiVersion: is missing; add it"]);
    refused("apiVersion: v1\nkind: ''", &["standard input: document 1: kind: is missing; add it"]);
    refused(b"a: \xff", &["standard input: byte 3 is not UTF-8; save the document as UTF-8"]);
    refused(
        "a: 1\n---\nb: [\n",
        &["standard input: document 2: not readable as YAML or JSON: did not find expected node content at line 4 \
           column 1, while parsing a flow node"],
    );
    refused(issuer(), &[NOTHING]);
    refused(
        "a: 1\na: 2\n",
        &["standard input: document 1: not readable as YAML or JSON: the field `a` is there twice at line 2 column 1"],
    );
}

#[test]
fn hostile_texts_end_soon_and_clearly() {
    let level = |i: usize| format!("a{}: &a{} [{}]\n", i + 1, i + 1, vec![format!("*a{i}"); 9].join(","));
    let bomb: String = (0..50).map(level).collect();
    let bomb = format!("a0: &a0 [x]\n{bomb}metadata: *a50\n");
    for text in [bomb, "[".repeat(600_000), "{a: ".repeat(150_000), "- ".repeat(300_000), "#".repeat(17_000_000)] {
        let done = run_with(&text, &["sign", "-"]);
        assert_eq!(done.status.code(), Some(2), "{}", stderr(&done));
        assert!(stderr(&done).len() < 500, "{}", stderr(&done));
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = folder(&[("empty/readme.txt", String::new())]);
    let advice = "give a file that can be read, or - for standard input";
    for (name, rest) in [
        ("none.yaml", format!("No such file or directory (os error 2); {advice}")),
        ("empty", "no .yaml, .yml or .json file is in this folder; name another".to_owned()),
    ] {
        let path = folder.path().join(name);
        let done = run_with("", &["sign", path.to_str().unwrap()]);
        let expected = format!("tandem-issuer: {}: {rest}\n", path.display());
        assert_eq!((done.status.code(), stderr(&done)), (Some(2), expected));
    }
    let done = run_with(stream(&[request("a")]), &["sign", "-", "--output-dir", "/proc/tandem"]);
    let expected =
        "tandem-issuer: /proc/tandem: No such file or directory (os error 2); give a folder that can be written\n";
    assert_eq!((done.status.code(), stderr(&done).as_str()), (Some(2), expected));
}

#[test]
fn wrong_arguments() {
    for wrong in [
        &[][..],
        &["sign"],
        &["explain"],
        &["sign", "-", "-o", "xml"],
        &["sign", "-", "--now", "tomorrow"],
        &["sign", "-", "--replace"],
        &["explain", "-", "--from-cluster", "a/b"],
        &["explain", "-", "--kubeconfig", "x"],
        &["man"],
    ] {
        let done = run_with("", wrong);
        assert_eq!(done.status.code(), Some(2), "{wrong:?}");
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{wrong:?}");
    }
    let done = run_with("", &["explain", "--from-cluster", "a/b", "--kubeconfig", "/none"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(stderr(&done).contains("name another one with --kubeconfig"), "{}", stderr(&done));
}
