//! What would change in a file, as a unified diff: every line, as `patch` takes it, or what people read of it.

use clap::ValueEnum;
use similar::TextDiff;

use crate::encoding::from_base64;
use crate::inject::ORIGINAL;

/// How much of a diff is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Diff {
    /// For people: long files of the guest are begun and counted, and what is base64 is decoded
    Short,
    /// Every line, as `patch` takes it
    Full,
}

/// Keys whose value is a file's content, or a copy of what is taken out beside it.
const FILES: [&str; 2] = ["content", ORIGINAL];
/// A block with more lines than this is abridged to its first ones.
const MAX_LINES: usize = 20;
/// How many of them stay.
const FIRST_LINES: usize = 3;
/// A line with more characters than this is cut.
const MAX_WIDTH: usize = 200;

impl Diff {
    /// From one text of a file of this name to another.
    pub(super) fn of(self, name: &str, before: &str, after: &str) -> String {
        let whole = unified(name, before, after);
        if self == Self::Full {
            return whole;
        }
        let decoded = decoded(&whole).into_iter().map(|(key, before, after)| {
            let name = format!("{name}: {key}, decoded");
            abridged(&unified(&name, &before, &after))
        });
        abridged(&whole) + &decoded.collect::<String>()
    }
}

fn unified(name: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().header(name, name).to_string()
}

/// The values of keys that are base64 on both sides.
fn decoded(diff: &str) -> Vec<(String, String, String)> {
    let side = |sign: char| {
        let lines = diff.lines().filter_map(move |line| line.strip_prefix(sign)?.split_once(": "));
        lines.filter_map(|(key, value)| {
            let [key, value] = [key, value].map(|text| text.trim_matches([' ', '"', '\'', ',']));
            let text = String::from_utf8(from_base64(value)?).ok()?;
            text.contains('\n').then(|| (key.to_owned(), text))
        })
    };
    let after: Vec<_> = side('+').collect();
    let both = side('-').zip(after).filter(|((old, _), (new, _))| old == new);
    both.map(|((key, before), (_, after))| (key, before, after)).collect()
}

/// A block of text that is added or taken out.
struct Block {
    /// `+` or `-`.
    sign: char,
    /// Where its key stands; its lines stand further in.
    indent: usize,
    lines: Vec<String>,
}

impl Block {
    fn end(self, text: &mut String) {
        let shown = if self.lines.len() > MAX_LINES { FIRST_LINES } else { self.lines.len() };
        let (first, rest) = self.lines.split_at(shown);
        first.iter().for_each(|line| *text += line);
        if !rest.is_empty() {
            *text += &format!("{}{}… {} more lines\n", self.sign, " ".repeat(self.indent + 2), rest.len());
        }
    }
}

fn abridged(diff: &str) -> String {
    let (mut text, mut open): (String, Option<Block>) = (String::new(), None);
    for line in diff.lines() {
        let sign = line.chars().next().unwrap_or(' ');
        let body = line.get(1..).unwrap_or_default();
        let inside = |block: &Block| {
            block.sign == sign && (body.trim().is_empty() || body.len() - body.trim_start().len() > block.indent)
        };
        if open.as_ref().is_some_and(|block| !inside(block))
            && let Some(block) = open.take()
        {
            block.end(&mut text);
        }
        let shown = cut(line);
        match &mut open {
            Some(block) => block.lines.push(shown),
            None => {
                text += &shown;
                open = begins(sign, body);
            }
        }
    }
    if let Some(block) = open {
        block.end(&mut text);
    }
    text
}

/// The block that a line begins, where it is the key of one.
fn begins(sign: char, body: &str) -> Option<Block> {
    let key = body.trim_start_matches([' ', '-']);
    let (name, value) = key.split_once(": ")?;
    let block = ['+', '-'].contains(&sign) && FILES.contains(&name) && value.starts_with(['|', '>']);
    block.then(|| Block { sign, indent: body.len() - key.len(), lines: Vec::new() })
}

fn cut(line: &str) -> String {
    let length = line.chars().count();
    if length <= MAX_WIDTH {
        return format!("{line}\n");
    }
    let first: String = line.chars().take(MAX_WIDTH / 2).collect();
    format!("{first}… {} more characters\n", length - MAX_WIDTH / 2)
}
