//! Names that no certificate carries, whatever a policy says.

use tandem_issuer_core::{Decision, Error, decide};

use crate::{
    policy::named,
    support::{authority, crafted, extension, extension_request, now, rdn, ready, request, root, tlv, to_pem},
};

const DNS: u8 = 0x82;
const EMAIL: u8 = 0x81;
const URI: u8 = 0x86;

/// What is wrong with a request's names; nothing where it is signed.
fn problems(csr: &str) -> Vec<String> {
    let ca = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    match decide(&request(csr), &ready(&ca), now()) {
        Decision::Sign(_) => Vec::new(),
        Decision::Fail(Error::BadNames(problems)) => problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn well_formed_names_pass() {
    let long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "a".repeat(59));
    for (tag, name) in [
        (DNS, "a"),
        (DNS, "db.example.com"),
        (DNS, "DB.Example.COM"),
        (DNS, "*.example.com"),
        (DNS, "*.svc"),
        (DNS, "_mongodb._tcp.db-0.shop.svc.cluster.local"),
        (DNS, "r3---sn.example.com"),
        (DNS, "0.1.a2"),
        (DNS, "xn--bcher-kva.example"),
        (DNS, "XN--BCHER-KVA.example"),
        (DNS, "*.xn--bcher-kva.example"),
        (DNS, &long),
        (EMAIL, "ops@example.com"),
        (EMAIL, "first.last+tag@xn--bcher-kva.example"),
        (EMAIL, "\"a b@c\"@example.com"),
        (EMAIL, "root@localhost"),
        (URI, "spiffe://cluster.local/ns/shop/sa/db"),
        (URI, "https://user@example.com:8443/a%20b/../c?d=e#f"),
        (URI, "https://10.0.0.1/"),
        (URI, "https://[2001:db8::1]/"),
        (URI, "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        (URI, "file:///etc/hosts"),
    ] {
        assert_eq!(problems(&named(&[(tag, name.as_bytes())])), [""; 0], "{name}");
    }
}

#[test]
fn malformed_names_are_refused_and_each_is_named() {
    let label = "a".repeat(64);
    let long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "a".repeat(60));
    for (tag, name, problem) in [
        (DNS, "", "it is empty"),
        (DNS, "good.example.com\0.evil.com", "it has a control character"),
        (DNS, "a\nb.example.com", "it has a control character"),
        (DNS, "a\x7fb.example.com", "it has a control character"),
        (DNS, "a..b", "it has an empty label"),
        (DNS, ".example.com", "it has an empty label"),
        (DNS, "db.example.com.", "it ends in a dot"),
        (DNS, ".", "it ends in a dot"),
        (DNS, "*", "a wildcard may only be the whole of its first label, before others"),
        (DNS, "*.", "it is empty"),
        (DNS, "*.*.example.com", "a wildcard may only be the whole of its first label, before others"),
        (DNS, "db.*.example.com", "a wildcard may only be the whole of its first label, before others"),
        (DNS, "db*.example.com", "a wildcard may only be the whole of its first label, before others"),
        (DNS, "**.example.com", "a wildcard may only be the whole of its first label, before others"),
        (DNS, "a b.example.com", "it has a character that no DNS name has"),
        (DNS, "db.example.com/x", "it has a character that no DNS name has"),
        (DNS, "user@example.com", "it has a character that no DNS name has"),
        (DNS, "-a.example.com", "one of its labels begins or ends with a hyphen"),
        (DNS, "a-.example.com", "one of its labels begins or ends with a hyphen"),
        (DNS, &label, "one of its labels is longer than 63 bytes"),
        (DNS, &long, "it is longer than a DNS name"),
        // No punycode; ASCII in disguise; what is not in its one normal form; a character that IDNA does not have.
        (DNS, "xn--a.example", "a label begins with xn-- and is no A-label"),
        (DNS, "xn--.example", "a label begins with xn-- and is no A-label"),
        (DNS, "xn--abc-.example", "a label begins with xn-- and is no A-label"),
        (DNS, "xn--u-ccb.example", "a label begins with xn-- and is no A-label"),
        (EMAIL, "example.com", "it is no email address of the form local-part@domain"),
        (EMAIL, "@example.com", "it is no email address of the form local-part@domain"),
        (EMAIL, "ops@", "it is no email address of the form local-part@domain"),
        (EMAIL, "a@b@example.com", "it is no email address of the form local-part@domain"),
        (EMAIL, "Ops <ops@example.com>", "it is no email address of the form local-part@domain"),
        (EMAIL, "ops@[10.0.0.1]", "it is no email address of the form local-part@domain"),
        (EMAIL, "ops\0@example.com", "it has a control character"),
        (EMAIL, "ops@*.example.com", "it is no email address of the form local-part@domain"),
        (EMAIL, "ops@a..b", "it is no email address of the form local-part@domain"),
        (EMAIL, "ops@xn--a.example", "it is no internationalised DNS name (RFC 5890)"),
        (EMAIL, "ops@exa$mple.com", "it has a character that no DNS name has"),
        (URI, "//example.com/", "it is no absolute URI (RFC 3986)"),
        (URI, "https://exa mple.com/", "it is no absolute URI (RFC 3986)"),
        (URI, "https://example.com/{a}", "it is no absolute URI (RFC 3986)"),
        (URI, "https://example.com/\0", "it has a control character"),
        (URI, "https://a..b/", "it has an empty label"),
        (URI, "https://*.example.com/", "a wildcard may only be the whole of its first label, before others"),
        (URI, "https://xn--a.example/", "a label begins with xn-- and is no A-label"),
        (URI, "https://exa%6dple.com/", "it has a character that no DNS name has"),
    ] {
        let kind = if tag == DNS {
            "DNS"
        } else if tag == EMAIL {
            "email"
        } else {
            "URI"
        };
        let found = problems(&named(&[(DNS, b"first.example.com"), (tag, name.as_bytes())]));
        assert_eq!(found, [format!("{kind} {name:?}: {problem}")]);
    }
    let both = problems(&named(&[(DNS, b"a..b"), (DNS, b"good.example.com"), (EMAIL, b"nobody")]));
    assert!(matches!(&both[..], [first, second] if first.contains("a..b") && second.contains("nobody")), "{both:?}");
}

#[test]
fn control_characters_are_refused_in_the_subject_and_in_other_names() {
    let subject = |attribute, value: &[u8]| {
        let names = extension_request(&[extension(17, false, &tlv(0x30, &[&tlv(DNS, &[b"db.example.com"])]))]);
        problems(&to_pem("CERTIFICATE REQUEST", &crafted(0, &[rdn(&[(attribute, 0x0c, value)])], &[names])))
    };
    assert_eq!(subject(3, b"db"), [""; 0]);
    assert_eq!(subject(3, b"db\0.evil"), ["subject attribute 2.5.4.3 \"db\\0.evil\": it has a control character"]);
    assert_eq!(subject(10, b"a\nb"), ["subject attribute 2.5.4.10 \"a\\nb\": it has a control character"]);

    let other = |text: &[u8]| {
        let value = [tlv(0x06, &[&[0x2a, 3, 4]]), tlv(0xa0, &[&tlv(0x0c, &[text])])].concat();
        problems(&named(&[(0xa0, &value)]))
    };
    assert_eq!(other(b"user@example.org"), [""; 0]);
    assert_eq!(other(b"user\0"), ["otherName 1.2.3.4 \"user\\0\": it has a control character"]);
}

/// A CA is held to no malformed name either: a verifier that cuts it short would let pass what it forbids.
#[test]
fn the_names_in_name_constraints_are_well_formed() {
    let constrained = |name: &str| {
        let base = tlv(0x30, &[&tlv(DNS, &[name.as_bytes()])]);
        let constraints = extension(30, true, &tlv(0x30, &[&tlv(0xa0, &[&base])]));
        let names = extension(17, false, &tlv(0x30, &[&tlv(DNS, &[b"db.example.com"])]));
        let csr = to_pem("CERTIFICATE REQUEST", &crafted(0, &[], &[extension_request(&[names, constraints])]));
        problems(&csr)
    };
    for name in ["", "example.com", ".example.com", "xn--bcher-kva.example"] {
        assert_eq!(constrained(name), [""; 0], "{name}");
    }
    for name in ["a..b", "*.example.com", "inside.com\0.com", "..example.com", "xn--a.example"] {
        assert!(
            matches!(&constrained(name)[..], [problem] if problem.starts_with("name constraint DNS")),
            "{name:?} passed"
        );
    }
}
