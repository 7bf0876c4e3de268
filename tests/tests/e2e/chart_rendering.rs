//! What the chart makes of values out of the ordinary, and what its objects grant; nothing is installed here.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use tandem_tests::{
    helm::{self, chart, template},
    tools::{self, root},
};

use crate::{
    chart::NAMESPACED,
    chart_values::{OTHERS, yaml},
};

/// The objects that are rendered with these values and arguments. A key that is there twice is an error.
fn objects(values: &Value, arguments: &[&str]) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.json");
    std::fs::write(&file, values.to_string())?;
    let file = format!("--values={}", file.display());
    let documents = template(&[&[file.as_str()], arguments].concat())?;
    let object = |document: &String| {
        let object: serde_yaml::Value = serde_yaml::from_str(document).with_context(|| document.clone())?;
        Ok(serde_json::to_value(object)?)
    };
    documents.iter().map(object).collect()
}

fn labels(object: &Value, at: &str) -> Map<String, Value> {
    object.pointer(at).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// By them the Service, the monitors and Helm find what is theirs.
#[test]
fn labels_of_the_users_are_added_and_replace_none_of_the_charts() -> Result<()> {
    let all = |common: Value, pod: Value, more: Value| {
        json!({
            "commonLabels": common,
            "podLabels": pod,
            "prometheus": {
                "servicemonitor": {"enabled": true, "labels": more}, "prometheusrule": {"enabled": true, "labels": more}
            },
            "grafana": {"dashboard": {"enabled": true, "labels": more}},
        })
    };
    let plain = objects(&all(json!({}), json!({}), json!({})), &[])?;
    let of_the_chart = labels(&plain[0], "/metadata/labels");
    ensure!(of_the_chart.len() == 5, "{of_the_chart:?}");
    let given = |team: &str| {
        let names = of_the_chart.keys().cloned().map(|name| (name, "another".into()));
        Value::Object(names.chain([("team".to_owned(), team.into())]).collect())
    };
    let labelled = objects(&all(given("all"), given("pods"), given("monitoring")), &[])?;
    ensure!(plain.len() == labelled.len() && plain.len() > 15, "{} objects", plain.len());
    for (plain, labelled) in plain.iter().zip(&labelled) {
        let kind = plain["kind"].as_str().unwrap_or_default();
        let team = match kind {
            "ConfigMap" | "ServiceMonitor" | "PrometheusRule" => "monitoring",
            _ => "all",
        };
        let pods = (kind == "Deployment").then_some(("/spec/template/metadata/labels", "pods"));
        for (at, team) in [("/metadata/labels", team)].into_iter().chain(pods) {
            let mut expected = labels(plain, at);
            expected.insert("team".to_owned(), team.into());
            ensure!(labels(labelled, at) == expected, "{kind}, {at}: {:?}", labels(labelled, at));
        }
    }
    Ok(())
}

/// Each value beneath an object: where, and of which type.
fn types(value: &Value, at: &str, found: &mut Vec<(String, &'static str)>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| types(field, &format!("{at}/{name}"), found)),
        Value::Array(items) => items.iter().for_each(|item| types(item, &format!("{at}/-"), found)),
        Value::String(_) => found.push((at.to_owned(), "a string")),
        Value::Number(_) => found.push((at.to_owned(), "a number")),
        Value::Bool(_) => found.push((at.to_owned(), "a switch")),
        Value::Null => found.push((at.to_owned(), "nothing")),
    }
}

/// A namespace may be called 123, or true.
#[test]
fn a_name_that_looks_like_something_else_is_rendered_as_a_string() -> Result<()> {
    const USUAL: &str = "name";
    let cluster = |word: &str| {
        // What ends with a colon would be a key.
        let end = if word == USUAL { "" } else { ":" };
        json!({
            "nameOverride": word, "fullnameOverride": word, "commonLabels": {"a": word}, "priorityClassName": word,
            "image": {"tag": word}, "imagePullSecrets": [{"name": word}],
            "clusterResourceNamespace": word, "secretNamespaces": [format!("a-{word}"), word],
            "approver": {"serviceAccount": {"name": word, "namespace": word}},
            "rbac": {"secretNames": [word]},
            "serviceAccount": {"name": word, "annotations": {"a": word}},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": word, "whenUnsatisfiable": word}],
            "nodeSelector": {"a": word}, "deploymentAnnotations": {"a": word}, "podAnnotations": {"a": word},
            "podLabels": {"b": word}, "extraArgs": [word], "extraEnv": [{"name": word, "value": word}],
            "admin": {"tls": {"secretName": word}},
            "tracing": {"endpoint": format!("http://{word}{end}"), "caConfigMap": word},
            "networkPolicy": {"apiServerCIDRs": ["::/0"]},
            "prometheus": {
                "servicemonitor": {"enabled": true, "namespace": word, "labels": {"b": word}},
                "prometheusrule": {"enabled": true, "namespace": word, "labels": {"b": word}},
            },
            "grafana": {"dashboard": {"enabled": true, "namespace": word, "labels": {"b": word}, "annotations": {"a": word}}},
            "firstIssuer": {"enabled": true, "name": word, "commonName": word},
        })
    };
    let namespaced = |word: &str| {
        json!({
            "scope": {"namespaces": [word]},
            "prometheus": {"podmonitor": {"enabled": true, "namespace": word, "labels": {"b": word}}},
        })
    };
    let of = |values: &Value, word: &str| -> Result<_> {
        let mut found = Vec::new();
        objects(values, &["--namespace", word])?.iter().for_each(|object| types(object, "", &mut found));
        Ok(found)
    };
    for word in ["123", "1e5", "0x1f", "true", "null"] {
        for values in [&cluster as &dyn Fn(&str) -> Value, &namespaced] {
            let (usual, found) = (of(&values(USUAL), USUAL)?, of(&values(word), word)?);
            ensure!(usual.len() == found.len() && usual.len() > 200, "{word}: {} values", found.len());
            for ((at, usual), (_, found)) in usual.iter().zip(&found) {
                ensure!(usual == found, "{word}, at {at}: it is {found}, not {usual}");
            }
        }
    }
    Ok(())
}

fn deployment(values: &Value) -> Result<Value> {
    objects(values, &[])?.into_iter().find(|object| object["kind"] == "Deployment").context("no Deployment")
}

#[test]
fn a_spread_constraint_keeps_the_selector_that_it_is_given() -> Result<()> {
    let given = [Some(json!({"matchLabels": {"a": "b"}})), Some(json!({})), None, Some(Value::Null)];
    let constraints = given.iter().map(|selector| {
        let mut constraint = json!({"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"});
        if let Some(selector) = selector {
            constraint["labelSelector"] = selector.clone();
        }
        constraint
    });
    let deployment = deployment(&json!({"topologySpreadConstraints": constraints.collect::<Vec<_>>()}))?;
    let of_the_pods = &deployment["spec"]["selector"];
    ensure!(of_the_pods["matchLabels"].is_object(), "{deployment}");
    let rendered = &deployment["spec"]["template"]["spec"]["topologySpreadConstraints"];
    for (number, selector) in given.into_iter().enumerate() {
        let expected = selector.filter(|selector| !selector.is_null()).unwrap_or_else(|| of_the_pods.clone());
        ensure!(rendered[number]["labelSelector"] == expected, "{number}: {}", rendered[number]);
    }
    Ok(())
}

/// The approver's ClusterRole, and those for people, are there for namespaces as well: a signer is in no namespace, and the other
/// ones are aggregated into Kubernetes' own. What is granted on Secrets and requests is in Roles.
#[test]
fn with_namespaces_named_no_cluster_role_is_about_secrets_or_requests() -> Result<()> {
    for arguments in [NAMESPACED, OTHERS[1]] {
        let objects = objects(&json!({}), arguments)?;
        let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
        let about = |role: &Value| -> Result<Vec<String>> {
            let mut found = Vec::new();
            for rule in role["rules"].as_array().into_iter().flatten() {
                let listed = |field: &str| serde_json::from_value::<Vec<String>>(rule[field].clone());
                ensure!(!listed("apiGroups")?.contains(&"*".to_owned()), "{role}: all groups");
                let resources = listed("resources")?;
                found.extend(resources.iter().map(|name| name.split('/').next().unwrap_or_default().to_owned()));
            }
            Ok(found)
        };
        let mut names = Vec::new();
        for role in of_kind("ClusterRole") {
            ensure!(role["aggregationRule"].is_null(), "{role}: it grants what others do");
            let wide = about(role)?.into_iter().find(|resource| {
                ["*", "secrets", "certificaterequests", "certificatesigningrequests"].contains(&resource.as_str())
            });
            ensure!(wide.is_none(), "in the whole cluster, {wide:?}: {role}");
            names.push(role["metadata"]["name"].as_str().unwrap_or_default());
        }
        names.sort_unstable();
        ensure!(names == ["tandem-issuer-approve", "tandem-issuer-edit", "tandem-issuer-view"], "{names:?}");
        for binding in of_kind("ClusterRoleBinding").chain(of_kind("RoleBinding")) {
            let to = &binding["roleRef"];
            ensure!(
                to["kind"] == "Role" || names.iter().any(|name| &to["name"] == name),
                "a ClusterRole of somebody else's: {binding}"
            );
        }
        let in_roles = of_kind("Role").map(about).collect::<Result<Vec<_>>>()?.concat();
        for resource in ["secrets", "certificaterequests"] {
            let times = in_roles.iter().filter(|name| *name == resource).count();
            ensure!(times >= 2, "{resource}: {times} times, for two namespaces");
        }
    }
    Ok(())
}

/// All that the program takes but the kubeconfig: with a second one of it the process would not start, or do what the values and the
/// NetworkPolicy do not say.
#[test]
fn what_the_program_is_told_by_values_is_told_by_nothing_else() -> Result<()> {
    let help = tools::output(Command::new(tools::program("tandem-issuer")?).args(["run", "--help"]))?;
    let lines = help.lines().map(str::trim).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| line.split([' ', ',', '[', '.'])).filter(|word| word.len() > 1);
    let options = words.filter(|word| word.starts_with('-') && !["--kubeconfig", "--help", "-h"].contains(word));
    let options: Vec<_> = options.collect();
    ensure!(options.contains(&"-n") && options.len() > 12, "{options:?}");
    let refused = |values: Value, message: &str| -> Result<()> {
        let said = objects(&values, &[]).err().with_context(|| format!("{values} is taken"))?;
        ensure!(format!("{said:#}").contains(message), "{values}: {said:#}");
        Ok(())
    };
    for option in options {
        for given in [vec![format!("{option}=x")], vec![option.to_owned(), "x".to_owned()]] {
            refused(json!({"extraArgs": given}), "is given by the chart: it follows from")?;
        }
    }
    refused(json!({"extraArgs": ["-nshop"]}), "extraArgs: --namespace is given by the chart")?;
    objects(&json!({"extraArgs": ["--kubeconfig", "namespace"], "extraEnv": [{"name": "OTEL_SERVICE_NAME"}]}), &[])?;

    let variables = help.split("[env: ").skip(1).filter_map(|rest| Some(rest.split_once('=')?.0));
    let variables: Vec<_> = variables.collect();
    ensure!(variables.contains(&"OTEL_EXPORTER_OTLP_ENDPOINT"), "{variables:?}");
    // The variable of the log, and those that OpenTelemetry knows for traces alone.
    let more = ["RUST_LOG", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"];
    for name in variables.into_iter().chain(more) {
        let given = json!({"extraEnv": [{"name": name, "value": "x"}]});
        refused(given, &format!("extraEnv: {name} is given by the chart: it follows from"))?;
    }
    Ok(())
}

#[test]
fn the_chart_and_the_guide_name_the_same_kubernetes() -> Result<()> {
    let guide = std::fs::read_to_string(root().join("docs/install.md"))?;
    let (_, rest) = guide.split_once("Kubernetes 1.").context("docs/install.md names no version")?;
    let minor: u32 = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse()?;
    let wanted = &yaml(&chart().join("Chart.yaml"))?["kubeVersion"];
    ensure!(wanted == &format!(">= 1.{minor}.0-0"), "the guide says 1.{minor}, the chart {wanted}");
    let by = |version: String| {
        let mut helm = helm::command()?;
        helm.args(["template", "x"]).arg(chart()).args(["--kube-version", &version]);
        anyhow::Ok(helm)
    };
    tools::run(&mut by(format!("1.{minor}.0-eks-1"))?)?;
    let said = helm::refusal(&mut by(format!("1.{}.9", minor - 1))?)?;
    ensure!(said.contains("which is incompatible with Kubernetes"), "{said}");
    // k8s.io/apiserver, pkg/cel/environment: its libraries for addresses came with 1.30, and what is written may use what the
    // version before knew.
    let crds = std::fs::read_to_string(chart().join("files/crds.yaml"))?;
    ensure!(minor >= 31 || !crds.contains("isCIDR("), "the rules of the CRDs are refused before 1.31");
    Ok(())
}
