//! Texts that are hostile as YAML, whatever they are meant to say. What reads them is the same for all commands.

use super::{Case, case};
use crate::support::example;

pub(super) fn cases() -> Vec<Case> {
    texts().into_iter().map(|(name, text)| case(name, "render input --output-dir out", text)).collect()
}

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    let spec = example("databasevm.yaml");
    let level = |i: usize| format!("a{}: &a{} [{}]\n", i + 1, i + 1, vec![format!("*a{i}"); 9].join(","));
    let utf16 = |big: bool| -> Vec<u8> {
        let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        "\u{feff}".encode_utf16().chain(spec.encode_utf16()).flat_map(bytes).collect()
    };
    let mut texts: Vec<(&str, Vec<u8>)> = vec![
        ("aliases of aliases", (0..50).map(level).fold("a0: &a0 [x]\n".to_owned(), |text, level| text + &level).into()),
        (
            "many aliases of a long list",
            format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(15_000), "*a,".repeat(10_000)).into(),
        ),
        (
            "many aliases of a long text",
            format!("a: &a {}\nb: [{}]\n", "x".repeat(15_000), "*a,".repeat(10_000)).into(),
        ),
        ("an alias of itself", "a: &a [*a]\n".into()),
        ("an alias of nothing", "a: *b\n".into()),
        ("deep brackets", "[".repeat(60_000).into()),
        ("brackets beyond counting", "[".repeat(1_000_000).into()),
        ("deep dashes", "- ".repeat(30_000).into()),
        ("deep mappings in one line", "{a: ".repeat(5_000).into()),
        ("deep mappings", (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>().into()),
        ("deep question marks", "? ".repeat(5_000).into()),
        ("a text beyond the limit", vec![b'#'; 65 * 1024 * 1024]),
        ("a scalar of a megabyte", spec.replace("name: mongodb\n", &format!("name: {}\n", "n".repeat(1 << 20))).into()),
        ("a field's name of a megabyte", format!("{spec}{}: 1\n", "n".repeat(1 << 20)).into()),
        ("UTF-16, little end first", utf16(false)),
        ("UTF-16, big end first", utf16(true)),
        ("UTF-16 without a mark", utf16(false).split_off(2)),
        ("Latin-1", b"name: M\xfcller\n".to_vec()),
        ("half a character", b"name: \xc3\n".to_vec()),
        ("a surrogate in UTF-8", b"name: \xed\xa0\x80\n".to_vec()),
        ("only bytes", (0..=255).collect()),
        ("not a text at all", b"\x7fELF\x02\x01\x01\0\0\0".to_vec()),
    ];
    texts.extend(
        [
            ("a NUL byte", "name: a\0b\n"),
            ("a bell", "name: a\u{7}b\n"),
            ("an escape sequence in a value", "apiVersion: \"\\e[31mred\"\nkind: DatabaseVM\n"),
            ("an escape sequence in a field's name", "\"\\e[31mred\\n\": 1\n"),
            ("a field twice", "kind: a\nkind: b\n"),
            ("a field twice, once in quotes", "spec: {os: 1, 'os': 2}\n"),
            ("a number as a field's name", "1: a\n"),
            ("nothing as a field's name", "~: a\n"),
            ("a list as a field's name", "? [a]\n: b\n"),
            ("a tag of YAML's", "kind: !!binary aGVsbG8=\n"),
            ("a tag of nobody's", "kind: !databasevm a\n"),
            ("a tag of Python's", "!!python/object/apply:os.system ['true']\n"),
            ("a tag without its handle", "kind: !e!a b\n"),
            ("a merge key", "apiVersion: &a {kind: DatabaseVM}\n<<: *a\n"),
            ("a tab as indentation", "spec:\n\tos: 1\n"),
            ("a quote without its end", "kind: \"DatabaseVM\n"),
            ("a bracket without its end", "spec: {os: [1, 2\n"),
            ("a bracket too many", "spec: {os: 1}}\n"),
            ("two colons in a line", "spec: os: 1\n"),
            ("indentation that fits nowhere", "spec:\n    os: 1\n  database: 2\n"),
            ("a reserved character", "kind: @a\n"),
            ("a backtick", "kind: `a`\n"),
            ("an escape that is none", "kind: \"\\q\"\n"),
            ("half a surrogate pair", "kind: \"\\ud800\"\n"),
            ("a version of YAML that is none", "%YAML 3.0\n---\nkind: a\n"),
            ("text behind the document's end", "kind: a\n...\nb\n: c\n"),
            ("a list", "- kind: DatabaseVM\n"),
            ("a text", "DatabaseVM\n"),
            ("a number", "5\n"),
            ("a truth value", "true\n"),
            ("not a number", ".nan\n"),
            ("a time", "2026-01-01T00:00:00Z\n"),
            ("JSON with a comma too many", "{\"kind\": \"DatabaseVM\",,}\n"),
            ("JSON that ends too early", "{\"kind\": \"DatabaseVM\", \"spec\": {"),
            ("JSON with a field twice", "{\"kind\": \"a\", \"kind\": \"b\"}\n"),
            ("JSON lines", "{\"kind\": \"a\"}\n{\"kind\": \"b\"}\n"),
            ("a List whose items are none", "apiVersion: v1\nkind: List\nitems: 5\n"),
            ("a shell script", "#!/bin/sh\necho 'a: b: c'\n"),
            ("a certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
            ("nothing", ""),
            ("nothing but comments", "# one\n\n# two\n"),
            ("nothing but empty documents", "---\n---\n...\n"),
        ]
        .map(|(name, text)| (name, text.into())),
    );
    texts
}

/// What only looks hostile is read.
#[test]
fn a_byte_order_mark_returns_anchors_and_json_are_no_faults() {
    let spec = example("databasevm.yaml");
    let rendered = |text: &str| {
        let done = crate::command::render_stdin(text.as_bytes(), &[]);
        assert!(done.status.success(), "{text}: {}", crate::support::said(&done));
        done.stdout
    };
    let expected = rendered(&spec);
    let value: serde_json::Value = serde_yaml::from_str(&spec).unwrap();
    let anchored = spec
        .replace("name: mongodb\n", "name: &name mongodb\n")
        .replace("name: internal-ca", "name: internal-ca # *name");
    for text in [
        format!("\u{feff}{spec}"),
        spec.replace('\n', "\r\n"),
        format!("%YAML 1.2\n---\n{spec}...\n"),
        format!("---\n---\n{spec}---\n# end\n"),
        anchored,
        value.to_string(),
        serde_json::to_string_pretty(&value).unwrap(),
    ] {
        assert!(rendered(&text) == expected, "{text}");
    }
}
