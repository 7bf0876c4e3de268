//! PEM framing, and the DER structures that are read or written with some fields kept as raw bytes.
//!
//! Names, keys and algorithm identifiers stay [`AnyRef`]: whoever decodes and re-encodes a name may change its string
//! types or order, and verifiers compare names byte for byte.

use der::{
    Decode, Encode, Sequence,
    asn1::{AnyRef, BitStringRef, ContextSpecific, SetOfVec, UintRef},
};
use pem::{EncodeConfig, LineEnding, Pem};
use x509_cert::{attr::Attribute, ext::Extension, time::Validity};

/// PEM label of a certificate (RFC 7468 clause 5).
pub const CERTIFICATE: &str = "CERTIFICATE";

/// `SIGNED{}` of X.509: what a certificate and a request both are from the outside.
#[derive(Clone, Debug, Sequence)]
pub(crate) struct Signed<'a> {
    pub(crate) content: AnyRef<'a>,
    pub(crate) algorithm: AnyRef<'a>,
    pub(crate) signature: BitStringRef<'a>,
}

/// `SubjectPublicKeyInfo` (RFC 5280 clause 4.1.2.7).
#[derive(Clone, Debug, Sequence)]
pub(crate) struct Spki<'a> {
    pub(crate) algorithm: AnyRef<'a>,
    pub(crate) key: BitStringRef<'a>,
}

/// `CertificationRequestInfo` (RFC 2986 clause 4.1). The attributes' tag is implicit.
#[derive(Clone, Debug, Sequence)]
pub(crate) struct RequestInfo<'a> {
    pub(crate) version: u8,
    pub(crate) subject: AnyRef<'a>,
    pub(crate) public_key: AnyRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(crate) attributes: Option<SetOfVec<Attribute>>,
}

/// `TBSCertificate` of version 3 (RFC 5280 clause 4.1.2).
#[derive(Clone, Debug, Sequence)]
pub(crate) struct TbsCertificate<'a> {
    pub(crate) version: ContextSpecific<u8>,
    pub(crate) serial: UintRef<'a>,
    pub(crate) algorithm: AnyRef<'a>,
    pub(crate) issuer: AnyRef<'a>,
    pub(crate) validity: Validity,
    pub(crate) subject: AnyRef<'a>,
    pub(crate) public_key: AnyRef<'a>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    pub(crate) extensions: Vec<Extension>,
}

/// The bytes of one DER element again, header included.
pub(crate) fn raw(element: AnyRef<'_>) -> Result<Vec<u8>, der::Error> {
    element.to_der()
}

/// Reads `bytes` as one DER element without anything after it.
pub(crate) fn element(bytes: &[u8]) -> Result<AnyRef<'_>, der::Error> {
    AnyRef::from_der(bytes)
}

/// Frames DER certificates as PEM, in order, lines ended by `\n`.
#[must_use]
pub fn certificates_to_pem<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    certificates.into_iter().map(|der| pem::encode_config(&Pem::new(CERTIFICATE, der), config)).collect()
}
