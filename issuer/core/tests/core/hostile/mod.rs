//! A corpus of hostile requests and CA Secrets. None is signed, none becomes an authority, none makes anything panic, and
//! each is refused for its own reason: a case that is refused for another one shows nothing.

mod algorithms;
mod chain;
mod encoding;
mod extensions;
mod forge;
mod framing;
mod names;
mod secrets;
mod signatures;
mod spec;
mod structure;
mod subject;

use std::{collections::HashSet, sync::LazyLock};

use jiff::SignedDuration;
use tandem_issuer_core::{
    Authority, Class, Decision, Error, Issued, Serial,
    decide::{Api, Issuer, Request, decide},
    explain,
    explain::Verdict,
    issue,
    settings::Settings,
};

use crate::support::{authority, now, request, root, to_pem};

use self::forge::Forge;

/// A request with its spec, for the CA that it would be signed by.
struct Attempt {
    csr: Vec<u8>,
    api: Api,
    usages: Vec<String>,
    is_ca: bool,
    duration: Result<Option<SignedDuration>, &'static str>,
    authority: &'static Authority,
    settings: Settings,
}

/// One hostile request.
struct Case {
    name: &'static str,
    attempt: Attempt,
    /// What the refusal has to say.
    because: &'static str,
}

fn case(name: &'static str, attempt: impl Into<Attempt>, because: &'static str) -> Case {
    Case { name, attempt: attempt.into(), because }
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256)));

/// `spec.request` as it stands.
impl From<Vec<u8>> for Attempt {
    fn from(csr: Vec<u8>) -> Self {
        Self {
            csr,
            api: Api::CertManager,
            usages: Vec::new(),
            is_ca: false,
            duration: Ok(None),
            authority: &AUTHORITY,
            settings: Settings::default(),
        }
    }
}

impl From<String> for Attempt {
    fn from(csr: String) -> Self {
        csr.into_bytes().into()
    }
}

impl From<Forge> for Attempt {
    fn from(forge: Forge) -> Self {
        Self::der(&forge.der())
    }
}

impl Attempt {
    fn der(der: &[u8]) -> Self {
        to_pem("CERTIFICATE REQUEST", der).into()
    }

    /// What becomes of it: signed, or the reason why not.
    fn outcome(&self) -> Result<Issued, Error> {
        let asked = Request {
            api: self.api,
            usages: &self.usages,
            is_ca: self.is_ca,
            duration: self.duration,
            csr: &self.csr,
            ..request("")
        };
        let issuer = Issuer::Ready { authority: self.authority, settings: &self.settings };
        let explained = explain(&asked, &issuer, now());
        let broken = explained.iter().any(|finding| matches!(finding.verdict, Verdict::Broken(_)));
        match decide(&asked, &issuer, now()) {
            Decision::Sign(grant) => {
                assert!(!broken, "explained as broken, but granted");
                issue(&grant, self.authority, Serial::from_random([7; 20]), now())
            }
            Decision::Fail(error) => {
                assert!(broken, "refused, but explained as kept: {error}");
                Err(error)
            }
            other => panic!("neither signed nor refused: {other:?}"),
        }
    }
}

/// What is wrong with how a hostile request was answered, if anything is.
fn complaint(outcome: &Result<Issued, Error>, because: &str) -> Option<String> {
    let error = match outcome {
        Ok(_) => return Some("it was signed".to_owned()),
        Err(error) => error,
    };
    let message = error.to_string();
    // What reaches a terminal, a log or a condition writes no lines of its own, and fits (32 KiB in Kubernetes).
    if message.chars().any(char::is_control) || message.len() > 32_768 {
        return Some(format!("its message has {} bytes: {:.200}…", message.len(), format!("{message:?}")));
    }
    if error.class() != Class::Permanent {
        return Some(format!("its refusal is not final: {message}"));
    }
    let fits = message.contains(because);
    (!fits).then(|| format!("it was not refused for {because:?}, but: {message}"))
}

fn cases() -> Vec<Case> {
    let tables = [framing::cases, encoding::cases, algorithms::cases, signatures::cases, subject::cases, names::cases];
    let more = [extensions::cases, spec::cases, chain::cases];
    tables.into_iter().chain(more).flat_map(|table: fn() -> Vec<Case>| table()).collect()
}

/// Facts 8, 10, 11, 13, 19, 25, 26: whatever is wrong with a request, it is refused, and says why.
#[test]
fn no_hostile_request_is_signed_and_each_is_refused_for_its_own_reason() {
    let cases = cases();
    let complaints: Vec<_> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, complaint(&case.attempt.outcome(), case.because)?)))
        .collect();
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), cases.len(), complaints.join("\n"));
    let names: HashSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    assert!(names.len() >= 150, "{} cases", names.len());
}

/// Without this, every case above might be refused for what it has in common with the others.
#[test]
fn what_the_hostile_requests_are_made_of_is_signed_where_it_is_honest() {
    Attempt::from(Forge::new()).outcome().unwrap();
    let rsa = forge::Rsa::of(&[forge::prime_2048()], 65537);
    Attempt::from(Forge::rsa(rsa)).outcome().unwrap();
}
