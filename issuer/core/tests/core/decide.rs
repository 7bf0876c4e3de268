//! Decisions: the rules of the flow, in order (issuer-facts 2, 3, 5, 12, 25, 26, 27).

use jiff::SignedDuration;
use rcgen::KeyPair;
use tandem_issuer_core::{
    Authority, Class, Decision, Error,
    decide::{Approval, Issuer, LeafBeyondCa, Request, Wait, decide},
    grant::Urls,
};

use crate::support::{authority, ca_params, csr, now, ready, request, root};

fn short_lived() -> Authority {
    let mut params = ca_params("short");
    params.not_before = rcgen::date_time_ymd(2026, 11, 1);
    params.not_after = rcgen::date_time_ymd(2026, 12, 1);
    authority(&rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
}

#[test]
fn approval_comes_first() {
    let ca = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    let csr = csr();
    let with = |approval, finished| decide(&Request { approval, finished, ..request(&csr) }, &ready(&ca), now());
    assert_eq!(with(Approval::Undecided, false), Decision::Ignore);
    assert_eq!(with(Approval::Denied, false), Decision::Deny);
    assert!(matches!(with(Approval::Approved, false), Decision::Sign(_)));
    for approval in [Approval::Undecided, Approval::Denied, Approval::Approved] {
        assert_eq!(with(approval, true), Decision::Ignore);
    }
    // Denied even where the issuer does not exist.
    let denied = Request { approval: Approval::Denied, ..request(&csr) };
    assert_eq!(decide(&denied, &Issuer::Missing, now()), Decision::Deny);
}

#[test]
fn a_request_waits_for_its_issuer_even_if_it_is_garbage() {
    let garbage = request("garbage");
    assert_eq!(decide(&garbage, &Issuer::Missing, now()), Decision::Wait(Wait::IssuerMissing));
    let not_ready = Issuer::NotReady("no Secret");
    assert_eq!(decide(&garbage, &not_ready, now()), Decision::Wait(Wait::IssuerNotReady("no Secret".to_owned())));
    let ca = authority(&root("CA", &rcgen::PKCS_ECDSA_P256_SHA256));
    assert!(matches!(decide(&garbage, &ready(&ca), now()), Decision::Fail(Error::RequestNotPem(_))));
}

#[test]
fn an_expired_ca_makes_requests_wait() {
    let ca = short_lived();
    let csr = csr();
    for time in ["2026-10-31T00:00:00Z", "2026-12-01T00:00:01Z"] {
        let decision = decide(&request(&csr), &ready(&ca), time.parse().unwrap());
        assert!(matches!(decision, Decision::Wait(Wait::IssuerNotReady(_))), "{decision:?}");
    }
}

#[test]
fn a_leaf_does_not_outlive_its_ca_unseen() {
    let ca = short_lived();
    let csr = csr();
    let urls = Urls::default();
    let with =
        |leaf_beyond_ca| decide(&request(&csr), &Issuer::Ready { authority: &ca, urls: &urls, leaf_beyond_ca }, now());
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
        let decision = decide(&Request { duration: Some(duration), ..request(&csr) }, &ready(&ca), now());
        assert!(matches!(decision, Decision::Fail(Error::Duration(_))), "{duration:?}: {decision:?}");
    }
    // A very short one has not ended before it is used.
    match decide(&Request { duration: Some(SignedDuration::from_secs(30)), ..request(&csr) }, &ready(&ca), now()) {
        Decision::Sign(grant) => {
            assert!(grant.not_after > now());
            assert_eq!(grant.not_after.duration_since(grant.not_before), SignedDuration::from_secs(30));
        }
        other => panic!("{other:?}"),
    }
}

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
