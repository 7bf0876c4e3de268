//! What is written: outcomes → status patches and events. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{
    ResourceExt,
    runtime::events::{Event, EventType},
};
use serde_json::{Value, json};
use tandem_issuer_core::{Class, Error, Issued, decide::Wait};

use crate::api::{
    CertificateRequest, Issuer, IssuerId, IssuerKind,
    issuer::{AuthorityStatus, GROUP, VERSION, generation},
};

/// Who we are to server-side apply: we own the fields that we write, and no others are touched.
pub(crate) const FIELD_MANAGER: &str = "tandem-issuer";

/// Events take at most 1 kB of text.
const MAX_NOTE: usize = 1000;

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It waits for its issuer: the event's reason and the message.
    Waiting(&'static str, String),
    /// Signing failed in a way that may heal.
    Retrying(Error),
    /// Somebody denied it.
    Denied,
    /// It will never be signed.
    Failed(Error),
    /// Signed and verified.
    Issued(Box<Issued>),
}

impl Outcome {
    pub(crate) fn waiting(wait: &Wait, issuer: &IssuerId) -> Self {
        match wait {
            Wait::IssuerMissing => Self::Waiting("IssuerNotFound", format!("{issuer} does not exist")),
            Wait::IssuerNotReady(why) => Self::Waiting("IssuerNotReady", format!("{issuer} is not ready: {why}")),
        }
    }

    pub(crate) fn of_signing(result: Result<Issued, Error>) -> Self {
        match result {
            Ok(issued) => Self::Issued(Box::new(issued)),
            Err(error) => match error.class() {
                Class::Permanent => Self::Failed(error),
                Class::Retryable => Self::Retrying(error),
                Class::Issuer => Self::Waiting("IssuerNotReady", error.to_string()),
            },
        }
    }

    /// The Ready condition's status and reason (cert-manager's documentation of CertificateRequest conditions).
    fn ready(&self) -> (&'static str, &'static str) {
        match self {
            Self::Waiting(..) | Self::Retrying(_) => ("False", "Pending"),
            Self::Denied => ("False", "Denied"),
            Self::Failed(_) => ("False", "Failed"),
            Self::Issued(_) => ("True", "Issued"),
        }
    }

    /// For people; in the condition, the event and the log.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Waiting(_, message) => message.clone(),
            Self::Retrying(error) => format!("{error}; it is tried again"),
            Self::Denied => "The CertificateRequest was denied by an approval controller".to_owned(),
            Self::Failed(error) => error.to_string(),
            Self::Issued(_) => "Certificate fetched from issuer successfully".to_owned(),
        }
    }

    pub(crate) fn event(&self) -> Event {
        let (type_, reason) = match self {
            Self::Waiting(reason, _) => (EventType::Normal, *reason),
            Self::Retrying(_) | Self::Failed(_) => (EventType::Warning, "SigningError"),
            Self::Denied => (EventType::Warning, "Denied"),
            Self::Issued(_) => (EventType::Normal, "CertificateIssued"),
        };
        event(type_, reason, "Sign", &self.message())
    }
}

/// The apply patch that brings a request's status to `outcome`; `None` where it says that already.
pub(crate) fn request_patch(request: &CertificateRequest, outcome: &Outcome, now: Timestamp) -> Option<Value> {
    let (status, reason) = outcome.ready();
    let message = outcome.message();
    let before = request.condition("Ready");
    if before.is_some_and(|c| c.status == status && c.reason == reason && c.message == message) {
        return None;
    }
    let since = before.filter(|c| c.status == status).and_then(|c| c.last_transition_time.clone());
    let mut body = json!({
        "conditions": [{
            "type": "Ready",
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": since.unwrap_or_else(|| seconds(now)),
        }],
    });
    match outcome {
        Outcome::Issued(issued) => {
            body["certificate"] = base64(&issued.certificate);
            body["ca"] = base64(&issued.ca);
        }
        // Without it cert-manager never makes a new request in place of this one.
        Outcome::Denied | Outcome::Failed(_) => body["failureTime"] = json!(seconds(now)),
        Outcome::Waiting(..) | Outcome::Retrying(_) => {}
    }
    Some(json!({
        "apiVersion": "cert-manager.io/v1",
        "kind": "CertificateRequest",
        "metadata": {
            "name": request.name_any(),
            "namespace": request.namespace(),
            "resourceVersion": request.resource_version(),
        },
        "status": body,
    }))
}

/// Whether an issuer can sign, and why.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) ready: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    warning: bool,
}

impl Judgement {
    pub(crate) fn ready(reason: &'static str, message: String) -> Self {
        Self { ready: true, reason, message, warning: false }
    }

    pub(crate) fn ready_with_warning(reason: &'static str, message: String) -> Self {
        Self { ready: true, reason, message, warning: true }
    }

    pub(crate) fn not_ready(reason: &'static str, message: String) -> Self {
        Self { ready: false, reason, message, warning: true }
    }

    pub(crate) fn event(&self) -> Event {
        let type_ = if self.warning { EventType::Warning } else { EventType::Normal };
        event(type_, self.reason, "CheckCA", &self.message)
    }
}

/// The apply patch for an issuer's status; `None` where it says that already.
pub(crate) fn issuer_patch(
    issuer: &Issuer,
    kind: IssuerKind,
    judgement: &Judgement,
    authorities: &[AuthorityStatus],
    now: Timestamp,
) -> Option<Value> {
    let status = if judgement.ready { "True" } else { "False" };
    let known = issuer.status.clone().unwrap_or_default();
    let before = known.conditions.iter().find(|condition| condition.type_ == "Ready");
    let since = before.filter(|c| c.status == status).map(|c| c.last_transition_time.clone());
    let condition = Condition {
        type_: "Ready".to_owned(),
        status: status.to_owned(),
        reason: judgement.reason.to_owned(),
        message: judgement.message.clone(),
        observed_generation: Some(generation(issuer)),
        last_transition_time: since.unwrap_or_else(|| seconds(now)),
    };
    if before == Some(&condition) && known.authorities == authorities {
        return None;
    }
    Some(json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": kind.kind(),
        "metadata": { "name": issuer.name_any(), "namespace": issuer.namespace() },
        "status": { "conditions": [condition], "authorities": authorities },
    }))
}

/// Kubernetes keeps whole seconds.
fn seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

fn base64(text: &str) -> Value {
    json!(k8s_openapi::ByteString(text.as_bytes().to_vec()))
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
    use crate::api::issuer::{CaSource, IssuerSpec, LeafBeyondCa};

    fn now() -> Timestamp {
        "2026-11-21T12:00:00.5Z".parse().unwrap()
    }

    fn request(ready: Option<Value>) -> CertificateRequest {
        let conditions: Vec<_> = ready.into_iter().collect();
        serde_json::from_value(json!({
            "apiVersion": "cert-manager.io/v1",
            "kind": "CertificateRequest",
            "metadata": {"name": "leaf-1", "namespace": "shop", "resourceVersion": "7"},
            "spec": {"request": "", "issuerRef": {"name": "ca"}},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn pending(message: &str) -> Value {
        json!({"type": "Ready", "status": "False", "reason": "Pending", "message": message,
               "lastTransitionTime": "2026-11-20T00:00:00Z"})
    }

    fn waiting() -> Outcome {
        Outcome::Waiting("IssuerNotReady", "it waits".to_owned())
    }

    #[test]
    fn only_ours_is_written_and_only_on_what_was_seen() {
        let patch = request_patch(&request(None), &waiting(), now()).unwrap();
        assert_eq!(
            patch,
            json!({
                "apiVersion": "cert-manager.io/v1",
                "kind": "CertificateRequest",
                "metadata": {"name": "leaf-1", "namespace": "shop", "resourceVersion": "7"},
                "status": {"conditions": [{
                    "type": "Ready", "status": "False", "reason": "Pending", "message": "it waits",
                    "lastTransitionTime": "2026-11-21T12:00:00Z",
                }]},
            })
        );
    }

    #[test]
    fn nothing_is_written_twice() {
        assert_eq!(request_patch(&request(Some(pending("it waits"))), &waiting(), now()), None);
        assert!(request_patch(&request(Some(pending("for another reason"))), &waiting(), now()).is_some());
    }

    #[test]
    fn a_transition_is_one_of_the_status() {
        let time = |outcome: &Outcome| {
            let patch = request_patch(&request(Some(pending("before"))), outcome, now()).unwrap();
            patch["status"]["conditions"][0]["lastTransitionTime"].as_str().unwrap().to_owned()
        };
        assert_eq!(time(&waiting()), "2026-11-20T00:00:00Z");
        assert_eq!(time(&issued()), "2026-11-21T12:00:00Z");
    }

    fn issued() -> Outcome {
        let issued = Issued { certificate: "leaf".to_owned(), ca: "root".to_owned(), leaf: Vec::new() };
        Outcome::Issued(Box::new(issued))
    }

    #[test]
    fn what_is_final_says_when_it_failed_and_what_is_issued_does_not() {
        let status = |outcome: &Outcome| request_patch(&request(None), outcome, now()).unwrap()["status"].clone();
        for (outcome, reason) in [(Outcome::Denied, "Denied"), (Outcome::Failed(Error::NoNames), "Failed")] {
            let status = status(&outcome);
            assert_eq!(status["conditions"][0]["reason"], reason);
            assert_eq!(status["failureTime"], "2026-11-21T12:00:00Z");
            assert_eq!(status.get("certificate"), None);
        }
        let status = status(&issued());
        assert_eq!((&status["certificate"], &status["ca"]), (&json!("bGVhZg=="), &json!("cm9vdA==")));
        assert_eq!(status.get("failureTime"), None);
    }

    /// Each class of error has its outcome; a fault that may heal never ends a request.
    #[test]
    fn errors_keep_their_class() {
        let ready = |error| Outcome::of_signing(Err(error)).ready().1;
        assert_eq!(ready(Error::NoNames), "Failed");
        assert_eq!(ready(Error::Signer("busy".to_owned())), "Pending");
        assert_eq!(ready(Error::KeyMismatch), "Pending");
    }

    #[test]
    fn a_long_message_fits_an_event() {
        let event = event(EventType::Normal, "Reason", "Action", &"ä".repeat(2000));
        assert!(event.note.unwrap().len() < 1024);
    }

    #[test]
    fn an_issuers_condition_carries_its_generation_and_is_written_once() {
        let ca = CaSource {
            secret_name: "ca".to_owned(),
            crl_distribution_points: Vec::new(),
            ocsp_servers: Vec::new(),
            issuing_certificate_urls: Vec::new(),
        };
        let spec = IssuerSpec { ca: Some(ca), leaf_beyond_ca: LeafBeyondCa::Refuse };
        let mut issuer = Issuer::new("ca", &IssuerKind::Cluster.resource(), spec);
        issuer.metadata.generation = Some(3);
        let judgement = Judgement::not_ready("ErrGetKeyPair", "no Secret".to_owned());
        let patch = issuer_patch(&issuer, IssuerKind::Cluster, &judgement, &[], now()).unwrap();
        assert_eq!(patch["kind"], "TandemClusterIssuer");
        assert_eq!(patch["status"]["conditions"][0]["observedGeneration"], 3);

        issuer.status = Some(serde_json::from_value(patch["status"].clone()).unwrap());
        assert_eq!(issuer_patch(&issuer, IssuerKind::Cluster, &judgement, &[], now()), None);
        issuer.metadata.generation = Some(4);
        assert!(issuer_patch(&issuer, IssuerKind::Cluster, &judgement, &[], now()).is_some());
    }
}
