//! TandemIssuer and TandemClusterIssuer.

// Each printer column is an attribute of the same names.
#![expect(clippy::duplicated_attributes)]

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{
    CustomResource, KubeSchema, Resource, ResourceExt,
    core::{ApiResource, GroupVersionKind, Object},
    runtime::reflector::ObjectRef,
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use tandem_cli::shown;
use tandem_issuer_core::authority::Description;

use super::{
    Lean,
    certificate_request::IssuerRef,
    names::is_subdomain,
    policy::{GivenPolicy, PolicySpec},
};

/// The API group of both kinds.
pub(crate) const GROUP: &str = "pki.tandem.internal";
/// The only version so far.
pub(crate) const VERSION: &str = "v1alpha1";

/// Where certificates come from, and how.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, CustomResource, KubeSchema)]
#[kube(
    group = "pki.tandem.internal",
    version = "v1alpha1",
    kind = "TandemIssuer",
    namespaced,
    status = "IssuerStatus",
    doc = "An issuer for cert-manager that signs from an internal CA.",
    shortname = "ti",
    category = "cert-manager",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "CA expiry", type_ = "string", json_path = ".status.authorities[0].notAfter"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("[has(self.ca)].filter(given, given).size() == 1")
    .message("exactly one source of certificates must be given: ca"))]
#[x_kube(validation = Rule::new("!has(self.backdate) || (self.backdate.matches('^([0-9]+(\\\\.[0-9]+)?(ns|us|ms|s|m|h))+$') \
    && duration(self.backdate) <= duration('24h'))")
    .message("backdate must be a duration such as 1m or 1h30m, of at most 24h"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct IssuerSpec {
    /// Signs with a CA whose certificate and key are in a Secret. The fields are those of cert-manager's own CA issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<CaSource>,
    /// What happens to a certificate that would be valid for longer than its CA. Refuse: its request fails, with both
    /// dates in the message. Truncate: it ends when the CA does. Permit: it is signed as asked for, as cert-manager's
    /// CA issuer does.
    #[serde(default, rename = "leafBeyondCA")]
    pub(crate) leaf_beyond_ca: LeafBeyondCa,
    /// How far the beginning of each certificate lies in the past, for verifiers whose clocks are behind; a duration such
    /// as 1m (the default) or 1h30m, up to 24h. The end moves with it: the duration stays what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub(crate) backdate: Option<String>,
    /// Public keys that are never certified, nor used as a CA's, because others know the private key: leaked ones, or
    /// those of Debian's weak generator. Each is the SHA-256 of the key's SubjectPublicKeyInfo (DER) in hexadecimal, as
    /// `openssl pkey -pubin -in key.pem -outform DER | openssl dgst -sha256` prints it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096), inner(length(max = 64), pattern(r"^[0-9A-Fa-f]{64}$")))]
    pub(crate) refused_keys: Vec<String>,
    /// What may be asked of the issuer. Without a policy, anything may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PolicySpec>")]
    pub(crate) policy: Option<GivenPolicy>,
}

/// What happens to a certificate that would be valid for longer than its CA.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, schemars::JsonSchema)]
pub(crate) enum LeafBeyondCa {
    #[default]
    Refuse,
    Truncate,
    Permit,
}

/// A CA in a Secret.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CaSource {
    /// Name of the Secret with the CA's certificate (`tls.crt`, PEM: the CA first, then its issuers upwards), its
    /// private key (`tls.key`, PEM) and, where `tls.crt` does not end in it, the root (`ca.crt`). A TandemIssuer's is in
    /// its own namespace, a TandemClusterIssuer's in the cluster resource namespace of the controller.
    #[schemars(length(min = 1, max = 253), pattern(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub(crate) secret_name: String,
    /// URLs of revocation lists, for each certificate (RFC 5280 clause 4.2.1.13).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 2048), pattern(r"^[!-~]+$")))]
    pub(crate) crl_distribution_points: Vec<String>,
    /// URLs of OCSP responders, for each certificate (RFC 5280 clause 4.2.2.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 2048), pattern(r"^[!-~]+$")))]
    pub(crate) ocsp_servers: Vec<String>,
    /// URLs of the issuer's certificate, for each certificate (RFC 5280 clause 4.2.2.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "issuingCertificateURLs")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 2048), pattern(r"^[!-~]+$")))]
    pub(crate) issuing_certificate_urls: Vec<String>,
}

/// What the controller knows of an issuer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IssuerStatus {
    /// Ready: whether it can sign.
    #[serde(default, deserialize_with = "or_nothing", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub(crate) conditions: Vec<Condition>,
    /// The CAs that it signs with; one for now.
    #[serde(default, deserialize_with = "or_nothing", skip_serializing_if = "Vec::is_empty")]
    pub(crate) authorities: Vec<AuthorityStatus>,
}

/// What stands there, or nothing where it cannot be read: the server lets texts pass that are no times, and a list is read
/// as a whole.
fn or_nothing<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// A CA that an issuer signs with.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuthorityStatus {
    /// Subject of the CA's certificate.
    pub(crate) subject: String,
    /// SHA-256 of the CA's certificate (DER), in hexadecimal.
    pub(crate) fingerprint: String,
    /// Subject key identifier, in hexadecimal: the authority key identifier of what it signs.
    pub(crate) subject_key_id: String,
    /// Beginning of the CA certificate's validity.
    pub(crate) not_before: Time,
    /// End of the CA certificate's validity.
    pub(crate) not_after: Time,
    /// Active: certificates are signed with it. Expired, NotYetValid: it waits for its time or for a new one.
    pub(crate) state: AuthorityState,
}

/// What an authority is good for at the moment.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, schemars::JsonSchema)]
pub(crate) enum AuthorityState {
    Active,
    Expired,
    NotYetValid,
}

impl AuthorityStatus {
    pub(crate) fn new(description: &Description, now: Timestamp) -> Self {
        let state = match () {
            () if now > description.not_after => AuthorityState::Expired,
            () if now < description.not_before => AuthorityState::NotYetValid,
            () => AuthorityState::Active,
        };
        Self {
            subject: description.subject.clone(),
            fingerprint: description.fingerprint.clone(),
            subject_key_id: description.subject_key_id.clone(),
            not_before: Time(description.not_before),
            not_after: Time(description.not_after),
            state,
        }
    }
}

/// An issuer of either kind. Which one is told by its [`IssuerKind`], kube's "dynamic type".
pub(crate) type Issuer = Lean<Object<IssuerSpec, IssuerStatus>>;

/// The two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IssuerKind {
    Namespaced,
    Cluster,
}

impl IssuerKind {
    pub(crate) const ALL: [Self; 2] = [Self::Namespaced, Self::Cluster];

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Namespaced => "TandemIssuer",
            Self::Cluster => "TandemClusterIssuer",
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Namespaced => "tandemissuers",
            Self::Cluster => "tandemclusterissuers",
        }
    }

    pub(crate) fn resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, self.kind()), self.plural())
    }
}

/// Which issuer: kind, namespace (empty for a cluster issuer) and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IssuerId {
    pub(crate) kind: IssuerKind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl IssuerId {
    pub(crate) fn of(kind: IssuerKind, issuer: &Issuer) -> Self {
        Self { kind, namespace: issuer.namespace(), name: issuer.name_any() }
    }

    /// The key of the issuer in its store.
    pub(crate) fn into_reference(self) -> ObjectRef<Issuer> {
        let mut reference = ObjectRef::new_with(&self.name, self.kind.resource());
        reference.namespace = self.namespace;
        reference
    }

    /// The issuer in its store that this is the key of.
    pub(crate) fn of_reference(reference: &ObjectRef<Issuer>) -> Option<Self> {
        let kind = IssuerKind::ALL.into_iter().find(|kind| kind.resource() == reference.dyntype)?;
        Some(Self { kind, namespace: reference.namespace.clone(), name: reference.name.clone() })
    }

    /// The issuer of the same name that a request in `namespace` would refer to if it named the other kind.
    pub(crate) fn of_the_other_kind(&self, namespace: Option<&str>) -> Option<Self> {
        let (kind, namespace) = match self.kind {
            IssuerKind::Namespaced => (IssuerKind::Cluster, None),
            IssuerKind::Cluster => (IssuerKind::Namespaced, Some(namespace?.to_owned())),
        };
        Some(Self { kind, namespace, name: self.name.clone() })
    }

    /// The issuer that a request in `namespace` refers to, if it is one of ours. An empty group means cert-manager.io,
    /// and a kind that we do not know is somebody else's.
    pub(crate) fn referred(reference: &IssuerRef, namespace: Option<String>) -> Option<Self> {
        if reference.group.as_deref() != Some(GROUP) {
            return None;
        }
        let kind = IssuerKind::ALL.into_iter().find(|kind| reference.kind.as_deref() == Some(kind.kind()))?;
        let namespace = match kind {
            IssuerKind::Namespaced => Some(namespace?),
            IssuerKind::Cluster => None,
        };
        Some(Self { kind, namespace, name: reference.name.clone() })
    }
}

/// What is wrong with a reference to our group that names no issuer: such a one is nobody's, and nothing is said of it in the
/// cluster. `None` where it is another group's, or right.
pub(crate) fn near_miss(reference: &IssuerRef) -> Option<String> {
    let kind = reference.kind.as_deref().unwrap_or_default();
    let [one, other] = IssuerKind::ALL.map(IssuerKind::kind);
    let is_known = kind == one || kind == other;
    (reference.group.as_deref() == Some(GROUP) && !is_known)
        .then(|| format!("issuerRef.kind is {}; {GROUP} has the kinds {one} and {other}", shown(kind)))
}

impl fmt::Display for IssuerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A request may refer to anything, such as a megabyte of text; it goes into messages.
        let name = if is_subdomain(&self.name) { self.name.clone() } else { shown(&self.name) };
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{name}", self.kind.kind()),
            None => write!(f, "{} {name}", self.kind.kind()),
        }
    }
}

/// The object's generation; 0 where the server has not set one.
pub(crate) fn generation(object: &impl Resource) -> i64 {
    object.meta().generation.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_cannot_be_read_hides_no_list() {
        let condition = |time: &str| serde_json::json!({"type": "Ready", "status": "True", "reason": "A", "message": "", "lastTransitionTime": time});
        let read = |time: &str| {
            let status = serde_json::json!({"conditions": [condition(time)], "authorities": [{"notAfter": time}]});
            serde_json::from_value::<IssuerStatus>(status).unwrap().conditions.len()
        };
        // The server's check of the format knows no bounds of an offset.
        assert_eq!((read("2026-11-21T12:00:00Z"), read("2026-11-21T12:00:00+99:59")), (1, 0));
    }

    /// A selector takes ten times as many bytes in memory, and nothing else bounds it.
    #[test]
    fn a_policy_of_a_megabyte_is_not_kept_and_the_issuer_says_so() {
        let spec = |labels: usize| -> IssuerSpec {
            let labels: serde_json::Map<_, _> = (0..labels).map(|n| (format!("label-{n}"), "x".into())).collect();
            let policy = serde_json::json!({"namespaces": {"selector": {"matchLabels": labels}}});
            serde_json::from_value(serde_json::json!({"ca": {"secretName": "ca"}, "policy": policy})).unwrap()
        };
        assert!(spec(1000).settings().unwrap().policy.is_some());
        let large = spec(60_000);
        assert!(matches!(large.policy, Some(GivenPolicy::TooLarge(_))));
        let problem = large.settings().unwrap_err();
        assert!(
            problem.starts_with("spec.policy has ") && problem.contains("at most 131072 are accepted"),
            "{problem}"
        );
        let none: IssuerSpec = serde_json::from_value(serde_json::json!({"ca": {"secretName": "ca"}})).unwrap();
        assert!(none.policy.is_none());
    }

    #[test]
    fn a_reference_to_no_possible_name_is_told_in_short() {
        let id =
            |name: &str| IssuerId { kind: IssuerKind::Cluster, namespace: None, name: name.to_owned() }.to_string();
        let longest = "a".repeat(253);
        assert_eq!(id(&longest), format!("TandemClusterIssuer {longest}"));
        assert!(id(&"a".repeat(1_000_000)).len() < 200);
        assert_eq!(id("a\nb"), "TandemClusterIssuer a\u{fffd}b");
    }
}
