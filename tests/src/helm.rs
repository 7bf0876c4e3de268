//! The real Helm, and the chart.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;

use crate::{
    Cluster, ControlPlane,
    issuer::NAMESPACE,
    tools::{self, root},
};

/// The release's name, and with it that of the objects.
pub const RELEASE: &str = "tandem-issuer";

/// The chart.
#[must_use]
pub fn chart() -> PathBuf {
    root().join("charts/tandem-issuer")
}

/// A helm with settings of its own: not those of whoever runs the tests.
///
/// # Errors
/// Where it cannot be built.
pub fn command() -> Result<Command> {
    let mut command = Command::new(tools::helm()?);
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, tools::target().join("helm"));
    }
    Ok(command)
}

/// A helm for a control plane.
///
/// # Errors
/// Where it cannot be built.
pub fn on(control_plane: &ControlPlane) -> Result<Command> {
    let mut command = command()?;
    command.env("KUBECONFIG", control_plane.kubeconfig());
    Ok(command)
}

/// Installs the chart, with further arguments such as `--set=replicaCount=1`.
///
/// # Errors
/// What helm said.
pub fn install(control_plane: &ControlPlane, arguments: &[&str]) -> Result<String> {
    let mut command = on(control_plane)?;
    command.args(["install", RELEASE]).arg(chart()).args(["--namespace", NAMESPACE, "--create-namespace"]);
    tools::output(command.args(arguments))
}

/// The chart's manifests, rendered with further arguments, one document after the other in Helm's order.
///
/// # Errors
/// What helm said.
pub fn template(arguments: &[&str]) -> Result<Vec<String>> {
    let mut command = command()?;
    command.args(["template", RELEASE]).arg(chart()).args(["--namespace", NAMESPACE]).args(arguments);
    let text = tools::output(&mut command)?;
    Ok(text.trim_start_matches("---\n").split("\n---\n").map(|document| document.trim().to_owned()).collect())
}

/// The arguments that the installed Deployment gives to its pods, with any free port of this machine in place of the pod's
/// own, and no other change.
///
/// # Errors
/// Where there is no Deployment, or it gives no port.
pub async fn arguments(cluster: &Cluster) -> Result<Vec<String>> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let deployment = serde_json::to_value(deployments.get(RELEASE).await?)?;
    let arguments = deployment.pointer("/spec/template/spec/containers/0/args").context("no arguments")?;
    let mut arguments: Vec<String> = serde_json::from_value(arguments.clone())?;
    let mut ports = arguments.iter_mut().filter(|argument| argument.starts_with("--admin-address=:"));
    "--admin-address=127.0.0.1:0".clone_into(ports.next().context("no port")?);
    Ok(arguments)
}

/// What helm says of a command that it must refuse.
///
/// # Errors
/// Where it does not refuse.
pub fn refusal(command: &mut Command) -> Result<String> {
    let done = command.output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if done.status.success() {
        bail!("it was accepted:\n{said}");
    }
    Ok(said)
}

/// Where the Prometheus operator's CRDs are.
///
/// # Errors
/// Where they cannot be fetched.
pub fn monitoring_crds(kinds: &[&str]) -> Result<Vec<PathBuf>> {
    tools::helm()?;
    let folder = root().join("target/tools/monitoring-crds");
    let Some(version) = std::fs::read_dir(&folder)?.next() else { bail!("{} is empty", folder.display()) };
    let version = version?.path();
    let file = |kind: &&str| Path::new(&version).join(format!("monitoring.coreos.com_{kind}.yaml"));
    Ok(kinds.iter().map(file).collect())
}
