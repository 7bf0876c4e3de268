//! Keys and signature algorithms that are not accepted (fact 19).

use num_bigint::BigUint;

use crate::support::{SEQUENCE, tlv};

use super::{
    Case, Forge, case,
    forge::{ECDSA_SHA256, ED25519, KEY, RSA_KEY, RSA_SHA256, Rsa, below_power, curve, integer, prime_2048},
};

/// AlgorithmIdentifier: an OID given by its content, and parameters.
fn id(oid: &[u8], parameters: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[&tlv(0x06, &[oid]), parameters])
}

const NULL: &[u8] = &[5, 0];
const NOT_ACCEPTED: &str = "is not accepted";
const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";

pub(super) fn cases() -> Vec<Case> {
    let pem = |text: &str| text.as_bytes().to_vec();
    let point = KEY.public_key_raw();
    let rsa = |key: Rsa| Forge::rsa(key);
    let bad_rsa = |modulus: &BigUint, exponent: &[u8]| {
        Forge::key(RSA_KEY, &tlv(SEQUENCE, &[&integer(modulus), exponent]), RSA_SHA256)
    };
    let on = |oid: &[u8], bits: &[u8]| Forge::key(&curve(oid), bits, ECDSA_SHA256);
    let edwards = |bits: &[u8]| Forge::key(ED25519, bits, ED25519);
    let signed_as = |algorithm: Vec<u8>| Forge { algorithm, ..Forge::new() };
    let rsa_signed_as = |algorithm: Vec<u8>| Forge { algorithm, ..rsa(Rsa::of(&[prime_2048()], 65537)) };
    let sha1_pss = tlv(SEQUENCE, &[]);
    let off_curve = [&[4], [1_u8; 64].as_slice()].concat();
    vec![
        // Made by OpenSSL: these are well formed and truly signed.
        case("RSA with SHA-1", pem(include_str!("../../data/rsa-sha1.csr")), "sha1WithRSAEncryption"),
        case("RSA with MD5", pem(include_str!("../../data/rsa-md5.csr")), "md5WithRSAEncryption"),
        case("RSA of 1024 bits, by OpenSSL", pem(include_str!("../../data/rsa-1024.csr")), SIZE),
        case("P-224", pem(include_str!("../../data/p-224.csr")), NOT_ACCEPTED),
        case("Ed448", pem(include_str!("../../data/ed448.csr")), "1.3.101.113"),
        case("a compressed point", pem(include_str!("../../data/p-256-compressed.csr")), "point is compressed"),
        // RSA keys of another shape, truly signed.
        case("RSA of 1024 bits", rsa(Rsa::of(&[below_power(1024, 105)], 65537)), SIZE),
        case("RSA of 2047 bits", rsa(Rsa::of(&[below_power(2047, 85)], 65537)), SIZE),
        case("RSA of 9689 bits", bad_rsa(&below_power(9689, 1), &integer(&65537_u32.into())), SIZE),
        case("RSA with exponent 1", rsa(Rsa::of(&[prime_2048()], 1)), EXPONENT),
        case("RSA with an exponent as long as its modulus", rsa(Rsa::of(&[prime_2048()], 65537).exchanged()), EXPONENT),
        case("RSA with exponent 3", rsa(Rsa::of(&[prime_2048()], 3)), EXPONENT),
        case("RSA with exponent 17", rsa(Rsa::of(&[prime_2048()], 17)), EXPONENT),
        case("RSA with exponent 65539", rsa(Rsa::of(&[prime_2048()], 65539)), EXPONENT),
        case("RSA with exponent 2^33 + 1", rsa(Rsa::of(&[prime_2048()], (1 << 33) + 1)), EXPONENT),
        case(
            "RSA with a factor of 3",
            rsa(Rsa::of(&[3_u8.into(), below_power(2046, 633)], 65537)),
            "is divisible by 3",
        ),
        case(
            "RSA of two primes side by side",
            rsa(Rsa::of(&[below_power(1024, 105), below_power(1024, 179)], 65537)),
            "too close to each other",
        ),
        case(
            "RSA as Infineon's chips made it (ROCA)",
            rsa(Rsa::of(&[roca(8_079_925_500_627_115, 1000), roca(8_079_926_170_676_968, 1777)], 65537)),
            "ROCA, CVE-2017-15361",
        ),
        case("Ed25519 whose key is neutral", Forge { sign: Box::new(neutral), ..edwards(&neutral_point()) }, EDWARDS),
        case("RSA with exponent 0", bad_rsa(&prime_2048(), &[2, 1, 0]), EXPONENT),
        case("RSA with exponent 2", bad_rsa(&prime_2048(), &[2, 1, 2]), EXPONENT),
        case("RSA with exponent 65536", bad_rsa(&prime_2048(), &[2, 3, 1, 0, 0]), EXPONENT),
        case("RSA with a negative exponent", bad_rsa(&prime_2048(), &[2, 1, 0xfd]), WEAK),
        case("RSA with an exponent of many zeros", bad_rsa(&prime_2048(), &[2, 5, 0, 0, 1, 0, 1]), WEAK),
        case("RSA without exponent", bad_rsa(&prime_2048(), &[]), WEAK),
        case("RSA with three numbers", bad_rsa(&prime_2048(), &[2, 3, 1, 0, 1, 2, 1, 1]), WEAK),
        case("RSA with modulus 0", bad_rsa(&BigUint::from(0_u8), &[2, 3, 1, 0, 1]), SIZE),
        case("RSA with an even modulus", bad_rsa(&below_power(2048, 2), &[2, 3, 1, 0, 1]), "is divisible by 2"),
        case("RSA without content", Forge::key(RSA_KEY, &[], RSA_SHA256), WEAK),
        case(
            "RSA whose parameters are missing",
            Forge::key(&id(&RSA_KEY[4..13], &[]), &[SEQUENCE, 0], RSA_SHA256),
            NOT_ACCEPTED,
        ),
        case(
            "an RSA key for PSS alone",
            Forge::key(&id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", &[]), &[SEQUENCE, 0], RSA_SHA256),
            NOT_ACCEPTED,
        ),
        case(
            "an RSA key for OAEP",
            Forge::key(&id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07", &[]), &[SEQUENCE, 0], RSA_SHA256),
            NOT_ACCEPTED,
        ),
        // Curves.
        case("secp256k1", on(b"\x2b\x81\x04\x00\x0a", point), NOT_ACCEPTED),
        case("P-192", on(b"\x2a\x86\x48\xce\x3d\x03\x01\x01", point), NOT_ACCEPTED),
        case("brainpoolP256r1", on(b"\x2b\x24\x03\x03\x02\x08\x01\x01\x07", point), NOT_ACCEPTED),
        case("SM2", on(b"\x2a\x81\x1c\xcf\x55\x01\x82\x2d", point), NOT_ACCEPTED),
        case(
            "a curve given by its parameters",
            Forge::key(&id(b"\x2a\x86\x48\xce\x3d\x02\x01", &[SEQUENCE, 3, 2, 1, 1]), point, ECDSA_SHA256),
            NOT_ACCEPTED,
        ),
        case(
            "a curve that is to be inherited",
            Forge::key(&id(b"\x2a\x86\x48\xce\x3d\x02\x01", NULL), point, ECDSA_SHA256),
            NOT_ACCEPTED,
        ),
        case("no curve", Forge::key(&id(b"\x2a\x86\x48\xce\x3d\x02\x01", &[]), point, ECDSA_SHA256), NOT_ACCEPTED),
        case(
            "a key for key agreement alone",
            Forge::key(&id(b"\x2b\x81\x04\x01\x0c", &tlv(6, &[P256])), point, ECDSA_SHA256),
            NOT_ACCEPTED,
        ),
        case("the point at infinity", on(P256, &[0]), POINT),
        case("no point", on(P256, &[]), POINT),
        case("a point that is not on its curve", on(P256, &off_curve), POINT),
        case("the point (0, 0)", on(P256, &[&[4], [0; 64].as_slice()].concat()), POINT),
        case("a coordinate beyond the field", on(P256, &[&[4], [0xff; 64].as_slice()].concat()), POINT),
        case("a hybrid point", on(P256, &[&[6 | point[64] & 1], &point[1..]].concat()), POINT),
        case("a point that is cut", on(P256, &point[..64]), POINT),
        case("a point with a byte too many", on(P256, &[point, &[0]].concat()), POINT),
        case("a point of P-256 for P-384", on(b"\x2b\x81\x04\x00\x22", point), POINT),
        // Edwards and Montgomery curves.
        case(
            "Ed25519 whose key is neutral, written beyond the field",
            Forge { sign: Box::new(neutral), ..edwards(&beyond_field()) },
            EDWARDS,
        ),
        case("Ed25519 with 31 octets", edwards(&[1; 31]), EDWARDS),
        case("Ed25519 with 33 octets", edwards(&[1; 33]), EDWARDS),
        case("Ed25519 with parameters", Forge::key(&id(&[0x2b, 0x65, 0x70], NULL), &[1; 32], ED25519), NOT_ACCEPTED),
        case("X25519, which cannot sign", Forge::key(&id(&[0x2b, 0x65, 0x6e], &[]), &[1; 32], ED25519), NOT_ACCEPTED),
        // What was never a key here, or is not yet.
        case(
            "DSA",
            Forge::key(
                &id(b"\x2a\x86\x48\xce\x38\x04\x01", &[]),
                &[2, 1, 1],
                &id(b"\x2a\x86\x48\xce\x38\x04\x03", &[]),
            ),
            NOT_ACCEPTED,
        ),
        case(
            "ML-DSA-65",
            Forge::key(
                &id(b"\x60\x86\x48\x01\x65\x03\x04\x03\x12", &[]),
                &[1; 64],
                &id(b"\x60\x86\x48\x01\x65\x03\x04\x03\x12", &[]),
            ),
            "2.16.840.1.101.3.4.3.18",
        ),
        case("an algorithm of nobody's", Forge::key(&id(&[0x2a, 3, 4], &[]), &[1], &id(&[0x2a, 3, 4], &[])), "1.2.3.4"),
        // One key, another's signature.
        case("an EC key with an RSA signature", signed_as(RSA_SHA256.to_vec()), NOT_ACCEPTED),
        case("an EC key with an Ed25519 signature", signed_as(ED25519.to_vec()), NOT_ACCEPTED),
        case("an RSA key with an ECDSA signature", rsa_signed_as(ECDSA_SHA256.to_vec()), NOT_ACCEPTED),
        case("an RSA key with an Ed25519 signature", rsa_signed_as(ED25519.to_vec()), NOT_ACCEPTED),
        case("ECDSA with SHA-1", signed_as(id(b"\x2a\x86\x48\xce\x3d\x04\x01", &[])), "1.2.840.10045.4.1,"),
        case("ECDSA with SHA-224", signed_as(id(b"\x2a\x86\x48\xce\x3d\x04\x03\x01", &[])), NOT_ACCEPTED),
        case("ECDSA with SHA3-256", signed_as(id(b"\x60\x86\x48\x01\x65\x03\x04\x03\x0a", &[])), NOT_ACCEPTED),
        case("ECDSA with parameters", signed_as(id(b"\x2a\x86\x48\xce\x3d\x04\x03\x02", NULL)), NOT_ACCEPTED),
        case(
            "an algorithm that is only a hash",
            signed_as(id(b"\x60\x86\x48\x01\x65\x03\x04\x02\x01", &[])),
            NOT_ACCEPTED,
        ),
        case("an algorithm that is a key's", signed_as(curve(P256)), NOT_ACCEPTED),
        case("an algorithm without content", signed_as(vec![SEQUENCE, 0]), NOT_ACCEPTED),
        case("an algorithm that is no OID", signed_as(vec![SEQUENCE, 2, 5, 0]), NOT_ACCEPTED),
        case("RSA with MD2", rsa_signed_as(id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x02", NULL)), NOT_ACCEPTED),
        case("RSA with SHA-224", rsa_signed_as(id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e", NULL)), NOT_ACCEPTED),
        case("RSA encryption as a signature", rsa_signed_as(RSA_KEY.to_vec()), NOT_ACCEPTED),
        case(
            "RSA with SHA-256 without parameters",
            rsa_signed_as(id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", &[])),
            NOT_ACCEPTED,
        ),
        case(
            "PSS with its defaults, which are SHA-1",
            rsa_signed_as(id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", &sha1_pss)),
            NOT_ACCEPTED,
        ),
        case("PSS without parameters", rsa_signed_as(id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", &[])), NOT_ACCEPTED),
        case(
            "PSS with a salt of no octets",
            rsa_signed_as(id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", &pss(SHA256, SHA256, 0))),
            NOT_ACCEPTED,
        ),
        case(
            "PSS that masks with SHA-1",
            rsa_signed_as(id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", &pss(SHA256, SHA1, 32))),
            NOT_ACCEPTED,
        ),
        case(
            "PSS that hashes with SHA-1",
            rsa_signed_as(id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", &pss(SHA1, SHA256, 32))),
            NOT_ACCEPTED,
        ),
        case(
            "PSS whose hashes differ",
            rsa_signed_as(id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", &pss(SHA256, SHA512, 32))),
            NOT_ACCEPTED,
        ),
    ]
}

const WEAK: &str = "public key is refused: it is not an RSA";
const SIZE: &str = "public key is refused: its RSA modulus has";
const EXPONENT: &str = "its RSA exponent is not 65537";
const POINT: &str = "public key is refused: it is not a point";
const EDWARDS: &str = "public key is refused: ";

const SHA1: &[u8] = b"\x2b\x0e\x03\x02\x1a";
const SHA256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA512: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x03";

/// RSASSA-PSS-params (RFC 8017 appendix A.2.3).
fn pss(hash: &[u8], mask: &[u8], salt: u8) -> Vec<u8> {
    let mask = id(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08", &id(mask, NULL));
    tlv(SEQUENCE, &[&tlv(0xa0, &[&id(hash, NULL)]), &tlv(0xa1, &[&mask]), &tlv(0xa2, &[&[2, 1, salt]])])
}

/// A prime as Infineon's library made them (CVE-2017-15361): `k` times the product of the first 126 primes, plus a power
/// of 65537.
fn roca(k: u64, power: u32) -> BigUint {
    let primes = (2_u32..=701).filter(|n| (2..*n).all(|divisor| n % divisor != 0));
    let product: BigUint = primes.map(BigUint::from).product();
    BigUint::from(65537_u32).modpow(&power.into(), &product) + product * k
}

/// The neutral element of Ed25519.
fn neutral_point() -> [u8; 32] {
    let mut point = [0; 32];
    point[0] = 1;
    point
}

/// The same with its y written as p + 1.
fn beyond_field() -> [u8; 32] {
    let mut point = [0xff; 32];
    (point[0], point[31]) = (0xee, 0x7f);
    point
}

/// Verifies for any message under a neutral key: R is neutral, S is zero.
fn neutral(_: &[u8]) -> Vec<u8> {
    [&[0], neutral_point().as_slice(), &[0; 32]].concat()
}
