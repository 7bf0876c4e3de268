//! The signature algorithms that are accepted, from one table over webpki's on aws-lc-rs.
//!
//! What is not in the table (SHA-1, MD5, RSA below 2048 bits, other curves) is refused by not being found.

use der::Decode;
use pki_types::SignatureVerificationAlgorithm;
use webpki::aws_lc_rs as algorithms;
use x509_parser::{oid_registry::OidRegistry, prelude::FromDer, x509::AlgorithmIdentifier};

use crate::encoding::{RawSequence, Signed, Spki};

/// An algorithm with which signatures are verified.
pub type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// Accepted in requests and in CA certificates.
pub static ACCEPTED: &[Algorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P256_SHA512,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ECDSA_P384_SHA512,
    algorithms::ECDSA_P521_SHA256,
    algorithms::ECDSA_P521_SHA384,
    algorithms::ECDSA_P521_SHA512,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// Why a signature was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Not DER where DER was due.
    Malformed,
    /// An algorithm, or a key of a kind, that [`ACCEPTED`] does not hold. Its name or OID.
    Algorithm(String),
    /// The signature is wrong, or the key's size is out of bounds.
    Signature,
}

/// Verifies `signature` over `message`. `public_key` is a whole SubjectPublicKeyInfo, `algorithm` a whole
/// AlgorithmIdentifier, both in DER.
///
/// # Errors
/// See [`Rejected`].
pub fn verify(public_key: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Rejected> {
    let spki = Spki::from_der(public_key).map_err(|_| Rejected::Malformed)?;
    let signature_id = RawSequence::read(algorithm).map_err(|_| Rejected::Malformed)?.content;
    let accepted = ACCEPTED
        .iter()
        .find(|a| {
            a.public_key_alg_id().as_ref() == spki.algorithm.content && a.signature_alg_id().as_ref() == signature_id
        })
        .ok_or_else(|| Rejected::Algorithm(name(algorithm)))?;
    let key = spki.key.as_bytes().ok_or(Rejected::Malformed)?;
    accepted.verify_signature(key, message, signature).map_err(|_| Rejected::Signature)
}

/// Whether signatures of this AlgorithmIdentifier (DER) are accepted at all; its name or OID where they are not.
pub(crate) fn check_accepted(algorithm: &[u8]) -> Result<(), String> {
    let known = RawSequence::read(algorithm)
        .is_ok_and(|id| ACCEPTED.iter().any(|accepted| accepted.signature_alg_id().as_ref() == id.content));
    if known { Ok(()) } else { Err(name(algorithm)) }
}

/// What people call an AlgorithmIdentifier (DER), or its OID.
fn name(algorithm: &[u8]) -> String {
    match AlgorithmIdentifier::from_der(algorithm) {
        Ok((_, id)) => match OidRegistry::default().with_all_crypto().with_pkcs1().get(id.oid()) {
            Some(entry) => format!("{} ({})", entry.sn(), id.oid()),
            None => id.oid().to_string(),
        },
        Err(_) => "an unreadable algorithm".to_owned(),
    }
}

/// Whether the certificate (DER) carries a valid signature by `public_key` (SubjectPublicKeyInfo, DER).
pub(crate) fn verify_signed(der: &[u8], public_key: &[u8]) -> bool {
    let checked = || {
        let signed = Signed::from_der(der).ok()?;
        let content = signed.content.whole().ok()?;
        let algorithm = signed.algorithm.whole().ok()?;
        verify(public_key, &algorithm, &content, signed.signature.as_bytes()?).ok()
    };
    checked().is_some()
}

/// Key identifier as Go makes it: the leftmost 160 bits of SHA-256 over the public key's bits (RFC 7093 method 1).
pub(crate) fn key_id(public_key: &[u8]) -> Vec<u8> {
    let bits = Spki::from_der(public_key).map_or(public_key, |spki| spki.key.raw_bytes());
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bits);
    digest.as_ref().iter().take(20).copied().collect()
}
