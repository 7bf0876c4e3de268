//! `tandem-vm stale` and `verify` in a cluster: Secrets from cert-manager, VMs that are restarted one at a time, with the
//! rights of the Role that is rendered.

mod kubevirt;
mod told;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tandem_tests::{
    Space,
    cluster::{CERTIFICATE, PATIENCE},
    issuer::write_kubeconfig,
    tools,
};
use tempfile::TempDir;

use self::kubevirt::{KubeVirt, server};
use crate::environment::{shared, space_with_issuer};

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
    settled(space).await
}

/// Waits until its Secret is that which it stays.
async fn settled(space: &Space) -> Result<()> {
    space.wait_ready(CERTIFICATE, "orders").await?;
    space.secrets_are_known().await?;
    space.wait_ready(CERTIFICATE, "orders").await.map(|_| ())
}

/// Renews it by hand.
async fn renew(space: &Space) -> Result<()> {
    let before = space.secret("orders-tls", "tls.crt").await?;
    space.renew("orders").await?;
    settled(space).await?;
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
    ensure!(missing.code == Some(2), "{:?}", missing.code);
    Ok(())
}
