//! The private key of a Certificate: made anew, or that of its Secret.

use std::collections::BTreeMap;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    error::Unspecified,
    rand::SystemRandom,
    rsa::{self, KeySize},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair,
    },
};
use k8s_openapi::ByteString;
use tandem_issuer_core::signer::{KeyKind, LocalKey};
use zeroize::Zeroizing;

use super::{Algorithm, Certificate, PrivateKey, RotationPolicy};
use crate::ca_secrets::SecretId;

/// The kind that `privateKey` asks for, or what is wrong with its size.
pub(super) fn kind(asked: &PrivateKey) -> Result<KeyKind, String> {
    // cert-manager takes 0 for none.
    let size = asked.size.filter(|size| *size > 0);
    match asked.algorithm {
        Algorithm::Rsa => match size.unwrap_or(2048) {
            size @ (2048 | 3072 | 4096 | 8192) => Ok(KeyKind::Rsa(size)),
            size => Err(format!("RSA keys of {size} bits are not made here; write 2048, 3072, 4096 or 8192")),
        },
        Algorithm::Ecdsa => match size.unwrap_or(256) {
            size @ (256 | 384 | 521) => Ok(KeyKind::Ecdsa(size)),
            size => Err(format!("there is no ECDSA curve of {size} bits; write 256, 384 or 521")),
        },
        Algorithm::Ed25519 => Ok(KeyKind::Ed25519),
    }
}

impl Certificate {
    /// A new key; with `rotationPolicy: Never` that of `existing`, the Secret `id`, where it has one.
    ///
    /// # Errors
    /// Where the Secret's key is not what is asked for, or the library makes none.
    pub(crate) fn key(
        &self,
        id: &SecretId,
        existing: Option<&BTreeMap<String, ByteString>>,
    ) -> Result<LocalKey, String> {
        let asked = &self.spec.private_key;
        let kind = kind(asked)?;
        let pem = existing.and_then(|data| data.get("tls.key")).filter(|pem| !pem.0.is_empty());
        match pem {
            Some(pem) if asked.rotation_policy == RotationPolicy::Never => {
                let advice = "correct it, or take the Secret out of the input for a new key";
                let key = LocalKey::from_pem(&pem.0).map_err(|error| format!("the Secret {id}: {error}; {advice}"))?;
                if key.kind() != kind {
                    let (found, asked) = (words(key.kind()), words(kind));
                    return Err(format!(
                        "the Secret {id} has an {found} key, but spec.privateKey asks for {asked}; {advice}"
                    ));
                }
                Ok(key)
            }
            _ => generate(kind).ok_or_else(|| "no private key could be made; try again".to_owned()),
        }
    }
}

fn words(kind: KeyKind) -> String {
    match kind {
        KeyKind::Rsa(size) => format!("RSA {size}"),
        KeyKind::Ecdsa(size) => format!("ECDSA {size}"),
        KeyKind::Ed25519 => "Ed25519".to_owned(),
    }
}

fn generate(kind: KeyKind) -> Option<LocalKey> {
    LocalKey::from_der(&pkcs8(kind).ok()?)
}

fn pkcs8(kind: KeyKind) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let copy = |der: &[u8]| Zeroizing::new(der.to_vec());
    let rsa = |size| {
        let der: Pkcs8V1Der<'_> = rsa::KeyPair::generate(size)?.as_der()?;
        Ok(copy(der.as_ref()))
    };
    let ecdsa = |curve| Ok(copy(EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new())?.as_ref()));
    match kind {
        KeyKind::Rsa(2048) => rsa(KeySize::Rsa2048),
        KeyKind::Rsa(3072) => rsa(KeySize::Rsa3072),
        KeyKind::Rsa(4096) => rsa(KeySize::Rsa4096),
        KeyKind::Rsa(8192) => rsa(KeySize::Rsa8192),
        KeyKind::Ecdsa(256) => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyKind::Ecdsa(384) => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyKind::Ecdsa(521) => ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING),
        KeyKind::Ed25519 => Ok(copy(Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())?.as_ref())),
        KeyKind::Rsa(_) | KeyKind::Ecdsa(_) => Err(Unspecified),
    }
}
