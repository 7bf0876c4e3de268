//! What the core adds to the signature: reading, deciding, building and verifying, beside aws-lc-rs signing alone.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa,
    signature::{
        self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    },
};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, RsaKeySize};
use tandem_issuer_core::{
    Authority, Decision, Serial,
    authority::Material,
    certificate::prepare,
    decide::{Approval, Issuer, Request, decide},
    grant::Grant,
    issue,
    request::ValidRequest,
    settings::Settings,
};

/// Signs a message with aws-lc-rs, without anything of ours.
type Raw = Box<dyn Fn(&[u8])>;

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, key: &KeyPair) -> Raw {
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &key.serialize_der()).unwrap();
    Box::new(move |message| {
        black_box(pair.sign(&SystemRandom::new(), message).unwrap());
    })
}

fn rsa(key: &KeyPair) -> Raw {
    let pair = rsa::KeyPair::from_pkcs8(&key.serialize_der()).unwrap();
    Box::new(move |message| {
        let mut signed = vec![0; pair.public_modulus_len()];
        pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signed).unwrap();
        black_box(signed);
    })
}

fn ed25519(key: &KeyPair) -> Raw {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key.serialize_der()).unwrap();
    Box::new(move |message| {
        black_box(pair.sign(message));
    })
}

/// A key of each kind, and how it signs without us.
fn kinds() -> Vec<(&'static str, KeyPair, Raw)> {
    let rsa_of = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).unwrap();
    let with = |name, key: KeyPair, raw: fn(&KeyPair) -> Raw| {
        let raw = raw(&key);
        (name, key, raw)
    };
    vec![
        with("RSA-2048", rsa_of(RsaKeySize::_2048), rsa),
        with("RSA-4096", rsa_of(RsaKeySize::_4096), rsa),
        with("P-256", KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(), |key| {
            ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, key)
        }),
        with("P-384", KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(), |key| {
            ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, key)
        }),
        with("P-521", KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap(), |key| {
            ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING, key)
        }),
        with("Ed25519", KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), ed25519),
    ]
}

fn authority(key: &KeyPair) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(key).unwrap().pem();
    let key = key.serialize_pem();
    Authority::from_secret(Material {
        certificates: Some(certificate.as_bytes()),
        key: Some(key.as_bytes()),
        roots: None,
    })
    .unwrap()
}

/// A request as cert-manager makes it for a database: three names, by the key that is to be certified.
fn csr(key: &KeyPair) -> String {
    let names = ["db", "db.default.svc", "db.default.svc.cluster.local"].map(str::to_owned);
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(key).unwrap().pem().unwrap()
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn granted(csr: &str, authority: &Authority) -> Grant {
    let settings = Settings::default();
    let request = Request { approval: Approval::Approved, csr: csr.as_bytes(), ..Request::default() };
    match decide(&request, &Issuer::Ready { authority, settings: &settings }, now()) {
        Decision::Sign(grant) => *grant,
        other => unreachable!("not granted: {other:?}"),
    }
}

/// `parse` and `decide` by the key of the request; `raw`, `sign`, `issue` and `whole` by the key of the CA, for a request
/// of P-256.
fn benchmarks(c: &mut Criterion) {
    let kinds = kinds();
    let authorities: Vec<_> = kinds.iter().map(|(_, key, _)| authority(key)).collect();
    let p256 = csr(&KeyPair::generate().unwrap());
    let serial = Serial::from_random([7; 20]);

    for (name, key, _) in &kinds {
        let csr = csr(key);
        c.bench_function(&format!("parse/{name}"), |b| {
            b.iter(|| ValidRequest::from_pem(black_box(csr.as_bytes())).unwrap())
        });
        c.bench_function(&format!("decide/{name}"), |b| b.iter(|| granted(black_box(&csr), &authorities[2])));
    }
    for ((name, _, raw), authority) in kinds.iter().zip(&authorities) {
        let grant = granted(&p256, authority);
        let to_sign = prepare(&grant, authority, serial).unwrap();
        c.bench_function(&format!("raw/{name}"), |b| b.iter(|| raw(black_box(&to_sign))));
        c.bench_function(&format!("sign/{name}"), |b| b.iter(|| authority.signer().sign(black_box(&to_sign)).unwrap()));
        c.bench_function(&format!("issue/{name}"), |b| {
            b.iter(|| issue(black_box(&grant), authority, serial, now()).unwrap())
        });
        c.bench_function(&format!("whole/{name}"), |b| {
            b.iter(|| issue(&granted(black_box(&p256), authority), authority, serial, now()).unwrap());
        });
    }
}

criterion_group!(all, benchmarks);
criterion_main!(all);
