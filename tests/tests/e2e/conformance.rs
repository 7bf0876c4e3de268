//! cert-manager's own conformance suites, and the cases that its later versions added to them.
//!
//! The suites are those of cert-manager v1.11, as its maintainers wrote them, run by ginkgo from `tests/conformance` against
//! both kinds of issuers: the last version that publishes them. The cases that they lack beside those of later versions and of
//! the copy in cert-manager's issuer-lib are our own, in module `later`, again for both kinds of issuers:
//!
//! | case | of | shown by |
//! |---|---|---|
//! | two otherNames, an email address and a common name | Certificates, v1.16 | `other-names` |
//! | a common name, a DNS name and a duration | Certificates, issuer-lib | `name-and-duration` |
//! | usages of any kind beside a common name alone | Certificates, issuer-lib | `usages` |
//! | a CA with a large duration | Certificates, issuer-lib | `long-lived-ca` |
//! | the same private key once more, with rotationPolicy Never | Certificates, v1.18 | `a_private_key_is_certified_again_where_the_policy_keeps_it` |
//! | an IP address alone | Kubernetes' requests, v1.16 | `ip` |
//! | a DNS name and an IP address | Kubernetes' requests, v1.16 | `dns-and-ip` |
//! | a CA whose usages hold no cert sign | Kubernetes' requests, v1.16 | `ca` |
//! | a wildcard and its apex | Kubernetes' requests, v1.16 | `wildcard-and-apex` |
//! | a label of 63 characters | Kubernetes' requests, v1.16 | `long-domain` |
//! | usages of any kind beside a common name alone | Kubernetes' requests, v1.16 | `usages` |
//! | a common name, a DNS name and a duration | Kubernetes' requests, v1.16 | `name-and-duration`, `name-and-expiration` |
//! | name constraints | Certificates, beside the suites | `name-constraints` |
//! | a literal subject with repeated and multi-valued RDNs | Certificates, beside the suites | `literal-subject` |
//! | a common name of 64 characters | Certificates, beside the suites | `longest-common-name` |
//! | a keystore and a trust store | Certificates, beside the suites | `keystores_hold_what_was_issued_and_the_root` |
//!
//! Compared were the suites of v1.16, and the newest that could be had, those that became v1.20: Certificates of February 2026
//! (commit 1366aaf0), Kubernetes' requests of commit 510b092d. From v1.16 to there, Certificates gained rotationPolicy Never in
//! the case of the private key, and a case of a ListenerSet; Kubernetes' requests gained nothing. The suites of v1.21 are not
//! known here; the controllers that all of these run against are v1.21's.
//!
//! Left out is what asks for a Gateway or its ListenerSet, which only decides how cert-manager comes by its Certificate, and
//! ACME's renewal information (ARI), which only ACME issuers have.

mod later;

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tandem_tests::tools;

use crate::environment::shared;

/// What ginkgo's JSON report says of a case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: String,
    failure: Option<Failure>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    spec_reports: Vec<Spec>,
}

impl Spec {
    fn name(&self) -> String {
        let containers = self.container_hierarchy_texts.iter().flatten().map(String::as_str);
        containers.chain([self.leaf_node_text.as_str()]).collect::<Vec<_>>().join(": ")
    }
}

/// Runs the suites, or the cases that `focus` matches, and returns what became of every case that was not filtered out.
async fn run(focus: Option<&str>, exceptions: &str) -> Result<Vec<Spec>> {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let environment = shared()?;
    let folder = environment.control_plane.folder().to_owned();
    let report = format!("conformance-{}.json", RUNS.fetch_add(1, Ordering::Relaxed));
    let mut command = Command::new(tools::conformance()?.join("ginkgo"));
    command.env("KUBECONFIG", environment.control_plane.kubeconfig()).env("CONFORMANCE_EXCEPTIONS", exceptions);
    command.args(["--procs=4", "--timeout=10m", "--no-color"]);
    command.arg(format!("--json-report={report}")).arg("--output-dir").arg(&folder);
    if let Some(focus) = focus {
        command.arg(format!("--focus={focus}"));
    }
    command.arg(tools::conformance()?.join("conformance.test"));
    let output = tokio::task::spawn_blocking(move || command.output()).await?.context("ginkgo does not start")?;
    let specs = read(&folder.join(report)).with_context(|| String::from_utf8_lossy(&output.stdout).into_owned())?;
    let failed = specs.iter().any(|spec| !matches!(spec.state.as_str(), "passed" | "skipped"));
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(failed != output.status.success(), "ginkgo and its report do not agree: {}: {told}", output.status);
    Ok(specs)
}

fn read(report: &Path) -> Result<Vec<Spec>> {
    let reports: Vec<Report> = serde_json::from_slice(&std::fs::read(report)?)?;
    let cases = reports.into_iter().flat_map(|report| report.spec_reports);
    // A suite's own steps count only where they failed; what the focus left out is skipped without a word.
    Ok(cases.filter(|spec| if spec.leaf_node_type == "It" { ran(spec) } else { spec.state != "passed" }).collect())
}

/// Whether a case ran, or skipped itself for a reason that it told.
fn ran(spec: &Spec) -> bool {
    spec.state != "skipped" || spec.failure.as_ref().is_some_and(|failure| !failure.message.is_empty())
}

#[tokio::test]
async fn the_suites_of_cert_managers_maintainers_pass() -> Result<()> {
    let specs = run(None, "").await?;
    let passed = specs.iter().filter(|spec| spec.state == "passed").count();
    let mut skipped = Vec::new();
    for spec in specs.iter().filter(|spec| spec.state != "passed") {
        ensure!(spec.state == "skipped", "{}: {}: {:?}", spec.name(), spec.state, spec.failure);
        skipped.push(spec.leaf_node_text.as_str());
    }
    // It is of cert-manager's Gateway controller, which does not run here.
    skipped.dedup();
    assert_eq!(skipped, ["Creating a Gateway with annotations for issuerRef and other Certificate fields"]);
    assert_eq!(passed, 2 * (24 + 18), "two kinds of issuers, 24 cases of Certificates, 18 of Kubernetes' requests");
    Ok(())
}

/// `tests/conformance` leaves out one case, which cert-manager itself no longer fulfils. Should that change, this fails.
#[tokio::test]
async fn the_one_case_that_is_left_out_cannot_be_passed() -> Result<()> {
    let specs = run(Some("TandemIssuer should issue another certificate with the same private key"), "none").await?;
    let [spec] = specs.as_slice() else { panic!("one case was to run: {specs:?}") };
    let message = spec.failure.as_ref().map(|failure| failure.message.as_str()).unwrap_or_default();
    assert_eq!(spec.state, "failed", "it passes: leave it out no longer");
    assert!(message.contains("not signed by same private key"), "{message}");
    Ok(())
}
