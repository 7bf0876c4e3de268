//! Works off what changes: several objects at once and none twice at once, in the order of [`Queue`]. What fails is tried
//! again, ever later. Where this process begins or ceases to lead, all work is dropped and begins anew.

use std::{collections::HashMap, hash::Hash, pin::pin, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::{FutureExt, Stream, StreamExt, stream::FuturesUnordered};
use kube::{
    Resource,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::time::{Instant, timeout};
use tokio_util::time::{DelayQueue, delay_queue::Key};
use tracing::Instrument;

use crate::{
    context::Error,
    leader::Leadership,
    metrics::{METRICS, Waiting},
    queue::Queue,
};

/// How many objects are in work at once: enough to hide the API server's latency.
const CONCURRENCY: usize = 32;

/// How long work in hand may take when the issuer stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// The longest wait between two looks at an object. Far below what a [`DelayQueue`] can hold.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at each object of `store` that `changed` names, until `stop`; then what is in work is finished. `look` says when
/// to look again, if at all. At each turn of `leadership` all objects are looked at.
pub(crate) async fn work_off<K, F>(
    changed: impl Stream<Item = ObjectRef<K>>,
    store: Store<K>,
    kind: K::DynamicType,
    mut leadership: Leadership,
    look: impl Fn(Arc<K>) -> F,
    mut waiting: Waiting<K>,
    stop: impl Future<Output = ()>,
) where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
    F: Future<Output = Result<Option<Duration>, Error>>,
{
    let mut changed = pin!(changed.fuse());
    let mut stop = pin!(stop);
    let mut listed = pin!(store.wait_until_ready().fuse());
    let mut is_listed = false;
    let mut queue = Queue::new();
    let mut later = Later::default();
    let mut failures = HashMap::new();
    let mut in_work = FuturesUnordered::new();
    loop {
        while is_listed && in_work.len() < CONCURRENCY {
            let Some(next) = queue.next() else { break };
            if store.get(&next).is_none() {
                // It is gone, or finished.
                queue.done(&next);
                waiting.forget(&next);
                failures.remove(&next);
                continue;
            }
            let (store, look, span) = (&store, &look, waiting.begin(&next, leadership.leading()));
            in_work.push(async move {
                // As it is when the look begins, which is later: what is gone by then is not looked at.
                let looked = async {
                    match store.get(&next) {
                        Some(object) => look(object).await,
                        None => Ok(None),
                    }
                };
                (looked.instrument(span.clone()).await, next, span)
            });
        }
        waiting.measure(in_work.len());
        tokio::select! {
            () = &mut stop => break,
            // The store is filled by what is polled here.
            Some(object) = changed.next() => {
                later.cancel(&object);
                waiting.push(&object);
                queue.push(object);
            }
            _ = &mut listed, if !is_listed => is_listed = true,
            () = leadership.turn() => {
                in_work.clear();
                waiting.clear();
                (queue, later, failures) = (Queue::new(), Later::default(), HashMap::new());
                for object in store.state() {
                    let object = ObjectRef::from_obj_with(object.as_ref(), kind.clone());
                    waiting.push(&object);
                    queue.push(object);
                }
            }
            Some((result, object, span)) = in_work.next() => {
                queue.done(&object);
                if let Some(wait) = span.in_scope(|| when_again(&object, result, &mut failures, Instant::now())) {
                    later.schedule(object, wait);
                }
            }
            object = later.due() => {
                waiting.push(&object);
                queue.push(object);
            }
        }
    }
    let finish = async { while in_work.next().await.is_some() {} };
    if timeout(FAREWELL, finish).await.is_err() {
        tracing::warn!("work is left unfinished: the API server takes too long");
    }
}

/// How the waits of an object that fails grow, and when the present one ends.
struct Failing {
    waits: ExponentialBackoff,
    until: Instant,
}

/// When to look again after this result: where it is a failure, exponentially later with each, with jitter, without end;
/// and not before the API server wants to be asked again. A look before its time, because the object or its issuer has changed,
/// makes the wait no longer.
fn when_again<K: Resource<DynamicType: Clone + Eq + Hash>>(
    object: &ObjectRef<K>,
    result: Result<Option<Duration>, Error>,
    failures: &mut HashMap<ObjectRef<K>, Failing>,
    now: Instant,
) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(60);
    match result {
        Ok(again) => {
            failures.remove(object);
            again
        }
        Err(error) => {
            let failing = failures.entry(object.clone()).or_insert_with(|| {
                let builder = ExponentialBuilder::new().with_min_delay(Duration::from_millis(100));
                let waits = builder.with_max_delay(LONGEST).with_jitter().without_max_times().build();
                Failing { waits, until: now }
            });
            if failing.until <= now {
                failing.until = now + failing.waits.next().unwrap_or(LONGEST);
            }
            failing.until = failing.until.max(now + error.retry_after());
            let wait = failing.until.duration_since(now);
            METRICS.retry(&K::plural(&object.dyntype), &error);
            match error {
                // Somebody else has written to it, which is none's fault.
                Error::Changed => tracing::info!(%error, ?wait, "it is looked at again"),
                _ => tracing::warn!(%error, ?wait, "it is tried again"),
            }
            Some(wait)
        }
    }
}

/// What is looked at again at its time.
struct Later<K: Resource<DynamicType: Eq + Hash>> {
    queue: DelayQueue<ObjectRef<K>>,
    keys: HashMap<ObjectRef<K>, Key>,
}

impl<K: Resource<DynamicType: Eq + Hash>> Default for Later<K> {
    fn default() -> Self {
        Self { queue: DelayQueue::new(), keys: HashMap::new() }
    }
}

impl<K: Resource<DynamicType: Clone + Eq + Hash>> Later<K> {
    fn schedule(&mut self, object: ObjectRef<K>, wait: Duration) {
        self.cancel(&object);
        let key = self.queue.insert(object.clone(), wait.min(LONGEST_WAIT));
        self.keys.insert(object, key);
    }

    fn cancel(&mut self, object: &ObjectRef<K>) {
        if let Some(key) = self.keys.remove(object) {
            self.queue.remove(&key);
        }
    }

    /// The next one whose time has come.
    async fn due(&mut self) -> ObjectRef<K> {
        match self.queue.next().await {
            Some(due) => {
                let object = due.into_inner();
                self.keys.remove(&object);
                object
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, task::Poll};

    use futures::{future, stream};
    use k8s_openapi::api::core::v1::{ConfigMap, Node};
    use kube::runtime::{reflector::store::Writer, watcher::Event};
    use serde_json::json;
    use tokio::{
        sync::{Notify, watch},
        task::yield_now,
    };

    use super::*;

    /// A look at an issuer that is gone would have its CA's Secret watched from then on. What is heard and what is worked off comes
    /// in any order, so it is tried often.
    #[tokio::test]
    async fn what_is_gone_before_it_is_looked_at_is_not_looked_at() {
        for _ in 0..100 {
            let mut writer = Writer::<ConfigMap>::default();
            let store = writer.as_reader();
            let mut object = ConfigMap::default();
            object.metadata.name = Some("a".to_owned());
            let reference = ObjectRef::from_obj(&object);
            for event in [Event::Init, Event::InitApply(object.clone()), Event::InitDone] {
                writer.apply_watcher_event(&event);
            }
            let mut heard = 0;
            let changed = stream::poll_fn(|_| {
                heard += 1;
                match heard {
                    1 => return Poll::Ready(Some(reference.clone())),
                    2 => writer.apply_watcher_event(&Event::Delete(object.clone())),
                    _ => {}
                }
                Poll::Pending
            });
            let (looks, late) = (Cell::new(0), Cell::new(0));
            let look = |object: Arc<ConfigMap>| {
                let (looks, late, store) = (&looks, &late, &store);
                async move {
                    looks.set(looks.get() + 1);
                    late.set(late.get() + u32::from(store.get(&ObjectRef::from_obj(&object)).is_none()));
                    Ok(None)
                }
            };
            // Until nothing is left to be done.
            let stop = async {
                for _ in 0..50 {
                    yield_now().await;
                }
            };
            let waiting = Waiting::new("configmaps", |_| tracing::Span::none());
            work_off(changed, store.clone(), (), Leadership::Alone, look, waiting, stop).await;
            assert!(heard >= 2 && looks.get() <= 1, "heard {heard} times, looked at {} times", looks.get());
            assert_eq!(late.get(), 0, "it was gone, and looked at");
        }
    }

    /// Its looks lead to nothing: beside the leader's they would make all waits look short.
    #[tokio::test]
    async fn how_long_it_waits_is_measured_by_the_leader_alone() {
        const RESOURCE: &str = "looked-at";
        let measured = || {
            let text = METRICS.text(true).unwrap();
            let series = format!("tandem_issuer_queue_wait_duration_seconds_count{{resource=\"{RESOURCE}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok()).unwrap_or_default()
        };
        let (_leads, follows) = watch::channel(None);
        for (leadership, expected) in [(Leadership::Elected(follows), 0), (Leadership::Alone, 1)] {
            let mut writer = Writer::<ConfigMap>::default();
            let mut object = ConfigMap::default();
            object.metadata.name = Some("a".to_owned());
            let reference = ObjectRef::from_obj(&object);
            for event in [Event::Init, Event::InitApply(object), Event::InitDone] {
                writer.apply_watcher_event(&event);
            }
            let looked = Notify::new();
            let look = |_| {
                looked.notify_one();
                future::ready(Ok(None))
            };
            let (changed, waiting) = (stream::iter([reference]), Waiting::new(RESOURCE, |_| tracing::Span::none()));
            work_off(changed, writer.as_reader(), (), leadership, look, waiting, looked.notified()).await;
            assert_eq!(measured(), expected);
        }
    }

    /// Such as those that a list that is read anew brings about while the server comes back.
    #[test]
    fn a_failure_before_its_time_makes_the_wait_no_longer() {
        let object = ObjectRef::<Node>::new("early");
        let (mut failures, mut now) = (HashMap::new(), Instant::now());
        let until = now + when_again(&object, Err(failure(0)), &mut failures, now).unwrap();
        for _ in 0..10 {
            now += Duration::from_millis(1);
            assert_eq!(now + when_again(&object, Err(failure(0)), &mut failures, now).unwrap(), until);
        }
        assert!(when_again(&object, Err(failure(0)), &mut failures, until).unwrap() >= Duration::from_millis(200));
        // Nor where the server has said when.
        let until = now + when_again(&object, Err(failure(30)), &mut failures, now).unwrap();
        for _ in 0..10 {
            now += Duration::from_secs(1);
            assert_eq!(now + when_again(&object, Err(failure(0)), &mut failures, now).unwrap(), until);
        }
    }

    fn failure(retry_after_seconds: u32) -> Error {
        let status = json!({"code": 500, "details": {"retryAfterSeconds": retry_after_seconds}});
        Error::Api(kube::Error::Api(Box::new(serde_json::from_value(status).unwrap())))
    }

    /// Fact 5: without end, up to a minute, and with jitter, so that those who failed together do not come together.
    #[test]
    fn failures_are_tried_again_ever_later_in_the_servers_time() {
        let object = ObjectRef::<ConfigMap>::new("a");
        let mut failures = HashMap::new();
        let now = Cell::new(Instant::now());
        let mut fail = |seconds| {
            let wait = when_again(&object, Err(failure(seconds)), &mut failures, now.get()).unwrap();
            now.set(now.get() + wait);
            wait
        };
        let waits: Vec<_> = (0..40).map(|_| fail(0)).collect();
        assert!((Duration::from_millis(100)..Duration::from_millis(300)).contains(&waits[0]), "{waits:?}");
        assert!(waits[..8].windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(120)), "{waits:?}");
        assert!(waits[39] >= Duration::from_secs(60), "{waits:?}");
        assert_eq!(fail(1000), Duration::from_secs(1000));
        assert_eq!(when_again(&object, Ok(None), &mut failures, now.get()), None);
        assert!(failures.is_empty());
        let first = |name: &str| {
            when_again(&ObjectRef::<ConfigMap>::new(name), Err(failure(0)), &mut HashMap::new(), now.get())
        };
        let firsts: std::collections::HashSet<_> = (0..50).map(|index| first(&index.to_string())).collect();
        assert!(firsts.len() > 1, "no jitter");
        // Each is counted.
        let counted = METRICS.text(true).unwrap();
        let series = format!("tandem_issuer_retries_total{{resource=\"configmaps\",reason=\"api\"}} {}\n", 41 + 50);
        assert!(counted.contains(&series), "no {series} in\n{counted}");
    }
}
