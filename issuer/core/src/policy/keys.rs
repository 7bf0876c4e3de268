//! Which keys may be certified.

use std::fmt;

use x509_parser::{prelude::FromDer, public_key::PublicKey, x509::SubjectPublicKeyInfo};

/// A kind of key, by cert-manager's names (`spec.privateKey.algorithm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA; its size is that of the modulus.
    Rsa,
    /// Elliptic curves; the size is the curve's.
    Ecdsa,
    /// Edwards curve 25519, which has one size.
    Ed25519,
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::Ecdsa => "ECDSA",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// Keys of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Their kind.
    pub algorithm: KeyAlgorithm,
    /// The smallest size in bits.
    pub min_size: Option<u32>,
    /// The largest size in bits.
    pub max_size: Option<u32>,
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.algorithm.fmt(f)?;
        self.min_size.map_or(Ok(()), |size| write!(f, " from {size} bits"))?;
        self.max_size.map_or(Ok(()), |size| write!(f, " up to {size} bits"))
    }
}

/// What a public key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    algorithm: KeyAlgorithm,
    size: u32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bits", self.algorithm, self.size)
    }
}

impl Keys {
    pub(super) fn allow(&self, key: &Key) -> bool {
        self.algorithm == key.algorithm
            && self.min_size.is_none_or(|size| key.size >= size)
            && self.max_size.is_none_or(|size| key.size <= size)
    }
}

/// Reads a SubjectPublicKeyInfo (DER). `None` for keys of other kinds, which have been refused before.
pub(crate) fn read(public_key: &[u8]) -> Option<Key> {
    let (_, spki) = SubjectPublicKeyInfo::from_der(public_key).ok()?;
    let (algorithm, size) = match spki.parsed() {
        Ok(PublicKey::RSA(key)) => {
            let leading = key.modulus.iter().take_while(|byte| **byte == 0).count();
            let first = key.modulus.get(leading)?;
            (KeyAlgorithm::Rsa, (key.modulus.len() - leading) * 8 - first.leading_zeros() as usize)
        }
        // Coordinates fill whole bytes: those of P-521 have 66.
        Ok(PublicKey::EC(key)) => (KeyAlgorithm::Ecdsa, if key.key_size() == 528 { 521 } else { key.key_size() }),
        _ if spki.algorithm.algorithm.to_id_string() == "1.3.101.112" => (KeyAlgorithm::Ed25519, 256),
        _ => return None,
    };
    Some(Key { algorithm, size: u32::try_from(size).ok()? })
}
