//! What plays the kubelet, since no node is here: it runs the issuer's pods as processes of this machine, with the arguments,
//! the environment, the ServiceAccount and the volumes of the pod's spec, asks for their readiness where and how the pod says,
//! tells the API server, and starts again what has ended. So `helm install --wait` and `kubectl rollout status` wait for what
//! they wait for in a cluster.
//!
//! Some things differ from a node: the program is the one that was built here, its token comes in a kubeconfig, its admin port
//! is any free one, Secrets and ConfigMaps are files as they were at its start and elsewhere than it mounts them, which its
//! arguments say, and all pods have the machine's own name.

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, Pod, Secret};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{Patch, PatchParams},
    client::Body,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tokio::task::JoinHandle;

use crate::{ControlPlane, issuer::write_kubeconfig, process::Process, tools};

/// How often a pod is asked whether it is ready.
const PERIOD: Duration = Duration::from_millis(200);

/// How long what has ended is left alone. A real kubelet takes ever longer.
const AGAIN: Duration = Duration::from_secs(1);

/// How often it is tried to start a pod.
const TRIES: usize = 30;

/// The pods that are run here.
const PODS: &str = "app.kubernetes.io/name=tandem-issuer";

/// Runs pods until it is dropped; then they are stopped.
#[derive(Debug)]
pub struct Kubelet {
    task: JoinHandle<Result<()>>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    /// Starts it for the pods of a control plane that runs the deployment and replicaset controllers.
    #[must_use]
    pub fn start(control_plane: Arc<ControlPlane>) -> Self {
        Self { task: tokio::spawn(serve(control_plane)) }
    }

    /// Waits until it ends, which it does for an error alone.
    ///
    /// # Errors
    /// What it met.
    pub async fn ended(mut self) -> Result<()> {
        (&mut self.task).await?
    }

    /// Why it ended, for a test that failed.
    pub async fn trouble(mut self) -> String {
        match futures::poll!(&mut self.task) {
            std::task::Poll::Ready(ended) => format!("what plays the kubelet ended: {ended:?}"),
            std::task::Poll::Pending => String::new(),
        }
    }
}

/// A pod's process, and who asks it whether it is ready.
struct Running {
    // Behind the task, which has no more than a look at it: whoever drops this waits for its end.
    _process: Arc<Mutex<Process>>,
    probing: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.probing.abort();
    }
}

async fn serve(control_plane: Arc<ControlPlane>) -> Result<()> {
    let client = control_plane.cluster().await?.client;
    let pods = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default().labels(PODS)).default_backoff();
    let mut running: HashMap<String, Running> = HashMap::new();
    pin_mut!(pods);
    while let Some(event) = pods.next().await {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) if !running.contains_key(&pod.uid().unwrap_or_default()) => {
                let started = start_in_the_end(&control_plane, &client, &pod).await?;
                running.insert(pod.uid().unwrap_or_default(), started);
            }
            Ok(Event::Delete(pod)) => {
                // A process may take its time to end.
                let ended = running.remove(&pod.uid().unwrap_or_default());
                tokio::task::spawn_blocking(move || drop(ended));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Tries for a while, as a node does: a server under load may not make a token at once.
async fn start_in_the_end(control_plane: &ControlPlane, client: &Client, pod: &Pod) -> Result<Running> {
    let mut tries = 0;
    loop {
        match start(control_plane, client, pod).await {
            Err(_) if tries < TRIES => tries += 1,
            started => return started.with_context(|| format!("the pod {}", pod.name_any())),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Starts what the pod's container asks for.
async fn start(control_plane: &ControlPlane, client: &Client, pod: &Pod) -> Result<Running> {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let spec = pod.spec.as_ref().context("a pod without a spec")?;
    let account = spec.service_account_name.as_deref().context("a pod without a ServiceAccount")?;
    let container = spec.containers.first().context("a pod without a container")?;

    let kubeconfig = control_plane.folder().join(format!("{name}.kubeconfig"));
    write_kubeconfig(control_plane, (&namespace, account), None, &kubeconfig).await?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let environment: BTreeMap<&str, String> =
        container.env.iter().flatten().filter_map(|variable| Some((&*variable.name, value(variable, pod)?))).collect();
    let folders = volumes(&control_plane.folder().join(&name), client, pod, container).await?;
    let mut command = Command::new(tools::program("tandem-issuer")?);
    command.env_clear().envs(&environment).args(arguments(container, &environment, port, &folders));
    command.arg("--kubeconfig").arg(kubeconfig);
    let log = control_plane.folder().join(format!("{name}.log"));
    let process = Arc::new(Mutex::new(Process::start(&mut command, &log, None)?));

    let probe = container.readiness_probe.as_ref().and_then(|probe| probe.http_get.as_ref());
    let probe = probe.context("a container without a readiness probe")?;
    let path = probe.path.clone().context("a probe without a path")?;
    let scheme = probe.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let mut config = Config::new(format!("{scheme}://127.0.0.1:{port}").parse()?);
    // A kubelet checks no certificate.
    (config.root_cert, config.accept_invalid_certs) = (Some(Vec::new()), true);
    config.default_retry = false;
    let issuer = Client::try_from(config)?;
    let status = Status { pods: Api::namespaced(client.clone(), &namespace), name, container: container.name.clone() };
    let watched = Arc::downgrade(&process);
    let probing = tokio::spawn(async move {
        let (mut told, mut restarts) = (None, 0);
        while let Some(process) = watched.upgrade() {
            let ended = !process.lock().unwrap_or_else(PoisonError::into_inner).is_running().unwrap_or(true);
            if ended {
                tokio::time::sleep(AGAIN).await;
                if let Ok(another) = Process::start(&mut command, &log, None) {
                    *process.lock().unwrap_or_else(PoisonError::into_inner) = another;
                    restarts += 1;
                }
            }
            drop(process);
            let ready = is_ready(&issuer, &path).await;
            // A pod that is gone is told of nothing.
            if told != Some((ready, restarts)) && status.tell(ready, restarts).await.is_ok() {
                told = Some((ready, restarts));
            }
            tokio::time::sleep(PERIOD).await;
        }
    });
    Ok(Running { _process: process, probing })
}

/// The Secrets and ConfigMaps that the container mounts, each as a folder of files beneath `folder`; before it, the path where
/// the container has it. The ServiceAccount's volume is none of them.
async fn volumes(folder: &Path, client: &Client, pod: &Pod, container: &Container) -> Result<Vec<(String, PathBuf)>> {
    let namespace = pod.namespace().unwrap_or_default();
    let volumes: BTreeMap<_, _> =
        pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).map(|volume| (&*volume.name, volume)).collect();
    let mut folders = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = volumes.get(&*mount.name).with_context(|| format!("no volume {}", mount.name))?;
        let files: BTreeMap<String, Vec<u8>> = if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().context("a volume of no Secret")?;
            let secret = Api::<Secret>::namespaced(client.clone(), &namespace).get(name).await?;
            secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect()
        } else if let Some(source) = &volume.config_map {
            let map = Api::<ConfigMap>::namespaced(client.clone(), &namespace).get(&source.name).await?;
            map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes())).collect()
        } else {
            continue;
        };
        let folder = folder.join(&mount.name);
        std::fs::create_dir_all(&folder)?;
        files.iter().try_for_each(|(name, content)| std::fs::write(folder.join(name), content))?;
        folders.push((mount.mount_path.clone(), folder));
    }
    Ok(folders)
}

/// The container's arguments with its variables filled in, as a kubelet does it, a free port of this machine, and the folders
/// that are in place of its volumes.
fn arguments(
    container: &Container,
    environment: &BTreeMap<&str, String>,
    port: u16,
    folders: &[(String, PathBuf)],
) -> Vec<String> {
    let fill = |argument: &String| {
        environment.iter().fold(argument.clone(), |text, (name, value)| text.replace(&format!("$({name})"), value))
    };
    let place = |argument: String| {
        if argument.starts_with("--admin-address=") {
            return format!("--admin-address=127.0.0.1:{port}");
        }
        let elsewhere = |text: String, (path, folder): &(String, PathBuf)| {
            text.replace(&format!("={path}/"), &format!("={}/", folder.display()))
        };
        folders.iter().fold(argument, elsewhere)
    };
    container.args.iter().flatten().map(fill).map(place).collect()
}

/// A variable's value: given, or a field of the pod.
fn value(variable: &EnvVar, pod: &Pod) -> Option<String> {
    let field = || match variable.value_from.as_ref()?.field_ref.as_ref()?.field_path.as_str() {
        "metadata.name" => Some(pod.name_any()),
        "metadata.namespace" => pod.namespace(),
        _ => None,
    };
    variable.value.clone().or_else(field)
}

async fn is_ready(issuer: &Client, path: &str) -> bool {
    match hyper::Request::get(path).body(Body::empty()) {
        Ok(request) => issuer.send(request).await.is_ok_and(|answer| answer.status().is_success()),
        Err(_) => false,
    }
}

/// Where a pod's state is told.
struct Status {
    pods: Api<Pod>,
    name: String,
    container: String,
}

impl Status {
    async fn tell(&self, ready: bool, restarts: u32) -> Result<(), kube::Error> {
        let now = jiff::Timestamp::now().to_string();
        let condition = |type_: &str, status: bool| {
            let status = if status { "True" } else { "False" };
            serde_json::json!({"type": type_, "status": status, "lastTransitionTime": now})
        };
        let status = serde_json::json!({"status": {
            "phase": "Running",
            "conditions": [
                condition("PodScheduled", true), condition("Initialized", true),
                condition("ContainersReady", ready), condition("Ready", ready),
            ],
            "containerStatuses": [{
                "name": self.container, "ready": ready, "started": true, "restartCount": restarts, "image": "", "imageID": "",
                "state": {"running": {"startedAt": now}},
            }],
        }});
        self.pods.patch_status(&self.name, &PatchParams::default(), &Patch::Strategic(status)).await.map(|_| ())
    }
}
