//! Every rule of `tandem-vm check`: a stream that breaks it, and it alone, and one that breaks nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use tandem_vm::check::{check, rule_page, rules};
use tandem_vm::model::Stream;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/check")
}

/// `RULE FIELD: MESSAGE` of everything that is found in a fixture.
fn found(name: &str) -> Vec<String> {
    found_in(&[folder().join(name)], "")
}

fn found_in(files: &[PathBuf], stdin: &str) -> Vec<String> {
    let stream = Stream::read(files, &mut stdin.as_bytes(), "default");
    let stream = stream.unwrap_or_else(|lines| panic!("{lines:?}"));
    let line = |finding: &tandem_vm::check::Finding| {
        format!("{} {}: {}: {}", finding.rule.id, finding.object, finding.field, finding.message)
    };
    // Wherever the checkout is.
    let folder = format!("{}/", folder().display());
    check(&stream, &[]).findings.iter().map(|finding| line(finding).replace(&folder, "")).collect()
}

#[test]
fn every_rule_has_a_stream_that_breaks_it_alone_and_one_that_breaks_nothing() {
    let mut problems = Vec::new();
    for rule in rules() {
        for (kind, expected) in [("fail", true), ("pass", false)] {
            let name = format!("{}-{kind}.yaml", rule.id);
            if !folder().join(&name).is_file() {
                problems.push(format!("{name} is missing"));
                continue;
            }
            let found = found(&name);
            let others: Vec<_> = found.iter().filter(|line| !expected || !line.starts_with(rule.id)).collect();
            if found.is_empty() == expected || !others.is_empty() {
                problems.push(format!("{name}: {found:#?}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn no_fixture_is_left_over() {
    let known: BTreeSet<String> =
        rules().flat_map(|rule| ["fail", "pass"].map(|kind| format!("{}-{kind}.yaml", rule.id))).collect();
    let there = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = there.filter(|name| name.starts_with("TVM") && !known.contains(name)).collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn what_each_rule_says_is_as_it_was() {
    let all: Vec<String> = rules().flat_map(|rule| found(&format!("{}-fail.yaml", rule.id))).collect();
    insta::assert_snapshot!(all.join("\n"));
}

/// `spec.template.spec.volumes[1].cloudInitNoCloud`, where the fixtures have their user data.
const SEED: &str = "spec.template.spec.volumes[1].cloudInitNoCloud";

/// A rule may be broken in several ways, each with words of its own: every row is a fixture but for one edit, by which the rule
/// is broken, and it alone.
#[test]
fn each_way_to_break_a_rule_is_told_in_its_own_words() {
    let long = STANDARD.encode(format!("#cloud-config\nruncmd: [[echo, {}]]\n", "x".repeat(2048)));
    let long = format!("cloudInitNoCloud: {{userDataBase64: {long}}}");
    let touch = "userData: |\n              #cloud-config\n              runcmd: [[touch, /x]]";
    let password =
        "user: admin\n              password: not-a-secret-any-more\n              chpasswd: {expire: false}";
    let rows = [
        (
            "TVM001-pass",
            "bus: virtio}, serial: orders-certificate-d",
            "bus: scsi}, serial: orders-certificate-of-the-orders-database",
            "spec.template.spec.domain.devices.disks[1].serial: `orders-certificate-of-the-orders-database` has 41 bytes, and \
             QEMU refuses more than 36",
        ),
        (
            "TVM005-fail",
            "  runStrategy: Always",
            "  runStrategy: Always\n  preference: {name: fedora}",
            "spec.template.spec.domain.devices.disks[1]: the disk with serial `orders-tls` names no bus, and a preference may \
             fill it in",
        ),
        (
            "TVM101-pass",
            "cloudInitNoCloud: {secretRef: {name: orders-userdata}}",
            &long,
            "{SEED}.userDataBase64: has 2081 bytes when it is decoded",
        ),
        (
            "TVM104-pass",
            touch,
            r#"userData: "\uFEFF#cloud-config\nruncmd: [[touch, /x]]\n""#,
            "{SEED}.userData: begins with a byte order mark, not with #cloud-config",
        ),
        (
            "TVM105-pass",
            touch,
            r##"userData: "#cloud-config-archive\n- content: x\n""##,
            "{SEED}.userData: is a #cloud-config-archive",
        ),
        (
            "TVM105-pass",
            touch,
            r#"userData: "Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n\n--x--\n""#,
            "{SEED}.userData: has MIME parts",
        ),
        (
            "TVM105-pass",
            touch,
            r##"userData: "#include\nhttps://example.org/x\n""##,
            "{SEED}.userData: is in a format that is not read here",
        ),
        (
            "TVM105-pass",
            touch,
            "secretRef: {name: orders-userdata}",
            "{SEED}.secretRef.name: is in a Secret that is not in the stream",
        ),
        (
            "TVM105-pass",
            touch,
            "secretRef: {name: s}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\ndata: {userdata: 'ENC[AES256_GCM,data:YWJj]'}",
            "data.userdata: is in a format that is not read here",
        ),
        (
            "TVM106-fail",
            password,
            "write_files: [{path: /k, content: '-----BEGIN PRIVATE KEY-----'}]",
            "{SEED}.userData > write_files[0].content: has a private key in it",
        ),
        (
            "TVM106-fail",
            &format!("#cloud-config\n              {password}"),
            "#!/bin/sh\n              echo '-----BEGIN PRIVATE KEY-----' > /k",
            "{SEED}.userData: has a private key in it",
        ),
        (
            "TVM106-fail",
            password,
            "chpasswd: {list: 'admin:not-a-secret-any-more'}",
            "{SEED}.userData > chpasswd.list: the password of `admin` is in plain text",
        ),
        (
            "TVM110-pass",
            "- [touch, /x]",
            "- [touch, /x]\n              ---\n              runcmd: []",
            "{SEED}.userData: is not readable: it has several documents",
        ),
        (
            "TVM110-pass",
            "runcmd:\n                - [touch, /x]",
            "- [touch, /x]",
            "{SEED}.userData: is not readable: it is not a mapping",
        ),
        (
            "TVM110-pass",
            "userData: |\n              #cloud-config\n              runcmd:\n                - [touch, /x]",
            "userData: >\n              #cloud-config\n              hostname: a\n              locale: C",
            "{SEED}.userData: is not readable: its first field stands in the line of #cloud-config, which is a comment; write it as a \
             block with | where it is one with >",
        ),
        (
            "TVM112-pass",
            "runcmd: [touch /x]",
            "runcmd: [7]",
            "{SEED}.userData > runcmd[0]: is a number, neither a string nor a list of words",
        ),
        (
            "TVM112-pass",
            "{path: /x,",
            "{path: x,",
            "{SEED}.userData > write_files[0].path: `x` is not an absolute path",
        ),
        (
            "TVM123-pass",
            "{bus: virtio}, serial: orders-tls",
            "{bus: sata}, serial: orders-tls",
            "spec.template.spec.volumes[2].cloudInitNoCloud.userData > bootcmd[0]: looks for \
             `/dev/disk/by-id/virtio-orders-tls`; the disk `orders-tls` has the serial, but another bus",
        ),
        (
            "TVM130-pass",
            "content: |\n                    bm90LWEtc2VjcmV0LWFueS1tb3Jl",
            "encoding: b64\n                  content: /w==",
            "{SEED}.userData > write_files[0].content: the keyFile `/etc/mongo/replica.key`: is not text",
        ),
        (
            "TVM131-pass",
            "'0400'",
            "'0200'",
            "{SEED}.userData > write_files[0].permissions: of the keyFile `/etc/mongo/replica.key`: its mode is 0200, so its \
             owner cannot read it; chmod 0400",
        ),
        (
            "TVM207-pass",
            "renewBefore: 240h",
            "renewBefore: 240h\n  renewBeforePercentage: 30",
            "spec.renewBeforePercentage: stands beside renewBefore, which excludes it",
        ),
        (
            "TVM207-pass",
            "renewBefore: 240h",
            "renewBeforePercentage: 100",
            "spec.renewBeforePercentage: is 100; it can be 1 to 99",
        ),
        ("TVM207-pass", "duration: 720h\n  renewBefore: 240h", "duration: 30m", "spec.duration: is 1800 seconds"),
        ("TVM207-pass", "duration: 720h", "duration: 30d", "spec.duration: `30d` is not a duration of Go's"),
        ("TVM207-pass", "duration: 720h", "duration: 720", "spec.duration: `720` is not a duration of Go's"),
        ("TVM207-pass", "renewBefore: 240h", "renewBefore: ''", "spec.renewBefore: `` is not a duration of Go's"),
        (
            "TVM209-pass",
            "secretName: orders-tls",
            "secretname: orders-tls",
            "spec.secretName: names no Secret; there is `secretname`",
        ),
        ("TVM209-pass", ", name: internal-ca", ", name: ''", "spec.issuerRef.name: names no issuer"),
        (
            "TVM209-pass",
            "issuerRef: {group: pki.tandem.internal, kind: TandemClusterIssuer, name: internal-ca}",
            "issuerRef: {}",
            "spec.issuerRef.name: names no issuer",
        ),
        (
            "TVM209-pass",
            "group: pki.tandem.internal, kind: TandemClusterIssuer",
            "kind: Issuerr",
            "spec.issuerRef.kind: `Issuerr` is no kind of cert-manager.io",
        ),
        (
            "TVM301-pass",
            "name: orders\n  namespace: shop\nspec:\n  selector",
            "name: orders\n  namespace: web\nspec:\n  selector",
            "spec.selector: nothing has `app=orders`; VirtualMachine shop/orders-vm has, in another namespace",
        ),
        (
            "TVM303-pass",
            "- podSelector:\n            matchLabels: {app: client}",
            "- podSelector:\n            matchExpressions: [{key: app, operator: In, values: [other]}]",
            "spec.ingress[0].from[0].podSelector: nothing has what is asked for",
        ),
        (
            "TVM406-pass",
            "image: registry.example/app:1",
            "image: registry.example/app:1\n          args: ['--db=postgres://app:not-a-secret-any-more@elsewhere/shop']",
            "spec.template.spec.containers[0].args[0]: has a password in a URL",
        ),
    ];
    let mut problems = Vec::new();
    for (fixture, from, to, expected) in rows {
        let text = fs::read_to_string(folder().join(format!("{fixture}.yaml"))).unwrap();
        let edited = text.replacen(from, to, 1);
        assert_ne!(edited, text, "{fixture} has no {from}");
        let found = found_in(&["-".into()], &edited);
        let expected = expected.replace("{SEED}", SEED);
        let told = |line: &String| line.starts_with(&fixture[..6]) && line.ends_with(&format!(": {expected}"));
        if found.len() != 1 || !found.iter().all(told) {
            problems.push(format!("{fixture}: {expected}\n{found:#?}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_each_rule_is_explained_by_is_as_it_was() {
    let all = rules().map(|rule| format!("{} {}\n  {}\n  {}\n", rule.id, rule.summary, rule.why, rule.remedy));
    insta::assert_snapshot!(all.collect::<String>());
}

#[test]
fn numbers_and_names_are_there_once_and_texts_are_sentences() {
    let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
    for rule in rules() {
        assert!(ids.insert(rule.id) && names.insert(rule.name), "{} {} is there twice", rule.id, rule.name);
        assert!(rule.id.len() == 6 && rule.id[3..].bytes().all(|b| b.is_ascii_digit()), "{}", rule.id);
        for text in [rule.why, rule.remedy] {
            assert!(text.ends_with('.') && !text.contains("  "), "{}: {text}", rule.id);
        }
        assert!(!rule.summary.ends_with('.') && !rule.summary.contains("  "), "{}: {}", rule.id, rule.summary);
    }
    assert!(ids.iter().is_sorted());
}

#[test]
fn the_page_about_the_rules_is_made_from_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/checks.md");
    let page = rule_page();
    if fs::read_to_string(&path).unwrap_or_default() != page {
        if std::env::var_os("TANDEM_UPDATE").is_some() {
            fs::write(&path, page).unwrap();
            return;
        }
        panic!("docs/checks.md differs from the rules: run this test with TANDEM_UPDATE=1, and look at what changed");
    }
}
