//! Certificates, and the issuers that sign them.

use serde_yaml::Value;
use tandem_cli::{problem::nearest, shown};

use super::{At, Meta, Node, node::yaml};
use crate::spec::values::go_duration;

/// cert-manager's default for `duration`: 90 days, in seconds.
pub(crate) const DEFAULT_DURATION: i64 = 90 * 86_400;

/// A Certificate of cert-manager: <https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.CertificateSpec>.
pub struct Certificate {
    /// The object.
    pub meta: Meta,
    /// The Secret that cert-manager writes.
    pub secret_name: Option<At<String>>,
    /// The field that is nearly called `secretName`, or that itself.
    pub near_secret_name: Option<String>,
    /// Who signs.
    pub issuer: IssuerRef,
    /// `commonName`.
    pub common_name: Option<At<String>>,
    /// `dnsNames`; the first may be a wildcard (`*.example`).
    pub dns_names: Vec<At<String>>,
    /// `ipAddresses`.
    pub ip_addresses: Vec<At<String>>,
    /// Whether it has names of other kinds (URIs, emails, otherNames).
    pub other_names: bool,
    /// Subject beyond the common name.
    pub subject: Subject,
    /// `usages`; `None` where the field is not there or empty, which is cert-manager's default (digital signature and key encipherment, no
    /// extended key usage).
    pub usages: Option<Vec<At<String>>>,
    /// `isCA`.
    pub is_ca: bool,
    /// `duration`, a Go duration, if it is one.
    pub duration: Option<At<String>>,
    /// `renewBefore`, a Go duration, if it is one.
    pub renew_before: Option<At<String>>,
    /// `renewBeforePercentage`, a whole number, if it is one.
    pub renew_before_percentage: Option<At<Value>>,
    /// `renewal.policy`: whether cert-manager renews it at all; `RenewBefore` or `Disabled`, since 1.21.
    pub renewal_policy: Option<At<String>>,
    /// `privateKey.rotationPolicy`; cert-manager's default is Always since 1.18, before that Never.
    pub rotation_policy: Option<At<String>>,
    /// `privateKey.algorithm`.
    pub algorithm: Option<At<String>>,
    /// Types in `additionalOutputFormats`, such as `CombinedPEM`.
    pub output_formats: Vec<At<String>>,
    /// Whether it asks for a keystore (`keystores.pkcs12`, `keystores.jks`).
    pub keystores: bool,
}

/// Subject of a Certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// `subject.organizations`.
    pub organizations: Vec<At<String>>,
    /// `subject.organizationalUnits`.
    pub organizational_units: Vec<At<String>>,
    /// `literalSubject` (RFC 4514), which replaces the others.
    pub literal: Option<At<String>>,
}

/// A reference to an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerRef {
    /// API group; `cert-manager.io` where the field is not there or empty.
    pub group: String,
    /// Kind; `Issuer` where the field is not there or empty.
    pub kind: String,
    /// Name; empty where the field is not there.
    pub name: At<String>,
}

impl Certificate {
    pub(super) fn read(meta: Meta, root: &Node<'_>) -> Self {
        let spec = root.get("spec");
        let issuer = spec.get("issuerRef");
        let or = |key: &str, default: &str| {
            issuer.get(key).text().filter(|text| !text.is_empty()).unwrap_or(default).to_owned()
        };
        let (subject, key) = (spec.get("subject"), spec.get("privateKey"));
        let usages = spec.get("usages").list();
        Self {
            meta,
            secret_name: spec.get("secretName").at(),
            near_secret_name: nearest("secretName", spec.fields().map(|(name, _)| name)).map(str::to_owned),
            issuer: IssuerRef {
                group: or("group", "cert-manager.io"),
                kind: or("kind", "Issuer"),
                name: issuer.get("name").place(or("name", "")),
            },
            common_name: spec.get("commonName").at(),
            dns_names: spec.get("dnsNames").list(),
            ip_addresses: spec.get("ipAddresses").list(),
            other_names: ["uris", "emailAddresses", "otherNames"].iter().any(|key| spec.get(key).is_there()),
            subject: Subject {
                organizations: subject.get("organizations").list(),
                organizational_units: subject.get("organizationalUnits").list(),
                literal: spec.get("literalSubject").at(),
            },
            usages: (!usages.is_empty()).then_some(usages),
            is_ca: spec.get("isCA").flag().unwrap_or(false),
            duration: spec.get("duration").written(),
            renew_before: spec.get("renewBefore").written(),
            renew_before_percentage: {
                let node = spec.get("renewBeforePercentage");
                node.value().filter(|value| !value.is_null()).map(|value| node.place(value.clone()))
            },
            renewal_policy: spec.get("renewal").get("policy").at(),
            rotation_policy: key.get("rotationPolicy").at(),
            algorithm: key.get("algorithm").at(),
            output_formats: spec
                .get("additionalOutputFormats")
                .items()
                .filter_map(|item| item.get("type").at())
                .collect(),
            keystores: spec.get("keystores").is_there(),
        }
    }

    /// Whether the certificate may be used for this (`server auth` or `client auth`): where no extended key usage is asked for,
    /// for everything (RFC 5280, 4.2.1.12).
    #[must_use]
    pub fn allows(&self, purpose: &str) -> bool {
        let Some(usages) = &self.usages else { return true };
        let extended = |usage: &str| !KEY_USAGES.contains(&usage);
        let mut extended = usages.iter().map(|usage| usage.value.as_str()).filter(|usage| extended(usage)).peekable();
        extended.peek().is_none() || extended.any(|usage| usage == purpose || usage == "any")
    }

    /// What of its duration and renewal the API server or cert-manager's webhook (`ValidateDuration`) refuses.
    #[must_use]
    pub fn lifetime(&self) -> Vec<At<String>> {
        let mut problems = Vec::new();
        let mut add = |path: &str, value: String| problems.push(At { path: path.to_owned(), value });
        let mut seconds = |text: &At<String>| {
            let seconds = go_duration(&text.value);
            if seconds.is_none() {
                add(&text.path, format!("`{}` is not a duration of Go's", shown(&text.value)));
            }
            seconds
        };
        // What cannot be read is compared with nothing.
        let whole = self.duration.as_ref().map_or(Some(DEFAULT_DURATION), &mut seconds);
        let before = self.renew_before.as_ref().and_then(seconds);
        if let Some(whole) = whole.filter(|whole| *whole < 3600) {
            add("spec.duration", format!("is {whole} seconds"));
        }
        match (before, whole) {
            (Some(before), _) if before < 300 => add("spec.renewBefore", format!("is {before} seconds")),
            (Some(before), Some(whole)) if before >= whole => {
                add("spec.renewBefore", format!("is {before} seconds of {whole}, and has to be less"));
            }
            _ => {}
        }
        if self.renew_before.is_some() && self.renew_before_percentage.is_some() {
            add("spec.renewBeforePercentage", "stands beside renewBefore, which excludes it".to_owned());
        }
        let fits = |percentage: &Value| percentage.as_u64().is_some_and(|number| (1..100).contains(&number));
        if let Some(percentage) = self.renew_before_percentage.as_ref().filter(|percentage| !fits(&percentage.value)) {
            add(&percentage.path, format!("is {}; it can be 1 to 99", shown(&yaml(&percentage.value))));
        }
        problems
    }

    /// The keys that cert-manager writes into the Secret; `ca.crt` where the issuer gives one.
    #[must_use]
    pub fn secret_keys(&self) -> Vec<&'static str> {
        let mut keys = vec!["tls.crt", "tls.key", "ca.crt"];
        for format in &self.output_formats {
            match format.value.as_str() {
                "CombinedPEM" => keys.push("tls-combined.pem"),
                "DER" => keys.push("key.der"),
                _ => {}
            }
        }
        if self.keystores {
            keys.extend(["keystore.p12", "truststore.p12", "keystore.jks", "truststore.jks"]);
        }
        keys
    }
}

/// Usages that are bits of the key usage, and not extended ones:
/// <https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.KeyUsage>.
const KEY_USAGES: [&str; 11] = [
    "signing",
    "digital signature",
    "content commitment",
    "key encipherment",
    "key agreement",
    "data encipherment",
    "cert sign",
    "crl sign",
    "encipher only",
    "decipher only",
    "",
];

/// An issuer of cert-manager or of Tandem.
pub struct Issuer {
    /// The object.
    pub meta: Meta,
    /// With what it signs.
    pub source: IssuerSource,
}

/// With what an issuer signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerSource {
    /// Each certificate with its own key.
    SelfSigned,
    /// With a CA in a Secret.
    Ca {
        /// Its name.
        secret_name: Option<At<String>>,
    },
    /// With something that the model does not look into.
    Other,
}

impl Issuer {
    pub(super) fn read(meta: Meta, root: &Node<'_>) -> Self {
        let spec = root.get("spec");
        let source = if spec.get("selfSigned").value().is_some() {
            IssuerSource::SelfSigned
        } else if spec.get("ca").is_there() {
            IssuerSource::Ca { secret_name: spec.get("ca").get("secretName").at() }
        } else {
            IssuerSource::Other
        };
        Self { meta, source }
    }

    /// Whether every namespace may name it.
    #[must_use]
    pub fn cluster_scoped(&self) -> bool {
        matches!(self.meta.kind.as_str(), "ClusterIssuer" | "TandemClusterIssuer")
    }
}
