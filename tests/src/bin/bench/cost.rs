//! What a process and the API server have spent, by the kernel's and the server's own account.

use std::{fmt, ops::Sub, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tandem_tests::Cluster;

/// Processor time of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// utime + stime, in seconds.
    pub(crate) seconds: f64,
}

/// The processor time of a process with all its threads so far (proc_pid_stat(5)).
pub(crate) fn usage(process: u32) -> Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in brackets, may hold anything. The state comes first after it; utime and stime are the 12th and 13th.
    let (_, fields) = stat.rsplit_once(')').context("no name in the process' stat")?;
    let ticks: u32 = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<_, _>>()?;
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second())?;
    Ok(Usage { seconds: f64::from(ticks) / f64::from(per_second) })
}

/// Memory of a process, in MB (10⁶ bytes).
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    /// VmRSS: what is resident now.
    pub(crate) resident: f64,
    /// RssAnon: the part of it that is no file, so not the program itself.
    pub(crate) anonymous: f64,
    /// VmHWM: the most that ever was.
    pub(crate) peak: f64,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident, anonymous, peak } = self;
        write!(f, "{resident:.1} MB resident, {anonymous:.1} MB of it anonymous, peak {peak:.1} MB")
    }
}

/// The memory of a process.
pub(crate) fn memory(process: u32) -> Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let megabytes = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a line of status is missing")?;
        let kibibytes: u32 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
        Ok(f64::from(kibibytes) * 1024.0 / 1e6)
    };
    Ok(Memory { resident: megabytes("VmRSS")?, anonymous: megabytes("RssAnon")?, peak: megabytes("VmHWM")? })
}

/// Waits until a process has come to rest: within a second it has used no more than a tick, and no event was written.
pub(crate) async fn settle(cluster: &Cluster, process: u32) -> Result<()> {
    const LOOK: Duration = Duration::from_secs(1);
    const MOST: usize = 120;
    let mut before = (usage(process)?.seconds, calls(cluster).await?.events);
    for _ in 0..MOST {
        tokio::time::sleep(LOOK).await;
        let now = (usage(process)?.seconds, calls(cluster).await?.events);
        if now.0 - before.0 < 0.015 && now.1 - before.1 < 0.5 {
            return Ok(());
        }
        before = now;
    }
    bail!("process {process} did not come to rest");
}

/// What was asked of the API server, in numbers of calls.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Calls {
    /// Writes to the status of CertificateRequests, refused ones as well.
    pub(crate) status: f64,
    /// Writes of events.
    pub(crate) events: f64,
    /// Reads of CertificateRequests, other than by watch.
    pub(crate) reads: f64,
}

impl Sub for Calls {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { status: self.status - other.status, events: self.events - other.events, reads: self.reads - other.reads }
    }
}

impl Calls {
    /// What came since, less `approvals`, which are writes of a status as well.
    pub(crate) fn since(self, before: &Self, approvals: usize) -> Self {
        let approvals = f64::from(u32::try_from(approvals).unwrap_or(u32::MAX));
        self - *before - Self { status: approvals, events: 0.0, reads: 0.0 }
    }

    /// All of them.
    pub(crate) fn total(&self) -> f64 {
        self.status + self.events + self.reads
    }
}

/// What has been asked so far, by the server's own metrics: they cost it nothing that it would not do anyway, which an
/// audit log does.
pub(crate) async fn calls(cluster: &Cluster) -> Result<Calls> {
    let metrics = cluster.client.request_text(hyper::Request::get("/metrics").body(Vec::new())?).await?;
    let mut calls = Calls::default();
    for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let has = |label: &str, value: &str| line.contains(&format!("{label}=\"{value}\""));
        let count: f64 = line.rsplit(' ').next().context("a metric without a value")?.parse()?;
        let requests = has("resource", "certificaterequests");
        let (written, read) = (["PATCH", "APPLY", "PUT", "POST"], ["GET", "LIST"]);
        let by = |verbs: &[&str]| verbs.iter().any(|verb| has("verb", verb));
        if requests && has("subresource", "status") && by(&written) {
            calls.status += count;
        } else if requests && by(&read) {
            calls.reads += count;
        } else if has("resource", "events") && by(&written) {
            calls.events += count;
        }
    }
    Ok(calls)
}
