//! The chart's dashboard: it is well-formed, its release's own, and asks for what an issuer tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tandem_tests::{admin::Admin, certificates::csr, helm::template, tools};

use crate::{
    chart_alerts::series,
    environment::{shared, space_with_issuer},
    requests::obtain,
};

/// The dashboard as its ConfigMap has it: the file's name, and what is in it.
fn dashboard(arguments: &[&str]) -> Result<(String, Value)> {
    let documents = template(&[&["--set=grafana.dashboard.enabled=true"], arguments].concat())?;
    let map = documents.iter().find(|document| document.contains("\nkind: ConfigMap\n")).context("no dashboard")?;
    let map: Value = serde_yaml::from_str(map)?;
    let (file, text) = map["data"].as_object().and_then(|data| data.iter().next()).context("no file")?;
    Ok((file.clone(), serde_json::from_str(text.as_str().context("no text")?)?))
}

/// What the panels ask for: the query, and the legend of its series.
fn queries() -> Result<Vec<(String, String)>> {
    let (_, dashboard) = dashboard(&[])?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let text = |target: &Value, field: &str| target[field].as_str().unwrap_or_default().to_owned();
    let queries: Vec<_> = targets.map(|target| (text(target, "expr"), text(target, "legendFormat"))).collect();
    ensure!(queries.len() > 15, "{} queries", queries.len());
    Ok(queries)
}

/// A query as Grafana sends it, with all namespaces chosen.
fn sent(query: &str) -> String {
    query.replace("$__rate_interval", "5m").replace("$namespace", ".*")
}

/// By Prometheus' own tool. The first panel shows which release has no leader, beside one that has.
#[test]
fn its_queries_are_well_formed_and_tell_one_release_from_another() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let promtool = |arguments: &[&str]| -> Result<()> {
        let mut command = Command::new(tools::helm()?.with_file_name("promtool"));
        tools::run(command.current_dir(folder.path()).args(arguments))
    };
    let queries = queries()?;
    let record = |(number, (query, _)): (usize, &(String, String))| json!({"record": "dashboard:query", "expr": sent(query), "labels": {"number": number.to_string()}});
    let rules: Vec<_> = queries.iter().enumerate().map(record).collect();
    let rules = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(folder.path().join("dashboard.yaml"), rules.to_string())?;
    promtool(&["check", "rules", "dashboard.yaml"])?;

    let leader = |namespace: &str, pod: &str, leads: u8| {
        let series = format!("tandem_issuer_leader{{namespace=\"{namespace}\", pod=\"{pod}\"}}");
        json!({"series": series, "values": leads.to_string()})
    };
    let shown =
        |namespace: &str, value: u8| json!({"labels": format!("{{namespace=\"{namespace}\"}}"), "value": value});
    let expected = json!({
        "expr": sent(&queries[0].0), "eval_time": "0m", "exp_samples": [shown("shop", 1), shown("billing", 0)],
    });
    let input = [leader("shop", "a", 1), leader("shop", "b", 0), leader("billing", "a", 0), leader("billing", "b", 0)];
    let played = json!({"tests": [{"input_series": input, "promql_expr_test": [expected]}]});
    std::fs::write(folder.path().join("played.yaml"), played.to_string())?;
    promtool(&["test", "rules", "played.yaml"])
}

/// Neither in Grafana nor in the folder that its sidecar fills.
#[test]
fn no_release_takes_the_place_of_anothers_dashboard() -> Result<()> {
    let long = "a".repeat(63);
    let release = |namespace: &str, name: &str| {
        let (file, dashboard) = dashboard(&["--namespace", namespace, "--set", &format!("fullnameOverride={name}")])?;
        anyhow::Ok([json!(file), dashboard["title"].clone(), dashboard["uid"].clone(), dashboard["templating"].clone()])
    };
    let releases = [("a", "b"), ("a", "b-b"), ("a-b", "b"), ("a", &long[1..]), (&long, &long), (&long[1..], &long)];
    let (mut files, mut titles, mut ids) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (namespace, name) in releases {
        let [file, title, id, variables] = release(namespace, name)?;
        let id = id.as_str().context("no uid")?.to_owned();
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ensure!((1..=40).contains(&id.len()) && id.chars().all(allowed), "Grafana does not take {id}");
        let variable = variables["list"].as_array().and_then(|list| list.iter().find(|one| one["name"] == "namespace"));
        let chosen = &variable.context("no namespace is chosen")?["current"]["value"];
        ensure!(chosen == &json!([namespace]), "{namespace}: at first it shows {chosen}");
        ensure!(release(namespace, name)?[2] == id.as_str(), "an upgrade would make a new dashboard");
        let new = [files.insert(file.to_string()), titles.insert(title.to_string()), ids.insert(id)];
        ensure!(new == [true; 3], "{namespace} {name}: file, title, uid are new: {new:?}");
    }
    Ok(())
}

/// The labels that a query names: those of a selector with the value, those of `by` and `on` without.
fn labels(query: &str) -> Vec<(&str, Option<&str>)> {
    let between = |open, close| query.split(open).skip(1).filter_map(move |rest| Some(rest.split_once(close)?.0));
    let listed = between("by (", ")").chain(between("on (", ")")).flat_map(|list| list.split(", "));
    let selected = between("{", "}").flat_map(|selector| selector.split(", "));
    let selected = selected.filter_map(|pair| Some((pair.split_once(['=', '!'])?.0, pair.split('"').nth(1))));
    listed.map(|label| (label, None)).chain(selected).collect()
}

/// Metrics, labels and values that the queries name are told by an issuer, but for the labels that Prometheus adds.
#[tokio::test]
async fn what_it_asks_for_is_what_an_issuer_tells() -> Result<()> {
    const BY_PROMETHEUS: [&str; 3] = ["namespace", "pod", "instance"];
    let (space, _) = space_with_issuer("dashboard").await?;
    obtain(&space, "leaf", &csr(&["leaf.test"])?, json!({})).await?;
    let admin = Admin::of(&shared()?.control_plane.folder().join("issuer.log"), None).await?;
    let issued = format!(
        r#"tandem_issuer_certificates_issued_total{{issuer_kind="TandemIssuer",issuer_namespace="{}",issuer_name="internal-ca"}}"#,
        space.name
    );
    admin.wait(&issued, |number| number == 1.0).await?;
    let metrics = admin.metrics().await?;
    let mut told = BTreeMap::<_, BTreeMap<_, BTreeSet<_>>>::new();
    for (name, labels) in metrics.lines().filter_map(series) {
        let of = told.entry(name).or_default();
        for (label, value) in labels {
            of.entry(label).or_default().insert(value.trim_matches('"').to_owned());
        }
    }
    let mut looked_at = 0;
    for (query, legend) in queries()? {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<_> =
            words.filter(|word| word.starts_with("tandem_issuer_") || word.starts_with("process_")).collect();
        let chosen = query.matches(r#"{namespace=~"$namespace""#).count();
        ensure!(!names.is_empty() && names.len() == chosen, "{query}: not of the namespaces that are chosen");
        let known =
            names.iter().map(|name| told.get(*name).with_context(|| format!("{query}: {name} is told by nobody")));
        let known = known.collect::<Result<Vec<_>>>()?;
        let named = labels(&query);
        for (label, value) in named.iter().filter(|(label, _)| !BY_PROMETHEUS.contains(label)) {
            let values: BTreeSet<_> = known.iter().filter_map(|labels| labels.get(*label)).flatten().collect();
            ensure!(!values.is_empty(), "{query}: no metric of it has the label {label}");
            let strange = value.filter(|value| !values.contains(&(*value).to_owned()));
            ensure!(strange.is_none(), "{query}: {label} is never {strange:?}, but one of {values:?}");
            looked_at += 1;
        }
        for label in legend.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0)) {
            let kept = named.contains(&(label, None)) || (!query.contains("by (") && BY_PROMETHEUS.contains(&label));
            ensure!(kept, "{query}: its series have no label {label} for {legend}");
        }
    }
    ensure!(looked_at > 20, "labels were overlooked: {looked_at}");
    Ok(())
}
