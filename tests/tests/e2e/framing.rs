//! How a request is framed and signed: what cert-manager takes is taken, the rest fails for good (issuer fact 10). A
//! private key that is pasted in place of a request is never told to anybody.

use anyhow::{Context, Result};
use serde_json::json;
use tandem_tests::{
    canary::Canary,
    certificates::{OpenSsl, csr, der},
    cluster::CERTIFICATE_REQUEST,
};

use crate::{
    environment::{assert_untold, shared, space_with_issuer, unvalidated_space_with_issuer},
    requests::{ask, failed, obtain},
};

/// PEM as a whole, with lines of 64 characters.
fn pem(label: &str, content: &[u8]) -> String {
    pem::encode_config(&pem::Pem::new(label, content), pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}

/// Fact 10: through cert-manager's webhook.
#[tokio::test]
async fn what_cert_manager_takes_is_taken() -> Result<()> {
    // With cert-manager's webhook, which has to take it first.
    let (space, ca) = space_with_issuer("framing").await?;
    let good = csr(&["leaf.test"])?;
    let openssl = OpenSsl::new()?;
    let text = openssl.run_with(&[("good.pem", &good)], &["req", "-in", "good.pem", "-text"])?;
    assert!(text.starts_with("Certificate Request:"), "{text}");
    for (name, request) in [
        ("new", good.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")),
        ("text-before", text),
        ("space-after", format!("{good}\n \n\t\n")),
        ("crlf", good.replace('\n', "\r\n").replace("\r\r", "\r")),
        ("no-end-of-line", good.trim_end().to_owned()),
    ] {
        let chain = obtain(&space, name, &request, json!({})).await.context(name)?.chain;
        openssl.verify(&chain, &ca.as_ref().pem(), &[])?;
    }
    Ok(())
}

/// Facts 10, 19: framing, signature, key and hash.
#[tokio::test]
async fn what_is_not_one_request_signed_by_its_own_key_fails() -> Result<()> {
    let (space, _) = unvalidated_space_with_issuer("unsigned").await?;
    let openssl = OpenSsl::new()?;
    let request = |label: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut content = der(&csr(&["leaf.test"])?)?;
        change(&mut content);
        anyhow::Ok(pem(label, &content))
    };
    let made = |key: &[&str], digest: &str| {
        openssl.run(&[&["genpkey", "-out", "weak.pem"], key].concat())?;
        openssl.run(&["req", "-new", "-key", "weak.pem", "-subj", "/CN=weak", digest, "-out", "weak.csr"])?;
        openssl.read("weak.csr")
    };
    let p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const LABEL: &str = "CERTIFICATE REQUEST";
    let cases = [
        ("trailing", request(LABEL, &|der| der.push(0))?, "not a PKCS#10 certification request in DER"),
        ("cut-off", request(LABEL, &|der| der.truncate(der.len() - 1))?, "not a PKCS#10 certification request in DER"),
        ("signature", request(LABEL, &|der| der.iter_mut().skip(60).take(1).for_each(|byte| *byte ^= 1))?, ""),
        ("certificate", request("CERTIFICATE", &|_| {})?, "its label is \"CERTIFICATE\""),
        ("sha-1", made(&p256, "-sha1")?, "with SHA-256 or stronger"),
        ("rsa-1024", made(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "-sha256")?, "public key"),
        ("secp256k1", made(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"], "-sha256")?, "use RSA"),
        ("ed448", made(&["-algorithm", "ED448"], "-sha256")?, "use RSA (2048 to 8192 bits), ECDSA P-256, P-384"),
        ("empty", "\n".to_owned(), "no PEM block was found"),
    ];
    for (name, request, message) in cases {
        ask(&space, name, &request, json!({})).await?;
        let told = failed(&space, name).await?;
        assert!(told.starts_with("the request") && told.contains(message), "{name}: {told}");
        space.event((CERTIFICATE_REQUEST.1, name), "SigningError", &told).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_private_key_in_place_of_a_request_is_told_to_nobody() -> Result<()> {
    let (space, _) = unvalidated_space_with_issuer("pasted-key").await?;
    let openssl = OpenSsl::new()?;
    openssl.run(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.pem"])?;
    let key = openssl.read("key.pem")?;
    let mut lines: Vec<_> = key.lines().collect();
    let (last, first) = (lines.pop().context("no end")?, lines.remove(0));
    let body = lines.join("\n");
    let one_line = lines.concat();
    // As it is, and as it may look after having been pasted.
    let pasted = [
        ("as-it-is", key.clone()),
        ("blank-line", key.replacen("\n", "\n\n", 4)),
        ("blank-line-within", format!("{first}\n{}\n\n{body}\n{last}\n", lines.first().unwrap_or(&""))),
        ("one-line", format!("{first}\n{one_line}\n{last}\n")),
        ("one-line-and-blank", format!("{first}\n{one_line}\n\n{last}\n")),
        ("as-request", key.replace("PRIVATE KEY", "CERTIFICATE REQUEST")),
        ("begin-broken", format!("-----BEGIN PRIVATE KEY---\n{body}\n-----\n{last}\n")),
        ("end-broken", format!("{first}\n{body}\n-----END {one_line}-----\n")),
        ("label", format!("-----BEGIN {one_line}-----\n{body}\n-----END {one_line}-----\n")),
        ("label-line", format!("-----BEGIN\n{body}-----\n{body}\n-----END\n{body}-----\n")),
        ("body-alone", body.clone()),
        ("header", format!("{first}\nKey: {one_line}\n{one_line}\n\n{body}\n{last}\n")),
    ];
    for (name, request) in &pasted {
        ask(&space, name, request, json!({})).await?;
    }
    let canary = Canary::of(&[&key], &[])?;
    let mut told = Vec::new();
    for (name, _) in &pasted {
        let message = failed(&space, name).await?;
        space.event((CERTIFICATE_REQUEST.1, name), "SigningError", "the request is not").await?;
        if !canary.find(&message).is_empty() {
            told.push(name);
        }
    }
    assert!(told.is_empty(), "the status of these tells the key: {told:?}");
    assert_untold(shared()?, &space, &canary).await
}
