//! PEM framing, and the DER structures that are read or written with some fields kept as raw bytes.
//!
//! Names, keys and algorithm identifiers stay raw sequences: whoever decodes and re-encodes a name may change its string
//! types or order, and verifiers compare names byte for byte.

use der::{
    Decode, DecodeValue, Encode, EncodeValue, FixedTag, Header, Length, Reader, Sequence, Tag, Writer,
    asn1::{BitStringRef, ContextSpecific, SetOfVec, UintRef},
};
use pem::{EncodeConfig, LineEnding, Pem};
use x509_cert::{attr::Attribute, ext::Extension, time::Validity};

/// PEM label of a certificate (RFC 7468 clause 5).
pub const CERTIFICATE: &str = "CERTIFICATE";

/// PEM label of a certification request (RFC 7468 clause 7).
pub const CERTIFICATE_REQUEST: &str = "CERTIFICATE REQUEST";

/// A DER SEQUENCE whose content is kept as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawSequence<'a> {
    pub(crate) content: &'a [u8],
}

impl<'a> RawSequence<'a> {
    /// Reads `bytes` as one sequence without anything after it.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, der::Error> {
        Self::from_der(bytes)
    }

    /// The whole element again, header included.
    pub(crate) fn whole(self) -> Result<Vec<u8>, der::Error> {
        self.to_der()
    }
}

impl FixedTag for RawSequence<'_> {
    const TAG: Tag = Tag::Sequence;
}

impl<'a> DecodeValue<'a> for RawSequence<'a> {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> Result<Self, der::Error> {
        Ok(Self { content: reader.read_slice(header.length())? })
    }
}

impl EncodeValue for RawSequence<'_> {
    fn value_len(&self) -> Result<Length, der::Error> {
        Length::try_from(self.content.len())
    }

    fn encode_value(&self, writer: &mut impl Writer) -> Result<(), der::Error> {
        writer.write(self.content)
    }
}

/// `SIGNED{}` of X.509: what a certificate and a request both are from the outside.
#[derive(Clone, Debug, Sequence)]
pub(crate) struct Signed<'a> {
    pub(crate) content: RawSequence<'a>,
    pub(crate) algorithm: RawSequence<'a>,
    pub(crate) signature: BitStringRef<'a>,
}

/// `SubjectPublicKeyInfo` (RFC 5280 clause 4.1.2.7).
#[derive(Clone, Debug, Sequence)]
pub(crate) struct Spki<'a> {
    pub(crate) algorithm: RawSequence<'a>,
    pub(crate) key: BitStringRef<'a>,
}

/// `CertificationRequestInfo` (RFC 2986 clause 4.1). The attributes' tag is implicit.
#[derive(Clone, Debug, Sequence)]
pub(crate) struct RequestInfo<'a> {
    pub(crate) version: u8,
    pub(crate) subject: RawSequence<'a>,
    pub(crate) public_key: RawSequence<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(crate) attributes: Option<SetOfVec<Attribute>>,
}

/// `TBSCertificate` of version 3 (RFC 5280 clause 4.1.2).
#[derive(Clone, Debug, Sequence)]
pub(crate) struct TbsCertificate<'a> {
    pub(crate) version: ContextSpecific<u8>,
    pub(crate) serial: UintRef<'a>,
    pub(crate) algorithm: RawSequence<'a>,
    pub(crate) issuer: RawSequence<'a>,
    pub(crate) validity: Validity,
    pub(crate) subject: RawSequence<'a>,
    pub(crate) public_key: RawSequence<'a>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    pub(crate) extensions: Vec<Extension>,
}

/// Frames DER certificates as PEM, in order, lines ended by `\n`.
#[must_use]
pub fn certificates_to_pem<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    certificates.into_iter().map(|der| pem::encode_config(&Pem::new(CERTIFICATE, der), config)).collect()
}
