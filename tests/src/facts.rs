//! Which tests show which fact about cert-manager, Kubernetes and X.509 that the issuer is held to.
//!
//! A test says so where a line of its doc comment begins with `Fact 13:`, `Facts 13, 15:`, `Facts 2 and 23:` or
//! `Facts 20 to 23:`. `docs/facts.md` lists the facts, each under a heading of its own; the tests beneath are written by
//! `make facts`, and a test fails where they are not those of the sources, or where a fact has none.

use std::{collections::BTreeMap, fmt::Write, iter::Peekable, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::tools::root;

/// The list, from the repository's root.
pub const LIST: &str = "docs/facts.md";

/// A test that shows a fact: its name, and its file from the repository's root.
pub type Shown = (String, String);

/// A function with its attributes, as the sources have it.
#[derive(Debug, Default, PartialEq)]
struct Function {
    name: String,
    doc: Vec<String>,
    is_test: bool,
    is_ignored: bool,
}

/// The list as it is, and as the sources have it.
///
/// # Errors
/// Where a source cannot be read, or claims a fact in another way than it should.
pub fn lists() -> Result<(String, String)> {
    let committed = std::fs::read_to_string(root().join(LIST)).context(LIST)?;
    let current = rewrite(&committed, &shown()?)?;
    Ok((committed, current))
}

/// All facts that the sources' tests claim to show.
fn shown() -> Result<BTreeMap<usize, Vec<Shown>>> {
    let mut shown: BTreeMap<usize, Vec<Shown>> = BTreeMap::new();
    for file in sources()? {
        let text = std::fs::read_to_string(&file)?;
        let path = file.strip_prefix(root())?.display().to_string();
        for (name, facts) in claims(&text).context(path.clone())? {
            for fact in facts {
                shown.entry(fact).or_default().push((name.clone(), path.clone()));
            }
        }
    }
    Ok(shown)
}

/// Every Rust source that may hold a test of the issuer, in order.
fn sources() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root().join("issuer"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && path.file_name() != Some("target".as_ref()) {
                folders.push(path);
            } else if path.extension() == Some("rs".as_ref()) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The tests of a source that claim facts, with these.
fn claims(source: &str) -> Result<Vec<(String, Vec<usize>)>> {
    let tokens: TokenStream = source.parse().map_err(|error| anyhow::anyhow!("not Rust: {error}"))?;
    let mut functions = Vec::new();
    collect(tokens, &mut functions);
    let mut claims = Vec::new();
    for function in functions {
        let mut facts = Vec::new();
        for line in &function.doc {
            facts.extend(numbers(line).with_context(|| format!("{}: {line}", function.name))?);
        }
        if !facts.is_empty() {
            let counts = function.is_test && !function.is_ignored;
            ensure!(counts, "{} shows no fact: it is no test, or is ignored", function.name);
            claims.push((function.name, facts));
        }
    }
    Ok(claims)
}

/// The functions among these tokens, at any depth. By tokens rather than by syntax: so those within a macro, such as
/// proptest's, are found as well.
fn collect(tokens: TokenStream, found: &mut Vec<Function>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut next = Function::default();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => attribute(&mut tokens, &mut next),
            TokenTree::Ident(word) if word == "fn" => {
                if let Some(TokenTree::Ident(name)) = tokens.peek() {
                    found.push(Function { name: name.to_string(), ..std::mem::take(&mut next) });
                }
            }
            // What may stand between attributes and `fn`.
            TokenTree::Ident(word) if ["pub", "async", "const"].iter().any(|known| word == known) => {}
            TokenTree::Group(group) => {
                // The scope of `pub(crate)`.
                if group.delimiter() != Delimiter::Parenthesis {
                    next = Function::default();
                }
                collect(group.stream(), found);
            }
            _ => next = Function::default(),
        }
    }
}

/// Takes the attribute that follows its mark into account.
fn attribute(tokens: &mut Peekable<impl Iterator<Item = TokenTree>>, next: &mut Function) {
    let Some(TokenTree::Group(group)) = tokens.peek() else { return };
    let mut path = Vec::new();
    for token in group.stream() {
        match token {
            TokenTree::Ident(word) => path.push(word.to_string()),
            TokenTree::Literal(text) if path == ["doc"] => {
                next.doc.push(text.to_string().trim_matches('"').trim().to_owned());
            }
            TokenTree::Group(_) => break,
            _ => {}
        }
    }
    next.is_test |= path.last().is_some_and(|word| word == "test");
    next.is_ignored |= path.first().is_some_and(|word| word == "ignore");
    tokens.next();
}

/// The facts that a line claims; none where it does not begin like a claim.
fn numbers(line: &str) -> Result<Vec<usize>> {
    let rest = line.strip_prefix("Facts ").or_else(|| line.strip_prefix("Fact "));
    let Some(rest) = rest.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) else { return Ok(Vec::new()) };
    let list = rest.split_once(": ").context("`: ` has to follow the numbers of the facts")?.0;
    let mut numbers = Vec::new();
    for part in list.replace(" and ", ", ").split(", ") {
        match part.split_once(" to ") {
            Some((first, last)) => numbers.extend(first.parse::<usize>()?..=last.parse()?),
            None => numbers.push(part.parse()?),
        }
    }
    Ok(numbers)
}

/// The list with its headings, and beneath each the tests that show the fact.
fn rewrite(list: &str, shown: &BTreeMap<usize, Vec<Shown>>) -> Result<String> {
    const HEADING: &str = "## ";
    let beginning = list.lines().take_while(|line| !line.starts_with(HEADING));
    let mut text = beginning.map(|line| format!("{line}\n")).collect::<String>();
    let mut facts = 0;
    for heading in list.lines().filter_map(|line| line.strip_prefix(HEADING)) {
        facts += 1;
        let number = heading.split_once(". ").and_then(|(number, _)| number.parse().ok());
        ensure!(number == Some(facts), "{LIST}: the heading of fact {facts} was due, not {heading:?}");
        let tests = shown.get(&facts).with_context(|| format!("no test shows fact {heading}"))?;
        write!(text, "{HEADING}{heading}\n\n")?;
        for (name, file) in tests {
            let (_, short) = file.rsplit_once('/').unwrap_or_default();
            writeln!(text, "- [`{name}`](../{file}) ({}/{short})", package(file))?;
        }
        text.push('\n');
    }
    if let Some((unknown, tests)) = shown.iter().find(|(fact, _)| !(1..=facts).contains(*fact)) {
        bail!("there is no fact {unknown}, which {tests:?} claims to show");
    }
    Ok(text.trim_end().to_owned() + "\n")
}

/// Where a test runs: in the core, in the issuer, or against the control plane.
fn package(file: &str) -> &'static str {
    match file {
        _ if file.starts_with("issuer/core/") => "core",
        _ if file.starts_with("issuer/") => "issuer",
        _ => "e2e",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_a_test_and_the_list_names_them_all() {
        let (committed, current) = lists().unwrap();
        assert!(committed == current, "{LIST} is not what the tests say: run `make facts` and commit");
    }

    #[test]
    fn claims_are_read_at_any_depth() {
        let source = "
            //! Facts 1, 2: a module shows nothing.
            /// Fact 3: one.
            #[test]
            fn one() {}
            mod inner {
                /// In words first.
                /// Facts 4, 6 to 8 and 10: several.
                #[tokio::test(flavor = \"multi_thread\")]
                pub(crate) async fn several() -> Result<()> {}
                /// Fact of life.
                fn helper() {}
            }
            proptest! {
                /// Fact 9: within a macro.
                #[test]
                fn property(bytes in any::<u8>()) {}
            }
        ";
        let expected = [("one", vec![3]), ("several", vec![4, 6, 7, 8, 10]), ("property", vec![9])];
        assert_eq!(claims(source).unwrap(), expected.map(|(name, facts)| (name.to_owned(), facts)));
    }

    #[test]
    fn what_is_no_test_claims_nothing() {
        for source in [
            "/// Fact 1: no test.\nfn helper() {}",
            "/// Fact 1: ignored.\n#[test]\n#[ignore]\nfn skipped() {}",
            "/// Fact 1\n#[test]\nfn no_colon() {}",
            "/// Facts 1 - 3: no such list.\n#[test]\nfn dash() {}",
        ] {
            assert!(claims(source).is_err(), "{source}");
        }
    }

    #[test]
    fn a_fact_without_a_test_or_a_test_without_its_fact_is_named() {
        let list = "# Facts\n\n## 1. One\n\n## 2. Two\n";
        let shown = |facts: &[usize]| facts.iter().map(|fact| (*fact, vec![Shown::default()])).collect();
        rewrite(list, &shown(&[1, 2])).unwrap();
        assert_eq!(rewrite(list, &shown(&[1])).unwrap_err().to_string(), "no test shows fact 2. Two");
        assert!(rewrite(list, &shown(&[1, 2, 3])).unwrap_err().to_string().contains("no fact 3"));
        assert!(rewrite("## 2. Two\n", &shown(&[1, 2])).is_err());
    }
}
