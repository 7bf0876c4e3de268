//! What is not there yet, and what is replaced: requests wait with a reason, and go on at once.

use anyhow::{Context, Result};
use kube::api::DynamicObject;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    Space,
    certificates::{Ca, OpenSsl, csr, root_ca},
    cluster::{CERTIFICATE_REQUEST, ISSUER, condition, is_ready},
};

use crate::{
    environment::{allow_secrets, make_issuer, space, space_with_issuer},
    requests::{ask, ask_plainly, get, issued, obtain, pending},
};

pub(crate) async fn put(space: &Space, ca: &Ca) -> Result<()> {
    space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await
}

/// Waits until the issuer's status shows this CA; returns the issuer.
pub(crate) async fn until_in_use(space: &Space, ca: &Ca) -> Result<DynamicObject> {
    let shown = OpenSsl::new()?.show(&ca.as_ref().pem(), &["-fingerprint", "-sha256"])?;
    let fingerprint = shown.rsplit('=').next().context("no fingerprint")?.replace(':', "").to_lowercase();
    let shows = |object: &DynamicObject| object.data["status"]["authorities"][0]["fingerprint"] == *fingerprint;
    space.wait(ISSUER, "internal-ca", shows).await
}

/// A request that waited is not behind one that is made once its issuer is ready: it did not sit out a delay.
async fn assert_went_on_at_once(space: &Space, waited: &str) -> Result<()> {
    space.wait_ready(ISSUER, "internal-ca").await?;
    ask_plainly(space, "later").await?;
    issued(space, "later").await?;
    let waited = get(space, waited).await?;
    assert!(is_ready(&waited, "True", "Issued"), "a later request was served before: {:?}", waited.data["status"]);
    Ok(())
}

/// Facts 5, 6, 17: Pending with what is awaited, and events of both.
#[tokio::test]
async fn a_request_goes_on_as_soon_as_the_ca_secret_appears() -> Result<()> {
    let space = space("late-secret").await?;
    allow_secrets(&space).await?;
    make_issuer(&space, "internal-ca").await?;
    let why =
        format!("the Secret {}/internal-ca does not exist; create it with the CA's tls.crt and tls.key", space.name);
    space.wait(ISSUER, "internal-ca", |object| is_ready(object, "False", "ErrGetKeyPair")).await?;
    space.event((ISSUER.1, "internal-ca"), "ErrGetKeyPair", &why).await?;

    ask_plainly(&space, "waits").await?;
    let message = format!("TandemIssuer {}/internal-ca is not ready: {why}", space.name);
    assert_eq!(pending(&space, "waits").await?, message);
    space.event((CERTIFICATE_REQUEST.1, "waits"), "SecretMissing", &message).await?;

    put(&space, &root_ca("late", &PKCS_ECDSA_P256_SHA256)?).await?;
    assert_went_on_at_once(&space, "waits").await?;
    space.event((ISSUER.1, "internal-ca"), "KeyPairVerified", "Signing CA verified").await?;
    space.event((CERTIFICATE_REQUEST.1, "waits"), "CertificateIssued", "").await?;
    Ok(())
}

/// Facts 6, 7: Pending at once, and not a moment longer than needed.
#[tokio::test]
async fn a_request_goes_on_as_soon_as_the_issuer_appears() -> Result<()> {
    let space = space("late-issuer").await?;
    allow_secrets(&space).await?;
    put(&space, &root_ca("late", &PKCS_ECDSA_P256_SHA256)?).await?;

    ask_plainly(&space, "waits").await?;
    let message = format!("TandemIssuer {}/internal-ca does not exist", space.name);
    assert_eq!(pending(&space, "waits").await?, message);
    space.event((CERTIFICATE_REQUEST.1, "waits"), "IssuerNotFound", &message).await?;

    make_issuer(&space, "internal-ca").await?;
    assert_went_on_at_once(&space, "waits").await
}

/// A mistake that is easily made: the kind of the other one of that name.
#[tokio::test]
async fn a_request_that_names_the_wrong_kind_is_told_of_the_other_one_while_it_is_there() -> Result<()> {
    let space = space("wrong-kind").await?;
    allow_secrets(&space).await?;
    let name = format!("ca-of-{}", space.name);
    let asked = json!({"issuerRef": {"group": "pki.tandem.internal", "kind": ISSUER.1, "name": name}});
    ask(&space, "waits", &csr(&["leaf.test"])?, asked).await?;
    let missing = format!("{} {}/{name} does not exist", ISSUER.1, space.name);
    assert_eq!(pending(&space, "waits").await?, missing);
    let cluster_issuer = ("pki.tandem.internal/v1alpha1", "TandemClusterIssuer");
    let issuer = json!({
        "apiVersion": cluster_issuer.0, "kind": cluster_issuer.1, "metadata": {"name": name},
        "spec": {"ca": {"secretName": name}},
    });
    space.apply(&issuer.to_string()).await?;
    let hint = format!("{missing}; a TandemClusterIssuer of that name does");
    let says = |message: String| {
        move |request: &DynamicObject| condition(request, "Ready").is_some_and(|(_, _, told)| told == message)
    };
    space.wait(CERTIFICATE_REQUEST, "waits", says(hint.clone())).await?;
    space.event((CERTIFICATE_REQUEST.1, "waits"), "IssuerNotFound", &hint).await?;
    // It is no longer said when it is no longer so.
    space.api(cluster_issuer)?.delete(&name, &Default::default()).await?;
    space.wait(CERTIFICATE_REQUEST, "waits", says(missing)).await?;

    // The other way round.
    make_issuer(&space, "internal-ca").await?;
    let asked = json!({"issuerRef": {"group": "pki.tandem.internal", "kind": cluster_issuer.1, "name": "internal-ca"}});
    ask(&space, "also", &csr(&["leaf.test"])?, asked).await?;
    let hint = "TandemClusterIssuer internal-ca does not exist; a TandemIssuer of that name does".to_owned();
    space.wait(CERTIFICATE_REQUEST, "also", says(hint)).await?;
    Ok(())
}

#[tokio::test]
async fn a_new_issuer_of_the_same_name_signs_with_its_own_ca() -> Result<()> {
    let (space, _) = space_with_issuer("again").await?;
    let other = root_ca("other", &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("other", &other.as_ref().pem(), &other.key().serialize_pem(), None).await?;
    space.api(ISSUER)?.delete("internal-ca", &Default::default()).await?;
    // Waits for the old one to be gone, so that nobody can take the one for the other.
    ask_plainly(&space, "waits").await?;
    let second = json!({
        "apiVersion": ISSUER.0, "kind": ISSUER.1, "metadata": {"name": "internal-ca"},
        "spec": {"ca": {"secretName": "other"}},
    });
    space.apply(&second.to_string()).await?;
    let chain = issued(&space, "waits").await?.chain;
    OpenSsl::new()?.verify(&chain, &other.as_ref().pem(), &[])
}

/// Facts 6, 24: the swap is whole.
#[tokio::test]
async fn a_replaced_ca_is_noticed_at_once() -> Result<()> {
    let (space, old) = space_with_issuer("replaced").await?;
    let openssl = OpenSsl::new()?;
    let before = obtain(&space, "before", &csr(&["a.test"])?, json!({})).await?;
    openssl.verify(&before.chain, &old.as_ref().pem(), &[])?;

    let new = root_ca(&format!("{} CA", space.name), &PKCS_ECDSA_P256_SHA256)?;
    put(&space, &new).await?;
    let issuer = until_in_use(&space, &new).await?;
    assert!(is_ready(&issuer, "True", "KeyPairVerified"), "{:?}", issuer.data["status"]);
    assert_eq!(issuer.data["status"]["authorities"].as_array().map(Vec::len), Some(1));

    let after = obtain(&space, "after", &csr(&["b.test"])?, json!({})).await?;
    openssl.verify(&after.chain, &new.as_ref().pem(), &[])?;
    assert!(openssl.verify(&after.chain, &old.as_ref().pem(), &[]).is_err(), "the old CA verifies it, too");
    assert_eq!(after.ca, new.as_ref().pem().replace('\r', ""));
    Ok(())
}

#[tokio::test]
async fn a_ca_secret_may_change_its_name() -> Result<()> {
    let (space, _) = space_with_issuer("renamed").await?;
    let other = root_ca("other", &PKCS_ECDSA_P256_SHA256)?;
    let issuer = json!({
        "apiVersion": ISSUER.0, "kind": ISSUER.1, "metadata": {"name": "internal-ca"},
        "spec": {"ca": {"secretName": "other"}},
    });
    space.apply(&issuer.to_string()).await?;
    space.wait(ISSUER, "internal-ca", |object| is_ready(object, "False", "ErrGetKeyPair")).await?;
    ask_plainly(&space, "waits").await?;
    pending(&space, "waits").await?;
    // The Secret that it had before no longer counts.
    put(&space, &root_ca("unused", &PKCS_ECDSA_P256_SHA256)?).await?;
    space.put_tls("other", &other.as_ref().pem(), &other.key().serialize_pem(), None).await?;
    OpenSsl::new()?.verify(&issued(&space, "waits").await?.chain, &other.as_ref().pem(), &[])
}
