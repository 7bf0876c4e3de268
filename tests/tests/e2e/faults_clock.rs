//! The issuer's clock is ten minutes off, either way: by libfaketime, which tells it another time of day. What passes of it,
//! for waits and time limits, stays right.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use rcgen::{PKCS_ECDSA_P256_SHA256, date_time_ymd};
use serde_json::json;
use tandem_tests::{
    ControlPlane, IssuerProcess, Space,
    certificates::{Ca, OpenSsl, ca_params, csr, der, root_ca_of},
    cluster::{CERTIFICATE, CERTIFICATE_REQUEST, ISSUER, is_ready},
    issuer, tools,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{
    environment::with_issuer,
    requests::{ask_plainly, issued, obtain, pending},
    signing_requests::{self, ask_approved, named, signer},
};

const OFF: i64 = 600;

/// A CA that is valid from and until so many seconds after now.
fn ca_valid(from: i64, until: i64) -> Result<Ca> {
    let now = Timestamp::now().as_second();
    let after = |seconds: i64| {
        let since_epoch = Duration::from_secs(u64::try_from(now + seconds)?);
        anyhow::Ok(date_time_ymd(1970, 1, 1) + since_epoch)
    };
    let mut params = ca_params("a CA of these days");
    (params.not_before, params.not_after) = (after(from)?, after(until)?);
    root_ca_of(params, &PKCS_ECDSA_P256_SHA256)
}

async fn replace(space: &Space, ca: &Ca) -> Result<()> {
    space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await
}

/// Requests of all ways end Ready; the dates are those of the issuer's clock, a minute earlier for clocks that lag a
/// little, and the duration is what was asked for.
async fn signs_by_its_own_clock(space: &Space, ca: &Ca, off: i64) -> Result<()> {
    let openssl = OpenSsl::new()?;
    let chain = obtain(space, "leaf", &csr(&["leaf.test"])?, json!({"duration": "24h"})).await?.chain;
    let now = Timestamp::now();
    let leaf = der(&chain)?;
    let validity = X509Certificate::from_der(&leaf)?.1.validity().clone();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let ahead = from - now.as_second();
    ensure!((off - 60 - 90..=off - 60).contains(&ahead), "valid in {ahead} s");
    ensure!(until - from == 24 * 3600, "for {} s", until - from);
    // Who has the right time waits for a certificate of a clock that is ahead, unless the issuer dates it back.
    let verified = openssl.verify(&chain, &ca.as_ref().pem(), &[]);
    match (off > 0, verified) {
        (false, result) => result?,
        (true, Ok(())) => anyhow::bail!("valid at once"),
        (true, Err(error)) => ensure!(error.to_string().contains("not yet valid"), "{error}"),
    }
    let name = named(space, "leaf");
    ask_approved(space, &name, &signer(space), &json!({}), &json!({})).await?;
    signing_requests::issued(space, &name).await?;
    space.event((CERTIFICATE_REQUEST.1, "leaf"), "CertificateIssued", "").await?;

    let dated_back = json!({
        "apiVersion": ISSUER.0, "kind": ISSUER.1, "metadata": {"name": "internal-ca"},
        "spec": {"ca": {"secretName": "internal-ca"}, "backdate": "15m"},
    });
    space.apply(&dated_back.to_string()).await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    let chain = obtain(space, "dated-back", &csr(&["leaf.test"])?, json!({"duration": "24h"})).await?.chain;
    openssl.verify(&chain, &ca.as_ref().pem(), &[])?;
    // cert-manager, whose clock is right, takes it.
    let certificate = json!({
        "apiVersion": CERTIFICATE.0, "kind": CERTIFICATE.1, "metadata": {"name": "leaf"},
        "spec": {
            "secretName": "leaf", "dnsNames": ["leaf.test"], "privateKey": {"rotationPolicy": "Always"},
            "issuerRef": {"group": "pki.tandem.internal", "kind": ISSUER.1, "name": "internal-ca"},
        },
    });
    space.apply(&certificate.to_string()).await?;
    space.wait_ready(CERTIFICATE, "leaf").await.map(|_| ())
}

/// A CA that is valid for the world and not for the issuer makes requests wait, with the dates; nothing fails. Once it has
/// one that is valid for it, they go on.
async fn waits_for_a_ca_of_its_own_time(space: &Space, ca: &Ca, off: i64) -> Result<()> {
    let (ours, reason) =
        if off > 0 { (ca_valid(-3600, OFF / 2)?, "CAExpired") } else { (ca_valid(-OFF / 2, 3600)?, "CANotYetValid") };
    replace(space, &ours).await?;
    space.wait(ISSUER, "internal-ca", |issuer| is_ready(issuer, "False", reason)).await?;
    ask_plainly(space, "waits").await?;
    let why = pending(space, "waits").await?;
    let date = Timestamp::now().checked_add(SignedDuration::from_secs(if off > 0 { OFF / 2 } else { -OFF / 2 }))?;
    let day = date.strftime("%Y-%m-%d").to_string();
    ensure!(why.contains(&day), "{why}");
    replace(space, ca).await?;
    issued(space, "waits").await.map(|_| ())
}

/// Facts 5, 16, 27: what a clock of the issuer that is off changes is dates, never whether a request ends well.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_whose_clock_is_ten_minutes_off_serves_every_request() -> Result<()> {
    let Some(library) = tools::libfaketime()? else {
        println!("skipped: faketime is not installed");
        return Ok(());
    };
    let library = library.display().to_string();
    let control_plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    let cluster = control_plane.cluster().await?;
    issuer::install(&cluster).await?;
    for off in [OFF, -OFF] {
        let fake_time = format!("{off:+}");
        let variables = [("LD_PRELOAD", library.as_str()), ("FAKETIME", &fake_time), ("DONT_FAKE_MONOTONIC", "1")];
        let mut issuer = IssuerProcess::of(&control_plane).variables(&variables).start().await?;
        let space = cluster.space("clock").await?;
        let served = async {
            let ca = with_issuer(&space).await?;
            signs_by_its_own_clock(&space, &ca, off).await?;
            waits_for_a_ca_of_its_own_time(&space, &ca, off).await
        };
        served.await.with_context(|| format!("{fake_time} s:\n{}", issuer.log().unwrap_or_default()))?;
        ensure!(issuer.process().stop()?, "it did not stop cleanly");
    }
    Ok(())
}
