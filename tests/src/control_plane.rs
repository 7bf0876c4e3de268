//! A real Kubernetes control plane with the real cert-manager, as a process of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, Result};
use kube::config::Kubeconfig;
use tempfile::TempDir;

use crate::{Cluster, process::Process, tools};

/// A running control plane. Dropping it stops it and deletes its folder.
#[derive(Debug)]
pub struct ControlPlane {
    process: Process,
    kubeconfig: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    users: Arc<()>,
}

impl ControlPlane {
    /// Builds it where needed, starts it, and waits until everything in it answers.
    ///
    /// # Errors
    /// Where it cannot be built, or does not become ready; with the end of its log.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with further arguments: see `control-plane serve --help`.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub fn start_with(arguments: &[&str]) -> Result<Self> {
        tools::build_control_plane()?;
        let folder = tempfile::Builder::new().prefix("tandem-").tempdir()?;
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (process, kubeconfig) = run(folder.path(), &arguments)?;
        Ok(Self { process, kubeconfig, arguments, folder, users: Arc::default() })
    }

    /// Starts it again after [`ControlPlane::process`] has ended: at the same address, with the same keys, tokens and data.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub fn resume(&mut self) -> Result<()> {
        let kubeconfig = serde_json::to_value(Kubeconfig::read_from(&self.kubeconfig)?)?;
        let server = kubeconfig["clusters"][0]["cluster"]["server"].as_str().context("no server")?;
        let port = server.rsplit(':').next().context("no port")?.to_owned();
        let more = ["--resume".to_owned(), "--port".to_owned(), port];
        (self.process, _) = run(self.folder.path(), &[self.arguments.as_slice(), &more].concat())?;
        Ok(())
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A folder that goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client with the administrator's rights. A client belongs to the runtime that it was made on.
    ///
    /// # Errors
    /// Where the kubeconfig is not what it should be.
    pub async fn cluster(&self) -> Result<Cluster> {
        let cluster = Cluster::connect(&self.kubeconfig).await?;
        Ok(Cluster { user: self.users.clone(), ..cluster })
    }

    /// How many clients of [`ControlPlane::cluster`] are there, with their copies and the namespaces that were made by them.
    #[must_use]
    pub fn users(&self) -> usize {
        Arc::strong_count(&self.users) - 1
    }

    /// A kubectl of the server's version, set up for it.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(tools::control_plane_folder().join("kubectl"));
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Stops it; whether it stopped cleanly.
    ///
    /// # Errors
    /// Where the system does not say how it ended.
    pub fn stop(mut self) -> Result<bool> {
        self.process.stop()
    }
}

/// Starts the process in a folder and waits until it is ready; the administrator's kubeconfig.
fn run(folder: &Path, arguments: &[String]) -> Result<(Process, PathBuf)> {
    let program = tools::control_plane_folder().join("control-plane");
    let mut command = Command::new(program);
    command.arg("serve").arg("--stop-with-parent").arg("--dir").arg(folder.join("control-plane"));
    command.args(arguments).current_dir(folder);
    let mut process = Process::start(&mut command, &folder.join("control-plane.err"), Some(folder))?;
    let kubeconfig = PathBuf::from(process.first_line().context("the control plane")?);
    Ok((process, kubeconfig))
}
