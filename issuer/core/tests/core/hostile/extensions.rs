//! Extensions that are asked for in a way that cannot be granted, or not as the spec says (facts 11, 14).

use crate::support::{SEQUENCE, extension, tlv};

use super::{Attempt, Case, Forge, case, forge::names};

const TRUE: &[u8] = &[1, 1, 0xff];
const SERVER: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
const CLIENT: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02";
/// digital signature and key encipherment.
const DEFAULT: &[u8] = &[3, 2, 5, 0xa0];

fn asked(extensions: &[Vec<u8>], usages: &[&str], is_ca: bool) -> Attempt {
    Attempt {
        usages: usages.iter().map(|usage| (*usage).to_owned()).collect(),
        is_ca,
        ..Forge::extensions(extensions).into()
    }
}

pub(super) fn cases() -> Vec<Case> {
    let key = |value: &[u8]| extension(15, true, value);
    let extended = |oids: &[&[u8]]| extension(37, false, &tlv(SEQUENCE, oids));
    let basic = |value: &[&[u8]]| extension(19, true, &tlv(SEQUENCE, value));
    let plain = |extensions: &[Vec<u8>]| Forge::extensions(extensions);
    let constraints = |lists: &[&[u8]]| asked(&[extension(30, true, &tlv(SEQUENCE, lists))], &[], true);
    let permitted =
        |tag, base: &[u8], more: &[u8]| constraints(&[&tlv(0xa0, &[&tlv(SEQUENCE, &[&tlv(tag, &[base]), more])])]);
    let san = extension(17, false, &names(&[(0x82, b"a.example")]));
    let server_first: &[&str] = &["digital signature", "key encipherment", "server auth", "client auth"];
    vec![
        case("an extension without a value", plain(&[tlv(SEQUENCE, &[&[6, 3, 0x55, 0x1d, 17]])]), "extensionRequest:"),
        case(
            "an extension whose value is a BIT STRING",
            plain(&[tlv(SEQUENCE, &[&[6, 3, 0x55, 0x1d, 17], &[3, 1, 0]])]),
            "extensionRequest:",
        ),
        case("an extension without an id", plain(&[tlv(SEQUENCE, &[&[4, 0]])]), "extensionRequest:"),
        case(
            "an extension with something after its value",
            plain(&[tlv(SEQUENCE, &[&[6, 3, 0x55, 0x1d, 17], &[4, 0], &[5, 0]])]),
            "extensionRequest:",
        ),
        case("an extension in place of a list", plain(&[vec![6, 3, 0x55, 0x1d, 17]]), "extensionRequest:"),
        case("names twice", plain(&[san.clone(), san.clone()]), "2.5.29.17 is given twice"),
        case(
            "names twice, far apart",
            plain(&[san.clone(), key(DEFAULT), extended(&[SERVER]), san]),
            "2.5.29.17 is given twice",
        ),
        case("key usage twice", plain(&[key(DEFAULT), key(DEFAULT)]), "2.5.29.15 is given twice"),
        case(
            "basic constraints first false, then true",
            plain(&[basic(&[]), basic(&[TRUE])]),
            "2.5.29.19 is given twice",
        ),
        case(
            "an unknown extension twice",
            plain(&[extension(99, false, &[5, 0]), extension(99, true, &[5, 0])]),
            "2.5.29.99 is given twice",
        ),
        case("key usage that is a number", plain(&[key(&[2, 1, 0xa0])]), "key usage:"),
        case("key usage without content", plain(&[key(&[])]), "key usage:"),
        case("key usage of a thousand bits", plain(&[key(&tlv(3, &[&[0], [0xff; 125].as_slice()]))]), "key usage:"),
        case("key usage with zeros at its end", plain(&[key(&[3, 2, 0, 0xa0])]), "key usage: it is BER, not DER"),
        case(
            "key usage with an octet of zeros at its end",
            plain(&[key(&[3, 3, 0, 0xa0, 0])]),
            "key usage: it is BER, not DER",
        ),
        case(
            "key usage with a bit that does not exist",
            plain(&[key(&[3, 3, 6, 0xa0, 0x40])]),
            "key usage: it is BER, not DER",
        ),
        case("key usage with unused bits that are set", plain(&[key(&[3, 2, 5, 0xbf])]), "key usage:"),
        case("key usage with something after it", plain(&[key(&[3, 2, 5, 0xa0, 0])]), "key usage:"),
        case("extended key usage without any", plain(&[extended(&[])]), "extended key usage: it is empty"),
        case("extended key usage that is one OID", plain(&[extension(37, false, SERVER)]), "extended key usage:"),
        case("extended key usage with an OID of no arcs", plain(&[extended(&[&[6, 0]])]), "extended key usage:"),
        case("extended key usage with a string", plain(&[extended(&[&[0x0c, 1, b'a']])]), "extended key usage:"),
        case("basic constraints that are a truth", plain(&[extension(19, true, TRUE)]), "basic constraints:"),
        case("basic constraints with 0x01 for TRUE", plain(&[basic(&[&[1, 1, 1]])]), "basic constraints:"),
        case(
            "basic constraints with FALSE written out",
            plain(&[basic(&[&[1, 1, 0]])]),
            "basic constraints: it is BER, not DER",
        ),
        case(
            "basic constraints with a path length below zero",
            asked(&[basic(&[TRUE, &[2, 1, 0xff]])], &[], true),
            "basic constraints:",
        ),
        case(
            "basic constraints with a path length of 2^32",
            asked(&[basic(&[TRUE, &[2, 5, 1, 0, 0, 0, 0]])], &[], true),
            "basic constraints:",
        ),
        case(
            "basic constraints with a leading zero",
            asked(&[basic(&[TRUE, &[2, 2, 0, 3]])], &[], true),
            "basic constraints:",
        ),
        case(
            "basic constraints with a third element",
            asked(&[basic(&[TRUE, &[2, 1, 3], &[5, 0]])], &[], true),
            "basic constraints:",
        ),
        case(
            "a CA where none is asked for",
            plain(&[basic(&[TRUE])]),
            "the request encodes isCA true, but its spec asks for false",
        ),
        case(
            "a CA with a path length where none is asked for",
            plain(&[basic(&[TRUE, &[2, 1, 0]])]),
            "encodes isCA true",
        ),
        case("no CA where one is asked for", asked(&[basic(&[])], &[], true), "encodes isCA false"),
        case("cert sign where it is not asked for", plain(&[key(&[3, 2, 2, 0xa4])]), "the request encodes key usage"),
        case(
            "every key usage where two are asked for",
            plain(&[key(&[3, 3, 7, 0xff, 0x80])]),
            "the request encodes key usage",
        ),
        case("one key usage too few", plain(&[key(&[3, 2, 7, 0x80])]), "the request encodes key usage"),
        case(
            "no bit of key usage where some are asked for",
            plain(&[key(&[3, 1, 0])]),
            "the request encodes key usage",
        ),
        case(
            "extended key usage where none is asked for",
            plain(&[key(DEFAULT), extended(&[SERVER])]),
            "encodes extended key usage",
        ),
        case(
            "any extended key usage where none is asked for",
            plain(&[key(DEFAULT), extended(&[&[6, 4, 0x55, 0x1d, 0x25, 0]])]),
            "encodes extended key usage any",
        ),
        case(
            "extended key usages in another order",
            asked(&[key(DEFAULT), extended(&[CLIENT, SERVER])], server_first, false),
            "encodes extended key usage client auth, server auth",
        ),
        case(
            "one extended key usage too few",
            asked(&[key(DEFAULT), extended(&[SERVER])], server_first, false),
            "encodes extended key usage server auth",
        ),
        case(
            "one extended key usage twice",
            asked(&[key(DEFAULT), extended(&[SERVER, SERVER, CLIENT])], server_first, false),
            "encodes extended key usage",
        ),
        case(
            "key usage alone where extended ones are asked for",
            asked(&[key(DEFAULT)], server_first, false),
            "encodes extended key usage none",
        ),
        case(
            "extended key usage alone where others are asked for",
            asked(&[extended(&[SERVER, CLIENT])], server_first, false),
            "encodes key usage none",
        ),
        case("name constraints without content", asked(&[extension(30, true, &[])], &[], true), "name constraints:"),
        case("name constraints that constrain nothing", constraints(&[]), "name constraints: they constrain nothing"),
        case(
            "name constraints with an empty list",
            constraints(&[&[0xa0, 0]]),
            "name constraints: they constrain nothing",
        ),
        case(
            "name constraints with lists in another order",
            constraints(&[&[0xa1, 0], &[0xa0, 0]]),
            "name constraints:",
        ),
        case(
            "name constraints with a subtree without base",
            constraints(&[&tlv(0xa0, &[&[SEQUENCE, 0]])]),
            "name constraints:",
        ),
        case(
            "name constraints with a minimum",
            permitted(0x82, b"a.example", &[0x80, 1, 1]),
            "a subtree has a minimum",
        ),
        case(
            "name constraints with the default minimum",
            permitted(0x82, b"a.example", &[0x80, 1, 0]),
            "it is BER, not DER",
        ),
        case("name constraints with a maximum", permitted(0x82, b"a.example", &[0x81, 1, 1]), "a maximum"),
        case(
            "name constraints with an address for a range",
            permitted(0x87, &[10, 0, 0, 1], &[]),
            "an IP range is not",
        ),
        case(
            "name constraints with a mask that has a hole",
            permitted(0x87, &[10, 0, 0, 0, 0xff, 0, 0xff, 0], &[]),
            "an IP range is not",
        ),
        case("name constraints with a range of 9 octets", permitted(0x87, &[0; 9], &[]), "an IP range is not"),
        case(
            "name constraints that are not asked for and not read",
            plain(&[extension(30, true, &[5, 0])]),
            "name constraints:",
        ),
        case("name constraints beyond ASCII", permitted(0x82, "ä.example".as_bytes(), &[]), "name constraints:"),
    ]
}
