//! CA Secrets: what makes an authority, and what does not (issuer-facts 9, 15, 19, 24, 27, 31).

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
use tandem_issuer_core::{Authority, Class, Error, authority::Material};

use crate::support::{below, ca_params, now, read, root};

fn p256(name: &str) -> crate::support::Ca {
    root(name, &rcgen::PKCS_ECDSA_P256_SHA256)
}

fn refusal(certificates: &str, key: &str, roots: Option<&str>) -> String {
    let error = read(certificates, key, roots).unwrap_err();
    assert_eq!(error.class(), Class::Issuer);
    error.to_string()
}

/// Fact 24: PKCS#1, PKCS#8 and SEC1.
#[test]
fn keys_come_in_every_framing() {
    let certificate = include_str!("../data/ca-sec1.crt");
    for key in [
        include_str!("../data/ca-sec1.key"),
        include_str!("../data/ca-sec1-params.key"),
        include_str!("../data/ca-pkcs8.key"),
    ] {
        read(certificate, key, None).unwrap();
    }
    read(include_str!("../data/ca-pkcs1.crt"), include_str!("../data/ca-pkcs1.key"), None).unwrap();
    for algorithm in [&rcgen::PKCS_ECDSA_P521_SHA512, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256] {
        let ca = root("any", algorithm);
        read(&ca.as_ref().pem(), &ca.key().serialize_pem(), None).unwrap();
    }
}

#[test]
fn an_encrypted_key_is_named_as_such() {
    let message = refusal(include_str!("../data/ca-sec1.crt"), include_str!("../data/ca-encrypted.key"), None);
    assert_eq!(message, "tls.key: the private key is encrypted; store it unencrypted");
}

/// Fact 24: each key of the Secret by name.
#[test]
fn a_half_written_secret_names_what_is_missing() {
    let ca = p256("half");
    let (certificate, key) = (ca.as_ref().pem(), ca.key().serialize_pem());
    let from = |certificates: Option<&str>, key: Option<&str>| {
        Authority::from_secret(Material {
            certificates: certificates.map(str::as_bytes),
            key: key.map(str::as_bytes),
            roots: None,
        })
        .unwrap_err()
        .to_string()
    };
    assert_eq!(from(None, Some(&key)), "tls.crt is missing or empty");
    assert_eq!(from(Some(""), Some(&key)), "tls.crt is missing or empty");
    assert_eq!(from(Some(&certificate), None), "tls.key is missing or empty");
    assert_eq!(from(Some("garbage"), Some(&key)), "tls.crt: it holds no certificate in PEM");
    assert_eq!(from(Some(&certificate[..200]), Some(&key)), "tls.crt: it holds no certificate in PEM");
    assert_eq!(from(Some(&certificate), Some("garbage")), "tls.key: it does not hold exactly one private key in PEM");
}

/// Fact 24: it signs something, and the certificate verifies it.
#[test]
fn the_key_must_be_the_certificates() {
    let (one, other) = (p256("one"), p256("other"));
    let message = refusal(&one.as_ref().pem(), &other.key().serialize_pem(), None);
    assert_eq!(message, "tls.key is not the private key of the first certificate in tls.crt");
}

/// Fact 24: CA:TRUE, and keyCertSign where there is key usage.
#[test]
fn only_a_ca_signs() {
    let key = KeyPair::generate().unwrap();
    let certificate = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = ca_params("no CA");
        change(&mut params);
        refusal(&params.self_signed(&key).unwrap().pem(), &key.serialize_pem(), None)
    };
    assert!(certificate(&|params| params.is_ca = IsCa::NoCa).contains("it has no basic constraints"));
    assert!(certificate(&|params| params.is_ca = IsCa::ExplicitNoCa).contains("CA:FALSE"));
    assert!(certificate(&|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]).contains("certificate signing"));
}

#[test]
fn a_ca_without_key_usage_may_sign() {
    let key = KeyPair::generate().unwrap();
    let mut params = ca_params("silent");
    params.key_usages.clear();
    read(&params.self_signed(&key).unwrap().pem(), &key.serialize_pem(), None).unwrap();
}

/// Fact 19: SHA-1.
#[test]
fn weak_signatures_are_refused_in_the_ca_too() {
    let message = refusal(include_str!("../data/ca-rsa-sha1.crt"), include_str!("../data/ca-rsa-sha1.key"), None);
    assert!(message.contains("sha1WithRSAEncryption"), "{message}");
}

/// Fact 9: at the end of tls.crt, in ca.crt, or nowhere: then the topmost stands in.
#[test]
fn the_root_is_found_wherever_it_is() {
    let top = p256("root");
    let middle = below(&top, ca_params("middle"));
    let key = middle.key().serialize_pem();
    let (top_pem, middle_pem) = (top.as_ref().pem(), middle.as_ref().pem());

    for (certificates, roots) in [(middle_pem.clone() + &top_pem, None), (middle_pem.clone(), Some(top_pem.as_str()))] {
        let authority = read(&certificates, &key, roots).unwrap();
        assert_eq!(authority.intermediates(), [middle.as_ref().der().clone()]);
        assert_eq!(authority.anchors(), [top.as_ref().der().clone()]);
    }
    // Where it is not known, the topmost stands in for it, and stays in the chain.
    let stranger = p256("stranger").as_ref().pem();
    for roots in [None, Some(middle_pem.as_str())] {
        let authority = read(&middle_pem, &key, roots).unwrap();
        assert_eq!(authority.intermediates(), [middle.as_ref().der().clone()]);
        assert_eq!(authority.anchors(), [middle.as_ref().der().clone()]);
    }
    // Further roots follow.
    let authority = read(&middle_pem, &key, Some(&(stranger + &top_pem))).unwrap();
    assert_eq!(authority.anchors().len(), 2);
    assert_eq!(authority.anchors()[0], *top.as_ref().der());
    // A CA that signed itself is the root.
    let authority = read(&top_pem, &top.key().serialize_pem(), None).unwrap();
    assert!(authority.intermediates().is_empty());
}

/// Fact 24: the CA first, then its issuers upwards.
#[test]
fn the_chain_is_in_order() {
    let top = p256("root");
    let middle = below(&top, ca_params("middle"));
    let lower = below(&middle, ca_params("lower"));
    let chain = [&lower, &top, &middle].map(|ca| ca.as_ref().pem()).concat();
    let message = refusal(&chain, &lower.key().serialize_pem(), None);
    assert_eq!(message, "tls.crt: certificate 1 was not issued by certificate 2; order them from the CA upwards");
}

/// Fact 9: what nobody could use is the CA's fault, not a request's, and can be mended.
#[test]
fn more_than_cert_manager_reads_is_no_authority() {
    let (mut cas, mut chain) = (vec![p256("root")], String::new());
    for number in 0..150 {
        let next = below(&cas[number], ca_params("between"));
        chain = next.as_ref().pem() + &chain;
        cas.push(next);
    }
    let told = refusal(&(chain + &cas[0].as_ref().pem()), &cas[150].key().serialize_pem(), None);
    assert!(told.starts_with("tls.crt: its 150 certificates have "), "{told}");
    let roots: String = (0..700).map(|_| p256("another root").as_ref().pem()).collect();
    let told = refusal(&cas[0].as_ref().pem(), &cas[0].key().serialize_pem(), Some(&roots));
    assert!(told.starts_with("ca.crt: its 701 certificates have "), "{told}");
    assert!(told.ends_with("; cert-manager takes at most 330000"), "{told}");
}

/// Fact 26: path length, over the whole chain.
#[test]
fn path_lengths_leave_room_or_not() {
    let mut params = ca_params("root");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    let top = rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let middle = below(&top, ca_params("middle"));
    let lower = below(&middle, ca_params("lower"));
    let read = |chain: &[&crate::support::Ca]| {
        let pem: String = chain.iter().map(|ca| ca.as_ref().pem()).collect();
        read(&pem, &chain[0].key().serialize_pem(), None)
    };
    assert!(read(&[&top]).unwrap().may_sign_ca());
    assert!(!read(&[&middle, &top]).unwrap().may_sign_ca());
    assert!(read(&[&lower, &middle, &top]).unwrap_err().to_string().contains("longer than a path length"));
}

/// Facts 24, 27: the first to end or the last to begin counts.
#[test]
fn validity_is_checked_over_the_whole_chain() {
    let mut params = ca_params("short");
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let top = rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let middle = below(&top, ca_params("long"));
    let authority = read(&(middle.as_ref().pem() + &top.as_ref().pem()), &middle.key().serialize_pem(), None).unwrap();
    assert_eq!(authority.not_after().to_string(), "2027-01-01T00:00:00Z");
    authority.check_time(now()).unwrap();
    let at = |time: &str| authority.check_time(time.parse().unwrap()).unwrap_err();
    assert!(matches!(at("2027-01-01T00:00:01Z"), Error::CaExpired { .. }));
    assert_eq!(
        at("2025-12-31T23:59:59Z").to_string(),
        "the CA certificate \"CN=short\" is not valid before 2026-01-01T00:00:00Z"
    );
}

#[test]
fn no_secret_shows_itself() {
    let ca = p256("shy");
    let authority = crate::support::authority(&ca);
    let shown = format!("{authority:?}");
    let key = ca.key().serialize_pem();
    assert!(shown.contains("redacted") && key.lines().all(|line| !shown.contains(line)));
}

/// Fact 24: an end that never comes (RFC 5280 clause 4.1.2.5) is later than any time that the issuer can name.
#[test]
fn a_ca_may_be_valid_for_ever() {
    let mut params = ca_params("for ever");
    params.not_after = rcgen::date_time_ymd(9999, 12, 31);
    let key = KeyPair::generate().unwrap();
    let authority = read(&params.self_signed(&key).unwrap().pem(), &key.serialize_pem(), None).unwrap();
    authority.check_time(now()).unwrap();
    assert!(authority.not_after() > "9999-12-29T00:00:00Z".parse().unwrap());
}
