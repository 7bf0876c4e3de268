//! `mongod_conf::change` on any file and any changes: exactly the wanted settings are others, and no other line is.

use proptest::prelude::*;
use serde_json::{Map, Value};
use tandem_vm::mongod_conf::{Change, change};

/// A setting's text, in the ways in which people write it.
fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("27017".to_owned()),
        Just("true".to_owned()),
        Just("\"quoted # text\"".to_owned()),
        Just("'it''s'".to_owned()),
        "[a-z/][a-zA-Z0-9/._-]{0,12}",
    ]
}

/// What may stand behind a value, and between lines.
fn comment() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 1 => "  # [ -~]{0,20}", 1 => Just(" ".to_owned())]
}

fn filler() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => Just("\n".to_owned()), 1 => " {0,6}# [ -~]{0,20}".prop_map(|line| line + "\n")]
}

/// A section with some of these settings, in any order, with comments; deeper sections within.
fn section(
    depth: usize,
    name: &'static str,
    settings: &'static [&'static str],
    inner: BoxedStrategy<String>,
) -> BoxedStrategy<String> {
    let indent = "  ".repeat(depth);
    let lines = prop::sample::subsequence(settings, 0..=settings.len()).prop_shuffle();
    (lines, prop::collection::vec((scalar(), comment(), filler()), settings.len()), inner, comment(), any::<bool>())
        .prop_map(move |(names, values, inner, after, first)| {
            let lines: String = names
                .iter()
                .zip(&values)
                .map(|(name, (value, comment, filler))| format!("{filler}{indent}  {name}: {value}{comment}\n"))
                .collect();
            let body = if first { inner + &lines } else { lines + &inner };
            format!("{indent}{name}:{after}\n{body}")
        })
        .boxed()
}

fn file() -> impl Strategy<Value = String> {
    let nothing = || Just(String::new()).boxed();
    let or_nothing = |section: BoxedStrategy<String>| prop_oneof![1 => nothing(), 3 => section].boxed();
    let tls = section(1, "tls", &["mode", "certificateKeyFile", "CAFile", "FIPSMode", "unknownSetting"], nothing());
    let sections = vec![
        or_nothing(section(0, "net", &["port", "bindIp", "ipv6", "maxIncomingConnections"], or_nothing(tls))),
        or_nothing(section(0, "security", &["authorization", "javascriptEnabled"], nothing())),
        or_nothing(section(0, "replication", &["replSetName", "oplogSizeMB"], nothing())),
        or_nothing(section(0, "storage", &["dbPath", "engine"], section(1, "wiredTiger", &["a", "b"], nothing()))),
        Just("processManagement:\n  fork: true\n".to_owned()).boxed(),
    ];
    (sections, filler(), any::<bool>(), any::<u8>()).prop_map(|(mut sections, filler, crlf, turn)| {
        let turn = usize::from(turn) % sections.len();
        sections.rotate_left(turn);
        let text = sections.concat() + &filler;
        if crlf { text.replace('\n', "\r\n") } else { text }
    })
}

/// Settings that need no others, but for the keyFile of a replica set with authorization, with values that they take.
fn changes() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let all = vec![
        ("net.port", (1..=65535_u32).prop_map(|port| port.to_string()).boxed()),
        (
            "net.bindIp",
            prop_oneof![Just("*".to_owned()), Just("::".to_owned()), "[a-z]{1,9}(,[a-z]{1,9}){0,2}"].boxed(),
        ),
        ("net.ipv6", any::<bool>().prop_map(|truth| truth.to_string()).boxed()),
        ("net.tls.allowInvalidHostnames", any::<bool>().prop_map(|truth| truth.to_string()).boxed()),
        ("net.tls.logVersions", Just("TLS1_2,TLS1_3".to_owned()).boxed()),
        ("replication.replSetName", "[a-z0-9~!#&*.-]{1,8}".boxed()),
        ("security.keyFile", "/[ -~]{0,12}[a-z]".boxed()),
        ("security.authorization", Just("enabled".to_owned()).boxed()),
    ];
    let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
    let values: Vec<_> = all.into_iter().map(|(_, value)| value).collect();
    (values, prop::collection::vec(any::<bool>(), names.len())).prop_map(move |(values, wanted)| {
        let all = names.iter().copied().zip(values).zip(wanted);
        all.filter(|(_, wanted)| *wanted).map(|(pair, _)| pair).collect()
    })
}

fn read(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// The document with a setting, written down by other means than those that are tested.
fn with(document: &mut Value, name: &str, value: Value) {
    let (section, rest) = name.split_once('.').map_or((name, None), |(section, rest)| (section, Some(rest)));
    if document.is_null() {
        *document = Value::Object(Map::new());
    }
    let inner = document.as_object_mut().unwrap().entry(section).or_insert(Value::Null);
    match rest {
        Some(rest) => with(inner, rest, value),
        None => *inner = value,
    }
}

/// Of a scalar, what mongod sees: `27017` and `"27017"` are the same to it.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        Value::String(text) => Value::String(text.clone()),
        other => Value::String(other.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_wanted_settings_change_and_no_other_line(text in file(), wanted in changes()) {
        let changes: Vec<_> = wanted.iter().map(|(name, value)| Change::new(name, value).unwrap()).collect();
        let changed = change(&text, &changes);
        let has = |name: &str| wanted.iter().any(|(wanted, _)| *wanted == name);
        if changed.as_ref().is_err_and(|problems| problems.iter().all(|problem| problem.field == "security.keyFile")) {
            prop_assert!(!has("security.keyFile") && (has("security.authorization") || has("replication.replSetName")));
            return Ok(());
        }
        let changed = changed.map_err(|problems| TestCaseError::fail(format!("{text}\n{problems:?}")))?;

        let mut expected = read(&text);
        for change in &changes {
            with(&mut expected, change.name(), serde_json::to_value(change.value()).unwrap());
        }
        prop_assert_eq!(plain(&read(&changed.text)), plain(&expected), "{}\n→\n{}", text, changed.text);

        // Lines that are gone are those of changed settings, each with its comment in the new line; lines that are new are
        // those of settings and of sections that were not there.
        let diff = similar::TextDiff::from_lines(text.as_str(), changed.text.as_str());
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for line in diff.iter_all_changes() {
            match line.tag() {
                similar::ChangeTag::Delete => gone.push(line.value()),
                similar::ChangeTag::Insert => new.push(line.value()),
                similar::ChangeTag::Equal => {}
            }
        }
        let key = |line: &str| line.trim_start().split(':').next().unwrap().to_owned();
        let names: Vec<_> = changed.changes.iter().map(|(name, ..)| *name).collect();
        for line in &gone {
            let name = names.iter().find(|name| name.ends_with(&format!(".{}", key(line))));
            let replaced = name.is_some() || line.trim_end().ends_with(':');
            prop_assert!(replaced, "{line:?} is gone from\n{text}");
        }
        for line in &new {
            let known = |name: &&str| name.split('.').any(|part| part == key(line));
            prop_assert!(line.trim().is_empty() || names.iter().any(known), "{line:?} is new in\n{}", changed.text);
        }
        let breaks = |text: &str| (text.matches("\r\n").count(), text.matches('\n').count());
        if text.contains("\r\n") {
            let (with_return, all) = breaks(&changed.text);
            prop_assert_eq!(with_return, all, "mixed line breaks in\n{}", changed.text);
        }

        let again = change(&changed.text, &changes).unwrap();
        prop_assert_eq!((again.text, again.changes), (changed.text, vec![]));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n\t\r:#&*{}\\[\\]|>-]{0,200}") {
        let changes = [Change::new("net.port", "1").unwrap(), Change::new("net.tls.mode", "disabled").unwrap()];
        if let Ok(changed) = change(&text, &changes) {
            prop_assert_eq!(&read(&changed.text)["net"]["port"], &Value::from(1));
        }
    }
}
