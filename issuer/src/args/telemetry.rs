//! How the issuer tells of its work: logs and traces.

use std::path::PathBuf;

use clap::{
    ValueEnum, ValueHint,
    builder::{OsStringValueParser, TypedValueParser},
};

#[derive(Debug, clap::Args)]
pub(crate) struct TelemetryArgs {
    /// How to log.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log_format: LogFormat,

    /// Send traces there by OTLP (HTTP, protocol buffers), such as http://collector:4318 [default: nowhere]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) otlp_endpoint: Option<String>,

    /// The CA certificates, in PEM, by which an endpoint with https is checked [default: those of the system]
    ///
    /// The container image has none: there https takes this file. It is read again while the issuer runs.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_CERTIFICATE", value_name = "FILE", value_hint = ValueHint::FilePath,
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(crate) otlp_certificate: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}
