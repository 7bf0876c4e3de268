//! `make demo`: the main job on an embedded control plane, step by step, each step checked.

// To print is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use rcgen::PKCS_ECDSA_P256_SHA256;
use rustls::pki_types::CertificateDer;
use tandem_tests::{
    ControlPlane, IssuerProcess,
    certificates::root_ca,
    cluster::{CERTIFICATE, CLUSTER_ISSUER, is_ready},
    issuer,
    sharing::{
        disk,
        guest::Guest,
        mongod::Mongod,
        pod::{Pod, connect_without_tls},
        rendered,
    },
    tools::{self, root},
};
use tokio::signal::unix::{SignalKind, signal};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

const EXAMPLE: &str = "examples/mongodb-vm/databasevm.yaml";
const NAMESPACE: &str = "kubevirt-networking-poc";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // On a task of its own, so that a signal is heard while it works.
        let mut demo = tokio::spawn(demonstrate());
        tokio::select! {
            done = &mut demo => return done?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // What it started is stopped when it is dropped, before this ends.
        demo.abort();
        let _ = demo.await;
        bail!("interrupted; nothing is left running")
    })
}

/// Says what is being done, and afterwards how long it took.
struct Account {
    began: Instant,
    step: u32,
}

impl Account {
    fn step(&mut self, what: &str) {
        self.step += 1;
        println!("\n{}. {what}  [{:.1} s]", self.step, self.began.elapsed().as_secs_f64());
    }
}

fn say(line: impl AsRef<str>) {
    println!("   {}", line.as_ref());
}

async fn demonstrate() -> Result<()> {
    let mut account = Account { began: Instant::now(), step: 0 };

    account.step("A Kubernetes API server and cert-manager, in one process");
    let control_plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    let cluster = control_plane.cluster().await?;
    let version = cluster.client.apiserver_version().await?;
    say(format!("Kubernetes {} on loopback, with cert-manager's controllers and webhook", version.git_version));

    account.step("tandem-issuer, as a process of its own with the rights that are shipped");
    issuer::install(&cluster).await?;
    let issuer = IssuerProcess::of(&control_plane).start().await?;
    let ca = root_ca("Internal CA of the demo", &PKCS_ECDSA_P256_SHA256)?;
    let home = tandem_tests::Space { cluster: cluster.clone(), name: issuer::NAMESPACE.to_owned() };
    home.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    cluster
        .apply(
            "{apiVersion: pki.tandem.internal/v1alpha1, kind: TandemClusterIssuer, metadata: {name: internal-ca},
              spec: {ca: {secretName: internal-ca}}}",
            "",
        )
        .await?;
    cluster.wait(CLUSTER_ISSUER, "", "internal-ca", |object| is_ready(object, "True", "")).await?;
    say("TandemClusterIssuer internal-ca is Ready");

    account.step(&format!("tandem-vm render {EXAMPLE} | kubectl apply -f -"));
    let rendered = render()?;
    cluster.apply_crds(&root().join("tests/data/kubevirt-crd.yaml")).await?;
    cluster.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}"), "").await?;
    let objects = cluster.apply(&rendered, NAMESPACE).await?;
    for object in &objects {
        let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
        say(format!("{kind} {}", object.metadata.name.as_deref().unwrap_or_default()));
    }
    say("(the VirtualMachine is kept as an object; KubeVirt itself does not run here)");

    account.step("cert-manager asks, tandem-issuer signs");
    cluster.wait(CERTIFICATE, NAMESPACE, "mongodb-cert", |object| is_ready(object, "True", "")).await?;
    let secrets = rendered::secrets(&cluster, NAMESPACE).await?;
    let shared = secrets.get("mongodb-cert-tls").context("the Certificate's Secret is not there")?;
    say(format!("Certificate mongodb-cert is Ready; Secret mongodb-cert-tls: {}", list(shared.keys())));

    account.step("The VM: this very Secret on a disk, found by its serial");
    let vm = rendered::find(&objects, "VirtualMachine")?;
    let serial = rendered::serial(vm)?;
    say(format!("disk with serial {serial}: the guest looks for /dev/disk/by-id/virtio-{serial}"));
    let folder = control_plane.folder();
    let user_data = rendered::user_data(vm, &secrets)?;
    if !user_data.contains(&format!("/dev/disk/by-id/virtio-{serial}'")) {
        bail!("the user data looks for another disk");
    }
    let unpacked = folder.join("disk");
    disk::lay_out(shared, &folder.join("mounted"))?;
    disk::make_iso(&folder.join("mounted"), &folder.join("secret.iso"))?;
    disk::unpack(&folder.join("secret.iso"), &unpacked)?;
    say("the Secret went onto an ISO as KubeVirt makes it, and off it again");
    std::fs::create_dir(folder.join("guest"))?;
    let guest = Guest::new(&user_data, &folder.join("guest"))?;
    let told = guest.install_certificate(&unpacked)?;
    let told = told.replace(&format!("{}", folder.join("guest").display()), "");
    told.replace(&format!("{}", unpacked.display()), "the disk").lines().for_each(say);

    account.step("Trust: a TLS server configured as the VM would be, a client configured as the pod would be");
    let server = Mongod::start(&guest)?;
    let pod = Pod::new(&rendered::deployment(&objects)?, &secrets, &folder.join("pod"))?;
    say(format!("the pod sees {}", pod.files()?.join(", ")));
    let chain = pod.connect(server.address()).context("the pod does not trust the VM")?;
    say(format!("connected to {} with hostname verification; the server showed:", pod.variable("MONGODB_HOST")?));
    print_chain(&chain)?;

    let stranger = root_ca("A stranger", &PKCS_ECDSA_P256_SHA256)?;
    let strange = folder.join("stranger.crt");
    std::fs::write(&strange, stranger.as_ref().pem())?;
    let host = pod.variable("MONGODB_HOST")?;
    refused("a client that trusts another CA", pod.connect_as(server.address(), host, Some(&strange)))?;
    refused("a client that dials another name", pod.connect_as(server.address(), "db.example.com", None))?;
    refused("a client without TLS", connect_without_tls(server.address()))?;

    account.step("Done: one Certificate, one Secret, both sides trust each other");
    say(format!("the issuer holds {:.1} MB of memory", issuer_megabytes(&issuer)?));
    println!("\nNext: make cluster   leaves such a control plane running for kubectl");
    println!("      {EXAMPLE}   is what was rendered: make it yours");
    println!("      README.md   says how to install the issuer into a real cluster");
    Ok(())
}

fn render() -> Result<String> {
    let mut command = Command::new(tools::program("tandem-vm")?);
    tools::output(command.arg("render").arg(root().join(EXAMPLE)))
}

fn print_chain(chain: &[CertificateDer<'_>]) -> Result<()> {
    for certificate in chain {
        let (_, parsed) = X509Certificate::from_der(certificate)?;
        say(format!("  {}", parsed.subject()));
        if let Some(names) = parsed.subject_alternative_name()? {
            let names = names.value.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(*name),
                _ => None,
            });
            say(format!("    names: {}", names.collect::<Vec<_>>().join(", ")));
        }
        say(format!("    issued by {}, until {}", parsed.issuer(), parsed.validity().not_after));
    }
    Ok(())
}

fn refused<T>(who: &str, outcome: Result<T>) -> Result<()> {
    match outcome {
        Ok(_) => bail!("{who} was let in"),
        Err(error) => {
            let why = error.root_cause().to_string();
            say(format!("refused: {who} ({})", why.split(';').next().unwrap_or_default()));
            Ok(())
        }
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn issuer_megabytes(issuer: &IssuerProcess) -> Result<f64> {
    let bytes = u32::try_from(issuer.resident_memory()? / 1024).unwrap_or(u32::MAX);
    Ok(f64::from(bytes) / 1024.0)
}
