//! Every rule of `tandem-vm check`: a stream that breaks it, and it alone, and one that breaks nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tandem_vm::check::{check, rule_page, rules};
use tandem_vm::model::Stream;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/check")
}

/// `RULE FIELD: MESSAGE` of everything that is found in a fixture.
fn found(name: &str) -> Vec<String> {
    let stream = Stream::read(&[folder().join(name)], &mut std::io::empty(), "default");
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
