//! What became of a request or an issuer, in words. Pure.

use kube::runtime::events::{Event, EventType};
use tandem_issuer_core::{Class, Error, Issued, decide::Wait};

use crate::{
    api::{IssuerId, SigningRequest},
    context,
    issuers::{Observed, missing},
};

/// Events take at most 1 kB of text.
const MAX_NOTE: usize = 1000;

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nobody has approved it.
    Unapproved,
    /// It waits for its issuer: the event's reason and the message.
    Waiting(&'static str, String),
    /// Something failed that may heal.
    Retrying(context::Error),
    /// Somebody denied it.
    Denied,
    /// It will never be signed.
    Failed(Error),
    /// Signed and verified; with what the policy would have refused, were it not a dry run.
    Issued(Box<Issued>, Option<Error>),
}

impl Outcome {
    pub(crate) fn waiting(wait: Wait, id: &IssuerId, issuer: &Observed) -> Self {
        match (wait, issuer) {
            (Wait::Approval, _) => Self::Unapproved,
            (Wait::IssuerMissing, Observed::Missing(Some(other))) => {
                Self::Waiting("IssuerNotFound", missing(id, Some(other)))
            }
            (Wait::IssuerMissing, _) => Self::Waiting("IssuerNotFound", missing(id, None)),
            (Wait::IssuerNotReady(_), Observed::NotReady(judgement)) => {
                Self::Waiting(judgement.requests_wait_for, format!("{id} is not ready: {}", judgement.message))
            }
            (Wait::IssuerNotReady(why), _) => Self::Waiting("IssuerNotReady", format!("{id} is not ready: {why}")),
        }
    }

    pub(crate) fn of_signing(result: Result<Issued, Error>, would_refuse: Option<Error>) -> Self {
        match result {
            Ok(issued) => Self::Issued(Box::new(issued), would_refuse),
            Err(error) => match error.class() {
                Class::Permanent => Self::Failed(error),
                Class::Retryable => Self::Retrying(error.into()),
                Class::Issuer => Self::Waiting("IssuerNotReady", error.to_string()),
            },
        }
    }

    /// A word for it, by which it is counted.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Unapproved => "unapproved",
            Self::Waiting(..) => "waiting",
            Self::Retrying(_) => "retrying",
            Self::Denied => "denied",
            Self::Failed(_) => "failed",
            Self::Issued(..) => "issued",
        }
    }

    /// Whether nothing comes after it.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Denied | Self::Failed(_) | Self::Issued(..))
    }

    /// For people; in the condition, the event and the log.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Unapproved => "Not signed until it is approved".to_owned(),
            Self::Waiting(_, message) => message.clone(),
            Self::Retrying(error) => retrying(error),
            Self::Denied => Error::Denied.to_string(),
            Self::Failed(error) => error.to_string(),
            Self::Issued(..) => "Certificate fetched from issuer successfully".to_owned(),
        }
    }

    /// The event that tells of it, with the reasons that cert-manager's users know.
    pub(crate) fn event<R: SigningRequest>(&self) -> Event {
        let (type_, reason) = match self {
            Self::Unapproved => (EventType::Normal, R::WAITING_FOR_APPROVAL),
            Self::Waiting(reason, _) => (EventType::Normal, *reason),
            Self::Retrying(error) => return trouble(error),
            Self::Failed(error) => (EventType::Warning, R::failure_reason(error)),
            Self::Denied => (EventType::Warning, "Denied"),
            Self::Issued(..) => (EventType::Normal, "CertificateIssued"),
        };
        event(type_, reason, "Sign", &self.message())
    }
}

fn retrying(error: &context::Error) -> String {
    format!("{error}; it is tried again")
}

/// The event that tells of a failure that may heal.
pub(crate) fn trouble(error: &context::Error) -> Event {
    event(EventType::Warning, "SigningError", "Sign", &retrying(error))
}

/// The event that tells of what a policy would have refused, were it not a dry run.
pub(crate) fn would_refuse(error: &Error) -> Event {
    event(EventType::Warning, "PolicyWouldRefuse", "Sign", &format!("signed in a dry run of the policy: {error}"))
}

/// Whether an issuer can sign, and why.
#[derive(Clone, Debug)]
pub(crate) struct Judgement {
    pub(crate) ready: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// The reason of the events of requests that have to wait for it.
    pub(crate) requests_wait_for: &'static str,
    warning: bool,
}

impl Judgement {
    pub(crate) fn ready(reason: &'static str, message: String) -> Self {
        Self { ready: true, reason, message, requests_wait_for: "", warning: false }
    }

    pub(crate) fn ready_with_warning(reason: &'static str, message: String) -> Self {
        Self { warning: true, ..Self::ready(reason, message) }
    }

    /// `requests_wait_for` is the reason of the events of requests that have to wait for it.
    pub(crate) fn not_ready(reason: &'static str, requests_wait_for: &'static str, message: String) -> Self {
        Self { ready: false, requests_wait_for, warning: true, ..Self::ready(reason, message) }
    }

    pub(crate) fn event(&self) -> Event {
        let type_ = if self.warning { EventType::Warning } else { EventType::Normal };
        event(type_, self.reason, "CheckCA", &self.message)
    }
}

fn event(type_: EventType, reason: &str, action: &str, message: &str) -> Event {
    let mut note = message.to_owned();
    if note.len() > MAX_NOTE {
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        note.push('…');
    }
    Event { type_, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fact 5: each class of error has its outcome; a fault that may heal never ends a request.
    #[test]
    fn errors_keep_their_class() {
        let of = |error| Outcome::of_signing(Err(error), None);
        assert!(matches!(of(Error::NoNames), Outcome::Failed(_)));
        assert!(matches!(of(Error::Signer("busy".to_owned())), Outcome::Retrying(_)));
        assert!(matches!(of(Error::KeyMismatch), Outcome::Waiting(..)));
    }

    #[test]
    fn a_long_message_fits_an_event() {
        let event = event(EventType::Normal, "Reason", "Action", &"ä".repeat(2000));
        assert!(event.note.unwrap().len() < 1024);
    }
}
