//! The issuer as a process: it stops when told to, and goes on where it was.

use anyhow::{Result, ensure};
use futures::{StreamExt, pin_mut};
use kube::{
    Api,
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use tandem_tests::{
    IssuerProcess,
    certificates::OpenSsl,
    cluster::{condition, is_ready},
};

use crate::{
    environment::{Environment, space_with_issuer, with_issuer},
    requests::{ask_plainly, get, issued, touched},
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

/// In the happy path nothing is written between approval and the certificate.
#[tokio::test]
async fn one_status_write_makes_a_certificate() -> Result<()> {
    let (space, _) = space_with_issuer("writes").await?;
    let api: Api<DynamicObject> = space.api(tandem_tests::cluster::CERTIFICATE_REQUEST)?;
    let seen = watch_object(api, "once").default_backoff();
    pin_mut!(seen);
    ask_plainly(&space, "once").await?;
    let mut ours = Vec::new();
    while let Some(object) = seen.next().await {
        let Some(object) = object? else { continue };
        if touched(&object) {
            ours.push(condition(&object, "Ready"));
        }
        if is_ready(&object, "True", "Issued") {
            break;
        }
    }
    ensure!(ours.len() == 1, "written {} times: {ours:?}", ours.len());
    Ok(())
}
