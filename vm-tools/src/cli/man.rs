//! `tandem-vm man`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ValueHint, builder::Resettable};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};
use tandem_cli::{
    files::{self, Wanted},
    stdio,
};

use super::{Done, Streams, command, one};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to write a page for each command into; without it, only tandem-vm(1) goes to standard output
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    folder: Option<PathBuf>,
}

pub(super) const EXAMPLE: &str = "\
Examples:
  # All pages, for `man tandem-vm` and `man tandem-vm-render`
  tandem-vm man ~/.local/share/man/man1

  # One page, unformatted
  tandem-vm man > tandem-vm.1";

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    let mut top = command().disable_help_subcommand(true);
    top.build();
    let pages: Vec<_> =
        std::iter::once(&top).chain(top.get_subcommands()).map(page).collect::<Result<_, _>>().map_err(one)?;
    match (&args.folder, pages.first()) {
        (Some(folder), _) => files::write(folder, &pages).map_err(one)?,
        (None, top) => stdio::print(streams.stdout, top.map_or(&[], |page| page.content.as_bytes())).map_err(one)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A command's page. Its examples are set line by line: clap_mangen would fill them like prose.
fn page(command: &clap::Command) -> io::Result<Wanted> {
    let examples = command.get_after_long_help().map(ToString::to_string);
    let source = concat!("tandem-vm ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone().after_long_help(Resettable::Reset)).source(source).manual("Tandem");
    let mut content = Vec::new();
    man.render(&mut content)?;
    if let Some(examples) = examples {
        let mut roff = Roff::new();
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        // The heading of the help text has become the section's.
        examples.lines().skip(1).for_each(|line| {
            roff.text([roman(line)]);
        });
        roff.control("fi", []);
        roff.to_writer(&mut content)?;
    }
    let content = String::from_utf8(content).map_err(io::Error::other)?;
    Ok(Wanted { name: man.get_filename(), content, mode: 0o644 })
}
