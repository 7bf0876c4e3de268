//! Metrics, each described where it is made: what `/metrics` shows and the table in `docs/metrics.md` are of the same words.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, prometheus_text},
    metrics::{
        MetricType, TypedMetric,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};

/// What all names begin with, but for those that every process has.
const PREFIX: &str = "tandem_issuer_";

/// The labels of one series.
type Labels<const N: usize> = [(&'static str, String); N];

/// A metric with `N` labels.
#[derive(Debug)]
pub(crate) struct Metric<M, const N: usize> {
    labels: [&'static str; N],
    family: Family<Labels<N>, M, fn() -> M>,
}

impl<M: Clone, const N: usize> Metric<M, N> {
    /// The series with these values of its labels.
    pub(crate) fn of(&self, values: [&str; N]) -> M {
        self.family.get_or_create_owned(&self.named(values))
    }

    /// The same, where that series has begun and has not ended.
    pub(crate) fn known(&self, values: [&str; N]) -> Option<M> {
        self.family.get(&self.named(values)).map(|series| series.clone())
    }

    /// Ends a series.
    pub(crate) fn forget(&self, values: [&str; N]) {
        self.family.remove(&self.named(values));
    }

    fn named(&self, values: [&str; N]) -> Labels<N> {
        let mut values = values.into_iter();
        self.labels.map(|label| (label, values.next().unwrap_or_default().to_owned()))
    }
}

/// A gauge of fractions.
pub(crate) type Fraction = Gauge<f64, std::sync::atomic::AtomicU64>;

/// A metric as the table has it.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    type_: MetricType,
    labels: Vec<&'static str>,
    help: &'static str,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let unit = match self.name.trim_end_matches("_total") {
            name if name.ends_with("_timestamp_seconds") || name.ends_with("_start_time_seconds") => {
                "seconds since 1970"
            }
            name if name.ends_with("_seconds") => "seconds",
            name if name.ends_with("_bytes") => "bytes",
            _ => "",
        };
        write!(f, "| `{}` | {} | {labels} | {unit} | {} |", self.name, self.type_.as_str(), self.help)
    }
}

/// All metrics of the process.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    registry: Registry,
    rows: Vec<Row>,
}

impl Catalog {
    /// A counter. `name` has neither the prefix nor `_total`.
    pub(crate) fn counter<const N: usize>(
        &mut self,
        name: &str,
        labels: [&'static str; N],
        help: &'static str,
    ) -> Metric<Counter, N> {
        self.add(name, labels, help, Counter::default)
    }

    pub(crate) fn gauge<const N: usize>(
        &mut self,
        name: &str,
        labels: [&'static str; N],
        help: &'static str,
    ) -> Metric<Gauge, N> {
        self.add(name, labels, help, Gauge::default)
    }

    pub(crate) fn fraction<const N: usize>(
        &mut self,
        name: &str,
        labels: [&'static str; N],
        help: &'static str,
    ) -> Metric<Fraction, N> {
        self.add(name, labels, help, Fraction::default)
    }

    pub(crate) fn histogram<const N: usize>(
        &mut self,
        name: &str,
        labels: [&'static str; N],
        help: &'static str,
        make: fn() -> Histogram,
    ) -> Metric<Histogram, N> {
        self.add(name, labels, help, make)
    }

    fn add<M, const N: usize>(
        &mut self,
        name: &str,
        labels: [&'static str; N],
        help: &'static str,
        make: fn() -> M,
    ) -> Metric<M, N>
    where
        M: EncodeMetric + TypedMetric + Clone + fmt::Debug + Send + Sync + 'static,
    {
        let family = Family::new_with_constructor(make);
        let name = format!("{PREFIX}{name}");
        self.describe(&name, M::TYPE, labels.to_vec(), help);
        self.registry.register(name, help, family.clone());
        Metric { labels, family }
    }

    /// What is read when somebody asks, without labels and prefix: a counter, or a gauge. Left out where it cannot be read.
    pub(super) fn process(
        &mut self,
        name: &'static str,
        type_: MetricType,
        help: &'static str,
        read: fn() -> Option<f64>,
    ) {
        self.describe(name, type_, Vec::new(), help);
        self.registry.register_collector(Box::new(Process { name, type_, help, read }));
    }

    fn describe(&mut self, name: &str, type_: MetricType, labels: Vec<&'static str>, help: &'static str) {
        let suffix = if type_ == MetricType::Counter { "_total" } else { "" };
        self.rows.push(Row { name: format!("{name}{suffix}"), type_, labels, help });
    }

    /// All of them, as Prometheus reads them (text format 0.0.4).
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// All of them as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let head = "| name | type | labels | unit | meaning |\n|---|---|---|---|---|\n".to_owned();
        self.rows.iter().fold(head, |table, row| format!("{table}{row}\n"))
    }
}

struct Process {
    name: &'static str,
    type_: MetricType,
    help: &'static str,
    read: fn() -> Option<f64>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(value) = (self.read)() else { return Ok(()) };
        let encoder = encoder.encode_descriptor(self.name, self.help, None, self.type_)?;
        if self.type_ == MetricType::Counter {
            ConstCounter::new(value).encode(encoder)
        } else {
            ConstGauge::new(value).encode(encoder)
        }
    }
}
