//! Every message has a test that has its words.
//!
//! A message is a literal of one line with three words or more, in what is compiled for users of `vm-tools` and `cli`, or in
//! an `#[error]` there. Values divide it; the longest piece between them must stand in a test's literal or in a snapshot.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use regex::Regex;

use crate::check::repository;

/// Pieces of what no test provokes, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "--remove could not give back each byte; write it as `kubectl get --output yaml` does",
        "no such manifest is known",
    ),
    ("cannot be changed without changing something else; write the lines around it plainer", "no such text is known"),
    ("TLS cannot be set up here:", "rustls takes its own defaults"),
    ("a template of the user data:", "the templates are ours"),
    ("an object as JSON:", "all that is rendered can be written"),
    ("an object as YAML:", "all that is rendered can be written"),
    ("echo 'The files are in place.'", "a line of a script"),
    ("it ends too early", "a text that does is refused by its reader"),
    ("more than one document", "the library's words, by which its error is known"),
    ("name the Secret with --folder, --file or --secret", "clap asks for one of them"),
    ("struct with one field", "told in other words"),
    ("the authority at its end is not known", "webpki names one of those that it was given"),
    ("the guest's files:", "what is in them was checked before"),
    ("the name was not resolved within", "no resolver is slow whenever a test asks it to be"),
    ("the operating system gives no random bytes; try again", "no test can make it fail"),
];

/// The literals of a source, those of its own tests apart.
#[derive(Default)]
struct Literals {
    code: Vec<String>,
    tests: Vec<String>,
}

impl Literals {
    fn of(source: &Path) -> Self {
        let mut literals = Self::default();
        let text = fs::read_to_string(source).unwrap();
        literals.collect(text.parse().unwrap_or_else(|error| panic!("{}: {error}", source.display())), false);
        literals
    }

    /// By tokens, so that those within macros are found as well.
    fn collect(&mut self, tokens: TokenStream, within_test: bool) {
        let mut tokens = tokens.into_iter().peekable();
        // Whether the item that follows is a test's.
        let mut test = within_test;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    tokens.next_if(|next| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '!'));
                    let Some(TokenTree::Group(attribute)) = tokens.next_if(|next| matches!(next, TokenTree::Group(_)))
                    else {
                        continue;
                    };
                    let text = attribute.stream().to_string().replace(' ', "");
                    test |= text == "cfg(test)";
                    // What else is in attributes is documentation and help.
                    if text.starts_with("error(") {
                        self.collect(attribute.stream(), test);
                    }
                }
                TokenTree::Group(group) => {
                    self.collect(group.stream(), test);
                    if group.delimiter() == Delimiter::Brace {
                        test = within_test;
                    }
                }
                TokenTree::Punct(mark) if mark.as_char() == ';' => test = within_test,
                TokenTree::Literal(literal) => {
                    if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                        if test { &mut self.tests } else { &mut self.code }.push(text.value());
                    }
                }
                _ => {}
            }
        }
    }
}

/// The files beneath a folder that have this ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![repository().join(folder)]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                files.push(path);
            }
        }
    }
    files
}

/// The longest piece of a message without its values; nothing where the text is none.
fn longest_piece(text: &str) -> Option<String> {
    let value = Regex::new(r"\{[A-Za-z0-9_.:?#]*\}").unwrap();
    let text = text.trim_end_matches('\n');
    let is_word = |word: &&str| {
        let word = word.trim_end_matches([',', ';', ':', '.']);
        word.len() > 1 && word.chars().all(|c| c.is_ascii_alphabetic() || c == '\'')
    };
    let words = value.split(text).flat_map(|piece| piece.split(' ')).filter(is_word).count();
    let piece = value.split(text).max_by_key(|piece| piece.len())?.trim().trim_start_matches([':', ';', ',', '`', ' ']);
    let piece = piece.replace("{{", "{").replace("}}", "}");
    (words >= 3 && !text.contains('\n')).then_some(piece)
}

#[test]
fn every_message_has_a_test_that_has_its_words() {
    let (mut pieces, mut said) = (BTreeSet::new(), String::new());
    let mut say = |text: &str| said += &format!("{text}\n");
    for source in ["vm-tools/src", "cli/src"].iter().flat_map(|folder| files(folder, "rs")) {
        let found = Literals::of(&source);
        pieces.extend(found.code.iter().filter_map(|text| longest_piece(text)));
        found.tests.iter().for_each(|text| say(text));
    }
    for folder in ["vm-tools/tests", "tests/tests"] {
        // This one's exceptions do not count.
        let sources = files(folder, "rs").into_iter().filter(|path| !path.ends_with("vm/every_message.rs"));
        sources.map(|source| Literals::of(&source)).for_each(|found| {
            found.code.iter().chain(&found.tests).for_each(|text| say(text));
        });
        files(folder, "snap").iter().for_each(|path| say(&fs::read_to_string(path).unwrap()));
    }
    // Made from the rules, and compared with them.
    say(&fs::read_to_string(repository().join("docs/checks.md")).unwrap());
    assert!(pieces.len() > 500, "only {} messages are found", pieces.len());
    let untested: BTreeSet<_> = pieces.iter().filter(|piece| !said.contains(*piece)).map(String::as_str).collect();
    let exceptions: BTreeSet<_> = EXCEPTIONS.iter().map(|(piece, _)| *piece).collect();
    let untold: Vec<_> = untested.difference(&exceptions).collect();
    assert!(untold.is_empty(), "no test has the words of these messages:\n{untold:#?}");
    let needless: Vec<_> = exceptions.difference(&untested).collect();
    assert!(needless.is_empty(), "these are no exceptions any more:\n{needless:#?}");
}
