//! Kubernetes' events, sent beside the flow, one after the other: they are a courtesy, and must not take the API server
//! from the requests that they tell of. When many requests come at once, their events come after their certificates.

use std::{pin::pin, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, Recorder, Reporter},
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::timeout,
};

use crate::status::FIELD_MANAGER;

/// How many events may wait. One of them takes less than a kilobyte.
const MOST: usize = 10_000;

/// How long the events that still wait may take when the issuer stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// Takes events and has them sent.
#[derive(Debug)]
pub(crate) struct Announcer(mpsc::Sender<(Event, ObjectReference)>);

impl Announcer {
    /// Has an event sent, after those before it. One too many, or one that does not arrive, is only logged: the status is
    /// what counts.
    pub(crate) fn announce(&self, event: Event, about: ObjectReference) {
        if let Err(TrySendError::Full((event, _))) = self.0.try_send((event, about)) {
            tracing::warn!(reason = event.reason, "an event was left out: {MOST} others wait already");
        }
    }
}

/// An announcer, and what sends its events until it is dropped and all are sent. One whose turn comes when this process may
/// not tell of anything is left out.
pub(crate) fn announcer(
    client: Client,
    may: impl Fn() -> bool + Send + 'static,
) -> (Announcer, impl Future<Output = ()> + Send + 'static) {
    let (sender, mut events) = mpsc::channel::<(Event, ObjectReference)>(MOST);
    let reporter = Reporter::from(FIELD_MANAGER);
    let sending = async move {
        while let Some((event, about)) = events.recv().await {
            if !may() {
                tracing::debug!(reason = event.reason, "an event was left out: another replica leads now");
                continue;
            }
            // A recorder of its own for each: one that remembers would send a later event with the note of an earlier one
            // of the same reason, and keep all of them in memory for minutes. Only what has changed is announced.
            let recorder = Recorder::new(client.clone(), reporter.clone());
            if let Err(error) = recorder.publish(&event, &about).await {
                tracing::warn!(reason = event.reason, %error, "an event was not accepted");
            }
        }
    };
    (Announcer(sender), sending)
}

/// Does `work`, which holds the announcer, with `sending` beside it; then what still waits is sent, for a while.
pub(crate) async fn alongside(work: impl Future<Output = ()>, sending: impl Future<Output = ()>) {
    let mut sending = pin!(sending);
    tokio::select! {
        () = work => {}
        // It ends after the work does.
        () = &mut sending => return,
    }
    if timeout(FAREWELL, sending).await.is_err() {
        tracing::warn!("events are left unsent: the API server takes them too slowly");
    }
}
