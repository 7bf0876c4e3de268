//! What was observed + the time → what is to be done with a request: the way of the flow, in order. The rules that the
//! request itself has to keep are in module `rules`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    Authority, Error,
    grant::Grant,
    rules::{Case, rules},
    settings::Settings,
};

/// Whether somebody allowed the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// Nobody has decided.
    #[default]
    Undecided,
    /// Approved, and not denied.
    Approved,
    /// Denied, whatever else is said.
    Denied,
}

/// Where a request was made. The two APIs differ in little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// cert-manager's CertificateRequest.
    #[default]
    CertManager,
    /// Kubernetes' CertificateSigningRequest: isCA adds no cert sign, and there is a shortest duration.
    Kubernetes,
}

/// A request, in cert-manager's terms.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Of which API it is.
    pub api: Api,
    /// Already issued, failed, denied or invalid: never looked at again.
    pub finished: bool,
    /// Whether it may be signed.
    pub approval: Approval,
    /// `spec.request`: PKCS#10 in PEM.
    pub csr: &'a [u8],
    /// How long the certificate is to be valid, if that is said; the text where it is no duration.
    pub duration: Result<Option<SignedDuration>, &'a str>,
    /// `spec.isCA`.
    pub is_ca: bool,
    /// `spec.usages`.
    pub usages: &'a [String],
    /// Where it was made. `None` for Kubernetes' API, whose requests are of the whole cluster: then a policy allows none
    /// of its patterns with `${namespace}`, and where it names the namespaces that may use the issuer, nothing at all.
    pub namespace: Option<Namespace<'a>>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            api: Api::default(),
            finished: false,
            approval: Approval::default(),
            csr: &[],
            duration: Ok(None),
            is_ca: false,
            usages: &[],
            namespace: None,
        }
    }
}

/// The namespace that a request was made in.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its labels, where they are known. Only a policy for which [`Policy::needs_labels`](crate::Policy::needs_labels)
    /// is true looks at them.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

/// The issuer that a request refers to, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub enum Issuer<'a> {
    /// There is none of that name.
    Missing,
    /// There is one, but who made the request may not refer to it.
    Forbidden,
    /// There is one, but it cannot sign yet; why, for people.
    NotReady(&'a str),
    /// It can sign.
    Ready {
        /// Its CA.
        authority: &'a Authority,
        /// What its spec says about certificates.
        settings: &'a Settings,
    },
}

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nobody has approved or denied it.
    Approval,
    /// The issuer does not exist.
    IssuerMissing,
    /// The issuer is not ready; why.
    IssuerNotReady(String),
}

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is finished.
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
        Approval::Undecided => return Decision::Wait(Wait::Approval),
        Approval::Approved => {}
    }
    let (authority, settings) = match issuer {
        Issuer::Missing => return Decision::Wait(Wait::IssuerMissing),
        Issuer::Forbidden => return Decision::Fail(Error::MayNotRefer),
        Issuer::NotReady(why) => return Decision::Wait(Wait::IssuerNotReady((*why).to_owned())),
        Issuer::Ready { authority, settings } => (authority, settings),
    };
    if let Err(error) = authority.check_time(now).and_then(|()| authority.check_refused_keys(settings)) {
        return Decision::Wait(Wait::IssuerNotReady(error.to_string()));
    }
    let case = match Case::read(request, authority, settings, now) {
        Ok(case) => case,
        Err(error) => return Decision::Fail(error),
    };
    let broken = rules(settings).filter_map(|rule| (rule.check)(&case).err());
    let (told, broken): (Vec<_>, Vec<_>) = broken.partition(|error| case.only_tells(error));
    match Error::all(broken) {
        None => Decision::Sign(Box::new(case.grant(Error::all(told)))),
        Some(error) => Decision::Fail(error),
    }
}
