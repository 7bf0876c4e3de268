//! Public keys that are refused although their owner holds the private key (issuer fact 19).

use std::collections::BTreeSet;

use num_bigint::BigUint;
use rcgen::{KeyPair, PublicKeyData};
use tandem_issuer_core::{
    Class, Decision, Error,
    decide::{Issuer, Wait, decide},
    explain::{Verdict, explain},
    settings::Settings,
    weak_keys::{Weakness, check},
};

use crate::support::{SEQUENCE, authority, csr_with, key, now, ready, request, root, tlv};

/// An RSA key (SubjectPublicKeyInfo, DER) of this modulus and exponent.
fn rsa(modulus: &BigUint, exponent: u32) -> Vec<u8> {
    let integer = |n: &BigUint| {
        let bytes = n.to_bytes_be();
        let sign: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
        tlv(0x02, &[sign, &bytes])
    };
    let key = tlv(SEQUENCE, &[&integer(modulus), &integer(&exponent.into())]);
    let rsa_encryption = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let algorithm = tlv(SEQUENCE, &[&tlv(0x06, &[&rsa_encryption]), &[0x05, 0x00]]);
    tlv(SEQUENCE, &[&algorithm, &tlv(0x03, &[&[0], &key])])
}

/// Looks random, and is the same in every run: what is tested here is arithmetic. Odd, with its two highest bits set.
fn number(bits: u64, seed: &str) -> BigUint {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < bits / 8 + 1 {
        let block = format!("{seed} {}", bytes.len());
        bytes.extend(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, block.as_bytes()).as_ref());
    }
    let mut number = BigUint::from_bytes_be(&bytes) >> (bytes.len() as u64 * 8 - bits);
    for bit in [0, bits - 2, bits - 1] {
        number.set_bit(bit, true);
    }
    number
}

/// The next number from `n` on that no small prime divides. That it is prime itself plays no part here.
fn without_small_factors(mut n: BigUint) -> BigUint {
    while (3..8192_u32).step_by(2).any(|divisor| &n % divisor == BigUint::ZERO) {
        n += 2_u32;
    }
    n
}

fn sound(bits: u64) -> BigUint {
    without_small_factors(number(bits, "sound"))
}

fn weakness(modulus: &BigUint) -> Option<Weakness> {
    check(&rsa(modulus, 65537)).err()
}

#[test]
fn sound_keys_of_every_kind_are_taken() {
    for algorithm in [
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
    ] {
        check(&key(algorithm).subject_public_key_info()).unwrap();
    }
    for bits in [2048, 2056, 3072, 4096, 8192] {
        assert_eq!(weakness(&sound(bits)), None, "{bits}");
    }
}

/// Fact 19: RSA has 2048 to 8192 bits, in whole octets as CA/Browser Forum has it, and the exponent 65537.
#[test]
fn size_and_exponent_of_rsa_have_limits() {
    for bits in [512, 1024, 2040, 2047, 2049, 2055, 4095, 8191, 8193, 8200, 16384] {
        assert_eq!(weakness(&sound(bits)), Some(Weakness::Size(bits)));
    }
    let modulus = sound(2048);
    for exponent in [0, 1, 2, 3, 17, 257, 65535, 65536, 65539, u32::MAX] {
        assert_eq!(check(&rsa(&modulus, exponent)), Err(Weakness::Exponent), "{exponent}");
    }
    let mut huge = rsa(&modulus, 65537);
    let exponent = huge.len() - 3;
    huge[exponent] = 0x7f;
    assert_eq!(check(&huge), Err(Weakness::Exponent));
}

/// Fact 19: a modulus that division takes apart.
#[test]
fn small_factors_are_found() {
    for factor in [2_u32, 3, 5, 751, 757, 2039, 4091, 4093] {
        let multiple = |bits| without_small_factors(number(bits, "cofactor")) * factor;
        let modulus = (2030..2048).map(multiple).find(|n| n.bits() == 2048).unwrap();
        assert_eq!(weakness(&modulus), Some(Weakness::SmallFactor(factor.into())), "{factor}");
    }
    // The first prime that is not tried.
    let modulus = without_small_factors(number(2036, "cofactor")) * 4099_u32;
    assert_eq!((modulus.bits(), weakness(&modulus)), (2048, None));
}

/// Fact 19: the form of Infineon's primes, k·M + (65537^a mod M), shows in the modulus (Nemec et al., CCS 2017). The same
/// without the power of 65537 does not.
#[test]
fn infineons_mark_is_found() {
    let is_prime = |n: &u32| (2..*n).all(|divisor| !n.is_multiple_of(divisor));
    // For 2048 bits: the first 126 primes.
    let m: BigUint = (2..702_u32).filter(is_prime).map(BigUint::from).product();
    let made = |bits: u64, seed: &str, rest: &BigUint| &m * (number(bits, seed) / &m) + rest;
    for a in [1_u32, 2, 77, 4711] {
        let power = |a: u32| BigUint::from(65537_u32).modpow(&a.into(), &m);
        // The product of two such numbers, whose cofactors of M are searched until larger primes do not divide it.
        let modulus = (0..)
            .map(|i| made(1024, &format!("p{i}"), &power(a)) * made(1024, &format!("q{i}"), &power(a + 5)))
            .find(|n| n.bits() == 2048 && without_small_factors(n.clone()) == *n)
            .unwrap();
        assert_eq!(weakness(&modulus), Some(Weakness::Roca), "{a}");
    }
    let other = without_small_factors(made(1024, "p", &number(900, "no power")));
    assert_ne!(weakness(&(other * sound(1024))), Some(Weakness::Roca));
}

/// Fact 19: primes that are close to each other, as faulty printers made them (CVE-2022-26320).
#[test]
fn close_primes_are_found() {
    let p = sound(1024);
    for distance in [0_u32, 2, 1000, 1 << 20] {
        let q = without_small_factors(&p + distance);
        assert_eq!(weakness(&(&p * q)), Some(Weakness::ClosePrimes), "{distance}");
    }
    // The upper half agrees: still found. A few bits less: no longer, nor does anybody else's search.
    let half = without_small_factors(&p + (BigUint::from(1_u32) << 515_u32));
    assert_eq!(weakness(&(&p * half)), Some(Weakness::ClosePrimes));
    let less = without_small_factors(&p + (BigUint::from(1_u32) << 530_u32));
    assert_eq!(weakness(&(&p * less)), None);
}

/// Fact 19: a point that is none, or is compressed.
#[test]
fn elliptic_keys_are_points_of_their_curve() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P521_SHA512] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let good = key.subject_public_key_info();
        let (header, key) = good.split_at(good.len() - key.der_bytes().len());
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut point = key.to_vec();
            change(&mut point);
            // The lengths before it stay right: the point keeps its size.
            check(&[header, &point].concat())
        };
        assert_eq!(with(&|_| ()), Ok(()));
        assert_eq!(with(&|point| *point.last_mut().unwrap() ^= 1), Err(Weakness::NotOnCurve));
        assert_eq!(with(&|point| point[0] = 0), Err(Weakness::NotOnCurve));
        assert_eq!(with(&|point| point[0] = 6), Err(Weakness::NotOnCurve), "hybrid");
        assert_eq!(with(&|point| point[1..].fill(0)), Err(Weakness::NotOnCurve));
        assert_eq!(with(&|point| point[1..].fill(0xff)), Err(Weakness::NotOnCurve));
        assert_eq!(with(&|point| point[0] = 2), Err(Weakness::Compressed));
        // The point at infinity is one octet.
        let start = if good[1] < 0x80 { 2 } else { 3 };
        let algorithm = &good[start..start + 2 + usize::from(good[start + 1])];
        let infinity = tlv(SEQUENCE, &[algorithm, &tlv(0x03, &[&[0, 0]])]);
        assert_eq!(check(&infinity), Err(Weakness::NotOnCurve));
    }
}

/// Fact 19: points of Ed25519 that everybody can sign for, and second encodings of a coordinate.
#[test]
fn ed25519_keys_are_of_large_order_and_canonical() {
    let good = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().subject_public_key_info();
    let with = |point: &[u8; 32]| check(&[&good[..12], point].concat());
    let mut small = vec![[0; 32], [0; 32], [0xff; 32]];
    small[1][0] = 1;
    small[2][0] = 0xec;
    small[2][31] = 0x7f;
    for hex in [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ] {
        small.push(BigUint::parse_bytes(hex.as_bytes(), 16).unwrap().to_bytes_be().try_into().unwrap());
    }
    for mut point in small {
        assert_eq!(with(&point), Err(Weakness::SmallOrder), "{point:x?}");
        point[31] |= 0x80;
        assert_eq!(with(&point), Err(Weakness::SmallOrder), "{point:x?}");
    }
    // p itself and what follows are 0 to 18 once more.
    for low in 0xed..=0xff {
        let mut point = [0xff; 32];
        point[0] = low;
        assert_eq!(with(&point), Err(Weakness::NotCanonical));
        point[31] = 0x7f;
        assert_eq!(with(&point), Err(Weakness::NotCanonical));
    }
}

#[test]
fn what_is_no_key_is_refused() {
    for key in [&[][..], &[0x30, 0], &tlv(SEQUENCE, &[&tlv(SEQUENCE, &[]), &tlv(0x03, &[&[0]])]), b"garbage"] {
        assert_eq!(check(key), Err(Weakness::Unreadable));
    }
    let mut trailing = rsa(&sound(2048), 65537);
    trailing.push(0);
    assert_eq!(check(&trailing), Err(Weakness::Unreadable));
}

/// Fact 19: a request with a weak key fails, for good, though its signature is right; the rule says what it saw.
#[test]
fn a_weak_key_fails_its_request() {
    let ca = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    for (csr, weakness) in [
        (
            include_str!("../data/rsa-1024.csr"),
            "its RSA modulus has 1024 bits; 2048 to 8192, in whole octets, are accepted",
        ),
        (include_str!("../data/p-256-compressed.csr"), "its elliptic-curve point is compressed"),
        (include_str!("../data/rsa-e3.csr"), "its RSA exponent is not 65537"),
    ] {
        let Decision::Fail(error) = decide(&request(csr), &ready(&ca), now()) else { panic!("signed: {weakness}") };
        assert_eq!(error.class(), Class::Permanent);
        assert_eq!(error.to_string(), format!("the request's public key is refused: {weakness}; make a new key"));
    }
    let csr = include_str!("../data/rsa-e3.csr");
    let findings = explain(&request(csr), &ready(&ca), now());
    let finding = findings.iter().find(|finding| finding.rule == "the public key is sound").unwrap();
    assert_eq!(finding.saw, "RSA of 2048 bits");
    assert_eq!(finding.verdict, Verdict::Broken(Error::WeakKey(Weakness::Exponent)));
}

/// Fact 19: a CA with a weak key is the issuer's fault: it turns not ready.
#[test]
fn a_ca_with_a_weak_key_is_none() {
    let refused =
        crate::support::read(include_str!("../data/ca-rsa-e3.crt"), include_str!("../data/ca-rsa-e3.key"), None)
            .unwrap_err();
    assert_eq!(refused.class(), Class::Issuer);
    assert!(refused.to_string().contains("\"CN=weak\": its public key is refused: its RSA exponent is not 65537"));
}

/// Fact 19: known keys are refused by their hash, in requests and in the CA.
#[test]
fn known_keys_are_refused() {
    let ca = root("CA", &rcgen::PKCS_ECDSA_P256_SHA256);
    let authority = authority(&ca);
    let (known, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let hash = |key: &KeyPair| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let with = |refused: &KeyPair, asks: &KeyPair| {
        let settings = Settings { refused_keys: BTreeSet::from([hash(refused)]), ..Settings::default() };
        let csr = csr_with(asks, |_| {});
        decide(&request(&csr), &Issuer::Ready { authority: &authority, settings: &settings }, now())
    };
    assert_eq!(with(&known, &known), Decision::Fail(Error::WeakKey(Weakness::Refused(hash(&known)))));
    assert!(matches!(with(&known, &other), Decision::Sign(_)));
    let waits = with(ca.key(), &other);
    assert!(matches!(&waits, Decision::Wait(Wait::IssuerNotReady(why)) if why.contains(&hash(ca.key()))), "{waits:?}");
}
