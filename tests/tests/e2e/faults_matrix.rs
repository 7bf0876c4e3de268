//! The matrix of faults: each of them × what it may harm. Whatever the API server answers, and however its watches break:
//! every request ends Ready, none fails, none is given two certificates, the server is not stormed, and nothing piles up.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use tandem_tests::{
    IssuerProcess,
    faults::{FaultProxy, Trouble, WatchTrouble, trouble},
    tools,
};
use tokio::time::timeout;

use crate::{
    chaos_load::assert_one_certificate_each,
    environment::{Environment, with_issuer, without_issuer},
    faults_round::{Column, Round},
    load::Progress,
};

/// What is wrong in a row of the matrix.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Each write is answered so, so many times: HTTP status, seconds of Retry-After.
    Write(u16, Option<u64>, usize),
    /// Each call is; what was watched is listed and watched anew.
    Call(u16, Option<u64>, usize),
    /// Each call is carried out once without an answer; what was watched is listed and watched anew.
    Lost,
    /// No version from before the fault is known any more: each watch is answered so until its list has been read anew.
    Forgotten,
    /// Lists come in many pages, and the second one is answered so, once.
    SecondPage(u16),
    /// This happens to the watches that run.
    Watch(WatchTrouble),
    /// Each write of a status and the list of a CA Secret once gets no answer for ever, whether it is carried out or not.
    Hang,
}

use Column::{CaSecret, Event, Issuer, Request, SigningRequest};

const WRITTEN: &[Column] = &[Request, SigningRequest, Issuer, Event];
const WATCHED: &[Column] = &[Request, SigningRequest, Issuer, CaSecret];
const LISTED_IN_PAGES: &[Column] = &[Request, SigningRequest, Issuer];

/// Each row: its name, the fault, and the columns to which it applies.
const ROWS: &[(&str, Fault, &[Column])] = &[
    ("410 on a list's second page", Fault::SecondPage(410), LISTED_IN_PAGES),
    ("500 on a list's second page", Fault::SecondPage(500), LISTED_IN_PAGES),
    ("409", Fault::Write(409, None, 2), WRITTEN),
    ("429 with Retry-After", Fault::Call(429, Some(1), 1), &Column::ALL),
    ("500", Fault::Call(500, None, 2), &Column::ALL),
    ("503", Fault::Call(503, None, 3), &Column::ALL),
    ("the answer is lost", Fault::Lost, &Column::ALL),
    ("410 as a watch's status", Fault::Forgotten, WATCHED),
    ("410 as a watch's event", Fault::Watch(WatchTrouble::Gone), WATCHED),
    ("a watch ends", Fault::Watch(WatchTrouble::End), WATCHED),
    ("a watch ends in the middle of a line", Fault::Watch(WatchTrouble::MidLine), WATCHED),
    ("an empty line in a watch", Fault::Watch(WatchTrouble::EmptyLine), WATCHED),
    ("a broken line in a watch", Fault::Watch(WatchTrouble::Broken), WATCHED),
];
/// The same, for faults that take more than a minute to be noticed.
const HANGS: &[(&str, Fault, &[Column])] = &[("a call hangs", Fault::Hang, WATCHED)];
const SILENCES: &[(&str, Fault, &[Column])] = &[("a watch falls silent", Fault::Watch(WatchTrouble::Silence), WATCHED)];

/// More than the time after which the issuer gives up on a connection that is silent.
const SILENCE: Duration = Duration::from_secs(120);

/// A round takes some 60 calls, and as many again where all are listed and watched anew, and fail.
const MOST_CALLS: usize = 250;
/// By how much the issuer's memory may grow over all rounds.
const MOST_MEMORY: u64 = 24 << 20;

/// The fault of the present row, and what it has done so far.
struct Active {
    fault: Fault,
    hits: HashMap<String, usize>,
    listed: HashSet<String>,
}

impl Active {
    fn new(fault: Fault) -> Self {
        Self { fault, hits: HashMap::new(), listed: HashSet::new() }
    }

    fn trouble(&mut self, method: &Method, url: &str) -> Option<Trouble> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        Column::of(path)?;
        let (writes, watches) = (method != Method::GET, query.contains("watch=true"));
        let lists = !writes && !watches;
        let mut first = |times| {
            let hits = self.hits.entry(format!("{method} {path} {watches}")).or_default();
            *hits += 1;
            *hits <= times
        };
        let answer = |status, seconds: Option<u64>| trouble(status, seconds.map(Duration::from_secs)).ok();
        match self.fault {
            Fault::Write(status, after, times) if writes && first(times) => answer(status, after),
            Fault::Call(status, after, times) if first(times) => answer(status, after),
            Fault::Lost if first(1) => Some(Trouble::Lost),
            Fault::Forgotten if lists => {
                self.listed.insert(path.to_owned());
                None
            }
            Fault::Forgotten if watches && !self.listed.contains(path) => answer(410, None),
            Fault::SecondPage(status) if lists && query.contains("continue=") && first(1) => answer(status, None),
            Fault::SecondPage(_) if lists => Some(Trouble::Instead(in_small_pages(url))),
            Fault::Hang if hangs(method, url) && first(1) => {
                Some(if lists || path.contains("-0/") { Trouble::Hang } else { Trouble::LostAndHang })
            }
            _ => None,
        }
    }
}

/// A read, or a write that the issuer is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Read,
    Write,
}

impl Kind {
    /// Of a call, as `METHOD /path`; none of a question that is asked of the server on the way.
    fn of(call: &str) -> Option<Self> {
        match call {
            _ if call.starts_with("GET ") => Some(Self::Read),
            _ if call.contains("/subjectaccessreviews") => None,
            _ => Some(Self::Write),
        }
    }
}

/// What a fault has to have harmed before it is over: a list that is read anew comes before the writes that follow from it.
fn to_be_harmed(columns: &[Column], fault: Fault) -> BTreeSet<(Column, Kind)> {
    let (reads, writes) = match fault {
        Fault::Write(..) => (false, true),
        Fault::Call(..) | Fault::Lost => (true, true),
        Fault::Forgotten | Fault::SecondPage(_) | Fault::Watch(_) => (true, false),
        // The list of the CA's Secret, and writes; no others hang.
        Fault::Hang => {
            let kind = |column| if column == CaSecret { Kind::Read } else { Kind::Write };
            return columns.iter().map(|column| (*column, kind(*column))).collect();
        }
    };
    let read = columns.iter().filter(|column| reads && WATCHED.contains(column)).map(|column| (*column, Kind::Read));
    let written =
        columns.iter().filter(|column| writes && WRITTEN.contains(column)).map(|column| (*column, Kind::Write));
    read.chain(written).collect()
}

/// Whether a call may hang: of those that depend on one another only one, so that all are over at the same time.
fn hangs(method: &Method, url: &str) -> bool {
    if method == Method::GET {
        return url.contains("/secrets") && url.contains("internal-ca") && !url.contains("watch=true");
    }
    // Events are sent one after the other, after the writes that they tell of.
    let alone = ["/subjectaccessreviews", "/tandemissuers/internal-ca/", "/events"];
    !alone.iter().any(|part| url.contains(part))
}

/// The same list, one object a page. A server may send less than was asked for.
fn in_small_pages(url: &str) -> String {
    let parts = url.split('&').map(|part| match part.split_once("limit=") {
        Some((before, size)) if size.parse::<u32>().is_ok() => format!("{before}limit=1"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}

/// A control plane whose issuer reaches it through a proxy, and the fault of the present row.
struct Bench {
    environment: Environment,
    proxy: FaultProxy,
    active: Arc<Mutex<Option<Active>>>,
    progress: Progress,
}

impl Bench {
    async fn start() -> Result<Self> {
        let active: Arc<Mutex<Option<Active>>> = Arc::default();
        let fault = {
            let active = active.clone();
            move |method: &Method, url: &str| active.lock().ok()?.as_mut()?.trouble(method, url)
        };
        let control_plane = without_issuer().await?;
        let proxy = FaultProxy::start(&control_plane, Box::new(fault)).await?;
        let issuer = IssuerProcess::of(&control_plane).at(Some(&proxy.url)).start().await?;
        let cluster = control_plane.cluster().await?;
        let progress = Progress::follow(&cluster)?;
        // Besides that of each round, so that issuers fill more than a page.
        with_issuer(&cluster.space("beside").await?).await?;
        Ok(Self { environment: Environment { control_plane, issuer }, proxy, active, progress })
    }

    fn set(&self, fault: Option<Fault>) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = fault.map(Active::new);
        match fault {
            Some(Fault::Watch(trouble)) => self.proxy.trouble_watches(trouble, ""),
            Some(Fault::Call(..) | Fault::Lost | Fault::SecondPage(_)) => {
                self.proxy.trouble_watches(WatchTrouble::Gone, "");
            }
            Some(Fault::Forgotten) => self.proxy.trouble_watches(WatchTrouble::End, ""),
            Some(Fault::Hang) => self.proxy.trouble_watches(WatchTrouble::Gone, "/secrets"),
            Some(Fault::Write(..)) | None => {}
        }
    }

    /// Waits until the fault has harmed all of these, and what never has an answer, or a good one, is asked for anew; the
    /// number of calls.
    async fn until_harmed(&mut self, columns: &[Column], fault: Fault) -> Result<usize> {
        // A write may have been carried out.
        let waits = matches!(fault, Fault::Hang | Fault::Forgotten | Fault::Watch(WatchTrouble::Silence));
        let mut missing = to_be_harmed(columns, fault);
        let mut waited_for = HashSet::new();
        let mut calls = 0;
        let harming = async {
            while !missing.is_empty() || !waited_for.is_empty() {
                let passed = self.proxy.passed.recv().await.context("no proxy")?;
                calls += 1;
                // Without the version from which a watch goes on.
                let parts = passed.what.split(['?', '&']).filter(|part| !part.starts_with("resourceVersion"));
                let call = parts.collect::<Vec<_>>().join("&");
                let second_page = call.contains("continue=");
                if passed.troubled && (second_page || !matches!(fault, Fault::SecondPage(_))) {
                    missing
                        .retain(|(column, kind)| Column::of(&call) != Some(*column) || Kind::of(&call) != Some(*kind));
                    if waits && call.starts_with("GET ") {
                        waited_for.insert(call);
                    }
                } else {
                    waited_for.remove(&call);
                }
            }
            anyhow::Ok(())
        };
        let harmed = timeout(SILENCE, harming).await;
        harmed.with_context(|| format!("no harm to {missing:?}; not asked for again: {waited_for:?}"))??;
        Ok(calls)
    }

    /// One row; what became of each of its cells, and how many calls it took.
    async fn run(&mut self, fault: Fault, columns: &[Column]) -> Result<(Vec<(Column, Result<()>)>, usize)> {
        let cluster = self.environment.control_plane.cluster().await?;
        let round = Round::before(&cluster).await?;
        // The calls from before are not this row's.
        while self.proxy.passed.try_recv().is_ok() {}
        self.set(Some(fault));
        round.during().await?;
        let harmed = self.until_harmed(columns, fault).await;
        self.set(None);
        let mut calls = harmed?;
        round.after().await?;
        let mut cells = Vec::new();
        for column in Column::ALL {
            cells.push((column, round.check(column).await));
        }
        let requests = round.requests().await?;
        self.progress.until_stored(&requests).await?;
        assert_one_certificate_each(&self.environment, &self.progress.stored, &requests)?;
        round.end().await?;
        while self.proxy.passed.try_recv().is_ok() {
            calls += 1;
        }
        ensure!(calls < MOST_CALLS, "{calls} calls");
        Ok((cells, calls))
    }
}

/// What came of some rows: what they cost, and what is not as it should be.
#[derive(Default)]
struct Outcome {
    costs: Vec<String>,
    wrong: Vec<String>,
}

/// Runs rows one after the other, on a control plane of their own.
async fn run(rows: &[(&str, Fault, &[Column])]) -> Result<Outcome> {
    let mut bench = Bench::start().await?;
    let mut outcome = Outcome::default();
    let mut at_first = None;
    for (name, fault, columns) in rows {
        let done = bench.run(*fault, columns).await;
        let memory = bench.environment.issuer.resident_memory()?;
        match done {
            Ok((cells, calls)) => {
                outcome.costs.push(format!("{name}: {calls} calls, {} MiB of memory", memory >> 20));
                let cells = cells.into_iter().filter_map(|(column, result)| Some((column, result.err()?)));
                outcome.wrong.extend(cells.map(|(column, error)| format!("{name} × {column:?}: {error:#}")));
            }
            Err(error) => outcome.wrong.push(format!("{name}: {error:#}")),
        }
        if memory > *at_first.get_or_insert(memory) + MOST_MEMORY {
            outcome.wrong.push(format!("{name}: the issuer takes {memory} bytes of memory"));
        }
    }
    if !outcome.wrong.is_empty() {
        outcome.wrong.push(bench.environment.issuer.log()?);
    }
    Ok(outcome)
}

/// Facts 5, 17, 28: each fault passes, and nobody has failed or has two certificates.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_api_server_answers_every_request_ends_ready_and_none_twice() -> Result<()> {
    // It may take a minute, in which connections that have been opened would be closed.
    tokio::task::spawn_blocking(|| tools::program("tandem-issuer")).await??;
    let (quick, hangs, silences) = tokio::try_join!(run(ROWS), run(HANGS), run(SILENCES))?;
    println!("{}", [quick.costs, hangs.costs, silences.costs].concat().join("\n"));
    let wrong = [quick.wrong, hangs.wrong, silences.wrong].concat();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
