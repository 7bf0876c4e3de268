//! Clocks that are ten minutes off: those of holders, and the replicas' own.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams, TypeMeta},
};
use serde_json::json;
use tandem_tests::{IssuerProcess, faults::FaultProxy, issuer, tools};
use tokio::{task::block_in_place, time::interval};

use super::replicas::{
    LASTS, LEASE, LEASE_NAME, SOON, TIMES, acts, assert_all_served, environment, environment_with, follower, leader,
    says, told,
};
use crate::{
    chaos_load::names as load_names,
    environment::{with_issuer, without_issuer},
    load::{Progress, Step, ask_for_many},
    requests::{ask_plainly, issued, reference},
};

/// Says that a test is left out, as its whole result.
macro_rules! skipped {
    () => {{
        println!("skipped: faketime is not installed");
        Ok(())
    }};
}
pub(super) use skipped;

/// A replica's own clock, by libfaketime; it may be set while the replica runs.
pub(super) struct Clock {
    library: String,
    file: String,
}

impl Clock {
    /// A clock that is off by so many seconds, such as `-600`, and perhaps runs at another speed, such as `+0 x0.8`; its file is
    /// in `folder`. None where libfaketime is not installed.
    pub(super) fn new(folder: &Path, off: &str) -> Result<Option<Self>> {
        let Some(library) = tools::libfaketime()? else { return Ok(None) };
        let text = |path: PathBuf| path.display().to_string();
        let clock = Self { library: text(library), file: text(folder.join("clock")) };
        clock.set(off)?;
        Ok(Some(clock))
    }

    pub(super) fn set(&self, off: &str) -> Result<()> {
        // In one step: it is read all the time.
        let new = format!("{}.new", self.file);
        std::fs::write(&new, off)?;
        Ok(std::fs::rename(new, &self.file)?)
    }

    /// Variables for a process in which all clocks are this one.
    pub(super) fn all(&self) -> [(&str, &str); 3] {
        [("LD_PRELOAD", &self.library), ("FAKETIME_TIMESTAMP_FILE", &self.file), ("FAKETIME_NO_CACHE", "1")]
    }

    /// The same where it is that of the time of day alone: what has passed is told by another clock, which nobody sets.
    pub(super) fn time_of_day(&self) -> [(&str, &str); 4] {
        let [library, file, cache] = self.all();
        [library, file, cache, ("DONT_FAKE_MONOTONIC", "1")]
    }
}

/// A holder whose clock is ten minutes slow is not robbed, and one whose clock was ten minutes fast is not waited for any
/// longer than another: no time that is written in a lease is compared with one's own.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_ten_minutes_off_neither_rob_a_holder_nor_keep_a_dead_one_in_office() -> Result<()> {
    const OTHER: &str = "another_with_a_clock_of_its_own";
    const OFF: SignedDuration = SignedDuration::from_mins(10);
    let control_plane = without_issuer().await?;
    let cluster = control_plane.cluster().await?;
    let leases = cluster.api(&TypeMeta { api_version: LEASE.0.into(), kind: LEASE.1.into() }, issuer::NAMESPACE)?;
    let renew = |off: SignedDuration| {
        let time = (Timestamp::now() + off).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let spec = json!({"holderIdentity": OTHER, "leaseDurationSeconds": LASTS.as_secs(), "renewTime": time, "acquireTime": time});
        let lease = json!({"apiVersion": LEASE.0, "kind": LEASE.1, "metadata": {"name": LEASE_NAME}, "spec": spec});
        let leases = leases.clone();
        async move { leases.patch(LEASE_NAME, &PatchParams::apply("another").force(), &Patch::Apply(lease)).await }
    };
    renew(-OFF).await?;
    let mut issuer = follower(&control_plane, "first", &TIMES, None).await?;
    let space = cluster.space("clocks").await?;
    // By its clock the lease ended ten minutes ago, again and again.
    let mut tick = interval(Duration::from_millis(500));
    for _ in 0..30 {
        tick.tick().await;
        let lease = renew(-OFF).await?;
        ensure!(lease.data["spec"]["holderIdentity"] == OTHER, "it was robbed: {}", lease.name_any());
    }
    ensure!(acts(&control_plane, "first")?.is_empty(), "it acted");
    // By its clock the lease ends in ten minutes.
    renew(OFF).await?;
    let died = Timestamp::now();
    let (_, since) = leader(&cluster, Some(OTHER)).await?;
    println!("taken over after {}", since.duration_since(died));
    ensure!(
        (LASTS - SignedDuration::from_secs(1)..LASTS + SOON).contains(&since.duration_since(died)),
        "taken over {since}"
    );
    with_issuer(&space).await?;
    ask_plainly(&space, "leaf").await?;
    issued(&space, "leaf").await.with_context(|| told(&issuer))?;
    ensure!(block_in_place(|| issuer.process().stop())?, "not cleanly:\n{}", told(&issuer));
    Ok(())
}

/// A replica with such a clock follows and leads as the others do, and is followed as they are.
async fn off_by(clock: &Clock) -> Result<()> {
    let mut environment = environment(None, None, &TIMES).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    // Not by TLS: by some clocks the server's certificate, made just now, is not valid.
    let proxy = FaultProxy::start(&environment.control_plane, Box::new(|_: &Method, _: &str| None)).await?;
    let (control_plane, url) = (&environment.control_plane, Some(&*proxy.url));
    let mut second = IssuerProcess::of(control_plane)
        .replica("second")
        .at(url)
        .arguments(&TIMES)
        .variables(&clock.time_of_day())
        .start()
        .await?;
    says(&second, "following").await?;
    let space = environment.space("off").await?;
    with_issuer(&space).await?;
    let progress = Progress::follow(&cluster)?;
    let mut names = Vec::new();
    // It robs nobody for longer than a lease lasts.
    let mut tick = interval(Duration::from_millis(500));
    for index in 0..25 {
        tick.tick().await;
        names.push(format!("leaf-{index}"));
        ask_plainly(&space, &names[index]).await?;
    }
    ensure!(leader(&cluster, None).await?.0 == first, "the first one was robbed:\n{}", told(&second));
    ensure!(acts(&environment.control_plane, "second")?.is_empty(), "it acted:\n{}", told(&second));

    // By its own clock, which is not that of the leases' times.
    environment.issuer.process().kill()?;
    let mut died = Timestamp::now();
    let (off_one, _) = leader(&cluster, Some(&first)).await?;
    let first_took = Timestamp::now().duration_since(died);
    names.push("by-the-second".to_owned());
    ask_plainly(&space, "by-the-second").await?;
    issued(&space, "by-the-second").await.with_context(|| told(&second))?;

    let third = follower(&environment.control_plane, "third", &TIMES, None).await?;
    second.process().kill()?;
    died = Timestamp::now();
    leader(&cluster, Some(&off_one)).await?;
    let second_took = Timestamp::now().duration_since(died);
    ensure!(first_took < LASTS + SOON && second_took < LASTS + SOON, "taken over after {first_took}, {second_took}");
    names.push("by-the-third".to_owned());
    ask_plainly(&space, "by-the-third").await?;
    issued(&space, "by-the-third").await.with_context(|| told(&third))?;
    assert_all_served(&environment, &space, &names, progress).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_clock_is_ten_minutes_fast_leads_and_follows_as_any_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(clock) = Clock::new(folder.path(), "+600")? else { return skipped!() };
    off_by(&clock).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_clock_is_ten_minutes_slow_leads_and_follows_as_any_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(clock) = Clock::new(folder.path(), "-600")? else { return skipped!() };
    off_by(&clock).await
}

/// As where somebody sets a machine's clock: by an hour, forth and back, those of the leader and of the follower in turns.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_unseats_no_leader_and_lets_no_follower_take_over() -> Result<()> {
    let control_plane = without_issuer().await?;
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let Some(clock) = Clock::new(folders[0].path(), "+0")? else { return skipped!() };
    let Some(other) = Clock::new(folders[1].path(), "+0")? else { return skipped!() };
    let proxy = FaultProxy::start(&control_plane, Box::new(|_: &Method, _: &str| None)).await?;
    let url = Some(&*proxy.url);
    let mut environment = environment_with(url, Some(control_plane), &TIMES, &clock.time_of_day()).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (first, since) = leader(&cluster, None).await?;
    let control_plane = &environment.control_plane;
    let second = IssuerProcess::of(control_plane)
        .replica("second")
        .at(url)
        .arguments(&TIMES)
        .variables(&other.time_of_day())
        .start()
        .await?;
    says(&second, "following").await?;
    let space = environment.space("jumps").await?;
    with_issuer(&space).await?;
    let progress = Progress::follow(&cluster)?;
    let mut names = Vec::new();
    let mut tick = interval(Duration::from_millis(500));
    for (leaders, followers) in [("+3600", "-3600"), ("-3600", "+3600")] {
        clock.set(leaders)?;
        other.set(followers)?;
        // For longer than a lease lasts.
        for _ in 0..25 {
            tick.tick().await;
            names.push(format!("leaf-{}", names.len()));
            ask_plainly(&space, &names[names.len() - 1]).await?;
        }
        issued(&space, &names[names.len() - 1]).await.with_context(|| told(&environment.issuer))?;
    }
    ensure!(leader(&cluster, None).await? == (first.clone(), since), "another leads:\n{}", told(&second));
    ensure!(acts(&environment.control_plane, "second")?.is_empty(), "it acted:\n{}", told(&second));
    for lost in ["not leading", "no renewal was confirmed"] {
        ensure!(!told(&environment.issuer).contains(lost), "it ceased to lead:\n{}", told(&environment.issuer));
    }

    environment.issuer.process().kill()?;
    let died = Timestamp::now();
    leader(&cluster, Some(&first)).await?;
    let took = Timestamp::now().duration_since(died);
    ensure!(took < LASTS + SOON, "taken over after {took}");
    names.push("by-the-second".to_owned());
    ask_plainly(&space, "by-the-second").await?;
    issued(&space, "by-the-second").await.with_context(|| told(&second))?;
    assert_all_served(&environment, &space, &names, progress).await
}

/// As where a machine is suspended, or a virtual one is paused: for it no time has passed, and it takes itself for the leader
/// until it asks. What it writes meanwhile comes too late, or is the only answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_suspended_takes_nothing_back() -> Result<()> {
    let control_plane = without_issuer().await?;
    let folder = tempfile::tempdir()?;
    let Some(clock) = Clock::new(folder.path(), "+0")? else { return skipped!() };
    let proxy = FaultProxy::start(&control_plane, Box::new(|_: &Method, _: &str| None)).await?;
    let url = Some(&*proxy.url);
    let mut environment = environment_with(url, Some(control_plane), &TIMES, &clock.all()).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    let mut second = follower(&environment.control_plane, "second", &TIMES, None).await?;
    let space = environment.space("suspended").await?;
    with_issuer(&space).await?;
    let mut names = load_names(100);
    let mut progress = Progress::follow(&cluster)?;
    let reference = reference();
    let load = ask_for_many(&space, &names, &reference);
    let suspend = async {
        progress.until(&space, Step::Issued, 25).await?;
        environment.issuer.process().pause(true)?;
        anyhow::Ok(Instant::now())
    };
    let (_, suspended) = tokio::try_join!(load, suspend)?;
    let taken_over = leader(&cluster, Some(&first)).await?;
    progress.until(&space, Step::Issued, names.len()).await?;

    clock.set(&format!("-{:.3}", suspended.elapsed().as_secs_f64()))?;
    let resumed = Timestamp::now();
    environment.issuer.process().pause(false)?;
    let more: Vec<_> = (0..25).map(|index| format!("after-{index}")).collect();
    let gives_way = async {
        says(&environment.issuer, "not leading").await?;
        Ok(Timestamp::now().duration_since(resumed))
    };
    let (_, gave_way) = tokio::try_join!(ask_for_many(&space, &more, &reference), gives_way)?;
    names.extend(more);
    ensure!(gave_way < SOON, "it took {gave_way} to see that another leads");
    says(&environment.issuer, "following").await?;
    assert_all_served(&environment, &space, &names, progress).await?;
    ensure!(leader(&cluster, None).await? == taken_over, "it took the lease back:\n{}", told(&environment.issuer));
    ensure!(!told(&environment.issuer).contains("no renewal was confirmed"), "it knew that time had passed");

    ensure!(block_in_place(|| second.process().stop())?, "not cleanly:\n{}", told(&second));
    ask_plainly(&space, "again").await?;
    issued(&space, "again").await.with_context(|| told(&environment.issuer))?;
    Ok(())
}
