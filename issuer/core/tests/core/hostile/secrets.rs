//! CA Secrets that must not become an authority (facts 19, 24).

use std::collections::HashSet;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SigningKey,
};
use tandem_issuer_core::{Authority, Class, authority::Material};

use crate::support::{Ca, SEQUENCE, SET, below, ca_params, extension, rdn, root, tlv};

use super::forge::{ECDSA_SHA256, KEY};

/// A Secret's keys; `None` where there is none.
struct Secret {
    certificates: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    roots: Option<Vec<u8>>,
}

fn secret(certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Secret {
    Secret { certificates: Some(certificates.into()), key: Some(key.into()), roots: None }
}

/// A CA certificate (version 3, P-256, `CN=CA`), byte by byte, and its key.
struct Forged {
    version: Vec<u8>,
    serial: Vec<u8>,
    inner: Vec<u8>,
    name: Vec<u8>,
    validity: [&'static [u8]; 2],
    extensions: Vec<Vec<u8>>,
    outer: Vec<u8>,
    after: Vec<u8>,
}

impl Forged {
    fn new() -> Self {
        Self {
            version: vec![0xa0, 3, 2, 1, 2],
            serial: vec![2, 1, 1],
            inner: ECDSA_SHA256.to_vec(),
            name: tlv(SEQUENCE, &[&rdn(&[(3, 0x0c, b"CA")])]),
            validity: [b"\x17\x0d260101000000Z", b"\x17\x0d360101000000Z"],
            extensions: vec![extension(19, true, &[SEQUENCE, 3, 1, 1, 0xff]), extension(15, true, &[3, 2, 1, 6])],
            outer: ECDSA_SHA256.to_vec(),
            after: Vec::new(),
        }
    }

    fn der(&self) -> Vec<u8> {
        let extensions = tlv(0xa3, &[&tlv(SEQUENCE, &[&self.extensions.concat()])]);
        let extensions = if self.extensions.is_empty() { Vec::new() } else { extensions };
        let validity = tlv(SEQUENCE, &self.validity);
        let key = KEY.subject_public_key_info();
        let content: [&[u8]; 9] = [
            &self.version,
            &self.serial,
            &self.inner,
            &self.name,
            &validity,
            &self.name,
            &key,
            &extensions,
            &self.after,
        ];
        let content = tlv(SEQUENCE, &content);
        let signature = tlv(3, &[&[0], &KEY.sign(&content).unwrap()]);
        tlv(SEQUENCE, &[&content, &self.outer, &signature])
    }

    fn secret(&self) -> Secret {
        secret(certificate(&self.der()), KEY.serialize_pem())
    }
}

fn certificate(der: &[u8]) -> String {
    crate::support::to_pem("CERTIFICATE", der)
}

fn made(change: impl Fn(&mut CertificateParams)) -> Secret {
    let mut params = ca_params("CA");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    secret(params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn chain(cas: &[&Ca]) -> Secret {
    secret(cas.iter().map(|ca| ca.as_ref().pem()).collect::<String>(), cas[0].key().serialize_pem())
}

fn cases() -> Vec<(&'static str, Secret, &'static str)> {
    let ca = root("CA", &rcgen::PKCS_ECDSA_P256_SHA256);
    let twin = root("CA", &rcgen::PKCS_ECDSA_P256_SHA256);
    let middle = below(&ca, ca_params("middle"));
    let lower = below(&middle, ca_params("lower"));
    let mut no_ca = ca_params("no CA");
    no_ca.is_ca = IsCa::ExplicitNoCa;
    let no_ca = below(&ca, no_ca);
    let beneath_no_ca = below(&no_ca, ca_params("beneath"));
    let mut last = ca_params("last");
    last.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let last = CertifiedIssuer::self_signed(last, KeyPair::generate().unwrap()).unwrap();
    let first = below(&last, ca_params("first"));
    let second = below(&first, ca_params("second"));
    let (pem, key) = (ca.as_ref().pem(), ca.key().serialize_pem());
    let der = ca.as_ref().der().to_vec();
    let with_roots = |roots: &str| Secret { roots: Some(roots.into()), ..secret(pem.clone(), key.clone()) };
    let forged = |change: fn(&mut Forged)| {
        let mut forged = Forged::new();
        change(&mut forged);
        forged.secret()
    };
    vec![
        ("nothing", Secret { certificates: None, key: None, roots: None }, "tls.crt is missing"),
        ("no certificate", Secret { certificates: None, ..secret("", key.clone()) }, "tls.crt is missing"),
        ("an empty certificate", secret("", key.clone()), "tls.crt is missing or empty"),
        ("no key", Secret { key: None, ..secret(pem.clone(), "") }, "tls.key is missing"),
        ("an empty key", secret(pem.clone(), ""), "tls.key is missing or empty"),
        ("certificate and key exchanged", secret(key.clone(), pem.clone()), "tls.crt: it holds something else"),
        ("key and certificate in one", secret(pem.clone() + &key, key.clone()), "tls.crt: it holds something else"),
        ("a request as certificate", secret(crate::support::csr(), key.clone()), "tls.crt: it holds something else"),
        ("DER as certificate", secret(der.clone(), key.clone()), "tls.crt: it"),
        (
            "base64 of base64",
            secret(crate::support::to_pem("X", pem.as_bytes()), key.clone()),
            "tls.crt: it holds something else",
        ),
        ("a certificate that is cut", secret(certificate(&der[..der.len() / 2]), key.clone()), "tls.crt: not an X.509"),
        (
            "a certificate with a byte after it",
            secret(certificate(&[&der[..], &[0]].concat()), key.clone()),
            "bytes follow",
        ),
        ("an empty block", secret(certificate(&[]), key.clone()), "tls.crt: not an X.509"),
        (
            "a good certificate before a cut one",
            secret(pem.clone() + &certificate(&der[..99]), key.clone()),
            "tls.crt: not an X.509",
        ),
        ("another CA's key", secret(pem.clone(), twin.key().serialize_pem()), "not the private key of the first"),
        (
            "a key of another kind",
            secret(pem.clone(), crate::support::key(&rcgen::PKCS_ED25519).serialize_pem()),
            "not the private key of the first",
        ),
        ("two keys", secret(pem.clone(), key.repeat(2)), "exactly one private key"),
        (
            "a public key",
            secret(pem.clone(), crate::support::to_pem("PUBLIC KEY", &[SEQUENCE, 0])),
            "exactly one private key",
        ),
        (
            "an encrypted key",
            secret(include_str!("../../data/ca-sec1.crt"), include_str!("../../data/ca-encrypted.key")),
            "encrypted",
        ),
        (
            "a key that is cut",
            secret(pem.clone(), crate::support::to_pem("PRIVATE KEY", &ca.key().serialize_der()[..40])),
            "tls.key: it is not an RSA",
        ),
        (
            "a key that is nothing",
            secret(pem.clone(), crate::support::to_pem("PRIVATE KEY", &[])),
            "tls.key: it is not an RSA",
        ),
        ("a key that is not base64", secret(pem.clone(), key.replace('M', "*")), "tls.key: it is not PEM"),
        ("no basic constraints", made(|params| params.is_ca = IsCa::NoCa), "no basic constraints"),
        ("CA:FALSE", made(|params| params.is_ca = IsCa::ExplicitNoCa), "CA:FALSE"),
        ("no cert sign", made(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]), "certificate signing"),
        (
            "SHA-1",
            secret(include_str!("../../data/ca-rsa-sha1.crt"), include_str!("../../data/ca-rsa-sha1.key")),
            "sha1WithRSAEncryption",
        ),
        ("a leaf with its CA", chain(&[&no_ca, &ca]), "CA:FALSE"),
        ("a chain upside down", secret(chain(&[&ca, &middle]).certificates.unwrap(), key.clone()), "was not issued by"),
        ("a chain with a gap", chain(&[&lower, &ca]), "was not issued by certificate 2"),
        ("a chain with the CA twice", chain(&[&middle, &middle, &ca]), "was not issued by certificate 2"),
        ("a chain to the issuer's twin", chain(&[&middle, &twin]), "was not issued by certificate 2"),
        ("a chain that goes on above its root", chain(&[&middle, &ca, &twin]), "was not issued by certificate 3"),
        ("a chain through one that is no CA", chain(&[&beneath_no_ca, &no_ca, &ca]), "was not issued by certificate 2"),
        ("a chain that is longer than its path length", chain(&[&second, &first, &last]), "longer than a path length"),
        ("a root that did not sign itself", secret(certificate(&resigned(&der)), key.clone()), "did not sign itself"),
        ("roots that are garbage", with_roots("garbage"), "ca.crt: it holds no certificate"),
        ("roots that are a key", with_roots(&key), "ca.crt: it holds something else"),
        ("roots that are cut", with_roots(&certificate(&der[..99])), "ca.crt: not an X.509"),
        ("version 1 with extensions", forged(|forged| forged.version.clear()), VERSION),
        ("version 2 with extensions", forged(|forged| forged.version[4] = 1), VERSION),
        ("version 4", forged(|forged| forged.version[4] = 3), VERSION),
        (
            "version 1",
            forged(|forged| {
                forged.version.clear();
                forged.extensions.clear();
            }),
            "no basic constraints",
        ),
        ("a serial number of zero length", forged(|forged| forged.serial = vec![2, 0]), "tls.crt:"),
        ("an empty subject", forged(|forged| forged.name = vec![SEQUENCE, 0]), "subject"),
        ("a subject with an empty RDN", forged(|forged| forged.name = tlv(SEQUENCE, &[&[SET, 0]])), "tls.crt:"),
        ("two algorithms", forged(|forged| forged.inner[11] = 3), "algorithm"),
        (
            "an algorithm that is not the signature's",
            forged(|forged| (forged.inner[11], forged.outer[11]) = (3, 3)),
            "did not sign itself",
        ),
        (
            "it ends before it begins",
            forged(|forged| forged.validity = [b"\x17\x0d360101000000Z", b"\x17\x0d260101000000Z"]),
            "validity",
        ),
        ("a time that does not exist", forged(|forged| forged.validity[1] = b"\x17\x0d361332000000Z"), "tls.crt:"),
        ("a time without seconds", forged(|forged| forged.validity[1] = b"\x17\x0b3601010000Z"), "tls.crt:"),
        (
            "basic constraints twice",
            forged(|forged| forged.extensions.push(forged.extensions[0].clone())),
            "extensions",
        ),
        ("key usage twice", forged(|forged| forged.extensions.push(extension(15, true, &[3, 2, 1, 2]))), "extensions"),
        (
            "basic constraints that are not DER",
            forged(|forged| forged.extensions[0] = extension(19, true, &[SEQUENCE, 0x80, 1, 1, 0xff, 0, 0])),
            "tls.crt",
        ),
        (
            "basic constraints with 0x01 for TRUE",
            forged(|forged| forged.extensions[0] = extension(19, true, &[SEQUENCE, 3, 1, 1, 1])),
            "tls.crt",
        ),
        (
            "a path length below zero",
            forged(|forged| forged.extensions[0] = extension(19, true, &[SEQUENCE, 6, 1, 1, 0xff, 2, 1, 0xff])),
            "tls.crt",
        ),
        (
            "an unknown critical extension",
            forged(|forged| forged.extensions.push(extension(99, true, &[5, 0]))),
            "critical",
        ),
        ("something after the extensions", forged(|forged| forged.after = vec![5, 0]), "tls.crt:"),
    ]
}

const VERSION: &str = "version";

/// The same certificate with another signature of the same form: the last bit differs.
fn resigned(der: &[u8]) -> Vec<u8> {
    let mut der = der.to_vec();
    if let Some(last) = der.last_mut() {
        *last ^= 1;
    }
    der
}

/// Facts 19, 24: whatever is wrong with a CA's Secret, it does not become an authority, and says what is wrong.
#[test]
fn no_hostile_secret_becomes_an_authority() {
    let cases = cases();
    let mut complaints = Vec::new();
    for (name, secret, because) in &cases {
        let material = Material {
            certificates: secret.certificates.as_deref(),
            key: secret.key.as_deref(),
            roots: secret.roots.as_deref(),
        };
        match Authority::from_secret(material) {
            Ok(_) => complaints.push(format!("{name}: it became an authority")),
            Err(error) if error.class() != Class::Issuer => {
                complaints.push(format!("{name}: {error}: not the issuer's"))
            }
            Err(error) if !error.to_string().contains(because) => {
                complaints.push(format!("{name}: not for {because:?}, but: {error}"));
            }
            Err(_) => {}
        }
    }
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), cases.len(), complaints.join("\n"));
    let names: HashSet<_> = cases.iter().map(|(name, ..)| name).collect();
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    assert!(names.len() >= 50, "{} cases", names.len());
}

/// Without this, every forged certificate above might be refused for what it has in common with the others.
#[test]
fn what_the_hostile_secrets_are_made_of_is_an_authority_where_it_is_honest() {
    let secret = Forged::new().secret();
    let material = Material {
        certificates: secret.certificates.as_deref(),
        key: secret.key.as_deref(),
        roots: secret.roots.as_deref(),
    };
    Authority::from_secret(material).unwrap();
}
