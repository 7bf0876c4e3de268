//! Who signs, and how it is started: each as in a pod, so that none holds in memory what only a kubeconfig needs.

use std::{fmt, path::PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::Serialize;
use serde_json::{Value, json};
use tandem_tests::{
    Cluster, ControlPlane, IssuerProcess, Space, certificates::root_ca, cluster::CLUSTER_ISSUER, issuer, pod::Pod,
    process::Process, tools::control_plane_folder,
};

use crate::floor;

/// The CA and the cluster issuers have this name.
const NAME: &str = "bench-ca";

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Signer {
    /// This issuer.
    Tandem,
    /// cert-manager's CA issuer: that controller alone, in a process of its own.
    CaIssuer,
    /// A process that makes the same calls with the same client, and nothing else.
    Floor,
    /// The load writes each status itself.
    Ceiling,
    /// The load writes each status and an event itself.
    CeilingWithEvents,
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tandem => "tandem-issuer",
            Self::CaIssuer => "CA issuer",
            Self::Floor => "floor",
            Self::Ceiling => "ceiling",
            Self::CeilingWithEvents => "ceiling + events",
        })
    }
}

impl Signer {
    pub(crate) const ALL: [Self; 5] =
        [Self::Tandem, Self::CaIssuer, Self::Floor, Self::Ceiling, Self::CeilingWithEvents];

    /// Whether it is a process beside the load.
    pub(crate) fn is_process(self) -> bool {
        matches!(self, Self::Tandem | Self::CaIssuer | Self::Floor)
    }

    /// The issuerRef of its requests. Those of the ceiling and the floor are for this issuer, which does not run then: cert-manager's webhook lets
    /// nobody approve for a kind that does not exist.
    pub(crate) fn issuer_ref(self) -> Value {
        match self {
            Self::Tandem | Self::Floor | Self::Ceiling | Self::CeilingWithEvents => {
                json!({"group": "pki.tandem.internal", "kind": "TandemClusterIssuer", "name": NAME})
            }
            Self::CaIssuer => json!({"group": "cert-manager.io", "kind": "ClusterIssuer", "name": NAME}),
        }
    }
}

/// A control plane without whatever signs or approves, so that nobody but the measured works on requests. It still
/// judges ClusterIssuers.
pub(crate) fn control_plane() -> Result<ControlPlane> {
    ControlPlane::start_with(&["--cert-manager-controllers=clusterissuers"])
}

/// The control plane with both issuers on the same CA.
pub(crate) struct Stage {
    pub(crate) control_plane: ControlPlane,
    pub(crate) cluster: Cluster,
    /// The tandem-issuer that is measured, and further arguments of its `run`.
    issuer: (PathBuf, Vec<String>),
    /// What the ceiling writes: a CA and a certificate as an issuer would sign it, in PEM.
    pub(crate) ca: String,
    pub(crate) certificate: String,
}

impl Stage {
    /// Installs what is measured.
    pub(crate) async fn set(control_plane: ControlPlane, program: PathBuf, arguments: Vec<String>) -> Result<Self> {
        let cluster = control_plane.cluster().await?;
        issuer::install(&cluster).await?;
        let ca = root_ca("Measured CA", &PKCS_ECDSA_P256_SHA256)?;
        for namespace in [issuer::NAMESPACE, "cert-manager"] {
            let home = Space { cluster: cluster.clone(), name: namespace.to_owned() };
            home.put_tls(NAME, &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
        }
        let spec = json!({"ca": {"secretName": NAME}});
        for (version, kind) in [CLUSTER_ISSUER, ("cert-manager.io/v1", "ClusterIssuer")] {
            let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": NAME}, "spec": spec});
            cluster.apply(&object.to_string(), "").await?;
        }
        let leaf = CertificateParams::new(vec!["steady-1000.bench.test".to_owned()])?;
        let (certificate, ca) = (leaf.signed_by(&KeyPair::generate()?, &ca)?.pem(), ca.as_ref().pem());
        Ok(Self { control_plane, cluster, issuer: (program, arguments), ca, certificate })
    }

    /// Starts a signer, if it is a process.
    pub(crate) async fn start(&self, signer: Signer) -> Result<Option<Running>> {
        Ok(match signer {
            Signer::Tandem => {
                let (program, arguments) = &self.issuer;
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                let issuer = IssuerProcess::of(&self.control_plane).program(program).arguments(&arguments);
                Some(Running::Tandem(issuer.in_pod().start().await?))
            }
            Signer::CaIssuer => {
                let kubeconfig = self.control_plane.kubeconfig().with_file_name("cert-manager.kubeconfig");
                let mut command = Pod::of(&kubeconfig)?.command(&control_plane_folder().join("control-plane"))?;
                command
                    .args(["attach", "--stop-with-parent", "--kubeconfig="])
                    .arg("--cert-manager-controllers=certificaterequests-issuer-ca");
                let log = self.control_plane.folder().join("ca-issuer.log");
                Some(Running::Other(Process::start(&mut command, &log, None).context("the CA issuer")?))
            }
            Signer::Floor => {
                let folder = self.control_plane.folder();
                let (account, file) = ((issuer::NAMESPACE, "tandem-issuer"), folder.join("issuer.kubeconfig"));
                issuer::write_kubeconfig(&self.control_plane, account, None, &file).await?;
                let status = serde_json::to_vec(&(&self.certificate, &self.ca))?;
                std::fs::write(folder.join(floor::STATUS), status)?;
                let mut command = Pod::of(&file)?.command(&std::env::current_exe()?)?;
                command.arg("--as-floor").arg(folder);
                let log = folder.join("floor.log");
                Some(Running::Other(Process::start(&mut command, &log, None).context("the floor")?))
            }
            Signer::Ceiling | Signer::CeilingWithEvents => None,
        })
    }
}

/// A signer that runs, until it is dropped.
pub(crate) enum Running {
    Tandem(IssuerProcess),
    Other(Process),
}

impl Running {
    /// The process' id.
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Tandem(issuer) => issuer.id(),
            Self::Other(process) => process.id(),
        }
    }
}
