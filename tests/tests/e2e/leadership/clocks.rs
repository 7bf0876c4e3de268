//! Clocks that are ten minutes off: those of holders, and the replicas' own.

use std::{path::PathBuf, time::Duration};

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
    BUSY, LASTS, LEASE, LEASE_NAME, TIMES, acts, assert_all_served, environment, follower, leader, says, told,
};
use crate::{
    environment::{with_issuer, without_issuer},
    load::Progress,
    requests::{ask_plainly, issued},
};

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
        (LASTS - SignedDuration::from_secs(1)..LASTS + BUSY).contains(&since.duration_since(died)),
        "taken over {since}"
    );
    with_issuer(&space).await?;
    ask_plainly(&space, "leaf").await?;
    issued(&space, "leaf").await.with_context(|| told(&issuer))?;
    ensure!(block_in_place(|| issuer.process().stop())?, "not cleanly:\n{}", told(&issuer));
    Ok(())
}

/// Debian's libfaketime, for programs with threads; it is not found by a name alone.
fn libfaketime() -> Result<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib")?.filter_map(|folder| Some(folder.ok()?.path()));
    let found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.is_file());
    found.context("libfaketime is not beneath /usr/lib; `make tools` installs it")
}

/// A replica with such a clock follows and leads as the others do, and is followed as they are.
async fn off_by(off: &str) -> Result<()> {
    let library = libfaketime()?.display().to_string();
    // Only the time of day: what has passed is told by another clock, which nobody sets.
    let clock = [("LD_PRELOAD", library.as_str()), ("FAKETIME", off), ("DONT_FAKE_MONOTONIC", "1")];
    let mut environment = environment(None, None, &TIMES).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    // Not by TLS: by some clocks the server's certificate, made just now, is not valid.
    let proxy = FaultProxy::start(&environment.control_plane, Box::new(|_: &Method, _: &str| None)).await?;
    let (control_plane, url) = (&environment.control_plane, Some(&*proxy.url));
    let mut second = IssuerProcess::start_replica_with(control_plane, "second", url, &TIMES, &clock).await?;
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
    ensure!(first_took < LASTS + BUSY && second_took < LASTS + BUSY, "taken over after {first_took}, {second_took}");
    names.push("by-the-third".to_owned());
    ask_plainly(&space, "by-the-third").await?;
    issued(&space, "by-the-third").await.with_context(|| told(&third))?;
    assert_all_served(&environment, &space, &names, progress).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_clock_is_ten_minutes_fast_leads_and_follows_as_any_other() -> Result<()> {
    if !tools::available("faketime")? {
        println!("skipped: faketime is not installed");
        return Ok(());
    }
    off_by("+600s").await
}
