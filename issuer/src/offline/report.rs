//! Findings → text for people, or JSON.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::json;
use tandem_cli::stdio;
use tandem_issuer_core::explain::{Finding, Verdict};

use super::output::json_text;

/// What was found of one request.
pub(crate) struct Report {
    /// Its kind and name.
    pub(crate) object: String,
    /// Kind and name of its issuer.
    pub(crate) issuer: String,
    /// It is issued, failed or denied: the controller will not look at it again.
    pub(crate) finished: bool,
    pub(crate) findings: Vec<Finding>,
}

/// What would become of a request; the later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Overall {
    Signed,
    Waits,
    Refused,
}

const GOOD: Style = AnsiColor::Green.on_default();
const OPEN: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

impl Report {
    /// Aligned, with colours; whoever prints it takes them out where they are not wanted.
    fn text(&self) -> String {
        let (style, verdict) = match self.verdict() {
            Overall::Signed => (GOOD, "would be signed"),
            Overall::Waits => (OPEN, "would wait"),
            Overall::Refused => (BAD, "would be refused"),
        };
        let mut text = format!("{BOLD}{}{BOLD:#}, for {}: {style}{verdict}{style:#}\n", self.object, self.issuer);
        if self.finished {
            text.push_str("It is issued, failed or denied already: the controller will not look at it again.\n");
        }
        for Finding { rule, source, saw, verdict } in &self.findings {
            let (style, word, then) = match verdict {
                Verdict::Kept => (GOOD, "kept", None),
                Verdict::Waits(what) => (OPEN, "waits", Some(format!("it waits for {what}"))),
                Verdict::Broken(error) => (BAD, "broken", Some(error.to_string())),
                Verdict::Told(error) => {
                    (OPEN, "told", Some(format!("{error}; it is only told: the policy is a dry run")))
                }
            };
            // A String takes any text.
            let _ = write!(text, "\n  {style}{word:<8}{style:#}{rule}\n          {DIM}saw{DIM:#}   {saw}\n");
            if let Some(then) = then {
                let _ = writeln!(text, "          {style}so{style:#}    {then}");
            }
            let _ = writeln!(text, "          {DIM}from  {source}{DIM:#}");
        }
        text
    }
}

/// A [`Report`] as JSON has it.
#[derive(Serialize)]
struct ReportJson<'a> {
    object: &'a str,
    issuer: &'a str,
    verdict: String,
    finished: bool,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    rule: &'a str,
    verdict: &'a str,
    saw: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    source: &'a str,
}

impl<'a> From<&'a Report> for ReportJson<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            object: &report.object,
            issuer: &report.issuer,
            verdict: format!("{:?}", report.verdict()),
            finished: report.finished,
            findings: report.findings.iter().map(FindingJson::from).collect(),
        }
    }
}

impl<'a> From<&'a Finding> for FindingJson<'a> {
    fn from(finding: &'a Finding) -> Self {
        let (verdict, message) = match &finding.verdict {
            Verdict::Kept => ("Kept", None),
            Verdict::Waits(what) => ("Waits", Some(what.clone())),
            Verdict::Broken(error) => ("Broken", Some(error.to_string())),
            Verdict::Told(error) => ("Told", Some(error.to_string())),
        };
        Self { rule: finding.rule, verdict, saw: &finding.saw, message, source: finding.source }
    }
}

/// Prints for people; colours go to a terminal alone, and not where `NO_COLOR` is set.
///
/// # Errors
/// In words.
pub(crate) fn print(reports: &[Report]) -> Result<(), String> {
    let text = reports.iter().map(Report::text).collect::<Vec<_>>().join("\n");
    stdio::print(&mut anstream::stdout().lock(), text.as_bytes())
}

/// Prints `{"requests": […]}`.
///
/// # Errors
/// In words.
pub(crate) fn print_json(reports: &[Report]) -> Result<(), String> {
    let requests: Vec<_> = reports.iter().map(ReportJson::from).collect();
    stdio::print(&mut std::io::stdout().lock(), json_text(&json!({ "requests": requests }))?.as_bytes())
}
