//! tandem-issuer: a cert-manager external issuer that signs from an internal CA.
//!
//! The way of a CertificateRequest: [`controller`] watches → [`reconcile`] observes, has the core decide, and acts
//! → [`status`] says what is written.

mod api;
mod args;
mod ca_secrets;
mod context;
mod controller;
mod issuers;
mod outcome;
mod panics;
mod queue;
mod reconcile;
mod reconcile_issuer;
mod status;
mod work;

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};

use args::{Args, Command, LogFormat};

fn main() -> ExitCode {
    panics::end_the_process();
    let args = Args::parse();
    let done = match args.command {
        Command::Run(run) => {
            log_to_stderr(run.log_format);
            controller::run(run)
        }
        Command::Crds => print(&api::crds_yaml().unwrap_or_default()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), env!("CARGO_PKG_NAME"), &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do where even this cannot be written.
            let _ = writeln!(std::io::stderr(), "{}: {error}", env!("CARGO_PKG_NAME"));
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> Result<(), controller::Error> {
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(controller::Error::Output)
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
