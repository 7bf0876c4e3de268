//! Kubernetes' events: waited for, because whoever sends them does so after having written the status.

use anyhow::{Result, anyhow};
use futures::{
    StreamExt,
    future::{Either, select},
    pin_mut,
};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::ListParams,
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};

use crate::{Cluster, Space, cluster::PATIENCE};

impl Cluster {
    /// Waits for an event about an object, with a reason and a text within its note; returns it.
    ///
    /// # Errors
    /// Where there is none after [`PATIENCE`].
    pub async fn event(&self, namespace: &str, about: (&str, &str), reason: &str, note: &str) -> Result<Event> {
        let (kind, name) = about;
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let fields = format!("regarding.kind={kind},regarding.name={name},reason={reason}");
        let seen = watcher(api, watcher::Config::default().fields(&fields)).default_backoff().applied_objects();
        let deadline = tokio::time::sleep(PATIENCE);
        pin_mut!(seen, deadline);
        let mut last = None;
        while let Either::Left((Some(event), _)) = select(seen.next(), &mut deadline).await {
            match event {
                Ok(event) if event.note.as_ref().is_some_and(|text| text.contains(note)) => return Ok(event),
                Ok(event) => last = event.note,
                Err(_) => {}
            }
        }
        Err(anyhow!("{kind} {namespace}/{name}: no event {reason} that says {note:?}; the last one: {last:?}"))
    }
}

impl Space {
    /// Waits for an event in this namespace; see [`Cluster::event`].
    ///
    /// # Errors
    /// As [`Cluster::event`].
    pub async fn event(&self, about: (&str, &str), reason: &str, note: &str) -> Result<Event> {
        self.cluster.event(&self.name, about, reason, note).await
    }

    /// All events of this namespace so far.
    ///
    /// # Errors
    /// What the server said.
    pub async fn events(&self) -> Result<Vec<Event>> {
        let api: Api<Event> = Api::namespaced(self.cluster.client.clone(), &self.name);
        Ok(api.list(&ListParams::default()).await?.items)
    }
}
