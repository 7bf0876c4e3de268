//! Certificates: what comes out, read by another parser (issuer-facts 9, 12–16, 28, 30, 31).

use jiff::SignedDuration;
use rcgen::{KeyPair, PublicKeyData};
use tandem_issuer_core::{
    Authority, Decision, Error, Issued, Serial,
    certificate::{assemble, prepare},
    decide::{Issuer, Request},
    grant::Grant,
    issue,
    settings::{Settings, Urls},
};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use crate::support::{
    SEQUENCE, authority, below, ca_params, crafted, csr, csr_with, extension, extension_request, key, now, rdn, ready,
    request, root, tlv, to_pem,
};

const SERIAL: [u8; 20] = [0xff; 20];

fn granted(request: &Request<'_>, issuer: &Issuer<'_>) -> Grant {
    match tandem_issuer_core::decide(request, issuer, now()) {
        Decision::Sign(grant) => *grant,
        other => panic!("not signed: {other:?}"),
    }
}

fn sign(request: &Request<'_>, authority: &Authority) -> Issued {
    let grant = granted(request, &ready(authority));
    issue(&grant, authority, Serial::from_random(SERIAL), now()).unwrap()
}

fn value<'a>(certificate: &'a X509Certificate<'a>, arc: &str) -> Option<(&'a [u8], bool)> {
    certificate.iter_extensions().find(|e| e.oid.to_id_string() == arc).map(|e| (e.value, e.critical))
}

/// Fact 9: cert-manager reads no longer chain.
#[test]
fn a_certificate_that_is_too_long_is_said_to_be() {
    let authority = authority(&root("CA", &rcgen::PKCS_ED25519));
    let (csr, usages) = (csr(), vec!["any".to_owned(); 20_000]);
    let grant = granted(&Request { usages: &usages, ..request(&csr) }, &ready(&authority));
    let error = issue(&grant, &authority, Serial::from_random(SERIAL), now()).unwrap_err();
    assert!(matches!(error, Error::ChainTooLarge { size: 100_000.., .. }), "{error}");
}

#[test]
fn every_ca_signs_every_key_with_the_hash_that_fits() {
    let algorithms = [
        (&rcgen::PKCS_RSA_SHA256, "1.2.840.113549.1.1.11"),
        (&rcgen::PKCS_ECDSA_P256_SHA256, "1.2.840.10045.4.3.2"),
        (&rcgen::PKCS_ECDSA_P384_SHA384, "1.2.840.10045.4.3.3"),
        (&rcgen::PKCS_ECDSA_P521_SHA512, "1.2.840.10045.4.3.4"),
        (&rcgen::PKCS_ED25519, "1.3.101.112"),
    ];
    for (ca_algorithm, signature) in algorithms {
        let ca = root("CA", ca_algorithm);
        let authority = authority(&ca);
        for (leaf_algorithm, _) in algorithms {
            let leaf_key = key(leaf_algorithm);
            let issued = sign(&request(&csr_with(&leaf_key, |_| {})), &authority);
            let (rest, leaf) = X509Certificate::from_der(&issued.leaf).unwrap();
            assert!(rest.is_empty());
            assert_eq!(leaf.signature_algorithm.algorithm.to_id_string(), signature);
            assert_eq!(leaf.public_key().raw, leaf_key.subject_public_key_info());
        }
    }
}

#[test]
fn the_usual_extensions_are_there() {
    let ca = root("CA", &rcgen::PKCS_ECDSA_P256_SHA256);
    let authority = authority(&ca);
    let issued = sign(&request(&csr()), &authority);
    let (_, leaf) = X509Certificate::from_der(&issued.leaf).unwrap();
    let (_, ca) = X509Certificate::from_der(ca.as_ref().der()).unwrap();

    assert_eq!(leaf.issuer().as_raw(), ca.subject().as_raw());
    assert_eq!(value(&leaf, "2.5.29.19"), Some((&[0x30, 0][..], true)), "basic constraints");
    assert_eq!(value(&leaf, "2.5.29.15"), Some((&[3, 2, 5, 0xa0][..], true)), "key usage");
    assert_eq!(value(&leaf, "2.5.29.37"), None, "extended key usage");
    // An empty subject makes the names critical.
    assert!(value(&leaf, "2.5.29.17").unwrap().1);
    // The CA's own identifier, which rcgen made by another method than ours.
    let own = ca.iter_extensions().find_map(|e| match e.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    });
    let named = leaf.iter_extensions().find_map(|e| match e.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    });
    assert_eq!(own, named);
    // RFC 7093 method 1: 160 bits of SHA-256 over the key's bits.
    let expected = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &leaf.public_key().subject_public_key.data);
    let key_id = value(&leaf, "2.5.29.14").unwrap().0;
    assert_eq!(key_id, tlv(0x04, &[&expected.as_ref()[..20]]));
}

#[test]
fn serials_are_positive_and_20_octets() {
    for bytes in [[0xff; 20], [0; 20]] {
        let serial = Serial::from_random(bytes);
        assert_eq!(serial.as_bytes().len(), 20);
        assert!((0x40..0x80).contains(&serial.as_bytes()[0]));
    }
}

#[test]
fn the_duration_is_exact_though_the_beginning_lies_in_the_past() {
    let ca = root("CA", &rcgen::PKCS_ECDSA_P256_SHA256);
    let authority = authority(&ca);
    let csr = csr();
    for (hours, expected) in [(None, 90 * 24), (Some(1), 1), (Some(8760), 8760)] {
        let request = Request { duration: Ok(hours.map(SignedDuration::from_hours)), ..request(&csr) };
        let issued = sign(&request, &authority);
        let (_, leaf) = X509Certificate::from_der(&issued.leaf).unwrap();
        let (start, end) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
        assert_eq!(end - start, expected * 3600);
        assert_eq!(start, now().as_second() - 60);
    }
}

#[test]
fn names_are_the_requests_bytes() {
    let ca = root("CA", &rcgen::PKCS_ECDSA_P256_SHA256);
    let rdns = [rdn(&[(11, 0x14, b"two")]), rdn(&[(11, 0x0c, b"one"), (3, 0x13, b"multi")])];
    let names = tlv(SEQUENCE, &[&tlv(0xa0, &[&tlv(0x06, &[&[0x2a, 3, 4]]), &tlv(0xa0, &[&tlv(0x0c, &[b"upn"])])])]);
    let der = crafted(0, &rdns, &[extension_request(&[extension(17, true, &names)])]);
    let issued = sign(&request(&to_pem("CERTIFICATE REQUEST", &der)), &authority(&ca));
    let (_, leaf) = X509Certificate::from_der(&issued.leaf).unwrap();
    assert_eq!(leaf.subject().as_raw(), tlv(SEQUENCE, &[&rdns.concat()]));
    // Not critical, whatever the request said: there is a subject.
    assert_eq!(value(&leaf, "2.5.29.17"), Some((names.as_slice(), false)));
}

#[test]
fn a_ca_gets_its_constraints_and_a_leaf_does_not() {
    let ca = root("CA", &rcgen::PKCS_ECDSA_P256_SHA256);
    let authority = authority(&ca);
    let constraints = tlv(SEQUENCE, &[&[0x01, 0x01, 0xff], &tlv(0x02, &[&[3]])]);
    let permitted = tlv(0xa0, &[&tlv(SEQUENCE, &[&tlv(0x82, &[b"example.com"])])]);
    let names = tlv(SEQUENCE, &[&permitted]);
    let unknown = extension(99, false, &[5, 0]);
    let wanted = [extension(19, true, &constraints), extension(30, true, &names), unknown];
    let der = crafted(0, &[rdn(&[(3, 0x0c, b"sub")])], &[extension_request(&wanted)]);
    let csr = to_pem("CERTIFICATE REQUEST", &der);
    let issued = sign(&Request { is_ca: true, ..request(&csr) }, &authority);
    let (_, sub) = X509Certificate::from_der(&issued.leaf).unwrap();
    assert_eq!(value(&sub, "2.5.29.19"), Some((constraints.as_slice(), true)));
    assert_eq!(value(&sub, "2.5.29.30"), Some((names.as_slice(), true)));
    assert_eq!(value(&sub, "2.5.29.99"), None, "an unknown extension is dropped");
    assert!(sub.key_usage().unwrap().unwrap().value.key_cert_sign());

    let der = crafted(0, &[rdn(&[(3, 0x0c, b"leaf")])], &[extension_request(&[extension(30, true, &names)])]);
    let issued = sign(&request(&to_pem("CERTIFICATE REQUEST", &der)), &authority);
    let (_, leaf) = X509Certificate::from_der(&issued.leaf).unwrap();
    assert_eq!(value(&leaf, "2.5.29.30"), None);
}

#[test]
fn usages_keep_their_order() {
    let ca = root("CA", &rcgen::PKCS_ECDSA_P256_SHA256);
    let usages = ["client auth", "server auth", "microsoft sgc", "cert sign"].map(str::to_owned);
    let csr = csr();
    let issued = sign(&Request { usages: &usages, ..request(&csr) }, &authority(&ca));
    let (_, leaf) = X509Certificate::from_der(&issued.leaf).unwrap();
    let client = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];
    let server = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
    let microsoft = [0x06, 10, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 3];
    let expected = tlv(SEQUENCE, &[&client, &server, &microsoft]);
    assert_eq!(value(&leaf, "2.5.29.37"), Some((expected.as_slice(), false)));
    assert_eq!(value(&leaf, "2.5.29.15"), Some((&[3, 2, 2, 4][..], true)));
}

#[test]
fn the_issuers_urls_are_embedded() {
    let ca = root("CA", &rcgen::PKCS_ECDSA_P256_SHA256);
    let authority = authority(&ca);
    let urls = Urls {
        crl_distribution_points: vec!["http://crl.example.com/ca".to_owned()],
        ocsp_servers: vec!["http://ocsp.example.com".to_owned()],
        issuing_certificate_urls: vec!["http://ca.example.com/ca.crt".to_owned()],
    };
    let settings = Settings { urls, ..Settings::default() };
    let issuer = Issuer::Ready { authority: &authority, settings: &settings };
    let csr = csr();
    let grant = granted(&request(&csr), &issuer);
    let issued = issue(&grant, &authority, Serial::from_random(SERIAL), now()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&issued.leaf).unwrap();
    let mut found = Vec::new();
    for extension in leaf.iter_extensions() {
        match extension.parsed_extension() {
            ParsedExtension::AuthorityInfoAccess(access) => {
                for description in &access.accessdescs {
                    if let GeneralName::URI(uri) = description.access_location {
                        found.push(format!("{} {uri}", description.access_method));
                    }
                }
            }
            ParsedExtension::CRLDistributionPoints(points) => found.push(format!("{:?}", points.points)),
            _ => {}
        }
    }
    let found = found.join("\n");
    assert!(found.contains("1.3.6.1.5.5.7.48.1 http://ocsp.example.com"), "{found}");
    assert!(found.contains("1.3.6.1.5.5.7.48.2 http://ca.example.com/ca.crt"), "{found}");
    assert!(found.contains("http://crl.example.com/ca"), "{found}");
}

#[test]
fn the_chain_is_published_leaf_first_and_without_the_root() {
    let top = root("root", &rcgen::PKCS_ECDSA_P256_SHA256);
    let middle = below(&top, ca_params("middle"));
    let authority =
        crate::support::read(&(middle.as_ref().pem() + &top.as_ref().pem()), &middle.key().serialize_pem(), None)
            .unwrap();
    let issued = sign(&request(&csr()), &authority);
    let chain = pem::parse_many(&issued.certificate).unwrap();
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[0].contents(), issued.leaf);
    assert_eq!(chain[1].contents(), middle.as_ref().der().as_ref());
    let roots = pem::parse_many(&issued.ca).unwrap();
    assert_eq!(roots.len(), 1);
    assert_eq!(roots[0].contents(), top.as_ref().der().as_ref());
    assert!(!issued.certificate.contains('\r'));
}

#[test]
fn what_is_not_right_is_never_published() {
    let (ca, other) = (root("CA", &rcgen::PKCS_ECDSA_P256_SHA256), root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    let (authority, other) = (authority(&ca), authority(&other));
    let csr = csr();
    let grant = granted(&request(&csr), &ready(&authority));
    let serial = Serial::from_random(SERIAL);
    let to_sign = prepare(&grant, &authority, serial).unwrap();
    let try_with = |grant: &Grant, authority: &Authority, serial, to_sign: &[u8], signature: &[u8]| match assemble(
        grant,
        authority,
        serial,
        to_sign,
        signature,
        now(),
    ) {
        Err(Error::Unverified(why)) => why,
        other => panic!("published: {other:?}"),
    };
    let good = authority.signer().sign(&to_sign).unwrap();
    assemble(&grant, &authority, serial, &to_sign, &good, now()).unwrap();

    let stranger = other.signer().sign(&to_sign).unwrap();
    assert_eq!(try_with(&grant, &authority, serial, &to_sign, &stranger), "its signature is not by the CA's key");
    let differs = |change: &dyn Fn(&mut Grant)| {
        let mut changed = grant.clone();
        change(&mut changed);
        try_with(&changed, &authority, serial, &to_sign, &good)
    };
    assert_eq!(differs(&|grant| grant.is_ca = true), "its basic constraints differ");
    assert_eq!(differs(&|grant| grant.request.subject_alt_name = None), "its subject alternative names differ");
    assert_eq!(differs(&|grant| grant.request.subject.push(0)), "its subject differs");
    assert_eq!(differs(&|grant| grant.request.public_key.push(0)), "its public key differs");
    assert_eq!(differs(&|grant| grant.not_after += SignedDuration::from_secs(1)), "its end differs");
    assert_eq!(differs(&|grant| grant.not_before += SignedDuration::from_secs(1)), "its beginning differs");
    assert_eq!(differs(&|grant| grant.usages.key = Default::default()), "its key usage differs");
    let oid = der::oid::ObjectIdentifier::new_unwrap("1.2.3");
    assert_eq!(differs(&|grant| grant.usages.extended.push(oid)), "its extended key usage differs");
    let another = Serial::from_random([0; 20]);
    assert_eq!(try_with(&grant, &authority, another, &to_sign, &good), "its serial number differs");
}

/// Fact 26: what was granted by one authority is not published beneath another that forbids it, whoever asks.
#[test]
fn what_the_chain_forbids_is_never_published() {
    let free = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    let certified = |change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let mut params = ca_params("CA");
        change(&mut params);
        authority(&rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    };
    let refused = |request: &Request<'_>, strict: &Authority| {
        let grant = granted(request, &ready(&free));
        match issue(&grant, strict, Serial::from_random(SERIAL), now()) {
            Err(Error::Unverified(why)) => why,
            other => panic!("published: {other:?}"),
        }
    };
    let names = certified(&|params| {
        params.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("allowed.example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let (csr, usages) = (csr(), ["client auth".to_owned()]);
    let is_ca = Request { is_ca: true, ..request(&csr) };
    for request in [&request(&csr), &is_ca] {
        assert!(refused(request, &names).contains("they permit only DNS name"));
    }
    let servers = certified(&|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(refused(&Request { usages: &usages, ..request(&csr) }, &servers).contains("client auth"));
    let last = certified(&|params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0)));
    assert!(refused(&is_ca, &last).contains("path length"));
}
