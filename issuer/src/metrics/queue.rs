//! Since when each object waits to be looked at, and the span of that look, which begins when the object is observed.

use std::{collections::HashMap, hash::Hash, time::Instant};

use kube::{Resource, runtime::reflector::ObjectRef};
use prometheus_client::metrics::{gauge::Gauge, histogram::Histogram};
use tracing::Span;

use super::METRICS;
use crate::telemetry;

/// What waits in one queue.
pub(crate) struct Waiting<K: Resource<DynamicType: Hash + Eq>> {
    since: HashMap<ObjectRef<K>, (Instant, Option<Span>)>,
    span: fn(&ObjectRef<K>) -> Span,
    wait: Histogram,
    depth: Gauge,
    in_work: Gauge,
    /// What this queue has added to both gauges, which are of all queues of the resource.
    measured: (i64, i64),
}

impl<K: Resource<DynamicType: Hash + Eq + Clone>> Waiting<K> {
    /// Of a resource (in the plural), each of whose looks has such a span.
    pub(crate) fn new(resource: &str, span: fn(&ObjectRef<K>) -> Span) -> Self {
        let (wait, depth) = (METRICS.queue_wait.of([resource]), METRICS.queue_depth.of([resource]));
        Self { since: HashMap::new(), span, wait, depth, in_work: METRICS.in_work.of([resource]), measured: (0, 0) }
    }

    /// The object waits from now on, where it does not already.
    pub(crate) fn push(&mut self, object: &ObjectRef<K>) {
        if !self.since.contains_key(object) {
            // Thousands may wait: their spans are in memory only where somebody wants to see the wait.
            let span = telemetry::traced().then(|| (self.span)(object));
            self.since.insert(object.clone(), (Instant::now(), span));
        }
    }

    /// It is looked at, within this span.
    pub(crate) fn begin(&mut self, object: &ObjectRef<K>) -> Span {
        let (since, span) = self.since.remove(object).unwrap_or_else(|| (Instant::now(), None));
        self.wait.observe(since.elapsed().as_secs_f64());
        span.unwrap_or_else(|| (self.span)(object))
    }

    /// There is nothing to look at.
    pub(crate) fn forget(&mut self, object: &ObjectRef<K>) {
        self.since.remove(object);
    }

    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        self.since.clear();
    }

    /// How much there is to do now.
    pub(crate) fn measure(&mut self, in_work: usize) {
        let now = [self.since.len(), in_work].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        self.depth.inc_by(now[0] - self.measured.0);
        self.in_work.inc_by(now[1] - self.measured.1);
        self.measured = (now[0], now[1]);
    }
}
