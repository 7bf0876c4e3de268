//! Certificates of every kind, through cert-manager, judged by OpenSSL.

use anyhow::Result;
use tandem_tests::{certificates::openssl, cluster::CERTIFICATE};

use crate::environment::space_with_issuer;

#[tokio::test]
async fn a_certificate_becomes_ready() -> Result<()> {
    let (space, ca) = space_with_issuer("ready").await?;
    space
        .apply(
            "
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: leaf}
spec:
  secretName: leaf
  dnsNames: [mongodb.NAMESPACE.svc]
  privateKey: {algorithm: ECDSA}
  issuerRef: {group: pki.tandem.internal, kind: TandemIssuer, name: internal-ca}
",
        )
        .await?;
    space.wait_ready(CERTIFICATE, "leaf").await?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("ca.crt"), ca.as_ref().pem())?;
    std::fs::write(folder.path().join("tls.crt"), space.secret("leaf", "tls.crt").await?)?;
    openssl(folder.path(), &["verify", "-x509_strict", "-CAfile", "ca.crt", "tls.crt"])?;
    Ok(())
}
