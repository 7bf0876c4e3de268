//! What whoever may write the lease may write into it: nothing of it keeps the replicas from serving for longer than a lease
//! lasts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams, TypeMeta};
use serde_json::{Value, json};
use tandem_tests::issuer;
use tokio::{task::block_in_place, time::interval};

use super::replicas::{LASTS, LEASE, LEASE_NAME, SOON, TIMES, environment, follower, leader, told};
use crate::{
    environment::with_issuer,
    requests::{ask_plainly, issued},
};

const YEAR_9999: &str = "9999-12-31T23:59:59.999999Z";
const DECADES: i32 = 1_000_000_000;

/// What is merged into the lease.
fn odd_specs() -> [(&'static str, Value); 6] {
    let (lasts, stranger) = (LASTS.as_secs(), "stranger");
    [
        (
            "nobody for decades",
            json!({"holderIdentity": "", "leaseDurationSeconds": DECADES, "renewTime": YEAR_9999, "acquireTime": YEAR_9999}),
        ),
        ("nobody, and a time that cannot be held", json!({"holderIdentity": null, "renewTime": YEAR_9999})),
        ("as many turns as fit", json!({"holderIdentity": "", "leaseTransitions": i32::MAX})),
        ("the holder for decades", json!({"leaseDurationSeconds": DECADES, "renewTime": YEAR_9999})),
        (
            "another with a time that cannot be held",
            json!({"holderIdentity": stranger, "leaseDurationSeconds": lasts, "renewTime": YEAR_9999}),
        ),
        (
            "another who says nothing more",
            json!({"holderIdentity": stranger, "leaseDurationSeconds": null, "renewTime": null}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_stranger_writes_into_the_lease_it_is_held_and_renewed_again() -> Result<()> {
    let mut environment = environment(None, None, &TIMES).await?;
    let mut second = follower(&environment.control_plane, "second", &TIMES, None).await?;
    let cluster = environment.control_plane.cluster().await?;
    let leases = cluster.api(&TypeMeta { api_version: LEASE.0.into(), kind: LEASE.1.into() }, issuer::NAMESPACE)?;
    let space = environment.space("odd-leases").await?;
    with_issuer(&space).await?;
    for (number, (what, spec)) in odd_specs().into_iter().enumerate() {
        let patch = json!({"spec": spec});
        leases.patch(LEASE_NAME, &PatchParams::default(), &Patch::Merge(patch)).await?;
        let written = Timestamp::now();

        let renewed_since = |lease: &kube::api::DynamicObject| {
            let spec = &lease.data["spec"];
            let time = spec["renewTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
            let held = spec["holderIdentity"].as_str().is_some_and(|holder| !["", "stranger"].contains(&holder));
            held && spec["leaseDurationSeconds"] == LASTS.as_secs() && time.is_some_and(|time| time > written)
        };
        let logs = || format!("{what}\n--- first\n{}--- second\n{}", told(&environment.issuer), told(&second));
        cluster.wait(LEASE, issuer::NAMESPACE, LEASE_NAME, renewed_since).await.with_context(logs)?;
        println!("{what}: held again after {:#}", Timestamp::now().duration_since(written));
        let name = format!("leaf-{number}");
        ask_plainly(&space, &name).await?;
        issued(&space, &name).await.with_context(logs)?;
    }
    for replica in [&mut environment.issuer, &mut second] {
        let log = told(replica);
        ensure!(!log.contains("panicked"), "{log}");
        ensure!(block_in_place(|| replica.process().stop())?, "not cleanly:\n{}", told(replica));
    }
    Ok(())
}

/// It is not renewed by that.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_leader_is_followed_although_somebody_goes_on_to_label_its_lease() -> Result<()> {
    let mut environment = environment(None, None, &TIMES).await?;
    let mut second = follower(&environment.control_plane, "second", &TIMES, None).await?;
    let cluster = environment.control_plane.cluster().await?;
    let leases = cluster.api(&TypeMeta { api_version: LEASE.0.into(), kind: LEASE.1.into() }, issuer::NAMESPACE)?;
    let (first, _) = leader(&cluster, None).await?;
    environment.issuer.process().kill()?;
    let died = Timestamp::now();
    let mut tick = interval(Duration::from_secs(1));
    let label = async {
        for number in 0_u64.. {
            tick.tick().await;
            let label = json!({"metadata": {"labels": {"tandem.test/number": number.to_string()}}});
            leases.patch(LEASE_NAME, &PatchParams::default(), &Patch::Merge(label)).await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        taken_over = leader(&cluster, Some(&first)) => drop(taken_over.with_context(|| told(&second))?),
        labelled = label => labelled?,
    }
    let took = Timestamp::now().duration_since(died);
    println!("taken over after {took}");
    ensure!(took < LASTS + SOON, "taken over after {took}:\n{}", told(&second));
    ensure!(block_in_place(|| second.process().stop())?, "not cleanly:\n{}", told(&second));
    Ok(())
}
