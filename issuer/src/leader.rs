//! Who acts: of several replicas one leads, and the others follow with warm caches.

use tokio::{sync::watch, time::Instant};

/// Whether this process may sign and write. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    /// Until when it leads unless that is confirmed again; `None` while it follows.
    until: watch::Receiver<Option<Instant>>,
}

impl Leadership {
    /// That of the only one, who asks nobody.
    pub(crate) fn of_the_only_one() -> Self {
        /// Far enough, and no overflow.
        const DECADES: std::time::Duration = std::time::Duration::from_secs(60 * 60 * 24 * 365 * 30);
        Self { until: watch::channel(Some(Instant::now() + DECADES)).1 }
    }

    /// Whether it leads at this moment.
    pub(crate) fn leading(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }
}
