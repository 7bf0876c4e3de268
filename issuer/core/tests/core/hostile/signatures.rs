//! Signatures that prove nothing: the request's key has not signed the request (fact 10).

use num_bigint::BigUint;
use rcgen::{KeyPair, SigningKey};

use crate::support::{SEQUENCE, key, tlv};

use super::{
    Attempt, Case, Forge, case,
    forge::{ECDSA_SHA256, ED25519, KEY, RSA_KEY, RSA_SHA256, Rsa, integer, prime_2048, spki},
};

const REFUSED: &str = "signature does not match its public key";

pub(super) fn cases() -> Vec<Case> {
    let changed = |place: fn(usize) -> usize| {
        let mut der = Forge::new().der();
        let place = place(der.len());
        der[place] ^= 1;
        Attempt::der(&der)
    };
    let forged = |part: fn(&mut Forge)| {
        // Signed as it was, then changed.
        let good = Forge::new();
        let info = good.der();
        let signature = info[info.len() - signature_length(&info)..].to_vec();
        let mut other = Forge { sign: Box::new(move |_| signature.clone()), ..good };
        part(&mut other);
        other
    };
    let rewritten = |change: fn(&[u8]) -> Vec<u8>| Forge {
        sign: Box::new(move |info| [vec![0], change(&KEY.sign(info).unwrap())].concat()),
        ..Forge::new()
    };
    let numbers = |r: &[u8], s: &[u8]| {
        let signature = [vec![0], tlv(SEQUENCE, &[&tlv(2, &[r]), &tlv(2, &[s])])].concat();
        Forge { sign: Box::new(move |_| signature.clone()), ..Forge::new() }
    };
    let rsa = |sign: fn(&Rsa, &[u8]) -> Vec<u8>| {
        let key = Rsa::of(&[prime_2048()], 65537);
        Forge {
            key: spki(RSA_KEY, &key.public()),
            algorithm: RSA_SHA256.to_vec(),
            sign: Box::new(move |info| [vec![0], sign(&key, info)].concat()),
            ..Forge::new()
        }
    };
    let edwards = |sign: fn(Vec<u8>) -> Vec<u8>| {
        let key = key(&rcgen::PKCS_ED25519);
        Forge {
            key: spki(ED25519, key.public_key_raw()),
            algorithm: ED25519.to_vec(),
            sign: Box::new(move |info| [vec![0], sign(key.sign(info).unwrap())].concat()),
            ..Forge::new()
        }
    };
    let stranger = KeyPair::generate().unwrap();
    let order = b"\x00\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
    vec![
        case("no signature", Forge::signature(&[0]), REFUSED),
        case("a BIT STRING without its first octet", Forge::signature(&[]), "DER"),
        case("a signature with an unused bit", rewritten(|signature| signature.to_vec()).unused(1), REFUSED),
        case("a signature with seven unused bits", rewritten(|signature| signature.to_vec()).unused(7), REFUSED),
        case("a signature with eight unused bits", rewritten(|signature| signature.to_vec()).unused(8), "DER"),
        case("64 zero octets", Forge::signature(&[0; 65]), REFUSED),
        case(
            "another key's signature",
            Forge { sign: Box::new(move |info| [vec![0], stranger.sign(info).unwrap()].concat()), ..Forge::new() },
            REFUSED,
        ),
        case(
            "a signature over something else",
            Forge { sign: Box::new(|_| [vec![0], KEY.sign(b"another").unwrap()].concat()), ..Forge::new() },
            REFUSED,
        ),
        case(
            "a signature over a part of it",
            Forge { sign: Box::new(|info| [vec![0], KEY.sign(&info[4..]).unwrap()].concat()), ..Forge::new() },
            REFUSED,
        ),
        case("a signature with another last bit", changed(|length| length - 1), REFUSED),
        case(
            "a subject changed after it was signed",
            forged(|forge| forge.subject = Forge::subject(&[(3, 0x0c, b"db2")]).subject),
            REFUSED,
        ),
        case(
            "names changed after they were signed",
            forged(|forge| forge.attributes = Forge::names(&[(0x82, b"other.example")]).attributes),
            REFUSED,
        ),
        case("extensions taken off after they were signed", forged(|forge| forge.attributes = tlv(0xa0, &[])), REFUSED),
        case(
            "a key changed after it was signed",
            forged(|forge| forge.key = rcgen::PublicKeyData::subject_public_key_info(&KeyPair::generate().unwrap())),
            REFUSED,
        ),
        case("the same signature twice", rewritten(|signature| signature.repeat(2)), REFUSED),
        case("a byte after the signature's numbers", rewritten(|signature| [signature, &[0]].concat()), REFUSED),
        case(
            "a third number in the signature",
            rewritten(|signature| tlv(SEQUENCE, &[&signature[2..], &[2, 1, 1]])),
            REFUSED,
        ),
        case("its two numbers exchanged", rewritten(exchanged), REFUSED),
        case("its numbers without DER", rewritten(|signature| halves(signature).concat()), REFUSED),
        case("a leading zero in the signature", rewritten(zero_led), REFUSED),
        case(
            "its length in the long form",
            rewritten(|signature| [&[SEQUENCE, 0x81], &signature[1..]].concat()),
            REFUSED,
        ),
        case(
            "its length in the indefinite form",
            rewritten(|signature| [&[SEQUENCE, 0x80], &signature[2..], &[0, 0]].concat()),
            REFUSED,
        ),
        case("r and s are zero", numbers(&[0], &[0]), REFUSED),
        case("r is zero", numbers(&[0], &[1]), REFUSED),
        case("s is zero", numbers(&[1], &[0]), REFUSED),
        case("r and s are one", numbers(&[1], &[1]), REFUSED),
        case("r and s are minus one", numbers(&[0xff], &[0xff]), REFUSED),
        case("r and s are the order of the curve", numbers(order, order), REFUSED),
        case("r and s are longer than the curve", numbers(&[1; 40], &[1; 40]), REFUSED),
        case("RSA: zero", rsa(|_, _| vec![0; 256]), REFUSED),
        case("RSA: one", rsa(|_, _| [vec![0; 255], vec![1]].concat()), REFUSED),
        case("RSA: without its first octet", rsa(|key, info| key.sign(info)[1..].to_vec()), REFUSED),
        case("RSA: with a zero before it", rsa(|key, info| [vec![0], key.sign(info)].concat()), REFUSED),
        case(
            "RSA: not reduced",
            rsa(|key, info| (BigUint::from_bytes_be(&key.sign(info)) + &key.modulus).to_bytes_be()),
            REFUSED,
        ),
        case("RSA: the bare hash", rsa(|key, info| key.raw(hash(info).as_ref())), REFUSED),
        case("RSA: a DigestInfo without NULL", rsa(|key, info| key.raw(&digest_info(b"", info, b""))), REFUSED),
        case(
            "RSA: a DigestInfo with something after it",
            rsa(|key, info| key.raw(&digest_info(&[5, 0], info, &[0; 100]))),
            REFUSED,
        ),
        case(
            "RSA: a DigestInfo of another hash",
            rsa(|key, _| key.raw(&digest_info(&[5, 0], b"another", b""))),
            REFUSED,
        ),
        case(
            "RSA: the exponent's inverse is not used",
            rsa(|key, info| {
                BigUint::from_bytes_be(hash(info).as_ref()).modpow(&key.exponent, &key.modulus).to_bytes_be()
            }),
            REFUSED,
        ),
        case(
            "RSA: an integer in place of octets",
            rsa(|key, info| integer(&BigUint::from_bytes_be(&key.sign(info)))),
            REFUSED,
        ),
        case("Ed25519: S beyond the group's order", edwards(beyond_order), REFUSED),
        case("Ed25519: R and S exchanged", edwards(|signature| [&signature[32..], &signature[..32]].concat()), REFUSED),
        case("Ed25519: 63 octets", edwards(|signature| signature[..63].to_vec()), REFUSED),
        case("Ed25519: 65 octets", edwards(|signature| [signature, vec![0]].concat()), REFUSED),
        case("Ed25519: zero", edwards(|_| vec![0; 64]), REFUSED),
        case(
            "ECDSA with SHA-384 that says SHA-512",
            Forge { algorithm: [&ECDSA_SHA256[..11], &[4]].concat(), ..Forge::new() },
            REFUSED,
        ),
    ]
}

impl Forge {
    /// The same with this number of unused bits in its signature.
    fn unused(self, bits: u8) -> Self {
        let sign = self.sign;
        let sign = move |info: &[u8]| {
            let mut content = sign(info);
            content[0] = bits;
            // So that what is left over is zero, as it should be.
            if let (1..8, Some(last)) = (bits, content.last_mut()) {
                *last &= 0xff << 1;
            }
            content
        };
        Self { sign: Box::new(sign), ..self }
    }
}

fn hash(message: &[u8]) -> aws_lc_rs::digest::Digest {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message)
}

/// DigestInfo with these parameters of its algorithm, and something after its octets.
fn digest_info(parameters: &[u8], message: &[u8], after: &[u8]) -> Vec<u8> {
    let algorithm = tlv(SEQUENCE, &[b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01", parameters]);
    tlv(SEQUENCE, &[&algorithm, &tlv(0x04, &[hash(message).as_ref()]), after])
}

/// Octets of the BIT STRING's content at the end of a request.
fn signature_length(request: &[u8]) -> usize {
    // An ECDSA signature is short: its BIT STRING has a tag, one octet of length, and the unused bits.
    (60..80)
        .find(|length| request[request.len() - length - 2..].starts_with(&[0x03, u8::try_from(*length).unwrap(), 0]))
        .unwrap()
}

/// Its two integers, whole.
fn integers(signature: &[u8]) -> (&[u8], &[u8]) {
    signature[2..].split_at(2 + usize::from(signature[3]))
}

fn exchanged(signature: &[u8]) -> Vec<u8> {
    let (r, s) = integers(signature);
    tlv(SEQUENCE, &[s, r])
}

fn zero_led(signature: &[u8]) -> Vec<u8> {
    let (r, s) = integers(signature);
    tlv(SEQUENCE, &[&tlv(2, &[&[0], &r[2..]]), s])
}

/// r and s of 32 octets each.
fn halves(signature: &[u8]) -> [Vec<u8>; 2] {
    let (r, s) = integers(signature);
    [r, s].map(|number| {
        let bytes = BigUint::from_bytes_be(&number[2..]).to_bytes_be();
        [vec![0; 32 - bytes.len()], bytes].concat()
    })
}

/// S + L, which verifies where S is not checked to be reduced.
fn beyond_order(signature: Vec<u8>) -> Vec<u8> {
    let order =
        BigUint::parse_bytes(b"7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
            .unwrap();
    let s = BigUint::from_bytes_le(&signature[32..]) + order;
    let mut bytes = s.to_bytes_le();
    bytes.resize(32, 0);
    [&signature[..32], &bytes].concat()
}
