//! Replicas, who of them leads, and what each of them has asked of the server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use kube::{api::DynamicObject, config::Kubeconfig};
use serde_json::{Value, json};
use tandem_tests::{
    Cluster, ControlPlane, IssuerProcess, Space,
    cluster::{CERTIFICATE_REQUEST, PATIENCE},
    issuer,
};
use tokio::time::{interval, timeout};

use crate::{
    chaos_load::assert_one_certificate_each,
    environment::{Environment, audit_log, without_issuer},
    load::{Progress, Step},
};

pub(crate) const LEASE: (&str, &str) = ("coordination.k8s.io/v1", "Lease");
pub(crate) const LEASE_NAME: &str = "tandem-issuer";

/// Times in which a test can wait for the end of a lease; long enough for a busy machine.
pub(crate) const LASTS: SignedDuration = SignedDuration::from_secs(10);
pub(crate) const DEADLINE: SignedDuration = SignedDuration::from_secs(7);
pub(crate) const TIMES: [&str; 3] = [
    "--leader-election-lease-duration=10s",
    "--leader-election-renew-deadline=7s",
    "--leader-election-retry-period=1s",
];

/// What a follower may need beyond the lease's end on a busy machine: it sees the end, frees the lease, takes it.
pub(crate) const SOON: SignedDuration = SignedDuration::from_secs(8);

/// A control plane and the first replica, which leads.
pub(crate) async fn environment(
    url: Option<&str>,
    control_plane: Option<ControlPlane>,
    arguments: &[&str],
) -> Result<Environment> {
    environment_with(url, control_plane, arguments, &[]).await
}

/// The same with environment variables of the replica.
pub(crate) async fn environment_with(
    url: Option<&str>,
    control_plane: Option<ControlPlane>,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<Environment> {
    let control_plane = match control_plane {
        Some(control_plane) => control_plane,
        None => without_issuer().await?,
    };
    let issuer = IssuerProcess::of(&control_plane)
        .replica("first")
        .at(url)
        .arguments(arguments)
        .variables(variables)
        .start()
        .await?;
    let environment = Environment { control_plane, issuer };
    leader(&environment.control_plane.cluster().await?, None).await.with_context(|| told(&environment.issuer))?;
    Ok(environment)
}

pub(crate) fn told(issuer: &IssuerProcess) -> String {
    issuer.log().unwrap_or_default()
}

/// Whoever leads after `before` did: his name, and since when.
pub(crate) async fn leader(cluster: &Cluster, before: Option<&str>) -> Result<(String, Timestamp)> {
    let text = |lease: &DynamicObject, field: &str| lease.data["spec"][field].as_str().unwrap_or_default().to_owned();
    let another = |lease: &DynamicObject| !["", before.unwrap_or_default()].contains(&&*text(lease, "holderIdentity"));
    let lease = cluster.wait(LEASE, issuer::NAMESPACE, LEASE_NAME, another).await?;
    Ok((text(&lease, "holderIdentity"), text(&lease, "acquireTime").parse()?))
}

/// How the audit log names the token of a replica.
fn credential(control_plane: &ControlPlane, replica: &str) -> Result<String> {
    let kubeconfig = Kubeconfig::read_from(control_plane.folder().join(format!("{replica}.kubeconfig")))?;
    let user = kubeconfig.auth_infos.first().and_then(|user| user.auth_info.as_ref()).context("no user")?;
    let token = serde_json::to_value(user)?["token"].as_str().context("no token")?.to_owned();
    // RFC 7515: base64url without padding.
    let mut claims = token.split('.').nth(1).context("no claims")?.replace('-', "+").replace('_', "/");
    claims.extend(std::iter::repeat_n('=', (4 - claims.len() % 4) % 4));
    let claims: k8s_openapi::ByteString = serde_json::from_value(json!(claims))?;
    let claims: Value = serde_json::from_slice(&claims.0)?;
    Ok(format!("JTI={}", claims["jti"].as_str().context("no jti")?))
}

/// What a replica has asked of the server.
pub(crate) fn asked(control_plane: &ControlPlane, replica: &str) -> Result<Vec<Value>> {
    let credential = credential(control_plane, replica)?;
    let audit = audit_log(control_plane)?;
    let mut asked = Vec::new();
    for line in audit.lines().filter(|line| line.contains(&credential)) {
        let call: Value = serde_json::from_str(line)?;
        // That the token was made is in the log as well.
        if call["user"]["extra"]["authentication.kubernetes.io/credential-id"] == json!([credential]) {
            asked.push(call);
        }
    }
    Ok(asked)
}

pub(crate) fn reads(call: &Value) -> bool {
    matches!(call["verb"].as_str(), Some("get" | "list" | "watch"))
}

pub(crate) fn about_lease(call: &Value) -> bool {
    call["objectRef"]["resource"] == "leases"
}

pub(crate) fn accepted(call: &Value) -> bool {
    call["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300)
}

pub(crate) fn received(call: &Value) -> Result<Timestamp> {
    Ok(call["requestReceivedTimestamp"].as_str().context("no time")?.parse()?)
}

/// When a replica's lease was last renewed.
pub(crate) fn renewed(control_plane: &ControlPlane, replica: &str) -> Result<Timestamp> {
    let calls = asked(control_plane, replica)?;
    let mut renewals = calls.iter().filter(|call| about_lease(call) && call["verb"] == "patch" && accepted(call));
    received(renewals.next_back().context("it was never renewed")?)
}

/// What a replica has done that only a leader does: everything but watching and standing for leadership.
pub(crate) fn acts(control_plane: &ControlPlane, replica: &str) -> Result<Vec<Value>> {
    Ok(asked(control_plane, replica)?.into_iter().filter(|call| !reads(call) && !about_lease(call)).collect())
}

/// Waits until a replica's log has this.
pub(crate) async fn says(issuer: &IssuerProcess, what: &str) -> Result<()> {
    until(|| Ok(issuer.log()?.contains(what))).await.with_context(|| format!("{what:?} is not in\n{}", told(issuer)))
}

/// Waits until it is so, by looking again and again.
pub(crate) async fn until(condition: impl Fn() -> Result<bool>) -> Result<()> {
    let mut look = interval(Duration::from_millis(50));
    let waiting = async {
        while !condition()? {
            look.tick().await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, waiting).await.context("not within a minute")?
}

/// Another replica, which follows.
pub(crate) async fn follower(
    control_plane: &ControlPlane,
    name: &str,
    arguments: &[&str],
    url: Option<&str>,
) -> Result<IssuerProcess> {
    let replica = IssuerProcess::of(control_plane).replica(name).at(url).arguments(arguments).start().await?;
    says(&replica, "following").await?;
    Ok(replica)
}

/// Every request of these names is Ready, with one certificate and no other ever.
pub(crate) async fn assert_all_served(
    environment: &Environment,
    space: &Space,
    names: &[String],
    mut progress: Progress,
) -> Result<()> {
    progress.until(space, Step::Issued, names.len()).await?;
    let requests = space.list(CERTIFICATE_REQUEST).await?;
    ensure!(requests.len() == names.len(), "{} of {} are left", requests.len(), names.len());
    assert_one_certificate_each(environment, &progress.stored, &requests)
}
