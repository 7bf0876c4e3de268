//! What an issuer's spec says about the certificates that it signs.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::SignedDuration;

use crate::{Policy, link::hex};

/// What happens to a certificate that would be valid for longer than its CA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeafBeyondCa {
    /// It is refused, for good.
    #[default]
    Refuse,
    /// It ends when the CA does.
    Truncate,
    /// It is signed as asked for, as cert-manager's CA issuer does.
    Permit,
}

/// URLs that the issuer's spec wants in each certificate, with the names that cert-manager's CA issuer gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Urls {
    /// Of revocation lists (RFC 5280 clause 4.2.1.13).
    pub crl_distribution_points: Vec<String>,
    /// Of OCSP responders (RFC 5280 clause 4.2.2.1).
    pub ocsp_servers: Vec<String>,
    /// Of the issuer's certificate (RFC 5280 clause 4.2.2.1).
    pub issuing_certificate_urls: Vec<String>,
}

/// An issuer's settings, besides its authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// URLs for each certificate.
    pub urls: Urls,
    /// What to do with certificates that outlive the CA.
    pub leaf_beyond_ca: LeafBeyondCa,
    /// How far NotBefore lies in the past, for verifiers whose clocks are behind. Not negative.
    pub backdate: SignedDuration,
    /// What may be asked for; `None`: everything.
    pub policy: Option<Policy>,
    /// Public keys that are known to others: SHA-256 over their SubjectPublicKeyInfo (DER), lower-case hexadecimal.
    pub refused_keys: BTreeSet<String>,
}

impl Settings {
    /// [`Settings::backdate`] where the issuer's spec names none.
    pub const BACKDATE: SignedDuration = SignedDuration::from_mins(1);

    /// The hash of a public key (SubjectPublicKeyInfo, DER), if it is among [`Settings::refused_keys`].
    pub(crate) fn refused(&self, public_key: &[u8]) -> Option<String> {
        if self.refused_keys.is_empty() {
            return None;
        }
        Some(hex(digest(&SHA256, public_key).as_ref())).filter(|hash| self.refused_keys.contains(hash))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            urls: Urls::default(),
            leaf_beyond_ca: LeafBeyondCa::default(),
            backdate: Self::BACKDATE,
            policy: None,
            refused_keys: BTreeSet::new(),
        }
    }
}
