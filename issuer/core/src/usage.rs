//! cert-manager's names of key usages, and what they are in a certificate.
//!
//! Source: cert-manager's API reference, type `KeyUsage`; RFC 5280 clauses 4.2.1.3 and 4.2.1.12.

use der::oid::ObjectIdentifier;
use x509_cert::{
    der::flagset::FlagSet,
    ext::pkix::{KeyUsage, KeyUsages},
};

use crate::{Error, names::list};

/// Key usage bits, and extended key usages in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usages {
    /// Bits of the key usage extension; none where it is left out.
    pub key: FlagSet<KeyUsages>,
    /// OIDs of the extended key usage extension; empty where it is left out.
    pub extended: Vec<ObjectIdentifier>,
}

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// anyExtendedKeyUsage.
pub const ANY: ObjectIdentifier = oid("2.5.29.37.0");

const EXTENDED: &[(&str, ObjectIdentifier)] = &[
    ("any", ANY),
    ("server auth", oid("1.3.6.1.5.5.7.3.1")),
    ("client auth", oid("1.3.6.1.5.5.7.3.2")),
    ("code signing", oid("1.3.6.1.5.5.7.3.3")),
    ("email protection", oid("1.3.6.1.5.5.7.3.4")),
    ("s/mime", oid("1.3.6.1.5.5.7.3.4")),
    ("ipsec end system", oid("1.3.6.1.5.5.7.3.5")),
    ("ipsec tunnel", oid("1.3.6.1.5.5.7.3.6")),
    ("ipsec user", oid("1.3.6.1.5.5.7.3.7")),
    ("timestamping", oid("1.3.6.1.5.5.7.3.8")),
    ("ocsp signing", oid("1.3.6.1.5.5.7.3.9")),
    ("microsoft sgc", oid("1.3.6.1.4.1.311.10.3.3")),
    ("netscape sgc", oid("2.16.840.1.113730.4.1")),
];

const KEY: &[(&str, KeyUsages)] = &[
    ("digital signature", KeyUsages::DigitalSignature),
    ("signing", KeyUsages::DigitalSignature),
    ("content commitment", KeyUsages::NonRepudiation),
    ("key encipherment", KeyUsages::KeyEncipherment),
    ("data encipherment", KeyUsages::DataEncipherment),
    ("key agreement", KeyUsages::KeyAgreement),
    ("cert sign", KeyUsages::KeyCertSign),
    ("crl sign", KeyUsages::CRLSign),
    ("encipher only", KeyUsages::EncipherOnly),
    ("decipher only", KeyUsages::DecipherOnly),
];

/// All names that the API has.
pub fn names() -> impl Iterator<Item = &'static str> {
    KEY.iter().map(|(name, _)| *name).chain(EXTENDED.iter().map(|(name, _)| *name))
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

impl Usages {
    /// What `spec.usages` of a request means. None given: digital signature and key encipherment. With `add_cert_sign`
    /// (a CA is asked for by a CertificateRequest) cert sign is added.
    ///
    /// # Errors
    /// [`Error::UnknownUsage`] names the first one that the API does not have.
    pub fn from_names<S: AsRef<str>>(names: &[S], add_cert_sign: bool) -> Result<Self, Error> {
        let mut usages = Self { key: FlagSet::default(), extended: Vec::new() };
        if names.is_empty() {
            usages.key = KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment;
        }
        for name in names.iter().map(AsRef::as_ref) {
            if let Some(bit) = find(KEY, name) {
                usages.key |= bit;
            } else if let Some(oid) = find(EXTENDED, name) {
                usages.extended.push(oid);
            } else {
                return Err(Error::UnknownUsage(name.to_owned()));
            }
        }
        if add_cert_sign {
            usages.key |= KeyUsages::KeyCertSign;
        }
        Ok(usages)
    }
}

/// The key usage bits in words, for messages: `digital signature, key encipherment`.
#[must_use]
pub fn describe_key_usage(usage: FlagSet<KeyUsages>) -> String {
    // "signing" is a second name of a bit that is already named.
    let names = KEY.iter().filter(|(name, bit)| usage.contains(*bit) && *name != "signing").map(|(name, _)| *name);
    list(names.map(str::to_owned))
}

/// The extended key usages in words and in order; an unknown one as its OID.
#[must_use]
pub fn describe_extended(usages: &[ObjectIdentifier]) -> String {
    list(usages.iter().map(|oid| match EXTENDED.iter().find(|(_, known)| known == oid) {
        Some((name, _)) => (*name).to_owned(),
        None => oid.to_string(),
    }))
}

/// The extension's value, or nothing where no bit is set (RFC 5280: at least one bit must be).
#[must_use]
pub fn key_usage_extension(usages: &Usages) -> Option<KeyUsage> {
    (!usages.key.is_empty()).then_some(KeyUsage(usages.key))
}
