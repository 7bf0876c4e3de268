//! The command's arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use jiff::Timestamp;

/// A cert-manager external issuer that signs from an internal CA.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the controller until SIGTERM or SIGINT.
    ///
    /// Finds the cluster as kubectl does: by --kubeconfig, by $KUBECONFIG, by ~/.kube/config, or, in a pod, by its
    /// ServiceAccount.
    Run(Run),
    /// Sign from files, without a cluster.
    ///
    /// Reads issuers with their CA Secrets, and Certificates, CertificateRequests and CertificateSigningRequests. Writes
    /// each request with the status that the controller would write, and for each Certificate the Secret, with a new
    /// private key, that cert-manager would make. The rules are those of the controller.
    ///
    /// Nobody else approves here: to run this command is to approve. A request that was denied stays refused.
    /// Everything is signed, or nothing is written.
    ///
    /// Exit codes: 0 signed, 1 something is refused, 2 wrong arguments or input, 3 something has to wait.
    #[command(after_long_help = SIGN_EXAMPLES)]
    Sign(Sign),
    /// Show what each rule says of a request, before anything is signed.
    ///
    /// Takes the same files as sign, or a request in a cluster. A Certificate is shown as the request that cert-manager
    /// would make for it, taken for approved.
    ///
    /// Exit codes: 0 would be signed, 1 would be refused, 2 wrong arguments or input, 3 would wait.
    #[command(after_long_help = EXPLAIN_EXAMPLES, override_usage = EXPLAIN_USAGE)]
    Explain(Explain),
    /// Print the CustomResourceDefinitions, for `kubectl apply -f -`.
    Crds,
    /// Print a completion script.
    ///
    /// For example: source <(tandem-issuer completions bash)
    Completions {
        /// The shell that will read it.
        shell: Shell,
    },
    /// Write the manual pages.
    ///
    /// For example: tandem-issuer man ~/.local/share/man/man1
    Man {
        /// The folder to write them into.
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
}

const SIGN_EXAMPLES: &str = "\
Examples:
  # The Secret of a Certificate, on standard output
  tandem-issuer sign issuer.yaml ca.yaml certificate.yaml

  # Every request of a folder, with the CA's Secret from standard input, to a file each
  tandem-issuer sign - issuer.yaml requests/ --output-dir signed < ca.yaml

  # Anew with the key that the Secret has, if the Certificate says rotationPolicy: Never
  tandem-issuer sign issuer.yaml ca.yaml certificate.yaml signed/secret-shop_db-tls.yaml -o json";

const EXPLAIN_USAGE: &str = "\
tandem-issuer explain [OPTIONS] <FILE>...
       tandem-issuer explain [OPTIONS] --from-cluster <REQUEST>";

const EXPLAIN_EXAMPLES: &str = "\
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
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output_dir: Option<PathBuf>,
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

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The kubeconfig to use.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The namespace that holds the CA Secrets of TandemClusterIssuers [default: the one that the issuer runs in]
    #[arg(long, env = "CLUSTER_RESOURCE_NAMESPACE", value_name = "NAMESPACE")]
    pub(crate) cluster_resource_namespace: Option<String>,

    /// Serve only this namespace; may be given several times [default: all of them, and cluster-scoped kinds]
    ///
    /// TandemClusterIssuers and Kubernetes' CertificateSigningRequests are in no namespace, and are left alone then: no
    /// right is needed outside of these namespaces.
    #[arg(long = "namespace", short, value_name = "NAMESPACE")]
    pub(crate) namespaces: Vec<String>,

    /// How to log.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}
