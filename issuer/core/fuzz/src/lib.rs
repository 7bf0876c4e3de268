//! What the fuzz targets do with their bytes. The core's tests take this file in as well, to replay the corpus.
//!
//! A signature stops whoever changes bytes at random. So the bytes here stand for the parts of a request or of a CA
//! certificate, which is then put together and signed by a key that is always the same.

use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jiff::{SignedDuration, Timestamp};
use tandem_issuer_core::{
    Authority, Decision, Error, Serial,
    authority::Material,
    decide::{Api, Approval, Issuer, Request, decide},
    explain, issue,
    request::ValidRequest,
    settings::{LeafBeyondCa, Settings},
};

/// What is done with bytes; it panics where they show a fault.
pub type Target = fn(&[u8]);

/// Every target by its name, which is its corpus' as well.
pub const TARGETS: [(&str, Target); 3] = [("request", request), ("decision", decision), ("secret", secret)];

const SEED: [u8; 32] = [7; 32];
const ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";
const CA_EXTENSIONS: &[u8] = b"\x30\x0f\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x05\x30\x03\x01\x01\xff";
const CA_NAME: &[u8] = b"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02CA";

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap());
static KEY_PEM: LazyLock<String> = LazyLock::new(|| {
    pem("PRIVATE KEY", &[b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", SEED.as_slice()].concat())
});
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    authority(pem("CERTIFICATE", &certificate(CA_EXTENSIONS)).as_bytes(), KEY_PEM.as_bytes(), None).unwrap()
});

/// Bytes as `spec.request`: as PEM, as DER, and as what an honest key has signed.
pub fn request(data: &[u8]) {
    let read = [ValidRequest::from_pem(data), ValidRequest::from_der(data), ValidRequest::from_der(&signed(data))];
    for request in read.into_iter().flatten() {
        assert!(!request.public_key.is_empty() && request.subject.first() == Some(&0x30));
    }
}

/// Bytes as the spec, the subject and the extensions of a request. What is granted must come out verified.
///
/// The first byte holds flags, the second says how the others are meant, the third is the length of the subject's content.
pub fn decision(data: &[u8]) {
    let [flags, meaning, length, rest @ ..] = data else { return };
    let (subject, rest) = rest.split_at(rest.len().min((*length).into()));
    let attributes = match meaning % 4 {
        0 => requesting(&extension(17, rest)),
        1 => requesting(&extension(30, &tlv(0x30, &[rest]))),
        2 => requesting(rest),
        _ => rest.to_vec(),
    };
    let key = tlv(0x30, &[ED25519, &tlv(0x03, &[&[0], KEY.public_key().as_ref()])]);
    let info = tlv(0x30, &[&[2, 1, 0], &tlv(0x30, &[subject]), &key, &tlv(0xa0, &[&attributes])]);
    decide_and_issue(&signed(&info), *flags, &AUTHORITY);
}

/// Bytes as a CA Secret. What becomes an authority must be able to issue.
///
/// The first byte says how the others are meant: as `tls.crt`, `tls.key` and `ca.crt` with a NUL between them, as the
/// content of a certificate that is then signed, or as the content of its extensions.
pub fn secret(data: &[u8]) {
    let [meaning, rest @ ..] = data else { return };
    let read = match meaning % 3 {
        0 => {
            let mut parts = rest.splitn(3, |byte| *byte == 0);
            let [certificates, key, roots] = [(); 3].map(|()| parts.next());
            authority(certificates.unwrap_or_default(), key.unwrap_or_default(), roots)
        }
        1 => authority(pem("CERTIFICATE", &signed(&tlv(0x30, &[rest]))).as_bytes(), KEY_PEM.as_bytes(), None),
        _ => authority(pem("CERTIFICATE", &certificate(rest)).as_bytes(), KEY_PEM.as_bytes(), None),
    };
    if let Ok(authority) = read {
        let name = tlv(0x30, &[&tlv(0x82, &[b"db.example.com"])]);
        let key = tlv(0x30, &[ED25519, &tlv(0x03, &[&[0], KEY.public_key().as_ref()])]);
        let attributes = tlv(0xa0, &[&requesting(&extension(17, &name))]);
        let info = tlv(0x30, &[&[2, 1, 0], &[0x30, 0], &key, &attributes]);
        decide_and_issue(&signed(&info), *meaning, &authority);
    }
}

fn decide_and_issue(csr: &[u8], flags: u8, authority: &Authority) {
    let flag = |bit: u32| flags >> bit & 1 == 1;
    let csr = pem("CERTIFICATE REQUEST", csr);
    let usages: &[&str] = match flags >> 2 & 3 {
        0 => &[],
        1 => &["server auth", "client auth"],
        2 => &["any", "cert sign", "digital signature"],
        _ => &["everything"],
    };
    let usages: Vec<_> = usages.iter().map(|usage| (*usage).to_owned()).collect();
    let asked = Request {
        api: if flag(0) { Api::Kubernetes } else { Api::CertManager },
        approval: Approval::Approved,
        csr: csr.as_bytes(),
        duration: Ok(flag(4).then_some(SignedDuration::from_hours(1))),
        is_ca: flag(1),
        usages: &usages,
        ..Request::default()
    };
    let leaf_beyond_ca = if flag(5) { LeafBeyondCa::Permit } else { LeafBeyondCa::Refuse };
    let settings = Settings { leaf_beyond_ca, ..Settings::default() };
    let issuer = Issuer::Ready { authority, settings: &settings };
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let findings = explain(&asked, &issuer, now);
    assert!(!findings.is_empty());
    match decide(&asked, &issuer, now) {
        Decision::Sign(grant) => match issue(&grant, authority, Serial::from_random([9; 20]), now) {
            Ok(issued) => assert!(issued.certificate.starts_with("-----BEGIN CERTIFICATE-----\n")),
            // Whatever else could go wrong is to be found by a rule, before anything is signed.
            Err(error) => assert!(matches!(error, Error::ChainTooLarge { .. }), "granted, but {error}"),
        },
        Decision::Fail(error) => assert!(!error.to_string().is_empty()),
        Decision::Wait(_) | Decision::Deny | Decision::Ignore => {}
    }
}

fn authority(certificates: &[u8], key: &[u8], roots: Option<&[u8]>) -> Result<Authority, Error> {
    Authority::from_secret(Material { certificates: Some(certificates), key: Some(key), roots })
}

/// The CA's certificate with this content of its extensions, signed by its own key.
fn certificate(extensions: &[u8]) -> Vec<u8> {
    let validity = tlv(0x30, &[b"\x17\x0d260101000000Z", b"\x17\x0d360101000000Z"]);
    let key = tlv(0x30, &[ED25519, &tlv(0x03, &[&[0], KEY.public_key().as_ref()])]);
    let extensions = tlv(0xa3, &[&tlv(0x30, &[extensions])]);
    let version_and_serial = b"\xa0\x03\x02\x01\x02\x02\x01\x01";
    signed(&tlv(0x30, &[version_and_serial, ED25519, CA_NAME, &validity, CA_NAME, &key, &extensions]))
}

/// `content` with a signature by the key that is always the same.
fn signed(content: &[u8]) -> Vec<u8> {
    tlv(0x30, &[content, ED25519, &tlv(0x03, &[&[0], KEY.sign(content).as_ref()])])
}

fn requesting(extensions: &[u8]) -> Vec<u8> {
    let id = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e";
    tlv(0x30, &[id, &tlv(0x31, &[&tlv(0x30, &[extensions])])])
}

fn extension(arc: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&[6, 3, 0x55, 0x1d, arc], &tlv(0x04, &[value])])
}

/// One DER element.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let used = &length[length.iter().take(3).take_while(|byte| **byte == 0).count()..];
    let header = match used {
        [short @ ..0x80] => vec![tag, *short],
        _ => [&[tag, 0x80 | u8::try_from(used.len()).unwrap()], used].concat(),
    };
    [header, content].concat()
}

fn pem(label: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(label, der))
}
