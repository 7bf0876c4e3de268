//! What the chart grants, beside what the issuer uses: the one by the RBAC in the cluster, the other by the audit log.

pub(crate) mod right;
mod scene;

use anyhow::{Result, ensure};
use tandem_tests::cluster::CERTIFICATE_REQUEST;

use crate::requests::{get, touched};
use right::{Right, covers, granted};
use scene::Scene;

/// Nothing is denied, nothing is granted that is not used, and without any one right something is denied: each of them is
/// taken away once, from an issuer that starts anew and signs for new issuers.
#[tokio::test(flavor = "multi_thread")]
async fn every_right_is_used_and_missed_where_it_is_gone() -> Result<()> {
    let mut scene = Scene::start(&["shop"], &["--set=secretNamespaces={shop}"]).await?;
    let granted = granted(&scene.cluster).await?;
    ensure!(granted.len() > 20, "rights were left out: {granted:#?}");
    for right in &granted {
        ensure!(![&right.group, &right.resource, &right.verb].contains(&&"*".to_owned()), "{right}: too wide");
        let secrets = right.resource == "secrets" && right.role.namespace.is_none();
        ensure!(!secrets, "{right}: Secrets of all namespaces");
    }
    let mut replicas = scene.replicas().await?;
    Scene::ready(&mut replicas).await?;
    let requests = scene.ask("all", true).await?;
    scene.issued(&requests).await?;
    scene.all_used(&granted).await?;
    drop(replicas);

    for (round, right) in granted.iter().enumerate() {
        let role = scene.take_away(right, &granted).await?;
        let replicas = scene.replicas().await?;
        scene.ask(&format!("without-{round}"), true).await?;
        scene.denied(right).await?;
        drop(replicas);
        scene.give_back(right, &role).await?;
    }
    Ok(())
}

/// No ClusterRole is the issuer's, and in its namespaces it needs no more than in the whole cluster; what is elsewhere, or
/// refers to a kind that is in no namespace, is not touched.
#[tokio::test(flavor = "multi_thread")]
async fn with_namespaces_named_nothing_is_granted_or_done_beyond_them() -> Result<()> {
    let mut scene = Scene::start(&["shop", "billing"], &["--set=scope.namespaces={shop,billing}"]).await?;
    let elsewhere = scene.cluster.space("elsewhere").await?;
    let granted = granted(&scene.cluster).await?;
    let of = |namespace: &str| -> Vec<&Right> {
        granted.iter().filter(|right| right.role.namespace.as_deref() == Some(namespace)).collect()
    };
    let all = of("shop").len() + of("billing").len() + of("tandem").len();
    ensure!(all == granted.len() && of("shop").len() == of("billing").len(), "{granted:#?}");
    ensure!(of("tandem").iter().all(|right| right.resource == "leases"), "{granted:#?}");

    let mut replicas = scene.replicas().await?;
    Scene::ready(&mut replicas).await?;
    scene.ask_of("elsewhere", &elsewhere, "TandemIssuer", "elsewhere").await?;
    let shop = scene.spaces[0].clone();
    scene.ask_of("of-the-cluster", &shop, "TandemClusterIssuer", "any").await?;
    let requests = scene.ask("here", false).await?;
    scene.issued(&requests).await?;
    scene.all_used(&granted).await?;
    for (space, name) in [(&elsewhere, "elsewhere"), (&shop, "of-the-cluster")] {
        ensure!(!touched(&get(space, name).await?), "{name} was touched");
    }
    ensure!(shop.list(CERTIFICATE_REQUEST).await?.len() == 2, "what was asked for has gone");
    Ok(())
}

/// The comparison itself: a right by name is not used by what has another name, nor one in a namespace by another's.
#[test]
fn a_right_covers_what_it_says_and_no_more() {
    let call = |verb: &str, name: &str| Right::of("Role tandem/a", "", "secrets", verb, Some(name));
    let right = |role: &str, verb: &str, name| Right::of(role, "", "secrets", verb, name);
    let used = [call("list", "ca")];
    for (granted, is_used) in [
        (right("Role tandem/a", "list", None), true),
        (right("Role tandem/a", "list", Some("ca")), true),
        (right("Role tandem/a", "list", Some("other")), false),
        (right("Role tandem/a", "watch", None), false),
        (right("Role shop/a", "list", None), false),
        (right("Role tandem/b", "list", None), false),
        (right("ClusterRole a", "list", None), false),
    ] {
        assert_eq!(used.iter().any(|call| covers(&granted, call)), is_used, "{granted}");
    }
}
