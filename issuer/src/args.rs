//! The command's arguments.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use jiff::Timestamp;

use crate::{api::certificate_request::duration, leader::Election};

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

    /// Act only while holding the lease "tandem-issuer": of several replicas one leads, and the others follow with warm
    /// caches [default: true in a pod, else and with --kubeconfig false]
    ///
    /// Without it the issuer acts at once and beside any other. Two that act at the same time, because one of them has no
    /// lease or another one, give no request two certificates, but write the same statuses in turns where they do not
    /// agree, such as with different --cluster-resource-namespace.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: Option<bool>,

    /// The namespace of the lease [default: the one that the issuer runs in]
    ///
    /// All replicas need the same, and issuers that serve different namespaces a different one: one lease, one leader.
    /// Rights: create leases there; get, list, watch and patch this one.
    #[arg(long, value_name = "NAMESPACE")]
    leader_election_namespace: Option<String>,

    /// How long the lease lasts without being renewed: whole seconds. A leader that dies is followed within this time.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = whole_seconds)]
    leader_election_lease_duration: Duration,

    /// How long the leader acts without its renewal being confirmed; less than the lease lasts, by what a write may take.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = whole_seconds)]
    leader_election_renew_deadline: Duration,

    /// How often the leader renews the lease; less than the renew deadline.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = whole_seconds)]
    leader_election_retry_period: Duration,

    #[command(flatten)]
    pub(crate) admin: AdminArgs,

    #[command(flatten)]
    pub(crate) telemetry: TelemetryArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AdminArgs {
    /// Where to serve probes (/livez, /readyz) and metrics (/metrics), such as :9402 or 127.0.0.1:9402 [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_address: Option<ListenAddress>,

    /// Serve them by TLS with this certificate chain, in PEM. The file is read again when it has changed.
    #[arg(long, value_name = "FILE", requires_all = ["admin_address", "admin_tls_key"], value_hint = ValueHint::FilePath)]
    pub(crate) admin_tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "admin_tls_cert", value_hint = ValueHint::FilePath)]
    pub(crate) admin_tls_key: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TelemetryArgs {
    /// How to log.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log_format: LogFormat,

    /// Send traces there by OTLP (HTTP, protocol buffers), such as http://collector:4318 [default: nowhere]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) otlp_endpoint: Option<String>,
}

/// An address and a port to listen on, or, as `:PORT`, all addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    One(SocketAddr),
    All(u16),
}

impl ListenAddress {
    /// What to try, in this order: IPv6's any is IPv4's as well, except on a machine without IPv6.
    pub(crate) fn sockets(self) -> Vec<SocketAddr> {
        match self {
            Self::One(address) => vec![address],
            Self::All(port) => vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()],
        }
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHAT: &str =
            "it has to be an IP address and a port, such as 127.0.0.1:9402 or [::1]:9402, or :9402 for all";
        match text.strip_prefix(':') {
            Some(port) => port.parse().map(Self::All).map_err(|_| WHAT),
            None => text.parse().map(Self::One).map_err(|_| WHAT),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(address) => address.fmt(f),
            Self::All(port) => write!(f, ":{port}"),
        }
    }
}

impl Run {
    /// What is wrong with the arguments, beyond each by itself.
    pub(crate) fn problem(&self) -> Option<String> {
        let (lease, deadline, period) = (
            self.leader_election_lease_duration,
            self.leader_election_renew_deadline,
            self.leader_election_retry_period,
        );
        (period >= deadline || deadline >= lease).then(|| {
            format!(
                "--leader-election-retry-period ({period:?}) must be less than --leader-election-renew-deadline \
                 ({deadline:?}), and that less than --leader-election-lease-duration ({lease:?})"
            )
        })
    }

    /// How this replica stands for leadership, if it does; `own` is the namespace that it runs in.
    pub(crate) fn election(&self, own: &str) -> Option<Election> {
        // As a pod is told where the API server is.
        let in_pod = || self.kubeconfig.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        self.leader_elect.unwrap_or_else(in_pod).then(|| Election {
            namespace: self.leader_election_namespace.as_deref().unwrap_or(own).to_owned(),
            lease_duration: self.leader_election_lease_duration,
            renew_deadline: self.leader_election_renew_deadline,
            retry_period: self.leader_election_retry_period,
        })
    }
}

/// A duration as Go writes it, of at least a second and at most an hour: a lease is counted in seconds.
fn whole_seconds(text: &str) -> Result<Duration, &'static str> {
    let duration = duration(text).and_then(|duration| Duration::try_from(duration).ok());
    let whole = |duration: &Duration| duration.subsec_nanos() == 0 && (1..=3600).contains(&duration.as_secs());
    duration.filter(whole).ok_or("it takes whole seconds, such as 15s or 1m30s, at most 1h")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &str) -> Result<Run, clap::Error> {
        let words = format!("tandem-issuer run {arguments}");
        match Args::try_parse_from(words.split_whitespace())?.command {
            Command::Run(run) => Ok(run),
            other => panic!("{other:?}"),
        }
    }

    /// By hand nobody has to give rights on leases, or to wait for one; in a pod it is on without a word (which no test can
    /// be sure not to be in: it names a kubeconfig).
    #[test]
    fn by_hand_it_acts_at_once_and_says_so_where_it_stands_for_leadership() {
        assert!(run("--kubeconfig k").unwrap().election("own").is_none());
        assert!(run("--kubeconfig k --leader-elect=false").unwrap().election("own").is_none());
        assert_eq!(run("--kubeconfig k --leader-elect").unwrap().election("own").unwrap().namespace, "own");
        let elsewhere = run("--leader-elect=true --leader-election-namespace there").unwrap().election("own").unwrap();
        assert_eq!(elsewhere.namespace, "there");
    }

    #[test]
    fn a_lease_lasts_longer_than_its_holder_acts_unconfirmed_and_that_longer_than_a_period() {
        assert_eq!(run("").unwrap().problem(), None);
        assert_eq!(run("--leader-election-lease-duration 1m30s").unwrap().problem(), None);
        for wrong in ["--leader-election-lease-duration 10s", "--leader-election-renew-deadline 2s"] {
            let problem = run(wrong).unwrap().problem().unwrap();
            assert!(problem.contains("must be less than --leader-election-renew-deadline"), "{problem}");
        }
        for wrong in ["0s", "-5s", "1500ms", "15", "soon", "2h"] {
            let error = run(&format!("--leader-election-lease-duration={wrong}")).unwrap_err().to_string();
            assert!(error.contains("whole seconds, such as 15s"), "{error}");
        }
    }

    #[test]
    fn an_address_has_a_port_and_no_name() {
        for (text, sockets) in [
            ("127.0.0.1:9402", vec!["127.0.0.1:9402"]),
            ("[::1]:0", vec!["[::1]:0"]),
            (":9402", vec!["[::]:9402", "0.0.0.0:9402"]),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.sockets(), sockets.iter().map(|socket| socket.parse().unwrap()).collect::<Vec<_>>());
        }
        for text in ["", ":", "9402", "127.0.0.1", "localhost:9402", "::1:9402x", ":70000"] {
            text.parse::<ListenAddress>().unwrap_err();
        }
    }

    #[test]
    fn tls_takes_both_files_and_an_address() {
        let run = |more: &[&str]| Args::try_parse_from(["tandem-issuer", "run"].iter().chain(more)).is_ok();
        assert!(run(&[]) && run(&["--admin-address=:0"]));
        assert!(run(&["--admin-address=:0", "--admin-tls-cert=a", "--admin-tls-key=b"]));
        assert!(!run(&["--admin-address=:0", "--admin-tls-cert=a"]));
        assert!(!run(&["--admin-address=:0", "--admin-tls-key=b"]));
        assert!(!run(&["--admin-tls-cert=a", "--admin-tls-key=b"]));
    }
}
