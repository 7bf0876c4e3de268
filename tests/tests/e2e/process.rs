//! The issuer as a process: it stops when told to, and goes on where it was.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::future::{try_join, try_join_all};
use hyper::Method;
use kube::api::{DynamicObject, Patch, PatchParams};
use rcgen::KeyPair;
use serde_json::json;
use tandem_tests::{
    ControlPlane, IssuerProcess,
    admin::{Admin, value},
    certificates::{OpenSsl, csr},
    cluster::{CERTIFICATE_REQUEST, CRD, ISSUER, PATIENCE, condition, is_ready},
    faults::{FaultProxy, Trouble},
    issuer,
};
use tokio::{sync::oneshot, task::block_in_place, time::timeout};

use crate::{
    admin::ADDRESS,
    environment::{Environment, with_issuer, without_issuer},
    leadership::replicas::{environment, follower},
    requests::{ask, ask_plainly, failed, get, issued, set_conditions, touched},
};

/// Less than events may take when it stops; an idle one takes some milliseconds.
const AT_ONCE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn it_stops_cleanly_and_takes_up_what_waited_meanwhile() -> Result<()> {
    let mut environment = Environment::start(&[], &[]).await?;
    let space = environment.space("restart").await?;
    let ca = with_issuer(&space).await?;
    ask_plainly(&space, "before").await?;
    issued(&space, "before").await?;
    ensure!(environment.issuer.process().stop()?, "SIGTERM did not end it with code 0:\n{}", environment.issuer.log()?);

    ask_plainly(&space, "meanwhile").await?;
    let approved = |object: &DynamicObject| condition(object, "Approved").is_some();
    let waiting = space.wait(CERTIFICATE_REQUEST, "meanwhile", approved).await?;
    ensure!(!touched(&waiting), "somebody else signs");
    let finished = get(&space, "before").await?;

    environment.issuer = IssuerProcess::of(&environment.control_plane).start().await?;
    let issued = issued(&space, "meanwhile").await?;
    OpenSsl::new()?.verify(&issued.chain, &ca.as_ref().pem(), &[])?;
    ensure!(get(&space, "before").await? == finished, "a finished request was written to");
    Ok(())
}

/// What was good before is in memory alone: who starts beside a half-updated Secret has no CA, says so, and lets requests wait.
#[tokio::test]
async fn the_last_good_ca_is_in_use_until_a_restart() -> Result<()> {
    let mut environment = Environment::start(&[], &[]).await?;
    let space = environment.space("half-updated").await?;
    let ca = with_issuer(&space).await?;
    let (certificate, key) = (ca.as_ref().pem(), ca.key().serialize_pem());
    space.put_tls("internal-ca", &certificate, &KeyPair::generate()?.serialize_pem(), None).await?;
    space.wait(ISSUER, "internal-ca", |issuer| is_ready(issuer, "True", "LastGoodKeyPair")).await?;
    ask_plainly(&space, "by-the-last-good").await?;
    OpenSsl::new()?.verify(&issued(&space, "by-the-last-good").await?.chain, &certificate, &[])?;
    ensure!(environment.issuer.process().stop()?, "not cleanly:\n{}", environment.issuer.log()?);

    environment.issuer = IssuerProcess::of(&environment.control_plane).start().await?;
    space.wait(ISSUER, "internal-ca", |issuer| is_ready(issuer, "False", "ErrInvalidKeyPair")).await?;
    ask_plainly(&space, "waits").await?;
    space.event((CERTIFICATE_REQUEST.1, "waits"), "SecretInvalidData", "internal-ca").await?;
    ensure!(get(&space, "waits").await?.data["status"]["certificate"].is_null(), "signed with what is no pair");
    space.put_tls("internal-ca", &certificate, &key, None).await?;
    issued(&space, "waits").await?;
    Ok(())
}

/// Events come after the certificates when many are issued at once; they still come when it is told to stop then.
#[tokio::test]
async fn what_is_still_to_be_told_is_told_before_it_stops() -> Result<()> {
    let mut environment = Environment::start(&[], &[]).await?;
    let space = environment.space("farewell").await?;
    with_issuer(&space).await?;
    environment.issuer.process().stop()?;
    let names: Vec<_> = (0..60).map(|number| format!("leaf-{number}")).collect();
    for name in &names {
        ask_plainly(&space, name).await?;
    }
    let approved = |object: &DynamicObject| condition(object, "Approved").is_some();
    for name in &names {
        space.wait(CERTIFICATE_REQUEST, name, approved).await?;
    }
    environment.issuer =
        IssuerProcess::of(&environment.control_plane).named("again").arguments(&[ADDRESS]).start().await?;
    // Meanwhile its issuer, which wakes them, is looked at again and again.
    let poke = async {
        for number in 0..50 {
            let poke = json!({"metadata": {"labels": {"tandem.test/poked": number.to_string()}}});
            space.secrets().patch("internal-ca", &PatchParams::default(), &Patch::Merge(poke)).await?;
        }
        anyhow::Ok(())
    };
    try_join(poke, try_join_all(names.iter().map(|name| issued(&space, name)))).await?;
    let log = environment.issuer.log()?;
    let signed = r#"tandem_issuer_signing_duration_seconds_count{kind="certificaterequests"}"#;
    let signed = value(&Admin::of(&environment.issuer.process().log, None).await?.metrics().await?, signed);
    ensure!(signed == Some(60.0), "{} requests, and {signed:?} signatures:\n{log}", names.len());
    ensure!(environment.issuer.process().stop()?, "it did not stop cleanly:\n{}", environment.issuer.log()?);
    let events = space.events().await?;
    let told = events.iter().filter(|event| event.reason.as_deref() == Some("CertificateIssued")).count();
    // A machine on which that takes too long is told of.
    let log = environment.issuer.log()?;
    let all = told == names.len() || log.contains("events are left unsent");
    ensure!(all, "{told} of {} were told of:\n{log}", names.len());
    Ok(())
}

/// It stops cleanly, without a word about events, and without waiting for what will not come.
fn stops_at_once(issuer: &mut IssuerProcess) -> Result<()> {
    let asked = Instant::now();
    ensure!(issuer.process().stop()?, "SIGTERM did not end it with code 0:\n{}", issuer.log()?);
    let took = asked.elapsed();
    let log = issuer.log()?;
    ensure!(!log.contains("events are left unsent"), "the server is fast:\n{log}");
    ensure!(took < AT_ONCE, "it took {took:?}:\n{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_nothing_to_do_stops_at_once_whether_it_leads_or_follows() -> Result<()> {
    let mut environment = environment(None, None, &[]).await?;
    let mut second = follower(&environment.control_plane, "second", &[], None).await?;
    block_in_place(|| stops_at_once(&mut second))?;
    block_in_place(|| stops_at_once(&mut environment.issuer))
}

/// It is the server that is too slow then, and nobody waits for it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_server_does_not_take_are_left_after_a_while() -> Result<()> {
    let control_plane = without_issuer().await?;
    let kept = Mutex::new(Vec::new());
    let hangs = move |method: &Method, path: &str| {
        (method == Method::POST && path.contains("/events")).then(|| {
            let (release, until) = oneshot::channel();
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(release);
            Trouble::Delay { until, done: oneshot::channel().0 }
        })
    };
    let proxy = FaultProxy::start(&control_plane, Box::new(hangs)).await?;
    let mut issuer = IssuerProcess::of(&control_plane).at(Some(&proxy.url)).start().await?;
    let space = control_plane.cluster().await?.space("untold").await?;
    with_issuer(&space).await?;
    let asked = Instant::now();
    ensure!(block_in_place(|| issuer.process().stop())?, "SIGTERM did not end it with code 0:\n{}", issuer.log()?);
    let (took, log) = (asked.elapsed(), issuer.log()?);
    ensure!(log.contains("events are left unsent"), "nothing is said of them:\n{log}");
    ensure!(took >= AT_ONCE && took < 3 * AT_ONCE, "it took {took:?}:\n{log}");
    Ok(())
}

/// What it watches may not be there yet, and then it waits for it; but not when it is told to stop.
#[tokio::test]
async fn it_stops_cleanly_where_it_never_got_going() -> Result<()> {
    let control_plane = ControlPlane::start_with(&["--cert-manager-controllers=none"])?;
    let cluster = control_plane.cluster().await?;
    // Its account and its rights, but no CRDs.
    cluster.apply(&issuer::manifest(|kind| kind != CRD.1)?, issuer::NAMESPACE).await?;
    let mut issuer = IssuerProcess::of(&control_plane).start().await?;
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let told = async {
        while !issuer.log()?.contains("is it installed? `tandem-issuer crds` prints ours") {
            look.tick().await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, told).await.with_context(|| issuer.log().unwrap_or_default())??;
    ensure!(issuer.process().stop()?, "SIGTERM did not end it with code 0:\n{}", issuer.log()?);
    Ok(())
}

/// Where nothing is validated, a duration may be any text. It is one request's fault, and must not stop the others: what
/// is watched together is read together.
#[tokio::test]
async fn a_request_that_cannot_be_read_stops_no_other() -> Result<()> {
    // cert-manager's own controllers would not survive it, and the approver is one of them.
    let mut environment = Environment::start(&["--cert-manager-controllers=none"], &[]).await?;
    let space = environment.control_plane.cluster().await?.space_without_validation("unreadable").await?;
    with_issuer(&space).await?;
    let unreadable =
        [("word", "soon"), ("number", "3600"), ("backwards", "1h-5m"), ("endless", "99999999999999999999h")];
    for (name, duration) in unreadable {
        ask(&space, name, &csr(&["leaf.test"])?, json!({"duration": duration})).await?;
        set_conditions(&space, name, &["Approved"]).await?;
    }
    ask_plainly(&space, "good").await?;
    set_conditions(&space, "good", &["Approved"]).await?;
    let served = issued(&space, "good").await;
    ensure!(environment.issuer.process().is_running()?, "the issuer died:\n{}", environment.issuer.log()?);
    served?;
    for (name, _) in unreadable {
        ensure!(failed(&space, name).await?.contains("spec.duration"), "{name}");
    }
    // Nor does it when the issuer finds them at its start.
    environment.issuer.process().stop()?;
    environment.issuer = IssuerProcess::of(&environment.control_plane).start().await?;
    ask_plainly(&space, "after").await?;
    set_conditions(&space, "after", &["Approved"]).await?;
    issued(&space, "after").await.map(|_| ())
}
