//! Subjects that no verifier reads, or that hide what they say (facts 8, 13).

use crate::support::{SEQUENCE, SET, rdn, tlv};

use super::{Case, Forge, case};

const NO_TEXT: &str = "is not text of a kind that is read";

pub(super) fn cases() -> Vec<Case> {
    let raw = |rdns: &[&[u8]]| Forge { subject: tlv(SEQUENCE, rdns), ..Forge::new() };
    let cn = |tag, value: &[u8]| Forge::subject(&[(3, tag, value)]);
    let organization = |tag, value: &[u8]| Forge::subject(&[(10, tag, value), (3, 0x0c, b"db")]);
    let type_and = |parts: &[&[u8]]| raw(&[&tlv(SET, &[&tlv(SEQUENCE, parts)])]);
    let cn_id = &[6, 3, 0x55, 4, 3];
    vec![
        case("neither subject nor names", Forge { attributes: tlv(0xa0, &[]), ..raw(&[]) }, "names nobody"),
        case(
            "an empty subject and empty names",
            Forge { attributes: Forge::names(&[]).attributes, ..raw(&[]) },
            "names nobody",
        ),
        case("a subject that is a set", Forge { subject: tlv(SET, &[]), ..Forge::new() }, "DER"),
        case("a subject that is a string", Forge { subject: tlv(0x0c, &[b"CN=db"]), ..Forge::new() }, "DER"),
        case("an RDN without attributes", raw(&[&[SET, 0]]), "relative distinguished name is empty"),
        case(
            "an RDN without attributes after another",
            raw(&[&rdn(&[(3, 0x0c, b"db")]), &[SET, 0]]),
            "relative distinguished name is empty",
        ),
        case(
            "an RDN that is a sequence",
            raw(&[&tlv(SEQUENCE, &[&tlv(SEQUENCE, &[cn_id, &[0x0c, 1, b'a']])])]),
            "subject:",
        ),
        case(
            "an RDN whose attributes are not in order",
            raw(&[&rdn(&[(11, 0x0c, b"longer"), (3, 0x0c, b"db")])]),
            "it is BER, not DER",
        ),
        case("an attribute without a value", type_and(&[cn_id]), "subject:"),
        case("an attribute with two values", type_and(&[cn_id, &[0x0c, 1, b'a'], &[0x0c, 1, b'b']]), "subject:"),
        case("an attribute without a type", type_and(&[&[0x0c, 1, b'a']]), "subject:"),
        case("an attribute whose type has no arcs", type_and(&[&[6, 0], &[0x0c, 1, b'a']]), "subject:"),
        case("an attribute whose type is cut", type_and(&[&[6, 2, 0x55, 0x84], &[0x0c, 1, b'a']]), "subject:"),
        case(
            "an attribute whose type has leading zeros",
            type_and(&[&[6, 4, 0x55, 4, 0x80, 3], &[0x0c, 1, b'a']]),
            "more octets than it needs",
        ),
        case("a string with a length in the long form", type_and(&[cn_id, &[0x0c, 0x81, 1, b'a']]), "subject:"),
        case("a string in pieces", type_and(&[cn_id, &[0x2c, 3, 0x0c, 1, b'a']]), "subject:"),
        case("a common name that is empty", cn(0x0c, b""), "the value of 2.5.4.3 is empty"),
        case("an organization that is empty", organization(0x13, b""), "the value of 2.5.4.10 is empty"),
        case("a common name that is a number", cn(2, &[1]), NO_TEXT),
        case("a common name that is NULL", cn(5, b""), NO_TEXT),
        case("a common name that is a truth", cn(1, &[0xff]), NO_TEXT),
        case("a common name that is octets", cn(4, b"db"), NO_TEXT),
        case("a common name that is a sequence", cn(SEQUENCE, b""), NO_TEXT),
        case("a common name that is a VisibleString", cn(0x1a, b"db"), NO_TEXT),
        case("a common name that is a GeneralString", cn(0x1b, b"db"), NO_TEXT),
        case("a common name that is a UniversalString", cn(0x1c, b"\0\0\0d"), "subject:"),
        case("a common name of another class", cn(0x8c, b"db"), NO_TEXT),
        case("a common name that is not UTF-8", cn(0x0c, &[0xc0, 0xaf]), NO_TEXT),
        case("a common name with a surrogate in UTF-8", cn(0x0c, &[0xed, 0xa0, 0x80]), NO_TEXT),
        case("an organization that is not UTF-8", organization(0x0c, &[0xff]), NO_TEXT),
        case("a printable string with an at sign", cn(0x13, b"a@b"), NO_TEXT),
        case("a printable string with an underscore", cn(0x13, b"a_b"), NO_TEXT),
        case("a printable string in Latin-1", cn(0x13, &[0xe9]), NO_TEXT),
        case("a printable organization with a NUL", organization(0x13, b"a\0b"), NO_TEXT),
        case("an IA5String beyond ASCII", cn(0x16, &[0x80]), NO_TEXT),
        case("a numeric string with a letter", cn(0x12, b"12a"), NO_TEXT),
        case("a BMPString of odd length", cn(0x1e, b"\0d\0"), NO_TEXT),
        case("a BMPString with a lone surrogate", cn(0x1e, &[0xd8, 0]), NO_TEXT),
        case("a BMPString with a pair of surrogates", cn(0x1e, &[0xd8, 0x3d, 0xde, 0]), NO_TEXT),
        case("a common name with a NUL", cn(0x0c, b"bank.example\0.evil.example"), CONTROL),
        case("a common name with lines of its own", cn(0x0c, b"db\r\nCN=root"), CONTROL),
        case("a common name with an escape for terminals", cn(0x0c, b"\x1b[2Jdb"), CONTROL),
        case("a common name with a control character of Latin-1", cn(0x14, &[0x9b]), CONTROL),
        case("a common name with a NUL in a BMPString", cn(0x1e, b"\0d\0\0\0b"), CONTROL),
        case("an organization with a NUL", organization(0x0c, b"a\0b"), CONTROL),
    ]
}

const CONTROL: &str = "it has a control character";
