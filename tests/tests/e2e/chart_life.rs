//! The chart in a cluster, by the real helm: installed, upgraded, rolled back, uninstalled; and its pods as admission sees
//! them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::{Value, json};
use tandem_tests::{
    Cluster, ControlPlane, IssuerProcess, Space,
    admin::Admin,
    certificates::{root_ca, server},
    cluster::{CERTIFICATE, CLUSTER_ISSUER, condition, is_ready},
    helm::{self, RELEASE, chart},
    issuer::NAMESPACE,
    telemetry::Collector,
    tools,
};

use crate::{
    guides::{follow, next_steps, with_pods},
    leadership::replicas::until,
};

const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");
const SECRET: (&str, &str) = ("v1", "Secret");
const CRD: (&str, &str) = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");

/// A chart as an earlier version may have been: another version, one field fewer in the CRDs, one object more.
fn earlier_chart(folder: &Path) -> Result<PathBuf> {
    let earlier = folder.join("earlier");
    tools::run(std::process::Command::new("cp").arg("-r").arg(chart()).arg(&earlier))?;
    let edit = |file: &str, edit: &dyn Fn(String) -> String| -> Result<()> {
        let before = std::fs::read_to_string(earlier.join(file))?;
        let after = edit(before.clone());
        ensure!(before != after, "{file} is no longer what it was");
        Ok(std::fs::write(earlier.join(file), after)?)
    };
    edit("Chart.yaml", &|text| text.replace(concat!("version: ", env!("CARGO_PKG_VERSION")), "version: 0.0.9"))?;
    edit("values.yaml", &|text| text.replace("replicaCount: 2", "replicaCount: 1"))?;
    edit("files/crds.yaml", &|text| {
        let documents = text.split("---\n").filter(|document| !document.trim().is_empty()).map(|document| {
            let mut crd: Value = serde_yaml::from_str(document).unwrap_or_default();
            let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
            schema["properties"].as_object_mut().and_then(|fields| fields.remove("refusedKeys"));
            format!("---\n{}", serde_yaml::to_string(&crd).unwrap_or_default())
        });
        documents.collect()
    })?;
    let gone = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone, namespace: '{{ .Release.Namespace }}'}\n";
    std::fs::write(earlier.join("templates/gone.yaml"), gone)?;
    Ok(earlier)
}

struct Life {
    control_plane: ControlPlane,
    cluster: Cluster,
    home: Space,
    shop: Space,
}

impl Life {
    fn helm(&self, arguments: &[&str]) -> Result<String> {
        tools::output(helm::on(&self.control_plane)?.args(arguments).args(["--namespace", NAMESPACE]))
    }

    /// Has cert-manager make a certificate by the first issuer; the Secret's version.
    async fn certificate(&self, name: &str) -> Result<String> {
        let certificate = json!({
            "apiVersion": CERTIFICATE.0, "kind": CERTIFICATE.1, "metadata": {"name": name},
            "spec": {"secretName": name, "dnsNames": ["leaf.test"],
                     "issuerRef": {"group": "pki.tandem.internal", "kind": CLUSTER_ISSUER.1, "name": "internal-ca"}},
        });
        self.shop.apply(&certificate.to_string()).await?;
        self.shop.wait_ready(CERTIFICATE, name).await?;
        // cert-manager may issue a new Certificate twice, where it has not yet seen the Secret it wrote.
        self.shop.wait(CERTIFICATE, name, |c| condition(c, "Issuing").is_none_or(|(s, _, _)| s != "True")).await?;
        self.version(&self.shop, SECRET, name).await
    }

    /// What an object is and how often it has changed.
    async fn version(&self, space: &Space, kind: (&str, &str), name: &str) -> Result<String> {
        let metadata = space.api(kind)?.get(name).await.with_context(|| format!("{} {name}", kind.1))?.metadata;
        Ok(format!("{:?} {:?}", metadata.uid, metadata.resource_version))
    }

    /// Which object it is, however often it has changed.
    async fn identity(&self, space: &Space, kind: (&str, &str), name: &str) -> Result<Option<String>> {
        Ok(space.api(kind)?.get_opt(name).await?.and_then(|object| object.metadata.uid))
    }

    /// A process in place of the Deployment's pods, with their arguments.
    async fn pods(&self, name: &str, arguments: &[String]) -> Result<IssuerProcess> {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        IssuerProcess::of(&self.control_plane).named(name).exactly(&arguments).start().await
    }

    async fn knows_refused_keys(&self) -> Result<bool> {
        let crd = self.home.api(CRD)?.get("tandemclusterissuers.pki.tandem.internal").await?;
        let fields = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        Ok(crd.data.pointer(fields).context("no schema")?.get("refusedKeys").is_some())
    }

    async fn replicas(&self) -> Result<i64> {
        let deployment = self.home.api(DEPLOYMENT)?.get(RELEASE).await?;
        deployment.data["spec"]["replicas"].as_i64().context("no replicas")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_outlive_upgrade_rollback_and_uninstallation() -> Result<()> {
    let control_plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    let cluster = control_plane.cluster().await?;
    let space = |name: &str| Space { cluster: cluster.clone(), name: name.to_owned() };
    let life =
        Life { home: space(NAMESPACE), shop: cluster.space("shop").await?, cluster: cluster.clone(), control_plane };
    let earlier = earlier_chart(life.control_plane.folder())?;
    let (earlier, chart) = (earlier.display().to_string(), chart().display().to_string());

    // Installed, with a first issuer: all that is needed in one command.
    let notes = life.helm(&["install", RELEASE, &earlier, "--create-namespace", "--set=firstIssuer.enabled=true"])?;
    ensure!(notes.contains("kubectl wait --for condition=Ready tandemclusterissuer/internal-ca"), "{notes}");
    ensure!(!notes.contains("cert-manager is not in this cluster"), "{notes}");
    let mut pods = IssuerProcess::of(&life.control_plane).start().await?;
    let issuer = life.cluster.wait(CLUSTER_ISSUER, "", "internal-ca", |o| is_ready(o, "True", "")).await?;
    let before = life.certificate("before").await?;
    // cert-manager may have issued the CA's Certificate once more before it knew its Secret.
    life.home.wait_ready(CERTIFICATE, "internal-ca").await?;
    let (ca, request) = (
        life.version(&life.home, SECRET, "internal-ca").await?,
        life.identity(&life.home, CERTIFICATE, "internal-ca").await?,
    );
    ensure!(!life.knows_refused_keys().await? && life.replicas().await? == 1, "it is not the earlier chart");

    // Upgraded: what the new chart says holds, and nothing was issued anew.
    life.helm(&["upgrade", RELEASE, &chart, "--set=firstIssuer.enabled=true"])?;
    ensure!(life.knows_refused_keys().await? && life.replicas().await? == 2, "the earlier chart is still there");
    ensure!(life.identity(&life.home, ("v1", "ConfigMap"), "gone").await?.is_none(), "what the chart no longer has");
    let upgraded = life.certificate("upgraded").await?;

    // And back.
    life.helm(&["rollback", RELEASE, "1"])?;
    ensure!(!life.knows_refused_keys().await? && life.replicas().await? == 1, "it was not rolled back");
    life.certificate("rolled-back").await?;
    life.helm(&["upgrade", RELEASE, &chart, "--set=firstIssuer.enabled=true"])?;

    // Uninstalled: all is gone but what certificates need.
    let manifest = life.helm(&["get", "manifest", RELEASE])?;
    life.helm(&["uninstall", RELEASE])?;
    let mut gone = 0;
    for document in manifest.split("\n---\n").filter(|document| document.contains("kind: ")) {
        let object: Value = serde_yaml::from_str(document)?;
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = ((text("/apiVersion"), text("/kind")), text("/metadata/name"));
        let place = space(text("/metadata/namespace"));
        let left = life.identity(&place, kind, name).await?.is_some();
        ensure!(left == (kind == CRD), "{} {name} is {}", kind.1, if left { "left behind" } else { "gone" });
        gone += usize::from(!left);
    }
    ensure!(gone >= 12, "{gone} objects were looked at");

    // Installed again, it finds what was left.
    life.helm(&["install", RELEASE, &chart, "--set=firstIssuer.enabled=true"])?;
    // New pods have new tokens: the old ones' ServiceAccount is gone.
    pods.process().stop()?;
    let _pods = IssuerProcess::of(&life.control_plane).start().await?;
    life.certificate("again").await?;
    ensure!(life.version(&life.shop, SECRET, "before").await? == before, "a certificate was issued anew");
    ensure!(life.version(&life.shop, SECRET, "upgraded").await? == upgraded, "a certificate was issued anew");
    ensure!(life.version(&life.home, SECRET, "internal-ca").await? == ca, "the CA was issued anew");
    ensure!(life.identity(&life.home, CERTIFICATE, "internal-ca").await? == request, "the CA was made anew");
    ensure!(
        life.identity(&life.home, CLUSTER_ISSUER, "internal-ca").await? == issuer.metadata.uid,
        "the issuer was made anew"
    );

    // Where nothing is to be kept the kinds go as well, and with them all issuers; Secrets stay.
    life.helm(&["upgrade", RELEASE, &chart, "--set=firstIssuer.enabled=true,crds.keep=false"])?;
    life.helm(&["uninstall", RELEASE, "--wait"])?;
    for kind in ["tandemissuers", "tandemclusterissuers"] {
        let crd = life.identity(&life.home, CRD, &format!("{kind}.pki.tandem.internal")).await?;
        ensure!(crd.is_none(), "{kind} are still there");
    }
    ensure!(life.version(&life.shop, SECRET, "before").await? == before, "a Secret is gone");
    ensure!(life.version(&life.home, SECRET, "internal-ca").await? == ca, "the CA is gone");
    Ok(())
}

/// From the first chart that there was, with values of its own that stay. The program of today runs under the arguments of
/// that chart as well, as where an image is replaced before the chart. Allowed to differ is what the later chart adds.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_chart_is_upgraded_with_the_values_it_was_installed_with() -> Result<()> {
    let control_plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    let cluster = control_plane.cluster().await?;
    let space = |name: &str| Space { cluster: cluster.clone(), name: name.to_owned() };
    let life =
        Life { home: space(NAMESPACE), shop: cluster.space("shop").await?, cluster: cluster.clone(), control_plane };
    let first = tools::root().join("tests/data/charts/tandem-issuer-c0a57e2.tgz").display().to_string();
    let secrets = format!("--set=secretNamespaces={{{}}}", life.shop.name);
    let values = ["--set=firstIssuer.enabled=true,replicaCount=3,logLevel=debug", &secrets];
    life.helm(&[&["install", RELEASE, &first, "--create-namespace"][..], &values].concat())?;
    let (text, before) = (life.helm(&["get", "manifest", RELEASE])?, helm::arguments(&life.cluster).await?);
    ensure!(text.contains("helm.sh/chart: tandem-issuer-0.1.0"), "{text}");
    let mut pods = life.pods("before", &before).await?;
    life.cluster.wait(CLUSTER_ISSUER, "", "internal-ca", |o| is_ready(o, "True", "")).await?;
    let certificate = life.certificate("before").await?;

    // What is new has its default, although the values of before say nothing of it.
    life.helm(&["upgrade", RELEASE, &chart().display().to_string(), "--reuse-values"])?;
    let after = helm::arguments(&life.cluster).await?;
    ensure!(before.iter().all(|argument| after.contains(argument)), "arguments are gone: {before:?} {after:?}");
    ensure!(life.replicas().await? == 3, "a value is gone");
    life.identity(&life.shop, ("rbac.authorization.k8s.io/v1", "Role"), "tandem-issuer-ca")
        .await?
        .context("no Role")?;
    ensure!(pods.process().stop()?, "it did not stop cleanly:\n{}", pods.log()?);
    let _pods = life.pods("after", &after).await?;
    life.certificate("after").await?;
    ensure!(life.version(&life.shop, SECRET, "before").await? == certificate, "a certificate was issued anew");

    // A namespace that is not there is told of before anything is done.
    let nowhere = format!("--set=secretNamespaces={{{},nowhere}}", life.shop.name);
    let mut upgrade = helm::on(&life.control_plane)?;
    upgrade.args(["upgrade", RELEASE]).arg(chart()).args(["--namespace", NAMESPACE, "--reuse-values", &nowhere]);
    let said = helm::refusal(&mut upgrade)?;
    ensure!(said.contains("there is no namespace nowhere"), "{said}");
    ensure!(!life.helm(&["history", RELEASE])?.contains("failed"), "it was begun");

    // And back, once more under the arguments of before.
    life.helm(&["rollback", RELEASE, "1"])?;
    ensure!(helm::arguments(&life.cluster).await? == before, "it was not rolled back");
    life.certificate("back").await.map(|_| ())
}

/// By admission's own answer: with the controllers of Deployments and ReplicaSets, pods are really made. One more right
/// for the container, and admission refuses them.
#[tokio::test(flavor = "multi_thread")]
async fn its_pods_are_admitted_where_restricted_is_enforced() -> Result<()> {
    let arguments =
        ["--cert-manager-controllers=none", "--kube-controllers=deployment-controller,replicaset-controller"];
    let control_plane = tokio::task::spawn_blocking(move || ControlPlane::start_with(&arguments)).await??;
    let cluster = control_plane.cluster().await?;
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}});
    cluster.apply(&namespace.to_string(), "").await?;
    let home = Space { cluster, name: NAMESPACE.to_owned() };
    let count = |deployment: &kube::api::DynamicObject, field: &str| deployment.data["status"][field].as_i64();

    helm::install(&control_plane, &["--set=admin.tls.secretName=admin-tls"])?;
    let deployment = home.wait(DEPLOYMENT, RELEASE, |d| count(d, "replicas") == Some(2)).await?;
    ensure!(condition(&deployment, "ReplicaFailure").is_none(), "{:?}", deployment.data["status"]);
    ensure!(home.list(("v1", "Pod")).await?.len() == 2, "there are no pods");

    for (value, complaint) in [
        (
            "containerSecurityContext.privileged=true,containerSecurityContext.allowPrivilegeEscalation=true",
            "privileged",
        ),
        ("securityContext.runAsUser=0", "runAsUser=0"),
        ("securityContext.seccompProfile.type=Unconfined", "seccompProfile"),
        ("containerSecurityContext.capabilities.drop=null", "unrestricted capabilities"),
    ] {
        // A Deployment of its own for each: one whose pods are never ready is slow to be changed.
        tools::run(helm::on(&control_plane)?.args(["uninstall", RELEASE, "--namespace", NAMESPACE]))?;
        helm::install(&control_plane, &["--set", value])?;
        let refused = |deployment: &kube::api::DynamicObject| {
            condition(deployment, "ReplicaFailure").is_some_and(|(status, _, message)| {
                status == "True" && message.contains("violates PodSecurity \"restricted") && message.contains(complaint)
            })
        };
        home.wait(DEPLOYMENT, RELEASE, refused).await.with_context(|| value.to_owned())?;
    }
    Ok(())
}

/// Probes and metrics by TLS with the Secret that the chart mounts, traces by TLS to a collector whose CA is in the ConfigMap
/// that it mounts. And what the notes of an installation say comes next is done, as it stands.
#[tokio::test(flavor = "multi_thread")]
async fn by_the_certificates_that_it_mounts_it_is_asked_and_sends_traces() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ca = root_ca("CA", &PKCS_ECDSA_P256_SHA256)?;
    let (certificate, key) = server("127.0.0.1", &ca)?;
    let collector = Collector::start_tls(folder.path(), &certificate, &key)?;
    let (control_plane, kubelet) = with_pods().await?;
    let home = Space { cluster: control_plane.cluster().await?, name: NAMESPACE.to_owned() };
    let roots = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "collector-ca"}, "data": {"ca.crt": ca.as_ref().pem()}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    home.apply(&format!("{namespace}\n---\n{roots}")).await?;
    home.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    home.put_tls("admin-tls", &certificate, &key, None).await?;

    let endpoint = format!("--set=tracing.caConfigMap=collector-ca,tracing.endpoint={}", collector.endpoint);
    let values = ["--set=admin.tls.secretName=admin-tls", &endpoint, "--wait", "--timeout=5m"];
    let installed = tokio::task::block_in_place(|| helm::install(&control_plane, &values));
    let notes = match installed {
        Ok(notes) => notes,
        Err(error) => return Err(error.context(kubelet.trouble().await)),
    };
    follow(&control_plane, next_steps(&notes)?).await?;
    for pod in home.list(("v1", "Pod")).await? {
        let log = control_plane.folder().join(format!("{}.log", pod.name_any()));
        let admin = Admin::of(&log, Some(vec![ca.as_ref().der().to_vec()])).await?;
        ensure!(admin.metrics().await?.contains("tandem_issuer_leader"), "no metrics");
    }
    until(|| Ok(collector.text()?.contains("TandemClusterIssuer internal-ca"))).await.context("no traces arrive")
}
