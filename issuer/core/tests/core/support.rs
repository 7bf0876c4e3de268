//! CAs and requests, honest ones by rcgen and crooked ones byte by byte.

use std::sync::LazyLock;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
    SignatureAlgorithm, SigningKey,
};
use tandem_issuer_core::{
    Authority,
    authority::Material,
    decide::{Approval, Issuer, Request},
    settings::Settings,
};

pub(crate) type Ca = CertifiedIssuer<'static, KeyPair>;

/// A moment well within the validity of what rcgen makes by default.
pub(crate) fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A key for `algorithm`. RSA keys take long to make in a debug build, so one is shared.
pub(crate) fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    if algorithm == &rcgen::PKCS_RSA_SHA256 {
        return KeyPair::from_pem(include_str!("../data/rsa-2048.key")).unwrap();
    }
    KeyPair::generate_for(algorithm).unwrap()
}

pub(crate) fn root(name: &str, algorithm: &'static SignatureAlgorithm) -> Ca {
    CertifiedIssuer::self_signed(ca_params(name), key(algorithm)).unwrap()
}

pub(crate) fn below(above: &Ca, params: CertificateParams) -> Ca {
    CertifiedIssuer::signed_by(params, key(&rcgen::PKCS_ECDSA_P256_SHA256), above).unwrap()
}

/// Reads a CA Secret as its text.
pub(crate) fn read(certificates: &str, key: &str, roots: Option<&str>) -> Result<Authority, tandem_issuer_core::Error> {
    Authority::from_secret(Material {
        certificates: Some(certificates.as_bytes()),
        key: Some(key.as_bytes()),
        roots: roots.map(str::as_bytes),
    })
}

pub(crate) fn authority(ca: &Ca) -> Authority {
    read(&ca.as_ref().pem(), &ca.key().serialize_pem(), None).unwrap()
}

/// An approved request without wishes of its own.
pub(crate) fn request(csr: &str) -> Request<'_> {
    Request { approval: Approval::Approved, csr: csr.as_bytes(), ..Request::default() }
}

pub(crate) fn ready(authority: &Authority) -> Issuer<'_> {
    static PLAIN: LazyLock<Settings> = LazyLock::new(Settings::default);
    Issuer::Ready { authority, settings: &PLAIN }
}

/// A request for one DNS name.
pub(crate) fn csr() -> String {
    csr_with(&KeyPair::generate().unwrap(), |_| {})
}

pub(crate) fn csr_with(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::new(vec!["db.example.com".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    change(&mut params);
    params.serialize_request(key).unwrap().pem().unwrap()
}

/// One DER element.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut element = vec![tag];
    match content.len() {
        short @ 0..=127 => element.push(u8::try_from(short).unwrap()),
        middle @ 128..=255 => element.extend([0x81, u8::try_from(middle).unwrap()]),
        long => {
            let bytes = u16::try_from(long).unwrap().to_be_bytes();
            element.extend([0x82, bytes[0], bytes[1]]);
        }
    }
    element.extend(content);
    element
}

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// A relative distinguished name of (last arc of 2.5.4, string tag, value) each.
pub(crate) fn rdn(values: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let attributes: Vec<_> = values
        .iter()
        .map(|(arc, tag, value)| tlv(SEQUENCE, &[&tlv(0x06, &[&[0x55, 0x04, *arc]]), &tlv(*tag, &[value])]))
        .collect();
    tlv(SET, &attributes.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// An extension of 2.5.29 (id-ce).
pub(crate) fn extension(arc: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let oid = tlv(0x06, &[&[0x55, 0x1d, arc]]);
    let flag: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    tlv(SEQUENCE, &[&oid, flag, &tlv(0x04, &[value])])
}

/// The extensionRequest attribute.
pub(crate) fn extension_request(extensions: &[Vec<u8>]) -> Vec<u8> {
    let oid = tlv(0x06, &[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e]]);
    let list = tlv(SEQUENCE, &extensions.iter().map(Vec::as_slice).collect::<Vec<_>>());
    tlv(SEQUENCE, &[&oid, &tlv(SET, &[&list])])
}

/// CertificationRequestInfo (RFC 2986 clause 4.1) of whole elements.
pub(crate) fn crafted_info(version: &[u8], subject: &[u8], key: &[u8], attributes: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[version, subject, key, attributes])
}

/// A request whose subject (RDNs) and attributes are given as DER, signed as it should be with a P-256 key.
pub(crate) fn crafted(version: u8, rdns: &[Vec<u8>], attributes: &[Vec<u8>]) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let subject = tlv(SEQUENCE, &[&rdns.concat()]);
    let attributes = tlv(0xa0, &[&attributes.concat()]);
    let info = crafted_info(&[2, 1, version], &subject, &key.subject_public_key_info(), &attributes);
    let ecdsa_with_sha256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let signature = key.sign(&info).unwrap();
    tlv(SEQUENCE, &[&info, &tlv(SEQUENCE, &[&tlv(0x06, &[&ecdsa_with_sha256])]), &tlv(0x03, &[&[0], &signature])])
}

pub(crate) fn to_pem(label: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(label, der))
}
