//! What holds of any policy and any name.

use proptest::prelude::*;
use tandem_issuer_core::{
    Decision, Policy, Serial, issue,
    policy::{Dns, Email, IpRange, Pattern, Text, Uri},
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{CA, from_shop, named, parsed, with_policy};
use crate::support::{now, ready};

/// Labels from so few that names and patterns meet often.
const LABEL: &str = "(a|b|ab|shop|xn--bcher-kva)";

fn name() -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!(r"(\*\.)?{LABEL}(\.{LABEL}){{0,3}}")).unwrap()
}

fn pattern() -> impl Strategy<Value = String> {
    let label = format!(r"({LABEL}|\*|a\*|\*b|\$\{{namespace\}})");
    proptest::string::string_regex(&format!(r"(\*\*\.)?{label}(\.{label}){{0,3}}")).unwrap()
}

/// The same question, answered by other means: whether every name that is covered fits the pattern's labels.
fn fits(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (["**", rest @ ..], [_, others @ ..]) => fits(rest, others) || fits(pattern, others),
        ([first, rest @ ..], [label, others @ ..]) => {
            let fits_label = match *first {
                "*" => true,
                "${namespace}" => *label == "shop",
                "a*" => label.starts_with('a'),
                "*b" => label.ends_with('b') && !label.starts_with("xn--"),
                exact => exact == *label,
            };
            fits_label && fits(rest, others)
        }
        _ => false,
    }
}

proptest! {
    /// Names are allowed exactly where a pattern says so; what is allowed is signed with those names and no others, and
    /// would be without a policy; what is not is never signed.
    #[test]
    fn what_a_policy_signs_is_what_it_allows(
        names in prop::collection::vec(name(), 1..4),
        patterns in prop::collection::vec(pattern(), 0..4),
    ) {
        let csr = named(&names.iter().map(|name| (0x82, name.as_bytes())).collect::<Vec<_>>());
        let texts: Vec<_> = patterns.iter().map(String::as_str).collect();
        let policy = Policy { dns_names: parsed(&texts), ..Policy::default() };
        let split = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let expected = names.iter().all(|name| texts.iter().any(|pattern| {
            let (pattern, name) = (split(pattern), split(name));
            let (pattern, name): (Vec<_>, Vec<_>) = (pattern.iter().map(String::as_str).collect(), name.iter().map(String::as_str).collect());
            fits(&pattern, &name)
        }));
        match with_policy(&from_shop(&csr), &policy) {
            Decision::Sign(grant) => {
                prop_assert!(expected, "{:?} by {:?}", names, patterns);
                let issued = issue(&grant, &CA, Serial::from_random([7; 20]), now()).unwrap();
                let (_, leaf) = X509Certificate::from_der(&issued.leaf).unwrap();
                let found: Vec<_> = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.iter()
                    .map(|name| match name { GeneralName::DNSName(name) => (*name).to_owned(), other => format!("{other:?}") })
                    .collect();
                prop_assert_eq!(found, names);
                prop_assert!(matches!(
                    tandem_issuer_core::decide(&from_shop(&csr), &ready(&CA), now()),
                    Decision::Sign(_)
                ));
            }
            Decision::Fail(_) => prop_assert!(!expected, "{:?} by {:?}", names, patterns),
            other => panic!("{other:?}"),
        }
    }

    /// A wildcard gives nobody what its single names would not.
    #[test]
    fn a_wildcard_is_worth_no_more_than_the_names_it_covers(pattern in pattern(), rest in name(), label in "[a-z0-9]{1,8}") {
        let rest = rest.trim_start_matches("*.");
        let policy = Policy { dns_names: parsed(&[&pattern]), ..Policy::default() };
        let signed = |name: &str| {
            let csr = named(&[(0x82, name.as_bytes())]);
            matches!(with_policy(&from_shop(&csr), &policy), Decision::Sign(_))
        };
        if signed(&format!("*.{rest}")) {
            let covered = format!("{label}.{rest}");
            prop_assert!(signed(&covered), "{} allows *.{} but not {}", pattern, rest, covered);
        }
    }

    /// Whatever the bytes of a name: no panic, and never signed by a policy that allows none of that kind.
    #[test]
    fn no_bytes_of_a_name_make_it_panic(tag in prop::sample::select(vec![0x81_u8, 0x82, 0x86, 0x87, 0x88, 0xa0, 0xa4]), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let csr = named(&[(tag, &bytes)]);
        prop_assert!(!matches!(with_policy(&from_shop(&csr), &Policy::default()), Decision::Sign(_)));
        let open = Policy {
            dns_names: parsed(&["**"]),
            uris: parsed(&["urn:**"]),
            emails: parsed(&["*@example.com"]),
            ..Policy::default()
        };
        let _ = with_policy(&from_shop(&csr), &open);
    }

    /// Whatever stands in an issuer's spec: it is read or refused.
    #[test]
    fn no_text_of_a_pattern_makes_it_panic(text in "(\\PC|[*.@:/%${}a-z0-9\\[\\]])*") {
        let _ = (Dns::parse(&text), Uri::parse(&text), Email::parse(&text), IpRange::parse(&text), Text::parse(&text));
    }
}
