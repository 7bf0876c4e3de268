//! An API server in trouble: what it says about when to come again is heeded, and a fault that may heal fails nobody.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use tandem_tests::{
    ControlPlane, IssuerProcess, Space,
    faults::{Fault, FaultProxy, Passed, trouble},
    issuer,
};

use crate::{
    environment::with_issuer,
    requests::{ask_plainly, issued},
};

const NAMED_TIME: Duration = Duration::from_secs(3);

/// Requests by name, and the trouble that the first writes of their status meet: how often, with which HTTP status, and
/// when the server wants to be asked again.
const TROUBLES: [(&str, usize, u16, Option<Duration>); 3] =
    [("busy", 1, 429, Some(NAMED_TIME)), ("broken", 4, 500, None), ("conflict", 4, 409, None)];

/// The request whose status is written.
fn written(method: &str, path: &str) -> Option<&'static str> {
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

/// Fact 5: a fault of the API server fails nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_is_tried_again_in_its_time_and_nobody_fails() -> Result<()> {
    let control_plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    let cluster = control_plane.cluster().await?;
    issuer::install(&cluster).await?;
    let mut proxy = FaultProxy::start(&control_plane, troubles()).await?;
    let issuer = IssuerProcess::start_at(&control_plane, Some(&proxy.url), &[]).await?;
    let space: Space = cluster.space("faults").await?;
    with_issuer(&space).await.with_context(|| issuer.log().unwrap_or_default())?;
    for (name, ..) in TROUBLES {
        ask_plainly(&space, name).await?;
    }
    for (name, ..) in TROUBLES {
        issued(&space, name).await.with_context(|| issuer.log().unwrap_or_default())?;
    }

    let mut writes: HashMap<&str, Vec<Passed>> = HashMap::new();
    while let Ok(passed) = proxy.passed.try_recv() {
        let (method, path) = passed.what.split_once(' ').context("no method")?;
        if let Some(name) = written(method, path) {
            writes.entry(name).or_default().push(passed);
        }
    }
    for (name, troubles, ..) in TROUBLES {
        let writes = &writes[name];
        ensure!(writes.len() == troubles + 1, "{name}: {writes:?}");
        let waits: Vec<_> = writes.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        let last = waits.last().copied().unwrap_or_default();
        // A time that is named is waited for. Else the interval doubles from a tenth of a second on, with jitter.
        let least = if name == "busy" { NAMED_TIME } else { Duration::from_millis(800) };
        ensure!(waits[0] >= Duration::from_millis(100) && last >= least, "{name}: {waits:?}");
    }
    Ok(())
}
