//! `explain`: each rule and what it saw, before anything is signed.

use jiff::Timestamp;
use tandem_issuer_core::{
    decide::{self, Approval},
    explain::{self as core, Verdict},
};

use super::{
    End, cluster, jobs,
    objects::{Objects, What},
    report::{self, Report},
};
use crate::args::{Explain, ReportFormat};

/// Explains everything that is asked for, and ends as the worst of it.
pub(crate) fn explain(args: &Explain) -> Result<(), End> {
    let now = args.input.now();
    let reports = match &args.from_cluster {
        Some(target) => vec![cluster::explain(target, args, now)?],
        None => of_files(args, now)?,
    };
    match args.output {
        ReportFormat::Text => report::print(&reports),
        ReportFormat::Json => report::print_json(&reports),
    }
    .map_err(End::bad)?;
    // The report has said why.
    match reports.iter().map(Report::verdict).max() {
        Some(report::Overall::Refused) => Err(End::Refused(Vec::new())),
        Some(report::Overall::Waits) => Err(End::Waits(Vec::new())),
        Some(report::Overall::Signed) | None => Ok(()),
    }
}

fn of_files(args: &Explain, now: Timestamp) -> Result<Vec<Report>, End> {
    let objects = Objects::read(&args.input)?;
    let mut reports = Vec::new();
    let mut bad = Vec::new();
    for job in jobs(&objects, now)? {
        match job.wanted.request(&objects) {
            Ok((request, _)) => {
                // A Certificate's request is yet to be made: who would approve it is not to be seen here.
                let assumed = args.assume_approved || matches!(job.wanted.what, What::Certificate(_));
                let title = (job.wanted.name.to_string(), job.id.to_string());
                let seen = request.to_core(objects.labels(&job.wanted.namespace));
                reports.push(look(title, seen, &job.issuer.to_core(), assumed, now));
            }
            Err(why) => bad.push(format!("{}: {why}", job.wanted.title())),
        }
    }
    if bad.is_empty() { Ok(reports) } else { Err(End::BadInput(bad)) }
}

/// Has the core look at one request. `title` is its name and that of its issuer.
pub(super) fn look(
    title: (String, String),
    mut seen: decide::Request<'_>,
    issuer: &decide::Issuer<'_>,
    assume_approved: bool,
    now: Timestamp,
) -> Report {
    let assumed = assume_approved && seen.approval == Approval::Undecided;
    if assumed {
        seen.approval = Approval::Approved;
    }
    let mut findings = core::explain(&seen, issuer, now);
    // The first finding is about approval.
    if let Some(approval) = findings.first_mut().filter(|_| assumed) {
        approval.saw = "nobody has decided; taken for approved".to_owned();
    }
    let (object, issuer) = title;
    Report { object, issuer, finished: seen.finished, findings }
}

impl Report {
    /// What becomes of the request: a broken rule outweighs one that waits.
    pub(crate) fn verdict(&self) -> report::Overall {
        let any = |of: fn(&Verdict) -> bool| self.findings.iter().any(|finding| of(&finding.verdict));
        match () {
            () if any(|verdict| matches!(verdict, Verdict::Broken(_))) => report::Overall::Refused,
            () if any(|verdict| matches!(verdict, Verdict::Waits(_))) => report::Overall::Waits,
            () => report::Overall::Signed,
        }
    }
}
