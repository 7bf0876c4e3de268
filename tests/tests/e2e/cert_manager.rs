//! What cert-manager itself makes of what the issuer says of a request.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, api::DynamicObject};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    Space,
    certificates::{OpenSsl, ca_params, root_ca_of},
    cluster::{CERTIFICATE, CERTIFICATE_REQUEST, ISSUER, condition, is_ready},
};

use crate::environment::{allow_secrets, make_issuer, space, with_issuer};

const SECRET: (&str, &str) = ("v1", "Secret");

/// Applies the Certificate `leaf`, which is valid for `duration`.
async fn certificate(space: &Space, duration: &str) -> Result<()> {
    let text = format!(
        "
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {{name: leaf, annotations: {{cert-manager.io/issue-temporary-certificate: 'true'}}}}
spec:
  secretName: leaf
  dnsNames: [leaf.test]
  duration: {duration}
  privateKey: {{algorithm: ECDSA}}
  issuerRef: {{group: pki.tandem.internal, kind: TandemIssuer, name: internal-ca}}
"
    );
    space.apply(&text).await.map(|_| ())
}

/// Facts 5, 7: cert-manager hands out a temporary certificate only once it knows that the request waits.
#[tokio::test]
async fn a_temporary_certificate_is_there_while_the_request_waits() -> Result<()> {
    let space = space("temporary").await?;
    certificate(&space, "24h").await?;
    space.wait(SECRET, "leaf", |secret| secret.data["data"]["tls.crt"].is_string()).await?;
    let openssl = OpenSsl::new()?;
    let temporary = space.secret("leaf", "tls.crt").await?;
    assert_eq!(openssl.show(&temporary, &["-issuer", "-nameopt", "RFC2253"])?, "issuer=CN=cert-manager.local");

    let ca = with_issuer(&space).await?;
    space.wait_ready(CERTIFICATE, "leaf").await?;
    openssl.verify(&space.secret("leaf", "tls.crt").await?, &ca.as_ref().pem(), &[])
}

/// Fact 4: at the next attempt cert-manager makes a new request, which it does only where it knows when the first one failed.
#[tokio::test]
async fn a_failed_request_is_replaced() -> Result<()> {
    let space = space("replaced-request").await?;
    allow_secrets(&space).await?;
    let mut params = ca_params("Ends one day");
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let ca = root_ca_of(params, &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    make_issuer(&space, "internal-ca").await?;

    certificate(&space, "876600h").await?;
    let has_failed = |object: &DynamicObject| {
        condition(object, "Issuing").is_some_and(|(status, reason, _)| status == "False" && reason == "Failed")
    };
    let told = space.wait(CERTIFICATE, "leaf", has_failed).await?;
    let (_, _, message) = condition(&told, "Issuing").context("no Issuing")?;
    ensure!(message.contains("the certificate would end at"), "its user is not told why: {message}");
    let first = space.wait(CERTIFICATE_REQUEST, "leaf-1", |request| is_ready(request, "False", "Failed")).await?;

    // The issuer is put right, and the user asks for another attempt, as `cmctl renew` does.
    let permissive = json!({
        "apiVersion": ISSUER.0, "kind": ISSUER.1, "metadata": {"name": "internal-ca"},
        "spec": {"ca": {"secretName": "internal-ca"}, "leafBeyondCA": "Permit"},
    });
    space.apply(&permissive.to_string()).await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    space.ask_anew(&told, &later(&told)?.to_string()).await?;
    let second = space.wait(CERTIFICATE_REQUEST, "leaf-1", |request| is_ready(request, "True", "Issued")).await?;
    ensure!(first.uid() != second.uid(), "the request that failed was used again");
    space.wait_ready(CERTIFICATE, "leaf").await.map(|_| ())
}

/// A second after the Certificate's failure: times in the API are whole seconds.
fn later(certificate: &DynamicObject) -> Result<Timestamp> {
    let failed: Timestamp = certificate.data["status"]["lastFailureTime"].as_str().context("no time")?.parse()?;
    Ok(failed + SignedDuration::from_secs(1))
}
