//! Generations and sides → what happens when, and when they part ways.

use jiff::Timestamp;

use super::{
    CertificatePlan, Divergence, Event, Generation,
    renewal::{Timelines, after, title},
    restarts::restarts,
    sides::{Guest, Side, Way, sides},
};
use crate::model::{Certificate, IssuerSource, Stream};

/// The latest that a mounted Secret has its new content, in seconds: the kubelet's sync period and its cache's time to
/// live, a minute each: <https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod>.
const KUBELET: i64 = 120;

/// What becomes of one Certificate.
pub(super) fn of(stream: &Stream, timelines: &Timelines<'_>, index: usize) -> CertificatePlan {
    let (certificate, timeline) = (&stream.certificates[index], &timelines.all[index]);
    let present = timeline.generations[0];
    let sides = sides(stream, certificate);
    let mut events = Vec::new();
    let mut divergences = Vec::new();
    for pair in timeline.generations.windows(2) {
        let [last, next] = [pair[0], pair[1]];
        if next.issued > timelines.until {
            break;
        }
        let change = timelines.anchor(index, next) != timelines.anchor(index, last);
        events.push(renewal(certificate, next, change));
        events.extend(sides.iter().filter_map(|side| arrival(side, next)));
        if change && !certificate.is_ca {
            divergences.push(parting(timelines, index, last, next, &sides));
        }
    }
    for generation in &timeline.generations {
        let end = timelines.chain_end(index, *generation);
        if end < generation.renewal && end <= timelines.until {
            divergences.push(outlived(*generation, end));
        }
    }
    for side in &sides {
        let Way::Disk { restarter: Some(job) } = &side.way else { continue };
        divergences.extend(restarts(timelines, index, (&side.who, job), &mut events));
    }
    let end = timelines.chain_end(index, present);
    if end <= timelines.until {
        for side in sides.iter().filter(|side| side.shows) {
            let Some(stuck) = stuck(side, present, end) else { continue };
            events.push(Event {
                time: end,
                who: side.who.clone(),
                what: "certificate 1, which it still has, has ended".to_owned(),
            });
            divergences.push(stuck);
        }
    }
    if certificate.is_ca {
        let what = "its present certificate ends; what it signed counts no longer".to_owned();
        events.push(Event { time: present.not_after, who: format!("Certificate {}", title(certificate)), what });
    }
    let coming = |time: Timestamp| time >= timelines.now;
    events.retain(|event| coming(event.time));
    events.sort_by_key(|event| event.time);
    divergences.sort_by_key(|divergence| divergence.from);
    // The same goes on at each renewal: the first time says it.
    let mut told: Vec<(String, String)> = Vec::new();
    divergences.retain(|divergence| {
        let key = (divergence.who.clone(), divergence.change.clone());
        let first = !told.contains(&key);
        told.push(key);
        first
    });
    CertificatePlan {
        certificate: title(certificate),
        secret: certificate.secret_name.as_ref().map_or_else(String::new, |name| tandem_cli::shown(&name.value)),
        issuer: issuer(stream, timelines, index),
        duration: timeline.duration,
        renew_before: timeline.renew_before,
        present,
        events,
        divergences,
    }
}

fn issuer(stream: &Stream, timelines: &Timelines<'_>, index: usize) -> String {
    let certificate = &stream.certificates[index];
    let name = format!(
        "{} {}",
        tandem_cli::shown(&certificate.issuer.kind),
        tandem_cli::shown(&certificate.issuer.name.value)
    );
    let what = match stream.issuer_of(certificate).map(|issuer| &issuer.source) {
        Some(IssuerSource::SelfSigned) if certificate.is_ca => "self-signed, a root".to_owned(),
        Some(IssuerSource::SelfSigned) => "selfSigned: each certificate is its own authority".to_owned(),
        Some(IssuerSource::Ca { .. }) => match timelines.authority(index) {
            Some(authority) => format!("the CA of Certificate {}", title(&stream.certificates[authority])),
            None => "a CA that the documents do not make".to_owned(),
        },
        Some(IssuerSource::Other) => "neither selfSigned nor a CA".to_owned(),
        None => "not among the documents, and taken to be a CA that stays".to_owned(),
    };
    format!("{name} ({what})")
}

fn renewal(certificate: &Certificate, next: Generation, change: bool) -> Event {
    let secret = certificate.secret_name.as_ref().map_or("", |name| name.value.as_str());
    let authority = if change { ", of another authority: ca.crt is another one as well" } else { "" };
    let what = format!(
        "renews: Secret {} has certificate {}, until {}{authority}",
        tandem_cli::shown(secret),
        next.number,
        next.not_after
    );
    Event { time: next.issued, who: "cert-manager".to_owned(), what }
}

/// When a renewed certificate reaches a side. That one does not is said once.
fn arrival(side: &Side, next: Generation) -> Option<Event> {
    let number = next.number;
    let (seconds, what) = match &side.way {
        Way::Mount => (KUBELET, format!("by now its files are those of certificate {number}; a program that loads them only at its start has older ones")),
        Way::Filesystem(Guest::Reloads { seconds, by }) => {
            (KUBELET.saturating_add(*seconds), format!("by now the guest has installed certificate {number} and told the database ({by})"))
        }
        Way::Filesystem(Guest::Unknown) => (KUBELET, format!("by now its filesystem has certificate {number}; what the guest does about it is not to be seen")),
        // When it is restarted is computed apart.
        Way::Disk { restarter: Some(_) } => return None,
        _ if number > 2 => return None,
        Way::Filesystem(Guest::Mounts) => (KUBELET, "its filesystem has certificate 2, which its user data mounts, but as far as that says nothing tells the database: it goes on serving certificate 1, at least until its next start".to_owned()),
        Way::Filesystem(Guest::Nothing) => (KUBELET, "its filesystem has certificate 2, but nothing in its user data looks for it: it goes on serving certificate 1".to_owned()),
        Way::Disk { restarter: None } => (0, "goes on serving certificate 1: its disk was made when the VM started, and only a new instance has another".to_owned()),
        Way::SubPath => (0, "keeps certificate 1: a subPath mount never follows".to_owned()),
        Way::Environment => (0, "keeps certificate 1: variables are set when a pod starts".to_owned()),
    };
    Some(Event { time: after(next.issued, seconds), who: side.who.clone(), what })
}

/// From a renewal by another authority on, who has the old and who has the new do not trust each other.
fn parting(timelines: &Timelines<'_>, index: usize, last: Generation, next: Generation, sides: &[Side]) -> Divergence {
    let names: Vec<_> = sides.iter().map(|side| side.who.as_str()).collect();
    let who = if names.is_empty() { "everybody who has the Secret".to_owned() } else { names.join(", ") };
    let (why, change) = if timelines.self_signed(index) {
        (
            format!(
                "ca.crt is the certificate itself: whoever has that of certificate {} trusts no other, and certificate {} is \
                 served, or trusted, by some before others",
                last.number, next.number
            ),
            "let a CA sign: an Issuer with `ca`, or a TandemIssuer, whose authority stays while certificates are renewed".to_owned(),
        )
    } else {
        (
            format!(
                "the authority has been renewed with another key: certificate {} is of the new one, and whoever has loaded the \
                 ca.crt of certificate {} does not trust it",
                next.number, last.number
            ),
            "let clients trust both authorities before the change (a bundle with the old and the new one), or keep the CA's key \
             (privateKey.rotationPolicy: Never)"
                .to_owned(),
        )
    };
    Divergence { from: next.issued, who, why, change }
}

/// A certificate whose authority ends before it is renewed.
fn outlived(generation: Generation, end: Timestamp) -> Divergence {
    Divergence {
        from: end,
        who: "everybody who has the Secret".to_owned(),
        why: format!(
            "the authority of certificate {} ends, and the certificate is renewed only at {}",
            generation.number, generation.renewal
        ),
        change: "renew the authority's Certificate earlier: its renewBefore must be longer than what it signs lasts"
            .to_owned(),
    }
}

/// What a guest lacks whose filesystem follows.
const LOOK: &str = "let the guest look for a renewed Secret and reload the database; `tandem-vm render` and `tandem-vm inject` set that up";

/// A side that still has the present certificate when that has ended.
fn stuck(side: &Side, present: Generation, end: Timestamp) -> Option<Divergence> {
    let since = present.renewal;
    let (why, change) = match &side.way {
        Way::Disk { restarter: None } => (
            "serves certificate 1, which has ended: a VM's disk has the Secret as it was when the VM started",
            format!(
                "restart the VM between {since} and {end} and after each renewal (`tandem-vm stale` tells when), have a CronJob do \
                 that, or deliver by filesystem (virtiofs), which follows"
            ),
        ),
        Way::Filesystem(Guest::Mounts) => (
            "serves certificate 1, which has ended, unless it was started anew since the renewal: its filesystem follows, but as far \
             as its user data says nothing tells the database",
            LOOK.to_owned(),
        ),
        Way::Filesystem(Guest::Nothing) => (
            "serves certificate 1, which has ended: its filesystem follows, but nothing in the guest takes what it brings",
            LOOK.to_owned(),
        ),
        Way::SubPath => (
            "shows certificate 1, which has ended: a subPath mount never follows",
            "mount the volume as a whole, without subPath".to_owned(),
        ),
        Way::Environment => (
            "shows certificate 1, which has ended: variables are set when a pod starts",
            "mount the Secret as a volume".to_owned(),
        ),
        Way::Disk { restarter: Some(_) } | Way::Filesystem(Guest::Reloads { .. } | Guest::Unknown) | Way::Mount => {
            return None;
        }
    };
    Some(Divergence { from: end, who: side.who.clone(), why: why.to_owned(), change })
}
