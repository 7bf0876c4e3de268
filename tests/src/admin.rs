//! Asks an issuer for its probes and metrics.

use std::{ops::RangeInclusive, path::Path, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use http_body_util::BodyExt;
use hyper::Request;
use kube::{Client, Config, client::Body};
use serde_json::Value;
use tokio::time::{interval, timeout};

use crate::cluster::PATIENCE;

/// A client for one issuer's probes and metrics.
#[derive(Clone)]
pub struct Admin {
    /// Where they are served: IP address and port.
    pub address: String,
    client: Client,
}

impl Admin {
    /// Waits until the issuer with this log serves them; `roots`, in DER, where it does so by TLS.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn of(log: &Path, roots: Option<Vec<Vec<u8>>>) -> Result<Self> {
        let address = timeout(PATIENCE, address(log)).await.context("it does not serve probes and metrics")??;
        let scheme = if roots.is_some() { "https" } else { "http" };
        let mut config = Config::new(format!("{scheme}://{address}").parse()?);
        config.root_cert = Some(roots.unwrap_or_default());
        config.default_retry = false;
        Ok(Self { address, client: Client::try_from(config)? })
    }

    /// The HTTP status of the answer, and its text.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn ask(&self, method: &str, path: &str) -> Result<(u16, String)> {
        let request = Request::builder().method(method).uri(path).body(Body::empty())?;
        let answer = self.client.send(request).await?;
        let status = answer.status().as_u16();
        let text = answer.into_body().collect().await.map_err(|error| anyhow!("{error}"))?.to_bytes();
        Ok((status, String::from_utf8(text.to_vec())?))
    }

    /// All metrics.
    ///
    /// # Errors
    /// Where there is no answer, or another one.
    pub async fn metrics(&self) -> Result<String> {
        let (status, text) = self.ask("GET", "/metrics").await?;
        ensure!(status == 200, "{status}: {text}");
        Ok(text)
    }

    /// Waits until a series, written as `/metrics` has it (with its labels), has such a value; returns that.
    ///
    /// # Errors
    /// Where it does not come to that.
    pub async fn wait(&self, series: &str, expected: impl Fn(f64) -> bool) -> Result<f64> {
        let mut look = interval(Duration::from_millis(50));
        let seen = async {
            loop {
                look.tick().await;
                match value(&self.metrics().await?, series) {
                    Some(value) if expected(value) => return Ok(value),
                    _ => {}
                }
            }
        };
        match timeout(PATIENCE, seen).await {
            Ok(value) => value,
            Err(_) => bail!("{series} did not get there:\n{}", self.metrics().await?),
        }
    }

    /// Waits until all of these series, written as in [`Admin::wait`], are within their ranges at the same time; returns all
    /// metrics as they are then.
    ///
    /// # Errors
    /// Where that does not come; then with what each of the others is.
    pub async fn settle(&self, expected: &[(String, RangeInclusive<f64>)]) -> Result<String> {
        let mut look = interval(Duration::from_millis(50));
        let settled = async {
            loop {
                look.tick().await;
                let metrics = self.metrics().await?;
                if beyond(&metrics, expected).is_empty() {
                    return Ok(metrics);
                }
            }
        };
        match timeout(PATIENCE, settled).await {
            Ok(metrics) => metrics,
            Err(_) => {
                let metrics = self.metrics().await?;
                bail!("{}\nin\n{metrics}", beyond(&metrics, expected).join("\n"))
            }
        }
    }

    /// Waits until it is ready; returns what it says then.
    ///
    /// # Errors
    /// Where it is not.
    pub async fn ready(&self) -> Result<String> {
        let mut look = interval(Duration::from_millis(50));
        let ready = async {
            loop {
                look.tick().await;
                if let (200, text) = self.ask("GET", "/readyz").await? {
                    return Ok(text);
                }
            }
        };
        match timeout(PATIENCE, ready).await {
            Ok(text) => text,
            Err(_) => bail!("it is not ready: {:?}", self.ask("GET", "/readyz?verbose").await?),
        }
    }
}

/// The value of a series in a text of metrics.
#[must_use]
pub fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// What is not as expected, a line each.
fn beyond(metrics: &str, expected: &[(String, RangeInclusive<f64>)]) -> Vec<String> {
    let wrong = |(series, range): &(String, RangeInclusive<f64>)| match value(metrics, series) {
        Some(value) if range.contains(&value) => None,
        found => {
            let found = found.map_or_else(|| "missing".to_owned(), |value| value.to_string());
            Some(format!("{series} is {found}, and should be within {range:?}"))
        }
    };
    expected.iter().filter_map(wrong).collect()
}

async fn address(log: &Path) -> Result<String> {
    let mut look = interval(Duration::from_millis(20));
    loop {
        look.tick().await;
        let text = std::fs::read_to_string(log)?;
        if let Some(line) = text.lines().rfind(|line| line.contains("serving probes and metrics")) {
            let line: Value = serde_json::from_str(line)?;
            return Ok(line["fields"]["address"].as_str().context("no address")?.to_owned());
        }
    }
}
