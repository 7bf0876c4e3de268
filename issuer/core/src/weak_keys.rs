//! Public keys that are not certified, although their owner has proved to hold the private key: too small, badly made,
//! or not a key at all.
//!
//! RSA (FIPS 186-5 clause 5.1) takes most of it: what faulty generators are known to make is recognised by the modulus
//! alone. Nothing here is secret, so plain big integers do (num-bigint), without constant time.

use std::{iter::successors, sync::LazyLock};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ParsedPublicKey, VerificationAlgorithm,
};
use der::{Decode, Sequence, asn1::UintRef};
use num_bigint::BigUint;
use pki_types::{AlgorithmIdentifier, alg_id};

use crate::encoding::Spki;

/// Why a public key is not certified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Weakness {
    /// Not DER, or of an algorithm that is not accepted.
    #[error("it is not an RSA, ECDSA (P-256, P-384, P-521) or Ed25519 key in DER")]
    Unreadable,
    /// Bits of an RSA modulus (CA/Browser Forum, Baseline Requirements clause 6.1.5).
    #[error("its RSA modulus has {0} bits; 2048 to 8192, in whole octets, are accepted")]
    Size(u64),
    /// Public exponent of RSA (FIPS 186-5 clause 5.4).
    #[error("its RSA exponent is not 65537")]
    Exponent,
    /// A prime of RSA that division finds.
    #[error("its RSA modulus is divisible by {0}")]
    SmallFactor(u64),
    /// Made by Infineon's library (CVE-2017-15361): its primes are guessed from the modulus.
    #[error("its RSA modulus bears the mark of a faulty generator (ROCA, CVE-2017-15361)")]
    Roca,
    /// Primes so near each other that Fermat's method finds them (CVE-2022-26320).
    #[error("the primes of its RSA modulus are too close to each other (CVE-2022-26320)")]
    ClosePrimes,
    /// Elliptic curve: RFC 5480 leaves compressed points optional, and Go does not read them.
    #[error("its elliptic-curve point is compressed")]
    Compressed,
    /// Elliptic curve: no point of the curve, or the one at infinity (SP 800-186 appendix D.1.1).
    #[error("it is not a point of its elliptic curve")]
    NotOnCurve,
    /// Ed25519: another encoding of a coordinate than the one that RFC 8032 clause 5.1.3 has.
    #[error("its Ed25519 point is not in its canonical encoding")]
    NotCanonical,
    /// Ed25519: signatures by it are made without any private key (RFC 7748 clause 7).
    #[error("its Ed25519 point is of small order")]
    SmallOrder,
    /// Named in [`Settings::refused_keys`](crate::Settings::refused_keys).
    #[error("the issuer's spec.refusedKeys holds its hash {0}")]
    Refused(String),
}

/// Primes below this are tried as factors.
const SMALL: u32 = 4096;

/// Infineon's moduli have the mark for at least the first 39 primes; a sound one has it once in about 2^28 keys.
const ROCA_LAST_PRIME: u64 = 167;

/// Steps of Fermat's method: primes of 1024 bits are found that agree in more than their upper half.
const FERMAT_ROUNDS: u32 = 256;

/// The smallest and the largest modulus.
const RSA_BITS: std::ops::RangeInclusive<u64> = 2048..=8192;

/// `RSAPublicKey` (RFC 8017 clause A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// Looks for all known weaknesses of a key (SubjectPublicKeyInfo, DER).
///
/// # Errors
/// The first one that is found.
pub fn check(public_key: &[u8]) -> Result<(), Weakness> {
    let spki = Spki::from_der(public_key).map_err(|_| Weakness::Unreadable)?;
    let key = spki.key.as_bytes().ok_or(Weakness::Unreadable)?;
    let is = |algorithm: AlgorithmIdentifier| algorithm.as_ref() == spki.algorithm.content;
    if is(alg_id::RSA_ENCRYPTION) {
        check_rsa(key)
    } else if is(alg_id::ED25519) {
        check_ed25519(key)
    } else {
        let curve = CURVES.iter().find(|(id, _)| is(*id));
        check_point(key, curve.ok_or(Weakness::Unreadable)?.1)
    }
}

fn check_rsa(key: &[u8]) -> Result<(), Weakness> {
    let key = RsaPublicKey::from_der(key).map_err(|_| Weakness::Unreadable)?;
    let modulus = BigUint::from_bytes_be(key.modulus.as_bytes());
    let bits = modulus.bits();
    if !RSA_BITS.contains(&bits) || !bits.is_multiple_of(8) {
        return Err(Weakness::Size(bits));
    }
    if key.exponent.as_bytes() != [1, 0, 1] {
        return Err(Weakness::Exponent);
    }
    let residues: Vec<_> = residues(&modulus).collect();
    if let Some((prime, _)) = residues.iter().find(|(_, residue)| *residue == 0) {
        return Err(Weakness::SmallFactor(*prime));
    }
    // Infineon's primes are powers of 65537 modulo each small prime, and so are their products.
    let mut marked = residues.iter().take_while(|(prime, _)| *prime <= ROCA_LAST_PRIME);
    if marked.all(|(prime, residue)| powers_of_65537(*prime).any(|power| power == *residue)) {
        return Err(Weakness::Roca);
    }
    if has_close_primes(&modulus) { Err(Weakness::ClosePrimes) } else { Ok(()) }
}

/// Each prime below [`SMALL`] with what remains of `n` divided by it; `n` itself is divided by many of them at once.
fn residues(n: &BigUint) -> impl Iterator<Item = (u64, u64)> {
    static GROUPS: LazyLock<Vec<(u64, Vec<u64>)>> = LazyLock::new(|| {
        let is_prime = |n: &u64| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
        let mut groups: Vec<(u64, Vec<u64>)> = Vec::new();
        for prime in (2..u64::from(SMALL)).filter(is_prime) {
            match groups.last_mut().and_then(|(product, primes)| Some((product.checked_mul(prime)?, product, primes))) {
                Some((larger, product, primes)) => {
                    *product = larger;
                    primes.push(prime);
                }
                None => groups.push((prime, vec![prime])),
            }
        }
        groups
    });
    GROUPS.iter().flat_map(move |(product, primes)| {
        let rest = u64::try_from(n % *product).unwrap_or_default();
        primes.iter().map(move |prime| (*prime, rest % prime))
    })
}

/// 1, 65537, 65537², … modulo `prime`, each once. All of them are needed: there are at most `prime` - 1.
fn powers_of_65537(prime: u64) -> impl Iterator<Item = u64> {
    successors(Some(1), move |power| Some(power * 65537 % prime).filter(|next| *next > 1))
}

/// Fermat's method: n = a² - b² where a is little more than the root of n.
fn has_close_primes(n: &BigUint) -> bool {
    let mut a = n.sqrt();
    if &a * &a < *n {
        a += 1_u32;
    }
    let mut b_squared = &a * &a - n;
    for _ in 0..FERMAT_ROUNDS {
        if is_square(&b_squared) {
            return true;
        }
        b_squared += (&a << 1_u32) + 1_u32;
        a += 1_u32;
    }
    false
}

/// Squares leave few residues: of a hundred numbers, hardly one is worth a root.
fn is_square(n: &BigUint) -> bool {
    let may_be = |modulus: u64| {
        let rest = u64::try_from(n % modulus).unwrap_or_default();
        (0..modulus).any(|root| root * root % modulus == rest)
    };
    [64, 63, 65, 11].into_iter().all(may_be) && n.sqrt().pow(2) == *n
}

static CURVES: [(AlgorithmIdentifier, &dyn VerificationAlgorithm); 3] = [
    (alg_id::ECDSA_P256, &ECDSA_P256_SHA256_ASN1),
    (alg_id::ECDSA_P384, &ECDSA_P384_SHA384_ASN1),
    (alg_id::ECDSA_P521, &ECDSA_P521_SHA512_ASN1),
];

fn check_point(point: &[u8], curve: &'static dyn VerificationAlgorithm) -> Result<(), Weakness> {
    match point.first() {
        Some(4) => ParsedPublicKey::new(curve, point).map(|_| ()).map_err(|_| Weakness::NotOnCurve),
        Some(2 | 3) => Err(Weakness::Compressed),
        _ => Err(Weakness::NotOnCurve),
    }
}

/// The y of two of the four points of order 8, little-endian; that of the others is its negative.
const ORDER_8: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac,
    0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];

fn check_ed25519(point: &[u8]) -> Result<(), Weakness> {
    let mut y: [u8; 32] = point.try_into().map_err(|_| Weakness::Unreadable)?;
    y[31] &= 0x7f;
    let y = BigUint::from_bytes_le(&y);
    let p = (BigUint::from(1_u32) << 255_u32) - 19_u32;
    if y >= p {
        return Err(Weakness::NotCanonical);
    }
    // Orders 4, 1, 2 and 8.
    let order_8 = BigUint::from_bytes_le(&ORDER_8);
    let small = [BigUint::ZERO, BigUint::from(1_u32), &p - 1_u32, &p - &order_8, order_8];
    if small.contains(&y) { Err(Weakness::SmallOrder) } else { Ok(()) }
}
