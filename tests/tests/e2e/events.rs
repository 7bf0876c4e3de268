//! The events that cert-manager's users know, of requests that wait for their issuer.

use anyhow::Result;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    certificates::{ca_params, csr, root_ca, root_ca_of},
    cluster::CERTIFICATE_REQUEST,
};

use crate::{
    environment::{allow_secrets, make_issuer, space},
    requests::{ask, pending},
};

/// Facts 5, 17: each cause has its reason, and the status says the same in words.
#[tokio::test]
async fn an_event_says_why_a_request_waits() -> Result<()> {
    let space = space("reasons").await?;
    let ca = root_ca("good", &PKCS_ECDSA_P256_SHA256)?;
    let (good, key) = (ca.as_ref().pem(), ca.key().serialize_pem());
    let mut params = ca_params("past");
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    let past = root_ca_of(params, &PKCS_ECDSA_P256_SHA256)?;

    // Before any Role lets the issuer read Secrets here.
    space.put_tls("closed", &good, &key, None).await?;
    make_issuer(&space, "closed").await?;
    wait_with_event(&space, "closed", "SecretGetError", "allow it with: kubectl create role").await?;

    allow_secrets(&space).await?;
    space.put_tls("half", &good, "", None).await?;
    space.put_tls("past", &past.as_ref().pem(), &past.key().serialize_pem(), None).await?;
    for name in ["no-secret", "half", "past"] {
        make_issuer(&space, name).await?;
    }
    for (name, reason, why) in [
        ("no-issuer", "IssuerNotFound", "does not exist"),
        ("no-secret", "SecretMissing", "create it with"),
        ("half", "SecretInvalidData", "tls.key is missing or empty"),
        ("past", "IssuerNotReady", "expired at 2021-01-01T00:00:00Z"),
    ] {
        wait_with_event(&space, name, reason, why).await?;
    }
    Ok(())
}

/// Makes a request to the issuer of this name, and sees it wait with this reason and these words.
async fn wait_with_event(space: &tandem_tests::Space, name: &str, reason: &str, why: &str) -> Result<()> {
    let reference = json!({"issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": name}});
    ask(space, name, &csr(&["leaf.test"])?, reference).await?;
    let event = space.event((CERTIFICATE_REQUEST.1, name), reason, why).await?;
    assert_eq!(event.type_.as_deref(), Some("Normal"), "{name}: it is no fault of the request's");
    let message = pending(space, name).await?;
    assert!(message.contains(why), "{name}: {message}");
    Ok(())
}
