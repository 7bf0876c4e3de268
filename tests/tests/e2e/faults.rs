//! An API server in trouble: what it says about when to come again is heeded, and a fault that may heal fails nobody.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use rcgen::KeyPair;
use serde_json::json;
use tandem_tests::{
    IssuerProcess,
    admin::Admin,
    certificates::OpenSsl,
    cluster::{CERTIFICATE_REQUEST, ISSUER, is_ready},
    faults::{Fault, FaultProxy, Passed, WatchTrouble, trouble},
};

use crate::{
    admin::ADDRESS,
    environment::{Environment, with_issuer, without_issuer},
    requests::{ask_plainly, issued},
    signing_requests::{self, ask_approved, named, signer},
    waiting::put,
};

const NAMED_TIME: Duration = Duration::from_secs(3);

/// Requests by name, and the trouble that the first writes of their status meet: how often, with which HTTP status, and
/// when the server wants to be asked again.
const TROUBLES: [(&str, usize, u16, Option<Duration>); 4] = [
    ("busy", 1, 429, Some(NAMED_TIME)),
    ("slow", 1, 500, Some(NAMED_TIME)),
    ("broken", 4, 500, None),
    ("conflict", 4, 409, None),
];

/// The request whose status is written.
fn written(method: &str, path: &str) -> Option<&'static str> {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let name = path.strip_suffix("/status")?.rsplit('/').next().filter(|_| method == "PATCH")?;
    TROUBLES.iter().map(|(known, ..)| *known).find(|known| *known == name)
}

fn troubles() -> Box<Fault> {
    let left: Mutex<HashMap<_, _>> = Mutex::new(TROUBLES.iter().map(|t| (t.0, (t.1, t.2, t.3))).collect());
    Box::new(move |method: &Method, path| {
        let mut left = left.lock().ok()?;
        let (times, status, retry_after) = left.get_mut(written(method.as_str(), path)?)?;
        *times = times.checked_sub(1)?;
        trouble(*status, *retry_after).ok()
    })
}

/// An issuer that reaches its API server through a proxy with this fault.
async fn behind(fault: Box<Fault>) -> Result<(Environment, FaultProxy)> {
    let control_plane = without_issuer().await?;
    let proxy = FaultProxy::start(&control_plane, fault).await?;
    let issuer = IssuerProcess::of(&control_plane).at(Some(&proxy.url)).arguments(&[ADDRESS]).start().await?;
    Ok((Environment { control_plane, issuer }, proxy))
}

fn all_passed(proxy: &mut FaultProxy) -> Vec<Passed> {
    std::iter::from_fn(|| proxy.passed.try_recv().ok()).collect()
}

/// Facts 5, 17: a fault of the API server fails nobody; where even the status cannot be written, an event tells the cause.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_is_tried_again_in_its_time_and_nobody_fails() -> Result<()> {
    let (mut environment, mut proxy) = behind(troubles()).await?;
    let log = || environment.issuer.log().unwrap_or_default();
    let space = environment.space("faults").await?;
    with_issuer(&space).await.with_context(log)?;
    for (name, ..) in TROUBLES {
        ask_plainly(&space, name).await?;
    }
    for (name, ..) in TROUBLES {
        issued(&space, name).await.with_context(log)?;
    }
    space.event((CERTIFICATE_REQUEST.1, "broken"), "SigningError", "in trouble").await?;

    let mut writes: HashMap<&str, Vec<Passed>> = HashMap::new();
    for passed in all_passed(&mut proxy) {
        let (method, path) = passed.what.split_once(' ').context("no method")?;
        if let Some(name) = written(method, path) {
            writes.entry(name).or_default().push(passed);
        }
    }
    for (name, troubles, _, named) in TROUBLES {
        let writes = &writes[name];
        ensure!(writes.len() == troubles + 1, "{name}: {writes:?}");
        let waits: Vec<_> = writes.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        let last = waits.last().copied().unwrap_or_default();
        // A time that is named is waited for. Else the interval doubles from a tenth of a second on, with jitter.
        let least = named.unwrap_or(Duration::from_millis(800));
        ensure!(waits[0] >= Duration::from_millis(100) && last >= least, "{name}: {waits:?}");
    }

    // Each is counted: five answers of 500 and four conflicts. That of 429 was the client's own to wait for.
    let retries =
        |reason: &str| format!(r#"tandem_issuer_retries_total{{resource="certificaterequests",reason="{reason}"}}"#);
    let patches = |code: &str| format!(r#"tandem_issuer_api_requests_total{{verb="patch",code="{code}"}}"#);
    let few = 10.0;
    Admin::of(&environment.issuer.process().log, None)
        .await?
        .settle(&[
            (retries("api"), 5.0..=few),
            (retries("changed"), 4.0..=few),
            (patches("5xx"), 5.0..=few),
            (patches("409"), 4.0..=few),
        ])
        .await
        .map(|_| ())
}

/// What kind of call it is, whatever object it is about.
fn kind_of_call(what: &str) -> Option<String> {
    let (call, query) = what.split_once('?').unwrap_or((what, ""));
    let (method, path) = call.split_once(' ')?;
    let mut resources = path.split('/').rev();
    let last = resources.next()?;
    let resource = if last == "status" { format!("{}/status", resources.nth(1)?) } else { last.to_owned() };
    let verb = match method {
        "GET" if query.contains("watch=true") => "watch",
        "GET" => "list",
        "POST" => "create",
        "PATCH" => "patch",
        other => other,
    };
    Some(format!("{verb} {resource}"))
}

/// Whatever is asked of it, a server that says when to come again is not asked before.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_call_waits_for_the_time_that_the_server_names() -> Result<()> {
    const TIME: Duration = Duration::from_secs(1);
    let refused: Mutex<HashSet<String>> = Mutex::default();
    // The first call of each kind.
    let first = move |method: &Method, path: &str| {
        let kind = kind_of_call(&format!("{method} {path}"))?;
        refused.lock().ok()?.insert(kind).then(|| trouble(429, Some(TIME)).ok())?
    };
    let (environment, mut proxy) = behind(Box::new(first)).await?;
    let log = || environment.issuer.log().unwrap_or_default();
    let space = environment.space("every-call").await?;
    with_issuer(&space).await.with_context(log)?;
    ask_plainly(&space, "leaf").await?;
    issued(&space, "leaf").await.with_context(log)?;
    let name = named(&space, "leaf");
    ask_approved(&space, &name, &signer(&space), &json!({}), &json!({})).await?;
    signing_requests::issued(&space, &name).await.with_context(log)?;
    // Sent after everything else has been answered.
    space.cluster.event("default", (signing_requests::KIND.1, &name), "CertificateIssued", "").await?;

    let passed = all_passed(&mut proxy);
    let mut kinds = BTreeSet::new();
    for (index, refused) in passed.iter().enumerate().filter(|(_, passed)| passed.troubled) {
        let kind = kind_of_call(&refused.what).context("no kind")?;
        let again = passed[index + 1..].iter().find(|passed| passed.what == refused.what);
        let wait = again.with_context(|| format!("{kind} was never tried again"))?.at - refused.at;
        ensure!(wait >= TIME, "{kind} was tried again after {wait:?}");
        kinds.insert(kind);
    }
    let watched =
        ["tandemissuers", "tandemclusterissuers", "secrets", "certificaterequests", "certificatesigningrequests"];
    let mut expected: BTreeSet<_> =
        watched.iter().flat_map(|resource| ["list", "watch"].map(|verb| format!("{verb} {resource}"))).collect();
    expected.extend(
        [
            "patch tandemissuers/status",
            "patch certificaterequests/status",
            "patch certificatesigningrequests/status",
            "create subjectaccessreviews",
            "create events",
        ]
        .map(str::to_owned),
    );
    ensure!(kinds == expected, "{kinds:?}");
    Ok(())
}

/// Facts 5, 20, 23: while it is not known whether the requester may refer to the issuer, the request waits, and an event
/// tells the cause.
#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_fails_is_told_and_tried_again() -> Result<()> {
    let left = Mutex::new(3_usize);
    let reviews = move |_: &Method, path: &str| {
        let mut left = left.lock().ok().filter(|_| path.contains("subjectaccessreviews"))?;
        *left = left.checked_sub(1)?;
        trouble(500, None).ok()
    };
    let (environment, mut proxy) = behind(Box::new(reviews)).await?;
    let log = || environment.issuer.log().unwrap_or_default();
    let space = environment.space("reviews").await?;
    with_issuer(&space).await.with_context(log)?;
    let name = named(&space, "leaf");
    ask_approved(&space, &name, &signer(&space), &json!({}), &json!({})).await?;
    signing_requests::issued(&space, &name).await.with_context(log)?;
    let about = (signing_requests::KIND.1, name.as_str());
    space.cluster.event("default", about, "SigningError", "in trouble (500 InternalError); it is tried again").await?;
    ensure!(
        all_passed(&mut proxy).iter().filter(|passed| passed.troubled).count() == 3,
        "not every review was refused"
    );
    Ok(())
}

/// Facts 6, 24: as a server does that has just started, and has ended all watches.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forbids_everything_for_a_moment_takes_no_ca_away() -> Result<()> {
    let on = Arc::new(AtomicBool::new(false));
    let forbids = on.clone();
    let secrets = move |_: &Method, path: &str| {
        let forbidden = path.contains("/secrets") && forbids.load(Ordering::SeqCst);
        forbidden.then(|| trouble(403, None).ok())?
    };
    let (environment, mut proxy) = behind(Box::new(secrets)).await?;
    let log = || environment.issuer.log().unwrap_or_default();
    let space = environment.space("moment").await?;
    let ca = with_issuer(&space).await.with_context(log)?;
    // What the Secret held before is in memory alone.
    space.put_tls("internal-ca", &ca.as_ref().pem(), &KeyPair::generate()?.serialize_pem(), None).await?;
    space.wait(ISSUER, "internal-ca", |issuer| is_ready(issuer, "True", "LastGoodKeyPair")).await?;
    let since = space.now(ISSUER).await?;

    on.store(true, Ordering::SeqCst);
    proxy.trouble_watches(WatchTrouble::End, "/secrets");
    let mut refused = 0;
    while refused < 2 {
        let passed = proxy.passed.recv().await.context("no proxy")?;
        refused +=
            usize::from(passed.troubled && passed.what.contains("/secrets") && !passed.what.contains("watch=true"));
    }
    on.store(false, Ordering::SeqCst);
    // It has been listed by then, and is as it was.
    loop {
        let passed = proxy.passed.recv().await.context("no proxy")?;
        if !passed.troubled && passed.what.contains("/secrets") && passed.what.contains("watch=true") {
            break;
        }
    }
    ask_plainly(&space, "by-the-last-good").await?;
    let chain = issued(&space, "by-the-last-good").await.with_context(log)?.chain;
    OpenSsl::new()?.verify(&chain, &ca.as_ref().pem(), &[])?;
    put(&space, &ca).await?;
    let whole = |issuer: &_| is_ready(issuer, "True", "KeyPairVerified");
    let states = space.history(ISSUER, "internal-ca", &since, whole).await?;
    ensure!(states.len() == 1, "its status has changed meanwhile: {states:#?}");
    Ok(())
}
