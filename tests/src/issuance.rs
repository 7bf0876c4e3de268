//! What tests have cert-manager do with a Certificate: issue it anew, and have nothing more to do.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::json;

use crate::cluster::{CERTIFICATE, ISSUER, Space, condition, is_ready};

/// Whether cert-manager is at work on a Certificate.
pub(crate) fn is_issuing(object: &DynamicObject) -> bool {
    condition(object, "Issuing").is_some_and(|(status, ..)| status == "True")
}

impl Space {
    /// Asks cert-manager to issue a Certificate anew, as `cmctl renew` does. `at` is when that is said to have been asked, a time of
    /// the API.
    ///
    /// # Errors
    /// What the server said.
    pub async fn ask_anew(&self, certificate: &DynamicObject, at: &str) -> Result<()> {
        let issuing = json!({
            "type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
            "message": "Certificate re-issuance manually triggered",
            "observedGeneration": certificate.metadata.generation, "lastTransitionTime": at,
        });
        self.patch_status(CERTIFICATE, &certificate.name_any(), json!({"conditions": [issuing]})).await
    }

    /// Has cert-manager issue anew a Certificate that is ready, or will be, and waits until its Secret is the new one.
    ///
    /// # Errors
    /// As [`Space::wait`].
    pub async fn renew(&self, certificate: &str) -> Result<()> {
        let revision = |object: &DynamicObject| object.data["status"]["revision"].as_u64();
        let ready = self.wait_ready(CERTIFICATE, certificate).await?;
        let before = revision(&ready).context("no revision")?;
        self.ask_anew(&ready, "2026-01-01T00:00:00Z").await?;
        let renewed = |object: &DynamicObject| {
            revision(object) > Some(before) && is_ready(object, "True", "") && !is_issuing(object)
        };
        self.wait(CERTIFICATE, certificate, renewed).await.map(|_| ())
    }

    /// Waits until cert-manager knows every Secret of this namespace, by a Certificate that is issued after them by the issuer
    /// `internal-ca`. Until then it may issue once more what it has issued just now, or what it is to take over.
    ///
    /// # Errors
    /// As [`Space::wait`].
    pub async fn secrets_are_known(&self) -> Result<()> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("marker-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let marker = json!({
            "apiVersion": CERTIFICATE.0, "kind": CERTIFICATE.1, "metadata": {"name": name},
            "spec": {
                "secretName": name, "dnsNames": [format!("{name}.test")], "privateKey": {"algorithm": "ECDSA"},
                "issuerRef": {"group": "pki.tandem.internal", "kind": ISSUER.1, "name": "internal-ca"},
            },
        });
        self.apply(&marker.to_string()).await?;
        self.wait_ready(CERTIFICATE, &name).await.map(|_| ())
    }
}
