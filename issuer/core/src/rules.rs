//! The rules that a request keeps before it is signed, in their order. [`decide`](crate::decide()) names all that are
//! broken, [`explain`](crate::explain()) tells of the others as well.

use jiff::{SignedDuration, Timestamp};

use crate::{
    Authority, Error,
    decide::{Api, Request},
    grant::Grant,
    names, policy,
    request::ValidRequest,
    settings::{LeafBeyondCa, Settings},
    usage::{Usages, describe_extended, describe_key_usage},
    weak_keys::{self, Weakness},
};

/// cert-manager's default where a request names no duration: 90 days.
pub(crate) const DEFAULT_DURATION: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The shortest duration that Kubernetes' CertificateSigningRequest has (`spec.expirationSeconds`).
pub(crate) const KUBERNETES_MIN_DURATION: SignedDuration = SignedDuration::from_secs(600);

/// A request that could be read, beside the issuer that it is for.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) authority: &'a Authority,
    pub(crate) settings: &'a Settings,
    pub(crate) valid: ValidRequest,
    pub(crate) usages: Usages,
    not_before: Timestamp,
    wanted_not_after: Timestamp,
}

/// One rule: its name, where it comes from, what it looks at, and whether that keeps it.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    pub(crate) saw: fn(&Case<'_>) -> String,
    pub(crate) check: fn(&Case<'_>) -> Result<(), Error>,
}

/// All rules, in order; those of a policy where there is one.
pub(crate) fn rules(settings: &Settings) -> impl Iterator<Item = &'static Rule> {
    let policy = settings.policy.as_ref().map_or(&[][..], |_| policy::rules::RULES);
    [RULES, names::RULES, policy].into_iter().flatten()
}

const RULES: &[Rule] = &[
    Rule {
        name: "somebody is named",
        source: "RFC 5280 clause 4.1.2.6",
        saw: |case| {
            let names = case.valid.names.len();
            let subject = if case.valid.subject_is_empty() { "an empty subject" } else { "a subject" };
            format!("{subject}; subject alternative names: {names}")
        },
        check: |case| match case.valid.subject_is_empty() && case.valid.names.is_empty() {
            true => Err(Error::NoNames),
            false => Ok(()),
        },
    },
    Rule {
        name: "the request encodes what its spec asks for",
        source: "cert-manager, CertificateRequest: usages and isCA",
        saw: |case| {
            let Usages { key, extended } = &case.usages;
            let is_ca = case.request.is_ca;
            format!("{}; extended: {}; isCA {is_ca}", describe_key_usage(*key), describe_extended(extended))
        },
        check: |case| case.valid.check_against(&case.usages, case.request.is_ca),
    },
    Rule {
        name: "the public key is sound",
        source: "FIPS 186-5 clause 5; CVE-2017-15361; CVE-2022-26320; RFC 8032; the issuer's spec.refusedKeys",
        saw: |case| policy::keys::read(&case.valid.public_key).map_or("another".to_owned(), |key| key.to_string()),
        check: |case| {
            let key = &case.valid.public_key;
            let refused = || case.settings.refused(key).map_or(Ok(()), |hash| Err(Weakness::Refused(hash)));
            weak_keys::check(key).and_then(|()| refused()).map_err(Error::WeakKey)
        },
    },
    Rule {
        name: "the CA's path length leaves room",
        source: "RFC 5280 clause 4.2.1.9",
        saw: |case| {
            let left = case.authority.path_room().map_or("any number of".to_owned(), |room| room.to_string());
            let wanted = if case.request.is_ca { "a CA" } else { "no CA" };
            format!("{wanted} is asked for; {left} CAs may follow one another")
        },
        check: |case| match (case.request.is_ca, case.valid.path_length, case.authority.path_room()) {
            (true, _, Some(..=0)) => Err(Error::PathLength),
            (true, Some(wanted), Some(room)) if i64::from(wanted) >= room => {
                Err(Error::PathLengthBeyond { wanted, left: room - 1 })
            }
            _ => Ok(()),
        },
    },
    Rule {
        name: "the CA's chain allows the names",
        source: "RFC 5280 clause 4.2.1.10",
        saw: |case| format!("{} of the chain's certificates constrain names", case.authority.constraining().0),
        check: |case| case.authority.check_names(&case.valid.subject, &case.valid.names),
    },
    Rule {
        name: "the CA's chain allows the extended key usages",
        source: "RFC 5280 clause 4.2.1.12",
        saw: |case| format!("{} of the chain's certificates restrict them", case.authority.constraining().1),
        check: |case| case.authority.check_usages(&case.usages.extended),
    },
    Rule {
        name: "the certificate does not outlive its CA",
        source: "the issuer's spec.leafBeyondCA",
        saw: |case| {
            let (ends, ca_ends) = (case.wanted_not_after, case.authority.not_after());
            format!("it would end at {ends}, the CA's chain at {ca_ends}; {:?}", case.settings.leaf_beyond_ca)
        },
        check: |case| {
            let (not_after, ca_not_after) = (case.wanted_not_after, case.authority.not_after());
            match case.settings.leaf_beyond_ca {
                LeafBeyondCa::Refuse if not_after > ca_not_after => Err(Error::BeyondCa { not_after, ca_not_after }),
                _ => Ok(()),
            }
        },
    },
];

impl<'a> Case<'a> {
    /// Reads the request, which must be possible before any rule can be looked at.
    pub(crate) fn read(
        request: &'a Request<'a>,
        authority: &'a Authority,
        settings: &'a Settings,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let valid = ValidRequest::from_pem(request.csr)?;
        let usages = Usages::from_names(request.usages, request.is_ca && request.api == Api::CertManager)?;
        let unreadable = |text| Error::DurationUnreadable { api: request.api, text: shortened(text) };
        let duration = request.duration.map_err(unreadable)?.unwrap_or(DEFAULT_DURATION);
        if request.api == Api::Kubernetes && duration < KUBERNETES_MIN_DURATION {
            return Err(Error::DurationTooShort { seconds: duration.as_secs() });
        }
        let (not_before, wanted_not_after) = validity(duration, settings.backdate, authority.not_before(), now)
            .ok_or(Error::Duration { api: request.api, seconds: duration.as_secs() })?;
        Ok(Self { request, authority, settings, valid, usages, not_before, wanted_not_after })
    }

    /// What was asked for, in whole seconds.
    pub(crate) fn duration(&self) -> SignedDuration {
        self.wanted_not_after.duration_since(self.not_before)
    }

    /// The namespace that the request comes from.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.request.namespace.map(|namespace| namespace.name)
    }

    /// Whether a broken rule is only told of: one of a policy in a dry run.
    pub(crate) fn only_tells(&self, error: &Error) -> bool {
        matches!(error, Error::Policy(_)) && self.settings.policy.as_ref().is_some_and(|policy| policy.dry_run)
    }

    /// What is granted to a request that keeps all rules, besides those that are only told of.
    pub(crate) fn grant(self, would_refuse: Option<Error>) -> Grant {
        let not_after = match self.settings.leaf_beyond_ca {
            LeafBeyondCa::Permit => self.wanted_not_after,
            LeafBeyondCa::Truncate | LeafBeyondCa::Refuse => self.wanted_not_after.min(self.authority.not_after()),
        };
        Grant {
            request: self.valid,
            usages: self.usages,
            is_ca: self.request.is_ca,
            not_before: self.not_before,
            not_after,
            urls: self.settings.urls.clone(),
            would_refuse,
        }
    }
}

/// Enough of a user's text to recognise it by.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// From a little before `now`, though not before the CA, for exactly `duration`; whole seconds. `None` where no
/// certificate can say it.
fn validity(
    duration: SignedDuration,
    backdate: SignedDuration,
    ca_not_before: Timestamp,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let seconds = duration.as_secs();
    if seconds < 1 {
        return None;
    }
    // A very short certificate is not backdated so far that it has ended before it is used.
    let backdate = backdate.as_secs().clamp(0, seconds / 2);
    let start = now.as_second().saturating_sub(backdate).max(ca_not_before.as_second());
    let end = start.checked_add(seconds)?;
    Some((Timestamp::from_second(start).ok()?, Timestamp::from_second(end).ok()?))
}
