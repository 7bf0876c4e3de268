//! Whoever holds a CA's private key: here a local key, from PEM.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der, PublicKeyX509Der},
    error::Unspecified,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    },
};
use der::{Decode, Sequence, asn1::OctetStringRef};
use pem::{EncodeConfig, LineEnding, Pem};
use pki_types::{AlgorithmIdentifier, alg_id};
use zeroize::Zeroizing;

use crate::{Error, encoding::RawSequence};

/// Signs the bytes of a TBSCertificate. The key may live elsewhere: nothing but its signature is seen.
pub trait Signer: Send + Sync + fmt::Debug {
    /// AlgorithmIdentifier of the signatures: the content of its DER sequence.
    fn algorithm(&self) -> AlgorithmIdentifier;

    /// The same as a whole DER element.
    ///
    /// # Errors
    /// Where it is too long for DER; none is.
    fn algorithm_der(&self) -> Result<Vec<u8>, der::Error> {
        RawSequence { content: self.algorithm().as_ref() }.whole()
    }

    /// The content of the public key's BIT STRING (RFC 5280 clause 4.1.2.7).
    fn public_key(&self) -> &[u8];

    /// The signature over `message`, as the content of a certificate's BIT STRING.
    ///
    /// # Errors
    /// [`Error::Signer`], which may heal.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;
}

/// A key in this process's memory. aws-lc zeroes it on drop; `Debug` does not show it.
pub struct LocalKey(Inner);

enum Inner {
    Rsa(Box<rsa::KeyPair>),
    Ecdsa(Box<EcdsaKeyPair>, AlgorithmIdentifier),
    Ed25519(Box<Ed25519KeyPair>),
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey(redacted)")
    }
}

impl LocalKey {
    /// Reads a key in PEM: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) or SEC1 (RFC 5915), unencrypted. Other blocks, such as
    /// the `EC PARAMETERS` that OpenSSL writes, are passed over.
    ///
    /// # Errors
    /// [`Error::SecretInvalid`] for `tls.key`; it never quotes the key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let invalid = |problem: &str| Error::SecretInvalid { field: "tls.key", problem: problem.to_owned() };
        let blocks = pem::parse_many(pem).map_err(|_| invalid("it is not PEM"))?;
        let mut keys = blocks.into_iter().filter(|block| block.tag().ends_with("PRIVATE KEY"));
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return Err(invalid("it does not hold exactly one private key in PEM"));
        };
        if key.tag().starts_with("ENCRYPTED") || key.headers().get("Proc-Type").is_some() {
            return Err(invalid("the private key is encrypted; store it unencrypted"));
        }
        Self::from_der(&Zeroizing::new(key.into_contents())).ok_or_else(|| {
            invalid("it is not an RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) or Ed25519 private key")
        })
    }

    /// Reads a key in DER, in the same forms as [`LocalKey::from_pem`]; `None` where it is none that is accepted.
    ///
    /// Tries each kind of key: `der` does not always tell by itself which it is.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let ecdsa = [
            (&ECDSA_P256_SHA256_ASN1_SIGNING, alg_id::ECDSA_SHA256),
            (&ECDSA_P384_SHA384_ASN1_SIGNING, alg_id::ECDSA_SHA384),
            (&ECDSA_P521_SHA512_ASN1_SIGNING, alg_id::ECDSA_SHA512),
        ];
        for (algorithm, id) in ecdsa {
            if let Ok(key) = EcdsaKeyPair::from_private_key_der(algorithm, der) {
                return Some(Self(Inner::Ecdsa(Box::new(key), id)));
            }
        }
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Some(Self(Inner::Ed25519(Box::new(key))));
        }
        let key = rsa::KeyPair::from_pkcs8(der).or_else(|_| rsa::KeyPair::from_der(der)).ok()?;
        Some(Self(Inner::Rsa(Box::new(key))))
    }
}

/// What kind of key it is, with its size in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, by the length of its modulus.
    Rsa(usize),
    /// ECDSA on P-256, P-384 or P-521.
    Ecdsa(usize),
    /// Ed25519.
    Ed25519,
}

/// How a private key is encoded, under the names of cert-manager's `privateKey.encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEncoding {
    /// What the kind had before PKCS#8: PKCS#1 (RFC 8017) for RSA, SEC1 (RFC 5915) for ECDSA. Ed25519 has nothing but
    /// PKCS#8.
    Pkcs1,
    /// PKCS#8 (RFC 5208), for all kinds.
    Pkcs8,
}

/// `PrivateKeyInfo` (RFC 5208 clause 5).
#[derive(Sequence)]
struct PrivateKeyInfo<'a> {
    version: u8,
    algorithm: RawSequence<'a>,
    key: &'a OctetStringRef,
}

impl LocalKey {
    /// Its kind and size.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match &self.0 {
            Inner::Rsa(key) => KeyKind::Rsa(key.public_modulus_len() * 8),
            Inner::Ecdsa(_, id) if *id == alg_id::ECDSA_SHA256 => KeyKind::Ecdsa(256),
            Inner::Ecdsa(_, id) if *id == alg_id::ECDSA_SHA384 => KeyKind::Ecdsa(384),
            Inner::Ecdsa(..) => KeyKind::Ecdsa(521),
            Inner::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// Its SubjectPublicKeyInfo (DER).
    ///
    /// # Errors
    /// [`Error::Signer`] where the library does not write it.
    pub fn public_key_info(&self) -> Result<Vec<u8>, Error> {
        let der: Result<PublicKeyX509Der<'_>, Unspecified> = match &self.0 {
            Inner::Rsa(key) => key.public_key().as_der(),
            Inner::Ecdsa(key, _) => key.public_key().as_der(),
            Inner::Ed25519(key) => key.public_key().as_der(),
        };
        der.map(|der| der.as_ref().to_vec()).map_err(unwritten)
    }

    /// The private key, encoded: its PEM label, and its DER.
    ///
    /// # Errors
    /// [`Error::Signer`] where the library does not write it.
    pub fn to_der(&self, encoding: KeyEncoding) -> Result<(&'static str, Zeroizing<Vec<u8>>), Error> {
        let pkcs8 = |der: &[u8]| ("PRIVATE KEY", Zeroizing::new(der.to_vec()));
        match (&self.0, encoding) {
            (Inner::Rsa(key), _) => {
                let der: Pkcs8V1Der<'_> = key.as_der().map_err(unwritten)?;
                if encoding == KeyEncoding::Pkcs8 {
                    return Ok(pkcs8(der.as_ref()));
                }
                let info = PrivateKeyInfo::from_der(der.as_ref()).map_err(|_| unwritten(Unspecified))?;
                Ok(("RSA PRIVATE KEY", Zeroizing::new(info.key.as_bytes().to_vec())))
            }
            (Inner::Ecdsa(key, _), KeyEncoding::Pkcs8) => Ok(pkcs8(key.to_pkcs8v1().map_err(unwritten)?.as_ref())),
            (Inner::Ecdsa(key, _), KeyEncoding::Pkcs1) => {
                let key = key.private_key();
                let der: EcPrivateKeyRfc5915Der<'_> = key.as_der().map_err(unwritten)?;
                Ok(("EC PRIVATE KEY", Zeroizing::new(der.as_ref().to_vec())))
            }
            (Inner::Ed25519(key), _) => Ok(pkcs8(key.to_pkcs8v1().map_err(unwritten)?.as_ref())),
        }
    }

    /// The private key in PEM, lines ended by `\n`.
    ///
    /// # Errors
    /// As [`LocalKey::to_der`].
    pub fn to_pem(&self, encoding: KeyEncoding) -> Result<Zeroizing<String>, Error> {
        let (label, der) = self.to_der(encoding)?;
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        Ok(Zeroizing::new(pem::encode_config(&Pem::new(label, der.to_vec()), config)))
    }
}

fn unwritten(_: Unspecified) -> Error {
    Error::Signer("the cryptographic library did not encode it".to_owned())
}

impl Signer for LocalKey {
    fn algorithm(&self) -> AlgorithmIdentifier {
        match &self.0 {
            Inner::Rsa(_) => alg_id::RSA_PKCS1_SHA256,
            Inner::Ecdsa(_, id) => *id,
            Inner::Ed25519(_) => alg_id::ED25519,
        }
    }

    fn public_key(&self) -> &[u8] {
        match &self.0 {
            Inner::Rsa(key) => key.public_key().as_ref(),
            Inner::Ecdsa(key, _) => key.public_key().as_ref(),
            Inner::Ed25519(key) => key.public_key().as_ref(),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Signer("the cryptographic library refused".to_owned());
        match &self.0 {
            Inner::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Inner::Ecdsa(key, _) => Ok(key.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref().to_vec()),
            Inner::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}
