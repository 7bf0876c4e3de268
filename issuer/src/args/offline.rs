//! The arguments of the commands that go without a cluster.

use std::path::PathBuf;

use clap::{ValueEnum, ValueHint};
use jiff::Timestamp;

pub(super) const SIGN_EXAMPLES: &str = "\
Examples:
  # The Secret of a Certificate, on standard output
  tandem-issuer sign issuer.yaml ca.yaml certificate.yaml

  # Every request of a folder, with the CA's Secret from standard input, to a file each
  tandem-issuer sign - issuer.yaml requests/ --output-dir signed < ca.yaml

  # Anew with the key that the Secret has, if the Certificate says rotationPolicy: Never
  tandem-issuer sign issuer.yaml ca.yaml certificate.yaml signed/secret-shop_db-tls.yaml --output-dir signed

  # Anew with another key, which takes the place of the one before
  tandem-issuer sign issuer.yaml ca.yaml certificate.yaml --output-dir signed --replace";

pub(super) const EXPLAIN_USAGE: &str = "\
tandem-issuer explain [OPTIONS] <FILE>...
       tandem-issuer explain [OPTIONS] --from-cluster <REQUEST>";

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  # Would this Certificate be signed?
  tandem-issuer explain issuer.yaml ca.yaml certificate.yaml

  # The same for a request that nobody has approved yet, as JSON
  tandem-issuer explain issuer.yaml ca.yaml requests/ --assume-approved -o json

  # A CertificateRequest in the cluster, by namespace and name; a CertificateSigningRequest by its name
  tandem-issuer explain --from-cluster shop/db-tls-1";

/// What sign and explain read.
#[derive(Debug, clap::Args)]
pub(crate) struct Input {
    /// Files of YAML documents or JSON, folders of such files, or - for standard input.
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,

    /// The namespace of objects that name none.
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,

    /// The namespace of the CA Secrets of TandemClusterIssuers [default: any; in a cluster: tandem]
    #[arg(long, env = "CLUSTER_RESOURCE_NAMESPACE", value_name = "NAMESPACE")]
    pub(crate) cluster_resource_namespace: Option<String>,

    /// The time to go by instead of the present, such as 2026-11-21T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
}

impl Input {
    /// The time to go by.
    pub(crate) fn now(&self) -> Timestamp {
        self.now.unwrap_or_else(Timestamp::now)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Sign {
    #[command(flatten)]
    pub(crate) input: Input,

    /// A stream of YAML documents, or a JSON List.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,

    /// Write a file for each object into DIR instead, with mode 0600.
    ///
    /// A Secret that is there keeps its private key: nothing is written where another one would take its place.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output_dir: Option<PathBuf>,

    /// Replace Secrets in DIR whose private key is another one; it is lost then.
    #[arg(long, requires = "output_dir")]
    pub(crate) replace: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) input: Input,

    /// A request in the cluster: NAMESPACE/NAME of a CertificateRequest, NAME of a CertificateSigningRequest.
    ///
    /// It is read with your own rights, and so are its issuer and the CA's Secret.
    #[arg(long, value_name = "REQUEST", conflicts_with_all = ["files", "namespace"])]
    pub(crate) from_cluster: Option<String>,

    /// The kubeconfig to use with --from-cluster.
    #[arg(long, value_name = "FILE", requires = "from_cluster", value_hint = ValueHint::FilePath)]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Take a request that nobody has decided about for approved.
    #[arg(long)]
    pub(crate) assume_approved: bool,

    /// Text for people, or JSON.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: ReportFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Yaml,
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    #[default]
    Text,
    Json,
}
