//! Renewal by hand, as `cmctl renew` does it.

use anyhow::Result;
use tandem_tests::{certificates::OpenSsl, cluster::CERTIFICATE};

use crate::environment::space_with_issuer;

#[tokio::test]
async fn a_renewal_brings_a_new_serial_and_a_new_key_by_the_same_ca() -> Result<()> {
    let (space, _) = space_with_issuer("renewal").await?;
    space
        .apply(
            "
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: leaf}
spec:
  secretName: leaf
  dnsNames: [mongodb.NAMESPACE.svc]
  privateKey: {algorithm: ECDSA, rotationPolicy: Always}
  issuerRef: {group: pki.tandem.internal, kind: TandemIssuer, name: internal-ca}
",
        )
        .await?;
    let openssl = OpenSsl::new()?;
    let (mut seen, mut last) = (Vec::new(), None);
    for round in 1..=3 {
        if round > 1 {
            space.renew("leaf").await?;
        }
        let ready = space.wait_ready(CERTIFICATE, "leaf").await?;
        let revision = ready.data["status"]["revision"].as_u64();
        assert!(revision > last, "{last:?} before {:?}", ready.data["status"]);
        last = revision;
        let [chain, ca] = space.secret_of("leaf", ["tls.crt", "ca.crt"]).await?;
        openssl.verify(&chain, &ca, &[])?;
        seen.push([openssl.show(&chain, &["-serial"])?, openssl.show(&chain, &["-pubkey"])?, ca]);
    }
    for (index, [serial, key, ca]) in seen.iter().enumerate() {
        for [earlier_serial, earlier_key, earlier_ca] in seen.iter().take(index) {
            assert_ne!(serial, earlier_serial);
            assert_ne!(key, earlier_key);
            assert_eq!(ca, earlier_ca);
        }
    }
    Ok(())
}
