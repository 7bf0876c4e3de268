//! docs/databasevm.md: every field is in it, and what it shows works.

use std::fs;
use std::path::Path;

use crate::support::{document, render};

fn repository(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The text as serde renames it.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |all, word| all + &word[..1].to_uppercase() + &word[1..])
}

#[test]
fn every_field_of_a_document_is_in_the_reference() {
    let reference = repository("docs/databasevm.md");
    let mut fields = 0;
    for file in ["document.rs", "database.rs", "certificate.rs", "machine.rs", "members.rs"] {
        for line in repository(&format!("vm-tools/src/spec/{file}")).lines() {
            let Some((name, _)) = line.strip_prefix("    pub ").and_then(|line| line.split_once(": ")) else {
                continue;
            };
            let name = camel_case(name);
            let known = reference.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == name);
            assert!(known, "{file}: {name} is not in docs/databasevm.md");
            fields += 1;
        }
    }
    assert!(fields > 60, "only {fields} fields were found");
}

#[test]
fn what_the_reference_shows_renders() {
    let reference = repository("docs/databasevm.md");
    let blocks: Vec<_> = reference.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    let (first, parts) = blocks.split_first().unwrap();
    render(first);
    assert_eq!(parts.len(), 2);
    for part in parts {
        let lines: Vec<_> = part.lines().skip(1).map(|line| line.strip_prefix("  ").unwrap()).collect();
        render(&document(&format!(
            "database: {{redis: {{}}}}\nos: {{family: debian, image: i}}\n{}",
            lines.join("\n")
        )));
    }
}
