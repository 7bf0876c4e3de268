//! `make cluster`: a control plane for work by hand, until Ctrl-C. Where the chart is installed, its pods run: see
//! [`tandem_tests::kubelet`].

use std::{
    io::{Write, stdout},
    sync::Arc,
};

use anyhow::Result;
use tandem_tests::{
    ControlPlane,
    kubelet::Kubelet,
    tools::{control_plane_folder, program, root},
};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    program("tandem-issuer")?;
    let arguments = ["--kube-controllers=deployment-controller,replicaset-controller"];
    let control_plane = Arc::new(tokio::task::spawn_blocking(move || ControlPlane::start_with(&arguments)).await??);
    let kubelet = Kubelet::start(control_plane.clone());
    let told = format!(
        "export KUBECONFIG={} PATH={}:{}:$PATH\n\
         # cert-manager is there. There is no node: `kubectl get nodes` lists none, `kubectl logs` and `exec` have nobody to ask.\n\
         # tandem-issuer's pods run all the same, each as a process here: the program that is built here, whatever the image.\n\
         # It is started again when it ends, reads its volumes once, and logs to {}/POD.log. A Lease's holder has this machine's name.\n\
         # Ctrl-C stops it\n",
        control_plane.kubeconfig().display(),
        control_plane_folder().display(),
        root().join("target/tools/bin").display(),
        control_plane.folder().display(),
    );
    // Whoever wanted the first line alone may have closed it after that.
    let _ = stdout().write_all(told.as_bytes());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        ended = kubelet.ended() => ended?,
    }
    Ok(())
}
