//! cert-manager's CertificateRequest: the fields that we read.
//!
//! <https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.CertificateRequest>

use std::borrow::Cow;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, general_purpose::PAD},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    ByteString, api::authorization::v1::SubjectAccessReview, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, Resource, ResourceExt, core::NamespaceResourceScope};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use tandem_issuer_core::{
    Error,
    decide::{self, Approval, Namespace, Request},
    request::MAX_REQUEST_BYTES,
};

use super::{IssuerId, Publication, SigningRequest, essential};
use crate::{outcome::Outcome, status};

/// A request, written out where [`kube::CustomResource`] could derive it: most of what arrives for a request is metadata
/// that nothing reads, the nested fields of its managers above all, and is passed over here.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CertificateRequest {
    #[serde(deserialize_with = "essential")]
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: CertificateRequestSpec,
    #[serde(default)]
    pub(crate) status: Option<CertificateRequestStatus>,
}

impl Resource for CertificateRequest {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "CertificateRequest".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "cert-manager.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "certificaterequests".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateRequestSpec {
    pub(crate) issuer_ref: IssuerRef,
    #[serde(deserialize_with = "base64")]
    pub(crate) request: ByteString,
    /// Read only when it is needed: a list is read as a whole, and one text that is no duration must not hide all others.
    #[serde(default, deserialize_with = "optional_name")]
    pub(crate) duration: Option<String>,
    #[serde(default, rename = "isCA")]
    pub(crate) is_ca: bool,
    #[serde(default, deserialize_with = "usages")]
    pub(crate) usages: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct IssuerRef {
    #[serde(deserialize_with = "name")]
    pub(crate) name: String,
    #[serde(default, deserialize_with = "optional_name")]
    pub(crate) kind: Option<String>,
    #[serde(default, deserialize_with = "optional_name")]
    pub(crate) group: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateRequestStatus {
    #[serde(default)]
    pub(crate) conditions: Vec<RequestCondition>,
    /// In PEM, in base64; only whether it is there counts.
    #[serde(default)]
    pub(crate) certificate: Option<String>,
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
    /// Only kept, and counted with: the server lets texts pass that are no times.
    #[serde(default)]
    pub(crate) last_transition_time: Option<String>,
}

impl CertificateRequest {
    pub(crate) fn condition(&self, type_: &str) -> Option<&RequestCondition> {
        self.status.iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == type_)
    }

    fn is_true(&self, type_: &str) -> bool {
        self.condition(type_).is_some_and(|condition| condition.status == "True")
    }
}

impl SigningRequest for CertificateRequest {
    const WAITING_FOR_APPROVAL: &'static str = "WaitingForApproval";

    fn issuer(&self) -> Option<IssuerId> {
        IssuerId::referred(&self.spec.issuer_ref, self.namespace())
    }

    /// Issued, failed, denied, or invalid. A request that holds a certificate gets no other, whatever its conditions say.
    fn finished(&self) -> bool {
        let settled = |ready: &RequestCondition| matches!(ready.reason.as_str(), "Issued" | "Failed" | "Denied");
        let issued = self.status.as_ref().and_then(|status| status.certificate.as_deref());
        issued.is_some_and(|certificate| !certificate.is_empty())
            || self.is_true("InvalidRequest")
            || self.condition("Ready").is_some_and(settled)
    }

    fn approval(&self) -> Approval {
        match () {
            () if self.is_true("Denied") => Approval::Denied,
            () if self.is_true("Approved") => Approval::Approved,
            () => Approval::Undecided,
        }
    }

    fn approved_at(&self) -> Option<Timestamp> {
        self.condition("Approved")?.last_transition_time.as_ref()?.parse().ok()
    }

    fn to_core(&self) -> Request<'_> {
        Request {
            api: decide::Api::CertManager,
            finished: self.finished(),
            approval: self.approval(),
            csr: &self.spec.request.0,
            duration: self.spec.duration.as_deref().map(|text| duration(text).ok_or(text)).transpose(),
            is_ca: self.spec.is_ca,
            usages: &self.spec.usages,
            namespace: self.metadata.namespace.as_deref().map(|name| Namespace { name, labels: None }),
        }
    }

    /// A request refers to issuers of its own namespace and to cluster issuers only.
    fn reviews(&self, _: &IssuerId) -> Vec<SubjectAccessReview> {
        Vec::new()
    }

    fn failure_reason(_: &Error) -> &'static str {
        "SigningError"
    }

    fn publication(&self, outcome: &Outcome, now: Timestamp) -> Publication {
        match outcome {
            // Its status is left alone until somebody has decided.
            Outcome::Unapproved => Publication::Event,
            _ => status::request_patch(self, outcome, now).map_or(Publication::Nothing, Publication::Status),
        }
    }

    fn api(&self, client: Client) -> Api<Self> {
        Api::namespaced(client, &self.namespace().unwrap_or_default())
    }

    /// Nothing more than is needed was read.
    fn strip(&mut self) {}
}

/// The longest name that an object of Kubernetes may have, and more usages than anybody has a use for: cert-manager has 23. What
/// waits is kept, and anybody's request may have a megabyte of anything.
const MAX_NAME: usize = 253;
const MAX_USAGES: (usize, usize) = (1000, 65_536);

/// A name, or a duration. One that is too long names nothing, and still does when it is cut.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mut name = String::deserialize(deserializer)?;
    cut_name(&mut name);
    Ok(name)
}

pub(crate) fn cut_name(name: &mut String) {
    if name.len() > MAX_NAME + 1 {
        name.truncate(name.floor_char_boundary(MAX_NAME + 1));
        name.push('…');
        name.shrink_to_fit();
    }
}

/// A request that is too large is refused for that, and still is when it is cut.
pub(crate) fn cut_request(request: &mut ByteString) {
    if request.0.len() > MAX_REQUEST_BYTES {
        request.0.truncate(MAX_REQUEST_BYTES + 1);
        request.0.shrink_to_fit();
    }
}

fn optional_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Name(#[serde(deserialize_with = "name")] String);
    Ok(Option::<Name>::deserialize(deserializer)?.map(|Name(name)| name))
}

/// Usages. Too many are one that there is not, so that the request is refused with their number.
fn usages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let usages = Vec::<String>::deserialize(deserializer)?;
    let (most, most_bytes) = MAX_USAGES;
    if usages.len() <= most && usages.iter().map(String::len).sum::<usize>() <= most_bytes {
        return Ok(usages);
    }
    Ok(vec![format!("one of {}, of which at most {most} with {most_bytes} bytes are read", usages.len())])
}

/// Bytes in base64. The server stores the text as it came: all that it takes has to be read, also where the last character
/// has bits set that it has to spare (RFC 4648 clause 3.5), or one request would hide all others.
fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteString, D::Error> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD.with_decode_allow_trailing_bits(true));
    let mut request = LENIENT.decode(String::deserialize(deserializer)?).map(ByteString).map_err(D::Error::custom)?;
    cut_request(&mut request);
    Ok(request)
}

/// A duration as Go writes it, such as `2160h0m0s`. `None` where it is none, or more than can be held.
///
/// By jiff: kube's own type of this name panics at a sign within the text and at too large a number. jiff reads other
/// notations as well, such as `1 hour ago`, which Go does not.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let is_gos = |c: char| c.is_ascii_digit() || "+-.hmsun\u{b5}\u{3bc}".contains(c);
    text.chars().all(is_gos).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use tandem_issuer_core::request::ValidRequest;

    use super::*;
    use crate::api::IssuerKind;

    fn with(conditions: &[(&str, &str, &str)]) -> CertificateRequest {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(type_, status, reason)| serde_json::json!({"type": type_, "status": status, "reason": reason}))
            .collect();
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "leaf-1"},
            "spec": {"request": "", "issuerRef": {"name": "ca"}, "duration": "1h30m"},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn nothing_that_the_server_takes_hides_a_list() {
        let read = |request: &str, time: &str| {
            serde_json::from_value::<CertificateRequest>(serde_json::json!({
                "metadata": {"name": "leaf-1"},
                "spec": {"request": request, "issuerRef": {"name": "ca"}},
                "status": {"conditions": [{"type": "A", "status": "True", "lastTransitionTime": time}]},
            }))
        };
        for request in ["YQ==", "YR==", "Yf=="] {
            assert_eq!(read(request, "2026-11-21T12:00:00Z").unwrap().spec.request.0, b"a", "{request}");
        }
        // Its check of the format knows no bounds of an offset.
        assert!(read("YQ==", "2026-11-21T12:00:00+99:59").is_ok());
        assert!(read("no base64!", "2026-11-21T12:00:00Z").is_err());
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        assert_eq!(with(&[]).to_core().duration, Ok(Some(SignedDuration::from_mins(90))));
        for (text, seconds) in [
            ("2160h0m0s", 7_776_000.0),
            ("1.5h", 5400.0),
            ("-1h", -3600.0),
            ("0s", 0.0),
            ("3600001ms", 3600.001),
            ("2h45m30.5s", 9930.5),
            ("1\u{b5}s", 0.000_001),
            ("2562047h47m16s", 9_223_372_036.0),
        ] {
            assert_eq!(duration(text).map(|read| read.as_secs_f64()), Some(seconds), "{text}");
        }
        for text in ["", "-", "+", "h", ".h", "5", "soon", "1h-5m", "--1h", "1e5h", "1h1", "99999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
        // What jiff reads besides.
        for text in ["1 hour", "1h 30m", "1h, 30m", "1hr", "PT1H", "01:30:00", "1H", "1h ago", "2 days", "1sec"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    /// Fact 2: both may be set where nothing is validated.
    #[test]
    fn denied_wins_over_approved() {
        assert_eq!(with(&[]).approval(), Approval::Undecided);
        assert_eq!(with(&[("Approved", "False", "")]).approval(), Approval::Undecided);
        assert_eq!(with(&[("Approved", "True", "")]).approval(), Approval::Approved);
        assert_eq!(with(&[("Approved", "True", ""), ("Denied", "True", "")]).approval(), Approval::Denied);
    }

    /// A megabyte is no more than this in memory, and is refused for what it is.
    #[test]
    fn what_waits_is_small_whatever_was_asked_for() {
        let text = ByteString(vec![b'x'; 1_000_000]);
        let asks = serde_json::json!({"request": text, "issuerRef": {"name": "ca"}, "duration": "1".repeat(500_000)});
        let asks: CertificateRequestSpec = serde_json::from_value(asks).unwrap();
        assert_eq!((asks.request.0.len(), asks.request.0.capacity()), (MAX_REQUEST_BYTES + 1, MAX_REQUEST_BYTES + 1));
        let refused = ValidRequest::from_pem(&asks.request.0).unwrap_err();
        assert_eq!(refused, Error::RequestTooLarge { limit: MAX_REQUEST_BYTES });
        let asked = asks.duration.unwrap();
        assert!(asked.capacity() < 300 && duration(&asked).is_none());

        let spec = |name: &str, usages: &[&str]| -> CertificateRequestSpec {
            let spec = serde_json::json!({"request": "", "issuerRef": {"name": name, "group": name}, "usages": usages});
            serde_json::from_value(spec).unwrap()
        };
        let long = spec(&"ä".repeat(500_000), &["any"; 60_000]);
        assert!(long.issuer_ref.name.len() < 260 && long.issuer_ref.name.capacity() < 300);
        assert!(long.issuer_ref.group.unwrap().len() < 260 && long.issuer_ref.kind.is_none());
        assert_eq!(long.usages, ["one of 60000, of which at most 1000 with 65536 bytes are read"]);
        assert_eq!(spec("ca", &[&"x".repeat(100_000)]).usages.len(), 1);
        assert!(spec("ca", &[&"x".repeat(100_000)]).usages[0].len() < 100);
        let most = spec(&"x".repeat(253), &["any"; 1000]);
        assert_eq!((most.issuer_ref.name.len(), most.usages.len()), (253, 1000));
    }

    /// Fact 3: by Ready's reason, or by InvalidRequest.
    #[test]
    fn what_is_final_stays_so() {
        for reason in ["Issued", "Failed", "Denied"] {
            assert!(with(&[("Ready", "False", reason)]).finished());
        }
        assert!(with(&[("InvalidRequest", "True", "")]).finished());
        assert!(!with(&[("InvalidRequest", "False", "")]).finished());
        let mut request = with(&[("Ready", "False", "Pending")]);
        assert!(!request.finished());
        let held = |request: &mut CertificateRequest, text: &str| {
            request.status.as_mut().unwrap().certificate = Some(text.to_owned());
            request.finished()
        };
        assert!(!held(&mut request, ""));
        assert!(held(&mut request, "LS0t"), "it would be signed once more");
    }

    /// Fact 1: an empty group is cert-manager's, and an unknown kind is nobody's of ours.
    #[test]
    fn only_our_group_and_kinds_are_ours() {
        let referred = |group: Option<&str>, kind: Option<&str>| {
            let reference =
                IssuerRef { name: "ca".to_owned(), kind: kind.map(str::to_owned), group: group.map(str::to_owned) };
            IssuerId::referred(&reference, Some("shop".to_owned()))
        };
        let ours = Some("pki.tandem.internal");
        for (group, kind) in [
            (None, Some("TandemIssuer")),
            (Some(""), Some("TandemIssuer")),
            (Some("cert-manager.io"), Some("TandemIssuer")),
            (ours, None),
            (ours, Some("Issuer")),
            (ours, Some("tandemissuer")),
        ] {
            assert_eq!(referred(group, kind), None, "{group:?} {kind:?}");
        }
        let cluster = referred(ours, Some("TandemClusterIssuer")).unwrap();
        assert_eq!((cluster.kind, cluster.namespace), (IssuerKind::Cluster, None));
        let namespaced = referred(ours, Some("TandemIssuer")).unwrap();
        assert_eq!(namespaced.namespace.as_deref(), Some("shop"));
    }
}
