//! The command's arguments.

mod admin;
mod election;
mod offline;
mod telemetry;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::leader::Election;
pub(crate) use admin::AdminArgs;
use election::ElectionArgs;
pub(crate) use offline::{Explain, Format, Input, ReportFormat, Sign};
pub(crate) use telemetry::{LogFormat, TelemetryArgs};

/// A cert-manager external issuer that signs from an internal CA.
#[derive(Debug, Parser)]
#[command(version = tandem_cli::VERSION, max_term_width = 100)]
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
    #[command(after_long_help = offline::SIGN_EXAMPLES)]
    Sign(Sign),
    /// Show what each rule says of a request, before anything is signed.
    ///
    /// Takes the same files as sign, or a request in a cluster. A Certificate is shown as the request that cert-manager
    /// would make for it, taken for approved.
    ///
    /// Exit codes: 0 would be signed, 1 would be refused, 2 wrong arguments or input, 3 would wait.
    #[command(after_long_help = offline::EXPLAIN_EXAMPLES, override_usage = offline::EXPLAIN_USAGE)]
    Explain(Explain),
    /// Print what /metrics serves, as a table in Markdown.
    Metrics,
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

    #[command(flatten)]
    pub(crate) leader: ElectionArgs,

    #[command(flatten)]
    pub(crate) admin: AdminArgs,

    #[command(flatten)]
    pub(crate) telemetry: TelemetryArgs,
}

impl Run {
    /// What is wrong with the arguments, beyond each by itself.
    pub(crate) fn problem(&self) -> Option<String> {
        self.leader.problem()
    }

    /// How this replica stands for leadership, if it does; `own` is the namespace that it runs in.
    pub(crate) fn election(&self, own: &str) -> Option<Election> {
        // As a pod is told where the API server is.
        let in_pod = self.kubeconfig.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        self.leader.election(own, in_pod)
    }
}
