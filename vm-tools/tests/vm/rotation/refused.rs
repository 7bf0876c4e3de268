//! What `rotation-plan` does not compute, and what it says then.

use super::{NOW, certificate, client, object, run};

#[test]
fn what_cannot_be_computed_is_said() {
    let place = "tandem-vm: standard input: document 1: Certificate shop/orders";
    for (text, args, expected) in [
        (
            client(),
            &[][..],
            "tandem-vm: no Certificate of cert-manager, and no DatabaseVM, is among the documents; name their files\n"
                .to_owned(),
        ),
        (
            certificate("orders", "s", "i", ", duration: 1h"),
            &["--now", NOW, "--until", "2040-01-01T00:00:00Z"],
            format!("{place}: it would be renewed more than 10000 times until 2040-01-01T00:00:00Z; choose less\n"),
        ),
        (
            certificate("orders", "s", "i", ""),
            &["--now", NOW, "--until", "2026-11-21T11:59:59Z"],
            format!(
                "tandem-vm: --until: 2026-11-21T11:59:59Z is before {NOW}, the time of --now, or else the present; give a later \
                 time\n"
            ),
        ),
        (
            certificate("orders", "s", "i", ""),
            &["--now", NOW, "--issued", "2027-01-01T00:00:00Z"],
            format!(
                "{place}: its present certificate is said to begin at 2027-01-01T00:00:00Z, which is after {NOW}\n"
            ),
        ),
        (
            certificate("orders", "s", "i", ""),
            &["--issued", "shop/other=2026-01-01T00:00:00Z"],
            "tandem-vm: --issued: no Certificate shop/other is among the documents\n".to_owned(),
        ),
    ] {
        assert_eq!(run(&text, args), (Some(2), expected), "{text}");
    }
    // The present, in whole seconds.
    let (code, text) = run(&certificate("orders", "s", "i", ""), &["--until", "2020-01-01T00:00:00Z"]);
    let present = text.split(' ').find_map(|word| word.strip_suffix("Z,")).unwrap_or_default();
    assert!(code == Some(2) && present.len() == "2020-01-01T00:00:00".len(), "{text}");
    let (code, text) = run("", &["--issued", "yesterday"]);
    assert!(
        code == Some(2) && text.contains("`yesterday` is not a time; write one such as 2026-11-21T12:00:00Z"),
        "{text}"
    );
}

#[test]
fn what_cert_manager_refuses_is_not_planned() {
    let refused = |spec: &str, expected: &[&str]| {
        let place = "tandem-vm: standard input: document 1: Certificate shop/orders";
        let expected: String = expected.iter().map(|line| format!("{place}: {line}\n")).collect();
        let text = object("cert-manager.io/v1", "Certificate", "orders", spec);
        assert_eq!(run(&text, &["--now", NOW]), (Some(2), expected), "{spec}");
    };
    let secret = "spec.secretName: is missing, or no text; write a name";
    let issuer = "spec.issuerRef.name: is missing, or no text; write a name";
    refused("{secretname: s, issuerRef: {name: i}}", &[secret]);
    refused("{secretName: '', issuerRef: {name: i}}", &[secret]);
    refused("{secretName: s}", &[issuer]);
    refused("{secretName: 5, issuerRef: {nam: i}}", &[secret, issuer]);
    let with = |more: &str, expected: &str| {
        refused(&format!("{{secretName: s, issuerRef: {{name: i}}, {more}}}"), &[expected])
    };
    let lifetime =
        |field: &str| format!("{field}; write for example duration: 2160h and renewBefore: 720h, or only the former");
    for (more, field) in [
        ("duration: 90d", "spec.duration: `90d` is not a duration of Go's"),
        ("renewBefore: soon", "spec.renewBefore: `soon` is not a duration of Go's"),
        ("duration: 2160", "spec.duration: `2160` is not a duration of Go's"),
        ("renewBefore: [720h]", "spec.renewBefore: `- 720h` is not a duration of Go's"),
        ("duration: 30m", "spec.duration: is 1800 seconds"),
        ("renewBefore: 2160h", "spec.renewBefore: is 7776000 seconds of 7776000, and has to be less"),
        ("duration: 1h, renewBefore: 2h", "spec.renewBefore: is 7200 seconds of 3600, and has to be less"),
        ("renewBefore: -1h", "spec.renewBefore: is -3600 seconds"),
        (
            "renewBefore: 1h, renewBeforePercentage: 30",
            "spec.renewBeforePercentage: stands beside renewBefore, which excludes it",
        ),
        ("renewBeforePercentage: 130", "spec.renewBeforePercentage: is 130; it can be 1 to 99"),
        ("renewBeforePercentage: -5", "spec.renewBeforePercentage: is -5; it can be 1 to 99"),
        ("renewBeforePercentage: '30'", "spec.renewBeforePercentage: is '30'; it can be 1 to 99"),
    ] {
        with(more, &lifetime(field));
    }
    let never = "spec.renewal.policy: is Disabled, so cert-manager never renews it, and there is nothing to plan; leave the Certificate out";
    with("renewal: {policy: Disabled}", never);
}
