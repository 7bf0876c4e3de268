//! What was measured, as a table and as JSON.

use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Args,
    cost::{Calls, Memory},
    load::{Latencies, Load},
    signer::Signer,
};

/// One signer under one load, once.
pub(crate) struct Round {
    pub(crate) signer: Signer,
    pub(crate) load: Load,
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    pub(crate) latencies: Latencies,
    /// Processor seconds of the signer's process; from its start where the load was there before it.
    pub(crate) cpu: Option<f64>,
    /// Processor seconds of the control plane, all of it.
    pub(crate) server_cpu: f64,
    /// MB resident after the first certificate.
    pub(crate) idle: Option<f64>,
    /// The part of it that is anonymous: not the program's file, which two processes share and the kernel may drop.
    pub(crate) anonymous: Option<f64>,
    /// MB resident at most.
    pub(crate) peak: Option<f64>,
    pub(crate) calls: Calls,
    /// How many events there were afterwards.
    pub(crate) events: usize,
}

/// The figures of a round, in the order of the table: how they are called, and in what they are measured.
const FIGURES: [(&str, &str); 13] = [
    ("perSecond", "certificates/s"),
    ("p50", "p50 to Ready, ms"),
    ("p90", "p90 to Ready, ms"),
    ("p99", "p99 to Ready, ms"),
    ("cpu", "CPU ms/certificate"),
    ("serverCpu", "server's CPU ms"),
    ("idle", "memory idle, MB"),
    ("anonymous", "… anonymous, MB"),
    ("peak", "memory peak, MB"),
    ("calls", "calls/certificate"),
    ("statusCalls", "… status writes"),
    ("eventCalls", "… event writes"),
    ("events", "events/certificate"),
];

impl Round {
    pub(crate) fn new(signer: Signer, load: Load) -> Self {
        Self {
            signer,
            load,
            requests: 0,
            per_second: 0.0,
            latencies: Latencies::default(),
            cpu: None,
            server_cpu: 0.0,
            idle: None,
            anonymous: None,
            peak: None,
            calls: Calls::default(),
            events: 0,
        }
    }

    fn figure(&self, name: &str) -> Option<f64> {
        let each = |number: f64| number / f64::from(u32::try_from(self.requests).unwrap_or(u32::MAX));
        match name {
            "perSecond" => Some(self.per_second),
            "p50" => Some(self.latencies.percentile(50)),
            "p90" => Some(self.latencies.percentile(90)),
            "p99" => Some(self.latencies.percentile(99)),
            "cpu" => self.cpu.map(|seconds| each(seconds * 1000.0)),
            "serverCpu" => Some(each(self.server_cpu * 1000.0)),
            "idle" => self.idle,
            "anonymous" => self.anonymous,
            "peak" => self.peak,
            "calls" => Some(each(self.calls.total())),
            "statusCalls" => Some(each(self.calls.status)),
            "eventCalls" => Some(each(self.calls.events)),
            "events" => Some(each(f64::from(u32::try_from(self.events).unwrap_or(u32::MAX)))),
            _ => None,
        }
    }

    /// The round in a line, to be seen while it goes on.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{:8} {:17}", self.load, self.signer);
        for (name, _) in FIGURES {
            if let Some(figure) = self.figure(name) {
                let _ = write!(line, " {name} {figure:.2}");
            }
        }
        line
    }
}

/// Memory of a signer that rests in a cluster that has issued much.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Idle {
    pub(crate) signer: Signer,
    pub(crate) finished: usize,
    pub(crate) memory: Memory,
}

/// All that was measured.
pub(crate) struct Report {
    args: Args,
    pub(crate) rounds: Vec<Round>,
    pub(crate) idle: Vec<Idle>,
}

/// Least, median and most of some figures; `None` of none.
fn spread(mut figures: Vec<f64>) -> Option<[f64; 3]> {
    figures.sort_by(f64::total_cmp);
    let (least, most) = (*figures.first()?, *figures.last()?);
    let half = figures.len() / 2;
    let median = if figures.len() % 2 == 1 { figures[half] } else { f64::midpoint(figures[half - 1], figures[half]) };
    Some([least, median, most])
}

impl Report {
    pub(crate) fn new(args: &Args) -> Self {
        Self { args: args.clone(), rounds: Vec::new(), idle: Vec::new() }
    }

    fn of(&self, signer: Signer, load: Load, name: &str) -> Vec<f64> {
        let rounds = self.rounds.iter().filter(|round| round.signer == signer && round.load == load);
        rounds.filter_map(|round| round.figure(name)).collect()
    }

    /// This issuer's figure by another's, round by round, as a median: what slows a machine down slows both.
    fn ratio(&self, other: Signer, load: Load, name: &str) -> Option<f64> {
        let (ours, theirs) = (self.of(Signer::Tandem, load, name), self.of(other, load, name));
        let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs);
        spread(ratios.filter(|ratio| ratio.is_finite()).collect()).map(|[_, median, _]| median)
    }

    fn others(&self) -> impl Iterator<Item = Signer> {
        self.args.signers.iter().copied().filter(|signer| *signer != Signer::Tandem)
    }

    /// Medians, and what they are by the others'.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for &load in &self.args.loads {
            let _ = write!(text, "\n{load}, {} requests, medians of {}", self.args.requests, self.args.rounds);
            if load == Load::Steady {
                let _ = write!(text, ", {} in flight", self.args.in_flight);
            }
            let _ = write!(text, "\n{:20}", "");
            for signer in &self.args.signers {
                let _ = write!(text, " {signer:>17}");
            }
            for other in self.others() {
                let _ = write!(text, " {:>17}", format!("÷ {other}"));
            }
            for (name, title) in FIGURES {
                let _ = write!(text, "\n{title:20}");
                let figures =
                    self.args.signers.iter().map(|signer| spread(self.of(*signer, load, name)).map(|[_, m, _]| m));
                let ratios = self.others().map(|other| self.ratio(other, load, name));
                for cell in figures.chain(ratios) {
                    let _ = write!(text, " {:>17}", cell.map_or_else(|| "–".to_owned(), |c| format!("{c:.2}")));
                }
            }
            text.push('\n');
        }
        for Idle { signer, finished, memory } in &self.idle {
            let _ = write!(text, "\n{signer}, idle among {finished} finished requests: {memory}");
        }
        text.push('\n');
        text
    }

    /// The same with least and most, and each round.
    pub(crate) fn json(&self) -> Value {
        let mut results = Vec::new();
        for &load in &self.args.loads {
            for &signer in &self.args.signers {
                let figures: BTreeMap<_, _> = FIGURES
                    .iter()
                    .filter_map(|(name, _)| {
                        let rounds = self.of(signer, load, name);
                        let [least, median, most] = spread(rounds.clone())?;
                        Some((*name, json!({"least": least, "median": median, "most": most, "rounds": rounds})))
                    })
                    .collect();
                let ratios = |other| -> BTreeMap<_, _> {
                    FIGURES.iter().filter_map(|(name, _)| Some((*name, self.ratio(other, load, name)?))).collect()
                };
                let mut result = json!({"load": load, "signer": signer, "figures": figures});
                if signer != Signer::Tandem {
                    result["tandemByThis"] = json!(ratios(signer));
                }
                results.push(result);
            }
        }
        json!({
            "machine": machine(),
            "requests": self.args.requests,
            "rounds": self.args.rounds,
            "inFlight": self.args.in_flight,
            "units": FIGURES.into_iter().collect::<BTreeMap<_, _>>(),
            "results": results,
            "idleAmongFinished": self.idle,
        })
    }
}

/// The machine, in words.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores, {}", model.unwrap_or("of an unknown kind"))
}
