//! The chart as it is read and rendered, by the real helm; nothing is installed here.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tandem_tests::{
    helm::{self, chart, template},
    issuer::NAMESPACE,
    tools::{self, root},
};

use crate::{
    chart_values::{OTHERS, yaml},
    environment::shared,
};

/// Everything that can be switched on at once.
pub(crate) const EVERYTHING: &[&str] = &[
    "--set=commonLabels.team=pki",
    "--set=image.repository=registry.example.com:5000/pki/tandem-issuer,image.tag=1.2.3",
    "--set=image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "--set=imagePullSecrets[0].name=registry",
    "--set=replicaCount=3,priorityClassName=system-cluster-critical",
    "--set=clusterResourceNamespace=pki,secretNamespaces={shop,shop,pki}",
    "--set=admin.tls.secretName=admin-tls",
    "--set=tracing.endpoint=https://collector.monitoring:4318,tracing.caConfigMap=collector-ca",
    "--set=prometheus.servicemonitor.enabled=true,prometheus.servicemonitor.labels.release=prometheus",
    "--set=prometheus.servicemonitor.tlsConfig.serverName=tandem-issuer.tandem.svc",
    "--set=prometheus.prometheusrule.enabled=true,networkPolicy.apiServerCIDRs={192.0.2.10/32,2001:db8::10/128}",
    "--set=rbac.secretNames={internal-ca,shop-ca}",
    "--set=grafana.dashboard.enabled=true,firstIssuer.enabled=true",
    "--set=networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring",
    "--set=podAnnotations.a=b,podLabels.c=d,deploymentAnnotations.e=f,serviceAccount.annotations.g=h",
    "--set=extraEnv[0].name=X,extraEnv[0].value=y,tolerations[0].operator=Exists,strategy.rollingUpdate.maxUnavailable=1",
];

/// What cannot be on beside everything else.
const PODMONITOR: &[&str] = &["--set=prometheus.podmonitor.enabled=true"];

/// Two namespaces, and nothing beyond them.
pub(crate) const NAMESPACED: &[&str] = &["--set=scope.namespaces={shop,billing}"];

#[test]
fn helm_lints_it_strictly() -> Result<()> {
    for values in [&[], EVERYTHING, NAMESPACED, PODMONITOR].into_iter().chain(OTHERS) {
        tools::run(helm::command()?.args(["lint", "--strict"]).arg(chart()).args(values))?;
    }
    Ok(())
}

/// What may not be seen in a snapshot by anybody: the CRDs and the dashboard, which stand in files of their own.
fn to_review(documents: &[String]) -> String {
    let shown = documents.iter().filter(|document| !document.contains("\nkind: CustomResourceDefinition\n"));
    let cut = |document: &String| match document.split_once(".json: |-\n") {
        Some((before, _)) => format!("{before}.json: |- …"),
        None => document.clone(),
    };
    shown.map(cut).collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn it_renders_as_it_was_reviewed() -> Result<()> {
    insta::assert_snapshot!("default", to_review(&template(&[])?));
    insta::assert_snapshot!("namespaced", to_review(&template(NAMESPACED)?));
    insta::assert_snapshot!("everything", to_review(&template(EVERYTHING)?));
    let podmonitor = template(PODMONITOR)?.into_iter().filter(|document| document.contains("\nkind: PodMonitor\n"));
    insta::assert_snapshot!("podmonitor", to_review(&podmonitor.collect::<Vec<_>>()));
    Ok(())
}

/// What is switched off is not there, and nothing else is missing.
#[test]
fn a_switch_takes_away_what_it_names() -> Result<()> {
    let kinds = |arguments: &[&str]| -> Result<BTreeSet<String>> {
        let objects = template(arguments)?;
        let objects = objects.iter().map(|document| Ok(serde_yaml::from_str::<Value>(document)?));
        let objects = objects.collect::<Result<Vec<_>>>()?;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(objects.iter().map(|o| format!("{} {}", word(&o["kind"]), word(&o["metadata"]["name"]))).collect())
    };
    let all = kinds(&[])?;
    for (off, gone) in [
        (
            "crds.enabled=false",
            vec![
                "CustomResourceDefinition tandemclusterissuers.pki.tandem.internal",
                "CustomResourceDefinition tandemissuers.pki.tandem.internal",
            ],
        ),
        (
            "approver.enabled=false",
            vec!["ClusterRole tandem-issuer-approve", "ClusterRoleBinding tandem-issuer-approve"],
        ),
        (
            "rbac.create=false",
            vec![
                "ClusterRole tandem-issuer",
                "ClusterRole tandem-issuer-approve",
                "ClusterRole tandem-issuer-edit",
                "ClusterRole tandem-issuer-view",
                "ClusterRoleBinding tandem-issuer",
                "ClusterRoleBinding tandem-issuer-approve",
                "Role tandem-issuer-ca",
                "Role tandem-issuer-leader-election",
                "RoleBinding tandem-issuer-ca",
                "RoleBinding tandem-issuer-leader-election",
            ],
        ),
        ("rbac.aggregate=false", vec!["ClusterRole tandem-issuer-edit", "ClusterRole tandem-issuer-view"]),
        ("serviceAccount.create=false,serviceAccount.name=tandem-issuer", vec!["ServiceAccount tandem-issuer"]),
        ("podDisruptionBudget.enabled=false", vec!["PodDisruptionBudget tandem-issuer"]),
        ("replicaCount=1", vec!["PodDisruptionBudget tandem-issuer"]),
        ("networkPolicy.enabled=false", vec!["NetworkPolicy tandem-issuer"]),
        ("prometheus.enabled=false", vec!["Service tandem-issuer"]),
    ] {
        let left = kinds(&["--set", off])?;
        ensure!(left.is_subset(&all), "{off} adds something: {left:?}");
        let missing: Vec<_> = all.difference(&left).map(String::as_str).collect();
        ensure!(missing == gone, "{off} takes away {missing:?}, not {gone:?}");
    }
    // Without a right over the cluster nothing of the cluster can be made.
    let team = "scope.namespaces={shop},crds.enabled=false,approver.enabled=false";
    let made = kinds(&["--set", team])?;
    ensure!(!made.iter().any(|object| object.starts_with("Cluster") || object.starts_with("Custom")), "{made:?}");
    Ok(())
}

#[test]
fn a_wrong_value_is_refused_by_its_name() -> Result<()> {
    for (wrong, message) in [
        ("replicaCount=two", "at '/replicaCount': got string, want integer"),
        ("replicas=3", "at '': additional properties 'replicas' not allowed"),
        ("crds.kept=true", "at '/crds': additional properties 'kept' not allowed"),
        ("image.digest=latest", "at '/image/digest': 'latest' does not match pattern"),
        ("image.repository=registry.test/tandem-issuer:1.0", "the tag goes into image.tag"),
        ("image.repository=tandem-issuer@sha256:00", "the digest into image.digest"),
        (
            "image.pullPolicy=Sometimes",
            "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        ("scope.namespaces=shop", "at '/scope/namespaces': got string, want array"),
        ("scope.namespaces={Shop}", "at '/scope/namespaces/0': 'Shop' does not match pattern"),
        ("secretNamespaces={*}", "at '/secretNamespaces/0': '*' does not match pattern"),
        ("admin.port=99999", "at '/admin/port': maximum: got 99,999, want 65,535"),
        ("logFormat=xml", "at '/logFormat': value must be one of 'auto', 'text', 'json'"),
        ("tracing.endpoint=collector:4317", "at '/tracing/endpoint'"),
        ("tracing.caConfigMap=Collector", "at '/tracing/caConfigMap'"),
        (
            "leaderElection.leaseDuration=1m",
            "leaderElection.leaseDuration: 1m is not a number of seconds with its unit",
        ),
        (
            "leaderElection.leaseDuration=60",
            "leaderElection.leaseDuration: 60 is not a number of seconds with its unit",
        ),
        ("logLevel=verbose", "logLevel: \"verbose\" is neither off, error, warn"),
        ("logLevel=kube=loud", "logLevel: \"kube=loud\" is neither off, error, warn"),
        ("leaderElection.leaseDuration=3601s", "leaderElection.leaseDuration: 3601s is more than an hour"),
        ("leaderElection.leaseDuration=99999999999999999999s", "is more than an hour (3600s)"),
        (
            "extraArgs={--cluster-resource-namespace=pki}",
            "--cluster-resource-namespace is given by the chart: it follows from clusterResourceNamespace",
        ),
        ("extraArgs={--leader-elect}", "replicas elect a leader, also one alone"),
        ("scope.namespaces={shop},secretNamespaces={pki}", "leave out secretNamespaces and clusterResourceNamespace"),
        (
            "scope.namespaces={shop},clusterResourceNamespace=pki",
            "leave out secretNamespaces and clusterResourceNamespace",
        ),
        ("serviceAccount.create=false", "serviceAccount.name: which one is there?"),
        ("prometheus.servicemonitor.enabled=true,prometheus.podmonitor.enabled=true", "enable one of them"),
        ("prometheus.servicemonitor.enabled=true,prometheus.enabled=false", "the Service of prometheus.enabled"),
        (
            "prometheus.podmonitor.interval=29s",
            "prometheus.podmonitor: scrapeTimeout (30s) is longer than interval (29s)",
        ),
        ("prometheus.servicemonitor.scrapeTimeout=1m1ms", "scrapeTimeout (1m1ms) is longer than interval (60s)"),
        (
            "firstIssuer.enabled=true,firstIssuer.renewBefore=87600h",
            "renewBefore (87600h) is not less than duration (87600h)",
        ),
        ("firstIssuer.enabled=true,rbac.secretNames={ca}", "CA Secret internal-ca is not among them"),
        ("rbac.secretNames={A_b}", "at '/rbac/secretNames/0': 'A_b' does not match pattern"),
        (
            "networkPolicy.apiServerCIDRs={192.0.2.10}",
            "at '/networkPolicy/apiServerCIDRs/0': '192.0.2.10' does not match",
        ),
        ("networkPolicy.apiServerPorts={0}", "at '/networkPolicy/apiServerPorts/0': minimum: got 0, want 1"),
        ("leaderElection.renewDeadline=15s", "renewDeadline, and that less than leaseDuration"),
        ("firstIssuer.enabled=true,scope.namespaces={shop}", "make a TandemIssuer in one of these namespaces instead"),
    ] {
        let said = helm::refusal(helm::command()?.args(["template", "x"]).arg(chart()).args(["--set", wrong]));
        let said = said.with_context(|| wrong.to_owned())?;
        ensure!(said.contains(message), "{wrong}: {said}");
    }
    Ok(())
}

/// What is right is not refused: what the checks compare, at the edge.
#[test]
fn a_value_that_is_right_is_taken() -> Result<()> {
    for right in [
        "prometheus.servicemonitor.enabled=true,prometheus.servicemonitor.interval=30000ms",
        "leaderElection.leaseDuration=3600s",
        "extraArgs={--a=b}",
        "firstIssuer.enabled=true,firstIssuer.duration=1h30m,firstIssuer.renewBefore=1h29m",
        "firstIssuer.enabled=true,rbac.secretNames={internal-ca}",
        "image.repository=registry.test:5000/a/b",
    ] {
        template(&["--set", right]).with_context(|| right.to_owned())?;
    }
    Ok(())
}

/// Each right of the issuer's is a row of docs/security.md, with its group, its resource and its verbs, and each row a right.
#[test]
fn every_right_is_explained() -> Result<()> {
    let list = |rule: &Value, field: &str| -> Result<Vec<String>> { Ok(serde_json::from_value(rule[field].clone())?) };
    let mut granted = Vec::new();
    for document in template(&["--set=approver.enabled=false,rbac.aggregate=false"])? {
        let object: Value = serde_yaml::from_str(&document)?;
        // To nobody else, and to no group.
        let account = serde_json::json!([{"kind": "ServiceAccount", "name": helm::RELEASE, "namespace": NAMESPACE}]);
        ensure!(object["subjects"].is_null() || object["subjects"] == account, "{document}");
        for rule in object["rules"].as_array().into_iter().flatten() {
            let (group, resource) = (list(rule, "apiGroups")?.concat(), list(rule, "resources")?.concat());
            let group = if group.is_empty() { "core".to_owned() } else { group };
            granted.push(format!("{group} {resource} {}", list(rule, "verbs")?.join(", ")));
        }
    }
    let text = std::fs::read_to_string(root().join("docs/security.md"))?;
    let (_, table) = text.split_once("| API group |").context("no table")?;
    let (mut told, mut group) = (Vec::new(), "");
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, of, resource, verbs, ..] = cells.as_slice() else { anyhow::bail!("{row}") };
        group = if of.is_empty() { group } else { of.trim_matches('`') };
        told.push(format!("{group} {} {verbs}", resource.split('`').nth(1).context("no resource")?));
    }
    granted.sort();
    told.sort();
    ensure!(
        granted.len() > 10 && granted == told,
        "the chart grants\n{granted:#?}\nand docs/security.md tells\n{told:#?}"
    );
    Ok(())
}

#[test]
fn what_is_made_of_the_chart_is_up_to_date() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let out = format!("OUT={}", folder.path().display());
    tools::run(Command::new("make").args(["--silent", "--no-print-directory", "chart", &out]).current_dir(root()))?;
    for file in ["deploy/tandem-issuer.yaml", "docs/chart.md"] {
        let (made, kept) = (std::fs::read(folder.path().join(file))?, std::fs::read(root().join(file))?);
        ensure!(made == kept, "{file} differs from what the chart says: run `make chart` and commit");
    }
    Ok(())
}

#[test]
fn the_chart_has_the_programs_version() -> Result<()> {
    let chart = yaml(&chart().join("Chart.yaml"))?;
    ensure!(
        chart["version"] == env!("CARGO_PKG_VERSION") && chart["appVersion"] == env!("CARGO_PKG_VERSION"),
        "{chart}"
    );
    Ok(())
}

#[test]
fn the_program_takes_the_arguments_that_the_chart_gives_it() -> Result<()> {
    for values in [&[] as &[_], EVERYTHING, NAMESPACED, PODMONITOR] {
        let documents = template(values)?;
        let deployment = documents.iter().find(|document| document.contains("\nkind: Deployment\n"));
        let deployment: Value = serde_yaml::from_str(deployment.context("no Deployment")?)?;
        let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        let arguments: Vec<String> = serde_json::from_value(arguments.clone())?;
        // Nothing of a test is to be reached from outside.
        let arguments =
            arguments.iter().map(|argument| argument.replace("--admin-address=:", "--admin-address=127.0.0.1:"));
        let mut issuer = Command::new(tools::program("tandem-issuer")?);
        let done = issuer.env_clear().args(arguments).args(["--kubeconfig", "/nowhere"]).output()?;
        // 2: it does not know an argument.
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.code() == Some(1), "with {values:?} the chart's arguments are refused: {said}");
    }
    Ok(())
}

/// Neither takes what the other refuses, or throws away.
#[test]
fn the_program_logs_by_what_the_chart_takes() -> Result<()> {
    for (wanted, right) in [
        ("info", true),
        ("OFF", true),
        ("kube=debug", true),
        ("info, kube=debug , tandem_issuer::reconcile=trace,opentelemetry-otlp=off", true),
        ("verbose", false),
        ("info,", false),
        ("kube=", false),
        ("kube client=debug", false),
        ("info,tandem_issuer::reconcile[reconcile{request=x}]=trace", false),
        ("[reconcile]=trace", false),
    ] {
        let value = format!("logLevel={}", wanted.replace(',', "\\,"));
        let rendered = template(&["--set", &value]).map(drop);
        let mut issuer = Command::new(tools::program("tandem-issuer")?);
        let done = issuer.env_clear().env("RUST_LOG", wanted).args(["run", "--kubeconfig", "/nowhere"]).output()?;
        let said = String::from_utf8_lossy(&done.stderr);
        let begun = said.contains("the kubeconfig: ");
        ensure!(begun != said.contains("RUST_LOG: "), "{wanted:?}: {said}");
        ensure!(
            (rendered.is_ok(), begun) == (right, right),
            "{wanted:?}: the chart says {rendered:?}, the program {said}"
        );
    }
    Ok(())
}

/// Every object that can be rendered, as the API server checks it: fields that it does not know are errors.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_every_object() -> Result<()> {
    let control_plane = &shared()?.control_plane;
    let cluster = control_plane.cluster().await?;
    for crd in helm::monitoring_crds(&["servicemonitors", "podmonitors", "prometheusrules"])? {
        cluster.apply_crds(&crd).await?;
    }
    for namespace in ["shop", "billing", "pki", "monitoring"] {
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        cluster.apply(&object.to_string(), "").await?;
    }
    let all = [&[], EVERYTHING, NAMESPACED, PODMONITOR].into_iter().chain(OTHERS);
    for (number, values) in all.enumerate() {
        let file = control_plane.folder().join(format!("chart-{number}.yaml"));
        std::fs::write(&file, template(values)?.join("\n---\n"))?;
        let mut kubectl = control_plane.kubectl();
        kubectl.args(["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f"]);
        let said = tools::output(kubectl.arg(file))?;
        ensure!(said.lines().count() >= 10 && said.lines().all(|line| line.ends_with("(server dry run)")), "{said}");
    }
    Ok(())
}
