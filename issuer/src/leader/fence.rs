//! What stands between the library and the API server, so that what the server says counts, and nothing else.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tower::BoxError;

use super::{Leadership, lease::Lease};

/// Why a call was not made, or its answer not passed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
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
/// another try; and it does not get to see the lease while another holds it, so that it neither takes nor renews that, nor
/// anything in it that it has not written.
pub(super) struct Fence {
    pub(super) client: Client,
    pub(super) identity: String,
    /// How long the lease lasts when it is ours.
    pub(super) lasts: Duration,
    pub(super) deadline: Duration,
    pub(super) until: watch::Sender<Option<Instant>>,
}

impl Fence {
    pub(super) async fn ask(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (renews, sent) = (request.method() == Method::PATCH, Instant::now());
        let answer = async {
            let (head, body) = self.client.send(request).await?.into_parts();
            Ok::<_, kube::Error>((head, body.collect_bytes().await?))
        };
        let (head, body) = timeout(self.patience(), answer).await.map_err(|_| Refused::NoAnswer(self.patience()))??;
        if head.status.is_success() {
            let lease: Lease = serde_json::from_slice(&body)?;
            match lease.holder() {
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
            let shown = serde_json::to_vec(&lease.shown(self.lasts))?;
            return Ok(Response::from_parts(head, Body::from(shown)));
        }
        if head.status == StatusCode::NOT_FOUND {
            self.follow();
        } else if renews && head.status == StatusCode::CONFLICT {
            // The library panics at this in one place, and comes again too soon in another.
            return Err(Refused::Taken.into());
        }
        Ok(Response::from_parts(head, Body::from(body.to_vec())))
    }

    /// How long an answer may take.
    pub(super) fn patience(&self) -> Duration {
        self.deadline / 2
    }

    fn lead(&self, until: Instant) {
        self.until.send_if_modified(|before| {
            let led = before.is_some_and(|before| Instant::now() < before);
            *before = Some(until);
            !led
        });
    }

    pub(super) fn follow(&self) {
        self.until.send_if_modified(|before| before.take().is_some());
    }

    pub(super) fn leading(&self) -> bool {
        Leadership::Elected(self.until.subscribe()).leading()
    }

    /// Whether the lease was last heard to be another's or nobody's, or has never been ours. It is not so where only time has
    /// passed.
    pub(super) fn gave_way(&self) -> bool {
        self.until.borrow().is_none()
    }

    /// Ends when the last confirmed renewal is too long ago.
    pub(super) async fn lapse(&self) {
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;
    use tokio::time::sleep;
    use tower::service_fn;

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
        Fence { client, identity, lasts: DEADLINE * 2, deadline: DEADLINE, until: watch::channel(None).0 }
    }

    async fn ask(fence: &Fence, method: Method) -> Result<StatusCode, String> {
        let request = Request::builder().method(method).uri("/lease").body(Body::empty()).unwrap();
        fence.ask(request).await.map(|answer| answer.status()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn it_leads_from_when_a_confirmed_renewal_was_sent() {
        const TAKES: Duration = Duration::from_millis(500);
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
            assert_eq!((fence.leading(), fence.gave_way()), (leads, !leads), "{status}");
            // That its time is over is no word of the server's: the lease is not released.
            fence.lead(Instant::now());
            assert!(!fence.leading() && !fence.gave_way());
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
        let mut leadership = Leadership::Elected(fence.until.subscribe());
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
        let client = Leadership::Elected(fence.until.subscribe()).only_then(fence.client.clone());
        let send = async || client.send(Request::new(Body::empty())).await.map(|answer| answer.status());
        assert!(format!("{:?}", send().await.unwrap_err()).contains("NotLeading"));
        fence.lead(Instant::now() + DEADLINE);
        assert_eq!(send().await.unwrap(), StatusCode::OK);
        fence.lead(Instant::now());
        assert!(send().await.is_err(), "its time is over");
    }
}
