//! What is granted of what was asked for: usages, CA, durations, identifiers (issuer facts 11, 12, 14, 16, 26, 28, 31).

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use rcgen::{KeyIdMethod, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tandem_tests::{
    certificates::{OpenSsl, ca_params, csr, root_ca_of},
    cluster::ISSUER,
};

use crate::{
    environment::{allow_secrets, make_issuer, space, space_with_issuer, unvalidated_space_with_issuer},
    requests::{ask, failed, issued, obtain},
};

/// OpenSSL's configuration of a request with these extensions.
fn config(extensions: &str) -> String {
    let asked = if extensions.is_empty() { "" } else { "req_extensions = ext" };
    format!("[req]\nprompt = no\ndistinguished_name = dn\n{asked}\n[dn]\nCN = leaf\n[ext]\n{extensions}\n")
}

/// Facts 12, 14: the defaults as well; an unknown extension is dropped.
#[tokio::test]
async fn usages_are_those_of_the_spec_in_its_order() -> Result<()> {
    const BOTH: &str = "TLS Web Client Authentication, TLS Web Server Authentication";
    let both = json!({"usages": ["client auth", "digital signature", "server auth"]});
    // Name, extensions in the request, spec, key usage and extended key usage in the certificate.
    let cases = [
        ("defaults", "", json!({}), "Digital Signature, Key Encipherment", ""),
        ("from-spec", "", both.clone(), "Digital Signature", BOTH),
        (
            "encoded-alike",
            "keyUsage = digitalSignature\nextendedKeyUsage = clientAuth, serverAuth",
            both.clone(),
            "Digital Signature",
            BOTH,
        ),
        ("extended-alone", "", json!({"usages": ["server auth"]}), "", "TLS Web Server Authentication"),
        ("no-ca", "basicConstraints = CA:FALSE", json!({}), "Digital Signature, Key Encipherment", ""),
        (
            "unknown-extensions",
            "1.2.3.4.5 = ASN1:UTF8String:dropped\nnsComment = dropped",
            json!({}),
            "Digital Signature, Key Encipherment",
            "",
        ),
    ];
    let (space, ca) = unvalidated_space_with_issuer("usages").await?;
    let openssl = OpenSsl::new()?;
    for (name, extensions, spec, usage, extended) in cases {
        let chain = obtain(&space, name, &openssl.csr(&config(extensions), &[])?, spec).await?.chain;
        openssl.verify(&chain, &ca.as_ref().pem(), &[])?;
        let shown = |extension: &str| openssl.extension(&chain, extension);
        let expected =
            |title: &str, value: &str| if value.is_empty() { String::new() } else { format!("{title}\n{value}") };
        assert_eq!(shown("keyUsage")?, expected("X509v3 Key Usage: critical", usage), "{name}");
        assert_eq!(shown("extendedKeyUsage")?, expected("X509v3 Extended Key Usage:", extended), "{name}");
        assert_eq!(shown("basicConstraints")?, "X509v3 Basic Constraints: critical\nCA:FALSE", "{name}");
        assert!(!openssl.show(&chain, &["-text"])?.contains("dropped"), "{name}: an unknown extension was copied");
    }
    Ok(())
}

/// Fact 11: a mismatch fails, nothing is merged.
#[tokio::test]
async fn what_the_request_encodes_must_be_what_its_spec_asks_for() -> Result<()> {
    let cases = [
        (
            "key-usage",
            "keyUsage = digitalSignature",
            json!({}),
            "key usage digital signature, but its spec asks for digital signature, key encipherment",
        ),
        (
            "order",
            "keyUsage = digitalSignature\nextendedKeyUsage = serverAuth, clientAuth",
            json!({"usages": ["digital signature", "client auth", "server auth"]}),
            "extended key usage server auth, client auth, but its spec asks for client auth, server auth",
        ),
        (
            "one-more",
            "keyUsage = digitalSignature\nextendedKeyUsage = serverAuth, clientAuth",
            json!({"usages": ["digital signature", "server auth"]}),
            "extended key usage server auth, client auth, but its spec asks for server auth",
        ),
        (
            "extended-alone",
            "extendedKeyUsage = serverAuth",
            json!({"usages": ["digital signature", "server auth"]}),
            "key usage none, but its spec asks for digital signature",
        ),
        ("ca", "basicConstraints = CA:TRUE", json!({}), "isCA true, but its spec asks for false"),
        ("no-ca", "basicConstraints = CA:FALSE", json!({"isCA": true}), "isCA false, but its spec asks for true"),
    ];
    let (space, _) = unvalidated_space_with_issuer("unequal").await?;
    let openssl = OpenSsl::new()?;
    for (name, extensions, spec, message) in cases {
        ask(&space, name, &openssl.csr(&config(extensions), &[])?, spec).await?;
        assert_eq!(failed(&space, name).await?, format!("the request encodes {message}"), "{name}");
    }
    Ok(())
}

/// Facts 14, 26: what they forbid is not signed.
#[tokio::test]
async fn a_ca_keeps_path_length_and_name_constraints_and_is_held_to_them() -> Result<()> {
    let (space, root) = space_with_issuer("constrained").await?;
    let openssl = OpenSsl::new()?;
    let extensions = "basicConstraints = critical, CA:TRUE, pathlen:0\n\
                      nameConstraints = critical, permitted;DNS:inside.test, excluded;DNS:not.inside.test";
    let wanted = json!({"isCA": true, "usages": ["digital signature"], "duration": "4000h"});
    let made = obtain(&space, "ca", &openssl.csr(&config(extensions), &[])?, wanted).await?;
    let shown = |extension: &str| openssl.extension(&made.chain, extension);
    assert_eq!(shown("basicConstraints")?, "X509v3 Basic Constraints: critical\nCA:TRUE, pathlen:0");
    assert_eq!(shown("keyUsage")?, "X509v3 Key Usage: critical\nDigital Signature, Certificate Sign");
    assert_eq!(
        shown("nameConstraints")?,
        "X509v3 Name Constraints: critical\nPermitted:\nDNS:inside.test\nExcluded:\nDNS:not.inside.test"
    );

    space.put_tls("beneath", &made.chain, &openssl.read("key.pem")?, Some(&made.ca)).await?;
    make_issuer(&space, "beneath").await?;
    space.wait_ready(ISSUER, "beneath").await?;
    let by_it = |more: Value| {
        let mut spec =
            json!({"issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "beneath"}});
        spec.as_object_mut().into_iter().for_each(|spec| spec.extend(more.as_object().cloned().unwrap_or_default()));
        spec
    };
    let inside = obtain(&space, "inside", &csr(&["a.inside.test"])?, by_it(json!({}))).await?;
    openssl.verify(&inside.chain, &root.as_ref().pem(), &[])?;
    for (name, dns, says) in [
        ("outside", "outside.test", "they permit only DNS name \"inside.test\""),
        ("excluded", "not.inside.test", "they exclude DNS name \"not.inside.test\""),
    ] {
        ask(&space, name, &csr(&[dns])?, by_it(json!({}))).await?;
        let expected = format!("the DNS name {dns:?} breaks the name constraints of the CA \"CN=leaf\": {says}");
        assert_eq!(failed(&space, name).await?, expected);
    }
    ask(&space, "too-deep", &openssl.csr(&config(""), &[])?, by_it(json!({"isCA": true}))).await?;
    assert_eq!(
        failed(&space, "too-deep").await?,
        "a CA certificate was asked for, but the path length of the issuing CA's chain allows none beneath it"
    );
    Ok(())
}

/// Facts 12, 16: as Go writes durations; 90 days where none is named.
#[tokio::test]
async fn the_validity_is_the_duration_asked_for() -> Result<()> {
    let (space, _) = space_with_issuer("durations").await?;
    let openssl = OpenSsl::new()?;
    // As Go writes and reads durations; none given is 90 days.
    let cases = [
        ("default", json!({}), 90 * 86_400),
        ("an-hour", json!({"duration": "1h"}), 3600),
        ("mixed", json!({"duration": "1h30m15s"}), 5415),
        ("fraction", json!({"duration": "1.5h"}), 5400),
        ("plus", json!({"duration": "+2h"}), 7200),
        ("years", json!({"duration": "87660h"}), 87_660 * 3600),
    ];
    for (name, spec, seconds) in cases {
        let asked = Timestamp::now();
        let chain = obtain(&space, name, &csr(&["leaf.test"])?, spec).await?.chain;
        let dates = openssl.show(&chain, &["-startdate", "-enddate", "-dateopt", "iso_8601"])?;
        let mut dates = dates.lines().filter_map(|line| line.split_once('=')?.1.parse::<Timestamp>().ok());
        let (from, to) = (dates.next().context("no beginning")?, dates.next().context("no end")?);
        let off = to.as_second() - from.as_second() - seconds;
        ensure!(off.abs() <= 30, "{name}: {off} s more than asked for");
        ensure!(from <= Timestamp::now() && from.as_second() > asked.as_second() - 600, "{name} begins at {from}");
    }
    for (name, duration) in [("nothing", "0s"), ("negative", "-1h"), ("too-short", "999ms")] {
        ask(&space, name, &csr(&["leaf.test"])?, json!({"duration": duration})).await?;
        let message = failed(&space, name).await?;
        ensure!(message.contains("spec.duration: ") && message.contains("not a duration"), "{name}: {message}");
    }
    Ok(())
}

/// Fact 28: also for the same request again.
#[tokio::test]
async fn serial_numbers_are_long_positive_and_never_the_same() -> Result<()> {
    const MANY: usize = 24;
    let (space, _) = space_with_issuer("serials").await?;
    let openssl = OpenSsl::new()?;
    let request = csr(&["leaf.test"])?;
    for index in 0..MANY {
        // The same request again and again.
        ask(&space, &format!("leaf-{index}"), &request, json!({})).await?;
    }
    let mut serials = HashSet::new();
    for index in 0..MANY {
        let chain = issued(&space, &format!("leaf-{index}")).await?.chain;
        let shown = openssl.show(&chain, &["-serial"])?;
        let serial = shown.strip_prefix("serial=").context("no serial")?.to_owned();
        ensure!(!serial.starts_with('-') && serial.chars().all(|c| c.is_ascii_hexdigit()), "{serial}");
        // At most 20 octets, the first one without its sign bit; at least 128 bits.
        let first = u8::from_str_radix(serial.get(..2).unwrap_or_default(), 16)?;
        ensure!((32..=40).contains(&serial.len()) && (serial.len() < 40 || first < 0x80), "{serial}");
        ensure!(serials.insert(serial), "a serial number was used twice: {shown}");
    }
    Ok(())
}

/// Fact 31: the CA's own where it has one.
#[tokio::test]
async fn key_identifiers_are_the_cas_own_and_gos() -> Result<()> {
    let space = space("identifiers").await?;
    allow_secrets(&space).await?;
    let openssl = OpenSsl::new()?;
    let mut own = ca_params("own");
    own.key_identifier_method = KeyIdMethod::PreSpecified(b"of its own".to_vec());
    let own = root_ca_of(own, &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("own", &own.as_ref().pem(), &own.key().serialize_pem(), None).await?;
    openssl.csr(&config(""), &[])?;
    openssl.run(&[
        "req",
        "-x509",
        "-config",
        "csr.cnf",
        "-key",
        "key.pem",
        "-days",
        "3650",
        "-addext",
        "basicConstraints=CA:TRUE",
        "-addext",
        "subjectKeyIdentifier=none",
        "-out",
        "none.pem",
    ])?;
    let without = openssl.read("none.pem")?;
    space.put_tls("none", &without, &openssl.read("key.pem")?, None).await?;
    let of_its_own: Vec<_> = b"of its own".iter().map(|byte| format!("{byte:02X}")).collect();
    for (name, expected) in [("own", of_its_own.join(":")), ("none", go_key_id(&openssl, &without)?)] {
        make_issuer(&space, name).await?;
        let reference = json!({"issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": name}});
        let chain = obtain(&space, name, &csr(&["leaf.test"])?, reference).await?.chain;
        let shown =
            |extension: &str| anyhow::Ok(openssl.extension(&chain, extension)?.lines().last().map(str::to_owned));
        assert_eq!(
            shown("authorityKeyIdentifier")?.as_deref().map(|id| id.trim_start_matches("keyid:")),
            Some(&*expected)
        );
        assert_eq!(shown("subjectKeyIdentifier")?, Some(go_key_id(&openssl, &chain)?));
    }
    Ok(())
}

/// The identifier that Go gives a certificate's key: the first 160 bits of SHA-256 over the public key's bits.
fn go_key_id(openssl: &OpenSsl, certificate: &str) -> Result<String> {
    std::fs::write(openssl.folder().join("public.pem"), openssl.show(certificate, &["-pubkey"])?)?;
    openssl.run(&["pkey", "-pubin", "-in", "public.pem", "-outform", "DER", "-out", "public.der"])?;
    // A P-256 key's bits are the last 65 bytes of its SubjectPublicKeyInfo.
    let spki = std::fs::read(openssl.folder().join("public.der"))?;
    let bits = spki.len().checked_sub(65).and_then(|start| spki.get(start..)).context("no P-256 key")?;
    std::fs::write(openssl.folder().join("bits"), bits)?;
    let digest = openssl.run(&["dgst", "-sha256", "-c", "bits"])?;
    let digest = digest.trim_end().rsplit("= ").next().unwrap_or_default().to_uppercase();
    Ok(digest.split(':').take(20).collect::<Vec<_>>().join(":"))
}
