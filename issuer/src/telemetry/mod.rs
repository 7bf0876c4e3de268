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

/// How much may be logged.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Whether there are traces.
static TRACED: AtomicBool = AtomicBool::new(false);

/// Why it cannot tell of its work as it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Error(String);

/// What has to be ended.
#[derive(Debug)]
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

/// Begins to log, and to trace if the arguments say where to. Within a runtime.
///
/// # Errors
/// Where `RUST_LOG` says nothing that can be logged by, the endpoint is none, or its certificate cannot be checked.
pub(crate) fn start(args: &TelemetryArgs) -> Result<Telemetry, Error> {
    let wanted = std::env::var_os("RUST_LOG").unwrap_or_default();
    let filter = filter(&wanted.to_string_lossy())?;
    let traces = otlp::provider(args)?;
    TRACED.store(traces.is_some(), Ordering::Relaxed);
    log_to_stderr(args.log_format, filter, traces.as_ref());
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

/// What is logged by these words, as `RUST_LOG` has them and the chart's `logLevel`: a level, or levels of targets
/// (`info,kube=debug`), apart by commas. What is of no target that is named is logged at the level that has none, or at `info`.
///
/// Read here, since [`Targets`] takes a level that is mistyped for a target, and blanks for a part of its name.
fn filter(wanted: &str) -> Result<Targets, Error> {
    let mut filter = Targets::new().with_default(LevelFilter::INFO);
    if wanted.trim().is_empty() {
        return Ok(filter);
    }
    for part in wanted.split(',').map(str::trim) {
        let (target, level) = part.split_once('=').map_or((None, part), |(target, level)| (Some(target), level));
        let named = |c: char| c.is_ascii_alphanumeric() || "_:-".contains(c);
        let is_target = target.is_none_or(|target| !target.is_empty() && target.chars().all(named));
        let is_level = LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
        let level = level.parse::<LevelFilter>().ok().filter(|_| is_level);
        filter = match (target, level.filter(|_| is_target)) {
            (None, Some(level)) => filter.with_default(level),
            (Some(target), Some(level)) => filter.with_target(target, level),
            (_, None) => {
                return Err(Error(format!(
                    "RUST_LOG: {part:?} is neither {}, nor one of these for a part of the program, such as kube=debug",
                    LEVELS.join(", ")
                )));
            }
        };
    }
    Ok(filter)
}

/// Logs in words on a terminal, in JSON lines elsewhere.
pub(crate) fn log_to_stderr(format: LogFormat, filter: Targets, traces: Option<&SdkTracerProvider>) {
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_logged_at_the_level_without_a_target() {
        const IN_KUBE: &str = "kube_client::client";
        let logs = |wanted: &str, target: &str, level: Level| filter(wanted).unwrap().would_enable(target, &level);
        for wanted in ["", " ", "INFO", "info, kube_client=debug", "kube_client=debug", " kube_client=debug ,info"] {
            let named = wanted.contains("kube");
            assert_eq!(logs(wanted, IN_KUBE, Level::DEBUG), named, "{wanted:?}");
            assert!(
                logs(wanted, "tandem_issuer", Level::INFO) && !logs(wanted, "tandem_issuer", Level::DEBUG),
                "{wanted:?}"
            );
        }
        assert!(!logs("off,kube_client=debug", "tandem_issuer", Level::ERROR));
        assert!(logs("info,opentelemetry-otlp=debug", "opentelemetry-otlp", Level::DEBUG));
    }

    #[test]
    fn what_means_nothing_is_named() {
        for (wanted, part) in [
            ("debgu", "debgu"),
            ("3", "3"),
            ("info,kube=loud", "kube=loud"),
            ("info,", ""),
            ("kube=", "kube="),
            ("=debug", "=debug"),
            ("info, tandem_issuer[reconcile{request=x}]=trace", "tandem_issuer[reconcile{request=x}]=trace"),
            ("kube client=debug", "kube client=debug"),
            ("a=b=info", "a=b=info"),
        ] {
            let said = filter(wanted).unwrap_err().to_string();
            assert!(said.starts_with(&format!("RUST_LOG: {part:?} is neither off, error")), "{wanted}: {said}");
        }
    }
}
