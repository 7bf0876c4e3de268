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
    traced: bool,
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
        let (traced, in_work) = (telemetry::traced(), METRICS.in_work.of([resource]));
        Self { since: HashMap::new(), span, traced, wait, depth, in_work, measured: (0, 0) }
    }

    /// The object waits from now on, where it does not already.
    pub(crate) fn push(&mut self, object: &ObjectRef<K>) {
        if !self.since.contains_key(object) {
            // Thousands may wait: their spans are in memory only where somebody wants to see the wait.
            let span = self.traced.then(|| (self.span)(object));
            self.since.insert(object.clone(), (Instant::now(), span));
        }
    }

    /// It is looked at, within this span. A follower's looks lead to nothing that anybody waits for, and are not measured.
    pub(crate) fn begin(&mut self, object: &ObjectRef<K>, leading: bool) -> Span {
        let (since, span) = self.since.remove(object).unwrap_or_else(|| (Instant::now(), None));
        if leading {
            self.wait.observe(since.elapsed().as_secs_f64());
        }
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use k8s_openapi::api::core::v1::ConfigMap;
    use tracing::{
        Subscriber,
        span::{Attributes, Id},
    };
    use tracing_subscriber::{
        Layer,
        layer::{Context, SubscriberExt},
    };

    use super::*;

    fn object(name: &str) -> ObjectRef<ConfigMap> {
        ObjectRef::new(name)
    }

    fn queue(resource: &str) -> Waiting<ConfigMap> {
        Waiting::new(resource, |_| Span::none())
    }

    /// Each object once, for all queues of a resource.
    #[test]
    fn what_waits_and_what_is_in_work_is_counted() {
        const RESOURCE: &str = "counted";
        let (mut one, mut other) = (queue(RESOURCE), queue(RESOURCE));
        let now = || (METRICS.queue_depth.of([RESOURCE]).get(), METRICS.in_work.of([RESOURCE]).get());
        for name in ["a", "a", "b"] {
            one.push(&object(name));
        }
        other.push(&object("c"));
        one.measure(0);
        other.measure(0);
        assert_eq!(now(), (3, 0));
        one.begin(&object("a"), true);
        one.measure(1);
        assert_eq!(now(), (2, 1), "one is looked at");
        one.forget(&object("b"));
        one.measure(0);
        assert_eq!(now(), (1, 0), "one is gone, and one is done");
        other.clear();
        other.measure(0);
        assert_eq!(now(), (0, 0));
    }

    /// When each span began.
    #[derive(Clone, Default)]
    struct Begun(Arc<Mutex<Vec<(Id, Instant)>>>);

    impl<S: Subscriber> Layer<S> for Begun {
        fn on_new_span(&self, _: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
            self.0.lock().unwrap().push((id.clone(), Instant::now()));
        }
    }

    /// The time that it has waited is a part of its trace.
    #[test]
    fn with_traces_on_the_span_of_a_look_begins_when_the_object_is_observed() {
        let begun = Begun::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(begun.clone()), || {
            let mut queue = Waiting::<ConfigMap>::new("traced", |_| tracing::error_span!("reconcile"));
            queue.traced = true;
            queue.push(&object("a"));
            let observed = Instant::now();
            // Once more, while it waits.
            queue.push(&object("a"));
            let span = queue.begin(&object("a"), true);
            let begun = begun.0.lock().unwrap();
            let [(id, at)] = &begun[..] else { panic!("not one span: {begun:?}") };
            assert!(span.id().as_ref() == Some(id), "another span than that of the observation");
            assert!(*at <= observed, "it began when the object was looked at");
        });
    }

    #[test]
    fn a_wait_is_measured_in_seconds() {
        const RESOURCE: &str = "measured";
        let mut queue = queue(RESOURCE);
        let began = Instant::now();
        queue.push(&object("a"));
        while began.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        queue.begin(&object("a"), true);
        let most = began.elapsed().as_secs_f64();
        let text = METRICS.text(true).unwrap();
        let series = |name: &str| {
            let series = format!("tandem_issuer_queue_wait_duration_seconds_{name}{{resource=\"{RESOURCE}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<f64>().ok()).unwrap()
        };
        assert!(series("sum") > 0.0 && series("sum") <= most, "{} s of {most} s", series("sum"));
        assert!((series("count") - 1.0).abs() < f64::EPSILON, "{} waits", series("count"));
    }
}
