//! The subject's attributes as text. A certificate carries the subject's bytes unchanged, so what a verifier cannot read
//! is found here: cert-manager, and Kubernetes' API server, read certificates with Go, and discard what Go refuses.

use der::{Tag, Tagged, asn1::Any, oid::ObjectIdentifier};
use x509_cert::{
    attr::AttributeTypeAndValue,
    name::{RdnSequence, RelativeDistinguishedName},
};

/// An attribute of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectAttribute {
    /// Its type.
    pub oid: ObjectIdentifier,
    /// Its value, whatever its string type.
    pub text: String,
}

/// The attributes in order; the error is for people.
pub(crate) fn attributes(subject: &RdnSequence) -> Result<Vec<SubjectAttribute>, String> {
    if subject.iter().any(RelativeDistinguishedName::is_empty) {
        return Err("a relative distinguished name is empty".to_owned());
    }
    let read = |attribute: &AttributeTypeAndValue| {
        let oid = attribute.oid;
        if !is_minimal(oid) {
            return Err(format!("the type {oid} is written with more octets than it needs"));
        }
        match text(&attribute.value) {
            Some(text) if !text.is_empty() => Ok(SubjectAttribute { oid, text }),
            Some(_) => Err(format!("the value of {oid} is empty")),
            None => Err(format!("the value of {oid} is not text of a kind that is read: {}", attribute.value.tag())),
        }
    };
    subject.iter().flat_map(RelativeDistinguishedName::iter).map(read).collect()
}

/// Whether no arc begins with zeros (X.690 clause 8.19.2), which the decoder lets pass and verifiers do not.
pub(crate) fn is_minimal(oid: ObjectIdentifier) -> bool {
    let bytes = oid.as_bytes();
    bytes.first() != Some(&0x80) && !bytes.windows(2).any(|pair| matches!(pair, [..0x80, 0x80]))
}

/// The text of a DirectoryString or of an older string type (RFC 5280 clause 4.1.2.4), each with no other characters than
/// it has; `None` where it is none. UniversalString is one, but Go does not read it.
pub(crate) fn text(value: &Any) -> Option<String> {
    let bytes = value.value();
    let only = |allowed: fn(&u8) -> bool| bytes.iter().all(allowed).then(|| latin_1(bytes));
    match value.tag() {
        Tag::Utf8String => String::from_utf8(bytes.to_vec()).ok(),
        // The star and the ampersand do not belong to it, but so many write them that Go reads them.
        Tag::PrintableString => only(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(byte)),
        Tag::Ia5String => only(u8::is_ascii),
        Tag::NumericString => only(|byte| byte.is_ascii_digit() || *byte == b' '),
        // Read as Latin-1, as everybody does.
        Tag::TeletexString => Some(latin_1(bytes)),
        // UCS-2: it has no surrogates.
        Tag::BmpString => {
            bytes.chunks(2).map(|pair| char::from_u32(u16::from_be_bytes(pair.try_into().ok()?).into())).collect()
        }
        _ => None,
    }
}

fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
