//! `tandem-vm check`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ValueEnum, ValueHint};
use tandem_cli::stdio;

use super::{Done, NO, Streams, one};
use crate::check::{self, Ignored, Report, Severity};
use crate::model::Stream;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Manifests: files, folders (their .yaml, .yml and .json files), or - for standard input
    #[arg(value_name = "FILE|DIR", value_hint = ValueHint::AnyPath, required_unless_present_any = ["rules", "explain"])]
    paths: Vec<PathBuf>,
    /// What is written
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Say nothing of a rule, as RULE, or as RULE:KIND/NAMESPACE/NAME or RULE:KIND/NAME for one object; may be
    /// repeated
    #[arg(long, value_name = "RULE")]
    ignore: Vec<Ignored>,
    /// List the rules
    #[arg(long, exclusive = true)]
    rules: bool,
    /// Say what a rule is for, and why
    #[arg(long, value_name = "RULE", exclusive = true)]
    explain: Option<String>,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object, whose fields docs/checks.md describes
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

pub(super) const EXAMPLE: &str = "\
Examples:
  # Manifests, folders of them, or what kustomize or helm make of them
  tandem-vm check databasevm.yaml
  tandem-vm render databasevm.yaml | tandem-vm check -

  # What is in a cluster
  kubectl --namespace shop get certificates,secrets,services,virtualmachines --output yaml |
    tandem-vm check -

  # What a rule is about; docs/checks.md lists them all
  tandem-vm check --explain TVM001

  # Without one rule, as JSON
  tandem-vm check --ignore TVM210 -o json databasevm.yaml

An object's annotation vm.tandem.internal/ignore names rules that it may break (TVM120, TVM210).
The exit code is 1 where there are errors; warnings and notes leave it 0.";

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    if args.rules {
        stdio::print(streams.stdout, check::rule_list().as_bytes()).map_err(one)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(id) = &args.explain {
        let rule = check::by_id(id);
        let rule =
            rule.ok_or_else(|| one(format!("there is no rule `{}`; --rules lists them", tandem_cli::shown(id))))?;
        stdio::print(streams.stdout, rule.explanation().as_bytes()).map_err(one)?;
        return Ok(ExitCode::SUCCESS);
    }
    let stream = Stream::read(&args.paths, streams.stdin, &args.namespace)?;
    let report = check::check(&stream, &args.ignore);
    let text = match args.output {
        Format::Text => report.text(),
        Format::Json => report.json().map_err(one)?,
        Format::Sarif => report.sarif(&texts(&report)).map_err(one)?,
    };
    stdio::print(streams.stdout, text.as_bytes()).map_err(one)?;
    Ok(if report.count(Severity::Error) == 0 { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// The texts of the files in which something was found. One that is not there any more, or is a pipe, has no lines, and that
/// is all.
fn texts(report: &Report) -> BTreeMap<String, String> {
    let files: BTreeSet<&str> = report.findings.iter().map(|finding| finding.object.place.file()).collect();
    files
        .into_iter()
        .filter(|file| Path::new(file).is_file())
        .filter_map(|file| Some((file.to_owned(), fs::read_to_string(file).ok()?)))
        .collect()
}
