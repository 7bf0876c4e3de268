//! What every reconciliation has at hand, and how it fails.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, Recorder, Reporter},
};

use crate::{issuers::Issuers, status::FIELD_MANAGER};

/// Why a request or an issuer is looked at again later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server did not take what was written.
    #[error("the API server: {0}")]
    Api(#[source] kube::Error),
    /// Signing failed in a way that may heal; the request stays Pending.
    #[error(transparent)]
    Sign(tandem_issuer_core::Error),
    /// No randomness for a serial number.
    #[error("the system gave no random bytes")]
    Random,
}

/// What every reconciliation has at hand.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) issuers: Issuers,
    reporter: Reporter,
    retries: Mutex<HashMap<String, ExponentialBackoff>>,
    told: Mutex<HashMap<String, Option<String>>>,
}

impl Context {
    pub(crate) fn new(client: Client, issuers: Issuers) -> Self {
        Self { client, issuers, reporter: FIELD_MANAGER.into(), retries: Mutex::default(), told: Mutex::default() }
    }

    /// Sends an event. One that does not arrive is only logged: events are a courtesy, the status is what counts.
    pub(crate) async fn announce(&self, event: &Event, about: &ObjectReference) {
        // A recorder of its own for each: one that remembers would send a later event with the note of an earlier one of
        // the same reason, and keep all of them in memory for minutes. Only what has changed is announced.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        if let Err(error) = recorder.publish(event, about).await {
            tracing::warn!(reason = event.reason, %error, "an event was not accepted");
        }
    }

    /// Whether this event was the last that was told by itself, without a status, about the object with this UID. It is
    /// taken for told from now on.
    pub(crate) fn has_told(&self, uid: String, event: &Event) -> bool {
        /// Forgetting is harmless: an event is told again.
        const MOST: usize = 10_000;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST {
            told.clear();
        }
        told.insert(uid, event.note.clone()).is_some_and(|before| before == event.note)
    }

    /// How long to wait after one more failure at `what`: exponentially longer, with jitter, without end.
    pub(crate) fn retry(&self, what: String) -> Duration {
        const LONGEST: Duration = Duration::from_secs(60);
        let mut retries = self.retries.lock().unwrap_or_else(PoisonError::into_inner);
        let backoff = retries.entry(what).or_insert_with(|| {
            let builder = ExponentialBuilder::new().with_min_delay(Duration::from_millis(100));
            builder.with_max_delay(LONGEST).with_jitter().without_max_times().build()
        });
        backoff.next().unwrap_or(LONGEST)
    }

    /// What is done need not wait at its next failure as long as after the last.
    pub(crate) fn succeeded(&self, what: &str) {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }
}
