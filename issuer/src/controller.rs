//! What runs the flow: watches, wake-ups, retries, leadership, shutdown.
//!
//! ```text
//!  issuers ──┬─▶ reconcile_issuer::reconcile ──wake──┐
//!  Secrets ──┘                                       ├─▶ reconcile::reconcile
//!  requests of both APIs (unfinished, ours) ─────────┘
//! ```

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    hash::Hash,
    sync::Arc,
};

use futures::{
    FutureExt, Stream, StreamExt, TryStreamExt,
    future::{self, Shared},
    stream,
};
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{
    admin::{self, Admin, CACHES, is_listed},
    announcer::{alongside, announcer},
    api::{CertificateRequest, CertificateSigningRequest, Issuer, IssuerId, IssuerKind, SigningRequest},
    args::Run,
    ca_secrets::CaSecrets,
    client::{connect, watched},
    context::{Context, watch_error},
    issuers::Issuers,
    leader::{Candidate, Leadership},
    metrics::{METRICS, Waiting},
    reconcile::reconcile,
    reconcile_issuer, telemetry,
    work::work_off,
};

/// How many objects are read at once from a list. A page is in memory as a whole, with its text, before what is not needed is
/// dropped, and anybody's object may have a megabyte.
const PAGE: u32 = 10;

/// Why the command ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("starting: {0}")]
    Start(#[source] std::io::Error),
    #[error("the kubeconfig: {0}; name another one with --kubeconfig or $KUBECONFIG")]
    Kubeconfig(#[source] kube::config::KubeconfigError),
    #[error("no cluster was found: {0}; name a kubeconfig with --kubeconfig or $KUBECONFIG")]
    NoCluster(#[source] kube::config::InferConfigError),
    #[error("the client for the API server: {0}")]
    Client(#[source] kube::Error),
    #[error("the system gave no random bytes")]
    Random,
    #[error(transparent)]
    Admin(#[from] admin::Error),
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
}

/// Runs until SIGTERM or SIGINT; work in hand is finished.
pub(crate) fn run(args: Run) -> Result<(), Error> {
    // One thread: the API server is waited for most of the time, and a thread saved is memory saved.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
    runtime.block_on(async {
        let telemetry = telemetry::start(&args.telemetry)?;
        let admin = Admin::bind(&args.admin).await?;
        let client = connect(args.kubeconfig.as_deref()).await?;
        let own = client.default_namespace().to_owned();
        let stop = stop_signal()?.boxed().shared();
        tracing::info!(version = tandem_cli::VERSION, namespaces = ?args.namespaces, "running");
        let (candidate, leadership) = match args.election(&own) {
            Some(election) => {
                let (candidate, leadership) = Candidate::new(client.clone(), identity()?, election);
                (Some(candidate), leadership)
            }
            None => (None, Leadership::Alone),
        };
        if let Some(admin) = admin {
            let stop = stop.clone();
            tokio::spawn(admin.serve(leadership.clone(), move || stop.peek().is_some()));
        }
        let home = args.cluster_resource_namespace.unwrap_or(own);
        // What is watched in one namespace is a world of its own: a TandemIssuer serves the requests beside it.
        let only: BTreeSet<_> = args.namespaces.into_iter().map(Some).collect();
        let only = if only.is_empty() { BTreeSet::from([None]) } else { only };
        let (working, mut work) = mpsc::channel::<Infallible>(1);
        let worlds = only
            .into_iter()
            .map(|only| control(client.clone(), leadership.clone(), only, home.clone(), stop.clone(), working.clone()));
        let act = future::join_all(worlds.collect::<Vec<_>>());
        drop(working);
        let stand = async {
            if let Some(candidate) = candidate {
                // Until nobody works any more.
                candidate.stand(work.recv().map(drop)).await;
            }
        };
        future::join(act, stand).await;
        telemetry.finish().await;
        Ok(())
    })
}

/// Ends at the first SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Start)?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("stopping");
    })
}

/// The name of the machine, which is the pod's, and what no other has.
fn identity() -> Result<String, Error> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::Random)?;
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(format!("{machine}_{:016x}", u64::from_ne_bytes(random)))
}

/// Serves the whole cluster, or `only` one namespace: then nothing is asked of the API server that takes rights beyond it,
/// and the kinds that are in no namespace (TandemClusterIssuers, CertificateSigningRequests) are left alone. After `stop`
/// work in hand is finished, `working` is dropped, and what is left to be told is told.
async fn control(
    client: Client,
    leadership: Leadership,
    only: Option<String>,
    cluster_resource_namespace: String,
    stop: Shared<impl Future<Output = ()> + Send + 'static>,
    working: mpsc::Sender<Infallible>,
) {
    let (wake_requests, woken_requests) = mpsc::unbounded_channel();
    let (wake_signing_requests, woken_signing_requests) = mpsc::unbounded_channel();
    let (mut stores, mut changed, mut flows) = (HashMap::new(), HashMap::new(), Vec::new());
    for kind in IssuerKind::ALL.into_iter().filter(|kind| only.is_none() || *kind == IssuerKind::Namespaced) {
        let writer = Writer::new(kind.resource());
        let (sender, secret_changes) = mpsc::unbounded_channel();
        stores.insert(kind, writer.as_reader());
        changed.insert(kind, sender);
        flows.push((kind, writer, secret_changes));
    }
    let secrets = CaSecrets::new(client.clone(), changed);
    let issuers = Issuers::new(stores, secrets, cluster_resource_namespace, vec![wake_requests, wake_signing_requests]);
    // What it did while it led is told when it leaves, too.
    let (leads, leaves) = (leadership.clone(), stop.clone());
    let (announcer, announcing) = announcer(client.clone(), move || leads.leading() || leaves.peek().is_some());
    let context = Arc::new(Context::new(client, issuers, leadership, announcer));
    // The caches are asked about until the process ends. Who held the context until then would hold the announcer, whose
    // events would then never be known to be all.
    let heard_of = Arc::downgrade(&context);
    CACHES.add(within("secrets", only.as_deref()), move || {
        heard_of.upgrade().is_some_and(|context| context.issuers.are_secrets_known())
    });
    METRICS.begin_watch("secrets");

    let issuers = flows.into_iter().map(|(kind, writer, secret_changes)| {
        let api = match &only {
            Some(namespace) => Api::namespaced_with(context.client.clone(), namespace, &kind.resource()),
            None => Api::all_with(context.client.clone(), &kind.resource()),
        };
        run_issuers(kind, api, only.clone(), writer, secret_changes, context.clone(), stop.clone())
    });
    let issuers = future::join_all(issuers.collect::<Vec<_>>());
    let requests: Api<CertificateRequest> = match &only {
        Some(namespace) => Api::namespaced(context.client.clone(), namespace),
        None => Api::all(context.client.clone()),
    };
    let requests = run_requests(requests, only.clone(), woken_requests, context.clone(), stop.clone());
    let signing_requests = async move {
        if only.is_none() {
            let requests: Api<CertificateSigningRequest> = Api::all(context.client.clone());
            run_requests(requests, only, woken_signing_requests, context, stop).await;
        }
    };
    let all = async {
        future::join3(issuers, requests, signing_requests).await;
        drop(working);
    };
    alongside(all, announcing).await;
}

/// Reconciles the issuers of one kind when they or their Secrets change.
async fn run_issuers(
    kind: IssuerKind,
    api: Api<Issuer>,
    only: Option<String>,
    writer: Writer<Issuer>,
    secret_changes: mpsc::UnboundedReceiver<IssuerId>,
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Clone + Send + 'static,
) {
    let store = writer.as_reader();
    let listed = store.clone();
    CACHES.add(within(kind.plural(), only.as_deref()), move || is_listed(&listed));
    METRICS.begin_watch(kind.plural());
    METRICS.begin_looks(kind.plural());
    let (forgetful, leadership) = (context.clone(), context.leadership.clone());
    let events = watched(move || watcher(api.clone(), watcher::Config::default().page_size(PAGE)));
    let events = events.modify(strip).default_backoff().reflect(writer);
    let events = events.inspect(move |event| match event {
        Ok(Event::Delete(issuer)) => forgetful.issuers.forget(&IssuerId::of(kind, issuer)),
        Ok(Event::InitDone) => forgetful.issuers.forget_missing(kind),
        Ok(Event::Init) => METRICS.watch_list(kind.plural()),
        Ok(_) => {}
        Err(error) => report(kind.plural(), only.as_deref(), error),
    });
    let known = store.clone();
    let changed = events.flat_map(move |event| stream::iter(touched(event, &known, &kind.resource())));
    let by_secret = channel(secret_changes).map(IssuerId::into_reference);
    let look = move |issuer| reconcile_issuer::reconcile(issuer, kind, context.clone());
    let waiting = Waiting::new(kind.plural(), telemetry::issuer_span);
    work_off(stream::select(changed, by_secret), store, kind.resource(), leadership, look, waiting, stop).await;
}

/// Reconciles the requests that are ours and unfinished when they or their issuers change. Finished ones are dropped
/// as they arrive: what a cluster has issued over the years does not stay in memory.
async fn run_requests<R: SigningRequest>(
    api: Api<R>,
    only: Option<String>,
    woken: mpsc::UnboundedReceiver<IssuerId>,
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Clone + Send + 'static,
) {
    let writer = Writer::<R>::default();
    let store = writer.as_reader();
    let synced = store.clone();
    CACHES.add(within(&R::plural(&()), only.as_deref()), move || is_listed(&synced));
    METRICS.watch_requests(store.clone());
    METRICS.begin_watch(&R::plural(&()));
    METRICS.begin_looks(&R::plural(&()));
    // A request must not be told that its issuer is missing before the issuers have been listed.
    let listed = context.issuers.stores.values().map(Store::wait_until_ready);
    let listed = future::join_all(listed);
    if let future::Either::Right(_) = future::select(listed, Box::pin(stop.clone())).await {
        return;
    }
    let kinds: Vec<_> = context.issuers.stores.keys().copied().collect();
    let events = watched(move || watcher(api.clone(), watcher::Config::default().page_size(PAGE)))
        .inspect(move |event| match event {
            Ok(Event::Init) => METRICS.watch_list(&R::plural(&())),
            Ok(_) => {}
            Err(error) => report(&R::plural(&()), only.as_deref(), error),
        })
        .modify(R::strip)
        .try_filter_map(move |event| future::ready(Ok(unfinished(event, &kinds))));
    let events = events.default_backoff().reflect(writer);
    let (known, waiting) = (store.clone(), store.clone());
    let changed = events.flat_map(move |event| stream::iter(touched(event, &known, &())));
    let by_issuer = channel(woken).flat_map(move |id| stream::iter(referring_to(&waiting, &id)));
    let leadership = context.leadership.clone();
    let look = move |request| reconcile::<R>(request, context.clone());
    let waiting = Waiting::new(&R::plural(&()), telemetry::request_span);
    work_off(stream::select(changed, by_issuer), store, (), leadership, look, waiting, stop).await;
}

/// The objects that an event of a watch is about. After a list has been read anew these are all: which of them changed
/// meanwhile is not known, and none is in the store before the list is complete.
fn touched<K: Resource<DynamicType: Clone + Eq + Hash> + Clone>(
    event: Result<Event<K>, watcher::Error>,
    store: &Store<K>,
    resource: &K::DynamicType,
) -> Vec<ObjectRef<K>> {
    let reference = |object: &K| ObjectRef::from_obj_with(object, resource.clone());
    match event {
        Ok(Event::Apply(object)) => vec![reference(&object)],
        Ok(Event::InitDone) => store.state().iter().map(|object| reference(object)).collect(),
        // What is gone needs nothing, and errors have been logged.
        Ok(Event::Delete(_) | Event::Init | Event::InitApply(_)) | Err(_) => Vec::new(),
    }
}

/// Leaves out what is not ours or refers to a kind of issuers that is not served, and turns what is finished into what is
/// gone.
fn unfinished<R: SigningRequest>(event: Event<R>, kinds: &[IssuerKind]) -> Option<Event<R>> {
    let ours = |request: &R| request.issuer().is_some_and(|issuer| kinds.contains(&issuer.kind));
    match event {
        Event::Apply(request) if !ours(&request) => None,
        Event::Apply(request) if request.finished() => Some(Event::Delete(request)),
        Event::InitApply(request) if !ours(&request) || request.finished() => None,
        other => Some(other),
    }
}

/// The requests that refer to the issuer, or miss one of its name and of the other kind, and say that this one is there.
fn referring_to<R: SigningRequest>(store: &Store<R>, issuer: &IssuerId) -> Vec<ObjectRef<R>> {
    let refers = |request: &R| {
        let id = request.issuer();
        let other = || id.as_ref()?.of_the_other_kind(request.meta().namespace.as_deref());
        id.as_ref() == Some(issuer) || other().as_ref() == Some(issuer)
    };
    store.state_filter(refers).iter().map(|request| ObjectRef::from_obj(request.as_ref())).collect()
}

/// Drops what is never looked at and takes room.
fn strip(object: &mut Issuer) {
    object.meta_mut().annotations = None;
}

fn channel<T>(receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> {
    stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|item| (item, receiver)) })
}

/// The name of a cache, with the namespace where it is of one alone.
fn within(resource: &str, only: Option<&str>) -> String {
    only.map_or_else(|| resource.to_owned(), |namespace| format!("{resource} in {namespace}"))
}

fn report(resource: &str, namespace: Option<&str>, error: &watcher::Error) {
    METRICS.watch_error(resource);
    let hint = match error {
        // By its code: for a kind that is not there the server answers in plain text, without a reason.
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404 => {
            "; is it installed? `tandem-issuer crds` prints ours, cert-manager brings its own"
        }
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.is_forbidden() => match namespace {
            Some(_) => "; is there a Role for the issuer? The chart makes one in each of `scope.namespaces`",
            None => "; is there a ClusterRole for the issuer? The chart makes it",
        },
        _ => "",
    };
    let error = watch_error(error);
    tracing::warn!(resource, namespace, error, "watching failed, and is tried again{hint}");
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    /// A list that is read anew may come in pages, and its objects are in the store only at its end.
    #[test]
    fn after_a_list_everything_in_it_is_looked_at() {
        let mut writer = Writer::<ConfigMap>::default();
        let store = writer.as_reader();
        let object = |name: &str| {
            let mut object = ConfigMap::default();
            object.metadata.name = Some(name.to_owned());
            object
        };
        let mut hear = |event: Event<ConfigMap>| {
            writer.apply_watcher_event(&event);
            let mut names: Vec<_> = touched(Ok(event), &store, &()).into_iter().map(|object| object.name).collect();
            names.sort();
            names
        };
        assert_eq!(hear(Event::Apply(object("a"))), ["a"]);
        assert!(hear(Event::Init).is_empty());
        assert!(hear(Event::InitApply(object("b"))).is_empty(), "it is not in the store yet");
        assert!(hear(Event::InitApply(object("c"))).is_empty());
        assert_eq!(hear(Event::InitDone), ["b", "c"]);
        assert!(hear(Event::Delete(object("b"))).is_empty());
    }
}
