//! `tandem-vm check`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ValueEnum, ValueHint};
use tandem_cli::{manifests, stdio};

use super::{Done, NO, Streams, notes, one};
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
    /// Say nothing of a rule (its number or name), as RULE, or as RULE:KIND/NAMESPACE/NAME or RULE:KIND/NAME for one
    /// object; several are separated by commas, and it may be repeated
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    ignore: Vec<Ignored>,
    /// What ends with exit code 1: a finding of this severity or a graver one
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t)]
    fail_on: FailOn,
    /// List the rules
    #[arg(long, exclusive = true)]
    rules: bool,
    /// Say what a rule (its number or name) is for, and why
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

/// Which findings the exit code tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum FailOn {
    #[default]
    Error,
    Warning,
    Note,
    /// None of them
    Never,
}

impl FailOn {
    fn fails(self, report: &Report) -> bool {
        let least = match self {
            Self::Error => Severity::Error,
            Self::Warning => Severity::Warning,
            Self::Note => Severity::Note,
            Self::Never => return false,
        };
        report.findings.iter().any(|finding| finding.rule.severity <= least)
    }
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

  # Without two of the rules, as JSON
  tandem-vm check --ignore TVM210,serial-without-bus -o json databasevm.yaml

  # In a pipeline that takes no warnings either, but of these two rules
  tandem-vm check --fail-on warning --ignore TVM210,TVM403 databasevm.yaml

An object's annotation vm.tandem.internal/ignore names rules that it may break (TVM120, TVM210).
The exit code is 1 where there are errors; warnings and notes leave it 0, unless --fail-on says so.";

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    if args.rules {
        stdio::print(streams.stdout, check::rule_list().as_bytes()).map_err(one)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &args.explain {
        let rule = check::rule(name).map_err(one)?;
        stdio::print(streams.stdout, rule.explanation().as_bytes()).map_err(one)?;
        return Ok(ExitCode::SUCCESS);
    }
    let piped = piped(args, streams)?;
    let stream = Stream::read(&args.paths, &mut &*piped, &args.namespace)?;
    let mut report = check::check(&stream, &args.ignore);
    report.find_lines(&texts(&report, &piped));
    let text = match args.output {
        Format::Text => report.text(),
        Format::Json => report.json().map_err(one)?,
        Format::Sarif => report.sarif().map_err(one)?,
    };
    stdio::print(streams.stdout, text.as_bytes()).map_err(one)?;
    notes(streams, &stream.notes)?;
    Ok(if args.fail_on.fails(&report) { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

/// Standard input, where it is among the files: it can be read only once. Whether it is too long is for who reads manifests to say.
fn piped(args: &Args, streams: &mut Streams<'_>) -> Result<Vec<u8>, Vec<String>> {
    let (mut piped, most) = (Vec::new(), u64::try_from(manifests::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1));
    if args.paths.iter().any(|path| path.as_os_str() == "-") {
        let done = streams.stdin.take(most).read_to_end(&mut piped);
        done.map_err(|error| one(format!("standard input: {error}; give a file that can be read")))?;
    }
    Ok(piped)
}

/// The texts of the files in which something was found. One that is not there any more, or is a pipe, has no lines, and that
/// is all.
fn texts(report: &Report, piped: &[u8]) -> BTreeMap<String, String> {
    let files: BTreeSet<&str> = report.findings.iter().map(|finding| finding.object.place.file()).collect();
    let text = |file: &str| match file {
        "standard input" => std::str::from_utf8(piped).ok().map(str::to_owned),
        file => Path::new(file).is_file().then(|| fs::read_to_string(file).ok()).flatten(),
    };
    files.into_iter().filter_map(|file| Some((file.to_owned(), text(file)?))).collect()
}
