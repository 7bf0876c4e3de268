//! `tandem-vm render`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use tandem_cli::stdio;

use super::{Done, Streams, one};
use crate::output::{self, Format};
use crate::spec::{self, MAX_BYTES, SpecError};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
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

pub(super) const EXAMPLE: &str = "\
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

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    let (name, text) = stdio::read(&args.file, streams.stdin, MAX_BYTES).map_err(one)?;
    let text = text.ok_or_else(|| vec![format!("{name}: {}", SpecError::TooLarge)])?;
    let located = |lines: Vec<String>| lines.into_iter().map(|line| format!("{name}: {line}")).collect::<Vec<_>>();
    let vm = spec::parse(&text).map_err(|error| located(error.lines()))?;
    let rendered = crate::render(&vm).map_err(|error| located(vec![error.to_string()]))?;
    if args.user_data_only {
        stdio::print(streams.stdout, rendered.user_data.as_bytes()).map_err(one)?;
        return Ok(ExitCode::SUCCESS);
    }
    match &args.output_dir {
        Some(dir) => output::write_dir(&rendered.manifests, args.output, dir).map_err(one)?,
        None => {
            let text = output::stream(&rendered.manifests, args.output).map_err(one)?;
            stdio::print(streams.stdout, text.as_bytes()).map_err(one)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
