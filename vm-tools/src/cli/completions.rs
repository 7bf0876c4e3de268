//! `tandem-vm completions`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use tandem_cli::stdio;

use super::{Cli, Done, Streams, one};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tandem-vm", &mut script);
    stdio::print(streams.stdout, &script).map_err(one)?;
    Ok(ExitCode::SUCCESS)
}
