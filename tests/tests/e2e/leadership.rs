//! Several replicas: one leads and the others follow, whatever happens to the one that leads. By the audit log, in which the
//! replicas differ by their tokens.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    config::Kubeconfig,
};
use serde_json::{Value, json};
use tandem_tests::{
    Cluster, ControlPlane, IssuerProcess, Space,
    cable::Cable,
    cluster::{CERTIFICATE_REQUEST, PATIENCE},
    faults::{FaultProxy, Trouble},
    issuer,
};
use tokio::{
    sync::oneshot,
    task::block_in_place,
    time::{interval, timeout},
};

use crate::{
    chaos_load::{assert_one_certificate_each, names},
    environment::{AUDIT, AUDIT_LOG, Environment, with_issuer},
    load::{Progress, Step, ask_for_many},
    requests::{ask_plainly, issued},
};

const LEASE: (&str, &str) = ("coordination.k8s.io/v1", "Lease");
const LEASE_NAME: &str = "tandem-issuer";

/// Times in which a test can wait for the end of a lease; long enough for a busy machine.
const LASTS: SignedDuration = SignedDuration::from_secs(10);
const DEADLINE: SignedDuration = SignedDuration::from_secs(7);
const TIMES: [&str; 3] = [
    "--leader-election-lease-duration=10s",
    "--leader-election-renew-deadline=7s",
    "--leader-election-retry-period=1s",
];

/// What a follower may need beyond the lease's end on a busy machine: it sees the end, frees the lease, takes it.
const BUSY: SignedDuration = SignedDuration::from_secs(4);

/// A control plane and the first replica, which leads.
async fn environment(
    url: Option<&str>,
    control_plane: Option<ControlPlane>,
    arguments: &[&str],
) -> Result<Environment> {
    let control_plane = match control_plane {
        Some(control_plane) => control_plane,
        None => start().await?,
    };
    let issuer = IssuerProcess::start_replica(&control_plane, "first", url, arguments).await?;
    let environment = Environment { control_plane, issuer };
    leader(&environment.control_plane.cluster().await?, None).await.with_context(|| told(&environment.issuer))?;
    Ok(environment)
}

async fn start() -> Result<ControlPlane> {
    let control_plane = tokio::task::spawn_blocking(|| ControlPlane::start_with(&[AUDIT])).await??;
    issuer::install(&control_plane.cluster().await?).await?;
    Ok(control_plane)
}

fn told(issuer: &IssuerProcess) -> String {
    issuer.log().unwrap_or_default()
}

/// Whoever leads after `before` did: his name, and since when.
async fn leader(cluster: &Cluster, before: Option<&str>) -> Result<(String, Timestamp)> {
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
fn asked(control_plane: &ControlPlane, replica: &str) -> Result<Vec<Value>> {
    let credential = credential(control_plane, replica)?;
    let audit = std::fs::read_to_string(control_plane.folder().join(AUDIT_LOG))?;
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

fn reads(call: &Value) -> bool {
    matches!(call["verb"].as_str(), Some("get" | "list" | "watch"))
}

fn about_lease(call: &Value) -> bool {
    call["objectRef"]["resource"] == "leases"
}

fn accepted(call: &Value) -> bool {
    call["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300)
}

fn received(call: &Value) -> Result<Timestamp> {
    Ok(call["requestReceivedTimestamp"].as_str().context("no time")?.parse()?)
}

/// What a replica has done that only a leader does: everything but watching and standing for leadership.
fn acts(control_plane: &ControlPlane, replica: &str) -> Result<Vec<Value>> {
    Ok(asked(control_plane, replica)?.into_iter().filter(|call| !reads(call) && !about_lease(call)).collect())
}

/// Waits until a replica's log has this.
async fn says(issuer: &IssuerProcess, what: &str) -> Result<()> {
    until(|| Ok(issuer.log()?.contains(what))).await.with_context(|| format!("{what:?} is not in\n{}", told(issuer)))
}

async fn until(condition: impl Fn() -> Result<bool>) -> Result<()> {
    let mut look = interval(Duration::from_millis(50));
    let waiting = async {
        while !condition()? {
            look.tick().await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, waiting).await?
}

fn reference() -> Value {
    json!({"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "internal-ca"})
}

/// Every request of these names is Ready, with one certificate and no other ever.
async fn assert_all_served(
    environment: &Environment,
    space: &Space,
    names: &[String],
    mut progress: Progress,
) -> Result<()> {
    progress.until(space, Step::Issued, names.len()).await?;
    let requests = space.list(CERTIFICATE_REQUEST).await?;
    ensure!(requests.len() == names.len(), "{} of {} are left", requests.len(), names.len());
    assert_one_certificate_each(environment, progress.stored, &requests)
}

/// The CA is in the follower's memory when it is needed, and nothing was written for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_only_watches_and_takes_over_at_once_when_the_leader_is_told_to_stop() -> Result<()> {
    let mut environment = environment(None, None, &[]).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    let mut second = IssuerProcess::start_replica(&environment.control_plane, "second", None, &[]).await?;
    says(&second, "following").await?;
    let space = environment.space("handover").await?;
    with_issuer(&space).await?;
    let knows_ca = |call: &Value| {
        call["verb"] == "watch"
            && call["objectRef"]["resource"] == "secrets"
            && call["objectRef"]["namespace"] == *space.name
    };
    until(|| Ok(asked(&environment.control_plane, "second")?.iter().any(knows_ca))).await?;

    let names = names(300);
    let mut progress = Progress::follow(&cluster)?;
    let by_it = reference();
    let load = ask_for_many(&space, &names, &by_it);
    let hand_over = async {
        progress.until(&space, Step::Issued, 100).await?;
        let acts_of_follower = acts(&environment.control_plane, "second")?;
        ensure!(acts_of_follower.is_empty(), "the follower did more than watch: {acts_of_follower:?}");
        let asked_to_stop = Timestamp::now();
        ensure!(block_in_place(|| environment.issuer.process().stop())?, "not cleanly:\n{}", told(&environment.issuer));
        anyhow::Ok(asked_to_stop)
    };
    let (_, asked_to_stop) = tokio::try_join!(load, hand_over)?;
    let (_, since) = leader(&cluster, Some(&first)).await?;
    println!("taken over after {}", since.duration_since(asked_to_stop));
    ensure!(since.duration_since(asked_to_stop) < SignedDuration::from_secs(5), "not at once: {since}");
    says(&environment.issuer, "the lease is released").await?;
    assert_all_served(&environment, &space, &names, progress).await?;
    ensure!(
        !acts(&environment.control_plane, "second")?.is_empty(),
        "the first had done it all: nothing was handed over"
    );

    // Whoever issued a certificate tells of it before it ends, or says that there was no time for that.
    ensure!(block_in_place(|| second.process().stop())?, "not cleanly:\n{}", told(&second));
    let events = space.events().await?;
    let told_of = |event: &&Event| event.reason.as_deref() == Some("CertificateIssued");
    let logs = told(&environment.issuer) + &told(&second);
    let count = events.iter().filter(told_of).count();
    ensure!(count >= names.len() || logs.contains("events are left unsent"), "{count} were told of:\n{logs}");
    Ok(())
}

/// The requests that the dead one had in hand are served as well, by one of the others alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_under_load_is_followed_within_its_leases_duration() -> Result<()> {
    let mut environment = environment(None, None, &TIMES).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    let mut others = Vec::new();
    for name in ["second", "third"] {
        let other = IssuerProcess::start_replica(&environment.control_plane, name, None, &TIMES).await?;
        says(&other, "following").await?;
        others.push(other);
    }
    let space = environment.space("killed").await?;
    with_issuer(&space).await?;
    let names = names(200);
    let mut progress = Progress::follow(&cluster)?;
    let by_it = reference();
    let load = ask_for_many(&space, &names, &by_it);
    let kill = async {
        progress.until(&space, Step::Issued, 50).await?;
        environment.issuer.process().kill()?;
        anyhow::Ok(Timestamp::now())
    };
    let (_, killed) = tokio::try_join!(load, kill)?;
    let (_, since) = leader(&cluster, Some(&first)).await?;
    println!("taken over after {}", since.duration_since(killed));
    ensure!(since.duration_since(killed) < LASTS + BUSY, "too late: {since}");
    assert_all_served(&environment, &space, &names, progress).await?;

    for other in &mut others {
        ensure!(block_in_place(|| other.process().stop())?, "not cleanly:\n{}", told(other));
    }
    let acted: Vec<_> =
        ["second", "third"].into_iter().map(|name| acts(&environment.control_plane, name)).collect::<Result<_>>()?;
    // The one that was told to stop first may have handed over to the other, which had nothing left to do.
    ensure!(acted.iter().filter(|acts| !acts.is_empty()).count() == 1, "both acted: {acted:?}");
    Ok(())
}

/// A fault by which calls about the lease hang while it is on; they fail when it is switched off.
fn lease_hangs(on: Arc<AtomicBool>) -> Box<tandem_tests::faults::Fault> {
    let kept = Mutex::new(Vec::new());
    Box::new(move |_: &Method, path: &str| {
        let mut kept = kept.lock().ok()?;
        if !on.load(Ordering::SeqCst) {
            kept.clear();
            return None;
        }
        path.contains("/leases").then(|| {
            let (release, until) = oneshot::channel();
            kept.push(release);
            Trouble::Delay { until, done: oneshot::channel().0 }
        })
    })
}

/// It hears of requests and could write, but not renew its lease: only its own clock tells it to stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_its_lease_stops_signing_before_it_ends() -> Result<()> {
    let control_plane = start().await?;
    let hangs = Arc::new(AtomicBool::new(false));
    let proxy = FaultProxy::start(&control_plane, lease_hangs(hangs.clone())).await?;
    let mut environment = environment(Some(&proxy.url), Some(control_plane), &TIMES).await?;
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    let mut second = IssuerProcess::start_replica(&environment.control_plane, "second", None, &TIMES).await?;
    says(&second, "following").await?;
    let space = environment.space("unrenewed").await?;
    with_issuer(&space).await?;

    // There is always something to sign, until the second one leads.
    let progress = Progress::follow(&cluster)?;
    let mut asked_for = names(20);
    ask_for_many(&space, &asked_for, &reference()).await?;
    issued(&space, "leaf-0").await?;
    hangs.store(true, Ordering::SeqCst);
    let silenced = Timestamp::now();
    let taken_over = leader(&cluster, Some(&first));
    tokio::pin!(taken_over);
    let mut tick = interval(Duration::from_millis(100));
    let (_, since) = loop {
        tokio::select! {
            taken_over = &mut taken_over => break taken_over?,
            _ = tick.tick() => {
                let next = format!("leaf-{}", asked_for.len());
                ask_plainly(&space, &next).await?;
                asked_for.push(next);
            }
        }
    };
    assert_all_served(&environment, &space, &asked_for, progress).await?;

    let calls = asked(&environment.control_plane, "first")?;
    let mut renewals = calls.iter().filter(|call| about_lease(call) && call["verb"] == "patch" && accepted(call));
    let renewed = received(renewals.next_back().context("it was never renewed")?)?;
    let acts = acts(&environment.control_plane, "first")?;
    let last = received(acts.last().context("it never acted")?)?;
    println!("renewed {renewed}, silenced {silenced}, last act {last}, taken over {since}");
    ensure!(last > silenced, "it had nothing to do while it could not renew");
    ensure!(last.duration_since(renewed) < DEADLINE + SignedDuration::from_secs(1), "it acted for too long: {last}");
    ensure!(since.duration_since(renewed) >= LASTS, "the other did not wait for the lease's end: {since}");
    ensure!(since.duration_since(renewed) < LASTS + BUSY, "too late: {since}");

    // It follows, and leads again when the other hands over.
    says(&environment.issuer, "no renewal was confirmed").await?;
    hangs.store(false, Ordering::SeqCst);
    says(&environment.issuer, "following").await?;
    ensure!(block_in_place(|| second.process().stop())?, "not cleanly:\n{}", told(&second));
    ask_plainly(&space, "again").await?;
    issued(&space, "again").await.with_context(|| told(&environment.issuer))?;
    ensure!(environment.issuer.process().is_running()?, "it died");
    Ok(())
}

/// What a leader had in hand when it fell silent comes too late, if it comes.
async fn silent(environment: &mut Environment, silence: impl Fn(&mut IssuerProcess, bool) -> Result<()>) -> Result<()> {
    let cluster = environment.control_plane.cluster().await?;
    let (first, _) = leader(&cluster, None).await?;
    let mut second = IssuerProcess::start_replica(&environment.control_plane, "second", None, &TIMES).await?;
    says(&second, "following").await?;
    let space = environment.space("silent").await?;
    with_issuer(&space).await?;
    let names = names(200);
    let mut progress = Progress::follow(&cluster)?;
    let by_it = reference();
    let load = ask_for_many(&space, &names, &by_it);
    let fall_silent = async {
        progress.until(&space, Step::Issued, 50).await?;
        silence(&mut environment.issuer, true)?;
        anyhow::Ok(Timestamp::now())
    };
    let (_, silenced) = tokio::try_join!(load, fall_silent)?;
    let (_, since) = leader(&cluster, Some(&first)).await?;
    ensure!(since.duration_since(silenced) < LASTS + BUSY, "too late: {since}");

    silence(&mut environment.issuer, false)?;
    says(&environment.issuer, "no renewal was confirmed").await?;
    says(&environment.issuer, "following").await?;
    assert_all_served(environment, &space, &names, progress).await?;
    for act in acts(&environment.control_plane, "first")? {
        let status = act["objectRef"]["subresource"] == "status";
        let late = received(&act)? > since;
        ensure!(!(status && late && accepted(&act)), "it acted after another had taken over: {act}");
    }
    // Its caches are warm, and it leads again when the other hands over.
    ensure!(block_in_place(|| second.process().stop())?, "not cleanly:\n{}", told(&second));
    ask_plainly(&space, "again").await?;
    issued(&space, "again").await.with_context(|| told(&environment.issuer))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_connection_hangs_gives_way_and_follows_when_it_is_mended() -> Result<()> {
    let control_plane = start().await?;
    let proxy = FaultProxy::start(&control_plane, Box::new(|_: &Method, _: &str| None)).await?;
    let cable = Cable::to(proxy.url.trim_start_matches("http://").parse()?).await?;
    let url = format!("http://{}", cable.address);
    let mut environment = environment(Some(&url), Some(control_plane), &TIMES).await?;
    let cut = |_: &mut IssuerProcess, cut: bool| {
        cable.cut(cut);
        Ok(())
    };
    silent(&mut environment, cut).await
}

/// As where a machine is out of memory, or is moved: it does not know that time has passed.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stood_still_for_longer_than_its_lease_does_not_act_when_it_goes_on() -> Result<()> {
    let mut environment = environment(None, None, &TIMES).await?;
    silent(&mut environment, |issuer, paused| issuer.process().pause(paused)).await
}

/// A holder whose clock is ten minutes slow is not robbed, and one whose clock was ten minutes fast is not waited for any
/// longer than another: no time that is written in a lease is compared with one's own.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_ten_minutes_off_neither_rob_a_holder_nor_keep_a_dead_one_in_office() -> Result<()> {
    const OTHER: &str = "another_with_a_clock_of_its_own";
    const OFF: SignedDuration = SignedDuration::from_mins(10);
    let control_plane = start().await?;
    let cluster = control_plane.cluster().await?;
    let leases =
        cluster.api(&kube::api::TypeMeta { api_version: LEASE.0.into(), kind: LEASE.1.into() }, issuer::NAMESPACE)?;
    let renew = |off: SignedDuration| {
        let time = (Timestamp::now() + off).strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let spec = json!({"holderIdentity": OTHER, "leaseDurationSeconds": LASTS.as_secs(), "renewTime": time, "acquireTime": time});
        let lease = json!({"apiVersion": LEASE.0, "kind": LEASE.1, "metadata": {"name": LEASE_NAME}, "spec": spec});
        let leases = leases.clone();
        async move { leases.patch(LEASE_NAME, &PatchParams::apply("another").force(), &Patch::Apply(lease)).await }
    };
    renew(-OFF).await?;
    let mut issuer = IssuerProcess::start_replica(&control_plane, "first", None, &TIMES).await?;
    says(&issuer, "following").await?;
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
