//! CertificateRequests made directly, and what becomes of them.

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};
use tandem_tests::{
    Space,
    certificates::csr,
    cluster::{CERTIFICATE_REQUEST, condition, is_ready},
};

/// A reference to the TandemIssuer `internal-ca`.
pub(crate) fn reference() -> Value {
    json!({"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "internal-ca"})
}

/// A CertificateRequest for the TandemIssuer `internal-ca`. The rest of its spec is the test's to set.
pub(crate) fn request(name: &str, csr: &str) -> Value {
    json!({
        "apiVersion": CERTIFICATE_REQUEST.0,
        "kind": CERTIFICATE_REQUEST.1,
        "metadata": {"name": name},
        "spec": {
            "request": ByteString(csr.as_bytes().to_vec()),
            "issuerRef": reference(),
        },
    })
}

/// Makes a CertificateRequest with further fields in its spec.
pub(crate) async fn ask(space: &Space, name: &str, csr: &str, spec: Value) -> Result<()> {
    let mut request = request(name, csr);
    if let (Some(all), Some(more)) = (request["spec"].as_object_mut(), spec.as_object()) {
        all.extend(more.clone());
    }
    space.apply(&request.to_string()).await.map(|_| ())
}

/// Makes a plain CertificateRequest for the DNS name `name.test`.
pub(crate) async fn ask_plainly(space: &Space, name: &str) -> Result<()> {
    ask(space, name, &csr(&[&format!("{name}.test")])?, json!({})).await
}

/// What a request brought, both in PEM.
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) ca: String,
}

/// Waits until a request is Issued.
pub(crate) async fn issued(space: &Space, name: &str) -> Result<Issued> {
    let object = space.wait(CERTIFICATE_REQUEST, name, |o| is_ready(o, "True", "Issued") || is_final(o)).await?;
    ensure!(is_ready(&object, "True", "Issued"), "{name}: {:?}", condition(&object, "Ready"));
    let text = |field: &str| {
        let bytes: ByteString = serde_json::from_value(object.data["status"][field].clone())?;
        anyhow::Ok(String::from_utf8(bytes.0)?)
    };
    Ok(Issued { chain: text("certificate")?, ca: text("ca")? })
}

/// Makes a CertificateRequest and waits until it is Issued.
pub(crate) async fn obtain(space: &Space, name: &str, csr: &str, spec: Value) -> Result<Issued> {
    ask(space, name, csr, spec).await?;
    issued(space, name).await
}

/// Waits until a request has Failed, checks that it did as cert-manager expects it, and returns the message.
pub(crate) async fn failed(space: &Space, name: &str) -> Result<String> {
    let object = space.wait(CERTIFICATE_REQUEST, name, |o| condition(o, "Ready").is_some() && is_final(o)).await?;
    let (status, reason, message) = condition(&object, "Ready").context("no Ready")?;
    ensure!((status.as_str(), reason.as_str()) == ("False", "Failed"), "{name} did not fail: {reason}: {message}");
    let status = &object.data["status"];
    ensure!(status["failureTime"].is_string(), "{name} has no failureTime: cert-manager would never replace it");
    ensure!(status["certificate"].is_null(), "{name} failed, but has a certificate");
    Ok(message)
}

/// Waits until a request is Pending, and returns the message.
pub(crate) async fn pending(space: &Space, name: &str) -> Result<String> {
    let object = space.wait(CERTIFICATE_REQUEST, name, |o| is_ready(o, "False", "Pending")).await?;
    ensure!(object.data["status"]["failureTime"].is_null(), "{name} waits, but has a failureTime");
    Ok(condition(&object, "Ready").unwrap_or_default().2)
}

/// A request as it is now.
pub(crate) async fn get(space: &Space, name: &str) -> Result<DynamicObject> {
    Ok(space.api(CERTIFICATE_REQUEST)?.get(name).await?)
}

/// Sets conditions (such as Approved) of a request by hand.
pub(crate) async fn set_conditions(space: &Space, name: &str, types: &[&str]) -> Result<()> {
    let condition = |type_: &&str| {
        json!({"type": type_, "status": "True", "reason": "ByHand", "message": "by hand",
               "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let conditions: Vec<_> = types.iter().map(condition).collect();
    space.patch_status(CERTIFICATE_REQUEST, name, json!({"conditions": conditions})).await
}

/// Whether the issuer has ever written to an object.
pub(crate) fn touched(object: &DynamicObject) -> bool {
    object.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some("tandem-issuer"))
}

fn is_final(object: &DynamicObject) -> bool {
    condition(object, "Ready").is_some_and(|(_, reason, _)| reason != "Pending")
}
