//! The issuer as a kubelet starts it: without a kubeconfig, and with a token that is renewed.

use anyhow::{Context, Result, ensure};
use k8s_openapi::{api::core::v1::ServiceAccount, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::Value;
use tandem_tests::{Cluster, IssuerProcess, issuer, pod::Pod};
use tokio::task::block_in_place;

use crate::{
    environment::{with_issuer, without_issuer},
    leadership::replicas::{leader, told, until},
    requests::{ask_plainly, issued},
};

/// Makes the issuer's account anew: tokens of the one that there was are worth nothing from then on.
async fn remake_account(cluster: &Cluster) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), issuer::NAMESPACE);
    let mut account = accounts.get("tandem-issuer").await?;
    accounts.delete("tandem-issuer", &DeleteParams::default()).await?;
    account.metadata = ObjectMeta { name: account.metadata.name, ..ObjectMeta::default() };
    accounts.create(&PostParams::default(), &account).await?;
    Ok(())
}

/// It needs no argument there: it finds the API server, stands for leadership in its own namespace, reads the CAs of cluster
/// issuers there, and logs for machines. A token that is worth nothing any more is no loss where a new one is in its place.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_pod_it_finds_everything_by_itself_and_outlives_its_token() -> Result<()> {
    if !Pod::is_possible() {
        // The image's tests need no less of the machine.
        ensure!(std::env::var_os("TANDEM_REQUIRE_TOOLS").is_none(), "unshare --mount is not allowed here");
        println!("skipped: unshare --mount is not allowed here");
        return Ok(());
    }
    let control_plane = without_issuer().await?;
    let cluster = control_plane.cluster().await?;
    let mut issuer = IssuerProcess::of(&control_plane).in_pod().start().await?;
    leader(&cluster, None).await.with_context(|| told(&issuer))?;
    let space = cluster.space("in-pod").await?;
    with_issuer(&space).await?;
    ask_plainly(&space, "before").await?;
    issued(&space, "before").await.with_context(|| told(&issuer))?;
    let log = told(&issuer);
    ensure!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "not JSON:\n{log}");

    // As after an hour: the kubelet has long written another one, and the first one ends.
    remake_account(&cluster).await?;
    let token = issuer::token(&cluster, (issuer::NAMESPACE, "tandem-issuer")).await?;
    let kubeconfig = control_plane.folder().join("issuer.kubeconfig");
    Pod::of(&kubeconfig)?.renew(&token)?;
    // The server keeps in mind for some seconds whom it knows.
    until(|| {
        let mut ask = control_plane.kubectl();
        let answer = ask.args(["auth", "whoami", "--kubeconfig"]).arg(&kubeconfig).output()?;
        Ok(String::from_utf8_lossy(&answer.stderr).contains("Unauthorized"))
    })
    .await?;
    ask_plainly(&space, "after").await?;
    let after = match issued(&space, "after").await {
        // The file is read once a minute.
        Err(_) => issued(&space, "after").await,
        at_once => at_once,
    };
    after.with_context(|| told(&issuer))?;
    ensure!(told(&issuer).contains("Unauthorized"), "the first token was still taken:\n{}", told(&issuer));
    ensure!(block_in_place(|| issuer.process().stop())?, "not cleanly:\n{}", told(&issuer));
    Ok(())
}
