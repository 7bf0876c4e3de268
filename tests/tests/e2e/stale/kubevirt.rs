//! What KubeVirt does with a deleted instance, played: there is none here. A new instance takes its place, whose server has the
//! Secret as it is then. The servers are real ones of TLS.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use futures::{StreamExt, stream::select_all};
use kube::{
    Api,
    api::{DynamicObject, PostParams},
    runtime::{WatchStreamExt, watcher::watch_object},
};
use rustls::{
    ServerConfig, ServerConnection, Stream,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::json;
use tandem_tests::{Space, tools::root};
use tokio::task::JoinHandle;

pub(crate) const INSTANCE: (&str, &str) = ("kubevirt.io/v1", "VirtualMachineInstance");

/// What a server of TLS serves at the moment; `None`: it is down.
type Serves = Arc<Mutex<Option<Arc<ServerConfig>>>>;

/// Listens for each VM on an address of its own, all on one port, and plays KubeVirt.
pub(crate) struct KubeVirt {
    space: Space,
    pub(crate) port: u16,
    vms: BTreeMap<String, (Ipv4Addr, Serves)>,
    /// What has happened to instances, in order.
    happened: Arc<Mutex<Vec<String>>>,
    /// This VM does not come back.
    broken: Option<&'static str>,
}

/// The Secret as a server takes it.
pub(crate) async fn server(space: &Space) -> Result<Arc<ServerConfig>> {
    let (chain, key) = (space.secret("orders-tls", "tls.crt").await?, space.secret("orders-tls", "tls.key").await?);
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    Ok(Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?))
}

/// Serves until the test's process ends.
fn listen(listener: TcpListener, serves: Serves) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = serves.lock().ok().and_then(|serves| serves.clone());
            let Some(config) = config else { continue };
            std::thread::spawn(move || {
                let mut stream = stream;
                // A peer that goes away is no error of the server's.
                let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
                let Ok(mut connection) = ServerConnection::new(config) else { return };
                let _ = std::io::copy(&mut Stream::new(&mut connection, &mut stream), &mut std::io::sink());
            });
        }
    });
}

impl KubeVirt {
    /// With an instance for each VM, which serves the present Secret.
    pub(crate) async fn start(space: &Space, vms: &[&str], broken: Option<&'static str>) -> Result<Self> {
        space.cluster.apply_crds(&root().join("tests/data/kubevirt-crd.yaml")).await?;
        // A port that is free on all of the addresses.
        let listeners = (0..50).find_map(|_| {
            let first = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).ok()?;
            let port = first.local_addr().ok()?.port();
            let others =
                (3..).take(vms.len() - 1).map(|last| TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)));
            Some((port, std::iter::once(Ok(first)).chain(others).collect::<Result<Vec<_>, _>>().ok()?))
        });
        let (port, listeners) = listeners.context("no port is free")?;
        let mut kubevirt = Self { space: space.clone(), port, vms: BTreeMap::new(), happened: Arc::default(), broken };
        for ((vm, listener), last) in vms.iter().zip(listeners).zip(2..) {
            let serves = Serves::default();
            listen(listener, serves.clone());
            kubevirt.vms.insert((*vm).to_owned(), (Ipv4Addr::new(127, 0, 0, last), serves));
            kubevirt.boot(vm).await?;
        }
        kubevirt.happened.lock().map(|mut happened| happened.clear()).ok();
        Ok(kubevirt)
    }

    fn instances(&self) -> Result<Api<DynamicObject>> {
        self.space.api(INSTANCE)
    }

    fn note(&self, what: String) {
        if let Ok(mut happened) = self.happened.lock() {
            happened.push(what);
        }
    }

    pub(crate) fn happened(&self) -> Vec<String> {
        self.happened.lock().map(|happened| happened.clone()).unwrap_or_default()
    }

    pub(crate) fn serve(&self, vm: &str, config: Option<Arc<ServerConfig>>) {
        if let Some((_, serves)) = self.vms.get(vm)
            && let Ok(mut serves) = serves.lock()
        {
            *serves = config;
        }
    }

    /// A new instance, whose disk has the Secret as it is now.
    async fn boot(&self, vm: &str) -> Result<()> {
        let (address, _) = self.vms.get(vm).context("no such VM")?;
        self.serve(vm, Some(server(&self.space).await?));
        let instance = json!({
            "apiVersion": INSTANCE.0, "kind": INSTANCE.1, "metadata": {"name": vm}, "spec": {},
            "status": {"phase": "Running", "interfaces": [{"ipAddress": address.to_string()}]},
        });
        self.note(format!("started {vm}"));
        self.instances()?.create(&PostParams::default(), &serde_json::from_value(instance)?).await?;
        Ok(())
    }

    /// Makes a new instance for each one that is gone, until it is aborted.
    pub(crate) fn play(self: &Arc<Self>) -> JoinHandle<Result<()>> {
        let kubevirt = self.clone();
        tokio::spawn(async move {
            let watch =
                |vm| Ok(watch_object(kubevirt.instances()?, vm).default_backoff().map(move |seen| (vm, seen)).boxed());
            let watches = kubevirt.vms.keys().map(String::as_str).map(watch).collect::<Result<Vec<_>>>()?;
            let mut seen = select_all(watches);
            while let Some((vm, instance)) = seen.next().await {
                // What is there is left alone; errors are retried by the watch, and one that is gone may be seen twice.
                if !matches!(instance, Ok(None)) || kubevirt.happened().last() == Some(&format!("stopped {vm}")) {
                    continue;
                }
                kubevirt.note(format!("stopped {vm}"));
                kubevirt.serve(vm, None);
                if kubevirt.broken != Some(vm) {
                    kubevirt.boot(vm).await?;
                }
            }
            Ok(())
        })
    }
}
