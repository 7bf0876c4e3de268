//! What else of a request is allowed: common names, subject, usages, keys, durations, CAs, namespaces; and how it is said.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use tandem_issuer_core::{
    Class, Decision, Error, Policy, Settings,
    decide::{Issuer, Namespace, Request},
    explain,
    explain::Verdict,
    policy::{Attribute, CommonName, KeyAlgorithm, Keys, Namespaces, Requirement, attribute_type},
    usage::Usages,
};

use super::{CA, ecdsa, from_shop, named, parsed, refused, subject_named, with_policy};
use crate::support::{csr_with, key, now, rdn, request};

/// Allows what an ordinary request of these tests has.
fn open() -> Policy {
    Policy { dns_names: parsed(&["**"]), ..Policy::default() }
}

const CN: u8 = 3;
const ORGANIZATION: u8 = 10;
const UNIT: u8 = 11;

#[test]
fn common_names_are_none_or_among_the_alternative_names_or_of_a_pattern() {
    let forbidden = CommonName::default();
    let among = CommonName { in_subject_alt_names: true, values: Vec::new() };
    let values = CommonName { in_subject_alt_names: false, values: parsed(&["client *", "${namespace}"]) };
    for (rule, name, expected) in [
        (&forbidden, "db.example.com", false),
        (&among, "db.example.com", true),
        (&among, "DB.example.com", true),
        (&among, "bücher.example", true),
        (&among, "Bücher.example", true),
        (&among, "10.0.0.1", true),
        (&among, "ops@example.com", true),
        (&among, "urn:a", true),
        (&among, "other.example.com", false),
        (&among, "10.0.0.2", false),
        // Not what IDNA would make of it, but what it says.
        (&among, "ｄｂ.example.com", false),
        // A Kelvin sign is a k in lower case.
        (&among, "\u{212a}ey.example.com", false),
        (&among, "client 1", false),
        (&values, "client 1", true),
        (&values, "Client 1", false),
        (&values, "shop", true),
        (&values, "evil", false),
        (&values, "db.example.com", false),
    ] {
        let policy = Policy {
            common_name: rule.clone(),
            ip_ranges: parsed(&["10.0.0.0/8"]),
            emails: parsed(&["*@example.com"]),
            uris: parsed(&["urn:*"]),
            ..open()
        };
        let csr = subject_named(
            &[rdn(&[(CN, 0x0c, name.as_bytes())])],
            &[
                (0x82, b"db.example.com"),
                (0x82, b"key.example.com"),
                (0x82, b"xn--bcher-kva.example"),
                (0x87, &[10, 0, 0, 1]),
                (0x81, b"ops@example.com"),
                (0x86, b"urn:a"),
            ],
        );
        let found = refused(&from_shop(&csr), &policy);
        let broken = vec![("commonName", vec![format!("{name:?}")])];
        assert_eq!(found, if expected { Vec::new() } else { broken }, "{rule:?} {name}");
    }
    // Each of several.
    let csr = subject_named(&[rdn(&[(CN, 0x0c, b"a")]), rdn(&[(CN, 0x13, b"b")])], &[(0x82, b"b")]);
    let policy = Policy { common_name: among, ..open() };
    assert_eq!(refused(&request(&csr), &policy), [("commonName", vec!["\"a\"".to_owned()])]);
}

#[test]
fn the_rest_of_the_subject_is_allowed_value_by_value() {
    let attribute = |name, values: &[&str]| Attribute { oid: attribute_type(name).unwrap(), values: parsed(values) };
    let policy = Policy {
        subject: vec![attribute("O", &["Example", "Example *"]), attribute("OU", &["${namespace}"])],
        ..open()
    };
    for (rdns, broken) in [
        (vec![], vec![]),
        (vec![rdn(&[(ORGANIZATION, 0x0c, b"Example")])], vec![]),
        (vec![rdn(&[(ORGANIZATION, 0x13, b"Example Shop")])], vec![]),
        (vec![rdn(&[(ORGANIZATION, 0x0c, b"example")])], vec!["O \"example\""]),
        (vec![rdn(&[(UNIT, 0x0c, b"shop"), (ORGANIZATION, 0x0c, b"Example")])], vec![]),
        (
            vec![rdn(&[(ORGANIZATION, 0x0c, b"system:masters")]), rdn(&[(UNIT, 0x0c, b"evil"), (UNIT, 0x0c, b"shop")])],
            vec!["O \"system:masters\"", "OU \"evil\""],
        ),
        (vec![rdn(&[(6, 0x13, b"DE")])], vec!["C \"DE\""]),
    ] {
        let csr = subject_named(&rdns, &[(0x82, b"db.example.com")]);
        let found: Vec<_> = refused(&from_shop(&csr), &policy).into_iter().flat_map(|(_, found)| found).collect();
        assert_eq!(found, broken);
    }
}

#[test]
fn usages_are_those_of_the_policy_or_of_tls() {
    let usages = |names: &[&str]| Some(Usages::from_names(names, false).unwrap());
    for (policy, asked, broken) in [
        (None, &[][..], &[][..]),
        (None, &["digital signature", "key encipherment", "server auth", "client auth"], &[]),
        (None, &["code signing", "server auth", "cert sign"], &["cert sign", "code signing"]),
        (None, &["any"], &["any"]),
        (usages(&["digital signature", "server auth"]), &["signing", "server auth"], &[]),
        (usages(&["digital signature", "server auth"]), &["digital signature", "client auth"], &["client auth"]),
        // No extended usage at all means every one.
        (
            usages(&["digital signature", "server auth"]),
            &["digital signature"],
            &["a certificate without extended usages (good for every purpose)"],
        ),
        (usages(&["digital signature", "any"]), &["digital signature"], &[]),
        (usages(&["digital signature", "any"]), &["server auth"], &["server auth"]),
        (usages(&["digital signature"]), &["digital signature"], &[]),
        (usages(&["digital signature"]), &[], &["key encipherment"]),
    ] {
        let csr = named(&[(0x82, b"db.example.com")]);
        let asked: Vec<_> = asked.iter().map(|usage| (*usage).to_owned()).collect();
        let policy = Policy { usages: policy, ..open() };
        let found = refused(&Request { usages: &asked, ..request(&csr) }, &policy);
        let found: Vec<_> = found
            .into_iter()
            .flat_map(|(field, found)| {
                assert_eq!(field, "usages");
                found
            })
            .collect();
        assert_eq!(found, broken, "{asked:?}");
    }
}

#[test]
fn a_ca_is_refused_unless_the_policy_allows_it() {
    let csr = named(&[(0x82, b"db.example.com")]);
    let asked = Request { is_ca: true, ..request(&csr) };
    assert_eq!(refused(&asked, &open()), [("isCA", vec!["a CA".to_owned()])]);
    // Cert sign comes with it, and a CA needs no extended usage.
    let usages = Some(Usages::from_names(&["digital signature", "key encipherment", "server auth"], false).unwrap());
    assert_eq!(refused(&asked, &Policy { is_ca: true, usages, ..open() }), []);
    assert_eq!(refused(&request(&csr), &Policy { is_ca: true, ..open() }), []);
}

#[test]
fn keys_are_of_an_allowed_kind_and_size() {
    let keys = |algorithm, min_size, max_size| Keys { algorithm, min_size, max_size };
    let rsa = key(&rcgen::PKCS_RSA_SHA256);
    let p256 = ecdsa();
    let p521 = key(&rcgen::PKCS_ECDSA_P521_SHA512);
    let ed25519 = key(&rcgen::PKCS_ED25519);
    use KeyAlgorithm::{Ecdsa, Ed25519, Rsa};
    for (allowed, key, broken) in [
        (None, &rsa, None),
        (Some(vec![]), &rsa, Some("RSA of 2048 bits")),
        (Some(vec![keys(Rsa, None, None)]), &rsa, None),
        (Some(vec![keys(Rsa, Some(2048), Some(2048))]), &rsa, None),
        (Some(vec![keys(Rsa, Some(2049), None)]), &rsa, Some("RSA of 2048 bits")),
        (Some(vec![keys(Rsa, None, Some(2047))]), &rsa, Some("RSA of 2048 bits")),
        (Some(vec![keys(Ecdsa, None, None), keys(Ed25519, None, None)]), &rsa, Some("RSA of 2048 bits")),
        (Some(vec![keys(Ecdsa, Some(256), Some(384))]), &p256, None),
        (Some(vec![keys(Ecdsa, Some(384), None)]), &p256, Some("ECDSA of 256 bits")),
        (Some(vec![keys(Ecdsa, Some(521), Some(521))]), &p521, None),
        (Some(vec![keys(Ecdsa, None, Some(384))]), &p521, Some("ECDSA of 521 bits")),
        (Some(vec![keys(Rsa, None, None), keys(Ed25519, None, None)]), &ed25519, None),
        (Some(vec![keys(Rsa, None, None)]), &ed25519, Some("Ed25519 of 256 bits")),
    ] {
        let csr = csr_with(key, |_| {});
        let found = refused(&request(&csr), &Policy { keys: allowed, ..open() });
        let broken = broken.map(|found| ("keys", vec![found.to_owned()]));
        assert_eq!(found, Vec::from_iter(broken));
    }
}

#[test]
fn durations_are_within_their_bounds_to_the_second() {
    let hours = SignedDuration::from_hours;
    let csr = named(&[(0x82, b"db.example.com")]);
    for (seconds, broken) in [(3599, Some("minDuration")), (3600, None), (86400, None), (86401, Some("maxDuration"))] {
        let policy = Policy { min_duration: Some(hours(1)), max_duration: Some(hours(24)), ..open() };
        let asked = Request { duration: Ok(Some(SignedDuration::from_secs(seconds))), ..request(&csr) };
        let found: Vec<_> = refused(&asked, &policy).into_iter().map(|(field, _)| field).collect();
        assert_eq!(found, Vec::from_iter(broken), "{seconds}");
    }
    // What cert-manager means where nothing is said: 90 days.
    let found = refused(&request(&csr), &Policy { max_duration: Some(hours(24)), ..open() });
    assert_eq!(found, [("maxDuration", vec!["a duration of 2160h".to_owned()])]);
}

#[test]
fn namespaces_are_allowed_by_name_or_by_label() {
    let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
    let labels: BTreeMap<_, _> = [("team", "a"), ("env", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let requirement = |all: Vec<Requirement>| Some(all);
    let key = || "team".to_owned();
    let absent = || "nobody".to_owned();
    for (names, selector, expected) in [
        (&[][..], None, false),
        (&["shop"], None, true),
        (&["shop2", "sho"], None, false),
        (&[], requirement(vec![]), true),
        (&[], requirement(vec![Requirement::In(key(), set(&["a", "b"]))]), true),
        (&[], requirement(vec![Requirement::In(key(), set(&["b"]))]), false),
        (&[], requirement(vec![Requirement::In(absent(), set(&["a"]))]), false),
        (&[], requirement(vec![Requirement::NotIn(key(), set(&["a"]))]), false),
        (&[], requirement(vec![Requirement::NotIn(key(), set(&["b"]))]), true),
        (&[], requirement(vec![Requirement::NotIn(absent(), set(&["a"]))]), true),
        (&[], requirement(vec![Requirement::Exists(key())]), true),
        (&[], requirement(vec![Requirement::Exists(absent())]), false),
        (&[], requirement(vec![Requirement::DoesNotExist(key())]), false),
        (&[], requirement(vec![Requirement::DoesNotExist(absent())]), true),
        (&[], requirement(vec![Requirement::Exists(key()), Requirement::Exists(absent())]), false),
        (&["shop"], requirement(vec![Requirement::Exists(absent())]), true),
    ] {
        let csr = named(&[(0x82, b"db.example.com")]);
        let policy = Policy { namespaces: Some(Namespaces { names: set(names), selector }), ..open() };
        let from = |labels| {
            let namespace = Some(Namespace { name: "shop", labels });
            refused(&Request { namespace, ..request(&csr) }, &policy)
        };
        let broken = vec![("namespaces", vec!["the namespace \"shop\"".to_owned()])];
        assert_eq!(from(Some(&labels)), if expected { Vec::new() } else { broken.clone() }, "{policy:?}");
        // Labels that are not known allow nothing.
        assert_eq!(from(None), if names.contains(&"shop") { Vec::new() } else { broken });
        // No namespace is none of them.
        assert_eq!(refused(&request(&csr), &policy), [("namespaces", vec!["a request of no namespace".to_owned()])]);
        assert_eq!(
            policy.needs_labels("shop"),
            policy.namespaces.as_ref().unwrap().selector.is_some() && !names.contains(&"shop")
        );
    }
}

/// Offline, a namespace may have any name; it stays one.
#[test]
fn a_namespace_slips_no_wildcard_into_a_template() {
    let policy = Policy { dns_names: parsed(&["db.${namespace}.svc"]), ..Policy::default() };
    let csr = named(&[(0x82, b"db.evil.svc")]);
    for name in ["*", "**", "ev*", "evil.x", "a/b", "é"] {
        let namespace = Some(Namespace { name, labels: None });
        assert_eq!(refused(&Request { namespace, ..request(&csr) }, &policy).len(), 1, "{name}");
    }
}

/// Every rule, and within each every name.
#[test]
fn all_that_is_refused_is_named_at_once() {
    let policy = Policy {
        namespaces: Some(Namespaces {
            names: ["a".to_owned()].into(),
            selector: Some(vec![Requirement::Exists("team".to_owned())]),
        }),
        dns_names: parsed(&["*.example.com"]),
        keys: Some(vec![Keys { algorithm: KeyAlgorithm::Rsa, min_size: Some(3072), max_size: None }]),
        max_duration: Some(SignedDuration::from_hours(1)),
        ..Policy::default()
    };
    let csr = subject_named(
        &[rdn(&[(ORGANIZATION, 0x0c, b"Example")]), rdn(&[(CN, 0x0c, b"a")])],
        &[(0x82, b"a.test"), (0x82, b"b.example.com"), (0x82, b"b.test"), (0x87, &[10, 0, 0, 1])],
    );
    let usages = ["code signing".to_owned()];
    let Decision::Fail(error) = with_policy(&Request { usages: &usages, is_ca: true, ..from_shop(&csr) }, &policy)
    else {
        panic!("not failed")
    };
    assert_eq!(error.class(), Class::Permanent);
    let expected = [
        "namespaces does not allow the namespace \"shop\"; it allows \"a\", those with team",
        "dnsNames does not allow \"a.test\", \"b.test\"; it allows \"*.example.com\"",
        "ipRanges does not allow IP 10.0.0.1; it allows none",
        "commonName does not allow \"a\"; it allows none",
        "subject does not allow O \"Example\"; it allows none",
        "usages does not allow code signing; it allows digital signature, key encipherment, server auth, client auth",
        "keys does not allow ECDSA of 256 bits; it allows RSA from 3072 bits",
        "maxDuration does not allow a duration of 2160h; it allows at most 1h",
        "isCA does not allow a CA; it allows certificates that are not of CAs",
    ];
    let expected = expected.map(|rest| format!("the issuer's spec.policy.{rest}"));
    assert_eq!(error.to_string().split("; the").collect::<Vec<_>>().join("\nthe"), expected.join("\n"));
}

#[test]
fn a_long_list_of_what_is_allowed_is_cut_and_what_was_asked_for_is_not() {
    let many: Vec<_> = (0..10).map(|n| format!("{n}.test")).collect();
    let policy =
        Policy { dns_names: parsed(&many.iter().map(String::as_str).collect::<Vec<_>>()), ..Policy::default() };
    let asked: Vec<_> = (0..20).map(|n| format!("{n}.example.com")).collect();
    let csr = named(&asked.iter().map(|name| (0x82, name.as_bytes())).collect::<Vec<_>>());
    let Decision::Fail(error) = with_policy(&request(&csr), &policy) else { panic!("not failed") };
    let message = error.to_string();
    assert!(asked.iter().all(|name| message.contains(name)), "{message}");
    assert!(message.ends_with("\"6.test\", \"7.test\" and 2 more"), "{message}");
}

/// It tells all that it would refuse, and signs; what is refused without a policy is refused all the same.
#[test]
fn a_dry_run_signs_and_tells() {
    let policy = Policy { dry_run: true, dns_names: parsed(&["a.test"]), ..Policy::default() };
    let csr = subject_named(&[rdn(&[(CN, 0x0c, b"x")])], &[(0x82, b"b.test")]);
    let Decision::Sign(grant) = with_policy(&request(&csr), &policy) else { panic!("not signed") };
    let enforced = Policy { dry_run: false, ..policy.clone() };
    let Decision::Fail(error) = with_policy(&request(&csr), &enforced) else { panic!("not failed") };
    assert_eq!(grant.would_refuse, Some(error));
    let good = named(&[(0x82, b"a.test")]);
    let Decision::Sign(grant) = with_policy(&request(&good), &policy) else { panic!("not signed") };
    assert_eq!(grant.would_refuse, None);
    let bad = named(&[(0x82, b"a..b")]);
    assert!(matches!(with_policy(&request(&bad), &policy), Decision::Fail(Error::BadNames(_))));
}

#[test]
fn an_explanation_shows_each_rule_of_a_policy_and_what_it_saw() {
    let csr = named(&[(0x82, b"a.test"), (0x82, b"b.test")]);
    let findings = |dry_run| {
        let policy = Policy { dry_run, dns_names: parsed(&["a.test"]), ..Policy::default() };
        let settings = Settings { policy: Some(policy), ..Settings::default() };
        let issuer = Issuer::Ready { authority: &CA, settings: &settings };
        explain(&from_shop(&csr), &issuer, now())
    };
    let all = findings(false);
    let of = |field: &str| all.iter().find(|finding| finding.rule == format!("policy: {field}")).unwrap();
    let dns = of("dnsNames");
    assert_eq!((dns.saw.as_str(), dns.source), ("\"a.test\", \"b.test\"", "the issuer's spec.policy.dnsNames"));
    assert!(matches!(dns.verdict, Verdict::Broken(Error::Policy(_))));
    assert_eq!(of("namespaces").saw, "the namespace \"shop\"");
    assert_eq!((of("keys").saw.as_str(), &of("keys").verdict), ("ECDSA of 256 bits", &Verdict::Kept));
    assert_eq!(of("uris").saw, "none");
    let told = findings(true);
    assert!(
        told.iter().any(|finding| finding.rule == "policy: dnsNames" && matches!(finding.verdict, Verdict::Told(_)))
    );
    // Where there is no policy, nothing is said of one.
    let open = explain(&from_shop(&csr), &crate::support::ready(&CA), now());
    assert!(!open.iter().any(|finding| finding.rule.starts_with("policy")));
}
