//! What takes an issuer's traces, and judges its metrics: programs in Go, of the makers of both protocols.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::{process::Process, tools};

/// The OpenTelemetry Collector's receiver, running.
#[derive(Debug)]
pub struct Collector {
    /// For `--otlp-endpoint`.
    pub endpoint: String,
    file: PathBuf,
    _process: Process,
}

/// A span as it arrived.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// In hexadecimal digits.
    pub trace: String,
    /// In hexadecimal digits.
    pub id: String,
    /// The id of the span above it; empty where there is none.
    pub parent: String,
    /// Beginning and end, in nanoseconds since 1970.
    pub times: (u64, u64),
    /// Its attributes, and those of its resource.
    pub attributes: BTreeMap<String, String>,
    /// Whether it says that something failed.
    pub failed: bool,
}

impl Collector {
    /// Starts it; what arrives is kept in `folder`.
    ///
    /// # Errors
    /// Where it cannot be built or does not start.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::serve(folder, "http", &[])
    }

    /// The same by TLS, with a certificate for 127.0.0.1 and its key, both in PEM.
    ///
    /// # Errors
    /// As [`Collector::start`].
    pub fn start_tls(folder: &Path, certificate: &str, key: &str) -> Result<Self> {
        let files = [folder.join("collector.crt"), folder.join("collector.key")];
        std::fs::write(&files[0], certificate)?;
        std::fs::write(&files[1], key)?;
        Self::serve(folder, "https", &files)
    }

    fn serve(folder: &Path, scheme: &str, tls: &[PathBuf]) -> Result<Self> {
        let file = folder.join("traces.jsonl");
        let mut command = Command::new(tools::telemetry()?);
        command.arg("receive").arg(&file).args(tls);
        let mut process = Process::start(&mut command, &folder.join("collector.log"), None)?;
        let endpoint = format!("{scheme}://{}", process.first_line()?);
        Ok(Self { endpoint, file, _process: process })
    }

    /// All that has arrived, as OTLP's JSON.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn text(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.file)?)
    }

    /// All spans that have arrived.
    ///
    /// # Errors
    /// Where what arrived is not what was agreed on.
    pub fn spans(&self) -> Result<Vec<Span>> {
        let mut spans = Vec::new();
        for line in self.text()?.lines() {
            let batch: Value = serde_json::from_str(line)?;
            for of_resource in list(&batch["resourceSpans"]) {
                let resource = attributes(&of_resource["resource"]);
                for span in list(&of_resource["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"])) {
                    spans.push(read(span, &resource).with_context(|| span.to_string())?);
                }
            }
        }
        Ok(spans)
    }
}

fn read(span: &Value, resource: &BTreeMap<String, String>) -> Result<Span> {
    let text = |field: &str| span[field].as_str().map(str::to_owned).with_context(|| format!("no {field}"));
    let time = |field: &str| anyhow::Ok(text(field)?.parse()?);
    let mut all = attributes(span);
    all.extend(resource.clone());
    Ok(Span {
        name: text("name")?,
        trace: text("traceId")?,
        id: text("spanId")?,
        parent: text("parentSpanId").unwrap_or_default(),
        times: (time("startTimeUnixNano")?, time("endTimeUnixNano")?),
        attributes: all,
        // STATUS_CODE_ERROR
        failed: span["status"]["code"] == 2,
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| match &value["stringValue"] {
        Value::String(text) => text.clone(),
        _ => value.to_string(),
    };
    let pair = |pair: &Value| (pair["key"].as_str().unwrap_or_default().to_owned(), text(&pair["value"]));
    list(&of["attributes"]).iter().map(pair).collect()
}

/// What Prometheus' linter has against these metrics; an error where its parser cannot read them.
///
/// # Errors
/// What the parser said.
pub fn lint(metrics: &str) -> Result<String> {
    let mut command = Command::new(tools::telemetry()?);
    let mut child = command.arg("lint").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    let text = metrics.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow!("the writer panicked"))??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
