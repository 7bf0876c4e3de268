//! What an issuer's policy allows. Where there is one, what it does not allow is refused.
//!
//! ```text
//!  spec.policy ──parse, once──▶ Policy ─┐
//!                                       ├─ rules::RULES ─▶ kept | Refusal (every name that is not allowed)
//!  ValidRequest, namespace, usages … ───┘
//! ```

pub(crate) mod keys;
mod namespaces;
mod patterns;
pub(crate) mod rules;
mod template;
mod uri;

use std::fmt;

use der::oid::ObjectIdentifier;
use jiff::SignedDuration;
use x509_cert::der::oid::db::DB;

use crate::{names::list, usage::Usages};
pub use keys::{KeyAlgorithm, Keys};
pub use namespaces::{Namespaces, Requirement};
pub use patterns::{Dns, Email, IpRange, Pattern, Text, Uri};

/// An issuer's policy. A kind of name of which it says nothing is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What would be refused is signed, and told.
    pub dry_run: bool,
    /// Who may use the issuer; `None`: everybody. Whoever asks from no namespace is none of these.
    pub namespaces: Option<Namespaces>,
    /// DNS names.
    pub dns_names: Vec<Dns>,
    /// IP addresses.
    pub ip_ranges: Vec<IpRange>,
    /// URIs.
    pub uris: Vec<Uri>,
    /// Email addresses.
    pub emails: Vec<Email>,
    /// Other names.
    pub other_names: Vec<OtherNames>,
    /// Common names.
    pub common_name: CommonName,
    /// Attributes of the subject besides common names.
    pub subject: Vec<Attribute>,
    /// Key usages and extended key usages; `None`: those of TLS servers and clients.
    pub usages: Option<Usages>,
    /// Keys; `None`: all that are accepted at all.
    pub keys: Option<Vec<Keys>>,
    /// The shortest duration that may be asked for.
    pub min_duration: Option<SignedDuration>,
    /// The longest duration that may be asked for.
    pub max_duration: Option<SignedDuration>,
    /// Whether CAs are signed.
    pub is_ca: bool,
}

impl Policy {
    /// Whether a decision takes the labels of the namespace of whoever asks.
    #[must_use]
    pub fn needs_labels(&self, namespace: &str) -> bool {
        let namespaces = self.namespaces.as_ref();
        namespaces.is_some_and(|allowed| allowed.selector.is_some() && !allowed.names.contains(namespace))
    }
}

/// Which otherNames are allowed: those of one type, as UTF8String.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherNames {
    /// The type.
    pub oid: ObjectIdentifier,
    /// The values.
    pub values: Vec<Text>,
}

/// Which common names are allowed; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommonName {
    /// One that is among the subject alternative names as well.
    pub in_subject_alt_names: bool,
    /// These, as text.
    pub values: Vec<Text>,
}

/// Which values an attribute of the subject may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The attribute's type.
    pub oid: ObjectIdentifier,
    /// The values.
    pub values: Vec<Text>,
}

/// The OID of an attribute type that is given so, or by its name in RFC 4519 such as `O` or `serialNumber`.
///
/// # Errors
/// Where it is neither.
pub fn attribute_type(text: &str) -> Result<ObjectIdentifier, String> {
    let oid = text.parse().ok().or_else(|| DB.by_name(text).copied());
    oid.ok_or_else(|| format!("{text:?} is neither a name of an attribute such as O nor an OID"))
}

/// The name of an attribute type, or its OID.
fn attribute_name(oid: ObjectIdentifier) -> String {
    let shortest = DB.find_names_for_oid(oid).min_by_key(|name| name.len());
    shortest.map_or_else(|| oid.to_string(), str::to_uppercase)
}

/// What a rule of a policy did not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The field of the issuer's `spec.policy`.
    pub field: &'static str,
    /// All that is not allowed, for people.
    pub found: Vec<String>,
    /// What is, for people.
    pub allowed: Vec<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More would hide what was asked for.
        const SHOWN: usize = 8;
        write!(
            f,
            "the issuer's spec.policy.{} does not allow {}; it allows ",
            self.field,
            list(self.found.iter().cloned())
        )?;
        match self.allowed.get(..SHOWN) {
            _ if self.allowed.is_empty() => f.write_str("none"),
            Some(shown) if self.allowed.len() > SHOWN => {
                write!(f, "{} and {} more", shown.join(", "), self.allowed.len() - SHOWN)
            }
            _ => f.write_str(&self.allowed.join(", ")),
        }
    }
}
