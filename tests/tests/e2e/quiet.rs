//! How often is written: once for a certificate, and not at all while nothing changes. By whole histories, as the API
//! server kept them, and by its audit log: a write that changes nothing is in no history.

use anyhow::Result;
use kube::api::{DynamicObject, Patch, PatchParams};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    Space,
    certificates::{csr, root_ca},
    cluster::{CERTIFICATE_REQUEST, ISSUER, is_ready},
};

use crate::{
    environment::{make_issuer, shared, space_with_issuer},
    requests::{ask, ask_plainly, failed, get, issued, pending, touched},
};

/// An annotation, as a user sets one: an event for whoever watches the object, and no reason to write anything.
fn poke() -> Patch<serde_json::Value> {
    Patch::Merge(json!({"metadata": {"annotations": {"tandem.test/poked": "yes"}}}))
}

/// The states of a history in words: who of us wrote last, and what Ready says then.
fn told(states: &[DynamicObject]) -> Vec<String> {
    let ready = |state: &DynamicObject| tandem_tests::cluster::condition(state, "Ready").unwrap_or_default();
    states.iter().map(|state| format!("{} {:?}", touched(state), ready(state))).collect()
}

#[tokio::test]
async fn one_status_write_makes_a_certificate() -> Result<()> {
    let (space, _) = space_with_issuer("writes").await?;
    let since = space.now(CERTIFICATE_REQUEST).await?;
    ask_plainly(&space, "once").await?;
    let states = space.history(CERTIFICATE_REQUEST, "once", &since, |o| is_ready(o, "True", "Issued")).await?;
    // Made, approved by cert-manager, issued by us.
    assert_eq!(states.iter().map(touched).collect::<Vec<_>>(), [false, false, true], "{:#?}", told(&states));
    assert_writes(&space, "once", 1).await
}

#[tokio::test]
async fn a_request_that_waits_is_written_once_and_issued_once() -> Result<()> {
    let (space, _) = space_with_issuer("waits-quietly").await?;
    let missing = json!({"issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "missing"}});
    ask(&space, "waits", &csr(&["waits.test"])?, missing).await?;
    pending(&space, "waits").await?;
    let since = space.now(CERTIFICATE_REQUEST).await?;
    space.api(CERTIFICATE_REQUEST)?.patch("waits", &PatchParams::default(), &poke()).await?;
    // Comes after the poke in the order in which the issuer hears of both.
    ask_plainly(&space, "marker").await?;
    issued(&space, "marker").await?;
    let ca = root_ca("late", &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("missing", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    make_issuer(&space, "missing").await?;
    let states = space.history(CERTIFICATE_REQUEST, "waits", &since, |o| is_ready(o, "True", "Issued")).await?;
    // Poked, issued.
    assert_eq!(states.len(), 2, "{:#?}", told(&states));
    // Pending, and Issued.
    assert_writes(&space, "waits", 2).await
}

#[tokio::test]
async fn nothing_is_written_while_nothing_changes() -> Result<()> {
    let (space, _) = space_with_issuer("quiet").await?;
    ask_plainly(&space, "issued").await?;
    issued(&space, "issued").await?;
    ask(&space, "failed", &csr(&["a.test"])?, json!({"duration": "0s"})).await?;
    failed(&space, "failed").await?;
    let finished = [get(&space, "issued").await?, get(&space, "failed").await?];

    let since = space.now(ISSUER).await?;
    space.api(ISSUER)?.patch("internal-ca", &PatchParams::default(), &poke()).await?;
    space.secrets().patch("internal-ca", &PatchParams::default(), &poke()).await?;
    ask_plainly(&space, "marker").await?;
    issued(&space, "marker").await?;
    // A change at last, seen by the same watch as the poke of the Secret: one write says so.
    let fingerprint = |object: &DynamicObject| object.data["status"]["authorities"][0]["fingerprint"].clone();
    let before = fingerprint(&space.api(ISSUER)?.get("internal-ca").await?);
    replace_ca(&space).await?;
    let states = space.history(ISSUER, "internal-ca", &since, |o| fingerprint(o) != before).await?;
    assert_eq!(states.len(), 2, "poked, and the new CA: {:#?}", told(&states));
    ask_plainly(&space, "after").await?;
    issued(&space, "after").await?;
    assert_eq!([get(&space, "issued").await?, get(&space, "failed").await?], finished);
    // Verified twice, and each request brought to its end.
    assert_eq!(shared()?.writes(&space, "tandemissuers", "internal-ca")?, 2);
    assert_writes(&space, "issued", 1).await?;
    assert_eq!(shared()?.writes(&space, "certificaterequests", "failed")?, 1);
    Ok(())
}

/// An issued request was written to so often, also without effect.
async fn assert_writes(space: &Space, name: &str, times: usize) -> Result<()> {
    // Sent when the last write has been answered.
    space.event((CERTIFICATE_REQUEST.1, name), "CertificateIssued", "").await?;
    assert_eq!(shared()?.writes(space, "certificaterequests", name)?, times, "{name}");
    Ok(())
}

async fn replace_ca(space: &Space) -> Result<()> {
    let ca = root_ca("new", &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await
}
