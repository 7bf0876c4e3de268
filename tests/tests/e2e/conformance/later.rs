//! What later versions of the suites ask for that the one in `tests/conformance` does not; the module above has the list.

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use kube::api::{DynamicObject, Patch, PatchParams};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use serde_json::{Value, json};
use tandem_tests::{
    Space,
    certificates::{OpenSsl, der, root_ca},
    cluster::{CERTIFICATE, CLUSTER_ISSUER, ISSUER, condition, is_ready},
    issuer,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::{
    environment::{space, with_issuer},
    signing_requests::{ask_approved, issued},
};

const SECRET: (&str, &str) = ("v1", "Secret");

/// One of the two kinds of issuers, ready or not: requests wait for it.
struct Target {
    kind: &'static str,
    name: String,
    signer: String,
    /// PEM.
    root: String,
}

/// A TandemIssuer and a TandemClusterIssuer, each with a CA of its own.
async fn targets(space: &Space) -> Result<[Target; 2]> {
    let namespaced = Target {
        kind: ISSUER.1,
        name: "internal-ca".to_owned(),
        signer: format!("tandemissuers.pki.tandem.internal/{}.internal-ca", space.name),
        root: with_issuer(space).await?.as_ref().pem(),
    };
    let ca = root_ca("cluster CA", &PKCS_ECDSA_P256_SHA256)?;
    let home = Space { cluster: space.cluster.clone(), name: issuer::NAMESPACE.to_owned() };
    home.put_tls(&space.name, &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    let cluster_issuer = json!({
        "apiVersion": CLUSTER_ISSUER.0, "kind": CLUSTER_ISSUER.1, "metadata": {"name": space.name},
        "spec": {"ca": {"secretName": space.name}},
    });
    space.apply(&cluster_issuer.to_string()).await?;
    let cluster = Target {
        kind: CLUSTER_ISSUER.1,
        name: space.name.clone(),
        signer: format!("tandemclusterissuers.pki.tandem.internal/{}", space.name),
        root: ca.as_ref().pem(),
    };
    Ok([namespaced, cluster])
}

/// What is expected of a certificate: how long it is valid, and what OpenSSL prints of it.
struct Expected {
    hours: i64,
    subject: &'static str,
    extensions: Extensions,
}

/// Extensions by OpenSSL's names; each text must be in what it prints, lines ended.
type Extensions = &'static [(&'static str, &'static [&'static str])];

fn check(openssl: &OpenSsl, chain: &str, expected: &Expected) -> Result<()> {
    let subject = openssl.show(chain, &["-subject", "-nameopt", "rfc2253"])?;
    ensure!(subject == format!("subject={}", expected.subject), "{subject}");
    for (extension, texts) in expected.extensions {
        let shown = openssl.extension(chain, extension)? + "\n";
        for text in *texts {
            ensure!(shown.contains(text), "{text} is not in {shown}");
        }
    }
    let leaf = der(chain)?;
    let (_, leaf) = X509Certificate::from_der(&leaf)?;
    let seconds = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
    ensure!((seconds - expected.hours * 3600).abs() <= 30, "it is valid for {seconds} s");
    Ok(())
}

/// cert-manager's default.
const NINETY_DAYS: i64 = 90 * 24;

/// Name, spec besides secretName and issuerRef, and what is expected.
fn certificates() -> [(&'static str, Value, Expected); 7] {
    let plain = |subject, extensions| Expected { hours: NINETY_DAYS, subject, extensions };
    [
        (
            "other-names",
            json!({"commonName": "someCN", "emailAddresses": ["email@domain.test"], "otherNames": [
                {"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "upn@domain.test"},
                {"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "upn@domain2.test"},
            ]}),
            plain(
                "CN=someCN",
                &[("subjectAltName", &["email:email@domain.test", "upn@domain.test", "upn@domain2.test"])],
            ),
        ),
        (
            "name-and-duration",
            json!({"commonName": "db.example.com", "dnsNames": ["db.example.com"], "duration": "896h"}),
            Expected {
                hours: 896,
                subject: "CN=db.example.com",
                extensions: &[("subjectAltName", &["DNS:db.example.com"])],
            },
        ),
        (
            "usages",
            json!({"commonName": "db.example.com",
                   "usages": ["server auth", "client auth", "digital signature", "data encipherment"]}),
            plain(
                "CN=db.example.com",
                &[
                    ("keyUsage", &["critical\nDigital Signature, Data Encipherment\n"]),
                    ("extendedKeyUsage", &["TLS Web Server Authentication, TLS Web Client Authentication\n"]),
                ],
            ),
        ),
        (
            "long-lived-ca",
            json!({"commonName": "cert-manager-ca", "isCA": true, "duration": "10000h"}),
            Expected {
                hours: 10_000,
                subject: "CN=cert-manager-ca",
                extensions: &[("basicConstraints", &["critical\nCA:TRUE"]), ("keyUsage", &["Certificate Sign"])],
            },
        ),
        (
            "name-constraints",
            json!({"commonName": "constrained", "isCA": true, "nameConstraints": {
                "critical": true,
                "permitted": {"dnsDomains": ["example.com"], "ipRanges": ["10.0.0.0/8"]},
                "excluded": {"emailAddresses": ["example.org"]},
            }}),
            plain(
                "CN=constrained",
                &[("nameConstraints", &["critical", "DNS:example.com", "IP:10.0.0.0/255.0.0.0", "email:example.org"])],
            ),
        ),
        (
            "literal-subject",
            json!({"literalSubject": "CN=db+UID=7,OU=Second,OU=First,OU=Second,O=Example,DC=example,DC=com",
                   "dnsNames": ["db.example.com"]}),
            // The values of one RDN are a set, which OpenSSL prints backwards.
            plain("UID=7+CN=db,OU=Second,OU=First,OU=Second,O=Example,DC=example,DC=com", &[]),
        ),
        (
            "longest-common-name",
            json!({"commonName": "common-name-of-sixty-four-characters.0123456789012345678.example"}),
            plain("CN=common-name-of-sixty-four-characters.0123456789012345678.example", &[]),
        ),
    ]
}

/// Facts 11, 12, 13, 14, 16: as cert-manager's own users ask for it.
#[tokio::test]
async fn certificates_that_later_suites_ask_for_are_issued() -> Result<()> {
    let space = space("later-certificates").await?;
    let targets = targets(&space).await?;
    for target in &targets {
        for (name, spec, _) in certificates() {
            make_certificate(&space, target, name, spec).await?;
        }
    }
    let openssl = OpenSsl::new()?;
    for target in &targets {
        for (name, _, expected) in certificates() {
            let name = full_name(target, name);
            space.wait_ready(CERTIFICATE, &name).await?;
            let chain = space.secret(&name, "tls.crt").await?;
            openssl.verify(&chain, &target.root, &[]).with_context(|| name.clone())?;
            check(&openssl, &chain, &expected).with_context(|| name.clone())?;
            ensure!(space.secret(&name, "ca.crt").await? == target.root, "{name}: ca.crt is not the root");
        }
    }
    Ok(())
}

fn full_name(target: &Target, name: &str) -> String {
    format!("{name}-{}", target.kind.to_lowercase())
}

async fn make_certificate(space: &Space, target: &Target, name: &str, spec: Value) -> Result<()> {
    let name = full_name(target, name);
    let mut certificate = json!({
        "apiVersion": CERTIFICATE.0, "kind": CERTIFICATE.1, "metadata": {"name": name},
        "spec": {
            "secretName": name,
            "issuerRef": {"group": "pki.tandem.internal", "kind": target.kind, "name": target.name},
        },
    });
    if let (Some(all), Some(more)) = (certificate["spec"].as_object_mut(), spec.as_object()) {
        all.extend(more.clone());
    }
    space.apply(&certificate.to_string()).await.map(|_| ())
}

/// The case that `tests/conformance` leaves out, with the rotation policy that it needs today.
#[tokio::test]
async fn a_private_key_is_certified_again_where_the_policy_keeps_it() -> Result<()> {
    let space = space("same-key").await?;
    let openssl = OpenSsl::new()?;
    for target in targets(&space).await? {
        let spec = json!({"dnsNames": ["db.example.com"], "privateKey": {"rotationPolicy": "Never"}});
        make_certificate(&space, &target, "kept", spec).await?;
        let name = full_name(&target, "kept");
        // Ready comes before cert-manager has finished: until then it would write the same certificate once more.
        let finished = |certificate: &DynamicObject| {
            let issuing = condition(certificate, "Issuing").is_some_and(|(status, ..)| status == "True");
            is_ready(certificate, "True", "")
                && !issuing
                && certificate.data["status"]["nextPrivateKeySecretName"].is_null()
        };
        space.wait(CERTIFICATE, &name, finished).await?;
        let first = space.secret(&name, "tls.crt").await?;
        let stored = space.api(SECRET)?.get(&name).await?.data["data"]["tls.crt"].clone();
        let patch = json!({"data": {"tls.crt": ""}});
        space.secrets().patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        let issued_again = |secret: &DynamicObject| {
            let now = &secret.data["data"]["tls.crt"];
            *now != stored && now.as_str().is_some_and(|text| !text.is_empty())
        };
        space.wait(SECRET, &name, issued_again).await?;
        let second = space.secret(&name, "tls.crt").await?;
        openssl.verify(&second, &target.root, &[])?;
        ensure!(openssl.show(&first, &["-pubkey"])? == openssl.show(&second, &["-pubkey"])?, "the key is another");
    }
    Ok(())
}

/// cert-manager makes a trust store where the issuer gave a root.
#[tokio::test]
async fn keystores_hold_what_was_issued_and_the_root() -> Result<()> {
    let space = space("keystores").await?;
    let openssl = OpenSsl::new()?;
    let keystores = json!({"pkcs12": {"create": true, "password": "changeit", "profile": "Modern2023"}});
    for target in targets(&space).await? {
        let spec = json!({"dnsNames": ["db.example.com"], "keystores": keystores});
        make_certificate(&space, &target, "keystores", spec).await?;
        let name = full_name(&target, "keystores");
        space.wait_ready(CERTIFICATE, &name).await?;
        let data = space.secrets().get(&name).await?.data.context("an empty Secret")?;
        for (store, pem) in [("keystore.p12", space.secret(&name, "tls.crt").await?), ("truststore.p12", target.root)] {
            let content = &data.get(store).with_context(|| format!("{name} has no {store}"))?.0;
            std::fs::write(openssl.folder().join(store), content)?;
            let told = openssl.run(&["pkcs12", "-in", store, "-passin", "pass:changeit", "-nokeys"])?;
            ensure!(der(&told)? == der(&pem)?, "{name}: {store} holds {told}");
        }
    }
    Ok(())
}

struct SigningRequest {
    name: &'static str,
    common_name: Option<&'static str>,
    names: Vec<SanType>,
    /// Besides the CSR and the signer; the usages are "digital signature" and "key encipherment" where it has none.
    spec: Value,
    annotations: Value,
    expected: Expected,
}

fn signing_requests() -> Result<[SigningRequest; 8]> {
    let dns = |name: &str| anyhow::Ok(SanType::DnsName(name.try_into()?));
    let ip = || SanType::IpAddress([127, 0, 0, 1].into());
    let nameless = |name, names, extensions| SigningRequest {
        name,
        common_name: None,
        names,
        spec: json!({}),
        annotations: json!({}),
        expected: Expected { hours: NINETY_DAYS, subject: "", extensions },
    };
    let named = |name, names, spec, hours, extensions| SigningRequest {
        common_name: Some("db.example.com"),
        spec,
        expected: Expected { hours, subject: "CN=db.example.com", extensions },
        ..nameless(name, names, extensions)
    };
    Ok([
        nameless("ip", vec![ip()], &[("subjectAltName", &["critical\nIP Address:127.0.0.1\n"])]),
        nameless(
            "dns-and-ip",
            vec![dns("db.example.com")?, ip()],
            &[("subjectAltName", &["critical\nDNS:db.example.com, IP Address:127.0.0.1\n"])],
        ),
        // Its usages have no cert sign, and none is added.
        SigningRequest {
            annotations: json!({"experimental.cert-manager.io/request-is-ca": "true"}),
            ..nameless(
                "ca",
                vec![dns("ca.example.com")?],
                &[
                    ("basicConstraints", &["critical\nCA:TRUE"]),
                    ("keyUsage", &["critical\nDigital Signature, Key Encipherment\n"]),
                ],
            )
        },
        nameless(
            "wildcard-and-apex",
            vec![dns("*.example.com")?, dns("example.com")?],
            &[("subjectAltName", &["critical\nDNS:*.example.com, DNS:example.com\n"])],
        ),
        nameless(
            "long-domain",
            vec![dns("a-label-of-sixty-three-characters-which-is-the-longest-there-be.example.com")?],
            &[(
                "subjectAltName",
                &["critical\nDNS:a-label-of-sixty-three-characters-which-is-the-longest-there-be.example.com"],
            )],
        ),
        named(
            "usages",
            vec![],
            json!({"usages": ["server auth", "client auth", "digital signature", "data encipherment"]}),
            NINETY_DAYS,
            &[
                ("keyUsage", &["critical\nDigital Signature, Data Encipherment\n"]),
                ("extendedKeyUsage", &["TLS Web Server Authentication, TLS Web Client Authentication\n"]),
            ],
        ),
        SigningRequest {
            annotations: json!({"experimental.cert-manager.io/request-duration": "896h"}),
            ..named("name-and-duration", vec![dns("db.example.com")?], json!({}), 896, NOT_CRITICAL)
        },
        named("name-and-expiration", vec![dns("db.example.com")?], json!({"expirationSeconds": 7200}), 2, NOT_CRITICAL),
    ])
}

/// Alternative names beside a subject.
const NOT_CRITICAL: Extensions = &[("subjectAltName", &["Alternative Name:\nDNS:db.example.com\n"])];

/// Facts 12, 13, 22: for Kubernetes' requests.
#[tokio::test]
async fn kubernetes_requests_that_later_suites_ask_for_are_signed() -> Result<()> {
    let space = space("later-requests").await?;
    let targets = targets(&space).await?;
    let full_name = |target: &Target, name: &str| format!("{}-{}", space.name, full_name(target, name));
    for target in &targets {
        for request in signing_requests()? {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            if let Some(name) = request.common_name {
                params.distinguished_name.push(DnType::CommonName, name);
            }
            params.subject_alt_names = request.names;
            let csr = params.serialize_request(&KeyPair::generate()?)?.pem()?;
            let mut spec = request.spec;
            spec["request"] = json!(ByteString(csr.into_bytes()));
            let name = full_name(target, request.name);
            ask_approved(&space, &name, &target.signer, &spec, &request.annotations).await?;
        }
    }
    let openssl = OpenSsl::new()?;
    for target in &targets {
        for SigningRequest { name, expected, .. } in signing_requests()? {
            let chain = issued(&space, &full_name(target, name)).await?;
            check(&openssl, &chain, &expected).with_context(|| name.to_owned())?;
            // OpenSSL wants a CA to have a name; who asked for this one did not.
            match openssl.verify(&chain, &target.root, &[]) {
                Err(error) if name == "ca" => ensure!(error.to_string().contains("Subject name empty"), "{error}"),
                verified => verified.with_context(|| name.to_owned())?,
            }
        }
    }
    Ok(())
}
