//! Certificates with every kind of key, by CAs with every kind of key, through cert-manager, judged by OpenSSL.

use anyhow::{Context, Result};
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256,
    SignatureAlgorithm,
};
use tandem_tests::{
    Space,
    certificates::{OpenSsl, root_ca},
    cluster::{CERTIFICATE, ISSUER},
};

use crate::environment::{allow_secrets, make_issuer, space, space_with_issuer};

/// Applies a Certificate that is called after what it is to show.
async fn certificate(space: &Space, name: &str, issuer: &str, more: &str) -> Result<()> {
    let text = format!(
        "
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {{name: {name}}}
spec:
  secretName: {name}
  dnsNames: [mongodb.NAMESPACE.svc]
  issuerRef: {{group: pki.tandem.internal, kind: TandemIssuer, name: {issuer}}}
  {more}
"
    );
    space.apply(&text).await.map(|_| ())
}

/// Fact 8: cert-manager takes each, and OpenSSL finds the Secret's own key in it.
#[tokio::test]
async fn every_key_that_cert_manager_makes_is_certified() -> Result<()> {
    const KEYS: &[(&str, &str, &str)] = &[
        ("rsa-2048", "{algorithm: RSA, size: 2048}", "Public-Key: (2048 bit)"),
        ("rsa-4096", "{algorithm: RSA, size: 4096}", "Public-Key: (4096 bit)"),
        ("p-256", "{algorithm: ECDSA, size: 256}", "ASN1 OID: prime256v1"),
        ("p-384", "{algorithm: ECDSA, size: 384}", "ASN1 OID: secp384r1"),
        ("p-521", "{algorithm: ECDSA, size: 521}", "ASN1 OID: secp521r1"),
        ("ed25519", "{algorithm: Ed25519}", "ED25519 Public-Key"),
    ];
    let (space, ca) = space_with_issuer("leaf-keys").await?;
    for (name, key, _) in KEYS {
        certificate(&space, name, "internal-ca", &format!("privateKey: {key}")).await?;
    }
    let openssl = OpenSsl::new()?;
    for (name, _, shown) in KEYS {
        space.wait_ready(CERTIFICATE, name).await?;
        let [chain, ca_file, key] = space.secret_of(name, ["tls.crt", "ca.crt", "tls.key"]).await?;
        assert_eq!(ca_file, ca.as_ref().pem().replace('\r', ""));
        openssl.verify(&chain, &ca.as_ref().pem(), &["-purpose", "sslserver"])?;
        let text = openssl.show(&chain, &["-text"])?;
        assert!(text.contains(shown), "{name}: {text}");
        // The certificate is for the very key that is in the Secret.
        let of_key = openssl.run_with(&[("tls.key", &key)], &["pkey", "-in", "tls.key", "-pubout"])?;
        assert_eq!(openssl.show(&chain, &["-pubkey"])?, of_key.trim_end(), "{name}");
    }
    Ok(())
}

/// Fact 31: as OpenSSL reads it.
#[tokio::test]
async fn every_key_of_a_ca_signs_with_the_hash_that_fits_it() -> Result<()> {
    static CAS: &[(&str, &SignatureAlgorithm, &str)] = &[
        ("rsa", &PKCS_RSA_SHA256, "sha256WithRSAEncryption"),
        ("p-256", &PKCS_ECDSA_P256_SHA256, "ecdsa-with-SHA256"),
        ("p-384", &PKCS_ECDSA_P384_SHA384, "ecdsa-with-SHA384"),
        ("p-521", &PKCS_ECDSA_P521_SHA512, "ecdsa-with-SHA512"),
        ("ed25519", &PKCS_ED25519, "ED25519"),
    ];
    let space = space("ca-keys").await?;
    allow_secrets(&space).await?;
    let mut roots = Vec::new();
    for (name, algorithm, _) in CAS {
        let ca = root_ca(name, algorithm)?;
        space.put_tls(name, &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
        make_issuer(&space, name).await?;
        certificate(&space, &format!("by-{name}"), name, "privateKey: {algorithm: ECDSA}").await?;
        roots.push(ca.as_ref().pem());
    }
    let openssl = OpenSsl::new()?;
    for ((name, _, signature), root) in CAS.iter().zip(roots) {
        space.wait_ready(CERTIFICATE, &format!("by-{name}")).await?;
        let chain = space.secret(&format!("by-{name}"), "tls.crt").await?;
        openssl.verify(&chain, &root, &[])?;
        assert_signature(&openssl, &chain, signature)?;
    }
    Ok(())
}

/// Both places that name the signature's algorithm name this one.
fn assert_signature(openssl: &OpenSsl, certificate: &str, algorithm: &str) -> Result<()> {
    let text = openssl.show(certificate, &["-text"])?;
    let named: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("Signature Algorithm: ")).collect();
    assert_eq!(named, [algorithm, algorithm], "{text}");
    Ok(())
}

/// Fact 24: as OpenSSL writes them.
#[tokio::test]
async fn a_ca_key_may_be_pkcs1_pkcs8_or_sec1() -> Result<()> {
    const PARAMETERS: &str = "EC PARAMETERS";
    /// Name, how the key is made, how it is written, and the blocks that its PEM must hold then.
    type Form = (&'static str, &'static str, &'static str, &'static [&'static str]);
    const FORMS: &[Form] = &[
        ("rsa-pkcs1", "RSA -pkeyopt rsa_keygen_bits:2048", "rsa -traditional", &["RSA PRIVATE KEY"]),
        ("rsa-pkcs8", "RSA -pkeyopt rsa_keygen_bits:4096", "pkey", &["BEGIN PRIVATE KEY"]),
        ("p-256-sec1", "EC -pkeyopt ec_paramgen_curve:P-256", "ec", &["EC PRIVATE KEY"]),
        ("p-384-sec1", "EC -pkeyopt ec_paramgen_curve:P-384", "ec", &["EC PRIVATE KEY"]),
        ("p-521-sec1", "EC -pkeyopt ec_paramgen_curve:P-521", "ec", &["EC PRIVATE KEY"]),
        // As `openssl ecparam -genkey` writes it: the curve in a block of its own before the key.
        ("p-384-parameters", "EC -pkeyopt ec_paramgen_curve:P-384", "ec", &[PARAMETERS, "EC PRIVATE KEY"]),
        ("p-256-pkcs8", "EC -pkeyopt ec_paramgen_curve:P-256", "pkey", &["BEGIN PRIVATE KEY"]),
        ("ed25519-pkcs8", "ED25519", "pkey", &["BEGIN PRIVATE KEY"]),
    ];
    let space = space("key-forms").await?;
    allow_secrets(&space).await?;
    let openssl = OpenSsl::new()?;
    let run = |line: String| openssl.run(&line.split(' ').collect::<Vec<_>>());
    let mut roots = Vec::new();
    for (name, make, write, blocks) in FORMS {
        run(format!("genpkey -out key.pem -algorithm {make}"))?;
        run(format!(
            "req -x509 -new -key key.pem -days 3650 -subj /CN={name} -addext keyUsage=critical,keyCertSign -out ca.pem"
        ))?;
        run(format!("{write} -in key.pem -out written.pem"))?;
        let mut key = openssl.read("written.pem")?;
        if blocks.contains(&PARAMETERS) {
            run("ecparam -name secp384r1 -out parameters.pem".to_owned())?;
            key.insert_str(0, &openssl.read("parameters.pem")?);
        }
        assert!(blocks.iter().all(|block| key.contains(block)), "{name}: the key is not in the form to be tested");
        let root = openssl.read("ca.pem")?;
        space.put_tls(name, &root, &key, None).await?;
        make_issuer(&space, name).await?;
        certificate(&space, &format!("by-{name}"), name, "privateKey: {algorithm: ECDSA}").await?;
        roots.push(root);
    }
    for ((name, ..), root) in FORMS.iter().zip(roots) {
        space.wait_ready(ISSUER, name).await?;
        space.wait_ready(CERTIFICATE, &format!("by-{name}")).await?;
        openssl.verify(&space.secret(&format!("by-{name}"), "tls.crt").await?, &root, &[]).context(*name)?;
    }
    Ok(())
}

#[tokio::test]
async fn openssl_reads_what_the_certificate_asked_for() -> Result<()> {
    let (space, ca) = space_with_issuer("text").await?;
    let more = "commonName: mongodb
  subject: {organizations: [Tandem, Zweiter Name], countries: [DE], serialNumber: '42'}
  ipAddresses: [10.1.2.3, 'fd00::1']
  uris: ['spiffe://cluster.local/ns/x/sa/y']
  emailAddresses: [ops@example.org]
  usages: [digital signature, key encipherment, server auth, client auth]
  duration: 240h
  renewBefore: 24h";
    certificate(&space, "leaf", "internal-ca", more).await?;
    space.wait_ready(CERTIFICATE, "leaf").await?;
    let chain = space.secret("leaf", "tls.crt").await?;
    let openssl = OpenSsl::new()?;
    for purpose in ["sslserver", "sslclient"] {
        openssl.verify(&chain, &ca.as_ref().pem(), &["-purpose", purpose])?;
    }
    assert_eq!(
        openssl.show(&chain, &["-subject", "-nameopt", "sname,sep_comma_plus"])?,
        "subject=C=DE,O=Tandem+O=Zweiter Name,CN=mongodb,serialNumber=42"
    );
    assert_eq!(openssl.show(&chain, &["-issuer", "-nameopt", "RFC2253"])?, format!("issuer=CN={} CA", space.name));
    let extension = |name: &str| openssl.extension(&chain, name);
    assert_eq!(
        extension("subjectAltName")?,
        format!(
            "X509v3 Subject Alternative Name:\nDNS:mongodb.{}.svc, email:ops@example.org, IP Address:10.1.2.3, \
             IP Address:FD00:0:0:0:0:0:0:1, URI:spiffe://cluster.local/ns/x/sa/y",
            space.name
        )
    );
    assert_eq!(extension("keyUsage")?, "X509v3 Key Usage: critical\nDigital Signature, Key Encipherment");
    assert_eq!(
        extension("extendedKeyUsage")?,
        "X509v3 Extended Key Usage:\nTLS Web Server Authentication, TLS Web Client Authentication"
    );
    assert_eq!(extension("basicConstraints")?, "X509v3 Basic Constraints: critical\nCA:FALSE");
    let of_ca = openssl.extension(&ca.as_ref().pem(), "subjectKeyIdentifier")?;
    assert_eq!(
        extension("authorityKeyIdentifier")?.lines().last().map(|id| id.trim_start_matches("keyid:").to_owned()),
        of_ca.lines().last().map(str::to_owned)
    );
    assert!(extension("subjectKeyIdentifier")?.lines().count() == 2, "no subject key identifier");
    Ok(())
}
