//! Who acts: of several replicas one leads, and the others follow with warm caches.
//!
//! ```text
//!  watch ──▶ the lease is free, or nobody has renewed it for as long as it lasts: then it is freed
//!   └──▶ kube-lease-manager takes it, renews it, releases it
//!         └──▶ Fence reads each answer ──▶ Leadership: until the last confirmed renewal was sent + deadline
//! ```
//!
//! **Leading** is what the API server has confirmed: an answer to a renewal that names us as the holder counts from the
//! moment at which the renewal was *sent*, by the monotonic clock, for the renew deadline, which is shorter than the lease
//! lasts. Whatever happens to the connection, to the clock or to this process (it may have been stopped for minutes), it
//! does not sign or write when that time is over, and others take over only later.
//!
//! **Clocks** of other machines are never compared with ours. A lease is over when this process has watched it for as long
//! as it lasts without seeing it renewed, whatever time is written in it. So a clock that is wrong neither steals a lease
//! nor waits for one too long.
//!
//! **Safety** does not rest on any of this. A status is written only on the version that was observed: of two who both
//! take themselves for the leader only one gives a request its certificate.
//!
//! The library would do it all by itself, but for its habits: it compares clocks, takes a lease that it holds to be over
//! unconditionally, waits for the end of a lease that has long been released, renews one that has become another's, and
//! waits for answers for ever. So it is only woken when the lease is free, and it never gets to see another's: see [`Fence`].

mod fence;
mod lease;

use std::{error::Error, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use http::Request;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    client::Body,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError, LeaseParams};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tower::{BoxError, service_fn};

use self::{
    fence::{Fence, Refused},
    lease::Lease,
};
use crate::{context::root_cause, status::FIELD_MANAGER};

/// The lease's name. One for all issuers of a namespace: they would write to the same objects.
pub(crate) const LEASE: &str = "tandem-issuer";

/// The longest that a lease may last, and the longest that a dead holder is waited for, whatever is written in it.
pub(crate) const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Who stands for leadership, and how.
#[derive(Clone, Debug)]
pub(crate) struct Election {
    /// Where the lease is.
    pub(crate) namespace: String,
    /// How long the lease lasts without being renewed, in whole seconds.
    pub(crate) lease_duration: Duration,
    /// How long the leader acts without its renewal being confirmed; less than the lease's duration.
    pub(crate) renew_deadline: Duration,
    /// How often it is renewed, in whole seconds; less than the deadline.
    pub(crate) retry_period: Duration,
}

/// Whether this process may sign and write. Cheap to clone; each clone hears of each turn.
#[derive(Clone, Debug)]
pub(crate) enum Leadership {
    /// It asks nobody, and leads from its start to its end.
    Alone,
    /// It leads until then unless that is confirmed again; `None` while it follows.
    Elected(watch::Receiver<Option<Instant>>),
}

impl Leadership {
    /// Whether it leads at this moment.
    pub(crate) fn leading(&self) -> bool {
        match self {
            Self::Alone => true,
            Self::Elected(until) => until.borrow().is_some_and(|until| Instant::now() < until),
        }
    }

    /// Waits for the next turn, from following to leading or back.
    pub(crate) async fn turn(&mut self) {
        if let Self::Elected(until) = self
            && until.changed().await.is_ok()
        {
            return;
        }
        // There is none.
        std::future::pending().await
    }

    /// A client that sends nothing but while this process leads.
    pub(crate) fn only_then(&self, client: Client) -> Client {
        if matches!(self, Self::Alone) {
            return client;
        }
        let (leadership, namespace) = (self.clone(), client.default_namespace().to_owned());
        let send = move |request: Request<Body>| {
            let (leadership, client) = (leadership.clone(), client.clone());
            async move {
                if !leadership.leading() {
                    return Err(Refused::NotLeading.into());
                }
                client.send(request).await.map_err(BoxError::from)
            }
        };
        Client::new(service_fn(send), namespace)
    }
}

/// One replica among those who may lead.
pub(crate) struct Candidate {
    election: Election,
    /// For what is not the library's.
    leases: Api<Lease>,
    fence: Arc<Fence>,
}

impl Candidate {
    /// A candidate who stands when told to, and what everyone else sees of it. `identity` is one that no other has.
    pub(crate) fn new(client: Client, identity: String, election: Election) -> (Self, Leadership) {
        let (sender, until) = watch::channel(None);
        let leases = Api::namespaced(client.clone(), &election.namespace);
        let (lasts, deadline) = (election.lease_duration, election.renew_deadline);
        let fence = Fence { client, identity, lasts, deadline, until: sender };
        (Self { election, leases, fence: Arc::new(fence) }, Leadership::Elected(until))
    }

    /// Leads whenever it can, until `stop`; then the lease is released, so that another takes over at once.
    pub(crate) async fn stand(self, stop: impl Future<Output = ()>) {
        let mut manager = None;
        tokio::select! {
            () = self.campaign(&mut manager) => {}
            () = stop => {}
        }
        let Some(manager) = manager else { return };
        if self.fence.gave_way() {
            return;
        }
        // Not where its time is over: the lease may be another's already.
        let released = match self.fence.leading() {
            true => Some(timeout(self.fence.patience(), manager.release()).await),
            false => None,
        };
        match released {
            // By what the server says: the library asks once more, and then the lease may be another's.
            Some(_) if self.fence.gave_way() => tracing::info!(lease = LEASE, "the lease is released"),
            Some(Ok(Err(error))) => tracing::warn!(lease = LEASE, %error, "the lease is not released, and lapses"),
            Some(_) | None => tracing::warn!(lease = LEASE, "the lease is not released in time, and lapses"),
        }
        self.fence.follow();
    }

    /// Follows and leads in turns, without end. `manager` is there while the lease may be ours.
    async fn campaign(&self, manager: &mut Option<LeaseManager>) {
        loop {
            self.until_free().await;
            match self.manager().await {
                Ok(made) => {
                    let manager = manager.insert(made);
                    tokio::select! {
                        () = self.hold(manager) => {}
                        () = self.fence.lapse() => {
                            let deadline = self.election.renew_deadline;
                            tracing::warn!(lease = LEASE, "no renewal was confirmed for {deadline:?}");
                        }
                    }
                    self.fence.follow();
                }
                Err(error) if is_anothers(&error) => {
                    tracing::info!(lease = LEASE, because = root_cause(&error), "not leading")
                }
                Err(error) => {
                    let error = root_cause(&error);
                    tracing::warn!(lease = LEASE, error, "standing for leadership failed, and is tried again")
                }
            }
            *manager = None;
            sleep(self.election.retry_period).await;
        }
    }

    fn manager(&self) -> impl Future<Output = kube_lease_manager::Result<LeaseManager>> {
        let fence = self.fence.clone();
        let ask = move |request| {
            let fence = fence.clone();
            async move { fence.ask(request).await }
        };
        let client = Client::new(service_fn(ask), &*self.election.namespace);
        let duration = self.election.lease_duration.as_secs();
        // The library renews when as much is left of the lease.
        let left = duration.saturating_sub(self.election.retry_period.as_secs());
        let identity = &self.fence.identity;
        // Of two who take a free lease at the same time the server refuses one because their managers differ. A manager's
        // name may be 128 characters long, and a pod's is longer; its end is what no other has.
        let from = identity.len().saturating_sub(100);
        let manager = format!("{FIELD_MANAGER}-{}", identity.get(from..).unwrap_or_default());
        let params = LeaseParams::new(identity, duration, left).with_field_manager(manager);
        let builder = LeaseManagerBuilder::new(client, LEASE).with_namespace(&self.election.namespace);
        builder.with_parameters(params).build()
    }

    /// Takes the lease and renews it, until it is not ours.
    async fn hold(&self, manager: &LeaseManager) {
        loop {
            match manager.changed().await {
                Ok(true) => tracing::info!(lease = LEASE, identity = self.fence.identity, "leading"),
                Ok(false) => break,
                Err(error) if self.fence.leading() => {
                    tracing::warn!(lease = LEASE, %error, "the lease was not renewed, and it is tried again");
                    sleep(Duration::from_millis(500)).await;
                }
                Err(error) => {
                    tracing::info!(lease = LEASE, because = root_cause(&error), "not leading");
                    return;
                }
            }
        }
        tracing::info!(lease = LEASE, "not leading: the lease is nobody's");
    }

    /// Waits until nobody holds the lease. One that nobody has renewed for as long as it lasts is freed.
    async fn until_free(&self) {
        // The lease as it was seen last, and since when it has not been renewed.
        let mut held: Option<(Lease, Instant)> = None;
        loop {
            let mut seen = pin!(watch_object(self.leases.clone(), LEASE).default_backoff());
            let mut is_seen = false;
            loop {
                let lasts = |lease: &Lease| lease.duration().unwrap_or(self.election.lease_duration);
                let over = held.as_ref().filter(|_| is_seen).map_or_else(
                    || Instant::now() + self.election.lease_duration,
                    |(lease, since)| *since + lasts(lease),
                );
                match timeout_at(over, seen.next()).await {
                    Ok(Some(Ok(lease))) => {
                        let Some(lease) = lease else { return };
                        if lease.is_littered() {
                            if self.free(&lease).await {
                                return;
                            }
                            sleep(self.election.retry_period).await;
                            break;
                        }
                        let Some(holder) = lease.holder().filter(|holder| *holder != self.fence.identity) else {
                            return;
                        };
                        if held.as_ref().is_none_or(|(known, _)| known.holder() != Some(holder)) {
                            tracing::info!(lease = LEASE, holder, lasts = ?lasts(&lease), "following");
                        }
                        // The watch may have begun anew, or something else was written to it.
                        let unrenewed = held.filter(|(known, _)| known.renewal() == lease.renewal());
                        let since = unrenewed.map_or_else(Instant::now, |(_, since)| since);
                        (held, is_seen) = (Some((lease, since)), true);
                    }
                    Ok(Some(Err(error))) => {
                        tracing::warn!(lease = LEASE, %error, "watching failed, and is tried again")
                    }
                    Ok(None) => break,
                    Err(_) => {
                        if let Some((lease, _)) = held.as_ref().filter(|_| is_seen) {
                            if self.free(lease).await {
                                return;
                            }
                            sleep(self.election.retry_period).await;
                        }
                        // The watch may have seen nothing because it has died: another one begins with what is there.
                        break;
                    }
                }
            }
        }
    }

    /// Frees the lease, if it is still as it was seen; whether it was.
    async fn free(&self, lease: &Lease) -> bool {
        let nobodys = json!({
            "metadata": {"resourceVersion": lease.version()},
            "spec": {"holderIdentity": null, "leaseDurationSeconds": null, "acquireTime": null, "renewTime": null},
        });
        let (params, patch) = (PatchParams::default(), Patch::Merge(nobodys));
        let freed = timeout(self.fence.patience(), self.leases.patch(LEASE, &params, &patch)).await;
        let freed = matches!(freed, Ok(Ok(_)));
        match lease.holder() {
            Some(holder) => {
                tracing::info!(lease = LEASE, holder, freed, "the lease was not renewed for as long as it lasts")
            }
            None => tracing::info!(lease = LEASE, freed, "the lease is nobody's, and what is left in it is taken out"),
        }
        freed
    }
}

/// Whether another one was faster, which is no failure.
fn is_anothers(error: &LeaseManagerError) -> bool {
    let causes = std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source());
    let is_refused = causes.filter_map(|error| error.downcast_ref::<Refused>());
    matches!(error, LeaseManagerError::LeaseAlreadyExists(_))
        || is_refused.last().is_some_and(|why| !matches!(why, Refused::NoAnswer(_)))
}
