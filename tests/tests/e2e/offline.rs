//! `tandem-issuer sign` beside cert-manager: from the same Certificates come the same certificates and Secrets.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context, Result, ensure};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use tandem_tests::{
    Space,
    certificates::{OpenSsl, der},
    cluster::{CERTIFICATE, CERTIFICATE_REQUEST, ISSUER, condition, is_ready},
    tools,
};
use x509_parser::{
    certificate::X509Certificate, certification_request::X509CertificationRequest, cri_attributes::ParsedCriAttribute,
    extensions::X509Extension, oid_registry::OID_X509_EXT_BASIC_CONSTRAINTS, prelude::FromDer,
};

use crate::environment::space_with_issuer;

/// The annotation of a CertificateRequest that names its Certificate.
const CERTIFICATE_NAME: &str = "cert-manager.io/certificate-name";

/// Certificates of all kinds, by name: what is in their specs besides secretName and issuerRef.
fn specs() -> Vec<(&'static str, Value)> {
    let every_name = json!({
        "subject": {
            "organizations": ["Shop, Inc.", "Äpfel", "A & B"], "countries": ["DE"], "organizationalUnits": ["ops", "db"],
            "localities": ["Köln"], "provinces": ["NRW"], "streetAddresses": ["1 \"Main\" St"], "postalCodes": ["50667"],
            "serialNumber": "7",
        },
        "commonName": "db.shop.test",
        "dnsNames": ["db.shop.test", "*.shop.test", "db.shop.test"],
        "ipAddresses": ["10.0.0.1", "2001:db8::1", "::ffff:10.0.0.2"],
        "uris": ["spiffe://shop.test/ns/shop/sa/db", "https://shop.test/a?b=c,d"],
        "emailAddresses": ["ops@shop.test"],
        "otherNames": [{"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "ops@corp.shop.test"}],
        "privateKey": {"algorithm": "ECDSA", "size": 384},
        "usages": ["client auth", "digital signature", "server auth", "any"],
        "secretTemplate": {"labels": {"team": "db"}, "annotations": {"note": "a"}},
    });
    let ca = json!({
        "isCA": true, "commonName": "a CA beneath", "privateKey": {"algorithm": "ECDSA", "encoding": "PKCS8"},
        "usages": ["cert sign", "crl sign"],
        "nameConstraints": {
            "critical": true,
            "permitted": {"dnsDomains": ["shop.test"], "ipRanges": ["10.1.2.3/8", "2001:db8::/32"]},
            "excluded": {"emailAddresses": ["shop.test"], "uriDomains": [".shop.test"], "dnsDomains": ["x.shop.test"]},
        },
    });
    let literal = r"CN=db+UID=7,OU=a\, b,OU=c,OU=c,O=Äpfel & Co\2e,STREET= x ,1.2.3.4=\#1,DC=shop,DC=test";
    vec![
        ("every-name", every_name),
        // cert-manager takes a literal subject's common name for a foreign one where dnsNames do not have it.
        ("literal", json!({"literalSubject": literal, "dnsNames": ["db"], "privateKey": {"algorithm": "Ed25519"}})),
        ("a-ca", ca),
        ("defaults", json!({"dnsNames": ["db.shop.test"]})),
        (
            "unsaid",
            json!({"uris": ["urn:a"], "encodeUsagesInRequest": false, "usages": ["server auth"],
                   "privateKey": {"algorithm": "ECDSA", "size": 521}}),
        ),
        (
            "formats",
            json!({"commonName": "formats", "privateKey": {"encoding": "PKCS8", "rotationPolicy": "Never"},
                   "additionalOutputFormats": [{"type": "DER"}, {"type": "CombinedPEM"}]}),
        ),
    ]
}

fn certificate(name: &str, spec: &Value) -> Value {
    let mut certificate = json!({
        "apiVersion": CERTIFICATE.0, "kind": CERTIFICATE.1, "metadata": {"name": name},
        "spec": {
            "secretName": name, "duration": "24h",
            "issuerRef": {"group": "pki.tandem.internal", "kind": ISSUER.1, "name": "internal-ca"},
        },
    });
    if let (Some(all), Some(more)) = (certificate["spec"].as_object_mut(), spec.as_object()) {
        all.extend(more.clone());
    }
    certificate
}

/// Signs all [`specs`] offline with issuer and CA as they are in the namespace; the Secrets by name.
async fn sign(space: &Space) -> Result<BTreeMap<String, Secret>> {
    let mut input = serde_json::to_string(&space.api(ISSUER)?.get("internal-ca").await?)?;
    let mut documents = vec![serde_json::to_value(space.secrets().get("internal-ca").await?)?];
    documents.extend(specs().iter().map(|(name, spec)| certificate(name, spec)));
    for document in documents {
        input.push_str(&format!("\n---\n{document}"));
    }
    let folder = OpenSsl::new()?;
    let file = folder.folder().join("input.yaml");
    std::fs::write(&file, input)?;
    let mut command = Command::new(tools::program("tandem-issuer")?);
    command.args(["sign", "-o", "json", "--namespace", &space.name]).arg(file);
    let list: Value = serde_json::from_str(&tools::output(&mut command)?)?;
    let secrets: Vec<Secret> = serde_json::from_value(list["items"].clone())?;
    Ok(secrets.into_iter().map(|secret| (secret.metadata.name.clone().unwrap_or_default(), secret)).collect())
}

fn text(secret: &Secret, key: &str) -> Result<String> {
    let value = secret.data.as_ref().and_then(|data| data.get(key)).with_context(|| format!("no {key}"))?;
    Ok(String::from_utf8(value.0.clone())?)
}

/// OID, criticality and value of each extension, in any order.
type Extensions = Vec<(String, bool, Vec<u8>)>;

fn sorted<'a>(extensions: impl IntoIterator<Item = &'a X509Extension<'a>>) -> Extensions {
    let all = extensions.into_iter().map(|e| (e.oid.to_id_string(), e.critical, e.value.to_vec()));
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

/// Subject and extensions of a request, in DER.
fn of_request(pem: &str) -> Result<(Vec<u8>, Extensions)> {
    let der = der(pem)?;
    let (_, request) = X509CertificationRequest::from_der(&der)?;
    let attributes = request.certification_request_info.attributes();
    let extensions = attributes.iter().filter_map(|attribute| match attribute.parsed_attribute() {
        ParsedCriAttribute::ExtensionRequest(wanted) => Some(&wanted.extensions),
        _ => None,
    });
    Ok((request.certification_request_info.subject.as_raw().to_vec(), sorted(extensions.flatten())))
}

/// The same of a certificate, without what is of the key.
fn of_certificate(pem: &str) -> Result<(Vec<u8>, Extensions)> {
    const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
    let der = der(pem)?;
    let (_, certificate) = X509Certificate::from_der(&der)?;
    let mut extensions = sorted(certificate.extensions());
    extensions.retain(|(oid, _, _)| oid != SUBJECT_KEY_IDENTIFIER);
    Ok((certificate.subject().as_raw().to_vec(), extensions))
}

#[tokio::test]
async fn sign_asks_for_the_same_as_cert_manager_and_makes_the_same_secret() -> Result<()> {
    let (space, _) = space_with_issuer("offline").await?;
    for (name, spec) in specs() {
        space.apply(&certificate(name, &spec).to_string()).await?;
    }
    let offline = sign(&space).await?;
    let openssl = OpenSsl::new()?;
    for (name, _) in specs() {
        space.wait_ready(CERTIFICATE, name).await?;
        let online = space.secrets().get(name).await?;
        let offline = offline.get(name).with_context(|| format!("{name} was not signed"))?;
        let chain = text(offline, "tls.crt")?;

        // What is certified is what cert-manager asked for, and what was issued for it in the cluster.
        let certified = of_certificate(&chain)?;
        assert_eq!(certified, of_certificate(&text(&online, "tls.crt")?)?, "{name}");
        let requests = space.list(CERTIFICATE_REQUEST).await?;
        let of = |object: &&DynamicObject| object.annotations().get(CERTIFICATE_NAME).is_some_and(|of| of == name);
        let request = requests.iter().find(of).with_context(|| format!("{name} has no request"))?;
        let pem = &request.data["spec"]["request"];
        let pem: ByteString = serde_json::from_value(pem.clone())?;
        let (subject, asked) = of_request(&String::from_utf8(pem.0)?)?;
        assert_eq!(certified.0, subject, "{name}");
        ensure!(asked.iter().all(|extension| certified.1.contains(extension)), "{name}: {asked:?} {certified:?}");
        ensure!(certified.1.iter().any(|(oid, ..)| *oid == OID_X509_EXT_BASIC_CONSTRAINTS.to_id_string()), "{name}");

        // The Secret is the one that cert-manager writes.
        assert_eq!(offline.metadata.annotations, online.metadata.annotations, "{name}");
        assert_eq!(offline.metadata.labels, online.metadata.labels, "{name}");
        assert_eq!(offline.type_, online.type_, "{name}");
        let keys = |secret: &Secret| secret.data.as_ref().map(|data| data.keys().cloned().collect::<Vec<_>>());
        assert_eq!(keys(offline), keys(&online), "{name}");
        assert_eq!(text(offline, "ca.crt")?, text(&online, "ca.crt")?, "{name}");
        let label = |secret: &Secret| anyhow::Ok(text(secret, "tls.key")?.lines().next().map(str::to_owned));
        assert_eq!(label(offline)?, label(&online)?, "{name}");

        // OpenSSL reads the key, finds it in the certificate, and verifies that.
        openssl.verify(&chain, &text(offline, "ca.crt")?, &[])?;
        std::fs::write(openssl.folder().join("tls.key"), text(offline, "tls.key")?)?;
        let public = openssl.run(&["pkey", "-in", "tls.key", "-pubout"])?;
        assert_eq!(public.trim_end(), openssl.show(&chain, &["-pubkey"])?, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn cert_manager_takes_the_secrets_over_without_issuing_anew() -> Result<()> {
    let (space, _) = space_with_issuer("takeover").await?;
    let offline = sign(&space).await?;
    for secret in offline.values() {
        space.apply(&serde_json::to_string(secret)?).await?;
    }
    space.secrets_are_known().await?;
    for (name, spec) in specs() {
        space.apply(&certificate(name, &spec).to_string()).await?;
    }
    for (name, _) in specs() {
        let taken = space.wait_ready(CERTIFICATE, name).await?;
        ensure!(taken.data["status"]["revision"].is_null(), "{name} was issued: {}", taken.data["status"]);
        ensure!(condition(&taken, "Issuing").is_none_or(|(status, ..)| status != "True"), "{name} is being issued");
    }
    // What cert-manager does later, it does: a change of one Certificate makes its first request, and no other is made.
    let change = json!({"spec": {"dnsNames": ["other.shop.test"]}});
    space.api(CERTIFICATE)?.patch("defaults", &PatchParams::default(), &Patch::Merge(change)).await?;
    let issued = |object: &DynamicObject| !object.data["status"]["revision"].is_null();
    space.wait(CERTIFICATE, "defaults", |object| issued(object) && is_ready(object, "True", "")).await?;
    let requests = space.list(CERTIFICATE_REQUEST).await?;
    let names: Vec<_> =
        requests.iter().map(ResourceExt::name_any).filter(|name| !name.starts_with("marker-")).collect();
    assert!(names.iter().all(|name| name.starts_with("defaults-")) && !names.is_empty(), "{names:?}");
    for (name, secret) in offline.iter().filter(|(name, _)| *name != "defaults") {
        assert_eq!(space.secret(name, "tls.crt").await?, text(secret, "tls.crt")?, "{name}");
        assert_eq!(space.secret(name, "tls.key").await?, text(secret, "tls.key")?, "{name}");
    }
    Ok(())
}
