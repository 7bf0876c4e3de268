//! The two kinds of issuer: where each looks for its CA, and what it says of it.

use anyhow::{Context, Result};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    Space,
    certificates::{OpenSsl, csr, root_ca},
    cluster::{CERTIFICATE, CLUSTER_ISSUER, ISSUER, condition, is_ready},
    issuer,
};

use crate::{
    environment::{make_issuer, space, space_with_issuer},
    requests::obtain,
};

#[tokio::test]
async fn a_cluster_issuer_signs_in_every_namespace_from_a_secret_in_its_own() -> Result<()> {
    let space = space("cluster-issuer").await?;
    let name = &space.name;
    let ca = root_ca(name, &PKCS_ECDSA_P256_SHA256)?;
    let tandem = Space { cluster: space.cluster.clone(), name: issuer::NAMESPACE.to_owned() };
    tandem.put_tls(name, &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    space
        .apply(
            "
apiVersion: pki.tandem.internal/v1alpha1
kind: TandemClusterIssuer
metadata: {name: NAMESPACE}
spec: {ca: {secretName: NAMESPACE}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: leaf}
spec:
  secretName: leaf
  dnsNames: [mongodb.NAMESPACE.svc]
  privateKey: {algorithm: ECDSA}
  issuerRef: {group: pki.tandem.internal, kind: TandemClusterIssuer, name: NAMESPACE}
",
        )
        .await?;
    space.wait_ready(CLUSTER_ISSUER, name).await?;
    space.cluster.event("default", (CLUSTER_ISSUER.1, name), "KeyPairVerified", "Signing CA verified").await?;
    space.wait_ready(CERTIFICATE, "leaf").await?;
    OpenSsl::new()?.verify(&space.secret("leaf", "tls.crt").await?, &ca.as_ref().pem(), &[])
}

/// Fact 29: neither kind.
#[tokio::test]
async fn an_issuer_reads_no_secret_of_another_namespace() -> Result<()> {
    // The namespaced one has a Secret of its name in `tandem`, the cluster issuer one in another namespace.
    let (space, ca) = space_with_issuer("elsewhere").await?;
    let name = &space.name;
    let tandem = Space { cluster: space.cluster.clone(), name: issuer::NAMESPACE.to_owned() };
    let only_in_tandem = format!("{name}-tandem");
    tandem.put_tls(&only_in_tandem, &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    space.put_tls(name, &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    make_issuer(&space, &only_in_tandem).await?;
    let cluster_issuer = json!({
        "apiVersion": CLUSTER_ISSUER.0, "kind": CLUSTER_ISSUER.1, "metadata": {"name": name},
        "spec": {"ca": {"secretName": name}},
    });
    space.apply(&cluster_issuer.to_string()).await?;
    for (kind, issuer, secret) in
        [(ISSUER, &only_in_tandem, format!("{name}/{name}-tandem")), (CLUSTER_ISSUER, name, format!("tandem/{name}"))]
    {
        let seen = space.wait(kind, issuer, |object| is_ready(object, "False", "ErrGetKeyPair")).await?;
        let message = condition(&seen, "Ready").context("no Ready")?.2;
        assert_eq!(
            message,
            format!("the Secret {secret} does not exist; create it with the CA's tls.crt and tls.key"),
            "{}",
            kind.1
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_status_describes_the_ca() -> Result<()> {
    let (space, ca) = space_with_issuer("described").await?;
    let object = space.wait_ready(ISSUER, "internal-ca").await?;
    let openssl = OpenSsl::new()?;
    let hex = |text: String| text.rsplit(['=', '\n']).next().unwrap_or_default().replace(':', "").to_lowercase();
    let pem = ca.as_ref().pem();
    let authority = &object.data["status"]["authorities"][0];
    assert_eq!(authority["fingerprint"], hex(openssl.show(&pem, &["-fingerprint", "-sha256"])?));
    assert_eq!(authority["subjectKeyId"], hex(openssl.extension(&pem, "subjectKeyIdentifier")?));
    assert_eq!(authority["subject"], format!("CN={} CA", space.name));
    assert_eq!(authority["state"], "Active");
    for (field, option) in [("notBefore", "-startdate"), ("notAfter", "-enddate")] {
        let shown = openssl.show(&pem, &[option, "-dateopt", "iso_8601"])?;
        assert_eq!(authority[field].as_str(), shown.split_once('=').map(|(_, time)| time.replace(' ', "T")).as_deref());
    }
    Ok(())
}

/// Facts 29, 30: they are embedded, and nobody calls them.
#[tokio::test]
async fn the_urls_of_the_spec_are_in_every_certificate() -> Result<()> {
    let (space, ca) = space_with_issuer("urls").await?;
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let here = format!("http://{}", listener.local_addr()?);
    space
        .apply(
            &"
apiVersion: pki.tandem.internal/v1alpha1
kind: TandemIssuer
metadata: {name: internal-ca}
spec:
  ca:
    secretName: internal-ca
    crlDistributionPoints: ['HERE/a.crl', 'HERE/b.crl']
    ocspServers: [HERE]
    issuingCertificateURLs: ['HERE/ca.crt']
"
            .replace("HERE", &here),
        )
        .await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    let chain = obtain(&space, "leaf", &csr(&["leaf.test"])?, json!({})).await?.chain;
    let openssl = OpenSsl::new()?;
    openssl.verify(&chain, &ca.as_ref().pem(), &[])?;
    let lists = openssl.extension(&chain, "crlDistributionPoints")?;
    assert_eq!(lists.matches("Full Name:").count(), 2, "each URL is a distribution point of its own:\n{lists}");
    for file in ["a.crl", "b.crl"] {
        assert!(lists.contains(&format!("URI:{here}/{file}")), "{lists}");
    }
    assert_eq!(
        openssl.extension(&chain, "authorityInfoAccess")?,
        format!("Authority Information Access:\nOCSP - URI:{here}\nCA Issuers - URI:{here}/ca.crt")
    );
    assert!(listener.accept().is_err(), "somebody called a URL of the spec");
    Ok(())
}
