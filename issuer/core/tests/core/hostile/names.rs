//! Subject alternative names that are not what they look like, or nothing at all (fact 13).

use crate::support::{SEQUENCE, extension, rdn, tlv};

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
        // Kinds that are written as they should be, with a text that is not.
        case("a DNS name without letters", one(0x82, b""), "it is empty"),
        case("a DNS name that is a dot", one(0x82, b"."), "it ends in a dot"),
        case("a DNS name with a dot at its end", one(0x82, b"db.example.com."), "it ends in a dot"),
        case("a DNS name with a dot before it", one(0x82, b".example.com"), EMPTY_LABEL),
        case("a DNS name with two dots", one(0x82, b"a..b"), EMPTY_LABEL),
        case("a DNS name with a NUL", one(0x82, b"bank.example\0.evil.example"), CONTROL),
        case("a DNS name with a NUL at its end", one(0x82, b"bank.example\0"), CONTROL),
        case("a DNS name with a line's end", one(0x82, b"a.example\nb.example"), CONTROL),
        case("a DNS name with an escape for terminals", one(0x82, b"\x1b[2Ja.example"), CONTROL),
        case("a DNS name with a DEL", one(0x82, b"a\x7f.example"), CONTROL),
        case("a DNS name with a space", one(0x82, b"a b.example"), CHARACTER),
        case("a DNS name with a space before it", one(0x82, b" a.example"), CHARACTER),
        case("two DNS names in one", one(0x82, b"a.example,b.example"), CHARACTER),
        case("a DNS name with a port", one(0x82, b"a.example:443"), CHARACTER),
        case("a DNS name with a slash", one(0x82, b"a.example/path"), CHARACTER),
        case("a DNS name with its kind", one(0x82, b"DNS:a.example"), CHARACTER),
        case("a DNS name with an escape for URLs", one(0x82, b"a%2eexample"), CHARACTER),
        case("a DNS name that is an IPv6 address", one(0x82, b"::1"), CHARACTER),
        case("a DNS label that begins with a hyphen", one(0x82, b"-a.example"), HYPHEN),
        case("a DNS label that ends with a hyphen", one(0x82, b"a-.example"), HYPHEN),
        case(
            "a DNS label of 64 bytes",
            one(0x82, &[[b'a'; 64].as_slice(), b".example"].concat()),
            "longer than 63 bytes",
        ),
        case("a DNS name of 253 bytes", one(0x82, &b"a.".repeat(127)[..253]), "longer than"),
        case("a DNS name of 60,000 bytes", one(0x82, &[b'a'; 45_000]), "longer than"),
        case("a wildcard alone", one(0x82, b"*"), WILDCARD),
        case("a wildcard and a dot", one(0x82, b"*."), "it is empty"),
        case("a wildcard in the second label", one(0x82, b"a.*.example"), WILDCARD),
        case("a wildcard at the end", one(0x82, b"example.*"), WILDCARD),
        case("two wildcards", one(0x82, b"*.*.example"), WILDCARD),
        case("a wildcard that is a part of a label", one(0x82, b"db*.example"), WILDCARD),
        case("a wildcard before a label", one(0x82, b"*db.example"), WILDCARD),
        case("two stars in a label", one(0x82, b"**.example"), WILDCARD),
        case("an A-label without content", one(0x82, b"xn--.example"), A_LABEL),
        case("an A-label that is no Punycode", one(0x82, b"xn--a.example"), A_LABEL),
        case("an A-label of ASCII alone", one(0x82, b"xn--abc-.example"), A_LABEL),
        case("an A-label in capitals that is none", one(0x82, b"XN--A.example"), A_LABEL),
        case("an A-label beneath a wildcard that is none", one(0x82, b"*.xn--a.example"), A_LABEL),
        case("an email without an at sign", one(0x81, b"alice.example.com"), EMAIL),
        case("an email without letters", one(0x81, b""), EMAIL),
        case("an email without a local part", one(0x81, b"@example.com"), EMAIL),
        case("an email without a domain", one(0x81, b"alice@"), ""),
        case("an email with two at signs", one(0x81, b"alice@bank.example@evil.example"), EMAIL),
        case("an email with its name", one(0x81, b"Alice <alice@example.com>"), EMAIL),
        case("an email at an address", one(0x81, b"alice@[10.0.0.1]"), EMAIL),
        case("an email with a NUL", one(0x81, b"alice@bank.example\0.evil.example"), CONTROL),
        case("an email with lines of its own", one(0x81, b"alice@example.com\r\nBcc: eve@example.com"), CONTROL),
        case("an email at a wildcard", one(0x81, b"alice@*.example.com"), ""),
        case("an email at a domain with two dots", one(0x81, b"alice@a..b"), ""),
        case("a URI without letters", one(0x86, b""), URI),
        case("a URI without a scheme", one(0x86, b"example.com/path"), URI),
        case("a URI that is a path", one(0x86, b"/path"), URI),
        case("a URI whose scheme is a number", one(0x86, b"1://a"), URI),
        case("a URI with a NUL", one(0x86, b"spiffe://bank.example\0/a"), CONTROL),
        case("a URI with a tab", one(0x86, b"spiffe://a.example/\t"), CONTROL),
        case("a URI with a space", one(0x86, b"spiffe://a.example/a b"), URI),
        case("a URI with backslashes", one(0x86, b"https:\\\\a.example"), URI),
        case("a URI with an escape that is none", one(0x86, b"spiffe://a.example/%zz"), URI),
        case("a URI with an escape that is cut", one(0x86, b"spiffe://a.example/%2"), URI),
        case("a URI whose port is a word", one(0x86, b"https://a.example:port/"), URI),
        case("a URI whose address has no end", one(0x86, b"https://[::1/"), URI),
        case("a URI at a host with two dots", one(0x86, b"spiffe://a..b/"), EMPTY_LABEL),
        case("a URI at a wildcard", one(0x86, b"spiffe://*.example/"), WILDCARD),
        case(
            "another name with a NUL",
            one(0xa0, &[b"\x06\x02\x2a\x03\xa0\x05\x0c\x03a\0b".as_slice()].concat()),
            CONTROL,
        ),
        case("a directory name with a NUL", one(0xa4, &tlv(SEQUENCE, &[&rdn(&[(3, 0x0c, b"a\0b")])])), CONTROL),
        case(
            "one bad name among good ones",
            Forge::names(&[(0x82, b"a.example"), (0x82, b"a..b"), (0x82, b"b.example")]),
            "DNS \"a..b\"",
        ),
        case("four thousand bad names", Forge::names(&[(0x82, b"a..b".as_slice()); 4000]), EMPTY_LABEL),
    ]
}

const CONTROL: &str = "it has a control character";
const EMPTY_LABEL: &str = "it has an empty label";
const CHARACTER: &str = "it has a character that no DNS name has";
const HYPHEN: &str = "begins or ends with a hyphen";
const WILDCARD: &str = "a wildcard may only be";
const A_LABEL: &str = "begins with xn-- and is no A-label";
const EMAIL: &str = "it is no email address";
const URI: &str = "it is no absolute URI";
