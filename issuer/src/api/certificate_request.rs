//! cert-manager's CertificateRequest: the fields that we read.
//!
//! <https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.CertificateRequest>

use jiff::SignedDuration;
use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::Time};
use kube::{CustomResource, core::Duration};
use serde::{Deserialize, Serialize};
use tandem_issuer_core::decide::{Approval, Request};

#[derive(Clone, Debug, Deserialize, Serialize, CustomResource)]
#[kube(
    group = "cert-manager.io",
    version = "v1",
    kind = "CertificateRequest",
    namespaced,
    status = "CertificateRequestStatus",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateRequestSpec {
    pub(crate) issuer_ref: IssuerRef,
    pub(crate) request: ByteString,
    #[serde(default)]
    pub(crate) duration: Option<Duration>,
    #[serde(default, rename = "isCA")]
    pub(crate) is_ca: bool,
    #[serde(default)]
    pub(crate) usages: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct IssuerRef {
    pub(crate) name: String,
    pub(crate) kind: Option<String>,
    pub(crate) group: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateRequestStatus {
    #[serde(default)]
    pub(crate) conditions: Vec<RequestCondition>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestCondition {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) last_transition_time: Option<Time>,
}

impl CertificateRequest {
    pub(crate) fn condition(&self, type_: &str) -> Option<&RequestCondition> {
        self.status.iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == type_)
    }

    fn is_true(&self, type_: &str) -> bool {
        self.condition(type_).is_some_and(|condition| condition.status == "True")
    }

    /// Whether nothing will change any more: issued, failed, denied, or invalid.
    pub(crate) fn finished(&self) -> bool {
        let settled = |ready: &RequestCondition| matches!(ready.reason.as_str(), "Issued" | "Failed" | "Denied");
        self.is_true("InvalidRequest") || self.condition("Ready").is_some_and(settled)
    }

    fn approval(&self) -> Approval {
        match () {
            () if self.is_true("Denied") => Approval::Denied,
            () if self.is_true("Approved") => Approval::Approved,
            () => Approval::Undecided,
        }
    }

    /// The request in the core's terms.
    pub(crate) fn to_core(&self) -> Request<'_> {
        Request {
            finished: self.finished(),
            approval: self.approval(),
            csr: &self.spec.request.0,
            duration: self.spec.duration.map(signed),
            is_ca: self.spec.is_ca,
            usages: &self.spec.usages,
        }
    }
}

/// More than a signed duration can hold is more than a certificate can have: the core refuses the largest.
fn signed(duration: Duration) -> SignedDuration {
    let size = SignedDuration::try_from(std::time::Duration::from(duration)).unwrap_or(SignedDuration::MAX);
    if duration.is_negative() { -size } else { size }
}
