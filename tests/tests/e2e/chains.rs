//! An intermediate CA: what is in tls.crt, what in ca.crt (issuer fact 9).

use anyhow::Result;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    Space,
    certificates::{Ca, OpenSsl, blocks, csr, intermediate_ca, root_ca},
    cluster::{CERTIFICATE, ISSUER, condition, is_ready},
};

use crate::{
    environment::{allow_secrets, make_issuer, space},
    requests::obtain,
};

/// root → policy → issuing, and a root that has nothing to do with them.
struct Pki {
    root: Ca,
    policy: Ca,
    issuing: Ca,
    other: Ca,
}

impl Pki {
    fn new() -> Result<Self> {
        let root = root_ca("root", &PKCS_ECDSA_P256_SHA256)?;
        let policy = intermediate_ca("policy", &PKCS_ECDSA_P256_SHA256, &root)?;
        let issuing = intermediate_ca("issuing", &PKCS_ECDSA_P256_SHA256, &policy)?;
        Ok(Self { root, policy, issuing, other: root_ca("other", &PKCS_ECDSA_P256_SHA256)? })
    }
}

/// The certificates (PEM) of these CAs, one after the other.
fn pem(cas: &[&Ca]) -> String {
    cas.iter().map(|ca| ca.as_ref().pem().replace('\r', "")).collect()
}

async fn issuer(space: &Space, name: &str, ca: &Ca, certificates: &str, roots: Option<&str>) -> Result<()> {
    space.put_tls(name, certificates, &ca.key().serialize_pem(), roots).await?;
    make_issuer(space, name).await
}

/// Fact 9: as cert-manager hands it on, for each way to write the CA's Secret.
#[tokio::test]
async fn the_chain_is_complete_and_the_root_apart() -> Result<()> {
    let space = space("chains").await?;
    allow_secrets(&space).await?;
    let pki = Pki::new()?;
    let Pki { root, policy, issuing, other } = &pki;
    // Name; the CA's tls.crt and ca.crt; what follows the leaf; what is in ca.crt; how OpenSSL is to verify it.
    type Case<'a> = (&'a str, &'a [&'a Ca], &'a [&'a Ca], &'a [&'a Ca], &'a [&'a Ca], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        ("root-in-chain", &[issuing, policy, root], &[], &[issuing, policy], &[root], &[]),
        ("root-in-ca-crt", &[issuing, policy], &[root], &[issuing, policy], &[root], &[]),
        ("root-in-both", &[issuing, policy, root], &[root], &[issuing, policy], &[root], &[]),
        ("further-root", &[issuing, policy, root], &[other], &[issuing, policy], &[root, other], &[]),
        ("root-after-another", &[issuing, policy], &[other, root], &[issuing, policy], &[root, other], &[]),
        ("root-unknown", &[issuing, policy], &[], &[issuing, policy], &[policy], &["-partial_chain"]),
        ("ca-alone", &[issuing], &[], &[issuing], &[issuing], &["-partial_chain"]),
        ("root-signs-itself", &[root], &[], &[], &[root], &[]),
    ];
    for (name, certificates, roots, ..) in cases {
        let ca = if *name == "root-signs-itself" { root } else { issuing };
        let roots = (!roots.is_empty()).then(|| pem(roots));
        issuer(&space, name, ca, &pem(certificates), roots.as_deref()).await?;
        let text = format!(
            "
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {{name: {name}}}
spec:
  secretName: by-{name}
  dnsNames: [mongodb.NAMESPACE.svc]
  privateKey: {{algorithm: ECDSA}}
  issuerRef: {{group: pki.tandem.internal, kind: TandemIssuer, name: {name}}}
"
        );
        space.apply(&text).await?;
    }
    let openssl = OpenSsl::new()?;
    for (name, _, _, after_leaf, in_ca_crt, options) in cases {
        space.wait_ready(CERTIFICATE, name).await?;
        let chain = space.secret(&format!("by-{name}"), "tls.crt").await?;
        let ca = space.secret(&format!("by-{name}"), "ca.crt").await?;
        assert_eq!(blocks(&chain)?.split_off(1).concat(), pem(after_leaf), "{name}: tls.crt");
        assert_eq!(ca, pem(in_ca_crt), "{name}: ca.crt");
        openssl.verify(&chain, &ca, options)?;
    }
    Ok(())
}

#[tokio::test]
async fn certificates_in_the_wrong_order_are_refused() -> Result<()> {
    let space = space("order").await?;
    allow_secrets(&space).await?;
    let Pki { root, policy, issuing, other } = &Pki::new()?;
    for (name, certificates, problem) in [
        ("skips-one", &[issuing, root][..], "certificate 1 was not issued by certificate 2"),
        ("unrelated", &[issuing, policy, other], "certificate 2 was not issued by certificate 3"),
    ] {
        issuer(&space, name, issuing, &pem(certificates), None).await?;
        let seen = space.wait(ISSUER, name, |object| is_ready(object, "False", "ErrInvalidKeyPair")).await?;
        let message = condition(&seen, "Ready").unwrap_or_default().2;
        assert!(message.contains(&format!("tls.crt: {problem}; order them from the CA upwards")), "{name}: {message}");
    }
    Ok(())
}

#[tokio::test]
async fn a_ca_certificate_can_be_issued_and_sign_in_turn() -> Result<()> {
    let space = space("beneath").await?;
    allow_secrets(&space).await?;
    let Pki { root, policy, .. } = &Pki::new()?;
    issuer(&space, "policy", policy, &pem(&[policy, root]), None).await?;
    // cert-manager makes the Secret of the new CA, with its chain and root; our issuer takes it as it is.
    space
        .apply(
            "
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: internal-ca}
spec:
  isCA: true
  commonName: made by cert-manager
  secretName: internal-ca
  privateKey: {algorithm: ECDSA, size: 384}
  usages: [cert sign, crl sign]
  issuerRef: {group: pki.tandem.internal, kind: TandemIssuer, name: policy}
",
        )
        .await?;
    make_issuer(&space, "internal-ca").await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    let spec = json!({"duration": "24h"});
    let issued = obtain(&space, "leaf", &csr(&["leaf.test"])?, spec).await?;
    assert_eq!(blocks(&issued.chain)?.len(), 3, "leaf, the CA beneath, policy");
    assert_eq!(issued.ca, pem(&[root]));
    OpenSsl::new()?.verify(&issued.chain, &issued.ca, &[])
}
