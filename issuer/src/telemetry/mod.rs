//! What the issuer tells of its work: logs, and traces where somebody wants them.
//!
//! Each look at a request or an issuer is a span. Its fields are in every line that is logged meanwhile; with traces on, it
//! begins when the object is observed, has the spans `ask`, `decide`, `sign` and `publish` beneath it, and its trace id is
//! among the fields. No span takes a value that it is not given by name.

mod otlp;

use std::{
    io::IsTerminal,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use kube::{Resource, runtime::reflector::ObjectRef};
use opentelemetry::trace::{Status, TraceContextExt, TraceId, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Span, field::Empty, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, Targets, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    api::{Issuer, IssuerId},
    args::{LogFormat, TelemetryArgs},
    outcome::Outcome,
};

/// How long spans that are not yet sent may take when the issuer stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// Whether there are traces.
static TRACED: AtomicBool = AtomicBool::new(false);

/// Why there are no traces, where they were asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Error(String);

/// What has to be ended.
#[derive(Debug)]
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

/// Begins to log, and to trace if the arguments say where to. Within a runtime.
///
/// # Errors
/// Where the endpoint is none, or its certificate cannot be checked.
pub(crate) fn start(args: &TelemetryArgs) -> Result<Telemetry, Error> {
    let traces = otlp::provider(args)?;
    TRACED.store(traces.is_some(), Ordering::Relaxed);
    log_to_stderr(args.log_format, traces.as_ref());
    Ok(Telemetry(traces))
}

impl Telemetry {
    /// Sends what is still to be sent, for a while.
    pub(crate) async fn finish(self) {
        let Some(traces) = self.0 else { return };
        // It waits for what this thread sends, and so must not wait on it.
        match tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(FAREWELL)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans did not arrive"),
            Err(error) => tracing::warn!(%error, "the last spans did not arrive"),
        }
    }
}

/// Logs in words on a terminal, in JSON lines elsewhere; `RUST_LOG` sets what is logged: a level, or levels by target.
pub(crate) fn log_to_stderr(format: LogFormat, traces: Option<&SdkTracerProvider>) {
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let wanted = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    let filter = wanted.and_then(|text| text.parse().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let filter = filter.and(filter_fn(|line| !is_said_otherwise(line) && !may_hold_a_body(line.target())));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
    let lines = if json {
        // All spans rather than the innermost: the fields are those of the outermost.
        lines.json().with_current_span(false).with_span_list(true).with_filter(filter).boxed()
    } else {
        lines.with_filter(filter).boxed()
    };
    // Spans of the issuer's own alone: those of its client would be about the sending of spans as well.
    let own = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::DEBUG);
    let spans = traces.map(|traces| {
        let tracer = traces.tracer(env!("CARGO_PKG_NAME"));
        let layer = tracing_opentelemetry::layer().with_location(false).with_threads(false).with_tracer(tracer);
        layer.with_filter(own)
    });
    tracing_subscriber::registry().with(spans).with(lines).init();
}

/// Whether a library's line is about what is said in our own words: spans that do not arrive, by [`otlp`], once rather than with
/// every batch; and a watch that the server forbids, by whoever watches, with the name of what cannot be seen by that.
fn is_said_otherwise(line: &Metadata<'_>) -> bool {
    let name = line.name();
    name == "BatchSpanProcessor.ExportError"
        || name.starts_with("Export.")
        || (line.target() == "kube_runtime::watcher" && *line.level() == Level::WARN)
}

/// Whether lines of this target show what the API server answered where it could not be read (kube-client's `Client`, at the
/// level of warnings): all of it, and so perhaps a CA's key. Whoever asked gets the cause, and tells it.
fn may_hold_a_body(target: &str) -> bool {
    target == "kube_client::client"
}

/// Whether there are traces.
pub(crate) fn traced() -> bool {
    TRACED.load(Ordering::Relaxed)
}

/// The span of a look at a request. Of the highest level, so that a line of any level has its fields.
pub(crate) fn request_span<K: Resource>(request: &ObjectRef<K>) -> Span
where
    K::DynamicType: Eq + std::hash::Hash,
{
    traceable(tracing::error_span!(parent: None, "reconcile", %request, issuer = Empty, trace_id = Empty))
}

/// The same of an issuer, by the name that it has in the lines about its requests.
pub(crate) fn issuer_span(issuer: &ObjectRef<Issuer>) -> Span {
    let issuer = IssuerId::of_reference(issuer).map_or_else(|| issuer.to_string(), |id| id.to_string());
    traceable(tracing::error_span!(parent: None, "reconcile", issuer, trace_id = Empty))
}

/// Puts the trace's id among the span's fields.
fn traceable(span: Span) -> Span {
    if traced() {
        let id = span.context().span().span_context().trace_id();
        if id != TraceId::INVALID {
            span.record("trace_id", tracing::field::display(id));
        }
    }
    span
}

/// Tells the trace what becomes of the request at hand.
pub(crate) fn outcome(outcome: &Outcome, reason: &str) {
    if !traced() {
        return;
    }
    let span = Span::current();
    span.set_attribute("outcome", outcome.label());
    span.set_attribute("reason", reason.to_owned());
    if matches!(outcome, Outcome::Failed(_) | Outcome::Retrying(_)) {
        span.set_status(Status::error(reason.to_owned()));
    }
}
