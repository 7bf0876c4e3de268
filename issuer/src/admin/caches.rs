//! Which caches there are, and whether they have been filled.

use std::{
    collections::BTreeMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use futures::FutureExt;
use kube::{Resource, runtime::reflector::Store};

/// Those of this process.
pub(crate) static CACHES: Caches = Caches(Mutex::new(Vec::new()));

/// Caches by name. What has been synced once stays so: a watch that breaks later is taken up again, and its objects are
/// still known.
#[derive(Default)]
pub(crate) struct Caches(Mutex<Vec<Cache>>);

struct Cache {
    name: String,
    is_synced: Box<dyn Fn() -> bool + Send>,
    was_synced: bool,
}

impl Caches {
    /// One more, perhaps of the same name as others.
    pub(crate) fn add(&self, name: impl Into<String>, is_synced: impl Fn() -> bool + Send + 'static) {
        let cache = Cache { name: name.into(), is_synced: Box::new(is_synced), was_synced: false };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(cache);
    }

    /// Whether all of each name are synced.
    pub(super) fn states(&self) -> BTreeMap<String, bool> {
        let mut states = BTreeMap::new();
        for cache in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            cache.was_synced |= (cache.is_synced)();
            *states.entry(cache.name.clone()).or_insert(true) &= cache.was_synced;
        }
        states
    }
}

/// Whether everything has been listed once.
pub(crate) fn is_listed<K>(store: &Store<K>) -> bool
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    store.wait_until_ready().now_or_never().is_some()
}
