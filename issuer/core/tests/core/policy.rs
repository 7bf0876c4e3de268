//! Policies: what each rule allows and refuses, and that every broken rule is named with all that broke it.

mod names;
mod patterns;
mod properties;
mod requests;

use std::{fmt::Display, sync::LazyLock};

use rcgen::KeyPair;
use tandem_issuer_core::{
    Authority, Decision, Error, Policy, Settings, decide,
    decide::{Issuer, Namespace, Request},
    policy::Pattern,
};

use crate::support::{authority, crafted, extension, extension_request, key, now, request, root, tlv, to_pem};

pub(crate) static CA: LazyLock<Authority> = LazyLock::new(|| authority(&root("CA", &rcgen::PKCS_ED25519)));

/// A request for these alternative names, each by tag and content.
pub(crate) fn named(names: &[(u8, &[u8])]) -> String {
    subject_named(&[], names)
}

/// The same with a subject.
fn subject_named(rdns: &[Vec<u8>], names: &[(u8, &[u8])]) -> String {
    let names: Vec<_> = names.iter().map(|(tag, content)| tlv(*tag, &[content])).collect();
    let value = tlv(0x30, &names.iter().map(Vec::as_slice).collect::<Vec<_>>());
    to_pem("CERTIFICATE REQUEST", &crafted(0, rdns, &[extension_request(&[extension(17, false, &value)])]))
}

fn parsed<P: Pattern>(texts: &[&str]) -> Vec<P> {
    texts.iter().map(|text| P::parse(text).unwrap()).collect()
}

fn with_policy(request: &Request<'_>, policy: &Policy) -> Decision {
    let settings = Settings { policy: Some(policy.clone()), ..Settings::default() };
    decide(request, &Issuer::Ready { authority: &CA, settings: &settings }, now())
}

/// What the policy refuses: each field with all that broke it; nothing where the request is signed.
fn refused(request: &Request<'_>, policy: &Policy) -> Vec<(&'static str, Vec<String>)> {
    let of_policy = |error| match error {
        Error::Policy(refusal) => (refusal.field, refusal.found),
        other => panic!("{other}"),
    };
    match with_policy(request, policy) {
        Decision::Sign(_) => Vec::new(),
        Decision::Fail(Error::Several(errors)) => errors.into_iter().map(of_policy).collect(),
        Decision::Fail(error) => vec![of_policy(error)],
        other => panic!("{other:?}"),
    }
}

/// A request from the namespace `shop`.
fn from_shop(csr: &str) -> Request<'_> {
    Request { namespace: Some(Namespace { name: "shop", labels: None }), ..request(csr) }
}

/// Whether a request for one name, from the namespace `shop`, is signed; refused, it is by this one field.
fn allowed(tag: u8, name: &[u8], field: &'static str, policy: &Policy) -> bool {
    let csr = named(&[(tag, name)]);
    match &refused(&from_shop(&csr), policy)[..] {
        [] => true,
        [(refused, names)] if *refused == field && names.len() == 1 => false,
        others => panic!("{others:?}"),
    }
}

/// Cases of one kind of name: patterns, a name, and whether it is allowed.
fn check<N: AsRef<[u8]> + std::fmt::Debug>(
    tag: u8,
    field: &'static str,
    cases: &[(&[&str], N, bool)],
    policy: impl Fn(&[&str]) -> Policy,
) {
    for (patterns, name, expected) in cases {
        assert_eq!(allowed(tag, name.as_ref(), field, &policy(patterns)), *expected, "{patterns:?} {name:?}");
    }
}

fn problem<P: Pattern + Display>(text: &str) -> String {
    match P::parse(text) {
        Ok(pattern) => panic!("{pattern} was read"),
        Err(problem) => problem,
    }
}

fn ecdsa() -> KeyPair {
    key(&rcgen::PKCS_ECDSA_P256_SHA256)
}
