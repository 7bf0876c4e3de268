//! `tandem-issuer explain --from-cluster`, with the user's own rights.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::ByteString;
use kube::config::Kubeconfig;
use rcgen::{PKCS_ECDSA_P256_SHA256, date_time_ymd};
use serde_json::{Value, json};
use tandem_tests::{
    access,
    certificates::{ca_params, csr, root_ca_of},
    tools,
};

use crate::{
    environment::{make_issuer, shared, space_with_issuer},
    requests::{ask, ask_plainly, failed, issued, pending},
};

/// Explains a request; as `user`, where one is given, instead of the administrator.
fn explain(target: &str, user: Option<&str>) -> Result<Output> {
    let folder = tempfile::tempdir()?;
    let mut kubeconfig = serde_json::to_value(Kubeconfig::read_from(shared()?.control_plane.kubeconfig())?)?;
    if let Some(user) = user {
        for entry in kubeconfig["users"].as_array_mut().into_iter().flatten() {
            entry["user"]["as"] = user.into();
        }
    }
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string())?;
    let mut command = Command::new(tools::program("tandem-issuer")?);
    command.env_clear().args(["explain", "--from-cluster", target, "-o", "json", "--kubeconfig"]).arg(file);
    Ok(command.output()?)
}

/// The report on the one request, and the exit code.
fn report(target: &str) -> Result<(Value, Option<i32>)> {
    let done = explain(target, None)?;
    let report: Value =
        serde_json::from_slice(&done.stdout).with_context(|| String::from_utf8_lossy(&done.stderr).into_owned())?;
    Ok((report["requests"][0].clone(), done.status.code()))
}

/// Exit code 2, with this message.
fn unexplained(target: &str, user: Option<&str>) -> Result<String> {
    let done = explain(target, user)?;
    assert_eq!(done.status.code(), Some(2), "{}", String::from_utf8_lossy(&done.stdout));
    Ok(String::from_utf8(done.stderr)?)
}

#[tokio::test]
async fn a_request_in_the_cluster_is_explained() -> Result<()> {
    let (space, _) = space_with_issuer("explained").await?;
    ask_plainly(&space, "leaf").await?;
    issued(&space, "leaf").await?;
    let (of_leaf, code) = report(&format!("{}/leaf", space.name))?;
    assert_eq!((&of_leaf["verdict"], &of_leaf["finished"], code), (&json!("Signed"), &json!(true), Some(0)));
    assert_eq!(of_leaf["issuer"], format!("TandemIssuer {}/internal-ca", space.name));

    // A CA of a year: what is told is what the controller says.
    let mut params = ca_params("short");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(i32::from(Timestamp::now().to_zoned(TimeZone::UTC).year()) + 1, 1, 1);
    let short = root_ca_of(params, &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("short", &short.as_ref().pem(), &short.key().serialize_pem(), None).await?;
    make_issuer(&space, "short").await?;
    let reference = json!({"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "short"});
    ask(&space, "long", &csr(&["leaf.test"])?, json!({"duration": "20000h", "issuerRef": reference})).await?;
    let message = failed(&space, "long").await?;
    let (of_long, code) = report(&format!("{}/long", space.name))?;
    assert_eq!((&of_long["verdict"], code), (&json!("Refused"), Some(1)));
    let findings = of_long["findings"].as_array().context("no findings")?;
    let broken: Vec<_> = findings.iter().filter(|finding| finding["verdict"] == "Broken").collect();
    let [only] = broken.as_slice() else { bail!("not one: {broken:?}") };
    let until = |text: &str| text.split_once("after its CA at ").map(|(_, rest)| rest.to_owned());
    assert_eq!(until(only["message"].as_str().unwrap_or_default()), until(&message));

    // An issuer that is not there, and one whose Secret is not there.
    let reference =
        |name: &str| json!({"issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": name}});
    ask(&space, "unknown", &csr(&["leaf.test"])?, reference("unknown")).await?;
    make_issuer(&space, "without").await?;
    ask(&space, "without", &csr(&["leaf.test"])?, reference("without")).await?;
    for name in ["unknown", "without"] {
        pending(&space, name).await?;
        let (waiting, code) = report(&format!("{}/{name}", space.name))?;
        assert_eq!((&waiting["verdict"], code), (&json!("Waits"), Some(3)), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_of_kubernetes_is_explained() -> Result<()> {
    let (space, _) = space_with_issuer("explained-csr").await?;
    let name = format!("{}-leaf", space.name);
    let request = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {
            "request": ByteString(csr(&["leaf.test"])?.into_bytes()), "usages": ["server auth"],
            "signerName": format!("tandemissuers.pki.tandem.internal/{}.internal-ca", space.name),
        },
    });
    space.apply(&request.to_string()).await?;
    let (waiting, code) = report(&name)?;
    assert_eq!((&waiting["verdict"], code), (&json!("Waits"), Some(3)));
    assert_eq!(waiting["object"], format!("CertificateSigningRequest {name}"));
    assert_eq!(waiting["findings"][0]["saw"], "nobody has decided");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_is_named() -> Result<()> {
    let (space, _) = space_with_issuer("unread").await?;
    ask_plainly(&space, "leaf").await?;
    issued(&space, "leaf").await?;
    let target = format!("{}/leaf", space.name);
    let missing = format!("{}/none", space.name);
    assert_eq!(unexplained(&missing, None)?, format!("tandem-issuer: CertificateRequest {missing} does not exist\n"));
    let message = unexplained(&target, Some("jane"))?;
    assert!(message.starts_with(&format!("tandem-issuer: CertificateRequest {target} cannot be read: ")), "{message}");
    // May read the request and its issuer, but not the Secret.
    space
        .apply(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
- {apiGroups: [cert-manager.io], resources: [certificaterequests], verbs: [get]}
- {apiGroups: [pki.tandem.internal], resources: [tandemissuers], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: jane}]
",
        )
        .await?;
    let reads = json!({
        "namespace": space.name, "group": "cert-manager.io", "resource": "certificaterequests", "verb": "get",
    });
    access::wait(&space.cluster.client, "jane", &reads, true).await?;
    let message = unexplained(&target, Some("jane"))?;
    let secret = format!("tandem-issuer: the CA Secret {}/internal-ca cannot be read: ", space.name);
    assert!(message.starts_with(&secret) && message.contains("explain from files"), "{message}");
    // One that is for another issuer.
    let other = json!({"issuerRef": {"name": "internal-ca", "kind": "Issuer"}});
    ask(&space, "other", &csr(&["leaf.test"])?, other).await?;
    let message = unexplained(&format!("{}/other", space.name), None)?;
    assert!(message.contains("does not refer to a TandemIssuer or TandemClusterIssuer"), "{message}");
    // One that names us, but no kind of ours: nobody else says what is wrong.
    let wrong = json!({"issuerRef": {"group": "pki.tandem.internal", "name": "internal-ca", "kind": "ClusterIssuer"}});
    ask(&space, "wrong", &csr(&["leaf.test"])?, wrong).await?;
    let message = unexplained(&format!("{}/wrong", space.name), None)?;
    let hint =
        "issuerRef.kind is ClusterIssuer; pki.tandem.internal has the kinds TandemIssuer and TandemClusterIssuer";
    assert!(message.contains(hint), "{message}");
    Ok(())
}
