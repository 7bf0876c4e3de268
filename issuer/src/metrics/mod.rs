//! What the issuer counts and measures, for Prometheus. No label has a free text or the name of a request, and those of an
//! issuer end with it: how many series there are is bounded by the issuers.
//!
//! One set for the process, whoever counts, so that what counts need not be handed around.

pub(crate) mod api_calls;
mod authorities;
pub(crate) mod catalog;
mod process;
mod queue;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use kube::runtime::reflector::Store;
use prometheus_client::metrics::{
    counter::Counter,
    gauge::Gauge,
    histogram::{Histogram, exponential_buckets},
};
use tandem_issuer_core::{Authority, decide::Approval};

use crate::{
    api::{IssuerId, SigningRequest},
    context::Error,
    outcome::Outcome,
};
use authorities::Authorities;
use catalog::{Catalog, Fraction, Metric};
pub(crate) use queue::Waiting;

/// The metrics of this process.
pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

const OF_AN_ISSUER: [&str; 3] = ["issuer_kind", "issuer_namespace", "issuer_name"];

/// What is told of the requests that wait, by what has been decided about them.
const WAITING: [(&str, Approval); 2] = [("approved", Approval::Approved), ("undecided", Approval::Undecided)];

/// How old what is told of them may be: who asks more often does not have thousands of them counted again.
const AS_OF: Duration = Duration::from_secs(1);

/// What is seen of the requests of a store that wait, in the order of [`WAITING`].
type LookAtWaits = Box<dyn Fn() -> [Waits; WAITING.len()] + Send>;

/// Requests that wait: how many, and since when the oldest of them exists.
#[derive(Clone, Copy, Debug, Default)]
struct Waits {
    number: i64,
    oldest: Option<Timestamp>,
}

impl Waits {
    fn add(&mut self, other: Self) {
        self.number += other.number;
        self.oldest = [self.oldest, other.oldest].into_iter().flatten().min();
    }
}

pub(crate) struct Metrics {
    catalog: Catalog,
    requests: Metric<Counter, 3>,
    issued: Metric<Counter, 3>,
    signing: Metric<Histogram, 1>,
    until_ready: Metric<Histogram, 1>,
    queue_wait: Metric<Histogram, 1>,
    queue_depth: Metric<Gauge, 1>,
    in_work: Metric<Gauge, 1>,
    retries: Metric<Counter, 2>,
    api_requests: Metric<Counter, 2>,
    watch_errors: Metric<Counter, 1>,
    watch_lists: Metric<Counter, 1>,
    waiting: Metric<Gauge, 2>,
    oldest_wait: Metric<Fraction, 2>,
    issuer_ready: Metric<Gauge, 3>,
    last_good_ca: Metric<Gauge, 3>,
    ca_not_after: Metric<Gauge, 3>,
    authorities: Authorities,
    leader: Metric<Gauge, 0>,
    waits: Mutex<Stores>,
}

/// The stores of requests, by their kinds, and when they were looked at last.
#[derive(Default)]
struct Stores {
    looks: Vec<(String, LookAtWaits)>,
    looked: Option<Timestamp>,
}

impl Metrics {
    fn new() -> Self {
        /// 0.25 ms to 1 s: an ECDSA signature takes less than a millisecond, one by RSA 8192 a hundred.
        fn of_signing() -> Histogram {
            Histogram::new(exponential_buckets(0.000_25, 2.0, 13))
        }
        /// 1 ms to 4 min.
        fn of_waiting() -> Histogram {
            Histogram::new(exponential_buckets(0.001, 4.0, 10))
        }
        /// The server's times are whole seconds, so the first bucket means little more than "at once".
        fn of_requests() -> Histogram {
            Histogram::new([0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0])
        }

        let mut all = Catalog::default();
        let metrics = Self {
            requests: all.counter(
                "requests",
                ["kind", "outcome", "reason"],
                "Outcomes told of requests: issued, failed and denied are final; waiting, retrying and unapproved may be told more than once",
            ),
            issued: all.counter("certificates_issued", OF_AN_ISSUER, "Certificates that the API server has taken"),
            signing: all.histogram(
                "signing_duration_seconds",
                ["kind"],
                "Time to check a request, sign its certificate and verify that",
                of_signing,
            ),
            until_ready: all.histogram(
                "request_duration_seconds",
                ["kind"],
                "Time from a request's approval (from its creation, where that is not known) to its certificate",
                of_requests,
            ),
            queue_wait: all.histogram(
                "queue_wait_duration_seconds",
                ["resource"],
                "Time until an object that has changed is looked at by the leader",
                of_waiting,
            ),
            queue_depth: all.gauge("queue_depth", ["resource"], "Objects that wait to be looked at"),
            in_work: all.gauge("in_work", ["resource"], "Objects that are looked at"),
            retries: all.counter(
                "retries",
                ["resource", "reason"],
                "Looks that failed and are tried again: api (the API server's answer), changed (by somebody else meanwhile), signing, random, panicked",
            ),
            api_requests: all.counter(
                "api_requests",
                ["verb", "code"],
                "Calls of the API server by verb (read, watch, create, patch, other) and last answer (429, 503 and 504 are asked again for some minutes before they count): 2xx, 3xx, 4xx, 409, 429, 5xx, or none",
            ),
            watch_errors: all.counter("watch_errors", ["resource"], "Watches that broke, or that the server refused"),
            watch_lists: all.counter(
                "watch_lists",
                ["resource"],
                "Times that everything was listed anew: at the start, and where a watch could not go on",
            ),
            waiting: all.gauge(
                "requests_waiting",
                ["kind", "approval"],
                "Requests to the issuer that are not finished, approved or undecided",
            ),
            oldest_wait: all.fraction(
                "oldest_waiting_request_age_seconds",
                ["kind", "approval"],
                "Time since the oldest of them was created; 0 where none waits",
            ),
            issuer_ready: all.gauge("issuer_ready", OF_AN_ISSUER, "Whether an issuer can sign: 1 or 0"),
            last_good_ca: all.gauge(
                "last_good_ca_in_use",
                OF_AN_ISSUER,
                "Whether an issuer signs with the CA that its Secret held before, because what it holds now is broken, until the process ends: 1 or 0",
            ),
            ca_not_after: all.gauge(
                "ca_not_after_timestamp_seconds",
                OF_AN_ISSUER,
                "When the first certificate of an issuer's CA chain expires",
            ),
            authorities: Authorities::new(&mut all),
            leader: all.gauge("leader", [], "Whether this process leads, and so signs: 1 or 0"),
            waits: Mutex::default(),
            catalog: Catalog::default(),
        };
        all.gauge("build_info", ["version"], "Always 1").of([tandem_cli::VERSION]).set(1);
        process::describe(&mut all);
        for (verb, code) in api_calls::VERBS.into_iter().flat_map(|verb| api_calls::CODES.map(|code| (verb, code))) {
            metrics.api_requests.of([verb, code]);
        }
        Self { catalog: all, ..metrics }
    }

    /// All of them as Prometheus reads them.
    ///
    /// # Errors
    /// None that is known.
    pub(crate) fn text(&self, leading: bool) -> Result<String, fmt::Error> {
        self.leader.of([]).set(leading.into());
        self.look_at_waits(Timestamp::now());
        self.catalog.text()
    }

    /// What there is to be measured, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        self.catalog.table()
    }

    fn look_at_waits(&self, now: Timestamp) {
        let mut stores = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if stores.looked.is_some_and(|looked| (looked..looked + AS_OF).contains(&now)) {
            return;
        }
        stores.looked = Some(now);
        for kind in ["certificaterequests", "certificatesigningrequests"] {
            let mut waits = [Waits::default(); WAITING.len()];
            for (_, look) in stores.looks.iter().filter(|(its, _)| its == kind) {
                waits.iter_mut().zip(look()).for_each(|(waits, seen)| waits.add(seen));
            }
            for ((label, _), waits) in WAITING.into_iter().zip(waits) {
                self.waiting.of([kind, label]).set(waits.number);
                self.oldest_wait.of([kind, label]).set(seconds_since(waits.oldest, now));
            }
        }
    }

    /// The unfinished requests of a store are counted when somebody asks.
    pub(crate) fn watch_requests<R: SigningRequest>(&self, store: Store<R>) {
        let look = move || {
            let mut waits = [Waits::default(); WAITING.len()];
            for request in store.state() {
                let approval = request.approval();
                let oldest = request.meta().creation_timestamp.as_ref().map(|time| time.0);
                if let Some(place) = WAITING.iter().position(|(_, waiting)| *waiting == approval) {
                    waits[place].add(Waits { number: 1, oldest });
                }
            }
            waits
        };
        let mut stores = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        stores.looks.push((R::plural(&()).into_owned(), Box::new(look)));
    }

    /// An outcome has been told; of a certificate, `by` is the subject key identifier (in hexadecimal) of the CA that signed it.
    pub(crate) fn told<R: SigningRequest>(
        &self,
        request: &R,
        outcome: &Outcome,
        by: Option<&str>,
        reason: &str,
        now: Timestamp,
    ) {
        let kind = R::plural(&());
        let reason = match outcome {
            // An event says no more than that signing failed.
            Outcome::Failed(error) => error.first().reason(),
            _ => reason,
        };
        self.requests.of([&kind, outcome.label(), reason]).inc();
        if let (Outcome::Issued(..), Some(id)) = (outcome, request.issuer()) {
            // Its issuer may be gone by now, and its series with it.
            if let Some(issued) = self.issued.known(labels(&id)) {
                issued.inc();
            }
            if let Some(key) = by {
                self.authorities.issued(&id, key);
            }
            let created = request.meta().creation_timestamp.as_ref().map(|time| time.0);
            self.until_ready.of([&kind]).observe(seconds_since(request.approved_at().or(created), now));
        }
    }

    /// A certificate has been signed within this time.
    pub(crate) fn signed(&self, kind: &str, took: Duration) {
        self.signing.of([kind]).observe(took.as_secs_f64());
    }

    pub(crate) fn retry(&self, resource: &str, error: &Error) {
        self.retries.of([resource, error.label()]).inc();
    }

    /// A resource is watched. What is counted of that is there from the start, so that an increase can be taken of the first one.
    pub(crate) fn begin_watch(&self, resource: &str) {
        self.watch_errors.of([resource]);
        self.watch_lists.of([resource]);
    }

    /// A resource's objects are looked at: the same of the looks that fail.
    pub(crate) fn begin_looks(&self, resource: &str) {
        for reason in Error::LABELS {
            self.retries.of([resource, reason]);
        }
    }

    pub(crate) fn watch_error(&self, resource: &str) {
        self.watch_errors.of([resource]).inc();
    }

    /// Everything of a resource is listed anew.
    pub(crate) fn watch_list(&self, resource: &str) {
        self.watch_lists.of([resource]).inc();
    }

    /// What has been found out about an issuer: whether it can sign, whether with a CA that its Secret no longer holds, and
    /// its CA, where it has one.
    pub(crate) fn issuer(&self, id: &IssuerId, ready: bool, last_good: bool, authority: Option<&Authority>) {
        self.issuer_ready.of(labels(id)).set(ready.into());
        self.last_good_ca.of(labels(id)).set(last_good.into());
        // From its first day, so that a rate can be taken of its first certificate.
        self.issued.of(labels(id));
        self.authorities.seen(id, authority.map(Authority::description));
        match authority.map(Authority::not_after) {
            Some(time) => drop(self.ca_not_after.of(labels(id)).set(time.as_second())),
            None => self.ca_not_after.forget(labels(id)),
        }
    }

    /// An issuer is gone.
    pub(crate) fn forget_issuer(&self, id: &IssuerId) {
        self.issuer_ready.forget(labels(id));
        self.last_good_ca.forget(labels(id));
        self.issued.forget(labels(id));
        self.ca_not_after.forget(labels(id));
        self.authorities.forget(id);
    }
}

fn labels(id: &IssuerId) -> [&str; 3] {
    [id.kind.kind(), id.namespace.as_deref().unwrap_or_default(), &id.name]
}

/// Never negative: clocks may differ.
fn seconds_since(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}
