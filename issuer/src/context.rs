//! What every reconciliation has at hand, and how it fails.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    core::Status,
    runtime::{events::Event, watcher},
};

use crate::{announcer::Announcer, issuers::Issuers, leader::Leadership, panics::Panicked};

/// Why a request or an issuer is looked at again later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server did not take what was written.
    #[error("the API server: {}", api_error(.0))]
    Api(#[source] kube::Error),
    /// The object changed while it was looked at.
    #[error("it has changed meanwhile")]
    Changed,
    /// Signing failed in a way that may heal; the request stays Pending.
    #[error(transparent)]
    Sign(#[from] tandem_issuer_core::Error),
    /// No randomness for a serial number.
    #[error("the system gave no random bytes")]
    Random,
    /// It panicked: see [`crate::panics`].
    #[error("a fault of the issuer's own, whose log says where")]
    Panicked,
}

/// What the API server said, in the words of one who waits for a certificate.
fn api_error(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => said(status),
        other => root_cause(other),
    }
}

/// The same of a watch.
pub(crate) fn watch_error(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => api_error(error),
        watcher::Error::WatchError(status) => said(status),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

fn said(status: &Status) -> String {
    format!("{} ({} {})", status.message.trim(), status.code, status.reason)
}

/// What it comes down to, such as a connection that was refused or timed out. Who called whom until then helps nobody who
/// waits for a certificate.
pub(crate) fn root_cause(mut error: &dyn std::error::Error) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

impl From<Panicked> for Error {
    fn from(_: Panicked) -> Self {
        Self::Panicked
    }
}

impl Error {
    /// All that [`Error::label`] says.
    pub(crate) const LABELS: [&'static str; 5] = ["api", "changed", "signing", "random", "panicked"];

    /// A word for it, by which it is counted.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Api(_) => "api",
            Self::Changed => "changed",
            Self::Sign(_) => "signing",
            Self::Random => "random",
            Self::Panicked => "panicked",
        }
    }

    /// How long the API server wants to be left alone; nothing where it does not say. Of most calls the client itself waits
    /// so long, but not where the server says so along with an internal error.
    pub(crate) fn retry_after(&self) -> Duration {
        let Self::Api(kube::Error::Api(status)) = self else { return Duration::ZERO };
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        Duration::from_secs(seconds.into())
    }
}

/// What every reconciliation has at hand.
pub(crate) struct Context {
    /// Watches, at all times.
    pub(crate) client: Client,
    /// Sends what a leader alone asks and writes, and only while this process leads.
    pub(crate) acting: Client,
    pub(crate) issuers: Issuers,
    pub(crate) leadership: Leadership,
    announcer: Announcer,
    told: Mutex<Memory>,
    finished: Mutex<Memory>,
}

impl Context {
    pub(crate) fn new(client: Client, issuers: Issuers, leadership: Leadership, announcer: Announcer) -> Self {
        let acting = leadership.only_then(client.clone());
        Self { client, acting, issuers, leadership, announcer, told: Mutex::default(), finished: Mutex::default() }
    }

    /// Has an event sent, when there is time for it.
    pub(crate) fn announce(&self, event: Event, about: ObjectReference) {
        self.announcer.announce(event, about);
    }

    /// Whether this event was the last that was told by itself, without a status, about the object with this UID. It is
    /// taken for told from now on.
    pub(crate) fn has_told(&self, uid: String, event: &Event) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.keep(uid, event.note.clone()).is_some_and(|before| before == event.note)
    }

    /// This version of the object with this UID has been brought to its end. The watch brings what was written a little later.
    pub(crate) fn finish(&self, uid: String, version: Option<String>) {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).keep(uid, version);
    }

    /// Whether this version of the object has been brought to its end.
    pub(crate) fn has_finished(&self, uid: &str, version: Option<&str>) -> bool {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.get(uid).is_some_and(|known| known.as_deref() == version)
    }
}

/// The last text about each of many objects, by their UIDs. Those about which nothing was kept for the longest time are forgotten,
/// so that what is deleted takes no room for ever. That is harmless: an event is told again, or a certificate signed that the API
/// server then does not take.
#[derive(Default)]
struct Memory {
    new: HashMap<String, Option<String>>,
    old: HashMap<String, Option<String>>,
}

impl Memory {
    /// At most as many are new, and as many old.
    const MOST: usize = 5_000;

    /// Keeps this; what was known before.
    fn keep(&mut self, uid: String, text: Option<String>) -> Option<Option<String>> {
        if self.new.len() >= Self::MOST && !self.new.contains_key(&uid) {
            self.old = mem::take(&mut self.new);
        }
        let before = self.old.remove(&uid);
        self.new.insert(uid, text).or(before)
    }

    fn get(&self, uid: &str) -> Option<&Option<String>> {
        self.new.get(uid).or_else(|| self.old.get(uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_last_is_remembered_and_what_is_old_is_forgotten() {
        let mut memory = Memory::default();
        let text = |number: usize| Some(number.to_string());
        for number in 0..10 * Memory::MOST {
            assert_eq!(memory.keep(number.to_string(), text(number)), None);
            // Nor does one about which something is kept again and again make others be forgotten.
            assert_eq!(memory.keep("kept".to_owned(), text(number)), number.checked_sub(1).map(text));
            let last = number.saturating_sub(Memory::MOST / 2);
            assert_eq!(memory.get(&last.to_string()), Some(&text(last)));
        }
        assert_eq!(memory.get("0"), None);
        assert!(memory.new.len() + memory.old.len() <= 2 * Memory::MOST);
    }
}
