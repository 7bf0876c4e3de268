//! Whatever is signed satisfies the invariants, for any request and any CA.

use std::sync::LazyLock;

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use proptest::prelude::*;
use rcgen::{CertifiedIssuer, SignatureAlgorithm};
use tandem_issuer_core::{
    Authority, Decision, Issued, Serial,
    decide::{Issuer, Request, decide},
    issue,
    settings::Settings,
};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use crate::support::{Ca, ca_params, key, now, read, request, to_pem};

use super::asked::{Asked, USAGES, asked};

/// A CA, and what its signatures are verified with.
struct Chain {
    verification: &'static dyn VerificationAlgorithm,
    /// From the CA upwards, to the root.
    cas: Vec<Ca>,
    authority: Authority,
}

static CHAINS: LazyLock<Vec<Chain>> = LazyLock::new(|| {
    let kinds: [(_, &dyn VerificationAlgorithm); 5] = [
        (&rcgen::PKCS_RSA_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256),
        (&rcgen::PKCS_ECDSA_P256_SHA256, &signature::ECDSA_P256_SHA256_ASN1),
        (&rcgen::PKCS_ECDSA_P384_SHA384, &signature::ECDSA_P384_SHA384_ASN1),
        (&rcgen::PKCS_ECDSA_P521_SHA512, &signature::ECDSA_P521_SHA512_ASN1),
        (&rcgen::PKCS_ED25519, &signature::ED25519),
    ];
    (0..3).flat_map(|above| kinds.map(|(kind, verification)| chain(kind, verification, above))).collect()
});

/// A CA of this kind with so many others of it above.
fn chain(kind: &'static SignatureAlgorithm, verification: &'static dyn VerificationAlgorithm, above: usize) -> Chain {
    let mut cas = vec![CertifiedIssuer::self_signed(ca_params("top"), key(kind)).unwrap()];
    for level in 0..above {
        let params = ca_params(&format!("level {level}, \"quoted\""));
        let next = CertifiedIssuer::signed_by(params, key(kind), &cas[0]).unwrap();
        cas.insert(0, next);
    }
    let pem: String = cas.iter().map(|ca| ca.as_ref().pem()).collect();
    let authority = read(&pem, &cas[0].key().serialize_pem(), None).unwrap();
    Chain { verification, cas, authority }
}

fn sign(asked: &Asked, chain: &Chain, serial: [u8; 20]) -> Issued {
    let csr = to_pem("CERTIFICATE REQUEST", &asked.der);
    let usages: Vec<_> = asked.usages.iter().map(|usage| (*usage).to_owned()).collect();
    let asked = Request {
        api: asked.api,
        is_ca: asked.is_ca,
        usages: &usages,
        duration: Ok(Some(asked.duration)),
        ..request(&csr)
    };
    let settings = Settings::default();
    let issuer = Issuer::Ready { authority: &chain.authority, settings: &settings };
    match decide(&asked, &issuer, now()) {
        Decision::Sign(grant) => issue(&grant, &chain.authority, Serial::from_random(serial), now()).unwrap(),
        other => panic!("not granted: {other:?}"),
    }
}

/// What `usages` mean: bits of key usage from the left, and OIDs in order.
fn meaning(asked: &Asked) -> (u16, Vec<&'static str>) {
    let meant = |usage: &&str| USAGES.iter().find(|(known, _)| known == usage).unwrap().1;
    let mut bits: Vec<_> = asked.usages.iter().filter_map(|usage| meant(usage).ok()).collect();
    if asked.usages.is_empty() {
        bits.extend([0, 2]);
    }
    if asked.is_ca && asked.api == tandem_issuer_core::decide::Api::CertManager {
        bits.push(5);
    }
    let flags = bits.into_iter().fold(0, |flags, bit| flags | 1 << bit);
    (flags, asked.usages.iter().filter_map(|usage| meant(usage).err()).collect())
}

proptest! {
    /// Facts 9, 12, 13, 14, 15, 16, 28, 31: the invariants of whatever is signed.
    #[test]
    fn whatever_is_signed_is_what_was_asked_for_and_names_its_ca(
        asked in asked(),
        chain in 0..15_usize,
        serial in any::<[u8; 20]>(),
    ) {
        let chain = &CHAINS[chain];
        let issued = sign(&asked, chain, serial);
        let (rest, leaf) = X509Certificate::from_der(&issued.leaf).unwrap();
        let (_, ca) = X509Certificate::from_der(chain.cas[0].as_ref().der()).unwrap();
        prop_assert!(rest.is_empty());
        let by = UnparsedPublicKey::new(chain.verification, &ca.public_key().subject_public_key.data);
        by.verify(leaf.tbs_certificate.as_ref(), &leaf.signature_value.data).unwrap();

        prop_assert_eq!(leaf.public_key().raw, &asked.public_key);
        prop_assert_eq!(leaf.subject().as_raw(), &asked.subject);
        prop_assert_eq!(leaf.issuer().as_raw(), ca.subject().as_raw());
        let (start, end) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
        prop_assert_eq!(end - start, asked.duration.as_secs());
        prop_assert!(start <= now().as_second() && now().as_second() - start <= 60);
        let number = leaf.raw_serial();
        prop_assert!(number.len() <= 20 && (1..0x80).contains(&number[0]));
        prop_assert_eq!(&number[1..], &serial[1..], "what is random stays random");

        let found = |arc: &str| {
            let mut of_it = leaf.iter_extensions().filter(|extension| extension.oid.to_id_string() == arc);
            let first = of_it.next();
            assert!(of_it.next().is_none(), "{arc} is there twice");
            first
        };
        let names = found("2.5.29.17").map(|extension| (extension.value.to_vec(), extension.critical));
        prop_assert_eq!(names, asked.names.clone().map(|names| (names, asked.subject == [0x30, 0])));
        let (bits, oids) = meaning(&asked);
        let usage = found("2.5.29.15").map(|extension| (extension.parsed_extension().clone(), extension.critical));
        match usage {
            Some((ParsedExtension::KeyUsage(usage), critical)) => {
                prop_assert!(critical);
                prop_assert_eq!(usage.flags, bits);
            }
            None => prop_assert_eq!(bits, 0),
            other => panic!("key usage: {other:?}"),
        }
        let expected: Vec<_> = oids.iter().map(|oid| der::oid::ObjectIdentifier::new(oid).unwrap()).collect();
        let extended = found("2.5.29.37").map(|e| (<Vec<_> as der::Decode>::from_der(e.value).unwrap(), e.critical));
        prop_assert_eq!(extended, (!expected.is_empty()).then_some((expected, false)));
        let basic = leaf.basic_constraints().unwrap().unwrap();
        prop_assert_eq!((basic.critical, basic.value.ca), (true, asked.is_ca));
        let key_id = |certificate: &X509Certificate<'_>| certificate.iter_extensions().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            }
        });
        prop_assert_eq!(key_id(&leaf).unwrap().len(), 20);
        let above = found("2.5.29.35").map(|extension| (extension.value[4..].to_vec(), extension.critical));
        prop_assert_eq!(above, key_id(&ca).map(|id| (id, false)));

        let published = pem::parse_many(&issued.certificate).unwrap();
        let expected = chain.cas.iter().map(|ca| ca.as_ref().der().to_vec()).take(chain.cas.len() - 1);
        let expected: Vec<_> = [issued.leaf.clone()].into_iter().chain(expected).collect();
        prop_assert_eq!(published.into_iter().map(pem::Pem::into_contents).collect::<Vec<_>>(), expected);
        let top = chain.cas.last().unwrap().as_ref().der().to_vec();
        prop_assert_eq!(pem::parse(&issued.ca).unwrap().into_contents(), top);
    }
}

/// Fact 28: no bit of the randomness is lost but the two that make the number positive and 20 octets long.
#[test]
fn serials_hold_158_random_bits() {
    let serial = |bytes| Serial::from_random(bytes).as_bytes().to_vec();
    let kept = (0..160).filter(|bit| {
        let mut flipped = [0; 20];
        flipped[bit / 8] = 1_u8 << (bit % 8);
        serial(flipped) != serial([0; 20])
    });
    assert_eq!(kept.count(), 158);
}
