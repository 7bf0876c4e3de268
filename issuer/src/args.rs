//! The command's arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

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
    /// Print the CustomResourceDefinitions, for `kubectl apply -f -`.
    Crds,
    /// Print a completion script.
    ///
    /// For example: source <(tandem-issuer completions bash)
    Completions {
        /// The shell that will read it.
        shell: Shell,
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
