//! `make bench`: what a certificate costs, measured side by side on one control plane.
//!
//! ```text
//!  each round:  steady, backlog  ×  tandem-issuer, cert-manager's CA issuer, the floor, the ceiling without and with events
//!                   │                       │
//!                 load.rs               signer.rs      measured by cost.rs, told by report.rs
//! ```
//!
//! The namespaces are those in which cert-manager's webhook validates nothing. It asks the API server about the kind of
//! issuer at each approval, with a client that is held back after some hundreds: one would measure how fast the load may
//! approve.
//!
//! The *ceiling* is the client that makes the load: it writes the same statuses itself, and does nothing else. Nobody
//! can be faster on this server. The *floor* is a process that only watches and writes the same: see floor.rs.

// To print is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cost;
mod floor;
mod load;
mod report;
mod signer;

use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use tandem_tests::{
    Space,
    tools::{program, target},
};

use cost::{Calls, Usage};
use load::Load;
use report::{Idle, Report, Round};
use signer::{Signer, Stage};

/// Measures what a certificate costs: this issuer, cert-manager's CA issuer, and the ceiling, in turn.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench")]
struct Args {
    /// Requests of each load.
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// Rounds; in each one, everything is measured once.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many requests are under way at once in the steady load.
    #[arg(long, default_value_t = 16)]
    in_flight: usize,
    /// Finished requests that lie in the cluster while memory is measured at last; 0 leaves that out.
    #[arg(long, default_value_t = 20_000)]
    finished: usize,
    /// Who is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Signer::ALL)]
    signers: Vec<Signer>,
    /// Under which loads.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Load::ALL)]
    loads: Vec<Load>,
    /// The tandem-issuer that is measured, such as the static one of `make binaries`; else that of this build.
    #[arg(long, value_name = "PROGRAM")]
    issuer: Option<std::path::PathBuf>,
    /// A further argument of its `run`; may be repeated. Without any it stands for no leadership, as the others do not.
    #[arg(long, value_name = "ARGUMENT", default_value = "--leader-elect=false")]
    issuer_arg: Vec<String>,
    /// Be the floor, with what lies in this folder.
    #[arg(long, hide = true)]
    as_floor: Option<std::path::PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    match &args.as_floor {
        Some(folder) => floor::run(folder),
        None => bench(args),
    }
}

#[tokio::main]
async fn bench(args: Args) -> Result<()> {
    let control_plane = tokio::task::spawn_blocking(signer::control_plane).await??;
    let issuer = args.issuer.clone().map_or_else(|| program("tandem-issuer"), Ok)?;
    let stage = Stage::set(control_plane, issuer, args.issuer_arg.clone()).await?;
    let mut report = Report::new(&args);
    for round in 0..args.rounds {
        for &load in &args.loads {
            for turn in 0..args.signers.len() {
                // Each begins a round in its turn: what comes after what is the same for nobody.
                let signer = args.signers[(round + turn) % args.signers.len()];
                let measured = measure(&stage, signer, load, &args).await;
                let measured = measured.with_context(|| format!("{signer}, {load}, round {}", round + 1))?;
                println!("{}", measured.line());
                report.rounds.push(measured);
            }
        }
    }
    if args.finished > 0 {
        report.idle = idle_among_finished(&stage, &args).await?;
    }
    print!("{}", report.table());
    let folder = target().join("bench");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("issuance.json");
    std::fs::write(&file, serde_json::to_string_pretty(&report.json())?)?;
    println!("\n{}", file.display());
    Ok(())
}

/// One signer under one load, from its start to its stop.
async fn measure(stage: &Stage, signer: Signer, load: Load, args: &Args) -> Result<Round> {
    let space = stage.cluster.space_without_validation("bench").await?;
    let desk = load::Desk::open(stage, &space, signer).await?;
    let mut round = Round::new(signer, load);
    let (seconds, latencies) = match load {
        Load::Steady => {
            let process = stage.start(signer).await?;
            desk.one("warm-up").await?;
            if let Some(process) = &process {
                cost::settle(&stage.cluster, process.id()).await?;
                let memory = cost::memory(process.id())?;
                (round.idle, round.anonymous) = (Some(memory.resident), Some(memory.anonymous));
            }
            let before = Before::look(stage, process.as_ref().map(signer::Running::id)).await?;
            let done = desk.steady(args.requests, args.in_flight).await?;
            before.close(stage, &mut round, args.requests).await?;
            done
        }
        Load::Backlog => {
            desk.pile_up(args.requests).await?;
            let before = Before::look(stage, None).await?;
            let began = Instant::now();
            let process = stage.start(signer).await?;
            let done = desk.work_off(args.requests, began).await?;
            Before { process: process.as_ref().map(signer::Running::id), ..before }.close(stage, &mut round, 0).await?;
            done
        }
    };
    round.per_second = f64::from(u32::try_from(args.requests)?) / seconds;
    round.latencies = latencies;
    round.requests = args.requests;
    round.events = load::count_events(&space).await?;
    load::clear(&space).await?;
    Ok(round)
}

/// What had been used before a load.
struct Before {
    process: Option<u32>,
    usage: Usage,
    server: Usage,
    calls: Calls,
}

impl Before {
    /// `process` where it runs already.
    async fn look(stage: &Stage, process: Option<u32>) -> Result<Self> {
        let usage = process.map(cost::usage).transpose()?.unwrap_or_default();
        let (calls, server) = (cost::calls(&stage.cluster).await?, cost::usage(stage.control_plane.id())?);
        Ok(Self { process, usage, server, calls })
    }

    /// What has been used since, once the signer has come to rest. `approvals` have been made by the load meanwhile.
    async fn close(self, stage: &Stage, round: &mut Round, approvals: usize) -> Result<()> {
        if let Some(process) = self.process {
            cost::settle(&stage.cluster, process).await?;
            round.cpu = Some(cost::usage(process)?.seconds - self.usage.seconds);
            round.peak = Some(cost::memory(process)?.peak);
        }
        round.server_cpu = cost::usage(stage.control_plane.id())?.seconds - self.server.seconds;
        round.calls = cost::calls(&stage.cluster).await?.since(&self.calls, approvals);
        Ok(())
    }
}

/// Memory of each signer that is started in a cluster that has issued much, and has signed one request.
async fn idle_among_finished(stage: &Stage, args: &Args) -> Result<Vec<Idle>> {
    let mut idle = Vec::new();
    let signers: Vec<_> = args.signers.iter().copied().filter(|signer| signer.is_process()).collect();
    load::finished(stage, &stage.cluster.space_without_validation("finished").await?, &signers, args.finished).await?;
    for signer in signers {
        let process = stage.start(signer).await?.context("it is no process")?;
        let fresh: Space = stage.cluster.space_without_validation("bench").await?;
        load::Desk::open(stage, &fresh, signer).await?.one("one-more").await?;
        cost::settle(&stage.cluster, process.id()).await?;
        let memory = cost::memory(process.id())?;
        println!("{signer} among {} finished requests: {memory}", args.finished);
        idle.push(Idle { signer, finished: args.finished, memory });
    }
    Ok(idle)
}
