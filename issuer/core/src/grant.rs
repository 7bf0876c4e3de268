//! What was granted: the policy's answer, and all that goes into a certificate besides the authority.

use jiff::Timestamp;

use crate::{Error, request::ValidRequest, settings::Urls, usage::Usages};

/// What was granted: all that goes into the certificate besides the authority and the serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Names and key, as the request has them.
    pub request: ValidRequest,
    /// Key usage and extended key usage.
    pub usages: Usages,
    /// Whether the certificate is a CA's.
    pub is_ca: bool,
    /// Beginning of its validity, in whole seconds.
    pub not_before: Timestamp,
    /// End of its validity, in whole seconds.
    pub not_after: Timestamp,
    /// Where verifiers find more about the issuer.
    pub urls: Urls,
    /// What the policy would have refused, were it not a dry run: to be told, not to be certified.
    pub would_refuse: Option<Error>,
}

/// A serial number: 20 octets, positive, 158 of its bits random (RFC 5280 clause 4.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial([u8; 20]);

impl Serial {
    /// Makes one of bytes from a cryptographic source of randomness.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 20]) -> Self {
        bytes[0] = bytes[0] & 0x7f | 0x40;
        Self(bytes)
    }

    /// Big-endian, without a sign octet.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
