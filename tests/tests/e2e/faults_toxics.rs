//! Connections that are harmed: Toxiproxy between issuer and API server. TLS goes through it unbroken.

use anyhow::{Context, Result, ensure};
use kube::api::DeleteParams;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::{Value, json};
use tandem_tests::{
    IssuerProcess,
    certificates::root_ca,
    cluster::{ISSUER, is_ready},
    toxiproxy::{
        Stream::{self, Down, Up},
        Toxiproxy,
    },
};

use crate::{
    chaos_load::assert_one_certificate_each,
    environment::{Environment, ISSUER_ACCOUNT, audit_log, without_issuer},
    faults_round::{Column, Round},
    leadership::replicas::until,
    load::{Progress, Step, accepted, ask_for_many},
    requests::reference,
    waiting::put,
};

/// What has to have happened before the harm ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// All that was asked for meanwhile is done: it is only slower.
    Done,
    /// The server has carried out what it sent no answer to.
    Committed,
    /// The issuer has complained.
    Noticed,
    /// The server has approved what the issuer does not hear of.
    Approved,
}

/// One of Toxiproxy's types with its direction and its attributes (times in milliseconds, sizes in bytes, rates in KB/s).
type Toxic = (&'static str, Stream, Value);

/// Each harm: its name, its toxics, and how long it lasts. Where there is no toxic, the proxy is gone.
fn harms() -> Vec<(&'static str, Vec<Toxic>, Until)> {
    let one = |type_, stream, attributes| vec![(type_, stream, attributes)];
    let late = json!({"latency": 300, "jitter": 250});
    vec![
        ("answers are late", one("latency", Down, late.clone()), Until::Done),
        ("both ways are late", vec![("latency", Down, late.clone()), ("latency", Up, late)], Until::Done),
        ("a narrow way down", one("bandwidth", Down, json!({"rate": 32})), Until::Done),
        ("a narrow way up", one("bandwidth", Up, json!({"rate": 8})), Until::Done),
        ("closed slowly", one("slow_close", Down, json!({"delay": 1500})), Until::Done),
        ("reset on the way up", one("reset_peer", Up, json!({"timeout": 0})), Until::Noticed),
        ("reset instead of an answer", one("reset_peer", Down, json!({"timeout": 0})), Until::Committed),
        ("answers are held back", one("timeout", Down, json!({"timeout": 0})), Until::Committed),
        ("no answer, then the end", one("timeout", Down, json!({"timeout": 500})), Until::Committed),
        ("what is asked is held back", one("timeout", Up, json!({"timeout": 0})), Until::Approved),
        ("the end after some bytes down", one("limit_data", Down, json!({"bytes": 9000})), Until::Approved),
        ("the end after some bytes up", one("limit_data", Up, json!({"bytes": 3000})), Until::Approved),
        ("nobody listens", Vec::new(), Until::Noticed),
    ]
}

/// What a row may ask of the server, and by how much the issuer's memory may grow over all of them.
const MOST_CALLS: usize = 250;
/// And what each request may that is on its way when answers are lost: two writes and two events, and as much again.
const MOST_CALLS_EACH: usize = 10;
const MOST_MEMORY: u64 = 24 << 20;

/// How many requests are on their way when answers are lost: more than are done before a busy machine gets to it.
const LOAD: usize = 150;

struct Bench {
    environment: Environment,
    proxy: Toxiproxy,
    progress: Progress,
}

impl Bench {
    async fn start() -> Result<Self> {
        let control_plane = without_issuer().await?;
        let proxy = Toxiproxy::start(&control_plane).await?;
        let issuer = IssuerProcess::of(&control_plane).at(Some(&proxy.url)).start().await?;
        let progress = Progress::follow(&control_plane.cluster().await?)?;
        Ok(Self { environment: Environment { control_plane, issuer }, proxy, progress })
    }

    /// How many calls of the issuer have reached the server.
    fn calls(&self) -> Result<usize> {
        let audit = audit_log(&self.environment.control_plane)?;
        Ok(audit.lines().filter(|line| line.contains(ISSUER_ACCOUNT)).count())
    }

    fn complaints(&self) -> Result<usize> {
        Ok(self.environment.issuer.log()?.lines().filter(|line| line.contains("tried again")).count())
    }

    /// How many certificates the server has stored without the issuer having had the answer.
    fn unheard(&self) -> Result<usize> {
        let heard = |line: &&str| line.contains("\"CertificateIssued\"") && line.contains("tandem_issuer::reconcile");
        let heard = self.environment.issuer.log()?.lines().filter(heard).count();
        Ok(accepted(&self.environment)?.len().saturating_sub(heard))
    }

    async fn until(&self, end: Until, round: &Round, (complaints, unheard): (usize, usize)) -> Result<()> {
        match end {
            Until::Done => {
                round.check(Column::Issuer).await?;
                round.done_meanwhile().await
            }
            Until::Approved => round.approved().await,
            Until::Committed => until(|| Ok(self.unheard()? > unheard + 1)).await.context("every answer was heard"),
            Until::Noticed => until(|| Ok(self.complaints()? > complaints)).await.context("nothing was noticed"),
        }
    }

    async fn run(&mut self, harm: &[Toxic], until: Until) -> Result<(usize, u64)> {
        let cluster = self.environment.control_plane.cluster().await?;
        let (calls, complaints, unheard) = (self.calls()?, self.complaints()?, self.unheard()?);
        let round = Round::before(&cluster).await?;
        if until == Until::Committed {
            // Many that wait for the CA, so that some are being written when the harm begins.
            let (space, names) = (&round.space, (0..LOAD).map(|index| format!("load-{index}")));
            space.secrets().delete("internal-ca", &DeleteParams::default()).await?;
            space.wait(ISSUER, "internal-ca", |issuer| is_ready(issuer, "False", "ErrGetKeyPair")).await?;
            ask_for_many(space, &names.collect::<Vec<_>>(), &reference()).await?;
            self.progress.until(space, Step::Approved, LOAD).await?;
            let issued = Progress::finished(space).await?;
            put(space, &root_ca("back again", &PKCS_ECDSA_P256_SHA256)?).await?;
            self.progress.until(space, Step::Issued, issued + 1).await?;
        }
        for (type_, stream, attributes) in harm {
            self.proxy.poison(type_, *stream, attributes).await?;
        }
        if harm.is_empty() {
            self.proxy.cut().await?;
        }
        round.during().await?;
        let lasted = self.until(until, &round, (complaints, unheard)).await;
        self.proxy.heal().await?;
        lasted?;
        round.after().await?;
        for column in Column::ALL {
            round.check(column).await.with_context(|| format!("{column:?}"))?;
        }
        if until == Until::Committed {
            ensure!(self.unheard()? > unheard, "every answer was heard");
            self.progress.until(&round.space, Step::Issued, LOAD).await?;
        }
        let requests = round.requests().await?;
        self.progress.until_stored(&requests).await?;
        assert_one_certificate_each(&self.environment, &self.progress.stored, &requests)?;
        round.end().await?;
        let calls = self.calls()? - calls;
        let load = if until == Until::Committed { LOAD } else { 0 };
        ensure!(calls < MOST_CALLS + load * MOST_CALLS_EACH, "{calls} calls");
        Ok((calls, self.environment.issuer.resident_memory()?))
    }
}

/// Facts 5, 28: also where the server has carried out what it was asked for, and the answer never arrives.
#[tokio::test(flavor = "multi_thread")]
async fn however_the_connection_is_harmed_every_request_ends_ready_and_none_twice() -> Result<()> {
    let mut bench = Bench::start().await?;
    let mut wrong = Vec::new();
    let mut memory = None;
    for (name, harm, until) in harms() {
        match bench.run(&harm, until).await {
            Ok((calls, now)) => {
                println!("{name}: {calls} calls, {} MiB", now >> 20);
                if now > *memory.get_or_insert(now) + MOST_MEMORY {
                    wrong.push(format!("{name}: the issuer takes {now} bytes of memory"));
                }
            }
            Err(error) => {
                wrong.push(format!("{name}: {error:#}"));
                bench.proxy.heal().await?;
            }
        }
    }
    ensure!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), bench.environment.issuer.log()?);
    Ok(())
}
