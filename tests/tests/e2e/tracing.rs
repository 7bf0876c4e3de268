//! Traces, as the OpenTelemetry Collector's own receiver takes them, and the same ids in the log.

use anyhow::{Context, Result, ensure};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::{Value, json};
use tandem_tests::{
    ControlPlane, IssuerProcess, Space,
    certificates::{Ca, csr, root_ca, server},
    cluster::{CERTIFICATE_REQUEST, ISSUER},
    issuer,
    telemetry::{Collector, Span},
};

use crate::{
    environment::{Environment, shared, with_issuer},
    requests::{ask, ask_plainly, failed, issued},
};

/// The looks at an object (by what its name begins with) that had this outcome, each with what is beneath it.
fn looks<'a>(spans: &'a [Span], object: &str, outcome: &str) -> Vec<(&'a Span, Vec<&'a Span>)> {
    let has = |span: &Span, key: &str, value: &str| span.attributes.get(key).is_some_and(|is| is.starts_with(value));
    let roots = spans
        .iter()
        .filter(|span| span.name == "reconcile" && has(span, "request", object) && has(span, "outcome", outcome));
    roots.map(|root| (root, spans.iter().filter(|span| span.parent == root.id).collect())).collect()
}

#[tokio::test]
async fn a_request_is_traced_from_its_observation_to_its_publication() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let collector = Collector::start(folder.path())?;
    let endpoint = format!("--otlp-endpoint={}", collector.endpoint);
    let variables = [("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=tandem-issuer-0")];
    let mut environment = Environment::start_issuer(&[], &variables, &[&endpoint]).await?;
    let space = environment.space("traced").await?;
    with_issuer(&space).await?;
    ask_plainly(&space, "leaf").await?;
    issued(&space, "leaf").await?;
    ask(&space, "refused", &csr(&["*.*.test"])?, json!({})).await?;
    failed(&space, "refused").await?;
    // What is not yet sent is sent before it ends.
    ensure!(environment.issuer.process().stop()?, "it did not stop cleanly:\n{}", environment.issuer.log()?);

    let spans = collector.spans()?;
    let name = |name: &str| format!("CertificateRequest.v1.cert-manager.io/{name}.{}", space.name);
    let [(root, beneath)] = &looks(&spans, &name("leaf"), "issued")[..] else {
        anyhow::bail!("not one look that ends with a certificate: {spans:#?}");
    };
    ensure!(root.parent.is_empty() && !root.failed, "{root:#?}");
    let issuer = format!("{} {}/internal-ca", ISSUER.1, space.name);
    ensure!(root.attributes["issuer"] == issuer, "not of {issuer}: {root:#?}");
    ensure!(root.attributes["reason"] == "CertificateIssued", "another reason: {root:#?}");
    ensure!(root.attributes["service.name"] == "tandem-issuer", "{root:#?}");
    ensure!(root.attributes["k8s.pod.name"] == "tandem-issuer-0", "{root:#?}");
    let mut beneath = beneath.clone();
    beneath.sort_by_key(|span| span.times);
    let names: Vec<_> = beneath.iter().map(|span| span.name.as_str()).collect();
    ensure!(
        names == ["ask", "decide", "sign", "publish"],
        "beneath the look at the request are, in order of time, {names:?}, not ask, decide, sign and publish"
    );
    for span in &beneath {
        ensure!(span.trace == root.trace, "{span:#?}");
        ensure!(
            root.times.0 <= span.times.0 && span.times.0 <= span.times.1 && span.times.1 <= root.times.1,
            "{span:#?}"
        );
    }
    let refused = looks(&spans, &name("refused"), "failed");
    let (refused, beneath) = refused.first().context("nothing of the request that was refused")?;
    ensure!(refused.failed, "a refusal is not told as a failure: {refused:#?}");
    ensure!(refused.trace != root.trace, "two requests have one trace: {refused:#?}");
    ensure!(beneath.iter().all(|span| span.name != "sign"), "what was refused was signed: {beneath:#?}");
    let of_issuer = |span: &&Span| span.name == "reconcile" && !span.attributes.contains_key("request");
    ensure!(spans.iter().filter(of_issuer).any(|span| span.attributes["issuer"].contains(&space.name)), "{spans:#?}");

    // The log has the same ids.
    let log = environment.issuer.log()?;
    let line =
        log.lines().find(|line| line.contains("CertificateIssued") && line.contains("/leaf.")).context("no line")?;
    let line: Value = serde_json::from_str(line)?;
    let fields = &line["spans"][0];
    ensure!(fields["trace_id"] == *root.trace, "not of the trace {}: {line}", root.trace);
    ensure!(fields["request"] == name("leaf"), "{line}");
    ensure!(fields["issuer"] == *issuer, "not by {issuer}: {line}");
    Ok(())
}

/// Whether a request of this name is in what has arrived.
fn has(collector: &Collector, space: &Space, name: &str) -> Result<bool> {
    let name = format!("CertificateRequest.v1.cert-manager.io/{name}.{}", space.name);
    Ok(!looks(&collector.spans()?, &name, "issued").is_empty())
}

/// The collector's certificate is checked by the CA of the file, beside which there need be no other, as in the image; or by
/// the system's. By a wrong one nothing is sent; that is said once, and harms nobody.
#[tokio::test(flavor = "multi_thread")]
async fn traces_go_by_tls_to_the_collector_whose_ca_is_known_and_to_no_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [ours, another] = ["ours", "another"].map(|name| root_ca(name, &PKCS_ECDSA_P256_SHA256));
    let (ours, another) = (ours?, another?);
    let (certificate, key) = server("127.0.0.1", &ours)?;
    let collector = Collector::start_tls(folder.path(), &certificate, &key)?;
    let file = |name: &str, ca: &Ca| {
        let file = folder.path().join(name);
        std::fs::write(&file, ca.as_ref().pem())?;
        anyhow::Ok(file.display().to_string())
    };
    let (right, wrong) = (file("right.crt", &ours)?, file("wrong.crt", &another)?);
    let (system, chosen) = ("SSL_CERT_FILE", "OTEL_EXPORTER_OTLP_CERTIFICATE");
    let control_plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    issuer::install(&control_plane.cluster().await?).await?;
    let endpoint = format!("--otlp-endpoint={}", collector.endpoint);
    let start = |name: &'static str, variables: Vec<(&'static str, String)>| {
        let (control_plane, endpoint) = (&control_plane, &endpoint);
        async move {
            // Batches as fast as they come, and every failure of one is in the log.
            let more = [("OTEL_BSP_SCHEDULE_DELAY", "50"), ("RUST_LOG", "info,opentelemetry-otlp=debug")];
            let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).chain(more).collect();
            IssuerProcess::of(control_plane)
                .named(name)
                .variables(&variables)
                .arguments(&[endpoint.as_str()])
                .start()
                .await
        }
    };
    let space = control_plane.cluster().await?.space("tls").await?;

    let mut by_file = start("by-file", vec![(system, "/nowhere".to_owned()), (chosen, right.clone())]).await?;
    with_issuer(&space).await?;
    ask_plainly(&space, "by-file").await?;
    issued(&space, "by-file").await?;
    ensure!(by_file.process().stop()?, "it did not stop cleanly:\n{}", by_file.log()?);
    ensure!(has(&collector, &space, "by-file")?, "{}", by_file.log()?);

    // An empty variable is none.
    let mut by_system = start("by-system", vec![(system, right), (chosen, String::new())]).await?;
    ask_plainly(&space, "by-system").await?;
    issued(&space, "by-system").await?;
    ensure!(by_system.process().stop()?, "it did not stop cleanly:\n{}", by_system.log()?);
    ensure!(has(&collector, &space, "by-system")?, "{}", by_system.log()?);

    let mut by_wrong = start("by-wrong", vec![(chosen, wrong)]).await?;
    let batches = |log: &str| log.matches("HttpClient.NetworkError").count();
    for index in 0.. {
        let name = format!("by-wrong-{index}");
        ask_plainly(&space, &name).await?;
        issued(&space, &name).await?;
        if batches(&by_wrong.log()?) >= 6 {
            break;
        }
    }
    ensure!(by_wrong.process().stop()?, "it did not stop cleanly:\n{}", by_wrong.log()?);
    let log = by_wrong.log()?;
    let said: Vec<_> = log.lines().filter(|line| line.contains("traces do not arrive")).collect();
    ensure!(said.len() == 1 && said[0].contains("UnknownIssuer"), "{log}");
    let address = collector.endpoint.trim_start_matches("https://");
    ensure!(said[0].contains(address), "where to is not said: {}", said[0]);
    ensure!(!log.contains("kube_client"), "told as if it were about the API server:\n{log}");
    ensure!(!log.contains("BatchSpanProcessor.ExportError") && !log.contains("Export.Failed"), "{log}");
    ensure!(!has(&collector, &space, "by-wrong-0")?, "sent to somebody unknown");
    Ok(())
}

/// Without traces as well, whatever the level of the line.
#[tokio::test]
async fn a_line_about_a_request_names_it_and_its_issuer() -> Result<()> {
    let environment = shared()?;
    let space = environment.space("logged").await?;
    with_issuer(&space).await?;
    ask_plainly(&space, "leaf").await?;
    issued(&space, "leaf").await?;
    space.event((CERTIFICATE_REQUEST.1, "leaf"), "CertificateIssued", "").await?;
    let log = environment.issuer.log()?;
    let about = |name: &str| {
        let line = log.lines().find(|line| line.contains(&space.name) && line.contains(name));
        anyhow::Ok(serde_json::from_str::<Value>(line.with_context(|| format!("no line with {name}"))?)?)
    };
    let line = about("CertificateIssued")?;
    let fields = &line["spans"][0];
    ensure!(fields["request"] == format!("CertificateRequest.v1.cert-manager.io/leaf.{}", space.name), "{line}");
    let issuer = format!("{} {}/internal-ca", ISSUER.1, space.name);
    ensure!(fields["issuer"] == *issuer, "not of {issuer}: {line}");
    ensure!(fields["trace_id"].is_null() && fields["name"] == "reconcile", "{line}");
    let line = about("KeyPairVerified")?;
    ensure!(line["spans"][0]["issuer"] == *issuer, "another name than in lines about requests: {line}");
    Ok(())
}
