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

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    client::Body,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseParams};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tower::{BoxError, service_fn};

use crate::status::FIELD_MANAGER;

/// The lease's name. One for all issuers of a namespace: they would write to the same objects.
pub(crate) const LEASE: &str = "tandem-issuer";

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
pub(crate) struct Leadership {
    /// Until when it leads unless that is confirmed again; `None` while it follows.
    until: watch::Receiver<Option<Instant>>,
}

impl Leadership {
    /// That of the only one, who asks nobody.
    pub(crate) fn of_the_only_one() -> Self {
        /// Far enough, and no overflow.
        const DECADES: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
        Self { until: watch::channel(Some(Instant::now() + DECADES)).1 }
    }

    /// Whether it leads at this moment.
    pub(crate) fn leading(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits for the next turn, from following to leading or back.
    pub(crate) async fn turn(&mut self) {
        if self.until.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// A client that sends nothing but while this process leads.
    pub(crate) fn only_then(&self, client: Client) -> Client {
        if self.until.has_changed().is_err() {
            // It is the only one: there is nobody who could ever take that away.
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

/// Why a call was not made, or its answer not passed on.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("another replica leads now")]
    NotLeading,
    #[error("the lease is {0}'s")]
    Held(String),
    #[error("somebody else has just taken the lease")]
    Taken,
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
}

/// Stands between the library and the API server. It reads each answer about the lease: who holds it by that answer leads
/// or follows from then on. The library waits for no answer longer than half the deadline, so that there is time for
/// another try; and it does not get to see the lease while another holds it, so that it neither takes nor renews that.
struct Fence {
    client: Client,
    identity: String,
    deadline: Duration,
    until: watch::Sender<Option<Instant>>,
}

impl Fence {
    async fn ask(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (renews, sent) = (request.method() == Method::PATCH, Instant::now());
        let answer = async {
            let (head, body) = self.client.send(request).await?.into_parts();
            Ok::<_, kube::Error>((head, body.collect_bytes().await?))
        };
        let (head, body) = timeout(self.patience(), answer).await.map_err(|_| Refused::NoAnswer(self.patience()))??;
        if head.status.is_success() {
            let lease: Lease = serde_json::from_slice(&body)?;
            match holder(&lease) {
                Some(holder) if holder == self.identity => {
                    if renews {
                        self.lead(sent + self.deadline);
                    }
                }
                Some(other) => {
                    self.follow();
                    return Err(Refused::Held(other.to_owned()).into());
                }
                None => self.follow(),
            }
        } else if head.status == StatusCode::NOT_FOUND {
            self.follow();
        } else if renews && head.status == StatusCode::CONFLICT {
            // The library panics at this in one place, and comes again too soon in another.
            return Err(Refused::Taken.into());
        }
        Ok(Response::from_parts(head, Body::from(body.to_vec())))
    }

    /// How long an answer may take.
    fn patience(&self) -> Duration {
        self.deadline / 2
    }

    fn lead(&self, until: Instant) {
        self.until.send_if_modified(|before| {
            let led = before.is_some_and(|before| Instant::now() < before);
            *before = Some(until);
            !led
        });
    }

    fn follow(&self) {
        self.until.send_if_modified(|before| before.take().is_some());
    }

    fn leading(&self) -> bool {
        Leadership { until: self.until.subscribe() }.leading()
    }

    /// Ends when the last confirmed renewal is too long ago.
    async fn lapse(&self) {
        let mut until = self.until.subscribe();
        loop {
            let confirmed = *until.borrow_and_update();
            match confirmed {
                Some(end) if end <= Instant::now() => return,
                // Meanwhile it may have been renewed.
                Some(end) => sleep_until(end).await,
                // It cannot end while `self` is there.
                None => drop(until.changed().await),
            }
        }
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
        let fence = Fence { client, identity, deadline: election.renew_deadline, until: sender };
        (Self { election, leases, fence: Arc::new(fence) }, Leadership { until })
    }

    /// Leads whenever it can, until `stop`; then the lease is released, so that another takes over at once.
    pub(crate) async fn stand(self, stop: impl Future<Output = ()>) {
        let mut manager = None;
        tokio::select! {
            () = self.campaign(&mut manager) => {}
            () = stop => {}
        }
        let Some(manager) = manager else { return };
        if self.fence.leading() {
            let released = timeout(self.fence.patience(), manager.release()).await;
            // By what the server says: the library asks once more, and then the lease may be another's already.
            match released {
                _ if !self.fence.leading() => tracing::info!(lease = LEASE, "the lease is released"),
                Ok(Err(error)) => tracing::warn!(lease = LEASE, %error, "the lease is not released, and lapses"),
                Ok(Ok(())) | Err(_) => tracing::warn!(lease = LEASE, "the lease is not released in time, and lapses"),
            }
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
                Err(error) => {
                    tracing::warn!(lease = LEASE, %error, "standing for leadership failed, and is tried again")
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
                    tracing::info!(lease = LEASE, %error, "not leading");
                    return;
                }
            }
        }
        tracing::info!(lease = LEASE, "not leading: the lease is nobody's");
    }

    /// Waits until nobody holds the lease. One that nobody has renewed for as long as it lasts is freed.
    async fn until_free(&self) {
        loop {
            let mut seen = pin!(watch_object(self.leases.clone(), LEASE).default_backoff());
            let mut held: Option<(Lease, Instant)> = None;
            loop {
                let over = held.as_ref().map_or_else(
                    || Instant::now() + self.election.lease_duration,
                    |(lease, since)| *since + self.duration(lease),
                );
                match timeout_at(over, seen.next()).await {
                    Ok(Some(Ok(lease))) => {
                        let Some(lease) = lease.filter(|lease| self.is_anothers(lease)) else { return };
                        let version = |lease: &Lease| lease.metadata.resource_version.clone();
                        match &held {
                            // The watch has begun anew.
                            Some((known, _)) if version(known) == version(&lease) => {}
                            Some((known, _)) if holder(known) == holder(&lease) => held = Some((lease, Instant::now())),
                            _ => {
                                tracing::info!(lease = LEASE, holder = holder(&lease), "following");
                                held = Some((lease, Instant::now()));
                            }
                        }
                    }
                    Ok(Some(Err(error))) => {
                        tracing::warn!(lease = LEASE, %error, "watching failed, and is tried again")
                    }
                    Ok(None) => break,
                    Err(_) => {
                        if let Some((lease, _)) = &held
                            && self.free(lease).await
                        {
                            return;
                        }
                        // The watch may have seen nothing because it has died: another one begins with what is there.
                        break;
                    }
                }
            }
        }
    }

    fn is_anothers(&self, lease: &Lease) -> bool {
        holder(lease).is_some_and(|holder| holder != self.fence.identity)
    }

    /// How long a lease lasts.
    fn duration(&self, lease: &Lease) -> Duration {
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        seconds.and_then(|s| u64::try_from(s).ok()).map_or(self.election.lease_duration, Duration::from_secs)
    }

    /// Frees the lease if it is still as it was seen; whether it was.
    async fn free(&self, lease: &Lease) -> bool {
        let nobodys = json!({
            "metadata": {"resourceVersion": lease.metadata.resource_version},
            "spec": {"holderIdentity": null, "leaseDurationSeconds": null, "acquireTime": null, "renewTime": null},
        });
        let (params, patch) = (PatchParams::default(), Patch::Merge(nobodys));
        let freed = timeout(self.fence.patience(), self.leases.patch(LEASE, &params, &patch)).await;
        let (holder, freed) = (holder(lease), matches!(freed, Ok(Ok(_))));
        tracing::info!(lease = LEASE, holder, freed, "the lease was not renewed for as long as it lasts");
        freed
    }
}

/// Who holds the lease.
fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(4);

    /// A fence before a server that takes its time and then says this of the lease.
    fn fence(takes: Duration, status: u16, spec: serde_json::Value) -> Fence {
        let answer =
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {}, "spec": spec}).to_string();
        let server = service_fn(move |_: Request<Body>| {
            let answer = answer.clone();
            async move {
                sleep(takes).await;
                let answer = Response::builder().status(status).body(Body::from(answer.into_bytes()));
                answer.map_err(BoxError::from)
            }
        });
        let (client, identity) = (Client::new(server, "tandem"), "own".to_owned());
        Fence { client, identity, deadline: DEADLINE, until: watch::channel(None).0 }
    }

    async fn ask(fence: &Fence, method: Method) -> Result<StatusCode, String> {
        let request = Request::builder().method(method).uri("/lease").body(Body::empty()).unwrap();
        fence.ask(request).await.map(|answer| answer.status()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn it_leads_from_when_a_confirmed_renewal_was_sent() {
        const TAKES: Duration = Duration::from_millis(50);
        let fence = fence(TAKES, 200, json!({"holderIdentity": "own"}));
        ask(&fence, Method::GET).await.unwrap();
        assert!(!fence.leading(), "nothing was renewed");
        let sent = Instant::now();
        ask(&fence, Method::PATCH).await.unwrap();
        let until = fence.until.borrow().unwrap();
        assert!(fence.leading() && until < sent + DEADLINE + TAKES, "from the answer on");
    }

    /// Neither to be renewed nor to be taken: the library would do both unconditionally.
    #[tokio::test]
    async fn the_library_does_not_get_to_see_anothers_lease() {
        let fence = fence(Duration::ZERO, 200, json!({"holderIdentity": "other"}));
        for method in [Method::GET, Method::PATCH] {
            fence.lead(Instant::now() + DEADLINE);
            assert_eq!(ask(&fence, method).await.unwrap_err(), "the lease is other's");
            assert!(!fence.leading());
        }
    }

    #[tokio::test]
    async fn it_ceases_to_lead_when_the_lease_is_free_or_gone_and_not_when_the_server_is_in_trouble() {
        for (status, spec, leads) in
            [(200, json!({"holderIdentity": ""}), false), (404, json!({}), false), (500, json!({}), true)]
        {
            let fence = fence(Duration::ZERO, status, spec);
            fence.lead(Instant::now() + DEADLINE);
            assert_eq!(ask(&fence, Method::PATCH).await.unwrap(), status);
            assert_eq!(fence.leading(), leads, "{status}");
        }
        // At a conflict the library panics in one place.
        assert!(
            ask(&fence(Duration::ZERO, 409, json!({})), Method::PATCH).await.unwrap_err().contains("somebody else")
        );
    }

    /// Whoever works hears of each turn: one who was over the deadline and is confirmed late begins anew.
    #[tokio::test]
    async fn a_turn_is_told_and_a_renewal_is_not() {
        let fence = fence(Duration::ZERO, 200, json!({}));
        let mut leadership = Leadership { until: fence.until.subscribe() };
        let heard = |leadership: &mut Leadership| leadership.turn().now_or_never().is_some();
        fence.lead(Instant::now() + DEADLINE);
        assert!(heard(&mut leadership) && leadership.leading());
        fence.lead(Instant::now() + DEADLINE);
        assert!(!heard(&mut leadership), "a renewal");
        fence.lead(Instant::now());
        assert!(!leadership.leading() && !heard(&mut leadership), "time has passed, and nobody said so");
        fence.lead(Instant::now() + DEADLINE);
        assert!(heard(&mut leadership) && leadership.leading(), "late");
        fence.follow();
        assert!(heard(&mut leadership) && !leadership.leading());
        fence.follow();
        assert!(!heard(&mut leadership));
    }

    #[tokio::test]
    async fn nothing_is_sent_by_one_who_does_not_lead() {
        let fence = fence(Duration::ZERO, 200, json!({"holderIdentity": "own"}));
        let client = Leadership { until: fence.until.subscribe() }.only_then(fence.client.clone());
        let send = async || client.send(Request::new(Body::empty())).await.map(|answer| answer.status());
        assert!(format!("{:?}", send().await.unwrap_err()).contains("NotLeading"));
        fence.lead(Instant::now() + DEADLINE);
        assert_eq!(send().await.unwrap(), StatusCode::OK);
        fence.lead(Instant::now());
        assert!(send().await.is_err(), "its time is over");
    }
}
