//! The issuer as a process: it stops when told to, and goes on where it was.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use kube::api::DynamicObject;
use serde_json::json;
use tandem_tests::{
    ControlPlane, IssuerProcess,
    certificates::{OpenSsl, csr},
    cluster::{CRD, PATIENCE, condition},
    issuer,
};
use tokio::time::timeout;

use crate::{
    environment::{Environment, with_issuer},
    requests::{ask, ask_plainly, failed, get, issued, set_conditions, touched},
};

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
    let waiting = space.wait(tandem_tests::cluster::CERTIFICATE_REQUEST, "meanwhile", approved).await?;
    ensure!(!touched(&waiting), "somebody else signs");
    let finished = get(&space, "before").await?;

    environment.issuer = IssuerProcess::start(&environment.control_plane).await?;
    let issued = issued(&space, "meanwhile").await?;
    OpenSsl::new()?.verify(&issued.chain, &ca.as_ref().pem(), &[])?;
    ensure!(get(&space, "before").await? == finished, "a finished request was written to");
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
        space.wait(tandem_tests::cluster::CERTIFICATE_REQUEST, name, approved).await?;
    }
    environment.issuer = IssuerProcess::start(&environment.control_plane).await?;
    try_join_all(names.iter().map(|name| issued(&space, name))).await?;
    ensure!(environment.issuer.process().stop()?, "SIGTERM did not end it with code 0:\n{}", environment.issuer.log()?);
    let events = space.events().await?;
    let told = events.iter().filter(|event| event.reason.as_deref() == Some("CertificateIssued")).count();
    ensure!(told == names.len(), "{told} of {} were told of:\n{}", names.len(), environment.issuer.log()?);
    Ok(())
}

/// What it watches may not be there yet, and then it waits for it; but not when it is told to stop.
#[tokio::test]
async fn it_stops_cleanly_where_it_never_got_going() -> Result<()> {
    let control_plane = ControlPlane::start_with(&["--cert-manager-controllers=none"])?;
    let cluster = control_plane.cluster().await?;
    // Its account and its rights, but no CRDs.
    cluster.apply(&issuer::manifest(|kind| kind != CRD.1)?, issuer::NAMESPACE).await?;
    let mut issuer = IssuerProcess::start(&control_plane).await?;
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
    environment.issuer = IssuerProcess::start(&environment.control_plane).await?;
    ask_plainly(&space, "after").await?;
    set_conditions(&space, "after", &["Approved"]).await?;
    issued(&space, "after").await.map(|_| ())
}
