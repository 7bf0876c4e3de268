//! Many requests at once, and an issuer that is killed while it works on them.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher, Hasher, RandomState},
    sync::Mutex,
};

use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode};
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject},
};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    IssuerProcess, Space,
    certificates::{OpenSsl, der, root_ca},
    cluster::{CERTIFICATE_REQUEST, CLUSTER_ISSUER, ISSUER},
    faults::{FaultProxy, Trouble},
    issuer,
};
use tokio::sync::oneshot;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{
    environment::{AUDIT, Environment, allow_secrets, make_issuer, with_issuer},
    load::{Certificates, Progress, Step, accepted, ask_for_many},
    requests::{ask_plainly, get, issued, reference},
};

pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("leaf-{index}")).collect()
}

/// Every one of these requests was given one certificate, and no other ever: by the audit log and by the watch, which has
/// also what was stored when whoever had written it was gone before the answer.
pub(crate) fn assert_one_certificate_each(
    environment: &Environment,
    certificates: &Certificates,
    requests: &[DynamicObject],
) -> Result<()> {
    let mut certificates = certificates.clone();
    for (uid, certificate) in accepted(environment)? {
        certificates.entry(uid).or_default().insert(certificate);
    }
    for request in requests {
        let accepted = certificates.remove(&request.uid().context("no UID")?).unwrap_or_default();
        let current = request.data["status"]["certificate"].as_str().unwrap_or_default();
        ensure!(
            accepted.len() == 1 && accepted.contains(current),
            "{}: {} different certificates were accepted",
            request.name_any(),
            accepted.len()
        );
    }
    Ok(())
}

/// A namespace with few requests is served before one with thousands, however late it comes: between the approval and the
/// certificate of each of its requests, fewer than a tenth of the other's are served.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_requests_of_one_namespace_do_not_keep_another_waiting() -> Result<()> {
    const MANY: usize = 2000;
    const FEW: usize = 20;
    let mut environment = Environment::start(&[AUDIT], &[]).await?;
    let cluster = environment.control_plane.cluster().await?;
    let ca = root_ca("shared", &PKCS_ECDSA_P256_SHA256)?;
    let home = Space { cluster: cluster.clone(), name: issuer::NAMESPACE.to_owned() };
    home.put_tls("shared", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    let tandem = json!({
        "apiVersion": CLUSTER_ISSUER.0, "kind": CLUSTER_ISSUER.1, "metadata": {"name": "shared"},
        "spec": {"ca": {"secretName": "shared"}},
    });
    home.apply(&tandem.to_string()).await?;
    home.wait_ready(CLUSTER_ISSUER, "shared").await?;
    let (many, few) = (cluster.space("many").await?, cluster.space("few").await?);
    let reference = json!({"group": "pki.tandem.internal", "kind": CLUSTER_ISSUER.1, "name": "shared"});

    // All of them are approved before the issuer is there to see them.
    ensure!(environment.issuer.process().stop()?, "it did not stop cleanly");
    let mut progress = Progress::follow(&cluster)?;
    ask_for_many(&many, &names(MANY), &reference).await?;
    progress.until(&many, Step::Approved, MANY).await?;
    environment.issuer = IssuerProcess::of(&environment.control_plane).start().await?;
    progress.until(&many, Step::Issued, 32).await?;
    ask_for_many(&few, &names(FEW), &reference).await?;
    progress.until(&few, Step::Issued, FEW).await?;
    progress.until(&many, Step::Issued, MANY).await?;

    let mut overtaken = BTreeMap::new();
    for name in names(FEW) {
        let place = |step| {
            let of_it = (few.name.clone(), name.clone(), step);
            progress.steps.iter().position(|taken| *taken == of_it).context("it is not there")
        };
        let between = &progress.steps[place(Step::Approved)?..place(Step::Issued)?];
        let by = between.iter().filter(|(space, _, step)| (space, *step) == (&many.name, Step::Issued)).count();
        overtaken.insert(name, by);
    }
    println!("served between approval and certificate: {overtaken:?}");
    ensure!(overtaken.values().all(|by| *by < MANY / 10), "it was kept waiting: {overtaken:?}");

    let openssl = OpenSsl::new()?;
    for index in (0..MANY).step_by(100) {
        openssl.verify(&issued(&many, &format!("leaf-{index}")).await?.chain, &ca.as_ref().pem(), &[])?;
    }
    assert_one_certificate_each(&environment, &progress.stored, &many.list(CERTIFICATE_REQUEST).await?)?;
    // One write for each, and none for nothing.
    ensure!(accepted(&environment)?.len() == MANY + FEW, "{} writes", accepted(&environment)?.len());
    Ok(())
}

/// A number below `end`, another one each time.
fn random(end: u64) -> u64 {
    RandomState::new().build_hasher().finish() % end
}

/// Facts 5, 28: whenever it is killed, every request ends Ready, and none is ever given two certificates.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_killed_at_random_under_load_fails_nobody_and_signs_nothing_twice() -> Result<()> {
    const KILLS: usize = 6;
    const BETWEEN: usize = 50;
    let mut environment = Environment::start(&[AUDIT], &[]).await?;
    let cluster = environment.control_plane.cluster().await?;
    let space = cluster.space("killed").await?;
    let ca = with_issuer(&space).await?;
    let names = names(KILLS * BETWEEN);
    let reference = reference();
    let mut progress = Progress::follow(&cluster)?;
    let load = ask_for_many(&space, &names, &reference);
    let kill = async {
        for kill in 0..KILLS {
            let moment = kill * BETWEEN + 1 + usize::try_from(random(BETWEEN as u64 - 1))?;
            progress.until(&space, Step::Issued, moment).await?;
            environment.issuer.process().kill()?;
            environment.issuer = IssuerProcess::of(&environment.control_plane).start().await?;
        }
        progress.until(&space, Step::Issued, names.len()).await
    };
    tokio::try_join!(load, kill)?;

    let requests = space.list(CERTIFICATE_REQUEST).await?;
    ensure!(requests.len() == names.len(), "{} of {} are left", requests.len(), names.len());
    assert_one_certificate_each(&environment, &progress.stored, &requests)?;
    let mut serials = HashSet::new();
    for name in &names {
        let leaf = der(&issued(&space, name).await?.chain)?;
        let serial = X509Certificate::from_der(&leaf)?.1.raw_serial().to_vec();
        ensure!(serials.insert(serial), "{name}: a serial number was used twice");
    }
    OpenSsl::new()?.verify(&issued(&space, "leaf-0").await?.chain, &ca.as_ref().pem(), &[])?;
    // What it left when it was killed last is what it would leave any time: a finished request is not touched again.
    let before = get(&space, "leaf-0").await?;
    environment.issuer.process().kill()?;
    environment.issuer = IssuerProcess::of(&environment.control_plane).start().await?;
    ask_for_many(&space, &["after".to_owned()], &reference).await?;
    issued(&space, "after").await?;
    ensure!(get(&space, "leaf-0").await? == before, "a finished request was written to");
    Ok(())
}

/// Fact 8: a write that reaches the server when its sender is long dead, and another has signed, is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_an_issuer_that_was_killed_comes_too_late() -> Result<()> {
    let mut environment = Environment::start(&[AUDIT], &[]).await?;
    let space = environment.space("late").await?;
    with_issuer(&space).await?;
    environment.issuer.process().kill()?;
    ask_plainly(&space, "late").await?;
    let kept = KeptWrite::of(&mut environment, format!("{}/certificaterequests/late/status", space.name)).await?;

    environment.issuer = IssuerProcess::of(&environment.control_plane).start().await?;
    issued(&space, "late").await?;
    let before = get(&space, "late").await?;
    ensure!(kept.release().await? == StatusCode::CONFLICT, "the late write was not refused");
    ensure!(get(&space, "late").await? == before, "the late write changed something");
    Ok(())
}

/// What it would have said of an issuer is not true any more: another one has said more since, or it is another object.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuers_status_that_was_written_long_ago_comes_too_late() -> Result<()> {
    let mut environment = Environment::start(&[AUDIT], &[]).await?;
    for made_anew in [false, true] {
        environment.issuer.process().kill()?;
        let space = environment.space("late-status").await?;
        allow_secrets(&space).await?;
        make_issuer(&space, "late").await?;
        // That its Secret does not exist.
        let kept = KeptWrite::of(&mut environment, format!("{}/tandemissuers/late/status", space.name)).await?;

        if made_anew {
            space.api(ISSUER)?.delete("late", &DeleteParams::default()).await?;
            make_issuer(&space, "late").await?;
        }
        let ca = root_ca("late", &PKCS_ECDSA_P256_SHA256)?;
        space.put_tls("late", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
        environment.issuer = IssuerProcess::of(&environment.control_plane).start().await?;
        let before = space.wait_ready(ISSUER, "late").await?;
        let answer = kept.release().await?;
        ensure!(answer == StatusCode::CONFLICT, "made anew: {made_anew}; the late write was answered {answer}");
        ensure!(space.api(ISSUER)?.get("late").await? == before, "the late write changed something");
    }
    Ok(())
}

/// A write that is on its way to the server, and whose sender is dead.
struct KeptWrite {
    release: oneshot::Sender<()>,
    answer: oneshot::Receiver<StatusCode>,
    _proxy: FaultProxy,
}

impl KeptWrite {
    /// The first one to this path of an issuer that is started for it and killed then.
    async fn of(environment: &mut Environment, path: String) -> Result<Self> {
        let (release, until) = oneshot::channel();
        let (done, answer) = oneshot::channel();
        let delay = Mutex::new(Some(Trouble::Delay { until, done }));
        let first_write = move |method: &Method, url: &str| {
            (method == Method::PATCH && url.contains(&path)).then(|| delay.lock().ok()?.take())?
        };
        let mut proxy = FaultProxy::start(&environment.control_plane, Box::new(first_write)).await?;
        environment.issuer = IssuerProcess::of(&environment.control_plane).at(Some(&proxy.url)).start().await?;
        while !proxy.passed.recv().await.context("no proxy")?.troubled {}
        environment.issuer.process().kill()?;
        Ok(Self { release, answer, _proxy: proxy })
    }

    /// Lets it arrive; the server's answer.
    async fn release(self) -> Result<StatusCode> {
        self.release.send(()).ok().context("the write was not kept")?;
        Ok(self.answer.await?)
    }
}
