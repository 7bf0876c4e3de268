//! The guides for those who run the issuer: their commands as they stand, with the chart installed by the real Helm, and its
//! pods run by what plays the kubelet.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use rcgen::PKCS_ECDSA_P256_SHA256;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tandem_tests::{
    ControlPlane, Space,
    certificates::{OpenSsl, root_ca},
    cluster::{CERTIFICATE, is_ready},
    helm,
    kubelet::Kubelet,
    process::Process,
    tools::{self, root},
};

use crate::readme::{commands, run};

/// A command, whose first words are these, as it stands in a guide; it ends with its line, or those that continue it.
fn command<'a>(script: &'a str, start: &str) -> Result<&'a str> {
    let rest = script.find(start).and_then(|at| script.get(at..));
    let rest = rest.with_context(|| format!("no command starts with {start}"))?;
    let mut length = 0;
    for line in rest.split_inclusive('\n') {
        length += line.len();
        if !line.ends_with("\\\n") {
            break;
        }
    }
    rest.get(..length).context("it ends within a character")
}

/// A guide without a command that cannot be run here.
fn without(script: &str, start: &str) -> Result<String> {
    Ok(script.replacen(command(script, start)?, "", 1))
}

/// cert-manager's own chart, as the Go module has it of which the control plane's cert-manager is built. A release differs from
/// it by the version that is written into its Chart.yaml.
fn cert_managers_chart() -> Result<String> {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", "github.com/cert-manager/cert-manager"]);
    let module: Value = serde_json::from_str(&tools::output(go.current_dir(root().join("tests/control-plane")))?)?;
    Ok(format!("{}/deploy/charts/cert-manager", module["Dir"].as_str().context("no folder")?))
}

/// The commands of a guide in `docs` from one heading to another, or to its end.
fn guide(name: &str, from: &str, to: &str) -> Result<String> {
    let text = std::fs::read_to_string(root().join("docs").join(name))?;
    let (_, rest) = text.split_once(&format!("# {from}\n")).with_context(|| format!("{name} has no heading {from}"))?;
    let end = if to.is_empty() { rest.len() } else { rest.find(&format!("\n## {to}\n")).context(to.to_owned())? };
    Ok(commands(rest.get(..end).unwrap_or_default()))
}

/// The commands that the notes of an installation end with, which are indented.
pub(crate) fn next_steps(notes: &str) -> Result<String> {
    let (_, notes) = notes.split_once("NOTES:\n").context("no notes")?;
    let lines = notes.lines().filter_map(|line| line.strip_prefix("  "));
    let commands: Vec<_> = lines.filter(|line| !line.starts_with("issuerRef:")).collect();
    ensure!(commands.len() >= 2, "no commands in\n{notes}");
    Ok(commands.join("\n"))
}

/// The commands, on a thread of their own; what plays the kubelet goes on meanwhile.
pub(crate) async fn follow(control_plane: &Arc<ControlPlane>, script: String) -> Result<()> {
    let control_plane = control_plane.clone();
    tokio::task::spawn_blocking(move || run(&script, &control_plane)).await?
}

/// A control plane whose controllers make the chart's pods, and what runs them.
pub(crate) async fn with_pods() -> Result<(Arc<ControlPlane>, Kubelet)> {
    let arguments = ["--kube-controllers=deployment-controller,replicaset-controller"];
    let control_plane = Arc::new(tokio::task::spawn_blocking(move || ControlPlane::start_with(&arguments)).await??);
    let kubelet = Kubelet::start(control_plane.clone());
    Ok((control_plane, kubelet))
}

/// The tutorial's Certificate, and what each of its issuances gave.
struct Shop {
    space: Space,
    folder: PathBuf,
    revision: i64,
    issued: usize,
    openssl: OpenSsl,
}

impl Shop {
    /// From now on only what comes after the present issuance is a later one: cert-manager may have issued once more what it had
    /// issued just before.
    async fn count_from_now(&mut self) -> Result<()> {
        let certificate = self.space.wait_ready(CERTIFICATE, "shop").await?;
        self.revision = certificate.data["status"]["revision"].as_i64().context("no revision")?;
        Ok(())
    }

    /// Waits for an issuance after the last one, and keeps what it gave in files that begin with its number.
    async fn keep(&mut self) -> Result<usize> {
        let of = |certificate: &DynamicObject| certificate.data.pointer("/status/revision").and_then(Value::as_i64);
        let newer =
            |certificate: &DynamicObject| of(certificate) > Some(self.revision) && is_ready(certificate, "True", "");
        let certificate = self.space.wait(CERTIFICATE, "shop", newer).await?;
        self.revision = of(&certificate).context("no revision")?;
        self.issued += 1;
        for key in ["tls.crt", "ca.crt"] {
            std::fs::write(self.file(self.issued, key), self.space.secret("shop-tls", key).await?)?;
        }
        Ok(self.issued)
    }

    fn file(&self, number: usize, key: &str) -> PathBuf {
        self.folder.join(format!("{number}.{key}"))
    }

    /// Whether who has the Secret of one issuance trusts the certificate of another.
    fn trusts(&self, trusting: usize, serving: usize) -> Result<bool> {
        let chain = std::fs::read_to_string(self.file(serving, "tls.crt"))?;
        let roots = std::fs::read_to_string(self.file(trusting, "ca.crt"))?;
        Ok(self.openssl.verify(&chain, &roots, &[]).is_ok())
    }
}

/// A Certificate of an issuer that has the name of ours, and no more of it.
const BYSTANDER: &str = "
{apiVersion: cert-manager.io/v1, kind: Issuer, metadata: {name: internal-ca}, spec: {selfSigned: {}}}
---
{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: bystander},
 spec: {secretName: bystander, dnsNames: [bystander.test], issuerRef: {name: internal-ca}}}";

/// From an empty cluster to a certificate, then the CA's replacement, its loss and its return, and the end. cert-manager is
/// there already, no registry is, and no node that has logs or forwards ports.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_tutorial_and_of_operating_works() -> Result<()> {
    let (control_plane, kubelet) = with_pods().await?;
    let mut install = guide("install.md", "Install tandem-issuer", "For a team that owns namespaces")?;
    let modules = std::fs::read_to_string(root().join("tests/control-plane/go.mod"))?;
    let version = modules.lines().find_map(|line| line.trim().strip_prefix("github.com/cert-manager/cert-manager "));
    let version = version.context("no cert-manager")?;
    ensure!(install.contains(&format!("charts/cert-manager --version {version} ")), "tested with {version}");
    // There is no way to its registry here, and cert-manager is there already: so its chart comes from the module, nothing is made
    // of it, and what is there is no obstacle. Helm and the API server look at the command's arguments and values all the same.
    let first = command(&install, "helm install cert-manager")?;
    let tried = first.trim_end().replace("oci://quay.io/jetstack/charts/cert-manager", &cert_managers_chart()?);
    ensure!(tried != first.trim_end(), "cert-manager comes from elsewhere: {first}");
    follow(&control_plane, format!("{tried} --dry-run=server --take-ownership")).await?;
    for elsewhere in ["helm install cert-manager", "make image", "skopeo copy"] {
        install = without(&install, elsewhere)?;
    }
    if let Err(error) = follow(&control_plane, install).await {
        return Err(error.context(kubelet.trouble().await));
    }
    let cluster = control_plane.cluster().await?;
    let tandem = Space { cluster: cluster.clone(), name: "tandem".to_owned() };
    let space = Space { cluster, name: "shop".to_owned() };
    space.apply(BYSTANDER).await?;
    space.wait_ready(CERTIFICATE, "bystander").await?;
    let bystander = space.secret("bystander", "tls.crt").await?;
    let folder = control_plane.folder().to_owned();
    let mut shop = Shop { space, folder: folder.clone(), revision: 0, issued: 0, openssl: OpenSsl::new()? };
    shop.keep().await?;

    let mut look = guide("operate.md", "See what it does", "Replace the CA")?;
    for elsewhere in ["kubectl logs", "kubectl port-forward", "curl"] {
        look = without(&look, elsewhere)?;
    }
    follow(&control_plane, look).await?;

    let functions = replace_the_ca(&control_plane, &mut shop).await?;
    let gone = async || anyhow::Ok(tandem.api(CERTIFICATE)?.get_opt("internal-ca").await?.is_none());
    ensure!(gone().await?, "the old CA is there again");
    // Nor does an upgrade bring it back whose values still are those of the first day.
    let careless = "helm upgrade tandem-issuer charts/tandem-issuer --namespace tandem --set firstIssuer.enabled=true";
    follow(&control_plane, careless.to_owned()).await?;
    ensure!(gone().await?, "the old CA is there again");
    ensure!(shop.space.secret("bystander", "tls.crt").await? == bystander, "another issuer's certificate was renewed");

    // A reader has one shell, in which the folder stays.
    let backup = folder.join("backup");
    std::fs::create_dir(&backup)?;
    let kept = format!("backup={}\n", backup.display());
    let save = guide("operate.md", "Back up", "Restore")?.replace("\"$(mktemp -d)\"", &backup.display().to_string());
    follow(&control_plane, save).await?;
    let key = tandem.secret("internal-ca-2", "tls.key").await?;

    // All is lost, and a first issuer makes a CA that nobody knows.
    let loss = "kubectl delete tandemclusterissuer/internal-ca
                kubectl delete certificate/internal-ca-2 issuer.cert-manager.io/internal-ca-2-bootstrap -n tandem
                kubectl delete secret/internal-ca-2 --namespace tandem
                helm uninstall tandem-issuer --namespace tandem
                helm install tandem-issuer charts/tandem-issuer --namespace tandem --set firstIssuer.enabled=true --wait
                kubectl wait --for condition=Ready tandemclusterissuer/internal-ca --timeout 2m";
    shop.count_from_now().await?;
    follow(&control_plane, format!("{functions}\n{loss}\nrenew\n")).await?;
    let foreign = shop.keep().await?;
    ensure!(!shop.trusts(4, foreign)?, "nothing was lost");
    let restore = guide("operate.md", "Restore", "Upgrade")?;
    shop.count_from_now().await?;
    follow(&control_plane, format!("{kept}{restore}\n{functions}\nrenew\n")).await?;
    let restored = shop.keep().await?;
    ensure!(shop.trusts(4, restored)? && shop.trusts(restored, 4)?, "the CA that was lost does not sign");
    tandem.wait_ready(CERTIFICATE, "internal-ca-2").await?;
    ensure!(tandem.secret("internal-ca-2", "tls.key").await? == key, "the CA was issued anew");

    follow(&control_plane, guide("operate.md", "Upgrade", "Uninstall")?).await?;
    // Uninstalled: what was issued, and what issued it, is still there. Then nothing is.
    let end = guide("operate.md", "Uninstall", "Alerts")?;
    let (uninstall, remove) = end.split_once("kubectl delete crd").context("nothing is removed")?;
    follow(&control_plane, uninstall.to_owned()).await?;
    shop.space.secret("shop-tls", "tls.key").await?;
    tandem.secret("internal-ca-2", "tls.key").await?;
    follow(&control_plane, format!("kubectl delete crd{remove}")).await?;
    ensure!(tandem.secret("internal-ca-2", "tls.key").await.is_err(), "the CA is still there");
    Ok(())
}

/// Follows the replacement, and keeps what clients have got after each renewal, for which it waits as a reader is told to. The
/// functions of the guide.
async fn replace_the_ca(control_plane: &Arc<ControlPlane>, shop: &mut Shop) -> Result<String> {
    let work = shop.folder.join("work");
    std::fs::create_dir(&work)?;
    let guide = guide("operate.md", "Replace the CA", "Back up")?;
    let guide = guide.replace("\"$(mktemp -d)\"", &work.display().to_string());
    let functions = guide.find("umask 077").zip(guide.find("# 1. "));
    let functions = functions.and_then(|(start, end)| guide.get(start..end)).context("no functions")?.to_owned();
    let mut steps = guide.split("\nrenew\n").peekable();
    while let Some(step) = steps.next() {
        let renew = if steps.peek().is_some() { "renew" } else { "" };
        shop.count_from_now().await?;
        follow(control_plane, format!("{functions}\n{step}\n{renew}\n")).await?;
        if !renew.is_empty() {
            let left = match shop.keep().await? {
                2 => "shop/shop",
                _ => "",
            };
            let look = format!("{functions}\ntest \"$(signed_by \"$work/old.crt\")\" = '{left}'\n");
            follow(control_plane, look).await.context("what is of the old CA")?;
        }
    }
    ensure!(shop.issued == 4, "{} renewals, not three", shop.issued - 1);
    // Whoever has a Secret trusts the certificates of the one before and of the one after.
    for (trusting, serving) in [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3), (3, 4), (4, 3), (4, 4)] {
        ensure!(shop.trusts(trusting, serving)?, "{trusting} does not trust {serving}");
    }
    ensure!(!shop.trusts(4, 2)?, "the old CA is still trusted at the end");
    Ok(functions)
}

/// As who is admin of two namespaces and nothing else, once somebody has made what is the cluster's. Whoever may view or edit
/// such a namespace may do so with its issuers.
#[tokio::test(flavor = "multi_thread")]
async fn a_team_installs_it_in_its_namespaces_without_a_right_over_the_cluster() -> Result<()> {
    let (control_plane, kubelet) = with_pods().await?;
    let cluster = control_plane.cluster().await?;
    for (namespace, user, may) in [
        ("team", "team", "admin"),
        ("team-shop", "team", "admin"),
        ("team-shop", "eve", "edit"),
        ("team-shop", "vic", "view"),
    ] {
        let role = "apiGroup: rbac.authorization.k8s.io";
        let objects = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}\n---\n\
             {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {user}, namespace: {namespace}}},\n\
              roleRef: {{{role}, kind: ClusterRole, name: {may}}}, subjects: [{{{role}, kind: User, name: {user}}}]}}"
        );
        cluster.apply(&objects, "").await?;
    }
    let guide = guide("install.md", "For a team that owns namespaces", "")?;
    let (once, team) = guide.split_once("helm install").context("the team installs nothing")?;
    follow(&control_plane, once.to_owned()).await?;
    let as_team = format!("helm install --kube-as-user team --kube-as-group system:authenticated{team}");
    if let Err(error) = follow(&control_plane, as_team).await {
        return Err(error.context(kubelet.trouble().await));
    }

    let shop = Space { cluster, name: "team-shop".to_owned() };
    let ca = root_ca("CA", &PKCS_ECDSA_P256_SHA256)?;
    shop.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    // What the installation says comes next.
    let notes = tools::output(helm::on(&control_plane)?.args(["get", "notes", helm::RELEASE, "--namespace", "team"]))?;
    follow(&control_plane, next_steps(&notes)?.replace("kubectl ", "kubectl --as team ")).await?;
    let others = "may_not() { test \"$(kubectl auth can-i $2 --as $1 --namespace team-shop)\" = no; }
        kubectl get tandemissuer/internal-ca --as vic --namespace team-shop
        kubectl label tandemissuer/internal-ca seen-by=eve --as eve --namespace team-shop
        may_not vic 'patch tandemissuers'
        may_not eve 'patch tandemissuers --subresource=status'
        may_not mallory 'get tandemissuers'";
    follow(&control_plane, others.to_owned()).await?;
    let reference = serde_json::json!({"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "internal-ca"});
    let certificate = serde_json::json!({
        "apiVersion": CERTIFICATE.0, "kind": CERTIFICATE.1, "metadata": {"name": "leaf"},
        "spec": {"secretName": "leaf", "dnsNames": ["leaf.test"], "issuerRef": reference},
    });
    shop.apply(&certificate.to_string()).await?;
    shop.wait_ready(CERTIFICATE, "leaf").await.map(|_| ())
}

/// A pod whose process has its kubeconfig beneath `folder`, and that process.
fn process_of_a_pod(folder: &Path) -> Result<(String, Pid)> {
    let find = |entry: std::fs::DirEntry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let command = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let kubeconfig =
            command.split('\0').find(|part| part.ends_with(".kubeconfig") && Path::new(part).starts_with(folder))?;
        Some((Path::new(kubeconfig).file_stem()?.to_str()?.to_owned(), pid))
    };
    std::fs::read_dir("/proc")?.flatten().find_map(find).context("no pod runs")
}

/// `make cluster`: its first line is what a shell needs, the chart's pods run there, and Ctrl-C ends it and leaves nothing.
#[test]
fn a_cluster_for_work_by_hand_runs_what_the_chart_installs_until_it_is_interrupted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    tools::helm()?;
    let mut cluster = Process::start(
        Command::new(tools::program("cluster")?).env("TMPDIR", folder.path()).env("RUST_BACKTRACE", "0"),
        &folder.path().join("cluster.log"),
        None,
    )?;
    let exports = cluster.first_line()?;
    let install = "helm install tandem-issuer charts/tandem-issuer --namespace tandem --create-namespace \
                   --set firstIssuer.enabled=true --wait --timeout 5m
                   kubectl wait --for condition=Ready tandemclusterissuer/internal-ca --timeout 2m";
    let script = format!("{exports}\n{install}\n");
    tools::run(Command::new("sh").args(["-ec", &script]).current_dir(root())).with_context(|| cluster.log_tail())?;
    // What is killed is started again, as on a node.
    let (pod, issuer) = process_of_a_pod(folder.path())?;
    kill_process(issuer, Signal::KILL)?;
    let again = format!(
        "kubectl wait --namespace tandem pod/{pod} --for jsonpath='{{.status.containerStatuses[0].restartCount}}'=1 --timeout 2m
         kubectl wait --namespace tandem pod/{pod} --for condition=Ready --timeout 2m"
    );
    tools::run(Command::new("sh").args(["-ec", &format!("{exports}\n{again}\n")]).current_dir(root()))?;
    let process = i32::try_from(cluster.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    kill_process(process, Signal::INT)?;
    ensure!(cluster.wait()?.success(), "{}", cluster.log_tail());
    let left: Vec<_> = std::fs::read_dir(folder.path())?.flatten().map(|entry| entry.file_name()).collect();
    ensure!(left == ["cluster.log"], "{left:?} is left");
    Ok(())
}

/// Each alert of the chart is explained, and none that is gone.
#[test]
fn every_alert_is_explained() -> Result<()> {
    let rules = std::fs::read_to_string(root().join("charts/tandem-issuer/templates/prometheusrule.yaml"))?;
    let mut alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let text = std::fs::read_to_string(root().join("docs/operate.md"))?;
    let (_, table) = text.split_once("\n## Alerts\n").context("no alerts")?;
    let rows = table.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    let mut explained: Vec<_> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    alerts.sort_unstable();
    explained.sort_unstable();
    ensure!(!alerts.is_empty(), "no alerts in the chart");
    ensure!(alerts == explained, "the chart has the alerts\n{alerts:?}\nand docs/operate.md explains\n{explained:?}");
    Ok(())
}
