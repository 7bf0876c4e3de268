//! The commands that work on files: `sign` and `explain`, with the core, the reading of specs and Secrets and the status
//! patches that the controller has.
//!
//! ```text
//! files, folders, stdin ──────▶ documents ─objects─▶ issuers, Secrets, what is wanted
//!                                                        │  certificate: Certificate → key, CertificateRequest
//!                                                        ▼
//!                                            jobs ──▶ sign ─▶ output
//!                                              └────▶ explain ─▶ report
//! ```

mod certificate;
mod cluster;
mod explain;
mod objects;
mod output;
mod report;
mod request;
mod sign;

use std::{collections::HashMap, io::Write, process::ExitCode};

use jiff::Timestamp;
use tandem_cli::printable;

use crate::{api::IssuerId, issuers::Observed};
use objects::{Objects, Wanted};

pub(crate) use explain::explain;
pub(crate) use sign::sign;

/// How a command ends, where it does not end well: with a line for each reason that has not been told already.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    /// Something is refused, for good.
    Refused(Vec<String>),
    /// The input or the output is at fault.
    BadInput(Vec<String>),
    /// Something has to wait.
    Waits(Vec<String>),
}

impl End {
    fn bad(line: impl ToString) -> Self {
        Self::BadInput(vec![line.to_string()])
    }

    /// Says why, and gives the exit code. clap's own is 2 as well.
    pub(crate) fn tell(&self) -> ExitCode {
        let (code, lines) = match self {
            Self::Refused(lines) => (1, lines),
            Self::BadInput(lines) => (2, lines),
            Self::Waits(lines) => (3, lines),
        };
        note(lines);
        ExitCode::from(code)
    }
}

/// Lines for people, on standard error.
pub(crate) fn note(lines: &[String]) {
    for line in lines {
        // Nothing is left to do where even this cannot be written.
        let _ = writeln!(std::io::stderr(), "{}: {}", env!("CARGO_PKG_NAME"), printable(line));
    }
}

/// Something wanted, beside its issuer.
struct Job<'a> {
    wanted: &'a Wanted,
    id: IssuerId,
    issuer: Observed,
}

/// What is wanted of Tandem's issuers; what is not for them is told, and passed over.
fn jobs(objects: &Objects, now: Timestamp) -> Result<Vec<Job<'_>>, End> {
    let mut known: HashMap<IssuerId, Result<Observed, String>> = HashMap::new();
    let (mut jobs, mut notes, mut bad) = (Vec::new(), objects.notes.clone(), Vec::new());
    for wanted in &objects.wanted {
        let title = wanted.title();
        let Some(id) = wanted.issuer() else {
            let hint = wanted.near_miss().map(|hint| format!(": {hint}")).unwrap_or_default();
            notes.push(format!(
                "{title}: passed over: it does not refer to a TandemIssuer or TandemClusterIssuer{hint}"
            ));
            continue;
        };
        match known.entry(id.clone()).or_insert_with(|| objects.observe(&id, now)) {
            Ok(issuer) if objects.lacks_labels(wanted, issuer) => {
                let namespace = &wanted.namespace;
                bad.push(format!(
                    "{title}: the policy of {id} is about labels of the namespace {namespace}; add its manifest"
                ));
            }
            Ok(issuer) => jobs.push(Job { wanted, issuer: issuer.clone(), id }),
            Err(missing) => bad.push(format!("{title}: {missing}")),
        }
    }
    note(&notes);
    if !bad.is_empty() {
        return Err(End::BadInput(bad));
    }
    if jobs.is_empty() {
        let kinds = "a Certificate, CertificateRequest or CertificateSigningRequest";
        return Err(End::bad(format!("nothing is asked for; add {kinds} that refers to an issuer of Tandem's")));
    }
    Ok(jobs)
}
