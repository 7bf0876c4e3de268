//! Weak public keys: found by the core, and by Go (the key checks of Let's Encrypt's CA, boulder); refused in requests and
//! in CAs. The keys are made as faulty generators make them, anew in each run.

mod rsa;

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use num_bigint::BigUint;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde::Deserialize;
use serde_json::json;
use tandem_issuer_core::weak_keys;
use tandem_tests::{
    certificates::{OpenSsl, csr, root_ca},
    cluster::{ISSUER, condition, is_ready},
    judges, tools,
};

use crate::{
    environment::{allow_secrets, make_issuer, space, space_with_issuer, unvalidated_space_with_issuer},
    requests::{ask, failed, obtain, pending},
};
use rsa::Rsa;

/// A public key (SubjectPublicKeyInfo, DER), and who is to find it weak.
struct Key {
    name: String,
    der: Vec<u8>,
    weak: Weak,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weak {
    No,
    Yes,
    /// Boulder divides by the primes up to 751, and knows no sizes but three.
    OnlyHere,
    OnlyThere,
}

#[derive(Deserialize)]
struct Verdict {
    name: String,
    weak: String,
}

/// Fact 19: who shares no code with the issuer finds the same keys weak; and says which differ, which are few.
#[test]
fn go_finds_the_same_keys_weak() -> Result<()> {
    let keys: Vec<_> = [rsa_keys()?, elliptic_keys()?, edwards_keys()?].into_iter().flatten().collect();
    let verdicts = judged_by_go(&keys)?;
    let mut wrong = Vec::new();
    for (Key { name, der, weak }, there) in keys.iter().zip(&verdicts) {
        let here = weak_keys::check(der).err().map(|weakness| weakness.to_string());
        let expected = (matches!(weak, Weak::Yes | Weak::OnlyHere), matches!(weak, Weak::Yes | Weak::OnlyThere));
        if expected != (here.is_some(), !there.is_empty()) {
            wrong.push(format!("{name}: {weak:?}, but here {here:?}, there {there:?}"));
        }
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), keys.len(), wrong.join("\n"));
    Ok(())
}

fn rsa_keys() -> Result<Vec<Key>> {
    let openssl = OpenSsl::new()?;
    let bit = |n: u64| BigUint::from(1_u32) << n;
    let mut keys = Vec::new();
    let mut add = |name: String, key: &Rsa, weak| {
        keys.push(Key { name, der: key.public_key(&openssl)?, weak });
        anyhow::Ok(())
    };
    for index in 0..5 {
        add(format!("sound {index}"), &Rsa::new(2048, 65537)?, Weak::No)?;
        add(format!("of Infineon's {index}"), &Rsa::infineon(2048, 126)?, Weak::Yes)?;
        add(format!("close {index}"), &Rsa::close(2048, &bit(100 * index))?, Weak::Yes)?;
    }
    add("half as close".to_owned(), &Rsa::close(2048, &bit(515))?, Weak::Yes)?;
    add("no longer close".to_owned(), &Rsa::close(2048, &bit(560))?, Weak::No)?;
    for factor in [3, 5, 743, 751] {
        add(format!("divisible by {factor}"), &Rsa::divisible(2048, factor)?, Weak::Yes)?;
    }
    for factor in [757, 4093] {
        add(format!("divisible by {factor}"), &Rsa::divisible(2048, factor)?, Weak::OnlyHere)?;
    }
    for exponent in [3, 17, 257, 65539] {
        add(format!("exponent {exponent}"), &Rsa::new(2048, exponent)?, Weak::Yes)?;
    }
    for bits in [1024, 2040, 2047, 2049, 2050] {
        add(format!("{bits} bits"), &Rsa::new(bits, 65537)?, Weak::Yes)?;
    }
    add("2056 bits".to_owned(), &Rsa::new(2056, 65537)?, Weak::OnlyThere)?;
    for (name, weak) in [("2048", Weak::No), ("3072", Weak::No), ("4096", Weak::No), ("8192", Weak::OnlyThere)] {
        let pem = std::fs::read_to_string(tools::root().join(format!("tests/data/keys/rsa-{name}.key")))?;
        let der = KeyPair::from_pem(&pem)?.subject_public_key_info();
        keys.push(Key { name: format!("by OpenSSL, {name} bits"), der, weak });
    }
    Ok(keys)
}

fn elliptic_keys() -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    for (curve, algorithm) in [
        ("P-256", &PKCS_ECDSA_P256_SHA256),
        ("P-384", &rcgen::PKCS_ECDSA_P384_SHA384),
        ("P-521", &rcgen::PKCS_ECDSA_P521_SHA512),
    ] {
        for index in 0..20 {
            let key = KeyPair::generate_for(algorithm)?;
            let (der, point) = (key.subject_public_key_info(), key.der_bytes().len());
            let start = der.len() - point;
            let mut add = |what: &str, weak, change: &dyn Fn(&mut [u8])| {
                let mut der = der.clone();
                change(&mut der[start..]);
                keys.push(Key { name: format!("{curve} {index}: {what}"), der, weak });
            };
            add("sound", Weak::No, &|_| ());
            add("not on the curve", Weak::Yes, &|point| point[point.len() - 1] ^= 1);
            add("hybrid", Weak::Yes, &|point| point[0] = 6 | (point[point.len() - 1] & 1));
            add("zero", Weak::Yes, &|point| point[1..].fill(0));
            add("beyond the field", Weak::Yes, &|point| point[1..].fill(0xff));
        }
    }
    // By OpenSSL, which writes the form that Go does not read.
    let openssl = OpenSsl::new()?;
    for form in ["compressed", "hybrid"] {
        openssl.run(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.pem"])?;
        openssl.run(&["ec", "-in", "ec.pem", "-pubout", "-conv_form", form, "-outform", "DER", "-out", "ec.pub"])?;
        let der = std::fs::read(openssl.folder().join("ec.pub"))?;
        keys.push(Key { name: format!("by OpenSSL, {form}"), der, weak: Weak::Yes });
    }
    Ok(keys)
}

fn edwards_keys() -> Result<Vec<Key>> {
    let sound = KeyPair::generate_for(&rcgen::PKCS_ED25519)?.subject_public_key_info();
    let with = |name: String, y: &BigUint, sign: bool, weak| {
        let mut point = y.to_bytes_le();
        point.resize(32, 0);
        point[31] |= u8::from(sign) << 7;
        Key { name, der: [&sound[..12], &point].concat(), weak }
    };
    let mut keys = Vec::new();
    for index in 0..20 {
        let der = KeyPair::generate_for(&rcgen::PKCS_ED25519)?.subject_public_key_info();
        keys.push(Key { name: format!("Ed25519 {index}"), der, weak: Weak::No });
    }
    let p = (BigUint::from(1_u32) << 255_u32) - 19_u32;
    // Sign and y of the points of small order, and of whatever lies beyond the field.
    let order_8: BigUint = "2707385501144840649318225287225658788936804267575313519463743609750303402022".parse()?;
    let small = [BigUint::ZERO, 1_u32.into(), &p - 1_u32, &p - &order_8, order_8];
    for sign in [false, true] {
        for y in &small {
            keys.push(with(format!("of small order: {y}, {sign}"), y, sign, Weak::Yes));
        }
        for beyond in 0..19_u32 {
            keys.push(with(format!("not canonical: p + {beyond}, {sign}"), &(&p + beyond), sign, Weak::Yes));
        }
    }
    Ok(keys)
}

fn judged_by_go(keys: &[Key]) -> Result<Vec<String>> {
    let question = |Key { name, der, .. }: &Key| json!({"name": name, "key": ByteString(der.clone())});
    let verdicts: Vec<Verdict> = judges::ask(&["keys"], &keys.iter().map(question).collect::<Vec<_>>())?;
    ensure!(verdicts.iter().map(|verdict| &verdict.name).eq(keys.iter().map(|key| &key.name)), "not these keys");
    Ok(verdicts.into_iter().map(|verdict| verdict.weak).collect())
}

/// Fact 19: requests that are truly signed by a weak key fail; a CA that has one is none.
#[tokio::test]
async fn weak_keys_are_refused_in_requests_and_in_cas() -> Result<()> {
    let (space, _) = unvalidated_space_with_issuer("weak").await?;
    let openssl = OpenSsl::new()?;
    for (name, key, weakness) in [
        ("roca", Rsa::infineon(2048, 126)?, "bears the mark of a faulty generator (ROCA, CVE-2017-15361)"),
        ("close", Rsa::close(2048, &BigUint::ZERO)?, "too close to each other (CVE-2022-26320)"),
        ("divisible", Rsa::divisible(2048, 4093)?, "divisible by 4093"),
        ("exponent", Rsa::new(2048, 3)?, "its RSA exponent is not 65537"),
        ("short", Rsa::new(1024, 65537)?, "its RSA modulus has 1024 bits; 2048 to 8192"),
        ("odd", Rsa::new(2049, 65537)?, "its RSA modulus has 2049 bits; 2048 to 8192, in whole octets"),
    ] {
        ask(&space, name, &key.csr(&openssl)?, json!({})).await?;
        let told = failed(&space, name).await?;
        ensure!(told.starts_with("the request's public key is refused: ") && told.contains(weakness), "{name}: {told}");

        let (certificate, key) = key.ca(&openssl)?;
        space.put_tls(name, &certificate, &key, None).await?;
        make_issuer(&space, name).await?;
        let seen = space.wait(ISSUER, name, |object| is_ready(object, "False", "ErrInvalidKeyPair")).await?;
        let told = condition(&seen, "Ready").context("no Ready")?.2;
        ensure!(told.contains("tls.crt: the certificate \"CN=weak\": its public key is refused: "), "{name}: {told}");
        ensure!(told.contains(weakness), "{name}: {told}");
    }
    Ok(())
}

/// Fact 19: keys that the issuer's spec names by their hash, as OpenSSL computes it.
#[tokio::test]
async fn keys_that_the_issuer_refuses_are_refused() -> Result<()> {
    let (space, ca) = space_with_issuer("refused").await?;
    let openssl = OpenSsl::new()?;
    let known = openssl.csr(
        "[req]\ndistinguished_name=dn\nprompt=no\nreq_extensions=ext\n[dn]\nCN=a\n[ext]\nsubjectAltName=DNS:a.test\n",
        &[],
    )?;
    let hash = |key: &str| {
        openssl.run_with(
            &[("known.pem", key)],
            &["pkey", "-in", "known.pem", "-pubout", "-outform", "DER", "-out", "known.pub"],
        )?;
        let digest = openssl.run(&["dgst", "-sha256", "-r", "known.pub"])?;
        anyhow::Ok(digest.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let (known_hash, ca_hash) = (hash(&openssl.read("key.pem")?)?, hash(&ca.key().serialize_pem())?);
    let refuse = |hash: String| {
        let issuer = json!({
            "apiVersion": ISSUER.0, "kind": ISSUER.1, "metadata": {"name": "internal-ca"},
            "spec": {"ca": {"secretName": "internal-ca"}, "refusedKeys": [hash]},
        });
        let space = space.clone();
        async move { space.apply(&issuer.to_string()).await }
    };
    obtain(&space, "before", &known, json!({})).await?;
    refuse(known_hash.to_uppercase()).await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    ask(&space, "known", &known, json!({})).await?;
    assert_eq!(
        failed(&space, "known").await?,
        format!(
            "the request's public key is refused: the issuer's spec.refusedKeys holds its hash {known_hash}; make a new key"
        )
    );
    obtain(&space, "other", &csr(&["a.test"])?, json!({})).await?;

    refuse(ca_hash.clone()).await?;
    let seen = space.wait(ISSUER, "internal-ca", |object| is_ready(object, "False", "ErrInvalidKeyPair")).await?;
    let told = condition(&seen, "Ready").context("no Ready")?.2;
    ensure!(told.contains(&ca_hash) && told.ends_with("; put another CA there"), "{told}");
    ask(&space, "waits", &csr(&["a.test"])?, json!({})).await?;
    pending(&space, "waits").await?;
    let refused = refuse("0".repeat(63)).await;
    ensure!(format!("{:#}", refused.err().context("a short hash was taken")?).contains("spec.refusedKeys[0]"));
    Ok(())
}

/// Fact 24: the last good CA stays where its successor has a weak key.
#[tokio::test]
async fn a_weak_successor_leaves_the_last_good_ca_in_use() -> Result<()> {
    let space = space("weak-successor").await?;
    allow_secrets(&space).await?;
    let good = root_ca("good", &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("internal-ca", &good.as_ref().pem(), &good.key().serialize_pem(), None).await?;
    make_issuer(&space, "internal-ca").await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    let (certificate, key) = Rsa::close(2048, &BigUint::ZERO)?.ca(&OpenSsl::new()?)?;
    space.put_tls("internal-ca", &certificate, &key, None).await?;
    let seen = space.wait(ISSUER, "internal-ca", |object| is_ready(object, "True", "LastGoodKeyPair")).await?;
    let told = condition(&seen, "Ready").context("no Ready")?.2;
    ensure!(told.contains("too close") && told.contains("until it is whole again"), "{told}");
    let issued = obtain(&space, "by-the-last-good", &csr(&["a.test"])?, json!({})).await?;
    OpenSsl::new()?.verify(&issued.chain, &good.as_ref().pem(), &[])
}
