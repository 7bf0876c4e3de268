//! Spans by OTLP over HTTP, in protocol buffers, sent with the client that talks to the API server as well.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. Of the variables of
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/> those for headers and the CA certificate count, and of the SDK's
//! those for resources, sampling and batches.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use http_body_util::{BodyExt, Limited};
use hyper::{Request, Response, Uri, body::Bytes};
use kube::{Client, Config, client::Body};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::{runtime::Handle, time::timeout};

use super::Error;

/// How long sending a batch may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of an answer that are read; it says how many spans were refused.
const ANSWER: usize = 64 * 1024;

/// What sends spans to an endpoint, such as `http://collector:4318`; nothing where that is empty.
///
/// # Errors
/// Where it is no endpoint.
pub(super) fn provider(endpoint: &str) -> Result<Option<SdkTracerProvider>, Error> {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.is_empty() {
        return Ok(None);
    }
    let failed = |problem: String| Error(format!("{endpoint:?}: {problem}"));
    let what = || failed("it has to be a URL with http or https, such as http://collector:4318".to_owned());
    let url: Uri = format!("{endpoint}/v1/traces").parse().map_err(|_| what())?;
    let (Some("http" | "https"), Some(authority)) = (url.scheme_str(), url.authority()) else { return Err(what()) };
    // The path comes with each request.
    let server = format!("{}://{authority}", url.scheme_str().unwrap_or_default());
    let mut config = Config::new(server.parse().map_err(|error| failed(format!("{error}")))?);
    config.root_cert_file = std::env::var_os("OTEL_EXPORTER_OTLP_CERTIFICATE").map(Into::into);
    if url.scheme_str() == Some("http") {
        // Or those of the system would be looked for, which an image need not have.
        config.root_cert = Some(Vec::new());
    }
    config.default_retry = false;
    let client = Client::try_from(config).map_err(|error| failed(error.to_string()))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(Sender { client, runtime: Handle::current() })
        .with_endpoint(url.to_string())
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let mut resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
    }
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build()))
}

/// Sends on the runtime's thread what the exporter, on a thread of its own, wants sent.
struct Sender {
    client: Client,
    runtime: Handle,
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
        let client = self.client.clone();
        let answer = async move {
            let answer = client.send(request.map(|body| Body::from(body.to_vec()))).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The clock as well is the runtime's.
        let sent = self.runtime.spawn(async move { timeout(PATIENCE, answer).await });
        Box::pin(async move { sent.await?? })
    }
}
