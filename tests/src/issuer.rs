//! tandem-issuer as a process of its own, with no more rights than the chart gives.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};
use kube::{Api, api::PostParams, config::Kubeconfig};

use crate::{
    Cluster, ControlPlane,
    pod::Pod,
    process::Process,
    tools::{self, root},
};

/// The namespace of the issuer's ServiceAccount and of the cluster issuers' CA Secrets, as the shipped RBAC has it.
pub const NAMESPACE: &str = "tandem";

/// A running tandem-issuer.
#[derive(Debug)]
pub struct IssuerProcess {
    process: Process,
    /// When it was started.
    pub started: Instant,
}

impl IssuerProcess {
    /// One that is to be started with a token of its ServiceAccount. CRDs and RBAC have to be there: see [`install`].
    #[must_use]
    pub const fn of(control_plane: &ControlPlane) -> Launch<'_> {
        Launch {
            control_plane,
            program: None,
            name: "issuer",
            url: None,
            variables: &[],
            command: &["run"],
            arguments: &[],
            in_pod: false,
        }
    }

    /// What it has logged so far.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.process.log)?)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its resident memory in bytes, as the kernel counts it.
    ///
    /// # Errors
    /// Where it no longer runs.
    pub fn resident_memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
    }
}

/// How a tandem-issuer is started.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    control_plane: &'a ControlPlane,
    program: Option<&'a Path>,
    name: &'a str,
    url: Option<&'a str>,
    variables: &'a [(&'a str, &'a str)],
    command: &'a [&'a str],
    arguments: &'a [&'a str],
    in_pod: bool,
}

impl<'a> Launch<'a> {
    /// By a name, after which its kubeconfig and its log are called. What it logs comes after what earlier ones logged.
    #[must_use]
    pub const fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    /// As one of several replicas: with a name of its own, and it stands for leadership.
    #[must_use]
    pub const fn replica(self, name: &'a str) -> Self {
        Self { name, command: &["run", "--leader-elect"], ..self }
    }

    /// A program that was built otherwise, such as the static one that is released.
    #[must_use]
    pub const fn program(self, program: &'a Path) -> Self {
        Self { program: Some(program), ..self }
    }

    /// Another address by which it reaches the API server, such as that of a proxy; if any.
    #[must_use]
    pub const fn at(self, url: Option<&'a str>) -> Self {
        Self { url, ..self }
    }

    /// Environment variables, such as `RUST_LOG`. It has no others.
    #[must_use]
    pub const fn variables(self, variables: &'a [(&'a str, &'a str)]) -> Self {
        Self { variables, ..self }
    }

    /// Further arguments of `tandem-issuer run`.
    #[must_use]
    pub const fn arguments(self, arguments: &'a [&'a str]) -> Self {
        Self { arguments, ..self }
    }

    /// These arguments, the command among them, and no others but for the kubeconfig.
    #[must_use]
    pub const fn exactly(self, arguments: &'a [&'a str]) -> Self {
        Self { command: &[], arguments, ..self }
    }

    /// As in a pod: it finds the cluster by itself. See [`Pod`].
    #[must_use]
    pub const fn in_pod(self) -> Self {
        Self { in_pod: true, ..self }
    }

    /// Starts it.
    ///
    /// # Errors
    /// Where it cannot be built, gets no token, or does not start.
    pub async fn start(self) -> Result<IssuerProcess> {
        let Self { control_plane, name, url, .. } = self;
        let kubeconfig = control_plane.folder().join(format!("{name}.kubeconfig"));
        write_kubeconfig(control_plane, (NAMESPACE, "tandem-issuer"), url, &kubeconfig).await?;
        let program = match self.program {
            Some(program) => program,
            None => &*tools::program("tandem-issuer")?,
        };
        // Nothing of the caller's surroundings may help it: only its own token counts.
        let mut command = match self.in_pod {
            true => Pod::of(&kubeconfig)?.command(program)?,
            false => without_environment(program),
        };
        command.envs(self.variables.iter().copied()).args(self.command).args(self.arguments);
        if !self.in_pod {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        let started = Instant::now();
        let process = Process::start(&mut command, &control_plane.folder().join(format!("{name}.log")), None)?;
        Ok(IssuerProcess { process, started })
    }
}

fn without_environment(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// Applies what is shipped for kubectl, and waits until the server knows the kinds. There are no nodes: the Deployment runs
/// nowhere, and [`IssuerProcess`] stands for its pods.
///
/// # Errors
/// What the server said.
pub async fn install(cluster: &Cluster) -> Result<()> {
    cluster.apply(&manifest(|_| true)?, NAMESPACE).await.map(|_| ())
}

/// What is shipped for kubectl, of the kinds that are wanted; the namespace always.
///
/// # Errors
/// Where the file cannot be read.
pub fn manifest(wanted: impl Fn(&str) -> bool) -> Result<String> {
    let path = root().join("deploy/tandem-issuer.yaml");
    let yaml = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let kind = |document: &str| document.lines().find_map(|line| line.strip_prefix("kind: ")).map(str::to_owned);
    let documents = yaml.split("\n---\n");
    let chosen = documents.filter(|document| kind(document).is_some_and(|kind| kind == "Namespace" || wanted(&kind)));
    Ok(chosen.collect::<Vec<_>>().join("\n---\n"))
}

/// A token of a ServiceAccount, given as namespace and name.
///
/// # Errors
/// Where there is no such account.
pub async fn token(cluster: &Cluster, (namespace, account): (&str, &str)) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), namespace);
    let request: TokenRequest = serde_json::from_value(serde_json::json!({"spec": {"audiences": []}}))?;
    let made = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    made.status.and_then(|status| status.token).context("the server gave no token")
}

/// Writes the administrator's kubeconfig with a token of a ServiceAccount (namespace and name) in place of the
/// administrator's, and perhaps another address.
///
/// # Errors
/// Where there is no such account, or the file cannot be written.
pub async fn write_kubeconfig(
    control_plane: &ControlPlane,
    (namespace, account): (&str, &str),
    url: Option<&str>,
    path: &Path,
) -> Result<()> {
    let token = token(&control_plane.cluster().await?, (namespace, account)).await?;
    let mut kubeconfig = serde_json::to_value(Kubeconfig::read_from(control_plane.kubeconfig())?)?;
    for user in kubeconfig["users"].as_array_mut().into_iter().flatten() {
        user["user"] = serde_json::json!({"token": token});
    }
    if let Some(url) = url {
        for cluster in kubeconfig["clusters"].as_array_mut().into_iter().flatten() {
            // The rest stays: what TLS is verified with.
            cluster["cluster"]["server"] = url.into();
        }
    }
    for context in kubeconfig["contexts"].as_array_mut().into_iter().flatten() {
        context["context"]["namespace"] = namespace.into();
    }
    std::fs::write(path, serde_yaml::to_string(&kubeconfig)?)?;
    Ok(())
}
