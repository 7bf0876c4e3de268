//! `make measure`: how soon the issuer has signed after its start, and how much memory it holds then.

// To print is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::time::Instant;

use anyhow::Result;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::json;
use tandem_tests::{
    ControlPlane, IssuerProcess, Space,
    certificates::root_ca,
    cluster::{CERTIFICATE, CERTIFICATE_REQUEST, CLUSTER_ISSUER, condition, is_ready},
    issuer,
    tools::{program, target},
};

/// Rounds of starting it anew.
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<()> {
    let control_plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    let cluster = control_plane.cluster().await?;
    issuer::install(&cluster).await?;
    let home = Space { cluster: cluster.clone(), name: issuer::NAMESPACE.to_owned() };
    let ca = root_ca("Measured", &PKCS_ECDSA_P256_SHA256)?;
    home.put_tls("measured", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    let tandem_issuer = json!({
        "apiVersion": CLUSTER_ISSUER.0, "kind": CLUSTER_ISSUER.1, "metadata": {"name": "measured"},
        "spec": {"ca": {"secretName": "measured"}},
    });
    home.apply(&tandem_issuer.to_string()).await?;
    program("tandem-issuer")?;

    let (mut seconds, mut megabytes) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let space = cluster.space("measure").await?;
        let certificate = json!({
            "apiVersion": CERTIFICATE.0, "kind": CERTIFICATE.1, "metadata": {"name": "leaf"},
            "spec": {
                "secretName": "leaf", "dnsNames": ["leaf.test"], "privateKey": {"algorithm": "ECDSA"},
                "issuerRef": {"group": "pki.tandem.internal", "kind": "TandemClusterIssuer", "name": "measured"},
            },
        });
        // CA, issuer and an approved request are there before it starts.
        space.apply(&certificate.to_string()).await?;
        let approved = |object: &_| condition(object, "Approved").is_some_and(|(status, _, _)| status == "True");
        space.wait(CERTIFICATE_REQUEST, "leaf-1", approved).await?;
        let began = Instant::now();
        let issuer = IssuerProcess::of(&control_plane).start().await?;
        space.wait(CERTIFICATE_REQUEST, "leaf-1", |object| is_ready(object, "True", "Issued")).await?;
        let took = began.elapsed().as_secs_f64();
        space.wait_ready(CERTIFICATE, "leaf").await?;
        let memory = f64::from(u32::try_from(issuer.resident_memory()? / 1024)?) / 1024.0;
        println!("round {}: first certificate {took:.3} s after the start, then {memory:.1} MB resident", round + 1);
        seconds.push(took);
        megabytes.push(memory);
    }
    let report = json!({"secondsToFirstCertificate": seconds, "residentMegabytes": megabytes});
    let folder = target().join("measure");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("issuer.json"), report.to_string())?;
    println!("{report}");
    Ok(())
}
