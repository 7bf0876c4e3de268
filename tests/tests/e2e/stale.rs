//! `tandem-vm stale` and `verify` in a cluster: Secrets from cert-manager, VMs that are restarted one at a time, with the
//! rights of the Role that is rendered.
//!
//! There is no KubeVirt here. What it does with a deleted instance is played: [`KubeVirt`] makes a new one, whose server
//! has the Secret as it is then. The servers are real ones of TLS.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
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
use serde_json::{Value, json};
use tandem_tests::{
    Space,
    cluster::{CERTIFICATE, PATIENCE},
    issuer::write_kubeconfig,
    tools::{self, root},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    environment::{shared, space_with_issuer},
    requests::patch_status,
};

const INSTANCE: (&str, &str) = ("kubevirt.io/v1", "VirtualMachineInstance");

/// What a server of TLS serves at the moment; `None`: it is down.
type Serves = Arc<Mutex<Option<Arc<ServerConfig>>>>;

/// Listens for each VM on an address of its own, all on one port, and plays KubeVirt.
struct KubeVirt {
    space: Space,
    port: u16,
    vms: BTreeMap<String, (Ipv4Addr, Serves)>,
    /// What has happened to instances, in order.
    happened: Arc<Mutex<Vec<String>>>,
    /// This VM does not come back.
    broken: Option<&'static str>,
}

/// The Secret as a server takes it.
async fn server(space: &Space) -> Result<Arc<ServerConfig>> {
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
    async fn start(space: &Space, vms: &[&str], broken: Option<&'static str>) -> Result<Self> {
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

    fn happened(&self) -> Vec<String> {
        self.happened.lock().map(|happened| happened.clone()).unwrap_or_default()
    }

    fn serve(&self, vm: &str, config: Option<Arc<ServerConfig>>) {
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
    fn play(self: &Arc<Self>) -> JoinHandle<Result<()>> {
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

/// A Certificate for Secret `orders-tls`; waits until it is there.
async fn issue(space: &Space) -> Result<()> {
    space
        .apply(
            "
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: orders}
spec:
  secretName: orders-tls
  dnsNames: [orders.NAMESPACE.svc]
  ipAddresses: [127.0.0.2]
  privateKey: {algorithm: ECDSA, rotationPolicy: Always}
  issuerRef: {group: pki.tandem.internal, kind: TandemIssuer, name: internal-ca}
",
        )
        .await?;
    space.wait_ready(CERTIFICATE, "orders").await.map(|_| ())
}

/// Renews it by hand, as `cmctl renew` does.
async fn renew(space: &Space) -> Result<()> {
    let ready = space.wait_ready(CERTIFICATE, "orders").await?;
    let revision = ready.data["status"]["revision"].as_i64().context("no revision")?;
    let before = space.secret("orders-tls", "tls.crt").await?;
    let issuing = json!({
        "type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered", "observedGeneration": ready.metadata.generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    patch_status(space, CERTIFICATE, "orders", json!({"conditions": [issuing]})).await?;
    space.wait(CERTIFICATE, "orders", |object| object.data["status"]["revision"].as_i64() > Some(revision)).await?;
    space.wait_ready(CERTIFICATE, "orders").await?;
    ensure!(space.secret("orders-tls", "tls.crt").await? != before, "the Secret is as it was");
    Ok(())
}

/// Renders a DatabaseVM with the CronJob and applies the CronJob and its rights; returns a kubeconfig with those rights
/// alone, and the CronJob's arguments.
async fn cron_job(space: &Space, folder: &Path) -> Result<(PathBuf, Vec<String>)> {
    let document = format!(
        "apiVersion: vm.tandem.internal/v1alpha1\nkind: DatabaseVM\nmetadata: {{name: orders, namespace: {}}}\nspec:\n  \
         database: {{none: {{files: {{folder: /etc/orders}}, port: 8443}}}}\n  os: {{family: debian, image: registry.example/debian}}\n  \
         certificate: {{secretName: orders-tls, issuerRef: {{kind: TandemIssuer, name: internal-ca}}}}\n  \
         restartStale: {{schedule: '30 3 * * *', image: registry.example/tandem-vm}}\n",
        space.name
    );
    let file = folder.join("databasevm.yaml");
    std::fs::write(&file, document)?;
    let rendered = tools::output(Command::new(tools::program("tandem-vm")?).arg("render").arg(&file))?;
    let wanted = ["ServiceAccount", "Role", "RoleBinding", "CronJob"];
    let own: Vec<_> = rendered
        .split("---\n")
        .filter(|document| wanted.iter().any(|kind| document.contains(&format!("\nkind: {kind}\n"))))
        .collect();
    let applied = space.apply(&own.join("---\n")).await?;
    ensure!(applied.len() == wanted.len(), "not all are rendered: {rendered}");
    let job = applied.last().context("no CronJob")?;
    let args = job.data.pointer("/spec/jobTemplate/spec/template/spec/containers/0/args").and_then(Value::as_array);
    let args = args.context("no arguments")?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let kubeconfig = folder.join("kubeconfig");
    write_kubeconfig(&shared()?.control_plane, (&space.name, "orders-restart"), None, &kubeconfig).await?;
    Ok((kubeconfig, args))
}

struct Done {
    code: Option<i32>,
    said: String,
}

/// Runs tandem-vm with the rights of a kubeconfig, beside the test's own tasks.
async fn run(kubeconfig: &Path, args: &[String]) -> Result<Done> {
    let mut command = tokio::process::Command::new(tools::program("tandem-vm")?);
    command.env_clear().env("KUBECONFIG", kubeconfig).args(args).kill_on_drop(true);
    let done = tokio::time::timeout(PATIENCE, command.output()).await.context("it does not end")??;
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    ensure!(!said.contains("PRIVATE KEY") && !said.contains("panicked"), "{said}");
    Ok(Done { code: done.status.code(), said })
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rendered_cron_job_restarts_a_stale_vm_with_its_rights_alone() -> Result<()> {
    let (space, _) = space_with_issuer("stale").await?;
    issue(&space).await?;
    let kubevirt = Arc::new(KubeVirt::start(&space, &["orders-vm"], None).await?);
    let folder = TempDir::new()?;
    let (kubeconfig, mut args) = cron_job(&space, folder.path()).await?;
    // All that is changed: the port, since the one of the document may be taken.
    let port = args.iter().position(|word| word == "8443").context("no port")?;
    args[port] = kubevirt.port.to_string();
    let player = kubevirt.play();

    let fresh = run(&kubeconfig, &args).await?;
    ensure!(fresh.code == Some(0) && fresh.said.starts_with("orders-vm: fresh: "), "{}", fresh.said);
    ensure!(kubevirt.happened().is_empty(), "{:?}", kubevirt.happened());

    renew(&space).await?;
    let look = words(&[
        "stale",
        "--secret",
        &format!("{}/orders-tls", space.name),
        "--vm",
        "orders-vm",
        "--port",
        &kubevirt.port.to_string(),
        "-o",
        "json",
    ]);
    let stale = run(&kubeconfig, &look).await?;
    let report: Value = serde_json::from_str(&stale.said)?;
    ensure!(stale.code == Some(1) && report["vms"][0]["seen"]["age"] == "stale", "{}", stale.said);
    ensure!(kubevirt.happened().is_empty(), "looking restarts nothing: {:?}", kubevirt.happened());

    let restarted = run(&kubeconfig, &args).await?;
    ensure!(
        restarted.code == Some(0) && restarted.said.contains("orders-vm: restarting\norders-vm: fresh: "),
        "{}",
        restarted.said
    );
    ensure!(kubevirt.happened() == ["stopped orders-vm", "started orders-vm"], "{:?}", kubevirt.happened());
    ensure!(run(&kubeconfig, &look).await?.code == Some(0));

    // Beyond the one Secret and the one VM, it may do nothing.
    space.put_tls("other-tls", "x", "y", None).await?;
    for (args, denied) in [
        (
            ["stale", "--secret", &format!("{}/other-tls", space.name), "--vm", "orders-vm", "--port", "1"],
            "secrets \"other-tls\" is forbidden",
        ),
        (
            ["stale", "--secret", &format!("{}/orders-tls", space.name), "--vm", "other-vm", "--port", "1"],
            "virtualmachineinstances.kubevirt.io \"other-vm\" is forbidden",
        ),
    ] {
        let done = run(&kubeconfig, &words(&args)).await?;
        ensure!(matches!(done.code, Some(2 | 3)) && done.said.contains(denied), "{}", done.said);
    }
    player.abort();
    Ok(())
}

/// The administrator's kubeconfig, and arguments for three VMs.
fn fleet(space: &Space, kubevirt: &KubeVirt) -> Result<(PathBuf, Vec<String>)> {
    let (secret, port) = (format!("{}/orders-tls", space.name), kubevirt.port.to_string());
    let args = [
        "stale",
        "--restart",
        "--secret",
        &secret,
        "--port",
        &port,
        "--wait",
        "20s",
        "--vm",
        "a",
        "--vm",
        "b",
        "--vm",
        "c",
    ];
    Ok((shared()?.control_plane.kubeconfig().to_owned(), words(&args)))
}

#[tokio::test(flavor = "multi_thread")]
async fn vms_are_restarted_one_at_a_time() -> Result<()> {
    let (space, _) = space_with_issuer("fleet").await?;
    issue(&space).await?;
    let kubevirt = Arc::new(KubeVirt::start(&space, &["a", "b", "c"], None).await?);
    let (kubeconfig, args) = fleet(&space, &kubevirt)?;
    renew(&space).await?;
    // One has been restarted already.
    kubevirt.serve("b", Some(server(&space).await?));
    let player = kubevirt.play();
    let done = run(&kubeconfig, &args).await?;
    ensure!(done.code == Some(0), "{}", done.said);
    ensure!(
        kubevirt.happened() == ["stopped a", "started a", "stopped c", "started c"],
        "{:?}\n{}",
        kubevirt.happened(),
        done.said
    );
    player.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_that_does_not_come_back_ends_it() -> Result<()> {
    let (space, _) = space_with_issuer("broken").await?;
    issue(&space).await?;
    let kubevirt = Arc::new(KubeVirt::start(&space, &["a", "b", "c"], Some("b")).await?);
    let (kubeconfig, mut args) = fleet(&space, &kubevirt)?;
    renew(&space).await?;
    let player = kubevirt.play();
    let started = Instant::now();
    let done = run(&kubeconfig, &args).await?;
    let why = "VM b did not come back with the new certificate within 20s; no other was restarted after it: it has no new instance; is its run strategy Always?";
    ensure!(done.code == Some(1) && done.said.contains(why), "{}", done.said);
    ensure!(started.elapsed() > Duration::from_secs(10), "it did not wait");
    ensure!(kubevirt.happened() == ["stopped a", "started a", "stopped b"], "{:?}", kubevirt.happened());

    // With one that is down, the others are left alone.
    args.retain(|word| word != "b");
    let done = run(
        &kubeconfig,
        &words(&["stale", "--secret", &args[3], "--port", &args[5], "--vm", "c", "--vm", "b", "--restart"]),
    )
    .await?;
    ensure!(done.code == Some(3) && done.said.contains("VM b has no instance: it does not run"), "{}", done.said);
    ensure!(kubevirt.happened().len() == 3, "{:?}", kubevirt.happened());
    player.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_verified_beside_the_secret_in_the_cluster() -> Result<()> {
    let (space, _) = space_with_issuer("verify").await?;
    issue(&space).await?;
    let kubevirt = KubeVirt::start(&space, &["orders-vm"], None).await?;
    let kubeconfig = shared()?.control_plane.kubeconfig();
    let (endpoint, secret) = (format!("127.0.0.2:{}", kubevirt.port), format!("{}/orders-tls", space.name));
    let args = words(&["verify", "--endpoint", &endpoint, "--secret", &secret, "--client-auth", "optional"]);
    let good = run(kubeconfig, &args).await?;
    ensure!(good.code == Some(0), "{}", good.said);
    ensure!(
        good.said.starts_with(&format!("{endpoint} (tls), as 127.0.0.2, beside the Secret {secret}: good\n")),
        "{}",
        good.said
    );
    renew(&space).await?;
    let stale = run(kubeconfig, &args).await?;
    ensure!(stale.code == Some(1) && stale.said.contains("  failed served "), "{}", stale.said);
    let missing =
        run(kubeconfig, &words(&["verify", "--endpoint", &endpoint, "--secret", &format!("{}/none", space.name)]))
            .await?;
    ensure!(missing.said == format!("tandem-vm: the Secret {}/none does not exist\n", space.name), "{}", missing.said);
    if missing.code != Some(2) {
        bail!("{:?}", missing.code);
    }
    Ok(())
}
