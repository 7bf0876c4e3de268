//! What is measured of each CA: of every issuer the series of one, which end where another takes its place.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tandem_issuer_core::authority::Description;

use super::{
    OF_AN_ISSUER,
    catalog::{Catalog, Metric},
    labels,
};
use crate::api::IssuerId;

const OF_AN_AUTHORITY: [&str; 4] = [OF_AN_ISSUER[0], OF_AN_ISSUER[1], OF_AN_ISSUER[2], "subject_key_id"];

pub(super) struct Authorities {
    issued: Metric<Counter, 4>,
    not_after: Metric<Gauge, 4>,
    /// The subject key identifier of each issuer's CA, in hexadecimal: the one that it had last.
    current: Mutex<HashMap<IssuerId, String>>,
}

impl Authorities {
    pub(super) fn new(all: &mut Catalog) -> Self {
        Self {
            issued: all.counter(
                "authority_certificates_issued",
                OF_AN_AUTHORITY,
                "Certificates by this CA that the API server has taken, since the issuer has had it",
            ),
            not_after: all.gauge(
                "authority_not_after_timestamp_seconds",
                OF_AN_AUTHORITY,
                "When the CA's own certificate expires, whatever is above it",
            ),
            current: Mutex::default(),
        }
    }

    /// The issuer has this CA, or none for now: then it is not known until when.
    pub(super) fn seen(&self, id: &IssuerId, authority: Option<&Description>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(authority) = authority else {
            if let Some(key) = current.get(id) {
                self.not_after.forget(with(id, key));
            }
            return;
        };
        let key = &authority.subject_key_id;
        if let Some(before) = current.insert(id.clone(), key.clone()).filter(|before| before != key) {
            self.end(id, &before);
        }
        // From its first day, so that a rate can be taken of its first certificate.
        self.issued.of(with(id, key));
        self.not_after.of(with(id, key)).set(authority.not_after.as_second());
    }

    /// A certificate of the CA with this subject key identifier has been taken.
    pub(super) fn issued(&self, id: &IssuerId, key: &str) {
        // Another one may have taken its place by now, and its series have ended.
        if let Some(issued) = self.issued.known(with(id, key)) {
            issued.inc();
        }
    }

    /// The issuer is gone.
    pub(super) fn forget(&self, id: &IssuerId) {
        let last = self.current.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(key) = last {
            self.end(id, &key);
        }
    }

    fn end(&self, id: &IssuerId, key: &str) {
        self.issued.forget(with(id, key));
        self.not_after.forget(with(id, key));
    }
}

fn with<'a>(id: &'a IssuerId, key: &'a str) -> [&'a str; 4] {
    let [kind, namespace, name] = labels(id);
    [kind, namespace, name, key]
}
