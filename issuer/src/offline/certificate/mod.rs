//! cert-manager's Certificate: what cert-manager would do with it, offline.
//!
//! <https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.Certificate>
//!
//! ```text
//! Certificate ─check─▶ key (made, or of its Secret) ─names, subject─▶ CertificateRequest ─▶ … ─▶ Secret
//! ```

mod check;
mod key;
mod names;
mod secret;
mod subject;

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::Deserialize;
use serde_yaml::Value;
use tandem_issuer_core::{
    Error,
    new_request::NewRequest,
    signer::{KeyEncoding, LocalKey},
    usage::Usages,
};

use crate::api::{
    CertificateRequest,
    certificate_request::{CertificateRequestSpec, IssuerRef},
};

/// A Certificate. Fields of the type [`Value`] concern cert-manager alone: what is signed does not depend on them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Certificate {
    #[serde(rename = "apiVersion")]
    _api_version: Value,
    #[serde(rename = "kind")]
    _kind: Value,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Spec,
    #[serde(default, rename = "status")]
    _status: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spec {
    pub(crate) secret_name: String,
    secret_template: Option<SecretTemplate>,
    pub(crate) issuer_ref: IssuerRef,
    subject: Option<X509Subject>,
    literal_subject: Option<String>,
    common_name: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    dns_names: Vec<String>,
    #[serde(default)]
    ip_addresses: Vec<String>,
    #[serde(default)]
    uris: Vec<String>,
    #[serde(default)]
    email_addresses: Vec<String>,
    #[serde(default)]
    other_names: Vec<OtherName>,
    #[serde(default, rename = "isCA")]
    is_ca: bool,
    #[serde(default)]
    usages: Vec<String>,
    encode_usages_in_request: Option<bool>,
    name_constraints: Option<NameConstraints>,
    #[serde(default)]
    private_key: PrivateKey,
    signature_algorithm: Option<SignatureAlgorithm>,
    #[serde(default)]
    additional_output_formats: Vec<OutputFormat>,
    keystores: Option<Keystores>,
    #[serde(default, rename = "renewBefore")]
    _renew_before: Value,
    #[serde(default, rename = "renewBeforePercentage")]
    _renew_before_percentage: Value,
    #[serde(default, rename = "renewal")]
    _renewal: Value,
    #[serde(default, rename = "revisionHistoryLimit")]
    _revision_history_limit: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SecretTemplate {
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct X509Subject {
    organizations: Vec<String>,
    countries: Vec<String>,
    organizational_units: Vec<String>,
    localities: Vec<String>,
    provinces: Vec<String>,
    street_addresses: Vec<String>,
    postal_codes: Vec<String>,
    serial_number: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OtherName {
    oid: String,
    utf8_value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NameConstraints {
    #[serde(default)]
    critical: bool,
    permitted: Option<Subtrees>,
    excluded: Option<Subtrees>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Subtrees {
    dns_domains: Vec<String>,
    ip_ranges: Vec<String>,
    email_addresses: Vec<String>,
    uri_domains: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct PrivateKey {
    rotation_policy: RotationPolicy,
    encoding: Encoding,
    algorithm: Algorithm,
    size: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
enum RotationPolicy {
    Never,
    #[default]
    Always,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
enum Encoding {
    #[default]
    #[serde(rename = "PKCS1")]
    Pkcs1,
    #[serde(rename = "PKCS8")]
    Pkcs8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Algorithm {
    #[default]
    #[serde(rename = "RSA")]
    Rsa,
    #[serde(rename = "ECDSA")]
    Ecdsa,
    Ed25519,
}

/// With which the request is signed. What is issued does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
enum SignatureAlgorithm {
    #[serde(rename = "SHA256WithRSA", alias = "SHA384WithRSA", alias = "SHA512WithRSA")]
    Rsa,
    #[serde(rename = "ECDSAWithSHA256", alias = "ECDSAWithSHA384", alias = "ECDSAWithSHA512")]
    Ecdsa,
    #[serde(rename = "PureEd25519")]
    Ed25519,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputFormat {
    #[serde(rename = "type")]
    type_: OutputFormatType,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
enum OutputFormatType {
    #[serde(rename = "DER")]
    Der,
    #[serde(rename = "CombinedPEM")]
    CombinedPem,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keystores {
    jks: Option<Keystore>,
    pkcs12: Option<Keystore>,
}

/// One that is not to be created may say what it likes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Keystore {
    create: bool,
    #[serde(default, rename = "alias")]
    _alias: Value,
    #[serde(default, rename = "profile")]
    _profile: Value,
    #[serde(default, rename = "password")]
    _password: Value,
    #[serde(default, rename = "passwordSecretRef")]
    _password_secret_ref: Value,
}

impl Certificate {
    /// The request that cert-manager would make, for `key`.
    ///
    /// # Errors
    /// What the core says of a request that cannot be written; [`Certificate::check`] has let none such pass.
    pub(crate) fn request(&self, namespace: &str, key: &LocalKey) -> Result<CertificateRequest, Error> {
        let spec = &self.spec;
        let unwritten = |problem: tandem_cli::Problem| Error::RequestMalformed(problem.to_string());
        let encode_usages = spec.encode_usages_in_request.unwrap_or(true);
        let new = NewRequest {
            subject: subject::to_der(&subject::of(spec).map_err(unwritten)?)
                .map_err(|error| Error::RequestMalformed(format!("its subject: {error}")))?,
            names: names::subject_alternative(spec).map_err(unwritten)?,
            usages: encode_usages.then(|| Usages::from_names(&spec.usages, spec.is_ca)).transpose()?,
            name_constraints: names::constraints(spec).map_err(unwritten)?,
        };
        let metadata = ObjectMeta {
            name: self.metadata.name.clone(),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        };
        let spec = CertificateRequestSpec {
            issuer_ref: spec.issuer_ref.clone(),
            request: ByteString(new.sign(key)?.into_bytes()),
            duration: spec.duration.clone(),
            is_ca: spec.is_ca,
            usages: spec.usages.clone(),
        };
        Ok(CertificateRequest { metadata, spec, status: None })
    }
}

impl From<Encoding> for KeyEncoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Pkcs1 => Self::Pkcs1,
            Encoding::Pkcs8 => Self::Pkcs8,
        }
    }
}
