//! tandem-issuer: a cert-manager external issuer that signs from an internal CA.
//!
//! The way of a CertificateRequest: [`controller`] watches → [`reconcile`] observes, has the core decide, and acts
//! → [`status`] says what is written. [`offline`] goes the same way without a cluster.

mod admin;
mod announcer;
mod api;
mod args;
mod ca_secrets;
mod client;
mod context;
mod controller;
mod issuers;
mod leader;
mod metrics;
mod offline;
mod outcome;
mod panics;
mod queue;
mod reconcile;
mod reconcile_issuer;
mod status;
mod telemetry;
mod work;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, error::ErrorKind};

use args::{Args, Command};

fn main() -> ExitCode {
    panics::end_the_process();
    let words: Vec<_> = std::env::args_os().collect();
    // clap's errors, and those of files that are not there, repeat what was typed.
    if let Err(why) = tandem_cli::arguments::hold_no_key(words.iter().map(std::ffi::OsString::as_os_str)) {
        return offline::End::BadInput(vec![why]).tell();
    }
    let args = Args::parse_from(words);
    let done = match args.command {
        Command::Run(run) => {
            if let Some(problem) = run.problem() {
                Args::command().error(ErrorKind::ValueValidation, problem).exit();
            }
            controller::run(run).map_err(|error| error.to_string())
        }
        Command::Sign(args) => return offline::sign(&args).map_or_else(|end| end.tell(), |()| ExitCode::SUCCESS),
        Command::Explain(args) => return offline::explain(&args).map_or_else(|end| end.tell(), |()| ExitCode::SUCCESS),
        Command::Metrics => print(metrics::METRICS.table().as_bytes()),
        Command::Crds => print(api::crds_yaml().unwrap_or_default().as_bytes()),
        Command::Completions { shell } => {
            print(tandem_cli::completions::script(shell, Args::command(), env!("CARGO_PKG_NAME")).as_bytes())
        }
        Command::Man { folder } => {
            clap_mangen::generate_to(Args::command(), &folder).map_err(|error| format!("{}: {error}", folder.display()))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            offline::note(&[error]);
            ExitCode::FAILURE
        }
    }
}

fn print(bytes: &[u8]) -> Result<(), String> {
    tandem_cli::stdio::print(&mut std::io::stdout().lock(), bytes)
}
