//! What is asked of a signer: requests one after the other, or all at once.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind, Object},
    runtime::{
        WatchStreamExt,
        events::{self, EventType, Recorder},
        watcher::{self, Event, watcher},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_tests::{
    Space,
    certificates::csr,
    cluster::{CERTIFICATE_REQUEST, PATIENCE},
};
use tokio::{sync::oneshot, task::AbortHandle, time::timeout};

use crate::signer::{Signer, Stage};

/// How many calls the load makes at once where it does not measure, and the ceiling in a backlog: as many as the issuer
/// has in work.
pub(crate) const CONCURRENCY: usize = 32;

/// What an issuer says of a request that it has issued.
pub(crate) const MESSAGE: &str = "Certificate fetched from issuer successfully";

/// How the requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Load {
    /// A fixed number is under way: as soon as one is issued, the next is made. On a machine of any speed this keeps a
    /// signer as busy as the server lets it, without the queue that a fixed rate piles up where it is too high.
    Steady,
    /// All are there and approved before the signer starts.
    Backlog,
}

impl Load {
    pub(crate) const ALL: [Self; 2] = [Self::Steady, Self::Backlog];
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Steady => "steady",
            Self::Backlog => "backlog",
        })
    }
}

/// How long each request took, in seconds, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<f64>);

impl Latencies {
    fn new(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    /// The time within which `percent` of them were ready, in milliseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let index = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(index).copied().unwrap_or(f64::NAN) * 1000.0
    }
}

/// The part of a CertificateRequest that is watched.
pub(crate) type Seen = Object<Unread, SeenStatus>;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Unread {}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct SeenStatus {
    #[serde(default)]
    conditions: Vec<SeenCondition>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct SeenCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

impl SeenStatus {
    fn is_true(&self, type_: &str) -> bool {
        self.conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True")
    }

    /// Whether it is approved, and nobody has answered yet.
    pub(crate) fn awaits_a_signer(&self) -> bool {
        self.is_true("Approved") && !self.is_true("Ready")
    }
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Instant>>>>;

/// Where requests are made, approved and waited for.
pub(crate) struct Desk<'a> {
    stage: &'a Stage,
    space: Space,
    signer: Signer,
    api: Api<DynamicObject>,
    waiting: Waiting,
    watch: AbortHandle,
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl<'a> Desk<'a> {
    /// Requests in `space`, for `signer`; they are watched from now on.
    pub(crate) async fn open(stage: &'a Stage, space: &Space, signer: Signer) -> Result<Self> {
        let waiting = Waiting::default();
        let (listed, is_listed) = oneshot::channel();
        let watch = tokio::spawn(watch(space.clone(), waiting.clone(), listed)).abort_handle();
        let desk = Self { stage, space: space.clone(), signer, api: space.api(CERTIFICATE_REQUEST)?, waiting, watch };
        is_listed.await.context("the watch ended")?;
        Ok(desk)
    }

    /// One request on its way to the end.
    pub(crate) async fn one(&self, name: &str) -> Result<f64> {
        self.make(name).await?;
        let issued = self.wait(name);
        let began = Instant::now();
        self.approve(name).await?;
        self.sign(name).await?;
        let ready = timeout(PATIENCE, issued).await.with_context(|| format!("{name} is not issued"))??;
        Ok(ready.duration_since(began).as_secs_f64())
    }

    /// `requests` of them, `in_flight` at once: seconds in all, and each one's from its approval to Ready.
    pub(crate) async fn steady(&self, requests: usize, in_flight: usize) -> Result<(f64, Latencies)> {
        let began = Instant::now();
        let names = stream::iter((0..requests).map(|number| format!("steady-{number}")));
        let done = names.map(|name| async move { self.one(&name).await }).buffer_unordered(in_flight);
        let latencies = done.try_collect().await?;
        Ok((began.elapsed().as_secs_f64(), Latencies::new(latencies)))
    }

    /// Makes and approves requests that nobody signs yet.
    pub(crate) async fn pile_up(&self, requests: usize) -> Result<()> {
        let names = stream::iter((0..requests).map(|number| Ok(format!("backlog-{number}"))));
        names
            .try_for_each_concurrent(CONCURRENCY, |name| async move {
                self.make(&name).await?;
                self.approve(&name).await
            })
            .await
    }

    /// Waits until all that were piled up are issued: seconds in all, and each one's, from when the signer `began`.
    pub(crate) async fn work_off(&self, requests: usize, began: Instant) -> Result<(f64, Latencies)> {
        const PATIENCE: Duration = Duration::from_secs(600);
        let names: Vec<_> = (0..requests).map(|number| format!("backlog-{number}")).collect();
        let issued: Vec<_> = names.iter().map(|name| self.wait(name)).collect();
        let signed = stream::iter(names.iter().map(Ok));
        signed.try_for_each_concurrent(CONCURRENCY, |name| self.sign(name)).await?;
        let ready = timeout(PATIENCE, futures::future::try_join_all(issued)).await.context("not all are issued")??;
        let latencies: Vec<_> = ready.iter().map(|at| at.duration_since(began).as_secs_f64()).collect();
        let all = latencies.iter().copied().fold(0.0, f64::max);
        Ok((all, Latencies::new(latencies)))
    }

    async fn make(&self, name: &str) -> Result<()> {
        let object = request(name, self.signer)?;
        self.api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        Ok(())
    }

    async fn approve(&self, name: &str) -> Result<()> {
        let status = json!({"status": {"conditions": [approved()]}});
        self.api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }

    /// What the ceiling does; a signer does it by itself.
    async fn sign(&self, name: &str) -> Result<()> {
        if self.signer.is_process() {
            return Ok(());
        }
        let status = json!({"status": issued(&self.stage.certificate, &self.stage.ca)});
        self.api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
        if self.signer == Signer::CeilingWithEvents {
            // As the issuer sends them.
            let about = ObjectReference {
                api_version: Some(CERTIFICATE_REQUEST.0.to_owned()),
                kind: Some(CERTIFICATE_REQUEST.1.to_owned()),
                name: Some(name.to_owned()),
                namespace: Some(self.space.name.clone()),
                ..ObjectReference::default()
            };
            let event = events::Event {
                type_: EventType::Normal,
                reason: "CertificateIssued".to_owned(),
                note: Some(MESSAGE.to_owned()),
                action: "Sign".to_owned(),
                secondary: None,
            };
            Recorder::new(self.space.cluster.client.clone(), "bench".into()).publish(&event, &about).await?;
        }
        Ok(())
    }

    /// When a request is seen to be ready.
    fn wait(&self, name: &str) -> oneshot::Receiver<Instant> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), sender);
        receiver
    }
}

/// Tells whoever waits for a request that it is ready.
async fn watch(space: Space, waiting: Waiting, listed: oneshot::Sender<()>) {
    let mut listed = Some(listed);
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "CertificateRequest"));
    let api: Api<Seen> = Api::namespaced_with(space.cluster.client.clone(), &space.name, &resource);
    let mut seen = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = seen.next().await {
        let at = Instant::now();
        match event {
            Ok(Event::InitDone) => {
                if let Some(listed) = listed.take() {
                    let _ = listed.send(());
                }
            }
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let ready = object.status.as_ref().is_some_and(|status| status.is_true("Ready"));
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(waits) = ready.then(|| waiting.remove(&object.name_any())).flatten() {
                    let _ = waits.send(at);
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
}

fn request(name: &str, signer: Signer) -> Result<Value> {
    Ok(json!({
        "apiVersion": CERTIFICATE_REQUEST.0, "kind": CERTIFICATE_REQUEST.1, "metadata": {"name": name},
        "spec": {
            "request": base64(&csr(&[&format!("{name}.bench.test")])?),
            "duration": "2160h", "usages": ["digital signature", "key encipherment"],
            "issuerRef": signer.issuer_ref(),
        },
    }))
}

/// The condition of an approved request. Its time is always the same: nobody may change it once it is there.
fn approved() -> Value {
    static TIME: LazyLock<String> = LazyLock::new(now);
    json!({
        "type": "Approved", "status": "True", "reason": "Bench", "message": "Approved by the load",
        "lastTransitionTime": *TIME,
    })
}

/// The status of an issued request.
pub(crate) fn issued(certificate: &str, ca: &str) -> Value {
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Issued",
        "message": MESSAGE, "lastTransitionTime": now(),
    });
    json!({"conditions": [approved(), ready], "certificate": base64(certificate), "ca": base64(ca)})
}

fn now() -> String {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default().to_string()
}

fn base64(text: &str) -> Value {
    json!(k8s_openapi::ByteString(text.as_bytes().to_vec()))
}

/// Makes requests that are finished, as their signers would have left them; the signers by turns.
pub(crate) async fn finished(stage: &Stage, space: &Space, signers: &[Signer], requests: usize) -> Result<()> {
    let api = space.api(CERTIFICATE_REQUEST)?;
    let status = json!({"status": issued(&stage.certificate, &stage.ca)});
    let each = stream::iter(signers.iter().cycle().take(requests).enumerate().map(Ok::<_, anyhow::Error>));
    each.try_for_each_concurrent(CONCURRENCY, |(number, signer)| {
        let (api, status) = (api.clone(), Patch::Merge(status.clone()));
        async move {
            let name = format!("finished-{number}");
            api.create(&PostParams::default(), &serde_json::from_value(request(&name, *signer)?)?).await?;
            api.patch_status(&name, &PatchParams::default(), &status).await?;
            Ok(())
        }
    })
    .await
}

/// How many events there are.
pub(crate) async fn count_events(space: &Space) -> Result<usize> {
    let first = ListParams::default().limit(1);
    let list = space.api(("events.k8s.io/v1", "Event"))?.list(&first).await?;
    Ok(list.items.len() + usize::try_from(list.metadata.remaining_item_count.unwrap_or(0))?)
}

/// Removes all requests, so that every round finds the cluster alike.
pub(crate) async fn clear(space: &Space) -> Result<()> {
    let api = space.api(CERTIFICATE_REQUEST)?;
    api.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    Ok(())
}
