//! What is written: outcomes → status patches. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use serde_json::{Value, json};
use tandem_issuer_core::Issued;

use crate::{
    api::{
        CertificateRequest, CertificateSigningRequest, Issuer, IssuerKind,
        issuer::{AuthorityStatus, GROUP, VERSION, generation},
    },
    outcome::{Judgement, Outcome},
};

/// Who we are to server-side apply: we own the fields that we write, and no others are touched.
pub(crate) const FIELD_MANAGER: &str = "tandem-issuer";

/// The Ready condition's status and reason (cert-manager's documentation of CertificateRequest conditions).
fn ready(outcome: &Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Unapproved | Outcome::Waiting(..) | Outcome::Retrying(_) => ("False", "Pending"),
        Outcome::Denied => ("False", "Denied"),
        Outcome::Failed(_) => ("False", "Failed"),
        Outcome::Issued(..) => ("True", "Issued"),
    }
}

/// The apply patch that brings a CertificateRequest's status to `outcome`; `None` where it says that already.
pub(crate) fn request_patch(request: &CertificateRequest, outcome: &Outcome, now: Timestamp) -> Option<Value> {
    let (status, reason) = ready(outcome);
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
            "lastTransitionTime": since.map_or_else(|| json!(seconds(now)), Value::String),
        }],
    });
    match outcome {
        Outcome::Issued(issued, _) => {
            body["certificate"] = base64(&issued.certificate);
            body["ca"] = base64(&issued.ca);
        }
        // Without it cert-manager never makes a new request in place of this one.
        Outcome::Denied | Outcome::Failed(_) => body["failureTime"] = json!(seconds(now)),
        Outcome::Unapproved | Outcome::Waiting(..) | Outcome::Retrying(_) => {}
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

/// The apply patch that makes a CertificateSigningRequest failed, for good.
pub(crate) fn failed_signing_request(
    request: &CertificateSigningRequest,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Value {
    let now = seconds(now);
    let condition = json!({
        "type": "Failed", "status": "True", "reason": reason, "message": message,
        "lastUpdateTime": now, "lastTransitionTime": now,
    });
    signing_request_patch(request, &json!({ "conditions": [condition] }))
}

/// The apply patch that hands out a CertificateSigningRequest's certificate: the whole chain, without the root.
pub(crate) fn issued_signing_request(request: &CertificateSigningRequest, issued: &Issued) -> Value {
    signing_request_patch(request, &json!({ "certificate": base64(&issued.certificate) }))
}

fn signing_request_patch(request: &CertificateSigningRequest, status: &Value) -> Value {
    json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": { "name": request.name_any(), "resourceVersion": request.resource_version() },
        "status": status,
    })
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
        "metadata": {
            "name": issuer.name_any(),
            "namespace": issuer.namespace(),
            "resourceVersion": issuer.resource_version(),
        },
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

#[cfg(test)]
mod tests {
    use tandem_issuer_core::Error;

    use kube::core::Object;

    use super::*;
    use crate::api::Lean;
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

    /// Fact 2: Approved and Denied are in no patch of ours.
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

    /// Fact 5: a retry is Pending, with the cause, and written once.
    #[test]
    fn what_is_tried_again_is_pending_with_the_cause() {
        let outcome = Outcome::of_signing(Err(Error::Signer("the token is busy".to_owned())), None);
        let patch = request_patch(&request(None), &outcome, now()).unwrap();
        let ready = &patch["status"]["conditions"][0];
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("Pending")));
        assert_eq!(ready["message"], "the CA's key did not sign: the token is busy; it is tried again");
        assert_eq!(patch["status"].get("failureTime"), None);
        assert_eq!(request_patch(&request(Some(ready.clone())), &outcome, now()), None);
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
        Outcome::Issued(Box::new(issued), None)
    }

    /// Facts 3, 4: reasons, failureTime, and the certificate with its CA.
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

    /// Fact 6: observedGeneration.
    #[test]
    fn an_issuers_condition_carries_its_generation_and_is_written_once() {
        let ca = CaSource {
            secret_name: "ca".to_owned(),
            crl_distribution_points: Vec::new(),
            ocsp_servers: Vec::new(),
            issuing_certificate_urls: Vec::new(),
        };
        let spec = IssuerSpec {
            ca: Some(ca),
            leaf_beyond_ca: LeafBeyondCa::Refuse,
            backdate: None,
            refused_keys: vec![],
            policy: None,
        };
        let mut issuer = Lean(Object::new("ca", &IssuerKind::Cluster.resource(), spec));
        issuer.metadata.generation = Some(3);
        issuer.metadata.resource_version = Some("7".to_owned());
        let judgement = Judgement::not_ready("ErrGetKeyPair", "SecretMissing", "no Secret".to_owned());
        let patch = issuer_patch(&issuer, IssuerKind::Cluster, &judgement, &[], now()).unwrap();
        assert_eq!(patch["kind"], "TandemClusterIssuer");
        assert_eq!(patch["metadata"]["resourceVersion"], "7", "on whatever is there");
        assert_eq!(patch["status"]["conditions"][0]["observedGeneration"], 3);

        issuer.status = Some(serde_json::from_value(patch["status"].clone()).unwrap());
        assert_eq!(issuer_patch(&issuer, IssuerKind::Cluster, &judgement, &[], now()), None);
        issuer.metadata.generation = Some(4);
        assert!(issuer_patch(&issuer, IssuerKind::Cluster, &judgement, &[], now()).is_some());
    }
}
