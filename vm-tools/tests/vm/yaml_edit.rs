//! Edits of YAML text: what changes, what stays, what is refused.

use proptest::prelude::*;
use serde_yaml::Value;
use tandem_vm::yaml_edit::{EditError, Editor, Step, keys, stream};

/// `a.b[0].c` as steps.
fn path(text: &str) -> Vec<Step> {
    let parts = text.split(['.', '[']).filter(|part| !part.is_empty());
    parts
        .map(|part| match part.strip_suffix(']') {
            Some(index) => Step::Index(index.parse().unwrap()),
            None => Step::from(part),
        })
        .collect()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn set(text: &str, at: &str, value: &str) -> Result<String, EditError> {
    let mut editor = Editor::new(text)?;
    editor.set(&path(at), &yaml(value))?;
    Ok(editor.text().to_owned())
}

fn remove(text: &str, at: &str) -> Result<String, EditError> {
    let mut editor = Editor::new(text)?;
    editor.remove(&path(at))?;
    Ok(editor.text().to_owned())
}

#[test]
fn a_value_is_set_in_its_place() {
    for (before, at, value, after) in [
        ("a: 1 # one\nb: 2\n", "a", "5", "a: 5 # one\nb: 2\n"),
        ("a: 'x' # one\r\nb: 2\r\n", "a", "yes please", "a: yes please # one\r\nb: 2\r\n"),
        ("a: # none yet\nb: 2", "a", "x", "a: x # none yet\nb: 2"),
        ("a:\n  \"b c\":   1\n", "a.b c", "'2'", "a:\n  \"b c\":   '2'\n"),
        ("- a: 1\n  b: 2\n", "[0].a", "{c: 3}", "- a:\n    c: 3\n  b: 2\n"),
        ("a: {} # empty\nb: 1\n", "a.c.d", "1", "a: # empty\n  c:\n    d: 1\nb: 1\n"),
        ("a: |\n    one\n\n    two\nb: 1\n", "a", "\"one\\n\\nthree\\n\"", "a: |\n    one\n\n    three\nb: 1\n"),
        (
            "a: |- # text\r\n  one\r\n  two\r\nb: 1\r\n",
            "a",
            "\"one\\ntwo\\nthree\"",
            "a: |- # text\r\n  one\r\n  two\r\n  three\r\nb: 1\r\n",
        ),
        ("a: |+\n one\n\n\nb: 1\n", "a", "\"zero\\none\\n\\n\\n\"", "a: |+\n zero\n one\n\n\nb: 1\n"),
        ("a: >\n  one\n  two\nb: 1\n", "a", "x", "a: x\nb: 1\n"),
        (
            "# all\nnet:\n  port: 1 # p\n  # more\n\nx: 1\n",
            "net.tls.mode",
            "on it",
            "# all\nnet:\n  port: 1 # p\n  tls:\n    mode: on it\n  # more\n\nx: 1\n",
        ),
        ("#cloud-config\n", "a", "[1]", "#cloud-config\na:\n- 1\n"),
        ("", "a", "1", "a: 1"),
        ("ä: ö # ü\nb: 2\n", "b", "ß", "ä: ö # ü\nb: ß\n"),
        ("a:\n  b: 1\n...\n", "a.c", "2", "a:\n  b: 1\n  c: 2\n...\n"),
        ("a: |\n  t\n   \n\nb: 1\n", "c", "2", "a: |\n  t\n   \n\nb: 1\nc: 2\n"),
        ("? a\n: 1\nb: 2\n", "b", "3", "? a\n: 1\nb: 3\n"),
    ] {
        assert_eq!(set(before, at, value).as_deref(), Ok(after), "{before:?} {at}");
    }
}

#[test]
fn entries_are_written_as_their_neighbours_stand() {
    for (before, at, after) in [
        ("l:\n- a # first\n# c\nx: 1\n", "l", "l:\n- a # first\n- k: 1\n  m: 2\n# c\nx: 1\n"),
        ("l:\n    -   a\n    -   b\n", "l", "l:\n    -   a\n    -   b\n    - k: 1\n      m: 2\n"),
        ("l:\n  - |\n    t\n\n  # c\n", "l", "l:\n  - |\n    t\n  - k: 1\n    m: 2\n\n  # c\n"),
        ("l:\n  - |+\n    t\n\nx: 1\n", "l", "l:\n  - |+\n    t\n\n  - k: 1\n    m: 2\nx: 1\n"),
        ("a: {b: 1}\nl:\n  - x\n...\n", "l", "a: {b: 1}\nl:\n  - x\n  - k: 1\n    m: 2\n...\n"),
        (
            "l:\n  # first\n  -\n    # below its dash\n    a: 1",
            "l",
            "l:\n  # first\n  -\n    # below its dash\n    a: 1\n  - k: 1\n    m: 2",
        ),
        ("l:\n- &x {a: 1}\nm: *x\n", "l", "l:\n- &x {a: 1}\n- k: 1\n  m: 2\nm: *x\n"),
        ("a:\n  b: x\n", "a.l", "a:\n  b: x\n  l:\n  - k: 1\n    m: 2\n"),
        ("a:\n  l: [] # none\n", "a.l", "a:\n  l: # none\n  - k: 1\n    m: 2\n"),
    ] {
        let mut editor = Editor::new(before).unwrap();
        editor.append(&path(at), &yaml("{k: 1, m: 2}")).unwrap_or_else(|error| panic!("{before:?}: {error}"));
        assert_eq!(editor.text(), after, "{before:?}");
    }
    let mut editor = Editor::new("l: # list\n# c\n- a\n- b\n").unwrap();
    editor.insert(&path("l"), 0, &1.into()).unwrap();
    editor.insert(&path("l"), 2, &2.into()).unwrap();
    assert_eq!(editor.text(), "l: # list\n- 1\n# c\n- a\n- 2\n- b\n");
}

#[test]
fn what_is_removed_goes_with_what_it_leaves_empty() {
    for (before, at, after) in [
        ("a: 1\n# c\nb: 2 # two\nc: 3\n", "b", "a: 1\n# c\nc: 3\n"),
        ("a: 1\nb:\n  c:\n    - 1\n", "b.c[0]", "a: 1\n"),
        ("# head\na: 1\n", "a", "# head\n"),
        ("a: 1", "a", ""),
        ("x: 1\r\na: |\r\n  t\r\n\r\n  u\r\ny: 2\r\n", "a", "x: 1\r\ny: 2\r\n"),
        ("- a: 1\n  b: 2\n", "[0].a", "- b: 2\n"),
        ("l:\n- a\n- b", "l[1]", "l:\n- a"),
    ] {
        assert_eq!(remove(before, at).as_deref(), Ok(after), "{before:?} {at}");
    }
}

#[test]
fn what_cannot_be_edited_is_refused_with_the_reason() {
    let said: Vec<String> = [
        ("a: {b: 1}\n", "a.b"),
        ("a: [1, 2]\n", "a"),
        ("a: &x\n  b: 1\nc: *x\n", "a.b"),
        ("a: &x\n  b: 1\nc: *x\n", "c.b"),
        ("a: &x 1\n", "a"),
        ("x: &x\n  b: 1\na:\n  <<: *x\n", "a.b"),
        ("a: !t\n  b: 1\n", "a.b"),
        ("a: \"one\n  two\"\n", "a"),
        ("a: one\n  two\n", "a"),
        ("a: 1\na: 2\n", "a"),
        ("a:\n\tb: 1\n", "a.b"),
        ("a: 1\n---\nb: 1\n", "a"),
        ("a: 1\n", "a.b"),
        ("- a\n", "a"),
        ("a: 1\n", "[0]"),
        ("a:\n- 1\n", "a[3]"),
        ("a: [\n", "a"),
        ("a: |\n  one", "b"),
        (&"- ".repeat(200), "a"),
        ("? a\nx: 1\n", "a.b"),
    ]
    .map(|(text, at)| format!("{at} in {text:?}\n  {}", set(text, at, "1").unwrap_err()))
    .into();
    insta::assert_snapshot!(said.join("\n"));
    assert_eq!(
        remove("- a: 1\n  # why\n  b: 2\n", "[0].a").unwrap_err().to_string(),
        "[0].a: begins its list's entry; move it below the entry's other fields"
    );
    assert_eq!(
        Editor::new("a: 1\n").unwrap().entry_of(&path("a"), "- 1").unwrap_err().to_string(),
        "not readable as YAML: it is no entry of a mapping"
    );
}

#[test]
fn marks_tell_what_was_there() {
    for text in [
        "d: {} # none\nx: 1\n",
        "d: []\n",
        "d:\nx: 1\n",
        "d: # comment\n",
        "d: null",
        "d: ~ # c",
        "x: 1\n",
        "x: 1",
        "#cloud-config",
        "#cloud-config\n\n# nothing\n",
        "---\r\n# c\r\n",
    ] {
        let mut editor = Editor::new(text).unwrap().with_mark("tool");
        editor
            .append(&keys(&["d", "disks"]), &yaml("{name: a, b: 1}"))
            .or_else(|_| editor.append(&keys(&["d"]), &yaml("{name: a}")))
            .unwrap();
        assert!(editor.text().contains("name: a # tool"), "{}", editor.text());
        let first = if editor.get(&path("d.disks[0]")).is_some() { "d.disks[0]" } else { "d[0]" };
        editor.remove(&path(first)).unwrap();
        assert_eq!(editor.text(), text);
    }
}

#[test]
fn a_stream_is_taken_apart_and_is_the_same_together() {
    for (text, parts) in [
        ("a: 1\n---\nb: 1\n", 2),
        ("# c\n---\na: 1\n...\n# d\n---\n---\nb: |\n  ---x\n", 3),
        ("", 1),
        ("# only\n", 1),
        ("\u{feff}a: é\r\n---\r\nb: 1", 2),
    ] {
        let ranges = stream::split(text).unwrap();
        assert_eq!(ranges.len(), parts, "{text:?}");
        assert_eq!(ranges.iter().map(|range| &text[range.clone()]).collect::<String>(), text);
    }
    let told = stream::split("a: 1\n...\n%YAML 1.1\n---\nb: 1\n").unwrap_err().to_string();
    assert_eq!(told, "not readable as YAML: its documents do not stand alone; remove %YAML and %TAG lines");
}

/// A document in block style, as people write them: the lines of a value at an indentation.
fn document() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        "[a-z]{1,8}",
        "[a-z]{1,4} # [a-zé]{0,5}",
        Just("'quoted: # text'".to_owned()),
        Just("\"a\\tb é\"".to_owned()),
        Just("&anchor 5".to_owned()),
        Just("{flow: [1, 2]}".to_owned()),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
        Just(String::new()),
        Just("|\n@one\n\n@  two # no comment".to_owned()),
        Just("|-\n@one".to_owned()),
        Just("|+\n@one\n\n".to_owned()),
        Just(">\n@one\n@two\n".to_owned()),
    ];
    let leaf = scalar.prop_map(|text| (true, text)).boxed();
    let node = leaf.prop_recursive(4, 40, 5, |inner| {
        let comment = prop_oneof![3 => Just(""), 1 => Just("@# a comment\n"), 1 => Just("\n")];
        let entry = (comment, "[a-z]{2,6}", inner, 1_usize..4);
        prop_oneof![
            (proptest::collection::vec(entry.clone(), 1..5), any::<bool>()).prop_map(|(entries, quoted)| {
                let mut text = String::new();
                let quote = if quoted { "\"" } else { "" };
                for (index, (comment, key, (inline, value), by)) in entries.into_iter().enumerate() {
                    let value = nested(inline, &value, by);
                    text.push_str(&format!("{comment}@{quote}{key}{index}{quote}:{value}\n"));
                }
                (false, text.trim_end_matches('\n').to_owned() + if text.ends_with("\n\n\n") { "\n\n" } else { "" })
            }),
            (proptest::collection::vec(entry, 1..5), any::<bool>()).prop_map(|(entries, _)| {
                let mut text = String::new();
                for (comment, _, (inline, value), by) in entries {
                    // Of what begins in the dash's line the indentation is the dash's and the blanks behind it.
                    let value = nested(inline, &value, by + 1);
                    let value = if inline { value } else { format!(" # entry{value}") };
                    text.push_str(&format!("{comment}@-{value}\n"));
                }
                (false, text.trim_end_matches('\n').to_owned())
            }),
        ]
    });
    (node, any::<bool>(), any::<bool>(), prop_oneof![Just(""), Just("---\n"), Just("# head\n\n")]).prop_map(
        |((inline, text), crlf, newline, head)| {
            let body = if inline { format!("key0:{}", nested(true, &text, 2)) } else { text };
            let text = format!("{head}{}{}", body.replace('@', ""), if newline { "\n" } else { "" });
            if crlf { text.replace('\n', "\r\n") } else { text }
        },
    )
}

/// A value behind its key or dash: `@` stands for the indentation of the lines that follow.
fn nested(inline: bool, value: &str, by: usize) -> String {
    let deeper = value.replace('@', &format!("@{}", " ".repeat(by)));
    if inline { format!(" {deeper}") } else { format!("\n{deeper}") }
}

/// Every path of a value.
fn paths(value: &Value, at: &[Step], all: &mut Vec<Vec<Step>>) {
    all.push(at.to_vec());
    let below = |step: Step| [at, &[step]].concat();
    match value {
        Value::Mapping(entries) => {
            entries.iter().for_each(|(key, value)| paths(value, &below(key.as_str().unwrap().into()), all));
        }
        Value::Sequence(items) => {
            items.iter().enumerate().for_each(|(index, value)| paths(value, &below(index.into()), all));
        }
        _ => {}
    }
}

fn new_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(yaml("{name: tls, secret: {secretName: s}}")),
        Just(yaml("[a, {b: c}]")),
        Just(yaml("\"line\\n  two\\n\"")),
        Just(yaml("\" begins with blanks\\n\"")),
        Just(yaml("'# no comment: x'")),
        Just(yaml("12")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_edit_changes_lines_of_its_own_and_removing_undoes_it(
        text in document(), at in any::<prop::sample::Index>(), new in new_value(),
    ) {
        let mut editor = Editor::new(text.clone()).unwrap().with_mark("tool");
        let mut all = Vec::new();
        paths(&editor.value().clone(), &[], &mut all);
        let target = &all[at.index(all.len())];
        let added = [target.as_slice(), &["added".into()]].concat();
        let appended = editor.clone().append(target, &new).is_ok();
        let done = if appended { editor.append(target, &new) } else { editor.set(&added, &new) };
        if let Err(error) = done {
            // Only for what is written in a way that is not edited; and a block that ends in a line break cannot end a text
            // that does not.
            let unended = matches!(error, EditError::Unended(_)) && !text.ends_with('\n');
            let style = matches!(error, EditError::Flow(_) | EditError::NotAMapping(_) | EditError::Unusual(_));
            prop_assert!(unended || style, "{}\n{}", error, text);
            prop_assert_eq!(editor.text(), &text);
            return Ok(());
        }
        // No line of the old text is gone, but for the empty values that were opened.
        let kept = text.lines().filter(|line| !editor.text().lines().any(|new| new == *line));
        prop_assert!(kept.clone().count() <= 1, "{:?}\n{}", kept.collect::<Vec<_>>(), editor.text());
        let gone = match editor.get(target) {
            Some(Value::Sequence(items)) if appended => [target.as_slice(), &[(items.len() - 1).into()]].concat(),
            _ => added,
        };
        if let Err(error) = editor.remove(&gone) {
            panic!("{error}\n{}", editor.text());
        }
        prop_assert_eq!(editor.text(), text);
    }

    #[test]
    fn no_text_makes_the_editor_panic(text in any::<String>(), at in "[a-z.]{0,4}") {
        drop(set(&text, &at, "1"));
        drop(remove(&text, &at));
        drop(stream::split(&text));
    }

    #[test]
    fn no_damage_makes_the_editor_panic_or_change_more_than_asked(
        text in document(), cut in any::<prop::sample::Index>(), insert in "[ \\-:#|>&*{}\\[\\]\"'\n\ta?!%]{0,4}",
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        let at = cut.index(chars.len() + 1);
        chars.splice(at..at, insert.chars());
        let text: String = chars.into_iter().collect();
        if let Ok(mut editor) = Editor::new(text.clone()) {
            let before = editor.value().clone();
            if editor.set(&path("added.deep"), &1.into()).is_ok() {
                // As it is read, with a number for a field's name as its text.
                let mut after = Editor::new(editor.text().to_owned()).unwrap().value().clone();
                after.as_mapping_mut().unwrap().shift_remove("added");
                let same = after == before || before.is_null();
                prop_assert!(same, "{text}");
            }
        }
    }
}
