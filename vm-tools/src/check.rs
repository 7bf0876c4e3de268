//! Rules that hold between the objects of a stream, and what breaks them.
//!
//! ```text
//! model::Stream ─▶ rules (numbered, each a function) ─▶ Finding ─▶ ignored? ─▶ Report ─▶ text, JSON, SARIF
//! ```
//!
//! A rule has a number for ever; one that is withdrawn leaves a gap. What a rule says names the object, the field and what
//! was found there, and never the content of a Secret.

mod ignore;
mod lines;
mod report;
mod rules;
mod sarif;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

pub(crate) use ignore::rule;
pub use ignore::{ANNOTATION, Ignored};
pub use report::{rule_list, rule_page};
pub use rules::all as rules;

use crate::model::{Meta, Stream, UserData};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does not work, or stops working at the first renewal, or gives power away that nobody meant to give.
    Error,
    /// It works until something happens that will.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// A rule.
pub struct Rule {
    /// Its number, such as `TVM001`.
    pub id: &'static str,
    /// Its name in words, such as `serial-too-long`.
    pub name: &'static str,
    /// How bad it is to break it.
    pub severity: Severity,
    /// What is wrong where it is broken, in a line.
    pub summary: &'static str,
    /// Why that is wrong.
    pub why: &'static str,
    /// What to do.
    pub remedy: &'static str,
    check: fn(&Stream, &mut Findings),
}

/// A rule that is broken somewhere.
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// The object to change.
    pub object: Meta,
    /// Path of the field; empty for the object as a whole.
    pub field: String,
    /// What was found.
    pub message: String,
    /// Where that stands in its file, from 1: the field's line, or that of the nearest thing around it. [`Report::find_lines`]
    /// fills it in.
    pub line: Option<usize>,
    /// Another object that it concerns, whose annotation counts as well: the machine whose user data is in a Secret.
    concerns: Option<Meta>,
}

/// What the rules collect into.
struct Findings {
    rule: &'static Rule,
    all: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, object: &Meta, field: impl Into<String>, message: impl Into<String>) {
        let [field, message] = [field.into(), message.into()].map(|text| tandem_cli::printable(&text));
        self.all.push(Finding { rule: self.rule, object: object.clone(), field, message, line: None, concerns: None });
    }

    /// In the user data of a machine, wherever that stands.
    fn in_user_data(&mut self, machine: &Meta, user_data: &UserData, inner: &str, message: impl Into<String>) {
        self.add(&user_data.meta, user_data.field(inner), message);
        if let Some(finding) = self.all.last_mut().filter(|_| user_data.in_secret) {
            finding.concerns = Some(machine.clone());
        }
    }
}

/// What the rules found.
pub struct Report {
    /// In the order of the objects in the stream, then by number and field.
    pub findings: Vec<Finding>,
    /// How many were told not to be told.
    pub ignored: usize,
    /// How many objects were looked at.
    pub objects: usize,
}

impl Report {
    /// Gives each finding its line, as far as its file is among the texts. The names of files are those of [`Meta::place`].
    pub fn find_lines(&mut self, texts: &BTreeMap<String, String>) {
        for (file, text) in texts {
            let here = |finding: &&Finding| finding.object.place.file() == file;
            let lines = lines::Lines::of(text, self.findings.iter().filter(here));
            for finding in self.findings.iter_mut().filter(|finding| here(&&**finding)) {
                finding.line = lines.line(finding);
            }
        }
    }

    /// How many there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.rule.severity == severity).count()
    }
}

/// Looks at a stream with all rules. What `ignored` or an object's [`ANNOTATION`] names is counted only.
#[must_use]
pub fn check(stream: &Stream, ignored: &[Ignored]) -> Report {
    let mut all = Vec::new();
    for rule in rules() {
        let mut findings = Findings { rule, all: Vec::new() };
        (rule.check)(stream, &mut findings);
        all.append(&mut findings.all);
    }
    let key =
        |finding: &Finding| (finding.object.index, finding.rule.id, finding.field.clone(), finding.message.clone());
    all.sort_by_cached_key(key);
    all.dedup_by_key(|finding| key(finding));
    let found = all.len();
    all.retain(|finding| !ignored.iter().any(|one| one.covers(finding)) && !ignore::annotated(finding));
    Report { ignored: found - all.len(), findings: all, objects: stream.objects.len() }
}
