//! What holds for any input.

use std::sync::LazyLock;

use jiff::SignedDuration;
use proptest::prelude::*;
use rcgen::KeyPair;
use tandem_issuer_core::{
    Authority, Decision, Serial, authority::Material, decide, issue, request::ValidRequest, usage::Usages,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{Ca, authority, csr, csr_with, now, ready, request, root};

static CA: LazyLock<Ca> = LazyLock::new(|| root("CA", &rcgen::PKCS_ED25519));
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| authority(&CA));
static CSR: LazyLock<Vec<u8>> = LazyLock::new(|| pem::parse(csr()).unwrap().into_contents());

const USAGES: &[&str] =
    &["signing", "key encipherment", "server auth", "client auth", "any", "s/mime", "decipher only", "ocsp signing"];

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = ValidRequest::from_pem(&bytes);
        let _ = ValidRequest::from_der(&bytes);
        let material = Material { certificates: Some(&bytes), key: Some(&bytes), roots: Some(&bytes) };
        prop_assert!(Authority::from_secret(material).is_err());
    }

    #[test]
    fn no_text_makes_it_panic(text in "(-----(BEGIN|END) (CERTIFICATE REQUEST|X)-----|[A-Za-z0-9+/=\\n]{0,80}){0,8}") {
        let _ = ValidRequest::from_pem(text.as_bytes());
    }

    #[test]
    fn a_cut_request_is_refused(place in any::<prop::sample::Index>()) {
        let place = place.index(CSR.len());
        prop_assert!(ValidRequest::from_der(&CSR[..place]).is_err());
    }

    /// What is granted comes out verified, with the duration that was asked for and the usages in order.
    #[test]
    fn what_is_granted_is_issued(
        names in prop::collection::vec("[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z]{1,20}){1,3}", 1..20),
        usages in prop::sample::subsequence(USAGES, 0..USAGES.len()).prop_shuffle(),
        seconds in 1..100_000_000_i64,
        serial in any::<[u8; 20]>(),
    ) {
        let key = KeyPair::generate().unwrap();
        let csr = csr_with(&key, |params| {
            params.subject_alt_names =
                names.iter().map(|name| rcgen::SanType::DnsName(name.as_str().try_into().unwrap())).collect();
        });
        let usages: Vec<_> = usages.into_iter().map(str::to_owned).collect();
        let mut asked = request(&csr);
        asked.usages = &usages;
        asked.duration = Ok(Some(SignedDuration::from_secs(seconds)));
        let Decision::Sign(grant) = decide(&asked, &ready(&AUTHORITY), now()) else { panic!("not granted") };
        let issued = issue(&grant, &AUTHORITY, Serial::from_random(serial), now()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&issued.leaf).unwrap();
        leaf.verify_signature(Some(X509Certificate::from_der(CA.as_ref().der()).unwrap().1.public_key())).unwrap();
        prop_assert_eq!(leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp(), seconds);
        prop_assert_eq!(&grant.usages, &Usages::from_names(&usages, false).unwrap());
        let found: Vec<_> = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.iter()
            .map(|name| match name { x509_parser::prelude::GeneralName::DNSName(name) => (*name).to_owned(), other => format!("{other:?}") })
            .collect();
        prop_assert_eq!(found, names);
    }
}

/// Whatever byte of a request is changed, to whatever value, the signature or the structure tells.
#[test]
fn every_change_of_a_byte_is_noticed() {
    for place in 0..CSR.len() {
        for change in 1..=255 {
            let mut der = CSR.clone();
            der[place] ^= change;
            assert!(ValidRequest::from_der(&der).is_err(), "byte {place} ^ {change}");
        }
    }
}
