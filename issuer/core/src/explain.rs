//! What [`decide`](crate::decide()) does with a request, rule by rule, before anything is signed.

use jiff::Timestamp;

use crate::{
    Error,
    decide::{Approval, Issuer, Request},
    rules::{Case, rules},
};

/// One rule, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule in a few words.
    pub rule: &'static str,
    /// The clause or document behind it.
    pub source: &'static str,
    /// What was looked at.
    pub saw: String,
    /// Whether the request keeps it.
    pub verdict: Verdict,
}

/// What a rule says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept.
    Kept,
    /// The request waits; for what.
    Waits(String),
    /// It is broken: the request fails.
    Broken(Error),
    /// It is broken, and only told of: the policy is a dry run.
    Told(Error),
}

/// Looks at every rule, also beyond the first that is broken, and whatever was decided about approval. Where the issuer
/// or the request cannot be read, the last finding says why.
#[must_use]
pub fn explain(request: &Request<'_>, issuer: &Issuer<'_>, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![approval(request.approval)];
    let ready = |saw: String, verdict| Finding {
        rule: "the issuer is ready",
        source: "cert-manager, external issuers: readiness",
        saw,
        verdict,
    };
    let (authority, settings) = match issuer {
        Issuer::Missing => {
            findings.push(ready("there is none".to_owned(), Verdict::Waits("the issuer to be created".to_owned())));
            return findings;
        }
        Issuer::Forbidden => {
            let saw = "there is one, for which the requester has no right".to_owned();
            findings.push(ready(saw, Verdict::Broken(Error::MayNotRefer)));
            return findings;
        }
        Issuer::NotReady(why) => {
            findings.push(ready((*why).to_owned(), Verdict::Waits("the issuer to be ready".to_owned())));
            return findings;
        }
        Issuer::Ready { authority, settings } => (authority, settings),
    };
    let ca = &authority.description().subject;
    findings.push(match authority.check_time(now).and_then(|()| authority.check_refused_keys(settings)) {
        Ok(()) => ready(format!("the CA {ca:?}, valid until {}", authority.not_after()), Verdict::Kept),
        Err(error) => ready(error.to_string(), Verdict::Waits("a CA that is valid".to_owned())),
    });
    let readable = |saw: String, verdict| Finding {
        rule: "the request can be read, and is signed by its own key",
        source: "RFC 2986; cert-manager, CertificateRequest",
        saw,
        verdict,
    };
    let size = format!("{} bytes", request.csr.len());
    match Case::read(request, authority, settings, now) {
        Err(error) => findings.push(readable(size, Verdict::Broken(error))),
        Ok(case) => {
            findings.push(readable(size, Verdict::Kept));
            findings.extend(rules(settings).map(|rule| Finding {
                rule: rule.name,
                source: rule.source,
                saw: (rule.saw)(&case),
                verdict: match (rule.check)(&case) {
                    Ok(()) => Verdict::Kept,
                    Err(error) if case.only_tells(&error) => Verdict::Told(error),
                    Err(error) => Verdict::Broken(error),
                },
            }));
        }
    }
    findings
}

fn approval(approval: Approval) -> Finding {
    let (saw, verdict) = match approval {
        Approval::Approved => ("it is approved", Verdict::Kept),
        Approval::Undecided => ("nobody has decided", Verdict::Waits("somebody to approve it".to_owned())),
        Approval::Denied => ("it is denied", Verdict::Broken(Error::Denied)),
    };
    Finding {
        rule: "the request is approved",
        source: "cert-manager, CertificateRequest: approval",
        saw: saw.to_owned(),
        verdict,
    }
}
