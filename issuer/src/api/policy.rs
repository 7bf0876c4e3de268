//! `spec.policy` of an issuer: what may be asked of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{
    KubeSchema,
    core::{Expression, Rule, Selector},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use tandem_issuer_core::{
    Error,
    policy::{self, KeyAlgorithm, Pattern, Policy, Requirement, attribute_type},
    usage::{self, Usages},
};

use super::certificate_request::duration;

/// A policy. Where there is one, what it does not allow is refused: a kind of name of which it says nothing, too. The
/// refusal is final, and its message names every field that was broken and all that broke it.
///
/// In names and texts, `${namespace}` stands for the namespace of the CertificateRequest; Kubernetes'
/// CertificateSigningRequests have none, and are allowed nothing by it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, KubeSchema)]
#[x_kube(validation = time_field("minDuration"))]
#[x_kube(validation = time_field("maxDuration"))]
#[x_kube(validation = Rule::new("!has(self.minDuration) || !has(self.maxDuration) \
    || duration(self.minDuration) <= duration(self.maxDuration)").message("minDuration is more than maxDuration"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicySpec {
    /// Sign what would be refused, and tell of it by an event (PolicyWouldRefuse) and in the log: to try a policy out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dry_run: bool,
    /// Which namespaces may use the issuer: those that are named, and those whose labels fit. Without it, all may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespaces: Option<NamespacesSpec>,
    /// DNS names: exact, or with `*` for one whole label or for a part of one (`db-*.example.com`), and `**` as the first
    /// label for one or more labels. A wildcard in a request is allowed where every name that it covers is. Upper and
    /// lower case are the same, as are U-labels and A-labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), pattern(r"^[^\s@/:]+$")))]
    #[x_kube(validation = variables())]
    pub(crate) dns_names: Vec<String>,
    /// Ranges of IP addresses, such as 10.0.0.0/8 or 2001:db8::/32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 49)))]
    #[x_kube(validation = Rule::new("self.all(range, isCIDR(range) && cidr(range) == cidr(range).masked())")
        .message("each is a range such as 10.0.0.0/8, without bits beyond its prefix"))]
    pub(crate) ip_ranges: Vec<String>,
    /// URIs of scheme, host and path, such as `spiffe://cluster.local/ns/${namespace}/sa/*`. They are compared part by
    /// part: `*` stands for characters within a segment of the path, `**` as the last segment for one or more segments;
    /// but for SPIFFE IDs, `*` in the host is as in dnsNames. Anything else (user, port, query, fragment,
    /// percent-encoding, empty or dot segments) is never allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 2048), pattern(r"^[A-Za-z][A-Za-z0-9+.-]*:[^%?#\s]+$")))]
    #[x_kube(validation = variables())]
    pub(crate) uris: Vec<String>,
    /// Email addresses: exact (`ops@example.org`), or with `*` in the local part (`*@example.org`). Quoted local parts are
    /// never allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 3, max = 320), pattern(r#"^[^@"\s]+@[^@\s]+$"#)))]
    #[x_kube(validation = variables())]
    pub(crate) emails: Vec<String>,
    /// Other names, by type. The remaining kinds (directory names, registered IDs, …) are never allowed by a policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub(crate) other_names: Vec<OtherNamesSpec>,
    /// Common names of the subject. Without it, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) common_name: Option<CommonNameSpec>,
    /// The subject's other attributes. Without it, none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub(crate) subject: Vec<AttributeSpec>,
    /// Key usages and extended key usages, with cert-manager's names. Without it: digital signature, key encipherment,
    /// server auth and client auth. Where it has extended usages and not `any`, a request has to ask for one of them: a
    /// certificate without any is good for every purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "usages_schema")]
    pub(crate) usages: Option<Vec<String>>,
    /// Public keys. Without it, all that are accepted at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    pub(crate) keys: Option<Vec<KeysSpec>>,
    /// The shortest duration that may be asked for, such as 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub(crate) min_duration: Option<String>,
    /// The longest duration that may be asked for, such as 2160h. A request that names none asks for 2160h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub(crate) max_duration: Option<String>,
    /// Whether CAs are signed. What such a CA signs is no longer held to this policy.
    #[serde(default, rename = "isCA", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_ca: bool,
}

/// The most bytes of a policy, as JSON. Every issuer's is kept, and without a bound one could take a megabyte.
const MAX_BYTES: usize = 128 * 1024;

/// A policy as far as it is kept.
#[derive(Clone, Debug, Serialize, PartialEq)]
#[serde(untagged)]
pub(crate) enum GivenPolicy {
    Read(Box<PolicySpec>),
    /// It has so many bytes, which are more than [`MAX_BYTES`].
    TooLarge(usize),
}

impl<'de> Deserialize<'de> for GivenPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let policy = PolicySpec::deserialize(deserializer)?;
        let size = serde_json::to_vec(&policy).map_err(D::Error::custom)?.len();
        Ok(if size > MAX_BYTES { Self::TooLarge(size) } else { Self::Read(Box::new(policy)) })
    }
}

impl GivenPolicy {
    /// The policy, read.
    ///
    /// # Errors
    /// The first field that cannot be read, and why.
    pub(crate) fn to_core(&self) -> Result<Policy, String> {
        match self {
            Self::Read(policy) => policy.to_core(),
            Self::TooLarge(size) => {
                Err(format!("spec.policy has {size} bytes, of which at most {MAX_BYTES} are accepted; shorten it"))
            }
        }
    }
}

/// Namespaces: those that are named, and those whose labels fit.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.selector) || size(self.names) > 0").message("names or a selector must be given"))]
pub(crate) struct NamespacesSpec {
    /// By name.
    #[serde(default)]
    #[schemars(length(max = 1024), inner(length(min = 1, max = 63), pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")))]
    pub(crate) names: Vec<String>,
    /// By label, as they are when a request is decided. An empty selector is any namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) selector: Option<LabelSelector>,
}

/// Other names of one type.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, KubeSchema)]
pub(crate) struct OtherNamesSpec {
    /// The type, such as 1.3.6.1.4.1.311.20.2.3 for a user principal name.
    #[schemars(length(max = 128), pattern(r"^[0-2](\.(0|[1-9][0-9]*))+$"))]
    pub(crate) oid: String,
    /// Its values, which have to be UTF8String: exact, or with `*` for any characters.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(validation = variables())]
    pub(crate) values: Vec<String>,
}

/// Common names.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommonNameSpec {
    /// Those that are among the subject alternative names as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) in_subject_alt_names: bool,
    /// Those of these texts: exact, or with `*` for any characters. Upper and lower case differ.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(validation = variables())]
    pub(crate) values: Vec<String>,
}

/// An attribute of the subject.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("!(self.attribute.lowerAscii() in ['cn', 'commonname', '2.5.4.3'])")
    .message("common names have a field of their own: commonName"))]
pub(crate) struct AttributeSpec {
    /// Its name, such as O, OU, C, L, ST, STREET, serialNumber, postalCode, DC or UID, or its OID.
    #[schemars(length(min = 1, max = 128), pattern(r"^([A-Za-z]+|[0-2](\.(0|[1-9][0-9]*))+)$"))]
    pub(crate) attribute: String,
    /// Its values: exact, or with `*` for any characters. Upper and lower case differ.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(validation = variables())]
    pub(crate) values: Vec<String>,
}

/// Public keys of one kind.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.minSize) || !has(self.maxSize) || self.minSize <= self.maxSize")
    .message("minSize is more than maxSize"))]
#[x_kube(validation = Rule::new("self.algorithm != 'Ed25519' || (!has(self.minSize) && !has(self.maxSize))")
    .message("Ed25519 has one size"))]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeysSpec {
    /// RSA, ECDSA or Ed25519, as cert-manager calls them.
    pub(crate) algorithm: KeyAlgorithmSpec,
    /// The smallest size in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16384))]
    pub(crate) min_size: Option<i32>,
    /// The largest size in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16384))]
    pub(crate) max_size: Option<i32>,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, schemars::JsonSchema)]
pub(crate) enum KeyAlgorithmSpec {
    #[serde(rename = "RSA")]
    Rsa,
    #[serde(rename = "ECDSA")]
    Ecdsa,
    Ed25519,
}

/// The rule for lists of patterns.
fn variables() -> Rule {
    Rule::new("self.all(text, !text.replace('${namespace}', '').contains('${'))")
        .message("the only variable is ${namespace}")
}

/// The rule for a field that is a duration.
fn time_field(field: &str) -> Rule {
    let pattern = r"^([0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h))+$";
    Rule::new(format!("!has(self.{field}) || self.{field}.matches('{pattern}')"))
        .message(format!("{field} must be a duration such as 24h or 1h30m").as_str())
}

fn usages_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let names: Vec<_> = usage::names().collect();
    schemars::json_schema!({
        "type": "array", "nullable": true, "minItems": 1, "maxItems": 32, "items": {"type": "string", "enum": names},
    })
}

impl PolicySpec {
    fn to_core(&self) -> Result<Policy, String> {
        let common_name = self.common_name.clone().unwrap_or_default();
        let usages = |names: &Vec<String>| match names.is_empty() {
            // To the core, no usages are cert-manager's default.
            true => Err("spec.policy.usages: it is empty; name those that are allowed, or leave it out".to_owned()),
            false => Usages::from_names(names, false).map_err(|error| match error {
                Error::UnknownUsage(name) => format!("spec.policy.usages: {name:?} is not a key usage; correct it"),
                error => format!("spec.policy.usages: {error}"),
            }),
        };
        Ok(Policy {
            dry_run: self.dry_run,
            namespaces: self.namespaces.as_ref().map(NamespacesSpec::to_core).transpose()?,
            dns_names: patterns("dnsNames", &self.dns_names)?,
            ip_ranges: patterns("ipRanges", &self.ip_ranges)?,
            uris: patterns("uris", &self.uris)?,
            emails: patterns("emails", &self.emails)?,
            other_names: each(&self.other_names, |index, names| {
                let field = format!("otherNames[{index}]");
                let oid =
                    names.oid.parse().map_err(|_| format!("spec.policy.{field}.oid: {:?} is no OID", names.oid))?;
                Ok(policy::OtherNames { oid, values: patterns(&format!("{field}.values"), &names.values)? })
            })?,
            common_name: policy::CommonName {
                in_subject_alt_names: common_name.in_subject_alt_names,
                values: patterns("commonName.values", &common_name.values)?,
            },
            subject: each(&self.subject, |index, attribute| {
                let field = format!("subject[{index}]");
                let oid = attribute_type(&attribute.attribute)
                    .map_err(|problem| format!("spec.policy.{field}.attribute: {problem}"))?;
                Ok(policy::Attribute { oid, values: patterns(&format!("{field}.values"), &attribute.values)? })
            })?,
            usages: self.usages.as_ref().map(usages).transpose()?,
            keys: self.keys.as_ref().map(|keys| keys.iter().map(KeysSpec::to_core).collect()),
            min_duration: self.min_duration.as_deref().map(|text| length_of("minDuration", text)).transpose()?,
            max_duration: self.max_duration.as_deref().map(|text| length_of("maxDuration", text)).transpose()?,
            is_ca: self.is_ca,
        })
    }
}

impl NamespacesSpec {
    fn to_core(&self) -> Result<policy::Namespaces, String> {
        let selector = self.selector.clone().map(Selector::try_from).transpose();
        let selector = selector.map_err(|problem| format!("spec.policy.namespaces.selector: {problem}"))?;
        let requirements = |selector: Selector| selector.into_iter().map(requirement).collect();
        Ok(policy::Namespaces { names: self.names.iter().cloned().collect(), selector: selector.map(requirements) })
    }
}

fn requirement(expression: Expression) -> Requirement {
    match expression {
        Expression::In(key, values) => Requirement::In(key, values),
        Expression::NotIn(key, values) => Requirement::NotIn(key, values),
        Expression::Equal(key, value) => Requirement::In(key, [value].into()),
        Expression::NotEqual(key, value) => Requirement::NotIn(key, [value].into()),
        Expression::Exists(key) => Requirement::Exists(key),
        Expression::DoesNotExist(key) => Requirement::DoesNotExist(key),
    }
}

impl KeysSpec {
    fn to_core(&self) -> policy::Keys {
        let size = |size: Option<i32>| size.map(|size| u32::try_from(size).unwrap_or(0));
        policy::Keys {
            algorithm: match self.algorithm {
                KeyAlgorithmSpec::Rsa => KeyAlgorithm::Rsa,
                KeyAlgorithmSpec::Ecdsa => KeyAlgorithm::Ecdsa,
                KeyAlgorithmSpec::Ed25519 => KeyAlgorithm::Ed25519,
            },
            min_size: size(self.min_size),
            max_size: size(self.max_size),
        }
    }
}

fn each<S, T>(list: &[S], read: impl Fn(usize, &S) -> Result<T, String>) -> Result<Vec<T>, String> {
    list.iter().enumerate().map(|(index, item)| read(index, item)).collect()
}

fn patterns<P: Pattern>(field: &str, texts: &[String]) -> Result<Vec<P>, String> {
    each(texts, |index, text| {
        P::parse(text).map_err(|problem| format!("spec.policy.{field}[{index}]: {text:?}: {problem}"))
    })
}

fn length_of(field: &str, text: &str) -> Result<jiff::SignedDuration, String> {
    duration(text).ok_or_else(|| format!("spec.policy.{field}: {text:?} is not a duration such as 24h or 1h30m"))
}
