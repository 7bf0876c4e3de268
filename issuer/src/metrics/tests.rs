//! Each metric has the value that it should, by what `/metrics` shows.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::{reflector::store::Writer, watcher::Event};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::json;
use tandem_issuer_core::{Error as CoreError, Issued, authority::Material};

use super::*;
use crate::api::{CertificateRequest, IssuerKind};

/// Between these lines of `docs/metrics.md` is what the code says.
const BEGIN: &str = "<!-- from here on made from the code -->\n";
const END: &str = "<!-- to here -->\n";

#[test]
fn the_page_lists_the_metrics_that_are_made() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let current = format!("{before}{BEGIN}\n{}\n{END}{after}", METRICS.table());
    if std::env::var_os("TANDEM_UPDATE").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    assert!(page == current, "docs/metrics.md differs from the code: run this test with TANDEM_UPDATE=1");
}

fn id(name: &str) -> IssuerId {
    IssuerId { kind: IssuerKind::Namespaced, namespace: Some("shop".to_owned()), name: name.to_owned() }
}

/// A CA whose own certificate outlives the root above it.
fn authority() -> Authority {
    let certified = |name: &str, year, by: Option<&CertifiedIssuer<'_, KeyPair>>| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let ca = match by {
            Some(by) => CertifiedIssuer::signed_by(params, key, by),
            None => CertifiedIssuer::self_signed(params, key),
        };
        ca.unwrap()
    };
    let root = certified("root", 2090, None);
    let ca = certified("ca", 2099, Some(&root));
    let (certificates, key) = (ca.as_ref().pem() + &root.as_ref().pem(), ca.key().serialize_pem());
    let material = Material { certificates: Some(certificates.as_bytes()), key: Some(key.as_bytes()), roots: None };
    Authority::from_secret(material).unwrap()
}

#[test]
fn an_issuers_series_end_with_it() {
    let metrics = Metrics::new();
    let ca = authority();
    metrics.issuer(&id("ca"), true, true, Some(&ca));
    metrics.issuer(&id("other"), false, false, None);
    let text = metrics.text(true).unwrap();
    let labels = r#"{issuer_kind="TandemIssuer",issuer_namespace="shop",issuer_name="ca"}"#;
    let of_it = of_authority(&ca);
    for line in [
        format!("tandem_issuer_issuer_ready{labels} 1\n"),
        format!("tandem_issuer_certificates_issued_total{labels} 0\n"),
        format!("tandem_issuer_last_good_ca_in_use{labels} 1\n"),
        format!("tandem_issuer_last_good_ca_in_use{} 0\n", labels.replace("\"ca\"", "\"other\"")),
        format!("tandem_issuer_ca_not_after_timestamp_seconds{labels} 3786912000\n"),
        format!("tandem_issuer_authority_certificates_issued_total{of_it} 0\n"),
        format!("tandem_issuer_authority_not_after_timestamp_seconds{of_it} 4070908800\n"),
        format!("tandem_issuer_issuer_ready{} 0\n", labels.replace("\"ca\"", "\"other\"")),
        "tandem_issuer_leader 1\n".to_owned(),
    ] {
        assert!(text.contains(&line), "no {line} in {text}");
    }
    metrics.forget_issuer(&id("ca"));
    let text = metrics.text(false).unwrap();
    assert!(!text.contains(r#"issuer_name="ca""#), "{text}");
    assert!(text.contains(r#"issuer_name="other""#) && text.contains("tandem_issuer_leader 0\n"), "{text}");
}

fn of_authority(ca: &Authority) -> String {
    let key = &ca.description().subject_key_id;
    format!(r#"{{issuer_kind="TandemIssuer",issuer_namespace="shop",issuer_name="ca",subject_key_id="{key}"}}"#)
}

/// One that is out of sight for a while, as where its Secret cannot be read, goes on counting.
#[test]
fn the_series_of_a_ca_end_where_another_takes_its_place() {
    let metrics = Metrics::new();
    let (old, new) = (authority(), authority());
    let sign = |by: &Authority| {
        let key = Some(by.description().subject_key_id.as_str());
        metrics.told(&request(), &issued(), key, "CertificateIssued", Timestamp::UNIX_EPOCH);
    };
    let series = |name: &str, ca: &Authority| {
        let (text, series) = (metrics.text(true).unwrap(), format!("tandem_issuer_{name}{} ", of_authority(ca)));
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok())
    };
    let (count, until) = ("authority_certificates_issued_total", "authority_not_after_timestamp_seconds");
    metrics.issuer(&id("ca"), true, false, Some(&old));
    sign(&old);
    metrics.issuer(&id("ca"), false, false, None);
    assert_eq!((series(count, &old), series(until, &old)), (Some(1), None));
    metrics.issuer(&id("ca"), true, false, Some(&old));
    sign(&old);
    assert_eq!((series(count, &old), series(until, &old)), (Some(2), Some(4_070_908_800)));
    metrics.issuer(&id("ca"), true, false, Some(&new));
    // What was signed before the other one came.
    sign(&old);
    sign(&new);
    assert_eq!((series(count, &old), series(until, &old)), (None, None));
    assert_eq!((series(count, &new), series(until, &new)), (Some(1), Some(4_070_908_800)));
    assert_lines(
        &metrics.text(true).unwrap(),
        &[r#"certificates_issued_total{issuer_kind="TandemIssuer",issuer_namespace="shop",issuer_name="ca"} 4"#],
    );
}

fn request() -> CertificateRequest {
    serde_json::from_value(json!({
        "metadata": {"name": "leaf", "namespace": "shop"},
        "spec": {"request": "", "issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "ca"}},
    }))
    .unwrap()
}

fn issued() -> Outcome {
    let issued = Issued { certificate: String::new(), ca: String::new(), leaf: Vec::new() };
    Outcome::Issued(Box::new(issued), None)
}

/// A certificate may be written when its issuer has just been deleted.
#[test]
fn what_is_issued_by_an_issuer_that_is_gone_begins_no_series() {
    let metrics = Metrics::new();
    let ca = authority();
    metrics.issuer(&id("ca"), true, false, Some(&ca));
    metrics.forget_issuer(&id("ca"));
    let key = Some(ca.description().subject_key_id.as_str());
    metrics.told(&request(), &issued(), key, "CertificateIssued", Timestamp::UNIX_EPOCH);
    let text = metrics.text(true).unwrap();
    assert!(!text.contains(r#"issuer_name="ca""#), "{text}");
    assert_lines(
        &text,
        &[r#"requests_total{kind="certificaterequests",outcome="issued",reason="CertificateIssued"} 1"#],
    );
}

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(&format!("{line}\n")), "no {line} in\n{text}");
    }
}

/// Each once, by its own name. Only certificates count as issued, and times are seconds since the approval.
#[test]
fn each_outcome_is_counted_as_what_it_is() {
    let metrics = Metrics::new();
    let request: CertificateRequest = serde_json::from_value(json!({
        "metadata": {"name": "leaf", "namespace": "shop", "creationTimestamp": "2026-11-21T12:00:00Z"},
        "spec": {"request": "", "issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "ca"}},
        "status": {"conditions": [{"type": "Approved", "status": "True", "lastTransitionTime": "2026-11-21T12:00:30Z"}]},
    }))
    .unwrap();
    let now = "2026-11-21T12:01:40Z".parse().unwrap();
    metrics.issuer(&id("ca"), true, false, None);
    for outcome in [
        Outcome::Unapproved,
        Outcome::Waiting("SecretMissing", String::new()),
        Outcome::Retrying(Error::Random),
        Outcome::Denied,
        Outcome::Failed(CoreError::NoNames),
        issued(),
    ] {
        metrics.told(&request, &outcome, None, &outcome.event::<CertificateRequest>().reason, now);
    }
    metrics.signed("certificaterequests", Duration::from_millis(250));
    let told = |outcome: &str, reason: &str| {
        format!(r#"tandem_issuer_requests_total{{kind="certificaterequests",outcome="{outcome}",reason="{reason}"}} 1"#)
    };
    let text = metrics.text(true).unwrap();
    for (outcome, reason) in [
        ("unapproved", "WaitingForApproval"),
        ("waiting", "SecretMissing"),
        ("retrying", "SigningError"),
        ("denied", "Denied"),
        ("failed", CoreError::NoNames.reason()),
        ("issued", "CertificateIssued"),
    ] {
        assert_lines(&text, &[&told(outcome, reason)]);
    }
    assert_lines(
        &text,
        &[
            r#"certificates_issued_total{issuer_kind="TandemIssuer",issuer_namespace="shop",issuer_name="ca"} 1"#,
            r#"tandem_issuer_request_duration_seconds_sum{kind="certificaterequests"} 70.0"#,
            r#"tandem_issuer_request_duration_seconds_count{kind="certificaterequests"} 1"#,
            r#"tandem_issuer_signing_duration_seconds_sum{kind="certificaterequests"} 0.25"#,
        ],
    );
}

#[test]
fn what_is_tried_again_and_what_is_watched_is_counted_by_its_name() {
    let metrics = Metrics::new();
    let api = kube::Error::Api(Box::new(serde_json::from_value(json!({"code": 500})).unwrap()));
    for error in [
        Error::Api(api),
        Error::Changed,
        Error::Sign(CoreError::Signer("busy".to_owned())),
        Error::Random,
        Error::Panicked,
    ] {
        assert!(Error::LABELS.contains(&error.label()), "{error}");
        metrics.retry("tandemissuers", &error);
    }
    metrics.watch_error("secrets");
    metrics.watch_list("tandemissuers");
    let text = metrics.text(true).unwrap();
    for reason in ["api", "changed", "signing", "random", "panicked"] {
        let line = format!(r#"tandem_issuer_retries_total{{resource="tandemissuers",reason="{reason}"}} 1"#);
        assert_lines(&text, &[&line]);
    }
    assert_lines(
        &text,
        &[
            r#"tandem_issuer_watch_errors_total{resource="secrets"} 1"#,
            r#"tandem_issuer_watch_lists_total{resource="tandemissuers"} 1"#,
        ],
    );
}

/// An alert that is raised by an increase sees the first one only if there was a zero before.
#[test]
fn what_an_alert_takes_an_increase_of_is_there_before_it_happens() {
    let metrics = Metrics::new();
    metrics.begin_looks("tandemissuers");
    metrics.begin_watch("secrets");
    let text = metrics.text(true).unwrap();
    for reason in Error::LABELS {
        let line = format!(r#"tandem_issuer_retries_total{{resource="tandemissuers",reason="{reason}"}} 0"#);
        assert_lines(&text, &[&line]);
    }
    assert_lines(
        &text,
        &[
            r#"tandem_issuer_watch_errors_total{resource="secrets"} 0"#,
            r#"tandem_issuer_watch_lists_total{resource="secrets"} 0"#,
            r#"tandem_issuer_api_requests_total{verb="patch",code="4xx"} 0"#,
            r#"tandem_issuer_api_requests_total{verb="other",code="none"} 0"#,
        ],
    );
}

fn waiting_request(name: &str, conditions: &[&str], created: Option<Timestamp>) -> CertificateRequest {
    let conditions: Vec<_> = conditions.iter().map(|type_| json!({"type": type_, "status": "True"})).collect();
    let mut request: CertificateRequest = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"request": "", "issuerRef": {"name": "ca"}},
        "status": {"conditions": conditions},
    }))
    .unwrap();
    request.metadata.creation_timestamp = created.map(Time);
    request
}

/// An age is never negative, and the oldest counts.
#[test]
fn what_waits_is_counted_by_kind_and_approval() {
    let metrics = Metrics::new();
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    // Of two namespaces.
    let mut writers = [Writer::<CertificateRequest>::default(), Writer::default()];
    for (place, name, conditions, created) in [
        (0, "approved", &["Approved"][..], at(100)),
        (1, "older", &["Approved"], at(70)),
        (1, "undecided", &[], at(500)),
        (1, "denied", &["Approved", "Denied"], at(1)),
    ] {
        writers[place].apply_watcher_event(&Event::Apply(waiting_request(name, conditions, created)));
    }
    writers.iter().for_each(|writer| metrics.watch_requests(writer.as_reader()));
    metrics.look_at_waits(Timestamp::from_second(100).unwrap());
    let text = metrics.catalog.text().unwrap();
    assert_lines(
        &text,
        &[
            r#"requests_waiting{kind="certificaterequests",approval="approved"} 2"#,
            r#"requests_waiting{kind="certificaterequests",approval="undecided"} 1"#,
            r#"requests_waiting{kind="certificatesigningrequests",approval="approved"} 0"#,
            r#"request_age_seconds{kind="certificaterequests",approval="approved"} 30.0"#,
            r#"request_age_seconds{kind="certificaterequests",approval="undecided"} 0.0"#,
        ],
    );
    // Not again within the second, however many ask.
    let told = |metrics: &Metrics, millisecond| {
        metrics.look_at_waits(Timestamp::from_millisecond(millisecond).unwrap());
        let text = metrics.catalog.text().unwrap();
        let line =
            text.lines().find(|line| line.contains(r#"waiting{kind="certificaterequests",approval="undecided"}"#));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<i64>().ok())
    };
    writers[0].apply_watcher_event(&Event::Apply(waiting_request("new", &[], at(100))));
    assert_eq!((told(&metrics, 100_999), told(&metrics, 101_000)), (Some(1), Some(2)));
    // Nor never again where the clock is set back.
    writers[0].apply_watcher_event(&Event::Delete(waiting_request("new", &[], at(100))));
    assert_eq!(told(&metrics, 50_000), Some(1));
}
