//! What the CA's chain constrains, as the issuer, OpenSSL and Go read it. Certificates are made here as any CA would that
//! looks at nothing, and judged by both; the issuer is asked for the same. It signs nothing that one of them refuses, but
//! for what is said beside the case.

use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use der::{
    Encode,
    asn1::{Ia5String, OctetString},
};
use jiff::Timestamp;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde::Deserialize;
use serde_json::json;
use tandem_issuer_core::{
    Authority, Decision, Settings,
    authority::Material,
    decide::{Approval, Issuer, Request, decide},
};
use tandem_tests::{
    certificates::{Ca, OpenSsl, ca_params, root_ca_of},
    judges,
};
use x509_cert::{
    ext::pkix::{NameConstraints, constraints::name::GeneralSubtree, name::GeneralName},
    name::Name,
};

/// Who takes a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Takes {
    tandem: bool,
    openssl: bool,
    go: bool,
}

const ALL: Takes = Takes { tandem: true, openssl: true, go: true };
const NOBODY: Takes = Takes { tandem: false, openssl: false, go: false };
/// Where the two differ, the issuer is with the one that refuses.
const ONLY_OPENSSL: Takes = Takes { openssl: true, ..NOBODY };
const ONLY_GO: Takes = Takes { go: true, ..NOBODY };

/// `permitted` or `excluded`, and whether that is critical; the base; the certificate's names, and its common name.
type NameCase = (&'static str, bool, &'static str, &'static [&'static str], &'static str, Takes);

const NAMES: &[NameCase] = &[
    ("permitted", true, "DNS:a.test", &["DNS:a.test", "DNS:b.a.test", "DNS:*.a.test"], "", ALL),
    ("permitted", true, "DNS:a.test", &["DNS:b.test"], "", NOBODY),
    ("permitted", true, "DNS:a.test", &["DNS:a.test", "DNS:ba.test"], "", NOBODY),
    ("permitted", true, "DNS:a.test", &["DNS:*.test"], "", NOBODY),
    ("permitted", true, "DNS:.a.test", &["DNS:b.a.test"], "", ALL),
    ("permitted", true, "DNS:.a.test", &["DNS:a.test"], "", NOBODY),
    ("permitted", true, "DNS:", &["DNS:a.test"], "", ALL),
    ("excluded", true, "DNS:", &["DNS:a.test"], "", NOBODY),
    ("excluded", true, "DNS:a.test", &["DNS:b.test", "DNS:ba.test"], "", ALL),
    ("excluded", true, "DNS:a.test", &["DNS:b.A.test"], "", NOBODY),
    // A wildcard that stands for an excluded name.
    ("excluded", true, "DNS:a.test", &["DNS:*.test"], "", ONLY_OPENSSL),
    ("excluded", false, "DNS:a.test", &["DNS:a.test"], "", NOBODY),
    ("permitted", true, "IP:10.1.0.0/255.255.0.0", &["IP:10.1.255.1"], "", ALL),
    ("permitted", true, "IP:10.1.0.0/255.255.0.0", &["IP:10.2.0.1"], "", NOBODY),
    ("permitted", true, "IP:10.1.0.0/255.255.0.0", &["IP:::1"], "", NOBODY),
    ("excluded", true, "IP:10.1.0.0/255.255.0.0", &["IP:10.1.255.1"], "", NOBODY),
    ("excluded", true, "IP:10.1.0.0/255.255.0.0", &["IP:::1", "IP:10.2.0.1"], "", ALL),
    ("permitted", true, "IP:2001:db8::/ffff:ffff::", &["IP:2001:db8::1"], "", ALL),
    ("permitted", true, "IP:2001:db8::/ffff:ffff::", &["IP:2001:db9::1"], "", NOBODY),
    ("permitted", true, "email:a.test", &["email:x@a.test"], "", ALL),
    ("permitted", true, "email:x@a.test", &["email:x@A.test"], "", ALL),
    ("permitted", true, "email:x@a.test", &["email:X@a.test"], "", NOBODY),
    ("permitted", true, "email:.a.test", &["email:x@b.a.test"], "", ALL),
    ("permitted", true, "email:.a.test", &["email:x@a.test"], "", NOBODY),
    ("excluded", true, "email:a.test", &["email:x@a.test"], "", NOBODY),
    // Go understands the host of an address and of a URI as it does a DNS name, with all beneath.
    ("permitted", true, "email:a.test", &["email:x@b.a.test"], "", ONLY_GO),
    ("excluded", true, "email:a.test", &["email:x@b.a.test"], "", ONLY_OPENSSL),
    ("permitted", true, "URI:a.test", &["URI:https://b.a.test"], "", ONLY_GO),
    ("excluded", true, "URI:a.test", &["URI:https://b.a.test"], "", ONLY_OPENSSL),
    ("permitted", true, "URI:a.test", &["URI:spiffe://a.test/ns/x", "URI:https://a.test:8443/"], "", ALL),
    ("permitted", true, "URI:a.test", &["URI:spiffe://b.test/a.test"], "", NOBODY),
    ("permitted", true, "URI:.a.test", &["URI:spiffe://b.a.test/"], "", ALL),
    ("excluded", true, "URI:a.test", &["URI:spiffe://a.test/"], "", NOBODY),
    ("permitted", true, "URI:a.test", &["URI:https://10.0.0.1/"], "", NOBODY),
    // Without a host, Go refuses it beneath constraints of any form.
    ("permitted", true, "DNS:a.test", &["DNS:a.test", "URI:urn:uuid:0"], "", ONLY_OPENSSL),
    // OpenSSL takes a common name for a DNS name where there is no other.
    ("permitted", true, "DNS:a.test", &["email:x@a.test"], "b.test", ONLY_GO),
    ("permitted", true, "DNS:a.test", &["DNS:a.test"], "b.test", ALL),
    ("permitted", true, "DNS:a.test", &["email:x@a.test"], "plain words", ALL),
    ("permitted", false, "dirName:CN=Plain Words", &["DNS:a.test"], "plain words", ALL),
    // Go does not compare directory names: it ignores constraints on them,
    ("permitted", false, "dirName:CN=other", &["DNS:a.test"], "plain words", ONLY_GO),
    ("excluded", false, "dirName:CN=plain words", &["DNS:a.test"], "plain words", ONLY_GO),
    // and refuses every certificate where they are critical. What they allow is signed all the same, as RFC 5280 has it.
    ("permitted", true, "dirName:CN=plain words", &["DNS:a.test"], "plain words", Takes { go: false, ..ALL }),
];

/// Fact 26: what one of two verifiers refuses for the name constraints of a CA is not signed.
#[test]
fn name_constraints_are_read_as_strictly_as_any_verifier_does() -> Result<()> {
    let now = Timestamp::now();
    let (mut certificates, mut signed) = (Vec::new(), Vec::new());
    for (kind, critical, base, names, common_name, _) in NAMES {
        let mut params = ca_params("constrained");
        params.custom_extensions.push(extension(30, *critical, constraints(kind, base)?));
        let ca = root_ca_of(params, &rcgen::PKCS_ECDSA_P256_SHA256)?;
        let names = names.iter().map(|text| name(text)).collect::<Result<Vec<_>>>()?;
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name = DistinguishedName::new();
        if !common_name.is_empty() {
            leaf.distinguished_name.push(DnType::CommonName, *common_name);
        }
        leaf.custom_extensions.push(extension(17, common_name.is_empty(), names.to_der()?));
        certificates.push(certified(leaf.clone(), &ca)?);
        signed.push(is_signed(leaf, &ca, &[], now)?);
    }
    let judged = judge(&certificates, &[])?;
    let wrong: Vec<_> = NAMES
        .iter()
        .zip(judged.iter().zip(signed))
        .filter_map(|((kind, _, base, names, common_name, expected), ((openssl, go), tandem))| {
            let found = Takes { tandem, openssl: openssl.is_empty(), go: go.is_empty() };
            (found != *expected).then(|| {
                format!("{kind} {base}, {names:?} {common_name}: {found:?}, not {expected:?}: {openssl:?} {go:?}")
            })
        })
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Fact 26: the same for extended key usages, the root's among them, which OpenSSL and Go look at, and webpki does not.
#[test]
fn usages_are_read_as_strictly_as_any_verifier_does() -> Result<()> {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    // What the CA is restricted to; what is asked for, and as which purpose OpenSSL is to verify it.
    type Case = (&'static [ExtendedKeyUsagePurpose], ExtendedKeyUsagePurpose, &'static str, &'static str, Takes);
    let cases: &[Case] = &[
        (&[], ServerAuth, "server auth", "sslserver", ALL),
        (&[ServerAuth, ClientAuth], ServerAuth, "server auth", "sslserver", ALL),
        (&[ServerAuth], ClientAuth, "client auth", "sslclient", NOBODY),
        (&[ClientAuth], ServerAuth, "server auth", "sslserver", NOBODY),
        // RFC 5280 lets any usage stand for each; OpenSSL wants the usage itself in a CA.
        (&[Any], ServerAuth, "server auth", "sslserver", Takes { openssl: false, ..ALL }),
    ];
    let now = Timestamp::now();
    let mut wrong = Vec::new();
    for (restricted, usage, asked, purpose, expected) in cases {
        let mut params = ca_params("restricted");
        params.extended_key_usages = restricted.to_vec();
        let ca = root_ca_of(params, &rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut leaf = CertificateParams::new(vec!["a.test".to_owned()])?;
        leaf.extended_key_usages = vec![usage.clone()];
        let judged = judge(&[certified(leaf.clone(), &ca)?], &["-purpose", purpose])?;
        let (openssl, go) = judged.first().context("no judgement")?;
        let usages = ["digital signature".to_owned(), asked.to_string()];
        leaf.extended_key_usages.clear();
        let tandem = is_signed(leaf, &ca, &usages, now)?;
        let found = Takes { tandem, openssl: openssl.is_empty(), go: go.is_empty() };
        if found != *expected {
            wrong.push(format!("{restricted:?}, {asked}: {found:?}, not {expected:?}: {openssl:?} {go:?}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn extension(arc: u64, critical: bool, value: Vec<u8>) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, arc], value);
    extension.set_criticality(critical);
    extension
}

/// A name as OpenSSL's configuration has it; an address may have a mask.
fn name(text: &str) -> Result<GeneralName> {
    let (form, value) = text.split_once(':').context("no form")?;
    Ok(match form {
        "DNS" => GeneralName::DnsName(Ia5String::new(value)?),
        "email" => GeneralName::Rfc822Name(Ia5String::new(value)?),
        "URI" => GeneralName::UniformResourceIdentifier(Ia5String::new(value)?),
        "dirName" => GeneralName::DirectoryName(Name::from_str(value)?),
        "IP" => {
            let octets = value.split('/').map(|address| match address.parse()? {
                std::net::IpAddr::V4(address) => anyhow::Ok(address.octets().to_vec()),
                std::net::IpAddr::V6(address) => Ok(address.octets().to_vec()),
            });
            GeneralName::IpAddress(OctetString::new(octets.collect::<Result<Vec<_>>>()?.concat())?)
        }
        _ => bail!("{form} is no form"),
    })
}

fn constraints(kind: &str, base: &str) -> Result<Vec<u8>> {
    let subtrees = Some(vec![GeneralSubtree { base: name(base)?, minimum: 0, maximum: None }]);
    Ok(match kind {
        "permitted" => NameConstraints { permitted_subtrees: subtrees, excluded_subtrees: None },
        _ => NameConstraints { permitted_subtrees: None, excluded_subtrees: subtrees },
    }
    .to_der()?)
}

/// A certificate by a CA that looks at nothing, and the CA's, both in PEM.
fn certified(mut leaf: CertificateParams, ca: &Ca) -> Result<(String, String)> {
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.use_authority_key_identifier_extension = true;
    Ok((leaf.signed_by(&KeyPair::generate()?, ca)?.pem(), ca.as_ref().pem()))
}

/// Whether the issuer would sign it.
fn is_signed(leaf: CertificateParams, ca: &Ca, usages: &[String], now: Timestamp) -> Result<bool> {
    let (certificate, key) = (ca.as_ref().pem(), ca.key().serialize_pem());
    let authority = Authority::from_secret(Material {
        certificates: Some(certificate.as_bytes()),
        key: Some(key.as_bytes()),
        roots: None,
    })?;
    let csr = leaf.serialize_request(&KeyPair::generate()?)?.pem()?;
    let request = Request { approval: Approval::Approved, csr: csr.as_bytes(), usages, ..Request::default() };
    let settings = Settings::default();
    match decide(&request, &Issuer::Ready { authority: &authority, settings: &settings }, now) {
        Decision::Sign(_) => Ok(true),
        Decision::Fail(_) => Ok(false),
        other => bail!("{other:?}"),
    }
}

/// What OpenSSL and Go have against each certificate.
fn judge(certificates: &[(String, String)], options: &[&str]) -> Result<Vec<(Vec<String>, Vec<String>)>> {
    #[derive(Deserialize)]
    struct Verdict {
        go: Vec<String>,
    }
    let openssl = OpenSsl::new()?;
    let questions: Vec<_> =
        certificates.iter().map(|(leaf, ca)| json!({"name": "", "chain": leaf, "roots": ca})).collect();
    let verdicts: Vec<Verdict> = judges::ask(&[], &questions)?;
    let both = certificates.iter().zip(verdicts).map(|((leaf, ca), Verdict { go })| {
        let against = openssl.verify(leaf, ca, options).err().map(|error| error.to_string());
        (against.into_iter().collect(), go)
    });
    Ok(both.collect())
}
