//! What replicas say of themselves where probes ask: who leads, who follows, and who is about to end.

use std::{sync::Mutex, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use tandem_tests::{
    IssuerProcess,
    admin::{Admin, value},
    cluster::PATIENCE,
    faults::{Fault, FaultProxy, Trouble},
};
use tokio::{
    sync::oneshot,
    task::block_in_place,
    time::{interval, timeout},
};

use super::replicas::{TIMES, environment, follower, leader, says, told};
use crate::{
    environment::{with_issuer, without_issuer},
    requests::{ask_plainly, issued},
};

/// Those of [`TIMES`], and a free port for probes.
const ARGUMENTS: [&str; 4] = ["--admin-address=127.0.0.1:0", TIMES[0], TIMES[1], TIMES[2]];

async fn admin(issuer: &mut IssuerProcess) -> Result<Admin> {
    Admin::of(&issuer.process().log, None).await
}

/// Waits until `/readyz` answers with this, and before that with nothing but `meanwhile`.
async fn answers(admin: &Admin, meanwhile: (u16, &str), at_last: (u16, &str)) -> Result<()> {
    let mut look = interval(Duration::from_millis(20));
    let waiting = async {
        loop {
            look.tick().await;
            let (status, text) = admin.ask("GET", "/readyz").await?;
            if (status, text.as_str()) == at_last {
                return Ok(());
            }
            ensure!((status, text.as_str()) == meanwhile, "{status}: {text}");
        }
    };
    timeout(PATIENCE, waiting).await.with_context(|| format!("{at_last:?} is never answered"))?
}

const LEADING: (u16, &str) = (200, "ok: leading\n");
const FOLLOWING: (u16, &str) = (200, "ok: following\n");

/// The leader gauges of replicas, in their order.
async fn gauges(replicas: &[&Admin]) -> Result<Vec<String>> {
    let mut gauges = Vec::new();
    for replica in replicas {
        let gauge = value(&replica.metrics().await?, "tandem_issuer_leader").context("no leader gauge")?;
        gauges.push(gauge.to_string());
    }
    Ok(gauges)
}

/// A follower is ready at all times, also while nobody leads; and of all who are there one leads, also by their metrics.
#[tokio::test(flavor = "multi_thread")]
async fn all_replicas_are_ready_and_one_says_that_it_leads_whoever_ends() -> Result<()> {
    let mut environment = environment(None, None, &ARGUMENTS).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (name, _) = leader(&cluster, None).await?;
    let mut second = follower(&environment.control_plane, "second", &ARGUMENTS, None).await?;
    let (first, other) = (admin(&mut environment.issuer).await?, admin(&mut second).await?);
    first.ready().await?;
    other.ready().await?;
    answers(&first, FOLLOWING, LEADING).await?;
    answers(&other, FOLLOWING, FOLLOWING).await?;
    ensure!(gauges(&[&first, &other]).await? == ["1", "0"]);

    // Without a word.
    environment.issuer.process().kill()?;
    leader(&cluster, Some(&name)).await?;
    answers(&other, FOLLOWING, LEADING).await?;
    let mut third = follower(&environment.control_plane, "third", &ARGUMENTS, None).await?;
    let last = admin(&mut third).await?;
    last.ready().await?;
    answers(&last, FOLLOWING, FOLLOWING).await?;
    ensure!(gauges(&[&other, &last]).await? == ["1", "0"]);

    // And as it should be.
    ensure!(block_in_place(|| second.process().stop())?, "not cleanly:\n{}", told(&second));
    answers(&last, FOLLOWING, LEADING).await?;
    ensure!(gauges(&[&last]).await? == ["1"]);
    Ok(())
}

/// The first write of this request's status waits until it is released; the proxy tells of it at once.
fn held(name: &'static str) -> (Box<Fault>, oneshot::Sender<()>) {
    let (release, until) = oneshot::channel();
    let until = Mutex::new(Some(until));
    let fault = move |method: &Method, path: &str| {
        let is_it = *method == Method::PATCH && path.contains(&format!("/{name}/status"));
        let until = until.lock().ok()?.take_if(|_| is_it)?;
        Some(Trouble::Delay { until, done: oneshot::channel().0 })
    };
    (Box::new(fault), release)
}

/// Whoever is told to stop is not ready any more, so that nobody is sent to it; it lives, and leads, until what it has in hand
/// is finished.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_told_to_stop_is_alive_but_not_ready_until_its_work_is_done() -> Result<()> {
    const STOPPING: (u16, &str) = (503, "[-]shutdown: work in hand is finished\nnot ready; leading\n");
    let control_plane = without_issuer().await?;
    let (fault, release) = held("leaf");
    let mut proxy = FaultProxy::start(&control_plane, fault).await?;
    let mut environment = environment(Some(&proxy.url), Some(control_plane), &ARGUMENTS).await?;
    let admin = admin(&mut environment.issuer).await?;
    let space = environment.space("stopping").await?;
    with_issuer(&space).await?;
    admin.ready().await?;
    answers(&admin, FOLLOWING, LEADING).await?;
    ask_plainly(&space, "leaf").await?;
    let hangs = async {
        while let Some(passed) = proxy.passed.recv().await {
            if passed.troubled {
                return Ok(());
            }
        }
        bail!("the proxy ended")
    };
    timeout(PATIENCE, hangs).await.with_context(|| told(&environment.issuer))??;

    environment.issuer.process().terminate()?;
    answers(&admin, LEADING, STOPPING).await?;
    ensure!(admin.ask("GET", "/livez").await? == (200, "ok\n".to_owned()));
    ensure!(gauges(&[&admin]).await? == ["1"]);
    ensure!(environment.issuer.process().is_running()?, "it ended:\n{}", told(&environment.issuer));
    release.send(()).ok().context("it was not waited for")?;
    let ended = block_in_place(|| environment.issuer.process().wait())?;
    ensure!(ended.success(), "{ended}:\n{}", told(&environment.issuer));
    issued(&space, "leaf").await?;
    says(&environment.issuer, "the lease is released").await?;
    let log = told(&environment.issuer);
    ensure!(!log.contains("work is left unfinished"), "{log}");
    Ok(())
}
