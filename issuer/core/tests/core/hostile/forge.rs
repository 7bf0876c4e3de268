//! Requests byte by byte: any part can be replaced, and the whole is signed by its own key all the same.

use std::sync::LazyLock;

use num_bigint::BigUint;
use rcgen::{KeyPair, PublicKeyData, SigningKey};

use crate::support::{SEQUENCE, crafted_info, extension, extension_request, rdn, tlv};

/// AlgorithmIdentifiers, DER.
pub(super) const ECDSA_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
pub(super) const ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";
pub(super) const RSA_KEY: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
pub(super) const RSA_SHA256: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";

/// The key that signs where a case does not bring its own.
pub(super) static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());

/// What makes the content of a BIT STRING out of what is to be signed.
type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A request in the making. Each part is a whole element.
pub(super) struct Forge {
    pub(super) version: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) attributes: Vec<u8>,
    pub(super) algorithm: Vec<u8>,
    /// The signature over the info: the content of its BIT STRING.
    pub(super) sign: Sign,
}

impl Forge {
    /// An honest request: `CN=db`, one DNS name, P-256.
    pub(super) fn new() -> Self {
        Self {
            version: vec![2, 1, 0],
            subject: subject(&[(3, 0x0c, b"db")]),
            key: KEY.subject_public_key_info(),
            attributes: asking(&[extension(17, false, &names(&[(0x82, b"db.example.com")]))]),
            algorithm: ECDSA_SHA256.to_vec(),
            sign: Box::new(|info| [&[0], KEY.sign(info).unwrap().as_slice()].concat()),
        }
    }

    pub(super) fn der(&self) -> Vec<u8> {
        let info = crafted_info(&self.version, &self.subject, &self.key, &self.attributes);
        tlv(SEQUENCE, &[&info, &self.algorithm, &tlv(0x03, &[&(self.sign)(&info)])])
    }

    /// Honest but for its subject: one attribute in each RDN.
    pub(super) fn subject(attributes: &[(u8, u8, &[u8])]) -> Self {
        Self { subject: subject(attributes), ..Self::new() }
    }

    /// Honest but for its subject alternative names: (tag, value) each.
    pub(super) fn names(list: &[(u8, &[u8])]) -> Self {
        Self::extensions(&[extension(17, false, &names(list))])
    }

    /// Honest but for its extensions.
    pub(super) fn extensions(extensions: &[Vec<u8>]) -> Self {
        Self { attributes: asking(extensions), ..Self::new() }
    }

    /// Honest but for this public key's algorithm (whole) and bits, and with a signature that nobody made.
    pub(super) fn key(algorithm: &[u8], bits: &[u8], signature: &[u8]) -> Self {
        Self { key: spki(algorithm, bits), algorithm: signature.to_vec(), ..Self::new() }
    }

    /// Honest but for the content of the signature's BIT STRING.
    pub(super) fn signature(content: &'static [u8]) -> Self {
        Self { sign: Box::new(|_| content.to_vec()), ..Self::new() }
    }

    /// Honest but for its key: RSA, signing with PKCS #1 v1.5 and SHA-256.
    pub(super) fn rsa(key: Rsa) -> Self {
        let public = spki(RSA_KEY, &key.public());
        let sign = move |info: &[u8]| [vec![0], key.sign(info)].concat();
        Self { key: public, algorithm: RSA_SHA256.to_vec(), sign: Box::new(sign), ..Self::new() }
    }
}

fn subject(attributes: &[(u8, u8, &[u8])]) -> Vec<u8> {
    tlv(SEQUENCE, &[&attributes.iter().map(|attribute| rdn(&[*attribute])).collect::<Vec<_>>().concat()])
}

/// GeneralNames of (tag, value) each.
pub(super) fn names(list: &[(u8, &[u8])]) -> Vec<u8> {
    tlv(SEQUENCE, &[&list.iter().map(|(tag, value)| tlv(*tag, &[value])).collect::<Vec<_>>().concat()])
}

/// The attributes of a request for these extensions.
pub(super) fn asking(extensions: &[Vec<u8>]) -> Vec<u8> {
    tlv(0xa0, &[&extension_request(extensions)])
}

pub(super) fn spki(algorithm: &[u8], bits: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[algorithm, &tlv(0x03, &[&[0], bits])])
}

/// id-ecPublicKey with a named curve, given as the content of its OID.
pub(super) fn curve(oid: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01", &tlv(0x06, &[oid])])
}

/// A positive INTEGER.
pub(super) fn integer(value: &BigUint) -> Vec<u8> {
    let bytes = value.to_bytes_be();
    let sign: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
    tlv(0x02, &[sign, &bytes])
}

/// An RSA key of any shape, such as no library makes.
pub(super) struct Rsa {
    pub(super) modulus: BigUint,
    pub(super) exponent: BigUint,
    private: BigUint,
}

impl Rsa {
    /// From its primes, which may be a single one: signatures verify all the same.
    pub(super) fn of(primes: &[BigUint], exponent: u64) -> Self {
        let exponent = BigUint::from(exponent);
        let order: BigUint = primes.iter().map(|prime| prime - 1_u8).product();
        let private = exponent.modinv(&order).unwrap();
        Self { modulus: primes.iter().product(), exponent, private }
    }

    /// The same modulus with private and public exponent exchanged.
    pub(super) fn exchanged(self) -> Self {
        Self { modulus: self.modulus, exponent: self.private, private: self.exponent }
    }

    /// RSAPublicKey (RFC 8017 appendix A.1.1), DER.
    pub(super) fn public(&self) -> Vec<u8> {
        tlv(SEQUENCE, &[&integer(&self.modulus), &integer(&self.exponent)])
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 clause 8.2.1).
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message);
        self.raw(
            &[b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20", digest.as_ref()]
                .concat(),
        )
    }

    /// Pads and signs a DigestInfo.
    pub(super) fn raw(&self, digest_info: &[u8]) -> Vec<u8> {
        let length = usize::try_from(self.modulus.bits().div_ceil(8)).unwrap();
        let padding = vec![0xff; length - digest_info.len() - 3];
        let padded = [&[0, 1], padding.as_slice(), &[0], digest_info].concat();
        let signature = BigUint::from_bytes_be(&padded).modpow(&self.private, &self.modulus).to_bytes_be();
        [vec![0; length - signature.len()], signature].concat()
    }
}

/// 2 to the power of `bits`, less `c`; the cases choose `c` so that it is prime.
pub(super) fn below_power(bits: u32, c: u32) -> BigUint {
    BigUint::from(2_u8).pow(bits) - c
}

/// A prime of 2048 bits.
pub(super) fn prime_2048() -> BigUint {
    below_power(2048, 1_942_289)
}
