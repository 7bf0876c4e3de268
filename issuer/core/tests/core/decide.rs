//! Decisions: the rules of the flow, in order (issuer-facts 2, 3, 5, 12, 25, 26, 27).

use jiff::SignedDuration;
use rcgen::KeyPair;
use tandem_issuer_core::{
    Authority, Class, Decision, Error,
    decide::{Api, Approval, Issuer, Request, Wait, decide},
    explain,
    explain::Verdict,
    settings::{LeafBeyondCa, Settings},
};

use x509_cert::ext::pkix::KeyUsages;

use crate::support::{
    SEQUENCE, authority, ca_params, crafted, csr, extension, extension_request, now, rdn, ready, request, root, tlv,
    to_pem,
};

fn short_lived() -> Authority {
    let mut params = ca_params("short");
    params.not_before = rcgen::date_time_ymd(2026, 11, 1);
    params.not_after = rcgen::date_time_ymd(2026, 12, 1);
    authority(&rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
}

/// Facts 2, 3: whatever is the matter with the issuer.
#[test]
fn approval_comes_first() {
    let ca = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    let csr = csr();
    let with = |approval, finished| decide(&Request { approval, finished, ..request(&csr) }, &ready(&ca), now());
    assert_eq!(with(Approval::Undecided, false), Decision::Wait(Wait::Approval));
    assert_eq!(with(Approval::Denied, false), Decision::Deny);
    assert!(matches!(with(Approval::Approved, false), Decision::Sign(_)));
    for approval in [Approval::Undecided, Approval::Denied, Approval::Approved] {
        assert_eq!(with(approval, true), Decision::Ignore);
    }
    // Denied even where the issuer does not exist.
    let denied = Request { approval: Approval::Denied, ..request(&csr) };
    assert_eq!(decide(&denied, &Issuer::Missing, now()), Decision::Deny);
}

/// Facts 5, 6: nothing is judged before the issuer is ready.
#[test]
fn a_request_waits_for_its_issuer_even_if_it_is_garbage() {
    let garbage = request("garbage");
    assert_eq!(decide(&garbage, &Issuer::Missing, now()), Decision::Wait(Wait::IssuerMissing));
    let not_ready = Issuer::NotReady("no Secret");
    assert_eq!(decide(&garbage, &not_ready, now()), Decision::Wait(Wait::IssuerNotReady("no Secret".to_owned())));
    let ca = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    assert!(matches!(decide(&garbage, &ready(&ca), now()), Decision::Fail(Error::RequestNotPem(_))));
}

/// Fact 27: and one that is not valid yet.
#[test]
fn an_expired_ca_makes_requests_wait() {
    let ca = short_lived();
    let csr = csr();
    for time in ["2026-10-31T00:00:00Z", "2026-12-01T00:00:01Z"] {
        let decision = decide(&request(&csr), &ready(&ca), time.parse().unwrap());
        assert!(matches!(decision, Decision::Wait(Wait::IssuerNotReady(_))), "{decision:?}");
    }
}

/// Fact 25: three settings; a refusal names both dates.
#[test]
fn a_leaf_does_not_outlive_its_ca_unseen() {
    let ca = short_lived();
    let csr = csr();
    let with = |leaf_beyond_ca| {
        let settings = Settings { leaf_beyond_ca, ..Settings::default() };
        decide(&request(&csr), &Issuer::Ready { authority: &ca, settings: &settings }, now())
    };
    match with(LeafBeyondCa::Refuse) {
        Decision::Fail(error) => {
            assert_eq!(error.class(), Class::Permanent);
            let message = error.to_string();
            assert!(message.contains("2027-02-19T11:59:00Z") && message.contains("2026-12-01T00:00:00Z"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    match with(LeafBeyondCa::Truncate) {
        Decision::Sign(grant) => assert_eq!(grant.not_after, ca.not_after()),
        other => panic!("{other:?}"),
    }
    match with(LeafBeyondCa::Permit) {
        Decision::Sign(grant) => assert!(grant.not_after > ca.not_after()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn durations_that_no_certificate_can_have_fail() {
    let ca = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    let csr = csr();
    for duration in [SignedDuration::ZERO, SignedDuration::from_secs(-5), SignedDuration::MAX, SignedDuration::MIN] {
        let decision = decide(&Request { duration: Ok(Some(duration)), ..request(&csr) }, &ready(&ca), now());
        assert!(matches!(decision, Decision::Fail(Error::Duration { .. })), "{duration:?}: {decision:?}");
    }
    // A very short one has not ended before it is used.
    match decide(&Request { duration: Ok(Some(SignedDuration::from_secs(30))), ..request(&csr) }, &ready(&ca), now()) {
        Decision::Sign(grant) => {
            assert!(grant.not_after > now());
            assert_eq!(grant.not_after.duration_since(grant.not_before), SignedDuration::from_secs(30));
        }
        other => panic!("{other:?}"),
    }
}

/// Fact 16: and is as long as asked for nevertheless.
#[test]
fn a_certificate_does_not_begin_before_its_ca() {
    let mut params = ca_params("new");
    params.not_before = rcgen::date_time_ymd(2026, 11, 21);
    let ca = authority(&rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap());
    let csr = csr();
    match decide(&request(&csr), &ready(&ca), "2026-11-21T00:00:10Z".parse().unwrap()) {
        Decision::Sign(grant) => {
            assert_eq!(grant.not_before.to_string(), "2026-11-21T00:00:00Z");
            assert_eq!(grant.not_after.duration_since(grant.not_before), SignedDuration::from_hours(90 * 24));
        }
        other => panic!("{other:?}"),
    }
}

/// Fact 13: an empty subject without SAN fails.
#[test]
fn a_request_names_somebody() {
    let ca = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    let decision = |rdns: &[Vec<u8>], attributes: &[Vec<u8>]| {
        let csr = to_pem("CERTIFICATE REQUEST", &crafted(0, rdns, attributes));
        decide(&request(&csr), &ready(&ca), now())
    };
    let empty_names = extension_request(&[extension(17, false, &tlv(SEQUENCE, &[]))]);
    assert_eq!(decision(&[], &[]), Decision::Fail(Error::NoNames));
    assert_eq!(decision(&[], &[empty_names]), Decision::Fail(Error::NoNames));
    assert!(matches!(decision(&[rdn(&[(3, 0x0c, b"db")])], &[]), Decision::Sign(_)));
}

/// Facts 12, 22: cert sign, and the shortest duration.
#[test]
fn the_two_apis_differ_in_little() {
    let ca = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    let csr = csr();
    let with = |api, is_ca, seconds| {
        let duration = Ok(Some(SignedDuration::from_secs(seconds)));
        decide(&Request { api, is_ca, duration, ..request(&csr) }, &ready(&ca), now())
    };
    let cert_sign = |decision| match decision {
        Decision::Sign(grant) => grant.usages.key.contains(KeyUsages::KeyCertSign),
        other => panic!("not signed: {other:?}"),
    };
    assert!(cert_sign(with(Api::CertManager, true, 600)));
    assert!(!cert_sign(with(Api::Kubernetes, true, 600)));
    assert!(!cert_sign(with(Api::CertManager, false, 599)));
    assert_eq!(with(Api::Kubernetes, false, 599), Decision::Fail(Error::DurationTooShort { seconds: 599 }));
}

/// What is explained is what is decided: every broken rule is named, not the first alone.
#[test]
fn an_explanation_tells_of_every_rule_and_agrees_with_the_decision() {
    let ca = short_lived();
    let csr = to_pem("CERTIFICATE REQUEST", &crafted(0, &[], &[]));
    let asked = request(&csr);
    let broken = |request: &Request<'_>, issuer: &Issuer<'_>| {
        let findings = explain(request, issuer, now()).into_iter();
        findings.filter(|finding| finding.verdict != Verdict::Kept).map(|finding| finding.verdict).collect::<Vec<_>>()
    };
    let both = broken(&asked, &ready(&ca));
    assert!(matches!(both[..], [Verdict::Broken(Error::NoNames), Verdict::Broken(Error::BeyondCa { .. })]), "{both:?}");
    let Decision::Fail(Error::Several(all)) = decide(&asked, &ready(&ca), now()) else { panic!("not failed") };
    assert_eq!(both, all.into_iter().map(Verdict::Broken).collect::<Vec<_>>());

    let short = Ok(Some(SignedDuration::from_hours(1)));
    let good = self::csr();
    assert_eq!(broken(&Request { duration: short, ..request(&good) }, &ready(&ca)), []);
    let undecided = Request { duration: short, approval: Approval::Undecided, ..request(&good) };
    assert!(matches!(broken(&undecided, &ready(&ca))[..], [Verdict::Waits(_)]));
    assert!(matches!(broken(&request("no PEM"), &ready(&ca))[..], [Verdict::Broken(Error::RequestNotPem(_))]));
    assert!(matches!(broken(&asked, &Issuer::Missing)[..], [Verdict::Waits(_)]));
}

#[test]
fn the_issuer_says_how_far_certificates_are_backdated() {
    let ca = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    let csr = csr();
    for (backdate, begins) in [(0, 0), (60, 60), (3600, 3600)] {
        let settings = Settings { backdate: SignedDuration::from_secs(backdate), ..Settings::default() };
        let issuer = Issuer::Ready { authority: &ca, settings: &settings };
        let Decision::Sign(grant) = decide(&request(&csr), &issuer, now()) else { panic!("not signed") };
        assert_eq!(grant.not_before.as_second(), now().as_second() - begins);
        assert_eq!(grant.not_after.as_second() - grant.not_before.as_second(), 90 * 86400);
    }
}
