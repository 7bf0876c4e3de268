//! What holds for any input.

mod asked;
mod issued;

use std::sync::LazyLock;

use proptest::{prelude::*, sample::subsequence};
use tandem_issuer_core::{
    Authority,
    authority::Material,
    encoding::certificates_to_pem,
    request::ValidRequest,
    usage::{Usages, describe_extended, describe_key_usage},
};

use crate::support::{csr, to_pem};

use self::asked::{USAGES, asked};

static CSR: LazyLock<Vec<u8>> = LazyLock::new(|| pem::parse(csr()).unwrap().into_contents());

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

    /// Fact 10: whatever its frame says besides the bytes makes no difference.
    #[test]
    fn a_request_in_pem_is_the_request_in_der(
        asked in asked(),
        before in "([a-zA-Z0-9:= ]{0,40}\\n){0,5}",
        after in "[ \\t\\r\\n]{0,20}",
        new in any::<bool>(),
    ) {
        let label = if new { "NEW CERTIFICATE REQUEST" } else { "CERTIFICATE REQUEST" };
        let framed = format!("{before}{}{after}", to_pem(label, &asked.der));
        let read = ValidRequest::from_pem(framed.as_bytes()).unwrap();
        prop_assert_eq!(&read, &ValidRequest::from_der(&asked.der).unwrap());
        prop_assert_eq!((read.subject, read.subject_alt_name), (asked.subject, asked.names));
    }

    #[test]
    fn certificates_come_out_of_pem_as_they_went_in(
        certificates in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
    ) {
        let framed = certificates_to_pem(certificates.iter().map(Vec::as_slice));
        let read: Vec<_> = pem::parse_many(framed).unwrap().into_iter().map(pem::Pem::into_contents).collect();
        prop_assert_eq!(read, certificates);
    }

    /// The words in messages are the API's own: put into a spec, they mean the same again.
    #[test]
    fn usages_come_back_from_their_names(usages in subsequence(USAGES, 1..USAGES.len()).prop_shuffle()) {
        let names: Vec<_> = usages.into_iter().map(|(name, _)| name).collect();
        let usages = Usages::from_names(&names, false).unwrap();
        let words = [describe_key_usage(usages.key), describe_extended(&usages.extended)].join(", ");
        let again: Vec<_> = words.split(", ").filter(|word| *word != "none").collect();
        prop_assert_eq!(Usages::from_names(&again, false).unwrap(), usages);
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
