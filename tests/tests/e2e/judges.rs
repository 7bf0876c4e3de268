//! Independent judges on hundreds of certificates: OpenSSL (`verify -x509_strict`), Go's crypto/x509, and zlint.
//!
//! The certificates are made by the same core that the controller runs, over the matrix in `matrix.rs`. A judge may object
//! only where `exceptions.rs` says so and why, and then it must: an exception that no longer occurs fails the test as well.

mod exceptions;
mod matrix;
mod pki;

use std::{
    collections::{BTreeMap, HashSet},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_tests::{
    certificates::{OpenSsl, blocks},
    judges,
};

use exceptions::{EXCEPTIONS, Judge};
use matrix::{Case, Chain, cases};
use pki::Pki;

/// A certificate as it was published, with what a verifier is told to trust.
struct Issued {
    case: Case,
    chain: String,
    trusted: String,
}

/// What judges have against a certificate, in their words.
type Objections = Vec<(Judge, String)>;

fn issue_all(cases: impl Iterator<Item = Case>) -> Result<Vec<Issued>> {
    let now = Timestamp::now();
    let mut pki = Pki::default();
    cases
        .map(|case| {
            let (issued, trusted) = pki.issue(&case, now).with_context(|| format!("{:?}", case.values()))?;
            Ok(Issued { case, chain: issued.certificate, trusted })
        })
        .collect()
}

#[test]
fn any_two_values_of_the_matrix_meet() {
    let mut values: [HashSet<String>; 7] = Default::default();
    let mut pairs = HashSet::new();
    for case in cases() {
        for (index, value) in case.values().into_iter().enumerate() {
            pairs.extend(case.values().into_iter().skip(index + 1).map(|other| (value.clone(), other)));
            values[index].insert(value);
        }
    }
    let sizes: Vec<_> = values.iter().map(HashSet::len).collect();
    let all = |from: usize| sizes.iter().skip(from + 1).map(|size| size * sizes[from]).sum::<usize>();
    assert_eq!(pairs.len(), (0..sizes.len()).map(all).sum::<usize>(), "{sizes:?}");
    assert!(cases().count() >= 500);
}

/// Facts 14, 15, 19, 31: extensions and their criticalities, the issuer's name, every kind of key, and the key identifiers,
/// to the satisfaction of three who share no code with the issuer.
#[test]
fn three_judges_accept_every_certificate() -> Result<()> {
    let issued = issue_all(cases())?;
    let openssl = judged_by_openssl(&issued)?;
    let others = judged_by_go(&issued)?;
    let mut wrong = Vec::new();
    for (index, Issued { case, .. }) in issued.iter().enumerate() {
        let objections = || openssl[index].iter().chain(&others[index]);
        for exception in EXCEPTIONS {
            let expected = (exception.concerns)(case);
            let occurs = objections().any(|objection| exception.matches(objection));
            if expected && !occurs {
                let (says, reason) = (exception.says, exception.reason);
                wrong.push(format!("{:?}: this exception does not occur: {says} ({reason})", case.values()));
            }
        }
        for objection in objections() {
            if !EXCEPTIONS.iter().any(|exception| (exception.concerns)(case) && exception.matches(objection)) {
                wrong.push(format!("{:?}: {objection:?}", case.values()));
            }
        }
    }
    ensure!(wrong.is_empty(), "{} judgements:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// What is wrong is seen: a judge that accepts everything would prove nothing.
#[test]
fn the_judges_refuse_what_another_ca_signed() -> Result<()> {
    let mut issued = issue_all(cases().take(20))?;
    let stranger = tandem_tests::certificates::root_ca("Issuing CA", &rcgen::PKCS_ECDSA_P384_SHA384)?.as_ref().pem();
    for issued in &mut issued {
        issued.trusted = stranger.clone();
    }
    for (index, openssl) in judged_by_openssl(&issued)?.iter().enumerate() {
        assert!(!openssl.is_empty(), "OpenSSL accepts {:?}", issued[index].case.values());
    }
    for (index, others) in judged_by_go(&issued)?.iter().enumerate() {
        let refused = others.iter().any(|(judge, _)| *judge == Judge::Go);
        assert!(refused, "crypto/x509 accepts {:?}", issued[index].case.values());
    }
    Ok(())
}

/// One process for all certificates of the same chain and purpose.
fn judged_by_openssl(issued: &[Issued]) -> Result<Vec<Objections>> {
    let openssl = OpenSsl::new()?;
    let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (index, Issued { case, chain, trusted }) in issued.iter().enumerate() {
        let mut certificates = blocks(chain)?.into_iter();
        let leaf = format!("{index}.pem");
        std::fs::write(openssl.folder().join(&leaf), certificates.next().context("no leaf")?)?;
        let between: String = certificates.collect();
        let partial = case.chain == Chain::RootUnknown;
        groups.entry((trusted, between, partial, case.usages.purpose)).or_default().push(leaf);
    }
    let mut all = vec![Objections::new(); issued.len()];
    for ((trusted, between, partial, purpose), leaves) in groups {
        std::fs::write(openssl.folder().join("trusted.pem"), trusted)?;
        std::fs::write(openssl.folder().join("between.pem"), &between)?;
        let mut command = Command::new("openssl");
        command.current_dir(openssl.folder()).args(["verify", "-x509_strict", "-no-CApath", "-no-CAstore"]);
        command.args(["-CAfile", "trusted.pem", "-purpose", purpose]);
        if !between.is_empty() {
            command.args(["-untrusted", "between.pem"]);
        }
        if partial {
            command.arg("-partial_chain");
        }
        let output = command.args(&leaves).output().context("openssl does not start")?;
        let (accepted, refused) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        let mut answers = accepted.lines().filter(|line| line.ends_with(": OK")).count();
        // What it has against a certificate comes first, then the file's name.
        let mut objections = Objections::new();
        for line in refused.lines() {
            match line.strip_prefix("error ").and_then(|rest| rest.strip_suffix(".pem: verification failed")) {
                Some(index) => {
                    let place = all.get_mut(index.parse::<usize>()?).context("a certificate of nobody")?;
                    place.append(&mut objections);
                    answers += 1;
                }
                None if line.starts_with("error ") => objections.push((Judge::OpenSsl, line.to_owned())),
                None => {} // the certificate's subject
            }
        }
        ensure!(answers == leaves.len(), "openssl judged {answers} of {}: {refused}", leaves.len());
    }
    Ok(all)
}

/// What `tests/judges` reads and writes, a line each.
#[derive(Serialize)]
struct Question<'a> {
    name: String,
    chain: &'a str,
    roots: &'a str,
}

#[derive(Deserialize)]
struct Verdict {
    name: String,
    go: Vec<String>,
    zlint: Vec<Finding>,
}

#[derive(Deserialize)]
struct Finding {
    lint: String,
    says: String,
}

/// crypto/x509 and zlint.
fn judged_by_go(issued: &[Issued]) -> Result<Vec<Objections>> {
    let questions = issued.iter().enumerate().map(|(index, Issued { chain, trusted, .. })| Question {
        name: index.to_string(),
        chain,
        roots: trusted,
    });
    let verdicts: Vec<Verdict> = judges::ask(&[], &questions.collect::<Vec<_>>())?;
    let objections = verdicts.into_iter().enumerate().map(|(index, verdict)| {
        ensure!(verdict.name == index.to_string(), "verdicts are out of order");
        let go = verdict.go.into_iter().map(|problem| (Judge::Go, problem));
        let zlint = verdict.zlint.into_iter().map(|Finding { lint, says }| (Judge::Zlint, format!("{lint}: {says}")));
        Ok(go.chain(zlint).collect())
    });
    objections.collect()
}
