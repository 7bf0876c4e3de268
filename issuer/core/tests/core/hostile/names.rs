//! Subject alternative names that are not what they look like, or nothing at all (fact 13).

use crate::support::{SEQUENCE, extension, tlv};

use super::{Case, Forge, case, forge::names};

const SAN: &str = "subject alternative name";

const ADDRESS: &str = "an IP address has neither 4 octets nor 16";

pub(super) fn cases() -> Vec<Case> {
    let one = |tag, value: &[u8]| Forge::names(&[(tag, value)]);
    let raw = |value: &[u8]| Forge::extensions(&[extension(17, false, value)]);
    vec![
        case("names without content", raw(&[]), SAN),
        case("names that are a set", raw(&tlv(0x31, &[&[0x82, 1, b'a']])), SAN),
        case("names that are a string", raw(&tlv(0x0c, &[b"DNS:a"])), SAN),
        case("something after the names", raw(&[names(&[(0x82, b"a.example")]), vec![0]].concat()), SAN),
        case(
            "names with a length in the long form",
            raw(&[&[SEQUENCE, 0x81, 3], [0x82, 1, b'a'].as_slice()].concat()),
            SAN,
        ),
        case("names of indefinite length", raw(&[SEQUENCE, 0x80, 0x82, 1, b'a', 0, 0]), SAN),
        case("a name with a length in the long form", raw(&[SEQUENCE, 4, 0x82, 0x81, 1, b'a']), SAN),
        case("a name that is cut", raw(&[SEQUENCE, 3, 0x82, 2, b'a']), SAN),
        case("a name of a kind that does not exist", one(0x89, b"a"), SAN),
        case("a name that is a UTF8String", one(0x0c, b"a.example"), SAN),
        case("a DNS name in pieces", one(0xa2, &[0x82, 1, b'a']), SAN),
        case("a DNS name beyond ASCII", one(0x82, "ä.example".as_bytes()), SAN),
        case("a DNS name with a look-alike", one(0x82, "раypal.example".as_bytes()), SAN),
        case("an X.400 address", one(0xa3, &[SEQUENCE, 0]), SAN),
        case("a directory name without its sequence", one(0xa4, &[5, 0]), SAN),
        case("a directory name in the indefinite form", one(0xa4, &[SEQUENCE, 0x80, 0, 0]), SAN),
        case("another name without content", one(0xa0, &[]), SAN),
        case("another name without a value", one(0xa0, &[6, 2, 0x2a, 3]), SAN),
        case("another name whose value is not tagged", one(0xa0, &[6, 2, 0x2a, 3, 0x0c, 1, b'a']), SAN),
        case("a registered id without arcs", one(0x88, &[]), SAN),
        case(
            "another name whose type has leading zeros",
            one(0xa0, &[6, 3, 0x2a, 0x80, 3, 0xa0, 3, 0x0c, 1, b'a']),
            "more octets",
        ),
        case("a registered id with leading zeros", one(0x88, &[0x2a, 0x80, 3]), "more octets"),
        case("an address without octets", one(0x87, &[]), ADDRESS),
        case("an address of 3 octets", one(0x87, &[10, 0, 0]), ADDRESS),
        case("an address of 5 octets", one(0x87, &[10, 0, 0, 0, 1]), ADDRESS),
        case("an address with its mask", one(0x87, &[10, 0, 0, 0, 255, 0, 0, 0]), ADDRESS),
        case("an address of 15 octets", one(0x87, &[1; 15]), ADDRESS),
        case("an address of 32 octets", one(0x87, &[1; 32]), ADDRESS),
        case("an address as text", one(0x87, b"10.0.0.1"), ADDRESS),
        case("a good name before a bad one", Forge::names(&[(0x82, b"a.example"), (0x87, &[1])]), ADDRESS),
        case("an email beyond ASCII", one(0x81, "ü@example.com".as_bytes()), SAN),
        case("a URI beyond ASCII", one(0x86, "spiffe://ü/".as_bytes()), SAN),
    ]
}
