//! tandem-issuer: a cert-manager external issuer that signs from an internal CA.
//!
//! The way of a CertificateRequest: [`controller`] watches → [`reconcile`] observes, has the core decide, and acts
//! → [`status`] says what is written. [`offline`] goes the same way without a cluster.

mod announcer;
mod api;
mod args;
mod ca_secrets;
mod context;
mod controller;
mod issuers;
mod leader;
mod offline;
mod outcome;
mod panics;
mod queue;
mod reconcile;
mod reconcile_issuer;
mod status;
mod work;

use std::{io::IsTerminal, process::ExitCode};

use clap::{CommandFactory, Parser, error::ErrorKind};

use args::{Args, Command, LogFormat};

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
            log_to_stderr(run.log_format);
            controller::run(run).map_err(|error| error.to_string())
        }
        Command::Sign(args) => return offline::sign(&args).map_or_else(|end| end.tell(), |()| ExitCode::SUCCESS),
        Command::Explain(args) => return offline::explain(&args).map_or_else(|end| end.tell(), |()| ExitCode::SUCCESS),
        Command::Crds => print(api::crds_yaml().unwrap_or_default().as_bytes()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), env!("CARGO_PKG_NAME"), &mut script);
            print(&script)
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

/// Logs in words on a terminal, in JSON lines elsewhere; `RUST_LOG` sets what is logged.
fn log_to_stderr(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    match format {
        LogFormat::Auto if !terminal => logger.json().init(),
        LogFormat::Json => logger.json().init(),
        LogFormat::Auto | LogFormat::Text => logger.init(),
    }
}
