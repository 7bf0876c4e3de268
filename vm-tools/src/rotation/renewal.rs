//! When cert-manager renews a certificate, and by whom each one is signed.
//!
//! The rule is that of cert-manager's `pkg/util/pki/renewaltime.go` (v1.21): `renewBefore` before the end where it is
//! shorter than the validity, else `renewBeforePercentage` of the validity, else a third of it; in whole seconds. The
//! validity is `duration`, 90 days where nothing is said:
//! <https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.CertificateSpec>.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use pki_types::{CertificateDer, pem::PemObject};
use serde::Serialize;

use super::Settings;
use crate::{
    model::{At, Certificate, DEFAULT_DURATION, IssuerSource, Stream},
    probe::certificate::Described,
    spec::values,
};

/// Most renewals of one certificate that are computed.
pub const MAX_GENERATIONS: usize = 10_000;

/// Authorities above one another that are followed; a chain that is longer, or leads back to itself, is not.
const MAX_DEPTH: usize = 8;

/// When present certificates were issued.
#[derive(Clone, Debug, Default)]
pub struct Issued {
    /// Of all that are not named.
    pub all: Option<Timestamp>,
    /// By `NAMESPACE/NAME`.
    pub of: BTreeMap<String, Timestamp>,
}

/// One certificate of a Certificate's: the present one is number 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// Counted from 1.
    pub number: usize,
    /// `notBefore`, and when it comes into the Secret.
    pub issued: Timestamp,
    /// `notAfter`.
    pub not_after: Timestamp,
    /// When the next one is issued.
    pub renewal: Timestamp,
}

/// Who vouches for a certificate in the end: two that differ do not trust each other's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// A root of the stream: the Certificate's index, and which of its keys.
    Root(usize, usize),
    /// An authority that the stream does not describe, and that is taken to stay.
    Elsewhere,
}

/// The generations of a Certificate, the last of them being issued after the time that is looked at.
pub(super) struct Timeline {
    pub(super) duration: i64,
    pub(super) renew_before: i64,
    pub(super) generations: Vec<Generation>,
}

/// All Certificates' timelines, by index.
pub(super) struct Timelines<'s> {
    stream: &'s Stream,
    pub(super) all: Vec<Timeline>,
    pub(super) now: Timestamp,
    pub(super) until: Timestamp,
}

impl<'s> Timelines<'s> {
    pub(super) fn of(stream: &'s Stream, settings: &Settings) -> Result<Self, Vec<String>> {
        let mut problems = unknown(stream, settings);
        let mut rules = Vec::new();
        for certificate in &stream.certificates {
            match rule(stream, certificate, settings) {
                Ok(rule) => rules.push(rule),
                Err(lines) => {
                    let line = |line| format!("{}: {}: {line}", certificate.meta.place, certificate.meta);
                    problems.extend(lines.into_iter().map(line));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let until = settings.until.unwrap_or_else(|| {
            // Authorities live longer than what they sign: where there is anything else, that is what is counted.
            let leaves = || stream.certificates.iter().zip(&rules).filter(|(certificate, _)| !certificate.is_ca);
            let counted = leaves().map(|(_, rule)| rule.end_of(settings.count)).max();
            counted.or_else(|| rules.iter().map(|rule| rule.end_of(settings.count)).max()).unwrap_or(settings.now)
        });
        let mut all = Vec::new();
        for (certificate, rule) in stream.certificates.iter().zip(&rules) {
            match rule.timeline(until) {
                Some(timeline) => all.push(timeline),
                None => problems.push(format!(
                    "{}: {}: it would be renewed more than {MAX_GENERATIONS} times until {until}; choose less",
                    certificate.meta.place, certificate.meta
                )),
            }
        }
        if problems.is_empty() { Ok(Self { stream, all, now: settings.now, until }) } else { Err(problems) }
    }

    /// The Certificate of the authority that signs for this one, where the stream has it.
    pub(super) fn authority(&self, index: usize) -> Option<usize> {
        let certificate = self.stream.certificates.get(index)?;
        let issuer = self.stream.issuer_of(certificate)?;
        let IssuerSource::Ca { secret_name: Some(secret) } = &issuer.source else { return None };
        // The Secret of a cluster issuer is in a namespace that the stream does not name.
        let here = |found: &Certificate| issuer.cluster_scoped() || found.meta.namespace == issuer.meta.namespace;
        let written = |found: &Certificate| found.secret_name.as_ref().is_some_and(|name| name.value == secret.value);
        self.stream.certificates.iter().position(|found| found.is_ca && written(found) && here(found))
    }

    pub(super) fn self_signed(&self, index: usize) -> bool {
        let issuer = self.stream.certificates.get(index).and_then(|certificate| self.stream.issuer_of(certificate));
        issuer.is_some_and(|issuer| issuer.source == IssuerSource::SelfSigned)
    }

    /// The generation of the authority that signs at a time: the last one issued before, or the present one.
    fn signing(&self, authority: usize, time: Timestamp) -> Option<Generation> {
        let generations = &self.all.get(authority)?.generations;
        generations.iter().rfind(|generation| generation.issued <= time).or(generations.first()).copied()
    }

    /// Until when a certificate and all that vouches for it are valid.
    pub(super) fn chain_end(&self, index: usize, generation: Generation) -> Timestamp {
        let (mut end, mut index, mut generation) = (generation.not_after, index, generation);
        for _ in 0..MAX_DEPTH {
            let Some(authority) = self.authority(index) else { break };
            let Some(signing) = self.signing(authority, generation.issued) else { break };
            (end, index, generation) = (end.min(signing.not_after), authority, signing);
        }
        end
    }

    /// Who vouches for a certificate in the end.
    pub(super) fn anchor(&self, index: usize, generation: Generation) -> Anchor {
        let (mut index, mut generation) = (index, generation);
        for _ in 0..MAX_DEPTH {
            if self.self_signed(index) {
                // Only an authority that keeps its key can vouch for what it signed before.
                let kept = self
                    .stream
                    .certificates
                    .get(index)
                    .is_some_and(|certificate| certificate.is_ca && keeps_key(certificate));
                return Anchor::Root(index, if kept { 1 } else { generation.number });
            }
            let Some(authority) = self.authority(index) else { return Anchor::Elsewhere };
            let Some(signing) = self.signing(authority, generation.issued) else { return Anchor::Elsewhere };
            (index, generation) = (authority, signing);
        }
        Anchor::Elsewhere
    }
}

fn keeps_key(certificate: &Certificate) -> bool {
    certificate.rotation_policy.as_ref().is_some_and(|policy| policy.value == "Never")
}

/// Certificates that `--issued` names and the stream does not have.
fn unknown(stream: &Stream, settings: &Settings) -> Vec<String> {
    let known = |name: &&String| !stream.certificates.iter().any(|certificate| &title(certificate) == *name);
    let line = |name: &String| format!("--issued: no Certificate {} is among the documents", tandem_cli::shown(name));
    settings.issued.of.keys().filter(known).map(line).collect()
}

pub(super) fn title(certificate: &Certificate) -> String {
    format!("{}/{}", certificate.meta.namespace, certificate.meta.name)
}

/// Validity, and renewal before its end, of one Certificate, in seconds; and its present certificate.
struct Rule {
    duration: i64,
    renew_before: i64,
    present: Generation,
}

/// What keeps cert-manager from taking a Certificate, or from renewing it: a line each, with its field.
fn refused(certificate: &Certificate) -> Vec<String> {
    let secret = certificate.secret_name.as_ref().map_or("", |name| &name.value);
    let names = [("spec.secretName", secret), (&certificate.issuer.name.path, &certificate.issuer.name.value)];
    let names = names.into_iter().filter(|(_, name)| name.is_empty());
    let names = names.map(|(path, _)| format!("{path}: is missing, or no text; write a name"));
    let lifetime = certificate.lifetime().into_iter().map(|At { path, value }| {
        format!("{path}: {value}; write for example duration: 2160h and renewBefore: 720h, or only the former")
    });
    let never = certificate.renewal_policy.iter().filter(|policy| policy.value == "Disabled");
    let never = never.map(|policy| {
        format!(
            "{}: is Disabled, so cert-manager never renews it, and there is nothing to plan; leave the Certificate out",
            policy.path
        )
    });
    names.chain(lifetime).chain(never).collect()
}

fn rule(stream: &Stream, certificate: &Certificate, settings: &Settings) -> Result<Rule, Vec<String>> {
    let problems = refused(certificate);
    if !problems.is_empty() {
        return Err(problems);
    }
    let seconds = |field: &Option<At<String>>| field.as_ref().and_then(|field| values::go_duration(&field.value));
    let duration = seconds(&certificate.duration).unwrap_or(DEFAULT_DURATION);
    let renew_before = seconds(&certificate.renew_before);
    let percentage = certificate.renew_before_percentage.as_ref().and_then(|percentage| percentage.value.as_u64());
    let before = |duration: i64| renew_before_end(duration, renew_before, percentage);

    let title = title(certificate);
    let found =
        certificate.secret_name.as_ref().and_then(|name| present(stream, &certificate.meta.namespace, &name.value));
    let said = settings.issued.of.get(&title).copied();
    let (issued, not_after) = match (said, found) {
        (None, Some(dates)) => dates,
        (said, _) => {
            let issued = whole(said.or(settings.issued.all).unwrap_or(settings.now));
            (issued, after(issued, duration))
        }
    };
    if issued > settings.now {
        let now = settings.now;
        return Err(vec![format!("its present certificate is said to begin at {issued}, which is after {now}")]);
    }
    let validity = not_after.as_second() - issued.as_second();
    let mut present = Generation { number: 1, issued, not_after, renewal: after(not_after, -before(validity)) };
    // Renewals that have taken place since then, at once: there may be very many.
    if present.renewal <= settings.now {
        let period = (duration - before(duration)).max(1);
        let passed = (settings.now.as_second() - present.renewal.as_second()) / period;
        let issued = after(present.renewal, passed * period);
        let not_after = after(issued, duration);
        present = Generation { number: 1, issued, not_after, renewal: after(not_after, -before(duration)) };
    }
    Ok(Rule { duration, renew_before: before(duration), present })
}

/// cert-manager's rule.
fn renew_before_end(duration: i64, renew_before: Option<i64>, percentage: Option<u64>) -> i64 {
    match (renew_before, percentage) {
        (Some(before), _) if before > 0 && before < duration => before,
        (_, Some(percentage @ 1..=99)) => duration * i64::try_from(percentage).unwrap_or(0) / 100,
        _ => duration / 3,
    }
}

/// Validity of the certificate in the Secret, where the stream has that.
fn present(stream: &Stream, namespace: &str, secret: &str) -> Option<(Timestamp, Timestamp)> {
    let pem = stream.secret(namespace, secret)?.get("tls.crt")?.value.text()?;
    let leaf = Described::of(&CertificateDer::from_pem_slice(pem.as_bytes()).ok()?).ok()?;
    (leaf.not_before < leaf.not_after).then_some((leaf.not_before, leaf.not_after))
}

impl Rule {
    fn next(&self, last: Generation) -> Generation {
        let issued = last.renewal;
        let not_after = after(issued, self.duration);
        Generation { number: last.number + 1, issued, not_after, renewal: after(not_after, -self.renew_before) }
    }

    /// When the last certificate that the given number of renewals replaces has ended.
    fn end_of(&self, renewals: u32) -> Timestamp {
        let period = self.duration - self.renew_before;
        match i64::from(renewals) {
            0 => self.present.not_after,
            1 => self.present.not_after.max(self.present.renewal),
            more => after(self.present.renewal, (more - 2) * period + self.duration),
        }
    }

    fn timeline(&self, until: Timestamp) -> Option<Timeline> {
        let mut generations = vec![self.present];
        let mut last = self.present;
        while last.issued <= until {
            let next = self.next(last);
            if generations.len() > MAX_GENERATIONS {
                return None;
            }
            // At the end of time nothing moves any more.
            if next.issued <= last.issued {
                break;
            }
            generations.push(next);
            last = next;
        }
        Some(Timeline { duration: self.duration, renew_before: self.renew_before, generations })
    }
}

/// In whole seconds, as certificates have their dates.
pub(crate) fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Within what a timestamp can say.
pub(super) fn after(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of cert-manager's own test, in minutes: validity, renewBefore, percentage, and what comes of it.
    #[test]
    fn renewal_is_cert_managers() {
        for (validity, before, percentage, expected) in [
            (60 * 24 * 90, None, None, 60 * 24 * 30),
            (60, Some(5), None, 5),
            (60, Some(60), None, 20),
            (60, Some(61), Some(25), 15),
            (60, None, Some(0), 20),
            (60, None, Some(100), 20),
            (100, None, Some(99), 99),
            (60, Some(0), None, 20),
        ] {
            let found = renew_before_end(validity * 60, before.map(|before: i64| before * 60), percentage);
            assert_eq!(found, expected * 60, "{validity} {before:?} {percentage:?}");
        }
    }
}
