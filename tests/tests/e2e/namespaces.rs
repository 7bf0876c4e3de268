//! Several namespaces, and nothing beyond them: one for which there is no Role is told of by its name, and keeps none of the
//! others from being served.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::{Value, json};
use tandem_tests::{
    ControlPlane, IssuerProcess, Space,
    admin::Admin,
    certificates::root_ca,
    cluster::{CERTIFICATE_REQUEST, PATIENCE, condition},
    helm::{self, RELEASE, chart},
    issuer::NAMESPACE,
    tools,
};
use tokio::time::{interval, timeout};

use crate::{
    environment::make_issuer,
    requests::{ask_plainly, get, issued, touched},
};

/// Waits until `/readyz` answers with this.
async fn answers(admin: &Admin, expected: (u16, &str)) -> Result<()> {
    let mut look = interval(Duration::from_millis(50));
    let mut last = (0, String::new());
    let waiting = async {
        while (last.0, last.1.as_str()) != expected {
            look.tick().await;
            last = admin.ask("GET", "/readyz").await?;
        }
        anyhow::Ok(())
    };
    let ended = timeout(PATIENCE, waiting).await;
    ended.with_context(|| format!("{expected:?} is never answered, but {last:?}"))?
}

/// Every label of every series, by its name and its value.
fn labels(metrics: &str) -> BTreeSet<(String, String)> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    let sets = lines.filter_map(|line| Some(line.split_once('{')?.1.split_once('}')?.0));
    let pairs = sets.flat_map(|set| set.split(',')).filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

/// Whether series are no more than the issuers are: a namespace is in no other label than that of its issuers.
async fn assert_bounded(admin: &Admin, served: &[&str]) -> Result<()> {
    const NAMES: [&str; 13] = [
        "approval",
        "code",
        "issuer_kind",
        "issuer_name",
        "issuer_namespace",
        "kind",
        "le",
        "outcome",
        "reason",
        "resource",
        "subject_key_id",
        "verb",
        "version",
    ];
    const RESOURCES: [&str; 3] = ["certificaterequests", "secrets", "tandemissuers"];
    let metrics = admin.metrics().await?;
    let labels = labels(&metrics);
    let unknown = labels.iter().find(|(name, _)| !NAMES.contains(&name.as_str()));
    ensure!(unknown.is_none(), "{unknown:?}");
    let of = |name: &str| -> Vec<_> { labels.iter().filter(|l| l.0 == name).map(|l| l.1.as_str()).collect() };
    ensure!(of("issuer_namespace") == served, "{:?}", of("issuer_namespace"));
    ensure!(of("subject_key_id").len() <= served.len(), "{:?}", of("subject_key_id"));
    ensure!(of("resource").iter().all(|resource| RESOURCES.contains(resource)), "{:?}", of("resource"));
    for namespace in ["shop", "billing", "closed"] {
        let mentions = metrics.matches(&format!("\"{namespace}\"")).count();
        let of_issuers = metrics.matches(&format!("issuer_namespace=\"{namespace}\"")).count();
        ensure!(mentions == of_issuers && (of_issuers == 6) == served.contains(&namespace), "{namespace}: {metrics}");
    }
    Ok(())
}

/// Each is a world of its own. Once the Role is there it is served as well, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_without_a_role_is_named_and_the_others_are_served() -> Result<()> {
    let control_plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    let cluster = control_plane.cluster().await?;
    let [shop, billing, closed] =
        ["shop", "billing", "closed"].map(|name| Space { cluster: cluster.clone(), name: name.to_owned() });
    let ca = root_ca("CA", &PKCS_ECDSA_P256_SHA256)?;
    for space in [&shop, &billing, &closed] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name}});
        cluster.apply(&namespace.to_string(), "").await?;
    }
    helm::install(&control_plane, &["--set=scope.namespaces={shop,billing}"])?;
    for space in [&shop, &billing, &closed] {
        space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
        make_issuer(space, "internal-ca").await?;
        ask_plainly(space, "leaf").await?;
    }
    let arguments = ["--admin-address=127.0.0.1:0", "--namespace=shop", "--namespace=billing", "--namespace=closed"];
    let mut issuer = IssuerProcess::of(&control_plane).arguments(&arguments).start().await?;
    let admin = Admin::of(&issuer.process().log, None).await?;

    for space in [&shop, &billing] {
        issued(space, "leaf").await.with_context(|| issuer.log().unwrap_or_default())?;
    }
    answers(
        &admin,
        (
            503,
            "[-]certificaterequests in closed not synced yet\n[-]secrets in closed not synced yet\n\
             [-]tandemissuers in closed not synced yet\nnot ready; leading\n",
        ),
    )
    .await?;
    let (_, all) = admin.ask("GET", "/readyz?verbose").await?;
    ensure!(all.contains("[+]certificaterequests in shop ok\n[+]secrets in billing ok\n"), "{all}");
    assert_bounded(&admin, &["billing", "shop"]).await?;
    // It is said which right is missed, and where it comes from; nothing of the kind about the others.
    let log = issuer.log()?;
    let warnings = log
        .lines()
        .filter(|line| line.contains("watching failed") && line.contains("is forbidden"))
        .map(serde_json::from_str);
    let warnings = warnings.collect::<Result<Vec<Value>, _>>()?;
    ensure!(!warnings.is_empty(), "nothing is said:\n{log}");
    for fields in warnings.iter().map(|line| &line["fields"]) {
        let text = |field: &str| fields[field].as_str().unwrap_or_default();
        ensure!((text("resource"), text("namespace")) == ("tandemissuers", "closed"), "{fields}");
        ensure!(text("error").contains("cannot list resource \"tandemissuers\""), "{fields}");
        ensure!(text("message").contains("The chart makes one in each of `scope.namespaces`"), "{fields}");
    }
    let approved = |request: &_| condition(request, "Approved").is_some();
    closed.wait(CERTIFICATE_REQUEST, "leaf", approved).await?;
    ensure!(!touched(&get(&closed, "leaf").await?), "it wrote where it has no right");

    let mut upgrade = helm::on(&control_plane)?;
    upgrade.args(["upgrade", RELEASE]).arg(chart()).args(["--namespace", NAMESPACE]);
    tools::run(upgrade.arg("--set=scope.namespaces={shop,billing,closed}"))?;
    answers(&admin, (200, "ok: leading\n")).await.with_context(|| issuer.log().unwrap_or_default())?;
    issued(&closed, "leaf").await?;
    assert_bounded(&admin, &["billing", "closed", "shop"]).await?;
    ensure!(issuer.process().stop()?, "it did not stop cleanly");
    Ok(())
}
