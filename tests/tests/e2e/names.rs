//! Subject and subject alternative names: the request's own bytes (issuer facts 13 and 15).

use anyhow::{Context, Result, bail};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    certificates::{OpenSsl, ca_params, der, root_ca_of},
    cluster::{CERTIFICATE, CERTIFICATE_REQUEST, ISSUER},
};
use x509_parser::{
    certificate::X509Certificate, certification_request::X509CertificationRequest, extensions::X509Extension,
    prelude::FromDer,
};

use crate::{
    environment::{allow_secrets, make_issuer, space, space_with_issuer, unvalidated_space_with_issuer},
    requests::{ask, failed, obtain},
};

/// A request's subject, and the value of its subject alternative name extension, in DER.
fn of_request(pem: &str) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    let der = der(pem)?;
    let (_, request) = X509CertificationRequest::from_der(&der)?;
    let extensions = request.certification_request_info.attributes().iter().filter_map(|attribute| {
        match attribute.parsed_attribute() {
            x509_parser::cri_attributes::ParsedCriAttribute::ExtensionRequest(wanted) => Some(&wanted.extensions),
            _ => None,
        }
    });
    let names = extensions.flatten().find(is_alt_name).map(|extension| extension.value.to_vec());
    Ok((request.certification_request_info.subject.as_raw().to_vec(), names))
}

/// The same of a certificate.
fn of_certificate(pem: &str) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    let der = der(pem)?;
    let (_, certificate) = X509Certificate::from_der(&der)?;
    let names = certificate.extensions().iter().find(is_alt_name).map(|extension| extension.value.to_vec());
    Ok((certificate.subject().as_raw().to_vec(), names))
}

fn is_alt_name(extension: &&X509Extension<'_>) -> bool {
    extension.oid == x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME
}

const CONFIG: &str = "
[req]
prompt = no
distinguished_name = dn
req_extensions = ext
string_mask = MASK
[dn]
SUBJECT
[ext]
subjectAltName = DNS:leaf.test
";

/// Fact 13: every string type that OpenSSL writes.
#[tokio::test]
async fn the_subject_keeps_every_byte() -> Result<()> {
    // Name, OpenSSL's mask of string types, the subject, and what OpenSSL must see in the request for the test to count.
    let cases = [
        ("repeated", "utf8only", "0.OU = a\n1.OU = b\n2.OU = a\nCN = x", "OU=UTF8STRING:a,OU=UTF8STRING:b"),
        ("multi-valued", "utf8only", "0.DC = test\nCN = x\n+OU = y\n+UID = z", "+OU="),
        ("most-specific-first", "utf8only", "CN = x\nOU = y\nO = z\nC = DE", "CN=UTF8STRING:x,OU"),
        ("t61", "MASK:0x4", "O = Tandem", "O=T61STRING:Tandem"),
        ("bmp", "MASK:0x800", "O = Tändem", "O=BMPSTRING:"),
        ("printable", "MASK:0x2", "O = Tandem\nCN = x", "O=PRINTABLESTRING:Tandem"),
        ("utf8", "utf8only", "O = Tändem\nCN = x", "O=UTF8STRING:"),
        ("own-attribute", "utf8only", "0.1.2.3.4.5 = x", "1.2.3.4.5="),
        ("longest", "utf8only", "CN = 0123456789012345678901234567890123456789012345678901234567890123", "CN=UTF8"),
    ];
    let (space, ca) = space_with_issuer("subject").await?;
    let openssl = OpenSsl::new()?;
    for (name, mask, subject, shown) in cases {
        let csr = openssl.csr(&CONFIG.replace("MASK", mask).replace("SUBJECT", subject), &[])?;
        let options = ["-subject", "-nameopt", "sname,sep_comma_plus,show_type,esc_msb"];
        let before = openssl.run(&[&["req", "-noout", "-in", "csr.pem"], &options[..]].concat())?;
        assert!(before.contains(shown), "{name}: the request does not have what is to be tested: {before}");
        let chain = obtain(&space, name, &csr, json!({})).await?.chain;
        openssl.verify(&chain, &ca.as_ref().pem(), &[])?;
        assert_eq!(openssl.show(&chain, &options)?, before.trim_end(), "{name}");
        assert_eq!(of_certificate(&chain)?, of_request(&csr)?, "{name}");
        assert!(!openssl.extension(&chain, "subjectAltName")?.contains("critical"), "{name}: SAN is critical");
    }
    Ok(())
}

/// Fact 13: and the CN is not among them.
#[tokio::test]
async fn alternative_names_of_every_kind_are_kept() -> Result<()> {
    // A DNS name, and others: whoever copies only what he knows loses some. CN and SAN do not mix.
    let all = "
[req]
prompt = no
distinguished_name = dn
req_extensions = ext
[dn]
CN = not-in-the-san.test
[ext]
subjectAltName = @names
[names]
otherName = 1.3.6.1.4.1.311.20.2.3;UTF8:user@example.org
DNS.1 = *.leaf.test
IP.1 = 10.0.0.1
IP.2 = 2001:db8::1
URI = spiffe://cluster.local/ns/a/sa/b
email = ops@example.org
RID = 1.2.3.4
dirName = directory
DNS.2 = leaf.test
[directory]
CN = in a directory
";
    let (space, ca) = space_with_issuer("san").await?;
    let openssl = OpenSsl::new()?;
    let csr = openssl.csr(all, &[])?;
    let chain = obtain(&space, "all", &csr, json!({})).await?.chain;
    openssl.verify(&chain, &ca.as_ref().pem(), &[])?;
    assert_eq!(of_certificate(&chain)?, of_request(&csr)?);
    let shown = openssl.extension(&chain, "subjectAltName")?;
    for name in
        ["othername: UPN::user@example.org", "DNS:*.leaf.test", "IP Address:2001:DB8", "URI:spiffe:", "DirName:"]
    {
        assert!(shown.contains(name), "{name} is not in {shown}");
    }
    assert!(!shown.contains("not-in-the-san"), "{shown}");
    Ok(())
}

/// Fact 13: and a CN alone makes no SAN.
#[tokio::test]
async fn an_empty_subject_makes_the_alternative_names_critical_and_no_name_at_all_fails() -> Result<()> {
    let (space, ca) = unvalidated_space_with_issuer("nameless").await?;
    let openssl = OpenSsl::new()?;
    let empty = "[req]\nprompt = no\ndistinguished_name = dn\n[dn]\n";
    let csr = openssl.csr(empty, &["-subj", "/", "-addext", "subjectAltName=DNS:leaf.test"])?;
    let chain = obtain(&space, "san-only", &csr, json!({})).await?.chain;
    openssl.verify(&chain, &ca.as_ref().pem(), &["-verify_hostname", "leaf.test"])?;
    assert_eq!(openssl.show(&chain, &["-subject"])?, "subject=");
    assert_eq!(
        openssl.extension(&chain, "subjectAltName")?,
        "X509v3 Subject Alternative Name: critical\nDNS:leaf.test"
    );

    ask(&space, "nobody", &openssl.csr(empty, &["-subj", "/"])?, json!({})).await?;
    let message = failed(&space, "nobody").await?;
    assert_eq!(message, "the request names nobody: both the subject and the subject alternative names are empty");
    space.event((CERTIFICATE_REQUEST.1, "nobody"), "SigningError", &message).await?;

    // A CN alone is enough for a certificate, and it is not copied into a SAN.
    let chain = obtain(&space, "cn-only", &openssl.csr(empty, &["-subj", "/CN=leaf.test"])?, json!({})).await?.chain;
    openssl.verify(&chain, &ca.as_ref().pem(), &[])?;
    assert_eq!(of_certificate(&chain)?.1, None);
    Ok(())
}

/// Fact 15: with string types that nobody would choose today.
#[tokio::test]
async fn the_issuer_name_is_the_cas_subject_byte_for_byte() -> Result<()> {
    let space = space("issuer-name").await?;
    allow_secrets(&space).await?;
    let mut params = ca_params("Tandem");
    let text = rcgen::string::BmpString::try_from("Bücher")?;
    params.distinguished_name.push(rcgen::DnType::OrganizationName, rcgen::DnValue::BmpString(text));
    let text = rcgen::string::TeletexString::try_from("Teletex")?;
    params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, rcgen::DnValue::TeletexString(text));
    let text = rcgen::string::PrintableString::try_from("DE")?;
    params.distinguished_name.push(rcgen::DnType::CountryName, rcgen::DnValue::PrintableString(text));
    let ca = root_ca_of(params, &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    make_issuer(&space, "internal-ca").await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    let openssl = OpenSsl::new()?;
    let csr = tandem_tests::certificates::csr(&["leaf.test"])?;
    let chain = obtain(&space, "leaf", &csr, json!({})).await?.chain;
    openssl.verify(&chain, &ca.as_ref().pem(), &[])?;
    let leaf = der(&chain)?;
    let (_, leaf) = X509Certificate::from_der(&leaf)?;
    let Some((_, above)) = X509Certificate::from_der(ca.as_ref().der()).ok() else { bail!("the CA does not parse") };
    assert_eq!(leaf.issuer().as_raw(), above.subject().as_raw());
    let shown = openssl.show(&chain, &["-issuer", "-nameopt", "sname,sep_comma_plus,show_type,esc_msb"])?;
    shown.contains("BMPSTRING").then_some(()).context(shown)
}

/// cert-manager's webhook lets a Certificate have a common name of at most 64 bytes (RFC 5280 appendix A.1); at
/// CertificateRequests nobody looks, and its CA issuer signs them. So do we.
#[tokio::test]
async fn a_common_name_is_as_long_as_cert_manager_has_it() -> Result<()> {
    let (space, ca) = space_with_issuer("long-name").await?;
    let certificate = |name: &str, common_name: &str| {
        json!({
            "apiVersion": CERTIFICATE.0, "kind": CERTIFICATE.1, "metadata": {"name": name},
            "spec": {
                "secretName": name, "commonName": common_name, "privateKey": {"algorithm": "ECDSA"},
                "issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "internal-ca"},
            },
        })
        .to_string()
    };
    for (name, common_name) in [("ascii", "a".repeat(64)), ("bytes", "ä".repeat(32))] {
        space.apply(&certificate(name, &common_name)).await?;
        space.wait_ready(CERTIFICATE, name).await?;
    }
    for too_long in ["a".repeat(65), "ä".repeat(33)] {
        let Err(refused) = space.apply(&certificate("too-long", &too_long)).await else { bail!("{too_long} passed") };
        let refused = format!("{refused:?}");
        assert!(refused.contains("spec.commonName: Too long"), "{refused}");
    }
    let openssl = OpenSsl::new()?;
    for (name, length) in [("past", 65), ("far-past", 1000)] {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "a".repeat(length));
        let csr = params.serialize_request(&rcgen::KeyPair::generate()?)?.pem()?;
        let chain = obtain(&space, name, &csr, json!({})).await?.chain;
        openssl.verify(&chain, &ca.as_ref().pem(), &[])?;
        assert_eq!(of_certificate(&chain)?, of_request(&csr)?, "{name}");
    }
    Ok(())
}
