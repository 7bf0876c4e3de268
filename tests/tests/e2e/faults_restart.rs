//! The API server is stopped or killed and comes back with its data, the CA Secret is deleted and comes back, and both at
//! once: all under load.

use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use tandem_tests::{
    Space,
    certificates::Ca,
    cluster::{CERTIFICATE_REQUEST, ISSUER, PATIENCE, is_ready},
};
use tokio::time::{Duration, interval, timeout};

use crate::{
    chaos_load::assert_one_certificate_each,
    environment::{AUDIT, Environment, with_issuer},
    load::{Progress, Step, ask_for_many},
    requests::reference,
    waiting::put,
};

/// How many requests are made before, while and after something is away.
const LOAD: usize = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Stays,
    IsStopped,
    IsKilled,
}

/// Makes requests however often the server is not there.
async fn ask_on(space: &Space, prefix: &str) -> Result<()> {
    let reference = reference();
    let mut again = interval(Duration::from_millis(200));
    let asking = async {
        for index in 0..LOAD {
            let name = format!("{prefix}-{index}");
            loop {
                match ask_for_many(space, std::slice::from_ref(&name), &reference).await {
                    Err(error) if !error.to_string().contains("already exists") => again.tick().await,
                    _ => break,
                };
            }
        }
    };
    timeout(3 * PATIENCE, asking).await.with_context(|| format!("{prefix}: the server does not come back"))
}

async fn away(environment: &mut Environment, space: &Space, ca: &Ca, server: Server, secret: bool) -> Result<()> {
    let prefix = format!("{server:?}-{secret}").to_lowercase();
    let mut progress = Progress::follow(&space.cluster)?;
    let before = Progress::finished(space).await?;
    ask_on(space, &format!("{prefix}-before")).await?;
    if secret {
        space.secrets().delete("internal-ca", &DeleteParams::default()).await?;
    }
    let control_plane = &mut environment.control_plane;
    match server {
        Server::Stays => {}
        Server::IsStopped => ensure!(control_plane.process().stop()?, "it did not stop cleanly"),
        Server::IsKilled => control_plane.process().kill()?,
    }
    let back = async {
        if server != Server::Stays {
            tokio::task::block_in_place(|| control_plane.resume())?;
        }
        if secret {
            space.wait(ISSUER, "internal-ca", |issuer| is_ready(issuer, "False", "ErrGetKeyPair")).await?;
            put(space, ca).await?;
        }
        anyhow::Ok(())
    };
    // A task of its own: while the server is started, this one stands still.
    let asking = tokio::spawn({
        let (space, during) = (space.clone(), format!("{prefix}-during"));
        async move { ask_on(&space, &during).await }
    });
    back.await?;
    asking.await??;
    ask_on(space, &format!("{prefix}-after")).await?;
    progress.until(space, Step::Issued, before + 3 * LOAD).await?;
    assert_one_certificate_each(environment, &progress.stored, &space.list(CERTIFICATE_REQUEST).await?)
}

/// Facts 5, 6, 28: who waited is served when the server or the CA is back, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_or_a_ca_that_is_away_under_load_fails_nobody() -> Result<()> {
    let mut environment = Environment::start(&[AUDIT], &[]).await?;
    let space = environment.space("away").await?;
    let ca = with_issuer(&space).await?;
    for (server, secret) in [(Server::Stays, true), (Server::IsStopped, false), (Server::IsKilled, true)] {
        let done = away(&mut environment, &space, &ca, server, secret).await;
        done.with_context(|| {
            format!("{server:?}, CA Secret deleted: {secret}\n{}", environment.issuer.log().unwrap_or_default())
        })?;
    }
    Ok(())
}
