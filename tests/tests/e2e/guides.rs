//! The guides for those who run the issuer: their commands as they stand, with the chart installed by the real Helm, and its
//! pods run by what plays the kubelet.

use std::{path::Path, process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tandem_tests::{
    ControlPlane, Space,
    certificates::OpenSsl,
    cluster::{CERTIFICATE, is_ready},
    kubelet::Kubelet,
    process::Process,
    tools::{self, root},
};

use crate::readme::{commands, run};

/// A command that cannot be run here, as its first words stand in a guide; it ends with its line, or those that continue it.
fn without(script: &str, start: &str) -> Result<String> {
    let (before, rest) = script.split_once(start).with_context(|| format!("no command starts with {start}"))?;
    let mut after = rest;
    loop {
        let (line, more) = after.split_once('\n').unwrap_or((after, ""));
        after = more;
        if !line.ends_with('\\') {
            return Ok(format!("{before}{after}"));
        }
    }
}

/// The commands of a guide in `docs`.
fn guide(name: &str) -> Result<String> {
    let text = std::fs::read_to_string(root().join("docs").join(name))?;
    Ok(commands(&text))
}

/// The commands, on a thread of their own; what plays the kubelet goes on meanwhile.
async fn follow(control_plane: &Arc<ControlPlane>, script: String) -> Result<()> {
    let control_plane = control_plane.clone();
    tokio::task::spawn_blocking(move || run(&script, &control_plane)).await?
}

/// Waits for an issuance after that of `revision`, and keeps what it gave in files that begin with `number`.
async fn keep(shop: &Space, folder: &Path, number: usize, revision: i64) -> Result<i64> {
    let of = |certificate: &DynamicObject| certificate.data.pointer("/status/revision").and_then(Value::as_i64);
    let newer = |certificate: &DynamicObject| of(certificate) > Some(revision) && is_ready(certificate, "True", "");
    let certificate = shop.wait(CERTIFICATE, "shop", newer).await?;
    for key in ["tls.crt", "ca.crt"] {
        std::fs::write(folder.join(format!("{number}.{key}")), shop.secret("shop-tls", key).await?)?;
    }
    of(&certificate).context("no revision")
}

/// From an empty cluster to a certificate, then the CA's replacement, a backup, and the end. cert-manager is there already,
/// no registry is, and no node that has logs.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_tutorial_and_of_operating_works() -> Result<()> {
    let arguments = ["--kube-controllers=deployment-controller,replicaset-controller"];
    let control_plane = Arc::new(tokio::task::spawn_blocking(move || ControlPlane::start_with(&arguments)).await??);
    let kubelet = Kubelet::start(control_plane.clone());

    let mut install = without(&guide("install.md")?, "helm install cert-manager")?;
    for elsewhere in ["make image", "skopeo copy"] {
        install = without(&install, elsewhere)?;
    }
    if let Err(error) = follow(&control_plane, install).await {
        return Err(error.context(kubelet.trouble().await));
    }

    let operate = without(&guide("operate.md")?, "kubectl logs")?;
    let shop = Space { cluster: control_plane.cluster().await?, name: "shop".to_owned() };
    let reader = control_plane.folder().join("reader");
    // After each renewal, wait for it as a reader is told to, and keep what clients have got.
    let functions = operate.find("root() {").zip(operate.find("# 1. "));
    let functions = functions.and_then(|(start, end)| operate.get(start..end)).context("no functions")?;
    let mut revision = keep(&shop, &reader, 1, 0).await?;
    let mut steps = operate.split("\nrenew\n").peekable();
    let mut issued = 1;
    while let Some(step) = steps.next() {
        let renew = if steps.peek().is_some() { "renew" } else { "" };
        follow(&control_plane, format!("{functions}\n{step}\n{renew}\n")).await?;
        if !renew.is_empty() {
            issued += 1;
            revision = keep(&shop, &reader, issued, revision).await?;
        }
    }
    ensure!(issued == 4, "{} renewals, not three", issued - 1);

    // Whoever has a Secret trusts the certificates of the one before and of the one after.
    let read = |name: String| std::fs::read_to_string(reader.join(&name)).with_context(|| name);
    let openssl = OpenSsl::new()?;
    for (trusting, serving) in [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3), (3, 4), (4, 3), (4, 4)] {
        let (chain, roots) = (read(format!("{serving}.tls.crt"))?, read(format!("{trusting}.ca.crt"))?);
        openssl.verify(&chain, &roots, &[]).with_context(|| format!("{trusting} does not trust {serving}"))?;
    }
    let (chain, roots) = (read("2.tls.crt".to_owned())?, read("4.ca.crt".to_owned())?);
    ensure!(openssl.verify(&chain, &roots, &[]).is_err(), "the old CA is still trusted at the end");

    // Uninstalled: what was issued, and what issued it, is still there.
    shop.secret("shop-tls", "tls.key").await?;
    let tandem = Space { cluster: shop.cluster.clone(), name: "tandem".to_owned() };
    tandem.secret("internal-ca-2", "tls.key").await?;
    let backup = read("issuers.yaml".to_owned())? + &read("ca.yaml".to_owned())?;
    ensure!(backup.contains("TandemClusterIssuer") && backup.contains("tls.key"), "the backup is not whole");
    Ok(())
}

/// `make cluster`: its first line is what a shell needs, the chart's pods run there, and Ctrl-C ends it and leaves nothing.
#[test]
fn a_cluster_for_work_by_hand_runs_what_the_chart_installs_until_it_is_interrupted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    tools::helm()?;
    let mut cluster = Process::start(
        Command::new(tools::program("cluster")?).env("TMPDIR", folder.path()),
        &folder.path().join("cluster.log"),
        None,
    )?;
    let exports = cluster.first_line()?;
    let install = "helm install tandem-issuer charts/tandem-issuer --namespace tandem --create-namespace \
                   --set firstIssuer.enabled=true --wait --timeout 5m
                   kubectl wait --for condition=Ready tandemclusterissuer/internal-ca --timeout 2m";
    let script = format!("{exports}\n{install}\n");
    tools::run(Command::new("sh").args(["-ec", &script]).current_dir(root())).with_context(|| cluster.log_tail())?;
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
