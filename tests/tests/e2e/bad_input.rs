//! Bad input: each gets a message that names the object, the field and the remedy, as condition and as event, and
//! nothing secret is told.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use rcgen::{CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use tandem_tests::{
    Space,
    canary::Canary,
    certificates::{ca_params, csr, root_ca, root_ca_of},
    cluster::{CERTIFICATE_REQUEST, ISSUER, condition, is_ready},
    tools,
};

use crate::{
    environment::{
        allow_secrets, assert_untold, make_issuer, shared, space, space_with_issuer, unvalidated_space_with_issuer,
    },
    requests::{ask, ask_plainly, failed, issued, obtain, pending},
};

const NO_DER: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";

/// Waits until the issuer says why it is not ready, in its condition and in an event.
async fn not_ready(space: &Space, reason: &str, message: &str) -> Result<DynamicObject> {
    let says = |object: &DynamicObject| {
        is_ready(object, "False", reason) && condition(object, "Ready").is_some_and(|(_, _, m)| m.contains(message))
    };
    let issuer = space.wait(ISSUER, "internal-ca", says).await?;
    space.event((ISSUER.1, "internal-ca"), reason, message).await?;
    Ok(issuer)
}

/// Facts 5, 17, 24, 27: as condition and as event; requests wait.
#[tokio::test]
async fn a_bad_ca_secret_is_described() -> Result<()> {
    let space = space("bad-ca").await?;
    allow_secrets(&space).await?;
    let ca = root_ca("good", &PKCS_ECDSA_P256_SHA256)?;
    let (good, key) = (ca.as_ref().pem(), ca.key().serialize_pem());
    let other = KeyPair::generate()?.serialize_pem();
    let leaf_key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    let leaf = params.self_signed(&leaf_key)?.pem();
    let expired = |from: i32, to: i32| {
        let mut params = ca_params("dated");
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
        root_ca_of(params, &PKCS_ECDSA_P256_SHA256)
    };
    let (past, future) = (expired(2020, 2021)?, expired(2090, 2099)?);
    let (past, past_key) = (past.as_ref().pem(), past.key().serialize_pem());
    let (future, future_key) = (future.as_ref().pem(), future.key().serialize_pem());

    make_issuer(&space, "internal-ca").await?;
    let secret = format!("the Secret {}/internal-ca", space.name);
    not_ready(&space, "ErrGetKeyPair", &format!("{secret} does not exist; create it with the CA's tls.crt")).await?;
    let keys = [key.clone(), other.clone(), leaf_key.serialize_pem(), past_key.clone(), future_key.clone()];
    for (certificates, key, reason, message) in [
        (good.as_str(), "", "ErrInvalidKeyPair", "tls.key is missing or empty"),
        ("", key.as_str(), "ErrInvalidKeyPair", "tls.crt is missing or empty"),
        ("garbage", &key, "ErrInvalidKeyPair", "tls.crt: it holds no certificate in PEM"),
        (NO_DER, &key, "ErrInvalidKeyPair", "tls.crt: not an X.509 certificate"),
        (&key, &key, "ErrInvalidKeyPair", "tls.crt: it holds something else than certificates"),
        (&good, "garbage", "ErrInvalidKeyPair", "tls.key: it does not hold exactly one private key in PEM"),
        (&good, &other, "ErrInvalidKeyPair", "tls.key is not the private key of the first certificate in tls.crt"),
        (&good, ENCRYPTED, "ErrInvalidKeyPair", "tls.key: the private key is encrypted; store it unencrypted"),
        (
            &leaf,
            &keys[2],
            "ErrInvalidKeyPair",
            "the first certificate in tls.crt is no CA: its basic constraints say CA:",
        ),
        (&past, &past_key, "CAExpired", "expired at 2021-01-01T00:00:00Z; put a valid CA there"),
        (&future, &future_key, "CANotYetValid", "is not valid before 2090-01-01T00:00:00Z"),
    ] {
        // Before each, no Secret at all: nothing that was good before may stand in.
        space.put_tls("internal-ca", certificates, key, None).await.context(message)?;
        let issuer = not_ready(&space, reason, message).await?;
        // The object, the field, the remedy.
        let (_, _, told) = condition(&issuer, "Ready").context("no Ready")?;
        ensure!(told.starts_with(&format!("{secret}: ")) && told.contains("; put "), "{told}");
        space.secrets().delete("internal-ca", &Default::default()).await?;
        not_ready(&space, "ErrGetKeyPair", "does not exist").await?;
    }
    ask_plainly(&space, "waits").await?;
    let message = pending(&space, "waits").await?;
    ensure!(message.contains("is not ready") && message.contains("create it with"), "{message}");
    space.put_tls("internal-ca", &good, &key, None).await?;
    issued(&space, "waits").await?;
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    assert_untold(shared()?, &space, &Canary::of(&keys, &[&good])?).await
}

/// Fact 24: and says so; the new one follows when it is whole.
#[tokio::test]
async fn a_half_updated_secret_leaves_the_last_good_ca_in_use() -> Result<()> {
    let (space, ca) = space_with_issuer("half").await?;
    let new = root_ca("new", &PKCS_ECDSA_P256_SHA256)?;
    // The new certificate with the old key, as a writer leaves it who was cut short.
    space.put_tls("internal-ca", &new.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    space.wait(ISSUER, "internal-ca", |object| is_ready(object, "True", "LastGoodKeyPair")).await?;
    space.event((ISSUER.1, "internal-ca"), "LastGoodKeyPair", "until it is whole again").await?;
    let by_old = obtain(&space, "old", &csr(&["a.test"])?, json!({})).await?;
    ensure!(by_old.ca == ca.as_ref().pem().replace("\r\n", "\n"), "not by the last good CA");

    space.put_tls("internal-ca", &new.as_ref().pem(), &new.key().serialize_pem(), None).await?;
    space.wait(ISSUER, "internal-ca", |object| is_ready(object, "True", "KeyPairVerified")).await?;
    let by_new = obtain(&space, "new", &csr(&["b.test"])?, json!({})).await?;
    ensure!(by_new.ca == new.as_ref().pem().replace("\r\n", "\n"), "not by the new CA");
    Ok(())
}

/// Fact 29: and they do.
#[tokio::test]
async fn a_secret_that_no_role_opens_is_described_with_the_commands_that_open_it() -> Result<()> {
    let space = space("forbidden").await?;
    let ca = root_ca("closed", &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    make_issuer(&space, "internal-ca").await?;
    // As for another Secret.
    let role = ("rbac.authorization.k8s.io/v1", "Role");
    let other = json!({"apiVersion": role.0, "kind": role.1, "metadata": {"name": "tandem-issuer-ca"}, "rules": []});
    space.apply(&other.to_string()).await?;
    let issuer = not_ready(&space, "SecretForbidden", "kubectl create role").await?;
    // By the issuer's name, once, and in no library's words.
    let log = shared()?.issuer.log()?;
    let told: Vec<_> = log.lines().filter(|line| line.contains(&space.name) && line.contains("WARN")).collect();
    ensure!(told.is_empty() && !log.contains("kube_runtime::watcher"), "{told:#?}");
    let named = format!("{} {}/internal-ca", ISSUER.1, space.name);
    ensure!(log.lines().any(|line| line.contains(&named) && line.contains("SecretForbidden")), "not by {named}");
    let (_, _, message) = condition(&issuer, "Ready").context("no Ready")?;
    let (_, commands) = message.split_once("allow it with: ").context("no commands")?;

    let kubectl = shared()?.control_plane.kubectl();
    let folder = std::path::Path::new(kubectl.get_program()).parent().context("no folder")?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH")?);
    let kubeconfig = shared()?.control_plane.kubeconfig();
    tools::run(Command::new("sh").args(["-ec", commands]).env("PATH", path).env("KUBECONFIG", kubeconfig))?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    Ok(())
}

#[tokio::test]
async fn a_bad_request_fails_for_good_and_says_why() -> Result<()> {
    let (space, _) = unvalidated_space_with_issuer("bad-csr").await?;
    let good = csr(&["a.test"])?;
    let key = KeyPair::generate()?.serialize_pem();
    let huge = format!("{}{good}", " ".repeat(70_000));
    for (name, request, message) in [
        ("garbage", "garbage", "no PEM block was found"),
        ("label", &good.replace("CERTIFICATE REQUEST", "CERTIFICATE"), "its label is \"CERTIFICATE\""),
        ("two", &format!("{good}{good}"), "something follows its first block"),
        ("key", &key, "its label is \"PRIVATE KEY\""),
        ("key-behind", &format!("{good}{key}"), "something follows its first block"),
        ("not-der", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "PKCS#10"),
        ("huge", &huge, "more than the 65536 bytes that are accepted"),
    ] {
        ask(&space, name, request, json!({})).await?;
        let told = failed(&space, name).await?;
        ensure!(told.contains(message), "{name}: {told}");
        space.event((CERTIFICATE_REQUEST.1, name), "SigningError", message).await?;
    }
    ask(&space, "usage", &good, json!({"duration": "0s"})).await?;
    ensure!(failed(&space, "usage").await?.contains("spec.duration"), "a duration of nothing");
    assert_untold(shared()?, &space, &Canary::of(&[&key], &[])?).await
}
