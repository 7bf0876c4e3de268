//! Spans by OTLP over HTTP, in protocol buffers, sent with the client that talks to the API server as well.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. Of the variables of
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/> those for the endpoint, headers and the CA certificate count, and
//! of the SDK's those for resources, sampling and batches.

use std::{
    fmt, fs,
    future::Future,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Limited};
use hyper::{Request, Response, Uri, body::Bytes};
use kube::{Client, Config, client::Body};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use pki_types::{CertificateDer, pem::PemObject};
use tokio::{
    runtime::Handle,
    time::{error::Elapsed, timeout},
};
use tracing::{Dispatch, instrument::WithSubscriber};

use super::Error;
use crate::{args::TelemetryArgs, context::root_cause};

/// How long sending a batch may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of an answer that are read; it says how many spans were refused.
const ANSWER: usize = 64 * 1024;

/// What sends spans to the endpoint of the arguments, such as `http://collector:4318`; nothing where there is none.
///
/// # Errors
/// Where it is no endpoint, or nothing is there by which its certificate can be checked.
pub(super) fn provider(args: &TelemetryArgs) -> Result<Option<SdkTracerProvider>, Error> {
    let endpoint = args.otlp_endpoint.as_deref().unwrap_or_default().trim_end_matches('/');
    if endpoint.is_empty() {
        return Ok(None);
    }
    let failed = |problem: String| Error(format!("--otlp-endpoint: {:?}: {problem}", shown(endpoint)));
    let what = || failed("it has to be a URL with http or https, such as http://collector:4318".to_owned());
    let url: Uri = format!("{endpoint}/v1/traces").parse().map_err(|_| what())?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(what());
    };
    // Without a name and a password, which may stand before it.
    let address = authority.as_str().rsplit('@').next().unwrap_or_default().to_owned();
    // The path comes with each request.
    let mut config =
        Config::new(format!("{scheme}://{authority}").parse().map_err(|error| failed(format!("{error}")))?);
    // An empty variable is none.
    let roots = args.otlp_certificate.as_ref().filter(|file| scheme == "https" && !file.as_os_str().is_empty());
    if let Some(file) = roots {
        check(file)?;
    }
    if scheme == "http" || roots.is_some() {
        // Or those of the system would be looked for, which an image need not have.
        config.root_cert = Some(Vec::new());
    }
    config.root_cert_file = roots.cloned();
    config.default_retry = false;
    let client = Client::try_from(config).map_err(|error| {
        failed(format!("{}; name the CA certificates of its server with --otlp-certificate", root_cause(&error)))
    })?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(Sender {
            client,
            runtime: Handle::current(),
            address: address.into(),
            is_lost: Arc::default(),
        })
        .with_endpoint(url.to_string())
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let mut resource = Resource::builder().with_attribute(KeyValue::new("service.version", tandem_cli::VERSION));
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
    }
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build()))
}

/// An endpoint without a name and a password, which may stand before an `@`, also where it is no URL.
fn shown(endpoint: &str) -> String {
    let Some((before, address)) = endpoint.rsplit_once('@') else { return endpoint.to_owned() };
    let scheme = ["http://", "https://"].into_iter().find(|scheme| before.starts_with(scheme)).unwrap_or_default();
    format!("{scheme}…@{address}")
}

/// Whether a file has certificates in PEM. It is read again by the client, which would not say what is wrong with it.
fn check(file: &Path) -> Result<(), Error> {
    let failed = |problem: String| Error(format!("--otlp-certificate {}: {problem}", file.display()));
    let bytes = fs::read(file).map_err(|error| failed(error.to_string()))?;
    match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        // Without the library's words: they may quote what was read.
        _ => Err(failed("it has to hold certificates in PEM".to_owned())),
    }
}

/// Sends on the runtime's thread what the exporter, on a thread of its own, wants sent.
struct Sender {
    client: Client,
    runtime: Handle,
    /// The endpoint's host and port.
    address: Arc<str>,
    /// Whether the last spans did not arrive.
    is_lost: Arc<AtomicBool>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl HttpClient for Sender {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let (client, address, is_lost) = (self.client.clone(), self.address.clone(), self.is_lost.clone());
        let answer = async move {
            let answer = client.send(request.map(|body| Body::from(body.to_vec()))).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The clock as well is the runtime's.
        let sent = self.runtime.spawn(async move {
            // The client would tell of it in words for the API server, with every batch.
            let answer = timeout(PATIENCE, answer.with_subscriber(Dispatch::none())).await;
            tell(&address, &is_lost, problem(&answer));
            answer
        });
        Box::pin(async move { sent.await?? })
    }
}

/// What has become of spans: why they did not arrive, if they did not.
fn problem(answer: &Result<Result<Response<Bytes>, HttpError>, Elapsed>) -> Option<String> {
    match answer {
        Ok(Ok(answer)) if answer.status().is_success() => None,
        Ok(Ok(answer)) => Some(format!("it answers {}", answer.status())),
        Ok(Err(error)) => Some(root_cause(&**error)),
        Err(_) => Some(format!("no answer within {PATIENCE:?}")),
    }
}

/// Says that spans do not arrive when the first ones do not, and that they do again; whether it had something to say.
fn tell(address: &str, is_lost: &AtomicBool, problem: Option<String>) -> bool {
    match (is_lost.swap(problem.is_some(), Ordering::Relaxed), problem) {
        (false, Some(problem)) => {
            tracing::warn!(address, problem, "traces do not arrive at the OTLP endpoint; this is said once");
            true
        }
        (true, None) => {
            tracing::info!(address, "traces arrive at the OTLP endpoint again");
            true
        }
        (false, None) | (true, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::LogFormat;

    #[test]
    fn what_becomes_of_spans_is_told_when_it_changes() {
        let is_lost = AtomicBool::default();
        let lost = || Some("connection refused".to_owned());
        for (problem, told) in
            [(None, false), (lost(), true), (lost(), false), (None, true), (None, false), (lost(), true)]
        {
            assert_eq!(tell("collector:4318", &is_lost, problem.clone()), told, "{problem:?}");
        }
    }

    #[test]
    fn an_endpoint_is_named_without_its_password() {
        for (endpoint, named) in [
            ("collector:4318", "collector:4318"),
            ("ftp://collector", "ftp://collector"),
            ("ftp://name:secret@collector:4318", "…@collector:4318"),
            ("http://name:se/c@ret@collector 4318", "http://…@collector 4318"),
            ("https://name:secret@collector 4318/", "https://…@collector 4318"),
            ("name:secret@collector", "…@collector"),
        ] {
            let otlp_endpoint = Some(endpoint.to_owned());
            let args = TelemetryArgs { log_format: LogFormat::Auto, otlp_endpoint, otlp_certificate: None };
            let said = provider(&args).unwrap_err().to_string();
            assert!(said.starts_with(&format!("--otlp-endpoint: {named:?}: ")) && !said.contains("ret"), "{said}");
        }
    }

    #[test]
    fn a_refusal_is_a_problem() {
        let answer = |status: u16| Ok(Ok(Response::builder().status(status).body(Bytes::new()).unwrap()));
        assert_eq!(problem(&answer(200)), None);
        assert_eq!(problem(&answer(401)).unwrap(), "it answers 401 Unauthorized");
        assert_eq!(problem(&Ok(Err("nobody is there".into()))).unwrap(), "nobody is there");
    }
}
