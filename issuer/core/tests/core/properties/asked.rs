//! Requests of all kinds, generated.

use std::sync::LazyLock;

use jiff::SignedDuration;
use proptest::{collection::vec, prelude::*, sample::subsequence};
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use tandem_issuer_core::decide::Api;

use crate::support::{SEQUENCE, crafted_info, extension, extension_request, key, rdn, tlv};

/// A request, and what it asks for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) api: Api,
    pub(super) der: Vec<u8>,
    /// Name, DER.
    pub(super) subject: Vec<u8>,
    /// GeneralNames, DER.
    pub(super) names: Option<Vec<u8>>,
    /// SubjectPublicKeyInfo, DER.
    pub(super) public_key: Vec<u8>,
    pub(super) usages: Vec<&'static str>,
    pub(super) is_ca: bool,
    pub(super) duration: SignedDuration,
}

/// A key of each kind, with the AlgorithmIdentifier of its signatures.
static KEYS: LazyLock<[(KeyPair, &[u8]); 5]> = LazyLock::new(|| {
    [
        (key(&rcgen::PKCS_RSA_SHA256), b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"),
        (key(&rcgen::PKCS_ECDSA_P256_SHA256), b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"),
        (key(&rcgen::PKCS_ECDSA_P384_SHA384), b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"),
        (key(&rcgen::PKCS_ECDSA_P521_SHA512), b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04"),
        (key(&rcgen::PKCS_ED25519), b"\x30\x05\x06\x03\x2b\x65\x70"),
    ]
});

/// Every usage of cert-manager's API, with its bit (from the left) or its OID.
pub(super) const USAGES: &[(&str, Result<u8, &str>)] = &[
    ("signing", Ok(0)),
    ("digital signature", Ok(0)),
    ("content commitment", Ok(1)),
    ("key encipherment", Ok(2)),
    ("data encipherment", Ok(3)),
    ("key agreement", Ok(4)),
    ("cert sign", Ok(5)),
    ("crl sign", Ok(6)),
    ("encipher only", Ok(7)),
    ("decipher only", Ok(8)),
    ("any", Err("2.5.29.37.0")),
    ("server auth", Err("1.3.6.1.5.5.7.3.1")),
    ("client auth", Err("1.3.6.1.5.5.7.3.2")),
    ("code signing", Err("1.3.6.1.5.5.7.3.3")),
    ("email protection", Err("1.3.6.1.5.5.7.3.4")),
    ("s/mime", Err("1.3.6.1.5.5.7.3.4")),
    ("ipsec end system", Err("1.3.6.1.5.5.7.3.5")),
    ("ipsec tunnel", Err("1.3.6.1.5.5.7.3.6")),
    ("ipsec user", Err("1.3.6.1.5.5.7.3.7")),
    ("timestamping", Err("1.3.6.1.5.5.7.3.8")),
    ("ocsp signing", Err("1.3.6.1.5.5.7.3.9")),
    ("microsoft sgc", Err("1.3.6.1.4.1.311.10.3.3")),
    ("netscape sgc", Err("2.16.840.1.113730.4.1")),
];

const DNS: &str = "([a-z0-9]{1,9}(-[a-z0-9]{1,5})?\\.){1,4}[a-z]{2,9}";

/// A GeneralName of any kind that cert-manager can ask for.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let text = |tag: u8, pattern: String| {
        proptest::string::string_regex(&pattern).unwrap().prop_map(move |text| tlv(tag, &[text.as_bytes()]))
    };
    let other = vec(any::<u8>(), 0..40).prop_map(|value| {
        tlv(0xa0, &[b"\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03", &tlv(0xa0, &[&tlv(0x04, &[&value])])])
    });
    prop_oneof![
        4 => text(0x82, format!("(\\*\\.)?{DNS}")),
        1 => any::<[u8; 4]>().prop_map(|address| tlv(0x87, &[&address])),
        1 => any::<[u8; 16]>().prop_map(|address| tlv(0x87, &[&address])),
        1 => text(0x86, format!("(spiffe|https)://{DNS}(/[a-zA-Z0-9._~]{{1,12}}){{0,3}}")),
        1 => text(0x81, format!("[a-z]{{1,12}}(\\.[a-z]{{1,8}})?@{DNS}")),
        1 => other,
    ]
}

/// An attribute of a subject: the last arc of its type, its string type, its value.
fn attribute() -> impl Strategy<Value = (u8, u8, Vec<u8>)> {
    let arc = prop::sample::select(vec![3_u8, 5, 7, 8, 10, 11, 12]);
    let value = prop_oneof![
        "[a-zA-Z0-9 äß中,+=\"<>;#\\\\]{1,40}".prop_map(|text| (0x0c, text.into_bytes())),
        "[a-zA-Z0-9 '()+,./:=?-]{1,40}".prop_map(|text| (0x13, text.into_bytes())),
        "[a-zA-Z0-9@_!]{1,40}".prop_map(|text| (0x16, text.into_bytes())),
        "[0-9 ]{1,40}".prop_map(|text| (0x12, text.into_bytes())),
        vec(0xa1_u8.., 1..40).prop_map(|bytes| (0x14, bytes)),
        "[a-zäß中]{1,20}".prop_map(|text| (0x1e, text.encode_utf16().flat_map(u16::to_be_bytes).collect())),
    ];
    (arc, value).prop_map(|(arc, (tag, value))| (arc, tag, value))
}

/// A relative distinguished name, mostly of one attribute. More of them are in DER's order.
fn relative() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => vec(attribute(), 1), 1 => vec(attribute(), 2..4)].prop_map(|attributes| {
        let mut elements: Vec<_> = attributes
            .iter()
            .map(|(arc, tag, value)| {
                let set = rdn(&[(*arc, *tag, value)]);
                set[2..].to_vec()
            })
            .collect();
        elements.sort();
        elements.dedup();
        tlv(0x31, &[&elements.concat()])
    })
}

/// Key usage and extended key usage as extensions; what is not there is left out.
fn encoded(usages: &[&str], add_cert_sign: bool) -> Vec<Vec<u8>> {
    let meant = |usage: &&str| USAGES.iter().find(|(known, _)| known == usage).unwrap().1;
    let mut bits: Vec<u8> = usages.iter().filter_map(|usage| meant(usage).ok()).collect();
    if usages.is_empty() {
        bits.extend([0, 2]);
    }
    bits.extend(add_cert_sign.then_some(5));
    let mut octets = [0_u8; 2];
    for bit in &bits {
        octets[usize::from(bit / 8)] |= 0x80 >> (bit % 8);
    }
    let oids: Vec<_> = usages
        .iter()
        .filter_map(|usage| meant(usage).err())
        .map(|oid| der::Encode::to_der(&der::oid::ObjectIdentifier::new(oid).unwrap()).unwrap())
        .collect();
    let mut extensions = Vec::new();
    if let Some(last) = bits.iter().max() {
        let content = &octets[..usize::from(last / 8) + 1];
        extensions.push(extension(15, true, &tlv(0x03, &[&[7 - last % 8], content])));
    }
    if !oids.is_empty() {
        extensions.push(extension(37, false, &tlv(SEQUENCE, &[&oids.concat()])));
    }
    extensions
}

/// Any honest request.
pub(super) fn asked() -> impl Strategy<Value = Asked> {
    let subject = vec(relative(), 0..5).prop_map(|rdns| tlv(SEQUENCE, &[&rdns.concat()]));
    let names = vec(name(), 0..8);
    let usages = subsequence(USAGES, 0..USAGES.len()).prop_shuffle();
    let kubernetes = any::<bool>();
    let seconds = 600..300_000_000_i64;
    let parts = (subject, names, usages, 0..KEYS.len(), any::<bool>(), kubernetes, any::<bool>(), seconds);
    parts.prop_filter("it names somebody", |(subject, names, ..)| subject.len() > 2 || !names.is_empty()).prop_map(
        |(subject, names, usages, which, is_ca, kubernetes, encode, seconds)| {
            let (key, algorithm) = &KEYS[which];
            let usages: Vec<_> = usages.into_iter().map(|(name, _)| name).collect();
            let names = (!names.is_empty()).then(|| tlv(SEQUENCE, &[&names.concat()]));
            let mut extensions: Vec<_> = names.iter().map(|names| extension(17, true, names)).collect();
            if encode {
                extensions.extend(encoded(&usages, is_ca && !kubernetes));
                let truth: &[u8] = if is_ca { &[1, 1, 0xff] } else { &[] };
                extensions.push(extension(19, true, &tlv(SEQUENCE, &[truth])));
            }
            let public_key = key.subject_public_key_info();
            let attributes = tlv(0xa0, &[&extension_request(&extensions)]);
            let info = crafted_info(&[2, 1, 0], &subject, &public_key, &attributes);
            let signature = tlv(0x03, &[&[0], &key.sign(&info).unwrap()]);
            Asked {
                api: if kubernetes { Api::Kubernetes } else { Api::CertManager },
                der: tlv(SEQUENCE, &[&info, algorithm, &signature]),
                subject,
                names,
                public_key,
                usages,
                is_ca,
                duration: SignedDuration::from_secs(seconds),
            }
        },
    )
}
