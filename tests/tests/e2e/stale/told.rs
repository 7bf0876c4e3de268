//! The example of `stale --help` as it stands, and what is said of VMs that are not restarted.

use std::{process::Command, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tandem_tests::{Space, cluster::PATIENCE, issuer::write_kubeconfig, tools};
use tempfile::TempDir;

use super::{
    issue,
    kubevirt::{INSTANCE, KubeVirt},
    renew, run, words,
};
use crate::environment::{shared, space_with_issuer};

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_help_restarts_a_replica_set() -> Result<()> {
    let help = tools::output(Command::new(tools::program("tandem-vm")?).args(["stale", "--help"]))?;
    let (_, example) = help.split_once("\n  tandem-vm stale --restart ").context("the example is gone")?;
    let (example, _) = example.split_once("\n\n").context("the example has no end")?;
    let example = example.replace("\\\n", " ");
    let vms: Vec<_> = example.split("--vm ").skip(1).map(str::trim).collect();
    ensure!(vms.len() == 3, "{example}");

    let (space, _) = space_with_issuer("help").await?;
    issue(&space).await?;
    let kubevirt = Arc::new(KubeVirt::start(&space, &vms, None).await?);
    renew(&space).await?;
    let player = kubevirt.play();
    let example = example.replace("shop/mongodb-cert-tls", &format!("{}/orders-tls", space.name));
    ensure!(example.contains(&space.name), "{example}");
    // A port that was free, and less patience: what is played here speaks TLS, and nothing in it.
    let port = kubevirt.port.to_string();
    let more = ["--port", &port, "--timeout", "4s"];
    let args: Vec<_> = ["stale", "--restart"].into_iter().chain(example.split_whitespace()).chain(more).collect();
    let done = run(shared()?.control_plane.kubeconfig(), &words(&args)).await?;
    ensure!(done.code == Some(0), "{}", done.said);
    let expected: Vec<_> = vms.iter().flat_map(|vm| [format!("stopped {vm}"), format!("started {vm}")]).collect();
    ensure!(kubevirt.happened() == expected, "{:?}\n{}", kubevirt.happened(), done.said);
    player.abort();
    Ok(())
}

/// Who may look at the Secret and the VM, and not restart it.
const ONLOOKER: &str = "
{apiVersion: v1, kind: ServiceAccount, metadata: {name: onlooker}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: onlooker}
rules:
- {apiGroups: [''], resources: [secrets], verbs: [get]}
- {apiGroups: [kubevirt.io], resources: [virtualmachineinstances], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: onlooker}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: onlooker}
subjects: [{kind: ServiceAccount, name: onlooker}]
";

async fn change(space: &Space, change: Value) -> Result<()> {
    space.api(INSTANCE)?.patch("orders-vm", &PatchParams::default(), &Patch::Merge(change)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_vm_is_not_restarted_is_said() -> Result<()> {
    let (space, _) = space_with_issuer("kept").await?;
    issue(&space).await?;
    let kubevirt = KubeVirt::start(&space, &["orders-vm"], None).await?;
    renew(&space).await?;
    let (secret, port) = (format!("{}/orders-tls", space.name), kubevirt.port.to_string());
    let look = ["stale", "--secret", &secret, "--vm", "orders-vm", "--port", &port];
    let restart = words(&[&look[..], &["--restart", "--wait", "1s"]].concat());

    space.apply(ONLOOKER).await?;
    let folder = TempDir::new()?;
    let onlooker = folder.path().join("kubeconfig");
    write_kubeconfig(&shared()?.control_plane, (&space.name, "onlooker"), None, &onlooker).await?;
    let begun = Instant::now();
    let denied = loop {
        let done = run(&onlooker, &restart).await?;
        // A right that was just given may take a moment.
        if done.code == Some(1) || begun.elapsed() > PATIENCE {
            break done;
        }
    };
    let why = "VM orders-vm was not restarted: VirtualMachineInstance orders-vm cannot be deleted: \
               virtualmachineinstances.kubevirt.io \"orders-vm\" is forbidden: ";
    ensure!(denied.code == Some(1) && denied.said.contains(why), "{}", denied.said);

    let kubeconfig = shared()?.control_plane.kubeconfig();
    change(&space, json!({"metadata": {"finalizers": ["tandem.test/kept"]}})).await?;
    let kept = run(kubeconfig, &restart).await?;
    let why = "VM orders-vm did not come back with the new certificate within 1s; no other was restarted after it: \
               its old instance is still stopping\n";
    ensure!(kept.code == Some(1) && kept.said.ends_with(why), "{}", kept.said);

    for status in [json!({"phase": "Scheduling"}), json!({"phase": "Running", "interfaces": null})] {
        change(&space, json!({ "status": status })).await?;
        let unknown = run(kubeconfig, &words(&look)).await?;
        let why = "tandem-vm: VM orders-vm is not running, or has no address yet\n";
        ensure!(unknown.code == Some(3) && unknown.said == why, "{}", unknown.said);
    }
    change(&space, json!({"metadata": {"finalizers": null}})).await
}
