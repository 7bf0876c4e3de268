//! The command line. Exit code 0: done; 2: the input or the output is at fault, and standard error says how;
//! 3: not even that could be written.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use tandem_cli::stdio;

use crate::output::{self, Format};
use crate::spec::{self, MAX_BYTES, SpecError};

/// Arguments of `tandem-vm`.
#[derive(Debug, Parser)]
#[command(name = "tandem-vm", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the Kubernetes objects of a DatabaseVM document
    #[command(after_long_help = EXAMPLE)]
    Render(Render),
    /// Write a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
struct Render {
    /// The document, or - for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// One stream of YAML documents, or a JSON List
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Write each object to a file of its own in DIR instead (Secrets with mode 0600)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output_dir: Option<PathBuf>,
    /// Write only the guest's cloud-config
    #[arg(long, conflicts_with_all = ["output", "output_dir"])]
    user_data_only: bool,
}

const EXAMPLE: &str = "\
Example:
  tandem-vm render - <<'YAML' | kubectl apply -f -
  apiVersion: vm.tandem.internal/v1alpha1
  kind: DatabaseVM
  metadata: {name: mongodb, namespace: shop}
  spec:
    database: {mongodb: {version: \"8.0\", clientAuth: Optional}}
    os: {family: rhel, image: \"quay.io/containerdisks/centos-stream:9\"}
    certificate:
      secretName: mongodb-cert-tls
      issuerRef: {kind: TandemClusterIssuer, name: internal-ca}
    clients:
      - {name: app, image: \"registry.example/app:1.0\", certificate: none}
  YAML";

/// Exit code where not even the message could be written.
const UNHEARD: u8 = 3;

/// Runs the command with the given arguments (the first is the program's name) and streams.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come here as well, for standard output.
            let text = error.render().to_string();
            let (written, code) =
                if error.use_stderr() { (write!(stderr, "{text}"), 2) } else { (write!(stdout, "{text}"), 0) };
            return ExitCode::from(if written.is_ok() { code } else { UNHEARD });
        }
    };
    let done = match cli.command {
        Command::Render(args) => render(&args, stdin, stdout),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tandem-vm", &mut script);
            stdio::print(stdout, &script).map_err(one)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(lines) => {
            let shown = lines.iter().try_for_each(|line| writeln!(stderr, "tandem-vm: {line}"));
            ExitCode::from(if shown.is_ok() { 2 } else { UNHEARD })
        }
    }
}

/// What went wrong, a line each.
type Lines = Vec<String>;

fn render(args: &Render, stdin: &mut dyn Read, stdout: &mut dyn Write) -> Result<(), Lines> {
    let (name, text) = stdio::read(&args.file, stdin, MAX_BYTES).map_err(one)?;
    let text = text.ok_or_else(|| vec![format!("{name}: {}", SpecError::TooLarge)])?;
    let located = |lines: Lines| lines.into_iter().map(|line| format!("{name}: {line}")).collect::<Lines>();
    let vm = spec::parse(&text).map_err(|error| located(error.lines()))?;
    let rendered = crate::render(&vm).map_err(|error| located(vec![error.to_string()]))?;
    if args.user_data_only {
        return stdio::print(stdout, rendered.user_data.as_bytes()).map_err(one);
    }
    match &args.output_dir {
        Some(dir) => output::write_dir(&rendered.manifests, args.output, dir).map_err(one),
        None => {
            let text = output::stream(&rendered.manifests, args.output).map_err(one)?;
            stdio::print(stdout, text.as_bytes()).map_err(one)
        }
    }
}

fn one(error: impl ToString) -> Lines {
    vec![error.to_string()]
}
