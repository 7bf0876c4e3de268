//! Requests: what is read, and what is refused with which words (issuer-facts 10, 11, 13, 19).

use rcgen::{ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use tandem_issuer_core::{
    Error,
    request::{MAX_REQUEST_BYTES, ValidRequest},
    usage::Usages,
    weak_keys::Weakness,
};

use crate::support::{SEQUENCE, crafted, csr, csr_with, extension, extension_request, rdn, tlv};

fn read(pem: &str) -> Result<ValidRequest, Error> {
    ValidRequest::from_pem(pem.as_bytes())
}

fn problem(pem: &str) -> String {
    read(pem).unwrap_err().to_string()
}

fn san() -> Vec<u8> {
    extension(17, false, &tlv(SEQUENCE, &[&tlv(0x82, &[b"a.example.com"])]))
}

/// Fact 10: as cert-manager takes it.
#[test]
fn text_before_and_white_space_after_are_fine() {
    let plain = csr();
    read(&plain).unwrap();
    read(&format!("Certificate Request:\n    Data: …\n{plain}\n \t\r\n\n")).unwrap();
    read(&plain.replace('\n', "\r\n")).unwrap();
    read(&plain.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")).unwrap();
}

/// Fact 10: one block, with a request's label.
#[test]
fn anything_else_around_it_is_refused() {
    let plain = csr();
    assert!(problem(&format!("{plain}{plain}")).contains("something follows its first block"));
    assert!(problem(&format!("{plain}hello")).contains("something follows its first block"));
    assert!(problem("").contains("no PEM block was found"));
    assert!(problem("-----BEGIN CERTIFICATE REQUEST-----\n").contains("no PEM block was found"));
    assert!(problem(&plain.replace("CERTIFICATE REQUEST", "CERTIFICATE")).contains(r#"its label is "CERTIFICATE""#));
    assert!(ValidRequest::from_pem(&[0xff, 0xfe]).unwrap_err().to_string().contains("it is not text"));
}

/// However a private key is pasted in place of a request, no part of it is told.
#[test]
fn a_private_key_is_not_echoed() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    let secret: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    for pasted in [
        key.clone(),
        key.replacen('\n', "\n\n", 2),
        key.replace("PRIVATE KEY", "CERTIFICATE REQUEST"),
        format!("-----BEGIN {secret}-----\n{secret}\n-----END {secret}-----\n"),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END {secret}-----\n"),
        format!("-----BEGIN PRIVATE KEY-----\nKey {secret}\n\n{secret}\n-----END PRIVATE KEY-----\n"),
    ] {
        let message = problem(&pasted);
        assert!(!message.contains(&secret[..20]) && !message.contains(&secret[40..60]), "{message}");
    }
}

/// Fact 10: also where only white space makes it large.
#[test]
fn the_size_is_capped_before_parsing() {
    let padded = format!("{}{}", " ".repeat(MAX_REQUEST_BYTES), csr());
    assert!(matches!(read(&padded), Err(Error::RequestTooLarge { limit: MAX_REQUEST_BYTES })));
}

/// Fact 10: not one byte.
#[test]
fn nothing_may_follow_within_the_der() {
    let mut der = crafted(0, &[], &[extension_request(&[san()])]);
    ValidRequest::from_der(&der).unwrap();
    der.push(0);
    assert!(matches!(ValidRequest::from_der(&der), Err(Error::RequestMalformed(_))));
}

#[test]
fn only_version_1_exists() {
    let der = crafted(1, &[], &[extension_request(&[san()])]);
    assert!(ValidRequest::from_der(&der).unwrap_err().to_string().contains("version 2 instead of 1"));
}

/// Fact 10: proof of possession.
#[test]
fn the_signature_is_by_the_requests_own_key() {
    let der = pem::parse(csr()).unwrap().into_contents();
    let mut forged = der.clone();
    // The last byte of the DNS name: the request is still well formed.
    let place = forged.windows(7).position(|window| window == b"example").unwrap();
    forged[place] = b'E';
    assert_eq!(ValidRequest::from_der(&forged), Err(Error::RequestSignature));
}

/// Fact 19: SHA-1, MD5, other curves, RSA below 2048 bits.
#[test]
fn weak_and_unknown_algorithms_are_refused_by_name() {
    for (csr, name) in [
        (include_str!("../data/rsa-sha1.csr"), "sha1WithRSAEncryption"),
        (include_str!("../data/rsa-md5.csr"), "md5WithRSAEncryption"),
        (include_str!("../data/p-224.csr"), "ecdsa-with-SHA256"),
        (include_str!("../data/ed448.csr"), "1.3.101.113"),
    ] {
        let error = read(csr).unwrap_err();
        assert!(matches!(&error, Error::RequestAlgorithm(found) if found.contains(name)), "{error}");
    }
    // The table starts at 2048 bits: a smaller key verifies nothing.
    assert_eq!(read(include_str!("../data/rsa-1024.csr")), Err(Error::WeakKey(Weakness::Size(1024))));
}

/// Fact 19: RSA, three curves, Ed25519.
#[test]
fn every_accepted_algorithm_is_read() {
    read(include_str!("../data/rsa-pss.csr")).unwrap();
    for algorithm in [
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
    ] {
        read(&csr_with(&crate::support::key(algorithm), |_| {})).unwrap();
    }
}

#[test]
fn an_attribute_or_extension_given_twice_is_refused() {
    let twice = crafted(0, &[], &[extension_request(&[san(), san()])]);
    assert!(ValidRequest::from_der(&twice).unwrap_err().to_string().contains("2.5.29.17 is given twice"));
    let subject = rdn(&[(3, 0x0c, b"db")]);
    let values = [extension_request(&[san()]), extension_request(&[extension(15, true, &[3, 2, 5, 0xa0])])];
    assert!(matches!(ValidRequest::from_der(&crafted(0, &[subject], &values)), Err(Error::RequestMalformed(_))));
}

/// Fact 13: order, repeated attributes, string types, otherName.
#[test]
fn names_keep_their_bytes() {
    // Two OUs, an RDN of two attributes, and a string type that nobody would choose today (T61String).
    let rdns =
        [rdn(&[(10, 0x13, b"Org")]), rdn(&[(11, 0x0c, b"one")]), rdn(&[(11, 0x14, b"two"), (3, 0x0c, b"multi")])];
    let request = ValidRequest::from_der(&crafted(0, &rdns, &[])).unwrap();
    assert_eq!(request.subject, tlv(SEQUENCE, &[&rdns.concat()]));

    let other_name = tlv(0xa0, &[&tlv(0x06, &[&[0x2a, 3, 4]]), &tlv(0xa0, &[&tlv(0x0c, &[b"upn"])])]);
    let names = tlv(SEQUENCE, &[&other_name, &tlv(0x87, &[&[10, 0, 0, 1]])]);
    let request = ValidRequest::from_der(&crafted(0, &[], &[extension_request(&[extension(17, true, &names)])]));
    assert_eq!(request.unwrap().subject_alt_name, Some(names));
}

/// Fact 11: key usage as a set, extended key usage in order.
#[test]
fn what_is_encoded_must_be_what_the_spec_asks_for() {
    let key = KeyPair::generate().unwrap();
    let encoded = csr_with(&key, |params| {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    });
    let request = read(&encoded).unwrap();
    let check = |names: &[&str], is_ca| request.check_against(&Usages::from_names(names, is_ca).unwrap(), is_ca);
    check(&["digital signature", "key encipherment", "server auth", "client auth"], false).unwrap();

    let order = check(&["digital signature", "key encipherment", "client auth", "server auth"], false);
    assert_eq!(
        order.unwrap_err().to_string(),
        "the request encodes extended key usage server auth, client auth, but its spec asks for client auth, server auth"
    );
    let bits = check(&["digital signature", "server auth", "client auth"], false);
    assert!(matches!(bits, Err(Error::Mismatch { field: "key usage", .. })));
    // Nothing is encoded about CA here, but cert sign is then asked for and not encoded.
    assert!(matches!(check(&[], true), Err(Error::Mismatch { field: "key usage", .. })));
}

/// Fact 11: basic constraints.
#[test]
fn is_ca_must_agree_where_it_is_encoded() {
    let constraints = tlv(SEQUENCE, &[&[0x01, 0x01, 0xff]]);
    let der = crafted(0, &[rdn(&[(3, 0x0c, b"ca")])], &[extension_request(&[extension(19, true, &constraints)])]);
    let request = ValidRequest::from_der(&der).unwrap();
    let usages = Usages::from_names::<&str>(&[], true).unwrap();
    request.check_against(&usages, true).unwrap();
    let refused = request.check_against(&usages, false).unwrap_err();
    assert_eq!(refused.to_string(), "the request encodes isCA true, but its spec asks for false");
}

#[test]
fn a_request_without_extensions_fits_any_usages() {
    let request = read(&csr()).unwrap();
    request.check_against(&Usages::from_names(&["client auth"], false).unwrap(), false).unwrap();
}

/// Fact 12: two where none is named.
#[test]
fn usages_are_those_of_cert_managers_api() {
    assert_eq!(Usages::from_names(&["server  auth"], false), Err(Error::UnknownUsage("server  auth".to_owned())));
    let default = Usages::from_names::<&str>(&[], false).unwrap();
    assert_eq!(default, Usages::from_names(&["key encipherment", "signing"], false).unwrap());
}
