//! `sign`: what the files ask for, signed by the issuers that stand beside it.

use std::collections::HashSet;

use jiff::Timestamp;
use tandem_issuer_core::decide::Approval;

use super::{
    End, Job, jobs, note,
    objects::{Name, Objects, What},
    output::{self, Output},
};
use crate::{api::Publication, args::Sign, outcome::Outcome, reconcile::conclude};

/// Signs everything, or says what is in the way and writes nothing.
pub(crate) fn sign(args: &Sign) -> Result<(), End> {
    let now = args.input.now();
    let objects = Objects::read(&args.input)?;
    let (mut signed, mut places) = (Vec::new(), HashSet::new());
    let (mut refused, mut waits, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for job in jobs(&objects, now)? {
        let title = job.wanted.title();
        match sign_one(&job, &objects, now) {
            Ok(output) => {
                let Name { kind, name, .. } = output.name.clone();
                if !places.insert((kind, job.wanted.namespace.clone(), name)) {
                    let name = &output.name;
                    bad.push(format!("two Certificates would be written to the {name}; give each its own secretName"));
                }
                signed.push(output);
            }
            Err(Unsigned::Refused(why)) => refused.push(format!("{title}: refused: {why}")),
            Err(Unsigned::Waits(why)) => waits.push(format!("{title}: has to wait: {why}")),
            Err(Unsigned::BadInput(why)) => bad.push(format!("{title}: {why}")),
        }
    }
    // All of it is told; what is worst names the exit code.
    let end: fn(Vec<String>) -> End = match () {
        () if !bad.is_empty() => End::BadInput,
        () if !refused.is_empty() => End::Refused,
        () if !waits.is_empty() => End::Waits,
        () => match &args.output_dir {
            Some(folder) => return output::write_files(&signed, args.output, folder, args.replace),
            None => return output::print(&signed, args.output).map_err(End::bad),
        },
    };
    Err(end([bad, refused, waits].concat()))
}

/// Why something is not signed.
enum Unsigned {
    Refused(String),
    Waits(String),
    BadInput(String),
}

fn sign_one(job: &Job<'_>, objects: &Objects, now: Timestamp) -> Result<Output, Unsigned> {
    let (request, key) = job.wanted.request(objects).map_err(Unsigned::BadInput)?;
    let mut core = request.to_core(objects.labels(&job.wanted.namespace));
    // Nobody but the operator decides here, and with this command they have; a denial stands.
    if core.approval == Approval::Undecided {
        core.approval = Approval::Approved;
    }
    // Who may refer to a namespaced issuer is asked of an API server; here the operator answers for that as well.
    let outcome = conclude(&core, &job.id, &job.issuer, true, now).ok_or_else(|| {
        let advice = "make a new request, or remove its status";
        Unsigned::Refused(format!("it is issued, failed or denied already, and that is final; {advice}"))
    })?;
    let issued = match &outcome {
        Outcome::Issued(issued, would_refuse) => {
            if let Some(error) = would_refuse {
                note(&[format!("{}: signed in a dry run of the policy: {error}", job.wanted.title())]);
            }
            issued
        }
        Outcome::Denied | Outcome::Failed(_) => return Err(Unsigned::Refused(outcome.message())),
        Outcome::Unapproved | Outcome::Waiting(..) | Outcome::Retrying(_) => {
            return Err(Unsigned::Waits(outcome.message()));
        }
    };
    if let (What::Certificate(certificate), Some(key)) = (&job.wanted.what, &key) {
        let secret = certificate.secret(key, issued).map_err(|error| Unsigned::BadInput(error.to_string()))?;
        return Output::of_secret(&secret).map_err(|error| Unsigned::BadInput(error.to_string()));
    }
    let Publication::Status(patch) = request.publication(&outcome, now) else {
        return Err(Unsigned::BadInput("its status cannot be written".to_owned()));
    };
    Output::of_status(job.wanted, &patch).map_err(|error| Unsigned::BadInput(error.to_string()))
}
