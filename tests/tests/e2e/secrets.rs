//! Nothing secret leaves the issuer, however much it is asked to log; and what it asks of the API server is no more than
//! its work needs, by the server's own account.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tandem_tests::{
    canary::Canary,
    certificates::root_ca,
    cluster::{CERTIFICATE_REQUEST, ISSUER, PATIENCE, is_ready},
};
use tokio::time::{interval, timeout};

use crate::{
    environment::{AUDIT, Environment, ISSUER_ACCOUNT, assert_untold, audit_log, with_issuer},
    requests::{ask, ask_plainly, failed, issued},
};

/// Fact 29: by the audit log, no Secret but the CA's is read.
#[tokio::test]
async fn no_key_is_logged_even_where_everything_is() -> Result<()> {
    let mut environment = Environment::start(&[AUDIT], &[("RUST_LOG", "trace")]).await?;
    let space = environment.space("trace").await?;
    let ca = with_issuer(&space).await?;
    ask_plainly(&space, "by-old").await?;
    issued(&space, "by-old").await?;
    // A Secret that is wrong is talked about more than one that is right.
    let new = root_ca("new", &PKCS_ECDSA_P256_SHA256)?;
    let keys = [ca.key().serialize_pem(), new.key().serialize_pem()];
    space.put_tls("internal-ca", &ca.as_ref().pem(), &keys[1], None).await?;
    space.wait(ISSUER, "internal-ca", |object| is_ready(object, "True", "LastGoodKeyPair")).await?;
    space.put_tls("internal-ca", &keys[1], &keys[1], None).await?;
    space.event((ISSUER.1, "internal-ca"), "LastGoodKeyPair", "tls.crt: ").await?;
    space.put_tls("internal-ca", &new.as_ref().pem(), &keys[1], None).await?;
    space.wait(ISSUER, "internal-ca", |object| is_ready(object, "True", "KeyPairVerified")).await?;
    ask_plainly(&space, "by-new").await?;
    issued(&space, "by-new").await?;
    space.event((CERTIFICATE_REQUEST.1, "by-new"), "CertificateIssued", "").await?;
    // A key in place of a request, where nobody else looks at it before.
    let unchecked = environment.control_plane.cluster().await?.space_without_validation("pasted").await?;
    with_issuer(&unchecked).await?;
    let pasted = KeyPair::generate()?.serialize_pem();
    ask(&unchecked, "pasted", &pasted, json!({})).await?;
    failed(&unchecked, "pasted").await?;
    unchecked.event((CERTIFICATE_REQUEST.1, "pasted"), "SigningError", "its label is").await?;
    // The kinds have only just been installed: a server puts a watch off until its own cache of a kind is filled, however
    // long that takes.
    watches_run(&environment).await?;
    ensure!(environment.issuer.process().stop()?, "it did not stop cleanly");

    let log = environment.issuer.log()?;
    ensure!(log.contains("TRACE") && log.contains("by-new"), "the log is not that of everything");
    let canary = Canary::of(&[&keys[0], &keys[1], &pasted], &[&ca.as_ref().pem(), &new.as_ref().pem()])?;
    assert_untold(&environment, &space, &canary).await?;
    assert_untold(&environment, &unchecked, &canary).await?;
    check_requests(&asked(&environment)?)
}

/// What the issuer asked of the API server and was answered, each once: of a watch its end, or its beginning while it is open.
fn asked(environment: &Environment) -> Result<Vec<Value>> {
    let audit = audit_log(&environment.control_plane)?;
    let events = audit.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let ours = events.into_iter().filter(|event| event["user"]["username"] == ISSUER_ACCOUNT);
    let mut known = HashSet::new();
    let mut calls: Vec<_> = ours.rev().filter(|event| known.insert(event["auditID"].to_string())).collect();
    // A server whose watch caches of kinds just installed are not filled yet says so, and is asked again.
    calls.retain(|call| {
        call["responseStatus"]["code"] != 429 || !matches!(call["verb"].as_str(), Some("list" | "watch"))
    });
    Ok(calls)
}

/// Waits until everything that is watched all the time is.
async fn watches_run(environment: &Environment) -> Result<()> {
    let mut look = interval(Duration::from_millis(50));
    for resource in ["tandemissuers", "tandemclusterissuers", "certificaterequests", "certificatesigningrequests"] {
        let runs = |call: &Value| call["verb"] == "watch" && call["objectRef"]["resource"] == resource;
        let running = async {
            while !asked(environment)?.iter().any(runs) {
                look.tick().await;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, running).await.with_context(|| format!("{resource} are not watched"))??;
    }
    Ok(())
}

/// Everything that the issuer asked of the API server was allowed, and belongs to its work.
fn check_requests(calls: &[Value]) -> Result<()> {
    let mut asked = BTreeMap::new();
    for event in calls {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let subresource = text("/objectRef/subresource");
        let what = format!("{} {}/{subresource}", text("/verb"), text("/objectRef/resource"));
        // 0: a watch that was still open.
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default();
        ensure!(code < 400, "{what}: {code}: {event}");
        let secret = text("/objectRef/resource") == "secrets";
        ensure!(!secret || text("/objectRef/name") == "internal-ca", "it read a Secret that it needs not: {event}");
        *asked.entry(what.trim_end_matches('/').to_owned()).or_insert(0_u32) += 1;
    }
    for (what, expected) in [
        // Two requests were issued and one failed, with a write and an event each.
        ("patch certificaterequests/status", 3..=3),
        // Verified, two kinds of half-updated, verified; another one verified; and an event for each and for each request.
        ("patch tandemissuers/status", 5..=5),
        ("create events", 8..=10),
        ("list secrets", 2..=4),
        ("watch secrets", 2..=6),
        ("list certificaterequests", 1..=2),
        ("watch certificaterequests", 1..=3),
        ("list certificatesigningrequests", 1..=2),
        ("watch certificatesigningrequests", 1..=3),
        ("list tandemissuers", 1..=2),
        ("watch tandemissuers", 1..=3),
        ("list tandemclusterissuers", 1..=2),
        ("watch tandemclusterissuers", 1..=3),
    ] {
        let times = asked.remove(what).unwrap_or_default();
        ensure!(expected.contains(&times), "{what}: {times} times, not {expected:?}");
    }
    ensure!(asked.is_empty(), "it asked for more than its work needs: {asked:?}");
    Ok(())
}
