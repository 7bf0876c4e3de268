//! What was observed + the time → what is to be done with a request. Every rule of the flow stands here, in order.

use jiff::{SignedDuration, Timestamp};

use crate::{
    Authority, Error,
    grant::{Grant, Urls},
    request::ValidRequest,
    usage::Usages,
};

/// cert-manager's default where a request names no duration: 90 days.
pub const DEFAULT_DURATION: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How far NotBefore lies in the past, for verifiers whose clocks are behind.
pub const BACKDATE: SignedDuration = SignedDuration::from_mins(1);

/// Whether somebody allowed the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Nobody has decided.
    Undecided,
    /// Approved, and not denied.
    Approved,
    /// Denied, whatever else is said.
    Denied,
}

/// A request, in cert-manager's terms.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Already issued, failed, denied or invalid: never looked at again.
    pub finished: bool,
    /// Whether it may be signed.
    pub approval: Approval,
    /// `spec.request`: PKCS#10 in PEM.
    pub csr: &'a [u8],
    /// `spec.duration`, if given.
    pub duration: Option<SignedDuration>,
    /// `spec.isCA`.
    pub is_ca: bool,
    /// `spec.usages`.
    pub usages: &'a [String],
}

/// What happens to a certificate that would be valid for longer than its CA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeafBeyondCa {
    /// It is refused, for good.
    #[default]
    Refuse,
    /// It ends when the CA does.
    Truncate,
    /// It is signed as asked for, as cert-manager's CA issuer does.
    Permit,
}

/// The issuer that a request refers to, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub enum Issuer<'a> {
    /// There is none of that name.
    Missing,
    /// There is one, but it cannot sign yet; why, for people.
    NotReady(&'a str),
    /// It can sign.
    Ready {
        /// Its CA.
        authority: &'a Authority,
        /// URLs for each certificate.
        urls: &'a Urls,
        /// What to do with certificates that outlive the CA.
        leaf_beyond_ca: LeafBeyondCa,
    },
}

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The issuer does not exist.
    IssuerMissing,
    /// The issuer is not ready; why.
    IssuerNotReady(String),
}

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is finished, or nobody has approved it.
    Ignore,
    /// Mark it as Pending; it is looked at again when what it waits for changes.
    Wait(Wait),
    /// Mark it as denied.
    Deny,
    /// Mark it as failed, for good.
    Fail(Error),
    /// Sign what was granted.
    Sign(Box<Grant>),
}

/// Decides. Pure: the same arguments give the same answer.
#[must_use]
pub fn decide(request: &Request<'_>, issuer: &Issuer<'_>, now: Timestamp) -> Decision {
    if request.finished {
        return Decision::Ignore;
    }
    match request.approval {
        Approval::Denied => return Decision::Deny,
        Approval::Undecided => return Decision::Ignore,
        Approval::Approved => {}
    }
    let (authority, urls, beyond) = match issuer {
        Issuer::Missing => return Decision::Wait(Wait::IssuerMissing),
        Issuer::NotReady(why) => return Decision::Wait(Wait::IssuerNotReady((*why).to_owned())),
        Issuer::Ready { authority, urls, leaf_beyond_ca } => (authority, urls, leaf_beyond_ca),
    };
    if let Err(error) = authority.check_time(now) {
        return Decision::Wait(Wait::IssuerNotReady(error.to_string()));
    }
    match grant(request, authority, urls, *beyond, now) {
        Ok(grant) => Decision::Sign(Box::new(grant)),
        Err(error) => Decision::Fail(error),
    }
}

fn grant(
    request: &Request<'_>,
    authority: &Authority,
    urls: &Urls,
    beyond: LeafBeyondCa,
    now: Timestamp,
) -> Result<Grant, Error> {
    let valid = ValidRequest::from_pem(request.csr)?;
    let usages = Usages::from_names(request.usages, request.is_ca)?;
    valid.check_against(&usages, request.is_ca)?;
    if request.is_ca && !authority.may_sign_ca() {
        return Err(Error::PathLength);
    }
    let (not_before, wanted) = validity(request.duration.unwrap_or(DEFAULT_DURATION), authority.not_before(), now)?;
    let ca_not_after = authority.not_after();
    let not_after = match beyond {
        _ if wanted <= ca_not_after => wanted,
        LeafBeyondCa::Permit => wanted,
        LeafBeyondCa::Truncate => ca_not_after,
        LeafBeyondCa::Refuse => return Err(Error::BeyondCa { not_after: wanted, ca_not_after }),
    };
    Ok(Grant { request: valid, usages, is_ca: request.is_ca, not_before, not_after, urls: urls.clone() })
}

/// From a little before `now`, though not before the CA, for exactly `duration`; whole seconds.
fn validity(
    duration: SignedDuration,
    ca_not_before: Timestamp,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Error> {
    let seconds = duration.as_secs();
    let impossible = || Error::Duration(seconds);
    if seconds < 1 {
        return Err(impossible());
    }
    // A very short certificate is not backdated so far that it has ended before it is used.
    let backdate = BACKDATE.as_secs().min(seconds / 2);
    let start = (now.as_second() - backdate).max(ca_not_before.as_second());
    let end = start.checked_add(seconds).ok_or_else(impossible)?;
    let time = |second| Timestamp::from_second(second).map_err(|_| impossible());
    Ok((time(start)?, time(end)?))
}
