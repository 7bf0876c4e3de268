//! `tandem-vm krm`.

use std::{path::Path, process::ExitCode};

use tandem_cli::stdio;

use super::inject::{MAX_BYTES, lines};
use super::{Done, Streams, one};
use crate::inject;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) const EXAMPLE: &str = "\
Examples:
  # As an orchestrator runs it
  tandem-vm krm < resourcelist.yaml

  # kustomize runs a program without arguments
  printf '#!/bin/sh\\nexec tandem-vm krm\\n' > tandem-vm-krm && chmod +x tandem-vm-krm

A ResourceList comes in at standard input and goes out at standard output, with what is to be said
in its results. Its functionConfig, which a kustomization.yaml names under `transformers`, has the
options of `tandem-vm inject`; `vm` may be a list:
apiVersion: vm.tandem.internal/v1alpha1
kind: Inject
metadata:
  name: shop-db-tls
  annotations:
    config.kubernetes.io/function: \"exec: {path: ./tandem-vm-krm}\"
spec: {secret: shop-db-tls, vm: shop-db, database: mongodb, os: debian}
Then: kustomize build --enable-alpha-plugins --enable-exec .";

pub(super) fn run(_: &Args, streams: &mut Streams<'_>) -> Done {
    let (name, text) = stdio::read(Path::new("-"), streams.stdin, MAX_BYTES).map_err(one)?;
    let text = text.ok_or_else(|| one(format!("{name}: more than {MAX_BYTES} bytes; give a smaller list")))?;
    let (list, done) = inject::function(&text).map_err(one)?;
    stdio::print(streams.stdout, list.as_bytes()).map_err(one)?;
    done.map(|()| ExitCode::SUCCESS).map_err(lines)
}
