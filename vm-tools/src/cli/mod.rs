//! The command line: one file for each command.
//!
//! Exit codes: 0 done; 1 the answer is no, where a command answers a question; 2 the input or the output is at fault, and
//! standard error says how; 3 there is no answer, since an endpoint was not reached, or not even that could be written.

mod check;
mod completions;
mod diff;
mod endpoint;
mod inject;
mod keyfile;
mod krm;
mod man;
mod mongod_conf;
mod render;
mod rotation_plan;
mod stale;
mod verify;

use std::{
    ffi::OsString,
    io::{ErrorKind, Read, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};
use tandem_cli::shown;

/// Arguments of `tandem-vm`.
#[derive(Debug, Parser)]
#[command(name = "tandem-vm", version = tandem_cli::VERSION, about, max_term_width = 100, after_help = BEGIN)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const BEGIN: &str = "\
To begin with: `tandem-vm render --help` for a new VM, `tandem-vm inject --help` for one that you have.
Every command's --help has examples.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the Kubernetes objects of DatabaseVM documents
    #[command(after_long_help = render::EXAMPLE)]
    Render(render::Args),
    /// Give a VM of your own manifests a Secret, and take it out again
    #[command(after_long_help = inject::EXAMPLE, override_usage = inject::USAGE)]
    Inject(Box<inject::Args>),
    /// The same as a KRM function, for kustomize
    #[command(after_long_help = krm::EXAMPLE)]
    Krm(krm::Args),
    /// Write the keyFile of a MongoDB replica set, as file or Secret, or check one
    #[command(after_long_help = keyfile::EXAMPLE)]
    Keyfile(keyfile::Args),
    /// Tell what each renewal of a certificate does to each side, and when they would part ways
    #[command(after_long_help = rotation_plan::EXAMPLE)]
    RotationPlan(rotation_plan::Args),
    /// Is the certificate that an endpoint or VM serves older than its Secret's? And restart VMs for which it is
    #[command(after_long_help = stale::EXAMPLE)]
    Stale(Box<stale::Args>),
    /// Check a running endpoint against the Secret that it should serve
    #[command(after_long_help = verify::EXAMPLE)]
    Verify(Box<verify::Args>),
    /// Set the TLS, network and replication settings of a mongod.conf; all else in it stays as it is
    #[command(after_long_help = mongod_conf::EXAMPLE)]
    MongodConf(Box<mongod_conf::Args>),
    /// Look for what breaks between the objects of a stream of manifests
    #[command(after_long_help = check::EXAMPLE)]
    Check(check::Args),
    /// Write a completion script for a shell
    #[command(after_long_help = completions::EXAMPLE)]
    Completions(completions::Args),
    /// Write the manual pages
    #[command(after_long_help = man::EXAMPLE)]
    Man(man::Args),
}

/// The three standard streams.
struct Streams<'a> {
    stdin: &'a mut dyn Read,
    stdout: &'a mut dyn Write,
    stderr: &'a mut dyn Write,
}

/// How a command ends: with an exit code, or with what is wrong with the input or the output, a line each.
type Done = Result<ExitCode, Vec<String>>;

/// Exit code where the answer is no.
const NO: u8 = 1;
/// Exit code where the input or the output is at fault; clap's own for wrong arguments.
const AT_FAULT: u8 = 2;
/// Exit code where a question has no answer, since an endpoint was not reached.
const UNKNOWN: u8 = 3;
/// Exit code where not even the message could be written.
const UNHEARD: u8 = 3;

/// The arguments of all commands, with their help texts.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command with the given arguments (the first is the program's name) and streams.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    // clap's errors, and those of files that are not there, repeat what was typed.
    if let Err(why) = tandem_cli::arguments::hold_no_key(args.iter().map(OsString::as_os_str)) {
        return at_fault(&[why], stderr);
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come here as well, for standard output.
            let text = error.render().to_string();
            let said = if error.use_stderr() {
                text
            } else {
                match tandem_cli::stdio::print(stdout, text.as_bytes()) {
                    Ok(()) => return ExitCode::SUCCESS,
                    Err(error) => format!("tandem-vm: {error}\n"),
                }
            };
            return ExitCode::from(if stderr.write_all(said.as_bytes()).is_ok() { AT_FAULT } else { UNHEARD });
        }
    };
    let mut streams = Streams { stdin, stdout, stderr };
    let done = match cli.command {
        Command::Render(args) => render::run(&args, &mut streams),
        Command::Inject(args) => inject::run(&args, &mut streams),
        Command::Krm(args) => krm::run(&args, &mut streams),
        Command::Keyfile(args) => keyfile::run(&args, &mut streams),
        Command::RotationPlan(args) => rotation_plan::run(&args, &mut streams),
        Command::Stale(args) => stale::run(&args, &mut streams),
        Command::Verify(args) => verify::run(&args, &mut streams),
        Command::MongodConf(args) => mongod_conf::run(&args, &mut streams),
        Command::Check(args) => check::run(&args, &mut streams),
        Command::Completions(args) => completions::run(&args, &mut streams),
        Command::Man(args) => man::run(&args, &mut streams),
    };
    done.unwrap_or_else(|lines| at_fault(&lines, streams.stderr))
}

fn at_fault(lines: &[String], stderr: &mut dyn Write) -> ExitCode {
    let mut lines = lines.iter().map(|line| tandem_cli::printable(line));
    let shown = lines.try_for_each(|line| writeln!(stderr, "tandem-vm: {line}"));
    ExitCode::from(if shown.is_ok() { AT_FAULT } else { UNHEARD })
}

/// Says something beside the output, in a line that leaves a terminal alone. That nobody reads it any more is no error.
fn note(streams: &mut Streams<'_>, line: &str) -> Result<(), Vec<String>> {
    match writeln!(streams.stderr, "tandem-vm: {}", tandem_cli::printable(line)) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(one(error)),
        _ => Ok(()),
    }
}

/// Says several things.
fn notes<'n>(streams: &mut Streams<'_>, lines: impl IntoIterator<Item = &'n String>) -> Result<(), Vec<String>> {
    lines.into_iter().try_for_each(|line| note(streams, line))
}

/// The value of an option that is a time. The library's own errors name no remedy.
fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("`{}` is not a time; write one such as 2026-11-21T12:00:00Z", shown(text)))
}

/// The value of an option that is a duration.
fn duration(text: &str) -> Result<SignedDuration, String> {
    text.parse().map_err(|_| format!("`{}` is not a duration; write one such as 30s, 15m or 168h", shown(text)))
}

fn one(error: impl ToString) -> Vec<String> {
    vec![error.to_string()]
}
