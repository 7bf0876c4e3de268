//! Whose requests are signed: ours, if approved; no others are as much as touched (issuer facts 1 to 4).

use anyhow::{Context, Result};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    Space,
    certificates::{ca_params, csr, root_ca_of},
    cluster::{CERTIFICATE_REQUEST, ISSUER, condition, is_ready},
};

use crate::{
    environment::{allow_secrets, make_issuer, space, unvalidated_space_with_issuer, with_issuer, without_approver},
    requests::{ask, ask_plainly, failed, get, issued, set_conditions, touched},
};

/// Waits until a request of ours that is made only now is issued: what was there before has been seen by the issuer.
async fn issue_another(space: &Space, name: &str) -> Result<()> {
    ask_plainly(space, name).await?;
    issued(space, name).await.map(|_| ())
}

async fn assert_left_alone(space: &Space, name: &str) -> Result<()> {
    let request = get(space, name).await?;
    assert!(!touched(&request), "{name} was touched: {:?}", request.data["status"]);
    let told = space.events().await?.into_iter().find(|event| {
        event.reporting_controller.as_deref() == Some("tandem-issuer")
            && event.regarding.as_ref().is_some_and(|about| about.name.as_deref() == Some(name))
    });
    assert!(told.is_none(), "{told:?}");
    Ok(())
}

/// Fact 1: by group and by kind; without validation, and approved.
#[tokio::test]
async fn a_foreign_issuer_ref_is_left_alone() -> Result<()> {
    // Without validation the approver approves these, too: only the reference keeps us from signing.
    let (space, _) = unvalidated_space_with_issuer("foreign").await?;
    let foreign = [
        ("other-group", json!({"group": "pki.example.org", "kind": "TandemIssuer", "name": "internal-ca"})),
        (
            "longer-group",
            json!({"group": "pki.tandem.internal.example.org", "kind": "TandemIssuer", "name": "internal-ca"}),
        ),
        ("empty-group", json!({"group": "", "kind": "TandemIssuer", "name": "internal-ca"})),
        ("no-group", json!({"kind": "TandemIssuer", "name": "internal-ca"})),
        ("unknown-kind", json!({"group": "pki.tandem.internal", "kind": "TandemIssuerSet", "name": "internal-ca"})),
        ("lower-case-kind", json!({"group": "pki.tandem.internal", "kind": "tandemissuer", "name": "internal-ca"})),
        ("no-kind", json!({"group": "pki.tandem.internal", "name": "internal-ca"})),
    ];
    for (name, reference) in &foreign {
        ask(&space, name, &csr(&["leaf.test"])?, json!({"issuerRef": reference})).await?;
        space
            .wait(CERTIFICATE_REQUEST, name, |o| condition(o, "Approved").is_some_and(|(status, ..)| status == "True"))
            .await?;
    }
    issue_another(&space, "ours").await?;
    for (name, _) in &foreign {
        assert_left_alone(&space, name).await?;
    }
    Ok(())
}

/// Facts 2, 17: without a word in its status; an event tells of it.
#[tokio::test]
async fn an_unapproved_request_is_left_alone_until_it_is_approved() -> Result<()> {
    let space = without_approver()?.space("unapproved").await?;
    with_issuer(&space).await?;
    ask_plainly(&space, "undecided").await?;
    ask_plainly(&space, "approved").await?;
    set_conditions(&space, "approved", &["Approved"]).await?;
    issued(&space, "approved").await?;
    assert!(!touched(&get(&space, "undecided").await?));
    // What wakes all requests of an issuer does not sign it either.
    space.api(ISSUER)?.delete("internal-ca", &Default::default()).await?;
    with_issuer(&space).await?;
    ask_plainly(&space, "approved-later").await?;
    set_conditions(&space, "approved-later", &["Approved"]).await?;
    issued(&space, "approved-later").await?;
    // It is told late: approvers have some seconds' time. Its status is left alone even then.
    space.event((CERTIFICATE_REQUEST.1, "undecided"), "WaitingForApproval", "").await?;
    assert!(!touched(&get(&space, "undecided").await?));

    set_conditions(&space, "undecided", &["Approved"]).await?;
    issued(&space, "undecided").await?;
    Ok(())
}

/// Facts 2, 4: Denied wins, and its condition stays as it is.
#[tokio::test]
async fn a_denied_request_is_marked_and_never_signed() -> Result<()> {
    let space = without_approver()?.control_plane.cluster().await?.space_without_validation("denied").await?;
    with_issuer(&space).await?;
    // Where nothing is validated both can be set: Denied wins. Nor does it matter that the issuer is missing.
    let elsewhere = json!({"issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "missing"}});
    let cases = [
        ("denied", json!({}), &["Denied"][..]),
        ("denied-and-approved", json!({}), &["Approved", "Denied"]),
        ("denied-without-issuer", elsewhere, &["Denied"]),
    ];
    for (name, spec, conditions) in cases {
        ask(&space, name, &csr(&["leaf.test"])?, spec).await?;
        set_conditions(&space, name, conditions).await?;
        let request = space.wait(CERTIFICATE_REQUEST, name, |o| is_ready(o, "False", "Denied")).await?;
        let status = &request.data["status"];
        assert!(status["failureTime"].is_string(), "{name}: no failureTime");
        assert!(status["certificate"].is_null(), "{name} was signed");
        let message = condition(&request, "Ready").context("no Ready")?.2;
        assert_eq!(message, "The CertificateRequest was denied by an approval controller");
        space.event((CERTIFICATE_REQUEST.1, name), "Denied", &message).await?;
        // Nobody but who denied it may touch that condition: the webhook would refuse the whole write.
        assert_eq!(condition(&request, "Denied"), Some(("True".into(), "ByHand".into(), "by hand".into())));

        let version = request.metadata.resource_version;
        let marker = format!("after-{name}");
        ask_plainly(&space, &marker).await?;
        set_conditions(&space, &marker, &["Approved"]).await?;
        issued(&space, &marker).await?;
        assert_eq!(get(&space, name).await?.metadata.resource_version, version, "{name} was written to again");
    }
    Ok(())
}

/// Fact 3: not even where it would be issued now.
#[tokio::test]
async fn a_finished_request_is_never_looked_at_again() -> Result<()> {
    let space = space("finished").await?;
    allow_secrets(&space).await?;
    let mut params = ca_params("Ends one day");
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let ca = root_ca_of(params, &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    make_issuer(&space, "internal-ca").await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    // A century is beyond the CA's end, which the issuer refuses until it is told to permit it.
    let beyond = json!({"duration": "876600h"});
    let too_long = csr(&["long.test"])?;
    ask(&space, "failed", &too_long, beyond.clone()).await?;
    let message = failed(&space, "failed").await?;
    assert!(message.contains("spec.leafBeyondCA"), "{message}");
    let before = get(&space, "failed").await?;
    issue_another(&space, "issued").await?;
    let before_issued = get(&space, "issued").await?;

    let issuer = json!({
        "apiVersion": ISSUER.0, "kind": ISSUER.1, "metadata": {"name": "internal-ca"},
        "spec": {"ca": {"secretName": "internal-ca"}, "leafBeyondCA": "Permit"},
    });
    space.apply(&issuer.to_string()).await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    // The very same request, made now, is issued: the failed one would be, too, if anybody looked at it.
    ask(&space, "permitted", &too_long, beyond).await?;
    issued(&space, "permitted").await?;
    assert_eq!(get(&space, "failed").await?, before);
    assert_eq!(get(&space, "issued").await?, before_issued);
    Ok(())
}
