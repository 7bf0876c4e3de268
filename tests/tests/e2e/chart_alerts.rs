//! What the chart gives to Prometheus, as its own tool reads it: it looks at what the issuer tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tandem_tests::{
    admin::Admin,
    helm::{chart, template},
    tools::{self, root},
};

use crate::environment::{shared, space_with_issuer};

/// What alerts and dashboard look at is what the issuer tells.
#[test]
fn every_metric_that_the_chart_looks_at_is_served() -> Result<()> {
    let served = std::fs::read_to_string(root().join("docs/metrics.md"))?;
    let rules = template(&["--set=prometheus.prometheusrule.enabled=true"])?.join("\n");
    let looked_at = rules + &std::fs::read_to_string(chart().join("files/dashboard.json"))?;
    let words = looked_at.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names: BTreeSet<_> =
        words.filter(|word| word.starts_with("tandem_issuer_") || word.starts_with("process_")).collect();
    ensure!(names.len() > 10, "{names:?}");
    for name in names {
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        ensure!(served.contains(&format!("| `{name}` |")), "{name} is in no table of docs/metrics.md");
    }
    Ok(())
}

/// By Prometheus' own tool: the alerts are well-formed, and each is raised by what it is for and by nothing else.
#[test]
fn alerts_are_raised_by_what_they_are_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let promtool = || -> Result<Command> {
        let mut command = Command::new(tools::helm()?.with_file_name("promtool"));
        command.current_dir(folder.path());
        Ok(command)
    };
    let documents = template(&["--set=prometheus.prometheusrule.enabled=true"])?;
    let rule = documents.iter().find(|document| document.contains("\nkind: PrometheusRule\n")).context("no rules")?;
    let rule: Value = serde_yaml::from_str(rule)?;
    std::fs::write(folder.path().join("rules.yaml"), serde_yaml::to_string(&rule["spec"])?)?;
    let cases = played()?;
    std::fs::write(folder.path().join("alerts.yaml"), &cases)?;
    tools::run(promtool()?.args(["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"]))?;
    tools::run(promtool()?.args(["test", "rules", "alerts.yaml"]))?;
    for alert in rule["spec"]["groups"][0]["rules"].as_array().context("no rules")? {
        let name = alert["alert"].as_str().context("no name")?;
        let raised = cases.contains(&format!("alertname: {name}\n    exp_alerts:"));
        ensure!(raised && cases.contains(&format!("alertname: {name}}}")), "{name} is not played both ways");
    }
    Ok(())
}

/// What is played to the alerts.
fn played() -> Result<String> {
    Ok(std::fs::read_to_string(root().join("tests/data/alerts.yaml"))?)
}

/// A series as `/metrics` and promtool write it: its name and labels. Left out are the labels that Prometheus itself adds and
/// the values of those that name an issuer.
pub(crate) fn series(text: &str) -> Option<(String, BTreeMap<String, String>)> {
    let end = text.find(['{', ' ', '\''])?;
    let (name, rest) = text.split_at(end);
    let labels = rest.strip_prefix('{').and_then(|rest| Some(rest.split_once('}')?.0)).unwrap_or_default();
    let pairs = labels.split(',').filter_map(|pair| pair.trim().split_once('='));
    let own = pairs.filter(|(label, _)| !["namespace", "pod"].contains(label));
    let shown = |(label, value): (&str, &str)| {
        let value = if label.starts_with("issuer_") { "" } else { value };
        (label.to_owned(), value.to_owned())
    };
    Some((name.to_owned(), own.map(shown).collect()))
}

/// The series that are played to the alerts are among those that an issuer really tells, with these labels.
#[tokio::test]
async fn what_is_played_to_the_alerts_is_what_an_issuer_tells() -> Result<()> {
    let (space, _) = space_with_issuer("alerts").await?;
    let admin = Admin::of(&shared()?.control_plane.folder().join("issuer.log"), None).await?;
    let labels =
        format!(r#"{{issuer_kind="TandemIssuer",issuer_namespace="{}",issuer_name="internal-ca"}}"#, space.name);
    admin.wait(&format!("tandem_issuer_issuer_ready{labels}"), |ready| ready == 1.0).await?;
    let metrics = admin.metrics().await?;
    let told: BTreeSet<_> = metrics.lines().filter_map(series).collect();
    let cases = played()?;
    let inputs = cases.lines().filter_map(|line| line.trim().strip_prefix("- {series: '"));
    let inputs: BTreeSet<_> = inputs.filter_map(series).collect();
    ensure!(inputs.len() > 12, "series were overlooked: {inputs:?}");
    let strange: Vec<_> = inputs.difference(&told).collect();
    ensure!(strange.is_empty(), "played, but told by no issuer: {strange:#?}");
    Ok(())
}
