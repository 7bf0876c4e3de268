//! DER that is none, or that is not a PKCS #10 request (RFC 2986, X.690 clause 10): by hand where each fault has its words.

use std::slice;

use crate::support::{SEQUENCE, SET, extension, extension_request, tlv};

use super::{
    Attempt, Case, Forge, case,
    forge::{ED25519, asking, names, spki},
};

pub(super) fn cases() -> Vec<Case> {
    let good = Forge::new().der();
    let version = |bytes: &[u8]| Forge { version: bytes.to_vec(), ..Forge::new() };
    let attributes = |bytes: &[u8]| Forge { attributes: bytes.to_vec(), ..Forge::new() };
    let san = extension(17, false, &names(&[(0x82, b"db.example.com")]));
    let request = extension_request(slice::from_ref(&san));
    let flagged = |flag: &[u8]| {
        let id = tlv(0x06, &[&[0x55, 0x1d, 17]]);
        Forge::extensions(&[tlv(SEQUENCE, &[&id, flag, &tlv(0x04, &[&names(&[(0x82, b"db.example.com")])])])])
    };
    let extension_request_id = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e";
    vec![
        case("an empty sequence", Attempt::der(&[SEQUENCE, 0]), "DER"),
        case("a single byte", Attempt::der(&[SEQUENCE]), "DER"),
        case("the end of contents", Attempt::der(&[0, 0]), "DER"),
        case("a length of 4 GiB", Attempt::der(b"\x30\x84\xff\xff\xff\xff\x00"), "DER"),
        case("a length of 127 octets", Attempt::der(&[0x30, 0xff, 0x01]), "DER"),
        case("a hundred sequences in each other", Attempt::der(&nested(100)), "DER"),
        case("ten thousand sequences in each other", Attempt::der(&nested(10_000)), "DER"),
        case("a request that is cut in half", Attempt::der(&good[..good.len() / 2]), "DER"),
        case("a byte after the request", Attempt::der(&[good.as_slice(), &[0]].concat()), "trailing data"),
        case(
            "another request after the request",
            Attempt::der(&[good.clone(), good.clone()].concat()),
            "trailing data",
        ),
        case("a request within a sequence", Attempt::der(&tlv(SEQUENCE, &[&good])), "DER"),
        case("version 2", version(&[2, 1, 1]), "version 2 instead of 1"),
        case("version 3, as certificates have", version(&[2, 1, 2]), "version 3 instead of 1"),
        case("version 256", version(&[2, 1, 0xff]), "DER"),
        case("a version below zero", version(&[2, 2, 0xff, 0x7f]), "DER"),
        case("a version with a leading zero", version(&[2, 2, 0, 0]), "DER"),
        case("a version without content", version(&[2, 0]), "DER"),
        case("a version of 40 octets", version(&tlv(2, &[&[1; 40]])), "DER"),
        case("a version that is a boolean", version(&[1, 1, 0]), "DER"),
        case("no version", version(&[]), "DER"),
        case("a tagged version, as certificates have", version(&[0xa0, 3, 2, 1, 0]), "DER"),
        case("attributes that are no set", attributes(&tlv(0xa0, &[&[5, 0]])), "DER"),
        case("attributes under their own tag", attributes(&tlv(SET, &[&request])), "DER"),
        case("attributes under another tag", attributes(&tlv(0xa1, &[&request])), "DER"),
        case("attributes twice", attributes(&asking(slice::from_ref(&san)).repeat(2)), "DER"),
        case(
            "something after the attributes",
            attributes(&[asking(slice::from_ref(&san)), vec![5, 0]].concat()),
            "DER",
        ),
        case(
            "an attribute with a third element",
            attributes(&tlv(0xa0, &[&tlv(SEQUENCE, &[extension_request_id, &tlv(SET, &[]), &[5, 0]])])),
            "DER",
        ),
        case(
            "extensionRequest without a value",
            attributes(&tlv(0xa0, &[&tlv(SEQUENCE, &[extension_request_id, &tlv(SET, &[])])])),
            "not exactly one value",
        ),
        case(
            "extensionRequest with two values",
            attributes(&tlv(
                0xa0,
                &[&tlv(SEQUENCE, &[extension_request_id, &tlv(SET, &[&[SEQUENCE, 0], &tlv(SEQUENCE, &[&san])])])],
            )),
            "not exactly one value",
        ),
        case(
            "extensionRequest whose value is no list",
            attributes(&tlv(0xa0, &[&tlv(SEQUENCE, &[extension_request_id, &tlv(SET, &[&[5, 0]])])])),
            "extensionRequest:",
        ),
        case("extensionRequest twice", attributes(&tlv(0xa0, &[&request, &request])), "given twice"),
        case(
            "two different extensionRequests",
            attributes(&tlv(0xa0, &[&extension_request(&[extension(15, true, &[3, 2, 5, 0xa0])]), &request])),
            "given twice",
        ),
        case("TRUE as 0x01", flagged(&[1, 1, 1]), "extensionRequest:"),
        case("TRUE of two octets", flagged(&[1, 2, 0xff, 0xff]), "extensionRequest:"),
        case("FALSE, which is the default, written out", flagged(&[1, 1, 0]), "it is BER, not DER"),
        case("critical as an integer", flagged(&[2, 1, 1]), "extensionRequest:"),
        case("a key without content", Forge { key: vec![SEQUENCE, 0], ..Forge::new() }, "public key is not DER"),
        case("a key that is a string", Forge { key: vec![0x0c, 1, b'k'], ..Forge::new() }, "DER"),
        case(
            "something after the key's bits",
            Forge { key: tlv(SEQUENCE, &[ED25519, &tlv(0x03, &[&[0; 33]]), &[5, 0]]), ..Forge::new() },
            "public key is not DER",
        ),
        case(
            "a key with unused bits",
            Forge {
                key: tlv(SEQUENCE, &[ED25519, &tlv(0x03, &[&[3; 33]])]),
                algorithm: ED25519.to_vec(),
                ..Forge::new()
            },
            "public key is not DER",
        ),
        case(
            "a key with a long form of its length",
            Forge { key: long_form(&spki(ED25519, &[1; 32])), ..Forge::new() },
            "DER",
        ),
    ]
}

/// So many sequences, each the only content of the one before.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inner, _| tlv(SEQUENCE, &[&inner]))
}

/// The same short element with a length in a form longer than needed.
fn long_form(element: &[u8]) -> Vec<u8> {
    [&[element[0], 0x81], &element[1..]].concat()
}
