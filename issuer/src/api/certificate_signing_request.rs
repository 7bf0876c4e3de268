//! Kubernetes' CertificateSigningRequest (certificates.k8s.io/v1), as cert-manager uses it.
//!
//! <https://cert-manager.io/docs/usage/kube-csr/> and
//! <https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/>

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    certificates::v1,
};
use kube::{Api, Client, ResourceExt};
use tandem_cli::shown;
use tandem_issuer_core::{
    Error,
    decide::{self, Approval, Request},
};

use super::{
    IssuerId, IssuerKind, Lean, Publication, SigningRequest,
    certificate_request::{cut_name, cut_request, duration},
    issuer::GROUP,
};
use crate::{outcome::Outcome, status};

/// A request, as it is read.
pub(crate) type CertificateSigningRequest = Lean<v1::CertificateSigningRequest>;

/// Beats `spec.expirationSeconds`.
const DURATION: &str = "experimental.cert-manager.io/request-duration";
const IS_CA: &str = "experimental.cert-manager.io/request-is-ca";

impl SigningRequest for CertificateSigningRequest {
    const WAITING_FOR_APPROVAL: &'static str = "WaitingApproval";

    /// By its signer name: `tandemclusterissuers.pki.tandem.internal/NAME` or
    /// `tandemissuers.pki.tandem.internal/NAMESPACE.NAME`; a namespace has no dot.
    fn issuer(&self) -> Option<IssuerId> {
        let (signer, path) = self.spec.signer_name.split_once('/')?;
        let plural = signer.strip_suffix(GROUP)?.strip_suffix('.')?;
        let kind = IssuerKind::ALL.into_iter().find(|kind| kind.plural() == plural)?;
        let (namespace, name) = match kind {
            IssuerKind::Namespaced => {
                path.split_once('.').map(|(namespace, name)| (Some(namespace.to_owned()), name))?
            }
            IssuerKind::Cluster => (None, path),
        };
        Some(IssuerId { kind, namespace, name: name.to_owned() })
    }

    /// Issued, failed or denied.
    fn finished(&self) -> bool {
        let issued = self.status.as_ref().and_then(|status| status.certificate.as_ref());
        issued.is_some_and(|certificate| !certificate.0.is_empty()) || has(self, "Failed") || has(self, "Denied")
    }

    /// One that was denied is finished.
    fn approval(&self) -> Approval {
        if has(self, "Approved") { Approval::Approved } else { Approval::Undecided }
    }

    fn approved_at(&self) -> Option<Timestamp> {
        let mut conditions = self.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.find(|condition| condition.type_ == "Approved")?.last_transition_time.as_ref().map(|time| time.0)
    }

    fn to_core(&self) -> Request<'_> {
        let annotation = |key: &str| self.annotations().get(key).map(String::as_str);
        let seconds = self.spec.expiration_seconds.map(|seconds| SignedDuration::from_secs(seconds.into()));
        Request {
            api: decide::Api::Kubernetes,
            finished: self.finished(),
            approval: self.approval(),
            csr: &self.spec.request.0,
            duration: match annotation(DURATION) {
                Some(text) => duration(text).map(Some).ok_or(text),
                None => Ok(seconds),
            },
            is_ca: annotation(IS_CA) == Some("true"),
            usages: self.spec.usages.as_deref().unwrap_or_default(),
            namespace: None,
        }
    }

    /// Whoever refers to a namespaced issuer from outside of its namespace has to be allowed to, for the issuer's name or
    /// for the name `*`.
    fn reviews(&self, issuer: &IssuerId) -> Vec<SubjectAccessReview> {
        let Some(namespace) = &issuer.namespace else { return Vec::new() };
        let review = |name: &str| SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: self.spec.username.clone(),
                uid: self.spec.uid.clone(),
                groups: self.spec.groups.clone(),
                extra: self.spec.extra.clone(),
                resource_attributes: Some(ResourceAttributes {
                    group: Some("cert-manager.io".to_owned()),
                    version: Some("*".to_owned()),
                    resource: Some("signers".to_owned()),
                    verb: Some("reference".to_owned()),
                    namespace: Some(namespace.clone()),
                    name: Some(name.to_owned()),
                    ..ResourceAttributes::default()
                }),
                non_resource_attributes: None,
            },
            ..SubjectAccessReview::default()
        };
        vec![review(&issuer.name), review("*")]
    }

    fn failure_reason(error: &Error) -> &'static str {
        match error.first() {
            Error::MayNotRefer => "DeniedReference",
            Error::DurationUnreadable { .. } => "ErrorParseDuration",
            Error::DurationTooShort { .. } => "InvalidDuration",
            _ => "SigningError",
        }
    }

    /// Waiting is told by events alone: this API has no condition for it.
    fn publication(&self, outcome: &Outcome, now: Timestamp) -> Publication {
        match outcome {
            Outcome::Unapproved | Outcome::Waiting(..) | Outcome::Retrying(_) => Publication::Event,
            Outcome::Denied => Publication::Nothing,
            Outcome::Failed(error) => {
                let reason = Self::failure_reason(error);
                Publication::Status(status::failed_signing_request(self, reason, &outcome.message(), now))
            }
            Outcome::Issued(issued, _) => Publication::Status(status::issued_signing_request(self, issued)),
        }
    }

    fn api(&self, client: Client) -> Api<Self> {
        Api::all(client)
    }

    fn strip(&mut self) {
        cut_request(&mut self.spec.request);
        if let Some(annotations) = &mut self.metadata.annotations {
            annotations.retain(|key, _| key == DURATION || key == IS_CA);
            annotations.values_mut().for_each(cut_name);
        }
    }
}

/// What is wrong with the name of a signer in our domain that is none of ours; `None` where it is another domain's, or right.
pub(crate) fn near_miss(request: &CertificateSigningRequest) -> Option<String> {
    let signer = &request.spec.signer_name;
    let domain = signer.split('/').next().unwrap_or_default();
    let is_ours = domain == GROUP || domain.strip_suffix(GROUP).is_some_and(|before| before.ends_with('.'));
    let [namespaced, cluster] = IssuerKind::ALL.map(IssuerKind::plural);
    (is_ours && request.issuer().is_none()).then(|| {
        format!("signerName is {}; write {cluster}.{GROUP}/NAME or {namespaced}.{GROUP}/NAMESPACE.NAME", shown(signer))
    })
}

fn has(request: &CertificateSigningRequest, type_: &str) -> bool {
    let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == type_ && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(spec: &serde_json::Value, status: &serde_json::Value) -> CertificateSigningRequest {
        let mut whole = serde_json::json!({
            "metadata": {"name": "leaf", "annotations": {}},
            "spec": {"request": "", "signerName": "tandemclusterissuers.pki.tandem.internal/ca"},
            "status": status,
        });
        for (key, value) in spec.as_object().unwrap() {
            whole["spec"][key] = value.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    /// Nobody answers a request that names us in a wrong way, so `explain` has to say how.
    #[test]
    fn a_wrong_name_in_our_domain_is_explained() {
        let wrong = |name: &str| near_miss(&request(&serde_json::json!({"signerName": name}), &serde_json::json!({})));
        for name in
            ["tandemissuers.pki.tandem.internal/team2", "issuers.pki.tandem.internal/a", "pki.tandem.internal/a"]
        {
            let told = wrong(name).unwrap();
            assert!(told.contains(name) && told.contains("tandemissuers.pki.tandem.internal/NAMESPACE.NAME"), "{told}");
        }
        for name in
            ["tandemissuers.pki.tandem.internal/shop.a", "xpki.tandem.internal/a", "kubernetes.io/kubelet-serving"]
        {
            assert_eq!(wrong(name), None);
        }
    }

    fn signer(name: &str) -> Option<IssuerId> {
        request(&serde_json::json!({"signerName": name}), &serde_json::json!({})).issuer()
    }

    /// Fact 20: signer names.
    #[test]
    fn signer_names_are_read() {
        let cluster = signer("tandemclusterissuers.pki.tandem.internal/a.b").unwrap();
        assert_eq!((cluster.kind, cluster.namespace, cluster.name.as_str()), (IssuerKind::Cluster, None, "a.b"));
        let namespaced = signer("tandemissuers.pki.tandem.internal/shop.a.b").unwrap();
        assert_eq!((namespaced.namespace.as_deref(), namespaced.name.as_str()), (Some("shop"), "a.b"));
        for other in [
            "tandemissuers.pki.tandem.internal/shop",
            "tandemissuers.pki.tandem.internal",
            "tandemissuerspki.tandem.internal/shop.a",
            "tandemissuers.evil.pki.tandem.internal/shop.a",
            "xtandemissuers.pki.tandem.internal/shop.a",
            "issuers.cert-manager.io/shop.a",
            "kubernetes.io/kube-apiserver-client",
        ] {
            assert_eq!(signer(other), None, "{other}");
        }
    }

    /// Fact 22: the annotation beats the seconds.
    #[test]
    fn durations_come_from_two_places() {
        let mut request = request(&serde_json::json!({"expirationSeconds": 700}), &serde_json::json!({}));
        assert_eq!(request.to_core().duration, Ok(Some(SignedDuration::from_secs(700))));
        request.annotations_mut().insert(DURATION.to_owned(), "1h".to_owned());
        assert_eq!(request.to_core().duration, Ok(Some(SignedDuration::from_hours(1))));
        request.annotations_mut().insert(DURATION.to_owned(), "soon".to_owned());
        assert_eq!(request.to_core().duration, Err("soon"));
        assert!(!request.to_core().is_ca);
        request.annotations_mut().insert(IS_CA.to_owned(), "true".to_owned());
        request.strip();
        assert!(request.to_core().is_ca);
    }

    /// Fact 23: what is final.
    #[test]
    fn issued_failed_and_denied_are_final() {
        let with = |status| request(&serde_json::json!({}), &status);
        let condition = |type_: &str, status: &str| {
            with(serde_json::json!({"conditions": [{"type": type_, "status": status}]})).finished()
        };
        assert!(condition("Failed", "True") && condition("Denied", "True"));
        assert!(!condition("Approved", "True") && !condition("Failed", "False"));
        assert!(with(serde_json::json!({"certificate": "bGVhZg=="})).finished());
        assert!(!with(serde_json::json!({})).finished());
    }

    /// Fact 20: who asks, and for what.
    #[test]
    fn a_namespaced_issuer_is_asked_for_by_name_then_by_star() {
        let who = serde_json::json!({
            "signerName": "tandemissuers.pki.tandem.internal/shop.ca", "username": "jane", "uid": "7",
            "groups": ["ops"], "extra": {"scopes": ["a"]},
        });
        let request = request(&who, &serde_json::json!({}));
        let reviews = request.reviews(&request.issuer().unwrap());
        let names: Vec<_> = reviews.iter().filter_map(|r| r.spec.resource_attributes.as_ref()?.name.clone()).collect();
        assert_eq!(names, ["ca", "*"]);
        assert_eq!(
            serde_json::to_value(&reviews[0].spec).unwrap(),
            serde_json::json!({
                "user": "jane", "uid": "7", "groups": ["ops"], "extra": {"scopes": ["a"]},
                "resourceAttributes": {
                    "group": "cert-manager.io", "version": "*", "resource": "signers", "verb": "reference",
                    "namespace": "shop", "name": "ca",
                },
            })
        );
        let cluster = signer("tandemclusterissuers.pki.tandem.internal/ca").unwrap();
        assert_eq!(request.reviews(&cluster), []);
    }
}
