//! The fields of cert-manager's `Certificate` that are rendered:
//! <https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.Certificate>.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::spec::{Algorithm, IssuerRef, Subject};

/// A `cert-manager.io/v1` Certificate.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// `cert-manager.io/v1`.
    pub api_version: &'static str,
    /// `Certificate`.
    pub kind: &'static str,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What is asked for.
    pub spec: CertificateSpec,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSpec {
    /// Secret to write.
    pub secret_name: String,
    /// Who signs; the group tells cert-manager to leave the signing to an external issuer.
    pub issuer_ref: IssuerRef,
    /// Subject common name.
    pub common_name: String,
    /// The rest of the subject.
    #[serde(skip_serializing_if = "is_empty")]
    pub subject: Subject,
    /// DNS subject alternative names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// IP subject alternative names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<IpAddr>,
    /// Key usages and extended key usages under cert-manager's names.
    pub usages: Vec<&'static str>,
    /// The private key.
    pub private_key: CertificatePrivateKey,
    /// Forms of key and certificate that the Secret has besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_output_formats: Vec<OutputFormat>,
    /// Lifetime, a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Time before the end at which it is renewed, a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<String>,
}

fn is_empty(subject: &Subject) -> bool {
    *subject == Subject::default()
}

/// A form of key and certificate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputFormat {
    /// `CombinedPEM`: `tls-combined.pem`, key and chain in one.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// The private key.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificatePrivateKey {
    /// `RSA` or `ECDSA`.
    pub algorithm: Algorithm,
    /// Bits.
    pub size: u16,
    /// `Always`: a renewed certificate gets a new key.
    pub rotation_policy: &'static str,
}
