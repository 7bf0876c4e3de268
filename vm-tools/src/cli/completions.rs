//! `tandem-vm completions`.

use std::process::ExitCode;

use clap_complete::Shell;
use tandem_cli::{completions, stdio};

use super::{Done, Streams, command, one};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) const EXAMPLE: &str = "\
Examples:
  # In this shell
  source <(tandem-vm completions bash)

  # In every fish of this user
  tandem-vm completions fish > ~/.config/fish/completions/tandem-vm.fish";

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    let script = completions::script(args.shell, command(), "tandem-vm");
    stdio::print(streams.stdout, script.as_bytes()).map_err(one)?;
    Ok(ExitCode::SUCCESS)
}
