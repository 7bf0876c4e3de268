//! `tandem-vm rotation-plan`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use jiff::Timestamp;
use tandem_cli::{json, stdio};

use super::endpoint::ReportFormat;
use super::{Done, NO, Streams, notes, one, time};
use crate::model::Stream;
use crate::rotation::{Issued, Settings, plan, whole};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files or folders of manifests and DatabaseVM documents, or - for standard input
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// The time to go by instead of the present, such as 2026-11-21T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<Timestamp>,
    /// When the present certificates were issued, or that of one Certificate [default: what their Secrets say where they
    /// are among the documents, else now]
    #[arg(long, value_name = "[NAMESPACE/NAME=]TIME")]
    issued: Vec<IssuedAt>,
    /// How many renewals of each certificate to look at
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// Look at everything up to a time instead
    #[arg(long, value_name = "TIME", conflicts_with = "count", value_parser = time)]
    until: Option<Timestamp>,
    /// Text for people, or JSON
    #[arg(short, long, value_enum, default_value_t)]
    output: ReportFormat,
}

/// A value of `--issued`.
#[derive(Clone, Debug)]
struct IssuedAt {
    certificate: Option<String>,
    time: Timestamp,
}

impl std::str::FromStr for IssuedAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (certificate, text) = match text.split_once('=') {
            Some((certificate, text)) => (Some(certificate.to_owned()), text),
            None => (None, text),
        };
        Ok(Self { certificate, time: time(text)? })
    }
}

pub(super) const EXAMPLE: &str = "\
Examples:
  # will it hold? (exit code 1: it will not)
  tandem-vm rotation-plan databasevm.yaml || echo 'see what to change'

  # the same until a time, as of a time, for machines
  tandem-vm rotation-plan databasevms/ --now 2026-11-21T12:00:00Z \\
    --until 2028-01-01T00:00:00Z -o json || true

  # of what is in a cluster, with the present certificate's dates
  kubectl --namespace shop get certificates,secrets,virtualmachines,deployments --output yaml |
    tandem-vm rotation-plan -

Exit codes: 0 all sides agree; 1 they part ways; 2 the arguments or the documents are at fault.";

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    let mut issued = Issued::default();
    for IssuedAt { certificate, time } in &args.issued {
        match certificate {
            Some(certificate) => drop(issued.of.insert(certificate.clone(), *time)),
            None => issued.all = Some(*time),
        }
    }
    let stream = Stream::read(&args.files, streams.stdin, &args.namespace)?;
    let now = args.now.unwrap_or_else(|| whole(Timestamp::now()));
    if let Some(until) = args.until.filter(|until| *until < now) {
        return Err(one(format!(
            "--until: {until} is before {now}, the time of --now, or else the present; give a later time"
        )));
    }
    let plan = plan(&stream, &Settings { now, issued, count: args.count, until: args.until })?;
    let text = match args.output {
        ReportFormat::Text => plan.text(),
        ReportFormat::Json => json::text(&serde_json::to_value(&plan).map_err(one)?).map_err(one)?,
    };
    stdio::print(streams.stdout, text.as_bytes()).map_err(one)?;
    notes(streams, &stream.notes)?;
    Ok(if plan.holds { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}
