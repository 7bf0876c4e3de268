//! A process as a kubelet starts one: it finds the API server by its environment, and a token, a CA and its namespace where a
//! ServiceAccount's are mounted. For that it gets a mount namespace of its own, by util-linux' unshare.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use kube::config::Kubeconfig;

/// Mounts the folder, its first argument, in place of the ServiceAccount's volume, and becomes the program.
const MOUNT: &str = r#"folder=$1 volume=/var/run/secrets/kubernetes.io/serviceaccount
shift
mount -t tmpfs tmpfs "$(readlink -f /var/run)" && mkdir -p "$volume" && mount --bind "$folder" "$volume" && unset PATH && exec "$@""#;

/// Into a user namespace as well: then nobody needs to be root.
const UNSHARE: [&str; 2] = ["--map-root-user", "--mount"];

/// What a pod has of a cluster.
#[derive(Debug)]
pub struct Pod {
    /// The files of its ServiceAccount's volume, which the kubelet writes anew from time to time.
    folder: PathBuf,
    host: String,
    port: String,
}

impl Pod {
    /// Whether this machine lets one make such a process.
    #[must_use]
    pub fn is_possible() -> bool {
        let mut command = Command::new("unshare");
        command.args(UNSHARE).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// One with the server and the token of a kubeconfig, in which both stand themselves.
    ///
    /// # Errors
    /// Where they do not, or the files beside the kubeconfig cannot be written.
    pub fn of(kubeconfig: &Path) -> Result<Self> {
        let read = serde_json::to_value(Kubeconfig::read_from(kubeconfig)?)?;
        let text = |pointer: &str| {
            let value = read.pointer(pointer).and_then(serde_json::Value::as_str);
            value.with_context(|| format!("no {pointer} in {}", kubeconfig.display()))
        };
        let server: hyper::Uri = text("/clusters/0/cluster/server")?.parse()?;
        let (host, port) =
            (server.host().context("no host")?.to_owned(), server.port().context("no port")?.to_string());
        let ca: k8s_openapi::ByteString =
            serde_json::from_value(text("/clusters/0/cluster/certificate-authority-data")?.into())?;
        let pod = Self { folder: kubeconfig.with_extension("pod"), host, port };
        fs::create_dir_all(&pod.folder)?;
        fs::write(pod.folder.join("ca.crt"), ca.0)?;
        fs::write(pod.folder.join("namespace"), text("/contexts/0/context/namespace").unwrap_or("default"))?;
        pod.renew(text("/users/0/user/token")?)?;
        Ok(pod)
    }

    /// Writes another token, in one step.
    ///
    /// # Errors
    /// Where that fails.
    pub fn renew(&self, token: &str) -> Result<()> {
        let new = self.folder.join("token.new");
        fs::write(&new, token)?;
        Ok(fs::rename(new, self.folder.join("token"))?)
    }

    /// The program, with nothing of this process' environment.
    ///
    /// # Errors
    /// Where this machine lets nobody make a pod.
    pub fn command(&self, program: &Path) -> Result<Command> {
        ensure!(Self::is_possible(), "unshare --mount is not allowed here, by which a process gets a pod's volume");
        let mut command = Command::new("unshare");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("KUBERNETES_SERVICE_HOST", &self.host).env("KUBERNETES_SERVICE_PORT", &self.port);
        command.args(UNSHARE).args(["sh", "-c", MOUNT, "pod"]).arg(&self.folder).arg(program);
        Ok(command)
    }
}
