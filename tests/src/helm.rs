//! The real Helm, and the chart.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{
    ControlPlane,
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
