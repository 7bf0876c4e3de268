//! Several replicas: one leads and the others follow, whatever happens to the one that leads. By the audit log, in which the
//! replicas differ by their tokens.

mod clocks;
mod odd_leases;
mod probes;
pub(crate) mod replicas;

use std::{
    ops::RangeInclusive,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use serde_json::Value;
use tandem_tests::{
    IssuerProcess,
    admin::{Admin, value},
    cable::Cable,
    cluster::PATIENCE,
    faults::{FaultProxy, Trouble},
};
use tokio::{
    sync::oneshot,
    task::block_in_place,
    time::{interval, timeout},
};

use self::{
    clocks::{Clock, skipped},
    replicas::{
        DEADLINE, LASTS, SOON, TIMES, accepted, acts, asked, assert_all_served, environment, environment_with,
        follower, leader, received, renewed, says, told, until,
    },
};
use crate::{
    admin::ADDRESS,
    chaos_load::names,
    environment::{Environment, with_issuer, without_issuer},
    load::{Progress, Step, ask_for_many},
    requests::{ask_plainly, issued, reference},
};

/// The CA is in the follower's memory when it is needed, and nothing was written for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_only_watches_and_takes_over_at_once_when_the_leader_is_told_to_stop() -> Result<()> {
    let mut environment = environment(None, None, &[]).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    println!("the first one leads after {:?}", environment.issuer.started.elapsed());
    let mut second = follower(&environment.control_plane, "second", &[], None).await?;
    // To stand for leadership, and to follow, is nothing to be warned of.
    for log in [told(&environment.issuer), told(&second)] {
        ensure!(!log.contains("ServiceError") && !log.contains("\"WARN\"") && !log.contains("\"ERROR\""), "{log}");
    }
    let space = environment.space("handover").await?;
    with_issuer(&space).await?;
    let knows_ca = |call: &Value| {
        call["verb"] == "watch"
            && call["objectRef"]["resource"] == "secrets"
            && call["objectRef"]["namespace"] == *space.name
    };
    until(|| Ok(asked(&environment.control_plane, "second")?.iter().any(knows_ca))).await?;

    let mut names = names(300);
    let mut progress = Progress::follow(&cluster)?;
    let by_it = reference();
    let load = ask_for_many(&space, &names, &by_it);
    let hand_over = async {
        progress.until(&space, Step::Issued, 100).await?;
        let acts_of_follower = acts(&environment.control_plane, "second")?;
        ensure!(acts_of_follower.is_empty(), "the follower did more than watch: {acts_of_follower:?}");
        let asked_to_stop = Timestamp::now();
        ensure!(block_in_place(|| environment.issuer.process().stop())?, "not cleanly:\n{}", told(&environment.issuer));
        // If it has been that fast, something is left for the other.
        ask_plainly(&space, "after").await?;
        anyhow::Ok(asked_to_stop)
    };
    let (_, asked_to_stop) = tokio::try_join!(load, hand_over)?;
    names.push("after".to_owned());
    let (_, since) = leader(&cluster, Some(&first)).await?;
    println!("taken over after {}", since.duration_since(asked_to_stop));
    // It ends what it has in hand first, for five seconds at most; the lease would last for 15.
    ensure!(since.duration_since(asked_to_stop) < SignedDuration::from_secs(10), "not at once: {since}");
    says(&environment.issuer, "the lease is released").await?;
    assert_all_served(&environment, &space, &names, progress).await?;
    ensure!(
        !acts(&environment.control_plane, "second")?.is_empty(),
        "the first had done it all: nothing was handed over"
    );

    // Whoever issued a certificate tells of it before it ends, or says that there was no time for that.
    ensure!(block_in_place(|| second.process().stop())?, "not cleanly:\n{}", told(&second));
    let events = space.events().await?;
    let told_of = |event: &&Event| event.reason.as_deref() == Some("CertificateIssued");
    let logs = told(&environment.issuer) + &told(&second);
    let count = events.iter().filter(told_of).count();
    ensure!(count >= names.len() || logs.contains("events are left unsent"), "{count} were told of:\n{logs}");
    Ok(())
}

/// The lease lasts from its last renewal, so it ends within its duration after the kill; whoever takes it then has to free it
/// first. It is killed in the middle between two renewals, which are so rare here that there is time for that on a busy machine as
/// well. The requests that the dead one had in hand are served, too, by one of the others alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_under_load_is_followed_within_the_duration_of_its_lease() -> Result<()> {
    const LASTS: SignedDuration = SignedDuration::from_secs(20);
    /// When it is halfway between two renewals, and that with time to spare.
    const QUARTER: SignedDuration = SignedDuration::from_secs(2);
    const TIMES: [&str; 3] = [
        "--leader-election-lease-duration=20s",
        "--leader-election-renew-deadline=17s",
        "--leader-election-retry-period=8s",
    ];
    let mut environment = environment(None, None, &TIMES).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    let mut others = Vec::new();
    for name in ["second", "third"] {
        others.push(follower(&environment.control_plane, name, &TIMES, None).await?);
    }
    let space = environment.space("killed").await?;
    with_issuer(&space).await?;
    let mut names = names(800);
    let mut progress = Progress::follow(&cluster)?;
    let by_it = reference();
    let age = || {
        // It takes a while to find it in the log.
        let renewed = renewed(&environment.control_plane, "first")?;
        anyhow::Ok(Timestamp::now().duration_since(renewed))
    };
    until(|| Ok((QUARTER..QUARTER * 2).contains(&age()?))).await?;
    let load = ask_for_many(&space, &names, &by_it);
    let kill = async {
        progress.until(&space, Step::Issued, 50).await?;
        until(|| Ok((QUARTER * 2..QUARTER * 3).contains(&age()?))).await?;
        environment.issuer.process().kill()?;
        let killed = Timestamp::now();
        // If it has been that fast, something is left for the others.
        ask_plainly(&space, "after").await?;
        anyhow::Ok(killed)
    };
    let (_, killed) = tokio::try_join!(load, kill)?;
    names.push("after".to_owned());
    let (_, since) = leader(&cluster, Some(&first)).await?;
    let renewed = renewed(&environment.control_plane, "first")?;
    let (after, ended) = (since.duration_since(killed), since.duration_since(renewed + LASTS));
    println!("taken over {after} after the kill, {ended} after the end of the lease");
    ensure!(after < LASTS, "{after} after the kill");
    ensure!(ended < SOON, "{ended} after the end of the lease");
    ensure!(!ended.is_negative(), "{ended} after the end of the lease");
    assert_all_served(&environment, &space, &names, progress).await?;

    for other in &mut others {
        ensure!(block_in_place(|| other.process().stop())?, "not cleanly:\n{}", told(other));
    }
    let acted: Vec<_> =
        ["second", "third"].into_iter().map(|name| acts(&environment.control_plane, name)).collect::<Result<_>>()?;
    // The one that was told to stop first may have handed over to the other, which had nothing left to do.
    ensure!(acted.iter().filter(|acts| !acts.is_empty()).count() == 1, "not one of them alone acted: {acted:?}");
    Ok(())
}

/// A fault by which calls to paths with this part hang while it is on; they fail when it is switched off.
fn hangs(part: &'static str, on: Arc<AtomicBool>) -> Box<tandem_tests::faults::Fault> {
    let kept = Mutex::new(Vec::new());
    Box::new(move |_: &Method, path: &str| {
        let mut kept = kept.lock().ok()?;
        if !on.load(Ordering::SeqCst) {
            kept.clear();
            return None;
        }
        path.contains(part).then(|| {
            let (release, until) = oneshot::channel();
            kept.push(release);
            Trouble::Delay { until, done: oneshot::channel().0 }
        })
    })
}

/// It hears of requests and could write, but not renew its lease: only its own clock, set by these variables, tells it to
/// stop, after as much time as its deadline is by that clock.
async fn cannot_renew(clock: &[(&str, &str)], deadline: SignedDuration) -> Result<String> {
    let control_plane = without_issuer().await?;
    let silent = Arc::new(AtomicBool::new(false));
    let proxy = FaultProxy::start(&control_plane, hangs("/leases", silent.clone())).await?;
    let mut environment = environment_with(Some(&proxy.url), Some(control_plane), &TIMES, clock).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    let mut second = follower(&environment.control_plane, "second", &TIMES, None).await?;
    let space = environment.space("unrenewed").await?;
    with_issuer(&space).await?;

    // There is always something to sign, until the second one leads.
    let progress = Progress::follow(&cluster)?;
    let mut asked_for = names(20);
    ask_for_many(&space, &asked_for, &reference()).await?;
    issued(&space, "leaf-0").await?;
    silent.store(true, Ordering::SeqCst);
    let silenced = Timestamp::now();
    let taken_over = leader(&cluster, Some(&first));
    tokio::pin!(taken_over);
    let mut tick = interval(Duration::from_millis(100));
    let (_, since) = loop {
        tokio::select! {
            taken_over = &mut taken_over => break taken_over?,
            _ = tick.tick() => {
                let next = format!("leaf-{}", asked_for.len());
                ask_plainly(&space, &next).await?;
                asked_for.push(next);
            }
        }
    };
    assert_all_served(&environment, &space, &asked_for, progress).await?;

    let renewed = renewed(&environment.control_plane, "first")?;
    let acts = acts(&environment.control_plane, "first")?;
    let last = received(acts.last().context("it never acted")?)?;
    let when = format!("renewed {renewed}, silenced {silenced}, last act {last}, taken over {since}");
    ensure!(last > silenced, "it had nothing to do while it could not renew");
    ensure!(last.duration_since(renewed) < deadline + SignedDuration::from_secs(1), "it acted for too long: {last}");
    ensure!(since.duration_since(renewed) >= LASTS, "the other did not wait for the lease's end: {since}");
    ensure!(since.duration_since(renewed) < LASTS + SOON, "too late: {since}");

    // It follows, and leads again when the other hands over.
    says(&environment.issuer, "no renewal was confirmed").await?;
    silent.store(false, Ordering::SeqCst);
    says(&environment.issuer, "following").await?;
    ensure!(block_in_place(|| second.process().stop())?, "not cleanly:\n{}", told(&second));
    ask_plainly(&space, "again").await?;
    issued(&space, "again").await.with_context(|| told(&environment.issuer))?;
    ensure!(environment.issuer.process().is_running()?, "it died");
    Ok(when)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_its_lease_stops_signing_before_it_ends() -> Result<()> {
    println!("{}", cannot_renew(&[], DEADLINE).await?);
    Ok(())
}

/// All its clocks are: they may be so by what the deadline is shorter than the lease, here three tenths.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_clock_is_a_fifth_too_slow_stops_signing_before_its_lease_ends() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(clock) = Clock::new(folder.path(), "+0 x0.8")? else { return skipped!() };
    println!("{}", cannot_renew(&clock.all(), DEADLINE * 5 / 4).await?);
    Ok(())
}

/// What a leader had in hand when it fell silent comes too late, if it comes. Where `admin` still reaches it, it is seen to sign
/// no more once its deadline has passed, though there is something that it could sign.
async fn silent(
    environment: &mut Environment,
    admin: Option<&Admin>,
    mut silence: impl AsyncFnMut(&mut IssuerProcess, bool) -> Result<()>,
) -> Result<()> {
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    let mut second = follower(&environment.control_plane, "second", &TIMES, None).await?;
    let space = environment.space("silent").await?;
    with_issuer(&space).await?;
    let names = names(200);
    let mut progress = Progress::follow(&cluster)?;
    let by_it = reference();
    let load = ask_for_many(&space, &names, &by_it);
    let fall_silent = async {
        progress.until(&space, Step::Issued, 50).await?;
        silence(&mut environment.issuer, true).await?;
        let silenced = Timestamp::now();
        let stopped = match admin {
            Some(admin) => Some((signed(&admin.settle(&idle()).await?)?, Timestamp::now())),
            None => None,
        };
        anyhow::Ok((silenced, stopped))
    };
    let (_, (silenced, stopped)) = tokio::try_join!(load, fall_silent)?;
    let (_, since) = leader(&cluster, Some(&first)).await?;
    ensure!(since.duration_since(silenced) < LASTS + SOON, "too late: {since}");
    if let (Some(admin), Some((before, stopped))) = (admin, stopped) {
        ensure!(stopped < since, "it led until {stopped}, and the other one since {since}");
        let after = signed(&admin.settle(&idle()).await?)?;
        ensure!(before == after, "{} signatures after its deadline", after - before);
    }

    // Whatever it had in hand, the other has done before it is back.
    progress.until(&space, Step::Issued, names.len()).await?;
    silence(&mut environment.issuer, false).await?;
    says(&environment.issuer, "following").await?;
    assert_all_served(environment, &space, &names, progress).await?;
    for act in acts(&environment.control_plane, "first")? {
        let status = act["objectRef"]["subresource"] == "status";
        let late = received(&act)? > since;
        ensure!(!(status && late && accepted(&act)), "it acted after another had taken over: {act}");
    }
    // Its caches are warm, and it leads again when the other hands over.
    ensure!(block_in_place(|| second.process().stop())?, "not cleanly:\n{}", told(&second));
    ask_plainly(&space, "again").await?;
    issued(&space, "again").await.with_context(|| told(&environment.issuer))?;
    Ok(())
}

/// It does not lead, and knows of requests that a leader would sign.
fn idle() -> [(String, RangeInclusive<f64>); 2] {
    let to_sign = r#"tandem_issuer_requests_waiting{kind="certificaterequests",approval="approved"}"#;
    [("tandem_issuer_leader".to_owned(), 0.0..=0.0), (to_sign.to_owned(), 1.0..=1000.0)]
}

/// How often it has signed, by its metrics: whether or not anything came of that.
fn signed(metrics: &str) -> Result<f64> {
    value(metrics, r#"tandem_issuer_signing_duration_seconds_count{kind="certificaterequests"}"#).context("never")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_connection_hangs_gives_way_and_follows_when_it_is_mended() -> Result<()> {
    let control_plane = without_issuer().await?;
    // One that it has signed, and that has not arrived: it knows of it, and would sign it again.
    let unheard = Arc::new(AtomicBool::new(true));
    let fault = hangs("/certificaterequests/leaf-0/", unheard.clone());
    let mut proxy = FaultProxy::start(&control_plane, fault).await?;
    let cable = Cable::to(proxy.url.trim_start_matches("http://").parse()?).await?;
    let url = format!("http://{}", cable.address);
    let mut environment = environment(Some(&url), Some(control_plane), &[&TIMES[..], &[ADDRESS]].concat()).await?;
    let admin = Admin::of(&environment.issuer.process().log, None).await?;
    let cut = async |_: &mut IssuerProcess, cut: bool| {
        let held = async {
            while cut && !proxy.passed.recv().await.context("no proxy")?.troubled {}
            anyhow::Ok(())
        };
        timeout(PATIENCE, held).await.context("no write of leaf-0 came by")??;
        unheard.store(cut, Ordering::SeqCst);
        cable.cut(cut);
        Ok(())
    };
    silent(&mut environment, Some(&admin), cut).await?;
    // Nor does it keep whoever tells it to stop waiting for ever.
    cable.cut(true);
    ensure!(block_in_place(|| environment.issuer.process().stop())?, "not cleanly:\n{}", told(&environment.issuer));
    says(&environment.issuer, "the lease is not released").await
}

/// As where a machine is out of memory, or is moved: it does not know that time has passed.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stood_still_for_longer_than_its_lease_does_not_act_when_it_goes_on() -> Result<()> {
    let mut environment = environment(None, None, &TIMES).await?;
    silent(&mut environment, None, async |issuer, paused| issuer.process().pause(paused)).await
}
