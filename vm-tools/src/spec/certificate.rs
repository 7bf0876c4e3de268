//! The certificate that server and clients share.

use std::net::IpAddr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use tandem_cli::shown;

/// The certificate that server and clients share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Certificate {
    /// Secret that cert-manager writes and that VM and clients read.
    pub secret_name: String,
    /// Who signs.
    pub issuer_ref: IssuerRef,
    /// Subject common name, at most 64 characters (RFC 5280, ub-common-name). Default: NAME.NAMESPACE.svc, or NAME where
    /// that is too long; NAME-vm where there is no Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// What stands in the subject besides the common name. Default: nothing, or for `membership: {x509: {}}` the namespace
    /// as organization and the document's name as organizational unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// DNS names beyond those of the Service and the VM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// IP addresses to put into the certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "addresses")]
    pub ip_addresses: Vec<IpAddr>,
    /// The private key's kind.
    #[serde(default)]
    pub private_key: PrivateKey,
    /// Lifetime as a Go duration such as `2160h`, at least 1h; cert-manager's default otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// How long before its end it is renewed, as a Go duration of at least 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<String>,
    /// Serial of the disk that carries the Secret: at most 20 bytes. Default: made from the names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Name of the VM's volume that carries the Secret: an RFC 1123 label of at most 36 bytes, since with
    /// `delivery: filesystem` it is what the guest mounts. Default: `secret-disk` or `secret-files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_name: Option<String>,
}

/// Attributes of a subject, under cert-manager's names: at most one of each, with at most 64 characters (RFC 5280,
/// ub-organization-name and ub-organizational-unit-name).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Subject {
    /// O.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<String>,
    /// OU.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizational_units: Vec<String>,
}

/// Who signs the certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerRef {
    /// API group; for cert-manager's own issuers say `cert-manager.io`.
    #[serde(default = "issuer_group")]
    pub group: String,
    /// `TandemIssuer`, `TandemClusterIssuer`, or a kind of the named group.
    pub kind: String,
    /// The issuer's name.
    pub name: String,
}

fn issuer_group() -> String {
    "pki.tandem.internal".to_owned()
}

/// The private key's kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivateKey {
    /// Signature algorithm.
    pub algorithm: Algorithm,
    /// Bits: 2048, 3072 or 4096 for RSA (default 2048), 256, 384 or 521 for ECDSA (default 256).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u16>,
}

/// Signature algorithm of the private key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// What every driver and tool can use.
    #[default]
    #[serde(rename = "RSA")]
    Rsa,
    /// Smaller and faster.
    #[serde(rename = "ECDSA")]
    Ecdsa,
}

/// The standard library's message does not say which text is no address.
fn addresses<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<IpAddr>, D::Error> {
    struct Address(IpAddr);
    impl<'de> Deserialize<'de> for Address {
        fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
            let text = String::deserialize(text)?;
            let wrong = |_| format!("`{}` is not an IP address; write one such as 10.0.0.5", shown(&text));
            text.parse().map(Self).map_err(wrong).map_err(D::Error::custom)
        }
    }
    Ok(Vec::<Address>::deserialize(list)?.into_iter().map(|Address(address)| address).collect())
}
