//! `make cluster`: a control plane for work by hand, until Ctrl-C. Where the chart is installed, its pods run: see
//! [`tandem_tests::kubelet`].

// To print is what it is for.
#![allow(clippy::print_stdout)]

use std::sync::Arc;

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
    println!(
        "export KUBECONFIG={} PATH={}:{}:$PATH\n\
         # cert-manager is there. For tandem-issuer's pods there is a node, which runs the program that is built here,\n\
         # whatever the image; each logs to {}/POD.log.\n\
         # Ctrl-C stops it",
        control_plane.kubeconfig().display(),
        control_plane_folder().display(),
        root().join("target/tools/bin").display(),
        control_plane.folder().display(),
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        ended = kubelet.ended() => ended?,
    }
    Ok(())
}
