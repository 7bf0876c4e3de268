//! `tandem-vm man`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ValueHint, builder::Resettable};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
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

/// A command's page. Its examples are set line by line: clap_mangen would fill them like prose. Its synopsis is the usage of --help:
/// clap_mangen's names every option, none with its value, and none as required.
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
    let mut content = String::from_utf8(content).map_err(io::Error::other)?;
    if let Some((start, rest)) = content.split_once(".SH SYNOPSIS\n")
        && let Some((_, end)) = rest.split_once(".SH DESCRIPTION\n")
    {
        content = format!("{start}.SH SYNOPSIS\n{}.SH DESCRIPTION\n{end}", synopsis(command));
    }
    Ok(Wanted { name: man.get_filename(), content, mode: 0o644 })
}

fn synopsis(command: &clap::Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let name = command.get_bin_name().unwrap_or_default();
    let mut roff = Roff::new();
    for line in usage.trim_start_matches("Usage:").lines().map(str::trim) {
        let rest = line.strip_prefix(name).unwrap_or(line);
        roff.text([bold(name), roman(rest)]).control("br", []);
    }
    // Without the macros that begin a page, which it has.
    roff.render().split_inclusive('\n').skip_while(|line| !line.starts_with("\\fB")).collect()
}
