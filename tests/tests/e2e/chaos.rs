//! What changes while a request is on its way: its approval, itself, its issuer, its issuer's CA.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use kube::{ResourceExt, api::DynamicObject};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    Space,
    certificates::{Ca, OpenSsl, csr, der, root_ca},
    cluster::{CERTIFICATE_REQUEST, ISSUER, condition, is_ready},
};
use x509_parser::{
    certificate::X509Certificate, certification_request::X509CertificationRequest, extensions::ParsedExtension,
    prelude::FromDer,
};

use crate::{
    environment::{make_issuer, space_with_issuer, with_issuer, without_approver},
    requests::{Issued, ask, ask_plainly, issued, set_conditions},
};

/// How many requests are sent into each race: some of them are hit at the wrong moment.
const RUNNERS: usize = 24;

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{prefix}-{index}")).collect()
}

fn denied(object: &DynamicObject) -> bool {
    condition(object, "Denied").is_some_and(|(status, ..)| status == "True")
}

/// Facts 2, 3, 4: whichever comes first, the denial or the certificate, it stays so; no certificate is accepted after a
/// denial.
#[tokio::test]
async fn a_denial_just_after_the_approval_counts_or_comes_too_late() -> Result<()> {
    // Where nothing is validated, as the webhook refuses both.
    let space = without_approver()?.control_plane.cluster().await?.space_without_validation("denied-late").await?;
    with_issuer(&space).await?;
    let since = space.now(CERTIFICATE_REQUEST).await?;
    let names = names("race", RUNNERS);
    for name in &names {
        ask_plainly(&space, name).await?;
    }
    for name in &names {
        set_conditions(&space, name, &["Approved"]).await?;
        set_conditions(&space, name, &["Approved", "Denied"]).await?;
    }
    let (mut signed, mut refused) = (0, 0);
    for name in &names {
        let ended = |o: &DynamicObject| denied(o) && (is_ready(o, "True", "Issued") || is_ready(o, "False", "Denied"));
        let states = space.history(CERTIFICATE_REQUEST, name, &since, ended).await?;
        let first = states.iter().position(|state| !state.data["status"]["certificate"].is_null());
        match first {
            None => {
                refused += 1;
                let last = states.last().context("no state")?;
                ensure!(last.data["status"]["failureTime"].is_string(), "{name}: no failureTime");
            }
            Some(first) => {
                signed += 1;
                let before = &states[..first];
                ensure!(!before.iter().any(denied), "{name} was signed after it had been denied: {states:#?}");
                ensure!(is_ready(&states[first], "True", "Issued"), "{name}: {:?}", states[first].data["status"]);
            }
        }
    }
    // After all of these the issuer looks at one more; what has ended stays as it is.
    ask_plainly(&space, "after").await?;
    set_conditions(&space, "after", &["Approved"]).await?;
    issued(&space, "after").await?;
    for request in space.list(CERTIFICATE_REQUEST).await? {
        let (_, reason, _) = condition(&request, "Ready").context("no Ready")?;
        let certificate = !request.data["status"]["certificate"].is_null();
        ensure!((reason == "Issued") == certificate, "{}: {reason}, certificate: {certificate}", request.name_any());
    }
    println!("{signed} were signed before the denial, {refused} were refused");
    Ok(())
}

/// A request that is deleted while it is signed is gone; one that is made in its place gets a certificate of its own.
#[tokio::test]
async fn a_request_deleted_on_its_way_leaves_nothing_behind() -> Result<()> {
    let (space, ca) = space_with_issuer("deleted").await?;
    let api = space.api(CERTIFICATE_REQUEST)?;
    let openssl = OpenSsl::new()?;
    let mut second = Vec::new();
    for (index, name) in names("gone", RUNNERS).into_iter().enumerate() {
        ask_plainly(&space, &name).await?;
        let approved = |o: &DynamicObject| condition(o, "Approved").is_some();
        space.wait(CERTIFICATE_REQUEST, &name, approved).await?;
        api.delete(&name, &Default::default()).await?;
        if index % 2 == 0 {
            let request = csr(&["again.test"])?;
            ask(&space, &name, &request, json!({})).await?;
            second.push((name, request));
        }
    }
    for (name, request) in &second {
        let chain = issued(&space, name).await?.chain;
        openssl.verify(&chain, &ca.as_ref().pem(), &["-verify_hostname", "again.test"])?;
        let (request, certificate) = (der(request)?, der(&chain)?);
        let (_, request) = X509CertificationRequest::from_der(&request)?;
        let (_, certificate) = X509Certificate::from_der(&certificate)?;
        let asked = request.certification_request_info.subject_pki.raw;
        ensure!(certificate.public_key().raw == asked, "{name} has the certificate of the one before it");
    }
    let mut left: Vec<_> = space.list(CERTIFICATE_REQUEST).await?.iter().map(ResourceExt::name_any).collect();
    let mut made: Vec<_> = second.into_iter().map(|(name, _)| name).collect();
    left.sort();
    made.sort();
    ensure!(left == made, "{left:?} are left of {made:?}");
    Ok(())
}

/// The leaf, the CA in `status.ca`, and nothing between them belong together.
fn check(openssl: &OpenSsl, issued: &Issued) -> Result<String> {
    openssl.verify(&issued.chain, &issued.ca, &[])?;
    let (leaf, ca) = (der(&issued.chain)?, der(&issued.ca)?);
    let ((_, leaf), (_, ca)) = (X509Certificate::from_der(&leaf)?, X509Certificate::from_der(&ca)?);
    let authority = leaf.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    });
    let own = ca.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    });
    ensure!(authority.is_some() && authority == own, "its authority key identifier is of another CA");
    Ok(issued.ca.clone())
}

/// CAs of one name: only their keys tell which of them signed.
fn namesakes(space: &Space, count: usize) -> Result<Vec<Ca>> {
    (0..count).map(|_| root_ca(&format!("{} CA", space.name), &PKCS_ECDSA_P256_SHA256)).collect()
}

/// Facts 9, 24, 31: every chain verifies against its own `status.ca`, whichever CA that is.
#[tokio::test]
async fn a_ca_replaced_under_load_never_mixes_with_the_one_before() -> Result<()> {
    let (space, first) = space_with_issuer("rotated").await?;
    let mut cas = namesakes(&space, 6)?;
    cas.insert(0, first);
    let names = names("load", 6 * RUNNERS);
    let load = async {
        for some in names.chunks(4) {
            try_join_all(some.iter().map(|name| ask_plainly(&space, name))).await?;
        }
        anyhow::Ok(())
    };
    // Each CA stays until it has signed something; halves of two CAs lie between them.
    let replace = async {
        for (index, pair) in cas.windows(2).enumerate() {
            let [old, new] = pair else { continue };
            let (old_key, new_key) = (old.key().serialize_pem(), new.key().serialize_pem());
            space.put_tls("internal-ca", &new.as_ref().pem(), &old_key, None).await?;
            space.put_tls("internal-ca", &new.as_ref().pem(), &new_key, None).await?;
            issued(&space, &names[(index + 1) * RUNNERS - 1]).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(load, replace)?;
    let openssl = OpenSsl::new()?;
    let mut signers = std::collections::HashSet::new();
    for name in &names {
        signers.insert(check(&openssl, &issued(&space, name).await?).context(name.clone())?);
    }
    ensure!(signers.len() > 2, "only {} of the CAs signed anything: nothing was replaced under load", signers.len());
    Ok(())
}

/// Fact 6: requests go on with the issuer that is there now, and with its CA.
#[tokio::test]
async fn an_issuer_deleted_and_made_again_under_load_serves_every_request() -> Result<()> {
    let (space, _) = space_with_issuer("remade").await?;
    let cas = namesakes(&space, 4)?;
    let names = names("load", 4 * RUNNERS);
    let load = async {
        for some in names.chunks(4) {
            try_join_all(some.iter().map(|name| ask_plainly(&space, name))).await?;
        }
        anyhow::Ok(())
    };
    let remake = async {
        for (index, ca) in cas.iter().enumerate() {
            space.api(ISSUER)?.delete("internal-ca", &Default::default()).await?;
            space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
            make_issuer(&space, "internal-ca").await?;
            issued(&space, &names[(index + 1) * RUNNERS - 1]).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(load, remake)?;
    let openssl = OpenSsl::new()?;
    for name in &names {
        check(&openssl, &issued(&space, name).await?).context(name.clone())?;
    }
    // Only the last one signs from now on.
    ask_plainly(&space, "after").await?;
    let last = cas.last().context("no CA")?;
    ensure!(issued(&space, "after").await?.ca == last.as_ref().pem().replace('\r', ""), "not by the last CA");
    Ok(())
}
