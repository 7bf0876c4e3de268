//! Which alternative names are allowed: the tables of each kind.

use tandem_issuer_core::{
    Policy,
    policy::{OtherNames, Pattern, Text},
};

use super::{check, named, parsed, refused};
use crate::support::{request, tlv};

#[test]
fn dns_names_are_compared_label_by_label_on_a_labels() {
    let cases: &[(&[&str], &str, bool)] = &[
        (&[], "db.example.com", false),
        (&["db.example.com"], "db.example.com", true),
        (&["db.example.com"], "DB.EXAMPLE.com", true),
        (&["DB.Example.Com"], "db.example.com", true),
        (&["db.example.com"], "adb.example.com", false),
        (&["db.example.com"], "a.db.example.com", false),
        (&["db.example.com"], "example.com", false),
        (&["db.example.com"], "db.example.com.evil.com", false),
        (&["db.example.com"], "dbxexample.com", false),
        (&["a.test", "b.test"], "b.test", true),
        // One star, one label.
        (&["*.example.com"], "db.example.com", true),
        (&["*.example.com"], "example.com", false),
        (&["*.example.com"], "a.b.example.com", false),
        (&["*.example.com"], "db.example.org", false),
        (&["db.*.svc"], "db.shop.svc", true),
        (&["db.*.svc"], "db.a.b.svc", false),
        (&["*"], "localhost", true),
        (&["*"], "a.b", false),
        // Two stars, one label or more.
        (&["**.example.com"], "db.example.com", true),
        (&["**.example.com"], "a.b.example.com", true),
        (&["**.example.com"], "example.com", false),
        (&["**.example.com"], "evilexample.com", false),
        (&["**"], "a.b.c", true),
        // A star within a label.
        (&["db-*.example.com"], "db-0.example.com", true),
        (&["db*.example.com"], "db.example.com", true),
        (&["db-*.example.com"], "db-0.evil.example.com", false),
        (&["db-*-*.example.com"], "db-0-1.example.com", true),
        (&["db-*-*.example.com"], "db-0.example.com", false),
        (&["*-db.example.com"], "shop-db.example.com", true),
        // A wildcard is allowed where all that it covers is.
        (&["*.example.com"], "*.example.com", true),
        (&["**.example.com"], "*.example.com", true),
        (&["**.example.com"], "*.a.example.com", true),
        (&["*.*.example.com"], "*.a.example.com", true),
        (&["db.example.com"], "*.example.com", false),
        (&["db-*.example.com"], "*.example.com", false),
        (&["*.a.example.com"], "*.example.com", false),
        (&["*.com"], "*.example.com", false),
        // U-labels and A-labels are the same; a part of an A-label is nothing.
        (&["bücher.example"], "xn--bcher-kva.example", true),
        (&["BÜCHER.example"], "XN--bcher-KVA.example", true),
        (&["xn--bcher-kva.example"], "xn--bcher-kva.example", true),
        (&["bücher.example"], "bucher.example", false),
        (&["x*.example"], "xn--bcher-kva.example", false),
        (&["*-kva.example"], "xn--bcher-kva.example", false),
        (&["*.example"], "xn--bcher-kva.example", true),
        (&["*.bücher.example"], "db.xn--bcher-kva.example", true),
        (&["*.עברית.example"], "db.xn--5dbqzzl.example", true),
        // The namespace is `shop`.
        (&["*.${namespace}.svc"], "db.shop.svc", true),
        (&["*.${namespace}.svc"], "db.shops.svc", false),
        (&["*.${namespace}.svc"], "db.evil.svc", false),
        (&["${namespace}-*.test"], "shop-db.test", true),
        (&["${namespace}.${namespace}.test"], "shop.shop.test", true),
        (&["${namespace}.test"], "*.test", false),
    ];
    check(0x82, "dnsNames", cases, |patterns| Policy { dns_names: parsed(patterns), ..Policy::default() });
}

#[test]
fn ip_addresses_are_in_a_range_whichever_way_they_are_written() {
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];
    let v6 = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let cases: &[(&[&str], &[u8], bool)] = &[
        (&[], &[10, 0, 0, 1], false),
        (&["10.0.0.0/8"], &[10, 0, 0, 0], true),
        (&["10.0.0.0/8"], &[10, 255, 255, 255], true),
        (&["10.0.0.0/8"], &[9, 255, 255, 255], false),
        (&["10.0.0.0/8"], &[11, 0, 0, 0], false),
        (&["10.0.0.1/32"], &[10, 0, 0, 1], true),
        (&["10.0.0.1/32"], &[10, 0, 0, 2], false),
        (&["0.0.0.0/0"], &[192, 0, 2, 1], true),
        (&["2001:db8::/32"], &v6, true),
        (&["2001:db9::/32"], &v6, false),
        (&["0.0.0.0/0"], &v6, false),
        (&["::/0"], &v6, true),
        (&["::/0"], &[10, 0, 0, 1], false),
        // Go takes a mapped address for the IPv4 one.
        (&["10.0.0.0/8"], &mapped, true),
        (&["11.0.0.0/8"], &mapped, false),
        (&["::/0"], &mapped, false),
    ];
    check(0x87, "ipRanges", cases, |patterns| Policy { ip_ranges: parsed(patterns), ..Policy::default() });
}

#[test]
fn uris_are_compared_part_by_part() {
    let workload: &[&str] = &["spiffe://cluster.local/ns/${namespace}/sa/*"];
    let under: &[&str] = &["spiffe://cluster.local/ns/shop/**"];
    let long = format!("spiffe://cluster.local/ns/shop/sa/{}", "a".repeat(2048 - 34));
    let longer = format!("{long}a");
    let cases: &[(&[&str], &str, bool)] = &[
        (&[], "spiffe://cluster.local/ns/shop/sa/db", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/db", true),
        (workload, "spiffe://cluster.local/ns/shop/sa/db-0_1.a", true),
        (workload, "spiffe://cluster.local/ns/evil/sa/db", false),
        (workload, "spiffe://cluster.local/ns/shop2/sa/db", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/db/x", false),
        (workload, "spiffe://cluster.local/ns/shop/sa", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/db/", false),
        (workload, "spiffe://cluster.local/ns//shop/sa/db", false),
        (workload, "spiffe://cluster.local//ns/shop/sa/db", false),
        (workload, &long, true),
        (workload, &longer, false),
        // Scheme and trust domain.
        (workload, "https://cluster.local/ns/shop/sa/db", false),
        (workload, "SPIFFE://cluster.local/ns/shop/sa/db", false),
        (workload, "spiffe://Cluster.local/ns/shop/sa/db", false),
        (workload, "spiffe://cluster.local.evil.com/ns/shop/sa/db", false),
        (workload, "spiffe://evil.com/cluster.local/ns/shop/sa/db", false),
        (workload, "spiffe:/cluster.local/ns/shop/sa/db", false),
        (workload, "spiffe:cluster.local/ns/shop/sa/db", false),
        (workload, "spiffe:///ns/shop/sa/db", false),
        // Another way of saying the same, or another.
        (workload, "spiffe://cluster.local/ns/evil/../shop/sa/db", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/..", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/.", false),
        (workload, "spiffe://cluster.local/./ns/shop/sa/db", false),
        (workload, "spiffe://cluster.local/ns/sh%6fp/sa/db", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/db%2f..%2fx", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/*", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/a:b", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/a@b", false),
        // What a SPIFFE ID has not.
        (workload, "spiffe://user@cluster.local/ns/shop/sa/db", false),
        (workload, "spiffe://cluster.local@evil.com/ns/shop/sa/db", false),
        (workload, "spiffe://cluster.local:443/ns/shop/sa/db", false),
        (workload, "spiffe://cluster.local:/ns/shop/sa/db", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/db?a=b", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/db?", false),
        (workload, "spiffe://cluster.local/ns/shop/sa/db#a", false),
        (under, "spiffe://cluster.local/ns/shop/sa/db", true),
        (under, "spiffe://cluster.local/ns/shop/x", true),
        (under, "spiffe://cluster.local/ns/shop", false),
        (under, "spiffe://cluster.local/ns/evil/x", false),
        (&["spiffe://cluster.local"], "spiffe://cluster.local", true),
        (&["spiffe://cluster.local"], "spiffe://cluster.local/x", false),
        (&["spiffe://cluster.local/db-*"], "spiffe://cluster.local/db-0", true),
        (&["spiffe://cluster.local/db-*"], "spiffe://cluster.local/db-0/x", false),
        // Other schemes.
        (&["https://*.example.com/db"], "HTTPS://A.Example.com/db", true),
        (&["https://*.example.com/db"], "https://a.example.com/DB", false),
        (&["https://*.example.com/db"], "https://a.b.example.com/db", false),
        (&["https://**.example.com/db"], "https://a.b.example.com/db", true),
        (&["https://*.example.com/db"], "https://example.com/db", false),
        (&["https://10.0.0.1/*"], "https://10.0.0.1/db", true),
        (&["https://[2001:db8::1]/*"], "https://[2001:DB8::1]/db", true),
        (&["https://[2001:db8::1]/*"], "https://[2001:db8::2]/db", false),
        (&["urn:example:*"], "urn:example:db", true),
        (&["urn:example:*"], "urn:other:db", false),
        (&["urn:example:*"], "urn:example:a/b", false),
        (&["https://example.com/*"], "https://example.com/a%2fb", false),
    ];
    check(0x86, "uris", cases, |patterns| Policy { uris: parsed(patterns), ..Policy::default() });
}

#[test]
fn emails_are_compared_by_local_part_and_domain() {
    let cases: &[(&[&str], &str, bool)] = &[
        (&[], "ops@example.com", false),
        (&["ops@example.com"], "ops@example.com", true),
        (&["ops@example.com"], "ops@EXAMPLE.com", true),
        (&["ops@example.com"], "OPS@example.com", false),
        (&["ops@example.com"], "dev@example.com", false),
        (&["ops@example.com"], "ops@sub.example.com", false),
        (&["ops@example.com"], "ops@evilexample.com", false),
        (&["*@example.com"], "first.last@example.com", true),
        (&["*@example.com"], "first.last@sub.example.com", false),
        (&["*@example.com"], "ops@example.com.evil.com", false),
        (&["ops+*@example.com"], "ops+db@example.com", true),
        (&["ops+*@example.com"], "ops@example.com", false),
        (&["${namespace}@example.com"], "shop@example.com", true),
        (&["${namespace}@example.com"], "evil@example.com", false),
        (&["*@bücher.example"], "ops@xn--bcher-kva.example", true),
        (&["*@xn--bcher-kva.example"], "ops@xn--bcher-kva.example", true),
        // Readers disagree about quotes, so they are never allowed.
        (&["*@example.com"], "\"ops\"@example.com", false),
        (&["*@example.com"], "\"ops@evil.com\"@example.com", false),
        (&["*@evil.com"], "\"ops@evil.com\"@example.com", false),
        (&["ops@example.com"], "\"ops\"@example.com", false),
    ];
    check(0x81, "emails", cases, |patterns| Policy { emails: parsed(patterns), ..Policy::default() });
}

/// The content of an otherName of type 1.2.3.`arc`.
fn other(arc: u8, tag: u8, text: &[u8]) -> Vec<u8> {
    [tlv(0x06, &[&[0x2a, 3, arc]]), tlv(0xa0, &[&tlv(tag, &[text])])].concat()
}

#[test]
fn other_names_are_compared_by_type_and_text() {
    let cases: &[(&[&str], Vec<u8>, bool)] = &[
        (&[], other(4, 0x0c, b"user@example.org"), false),
        (&["*@example.org"], other(4, 0x0c, b"user@example.org"), true),
        (&["*@example.org"], other(4, 0x0c, b"user@Example.org"), false),
        (&["*@example.org"], other(4, 0x0c, b"user@example.com"), false),
        (&["*@example.org"], other(5, 0x0c, b"user@example.org"), false),
        // The same text as IA5String is another value.
        (&["*@example.org"], other(4, 0x16, b"user@example.org"), false),
        (&["*"], other(4, 0x04, b"bytes"), false),
        (&["${namespace}/*"], other(4, 0x0c, b"shop/db"), true),
        (&["${namespace}/*"], other(4, 0x0c, b"evil/db"), false),
    ];
    check(0xa0, "otherNames", cases, |patterns| {
        let values = patterns.iter().map(|text| Text::parse(text).unwrap()).collect();
        Policy { other_names: vec![OtherNames { oid: "1.2.3.4".parse().unwrap(), values }], ..Policy::default() }
    });
}

/// Also those for which a policy has no field.
#[test]
fn a_kind_of_name_that_the_policy_does_not_mention_is_refused() {
    let everything_else = Policy {
        dns_names: parsed(&["**"]),
        ip_ranges: parsed(&["0.0.0.0/0", "::/0"]),
        uris: parsed(&["urn:**"]),
        emails: parsed(&["*@example.com"]),
        ..Policy::default()
    };
    let directory = tlv(0x30, &[&crate::support::rdn(&[(3, 0x0c, b"db")])]);
    let party = tlv(0xa1, &[&tlv(0x0c, &[b"party"])]);
    for (tag, name) in [(0xa4, directory), (0x88, vec![0x2a, 3, 4]), (0xa5, party), (0xa0, other(4, 0x0c, b"x"))] {
        let csr = named(&[(0x82, b"db.example.com"), (tag, &name)]);
        let found = refused(&request(&csr), &everything_else);
        assert!(matches!(&found[..], [("otherNames", names)] if names.len() == 1), "{tag:x}: {found:?}");
    }
    for (tag, name, field) in [
        (0x82, &b"db.example.com"[..], "dnsNames"),
        (0x87, &[10, 0, 0, 1], "ipRanges"),
        (0x86, b"urn:a", "uris"),
        (0x81, b"ops@example.com", "emails"),
    ] {
        let csr = named(&[(tag, name)]);
        let found = refused(&request(&csr), &Policy::default());
        assert!(matches!(&found[..], [(refused, _)] if *refused == field), "{field}: {found:?}");
    }
}

/// Kubernetes' CertificateSigningRequests come from no namespace.
#[test]
fn without_a_namespace_a_template_allows_nothing() {
    let policy = Policy { dns_names: parsed(&["*.${namespace}.svc", "plain.test"]), ..Policy::default() };
    let csr = named(&[(0x82, b"db.shop.svc"), (0x82, b"plain.test"), (0x82, b"db..svc")]);
    let error = format!("{:?}", super::with_policy(&request(&csr), &policy));
    assert!(error.contains(r#"found: ["\"db.shop.svc\"", "\"db..svc\""]"#), "{error}");
}
