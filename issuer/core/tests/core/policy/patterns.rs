//! What is no pattern is found when an issuer's spec is read, and said.

use tandem_issuer_core::policy::{Dns, Email, IpRange, Text, Uri, attribute_type};

use super::{parsed, problem};

#[test]
fn a_pattern_that_could_match_nothing_is_none() {
    for (text, expected) in [
        ("", "it is empty"),
        ("a\0b", "control character"),
        ("${name}.test", "the only variable is ${namespace}"),
        ("${namespace.test", "the only variable is ${namespace}"),
        ("a..b", "it has an empty label"),
        ("db.example.com.", "it ends in a dot"),
        ("a.**.b", "** may only be the whole of the first label"),
        ("**a.b", "** may only be the whole of the first label"),
        ("bü*.example", "has to be in ASCII"),
        ("xn--a.example", "no internationalised DNS name"),
        ("xn--*.example", "no internationalised DNS name"),
        ("a b.test", "a character that no DNS name has"),
        ("-a.test", "begins or ends with a hyphen"),
    ] {
        assert!(problem::<Dns>(text).contains(expected), "{text:?}: {}", problem::<Dns>(text));
    }
    for (text, expected) in [
        ("10.0.0.0", "no range of addresses"),
        ("10.0.0.0/33", "no range of addresses"),
        ("10.0.0/8", "no range of addresses"),
        ("10.0.0.1/8", "10.0.0.0/8 would be the range"),
        ("::ffff:10.0.0.0/104", "write the range as one of IPv4"),
    ] {
        assert!(problem::<IpRange>(text).contains(expected), "{text:?}: {}", problem::<IpRange>(text));
    }
    for (text, expected) in [
        ("cluster.local/ns", "no absolute URI"),
        ("spiffe://*.local/ns", "a trust domain has no wildcard"),
        ("spiffe://Cluster.local/ns", "in lower case"),
        ("spiffe://cluster.local/ns/", "an empty or a dot segment"),
        ("spiffe://cluster.local/a/../b", "an empty or a dot segment"),
        ("spiffe://cluster.local/a%2fb", "percent-encoded"),
        ("spiffe://cluster.local/**/b", "** may only be the whole of the last segment"),
        ("spiffe://cluster.local/b**", "** may only be the whole of the last segment"),
        ("spiffe://cluster.local/a:b", "a character that no SPIFFE ID has"),
        ("spiffe:///ns", "a SPIFFE ID has a trust domain"),
        ("https://user@example.com/", "a user or a port"),
        ("https://example.com:443/a", "a user or a port"),
        ("https://example.com/a?b", "a query or a fragment"),
        ("https://exam_ple..com/a", "an empty label"),
        ("spiffe://cluster.local/${name}", "the only variable is ${namespace}"),
    ] {
        assert!(problem::<Uri>(text).contains(expected), "{text:?}: {}", problem::<Uri>(text));
    }
    for (text, expected) in [
        ("example.com", "no email address"),
        ("@example.com", "no email address"),
        ("ops@*.example.com", "no email address"),
        ("\"ops\"@example.com", "its local part is quoted"),
        ("ops@xn--a.example", "no internationalised DNS name"),
        ("${user}@example.com", "the only variable is ${namespace}"),
    ] {
        assert!(problem::<Email>(text).contains(expected), "{text:?}: {}", problem::<Email>(text));
    }
    assert!(problem::<Text>("").contains("it is empty"));
}

/// Messages show a pattern as it was written.
#[test]
fn patterns_show_themselves() {
    let [pattern] = &parsed::<Dns>(&["*.${namespace}.svc"])[..] else { panic!("not one") };
    assert_eq!(pattern.to_string(), "\"*.${namespace}.svc\"");
}

#[test]
fn attributes_of_subjects_have_the_names_that_people_write() {
    for (name, oid) in [
        ("C", "2.5.4.6"),
        ("O", "2.5.4.10"),
        ("OU", "2.5.4.11"),
        ("ou", "2.5.4.11"),
        ("L", "2.5.4.7"),
        ("ST", "2.5.4.8"),
        ("STREET", "2.5.4.9"),
        ("serialNumber", "2.5.4.5"),
        ("postalCode", "2.5.4.17"),
        ("CN", "2.5.4.3"),
        ("DC", "0.9.2342.19200300.100.1.25"),
        ("UID", "0.9.2342.19200300.100.1.1"),
        ("emailAddress", "1.2.840.113549.1.9.1"),
        ("1.2.3.4", "1.2.3.4"),
    ] {
        assert_eq!(attribute_type(name).map(|oid| oid.to_string()), Ok(oid.to_owned()), "{name}");
    }
    assert!(attribute_type("organisation").unwrap_err().contains("neither a name of an attribute"));
}
