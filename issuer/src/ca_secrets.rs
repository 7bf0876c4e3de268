//! The CA Secrets: each one that an issuer refers to is watched by its name, and no other is ever read.
//!
//! What is kept is the checked [`Authority`], not the Secret: its bytes are zeroed as soon as they have been read.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, pin_mut};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    core::Status,
    runtime::{
        WatchStreamExt,
        watcher::{self, watch_object},
    },
};
use serde::Deserialize;
use tandem_issuer_core::{Authority, Error, authority::Material};
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};
use zeroize::Zeroize;

use crate::{
    api::{IssuerId, IssuerKind, essential},
    client::watched,
    context::watch_error,
    metrics::METRICS,
    panics::{Panicked, isolate},
};

/// How many Secrets are read at once when there are many that have not been: each may have a megabyte.
const AT_ONCE: usize = 8;

/// For how long in a row the server has to forbid to read a Secret before its CA is no longer used: one that has just started
/// forbids everything for a moment.
const A_MOMENT: Duration = Duration::from_secs(10);

/// Which Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SecretId {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A Secret, as far as it is read: what is not read cannot be unreadable, and an object that cannot be read is one that
/// somebody may want to show.
#[derive(Clone, Deserialize, Resource)]
#[resource(inherit = Secret)]
pub(crate) struct CaSecret {
    #[serde(deserialize_with = "essential")]
    metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) data: BTreeMap<String, ByteString>,
}

/// Its name alone: a key is in it.
impl fmt::Debug for CaSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaSecret").field("name", &self.metadata.name).finish_non_exhaustive()
    }
}

/// What was last seen of a CA Secret.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// Nothing has been heard from the server yet.
    Nothing,
    /// It does not exist.
    Missing,
    /// Nobody allows the issuer to read it; its ServiceAccount, as NAMESPACE:NAME. The last CA that could sign is not used, but
    /// known for when the Secret may be read again.
    Forbidden(String, Option<Arc<Authority>>),
    /// The server has not answered yet; why.
    Unreachable(String),
    /// It does not hold a CA that can sign. The last one that could, if there was any, stays in use.
    Invalid(Error, Option<Arc<Authority>>),
    /// It holds this CA.
    Valid(Arc<Authority>),
}

impl Seen {
    /// The state after the Secret was read anew, with its `data`. A valid CA replaces the last one in one step.
    pub(crate) fn read(&self, data: Option<BTreeMap<String, ByteString>>) -> Self {
        let Some(mut data) = data else { return Self::Missing };
        let bytes = |key: &str| data.get(key).map(|value| value.0.as_slice());
        let material = Material { certificates: bytes("tls.crt"), key: bytes("tls.key"), roots: bytes("ca.crt") };
        let read = isolate(|| Authority::from_secret(material)).unwrap_or_else(|Panicked| {
            let problem = "it cannot be read by a fault of the issuer's own, whose log says where".to_owned();
            Err(Error::SecretInvalid { field: "tls.crt", problem })
        });
        let seen = match read {
            Ok(authority) => Self::Valid(Arc::new(authority)),
            Err(error) => Self::Invalid(error, self.last_good()),
        };
        data.values_mut().for_each(|value| value.0.zeroize());
        seen
    }

    /// The state after the server refused, for `refused_for` so far, or failed. A CA that is known stays in use when the server
    /// only fails, or refuses for no longer than [`A_MOMENT`].
    fn failed(&self, error: &watcher::Error, refused_for: Duration) -> Self {
        match (self, refusal(error)) {
            (Self::Nothing | Self::Unreachable(_), None) => Self::Unreachable(watch_error(error)),
            (known, None) => known.clone(),
            (known @ (Self::Valid(_) | Self::Invalid(_, Some(_))), Some(_)) if refused_for < A_MOMENT => known.clone(),
            (known, Some(refusal)) => Self::Forbidden(account(&refusal.message).to_owned(), known.last_good()),
        }
    }

    /// The last CA that could sign. It ends with the Secret: who deletes that takes the CA away.
    fn last_good(&self) -> Option<Arc<Authority>> {
        match self {
            Self::Valid(authority) => Some(authority.clone()),
            Self::Invalid(_, last_good) | Self::Forbidden(_, last_good) => last_good.clone(),
            Self::Nothing | Self::Missing | Self::Unreachable(_) => None,
        }
    }
}

/// What the server says where it forbids.
fn refusal(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(&**status).filter(|status| status.is_forbidden()),
        _ => None,
    }
}

/// Whom the server refuses, by its words (`User "system:serviceaccount:NAMESPACE:NAME" cannot …`); where it names no
/// ServiceAccount, the one that most have.
fn account(refusal: &str) -> &str {
    let mut quoted = refusal.split('"');
    quoted.find_map(|text| text.strip_prefix("system:serviceaccount:")).unwrap_or("tandem:tandem-issuer")
}

/// All CA Secrets in use.
pub(crate) struct CaSecrets {
    client: Client,
    changed: HashMap<IssuerKind, mpsc::UnboundedSender<IssuerId>>,
    watches: Mutex<HashMap<SecretId, Watch>>,
    turns: Semaphore,
}

struct Watch {
    seen: Seen,
    users: HashSet<IssuerId>,
    task: AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl CaSecrets {
    /// `changed`, by kind, hears of each issuer whose Secret changed.
    pub(crate) fn new(client: Client, changed: HashMap<IssuerKind, mpsc::UnboundedSender<IssuerId>>) -> Arc<Self> {
        Arc::new(Self { client, changed, watches: Mutex::default(), turns: Semaphore::new(AT_ONCE) })
    }

    /// What is known of `secret`, which from now on is `user`'s and is watched.
    pub(crate) fn look(self: &Arc<Self>, user: &IssuerId, secret: &SecretId) -> Seen {
        let mut watches = self.lock();
        watches.retain(|id, watch| {
            if id != secret {
                watch.users.remove(user);
            }
            id == secret || !watch.users.is_empty()
        });
        let watch = watches.entry(secret.clone()).or_insert_with(|| {
            let task = tokio::spawn(self.clone().follow(secret.clone())).abort_handle();
            Watch { seen: Seen::Nothing, users: HashSet::new(), task }
        });
        watch.users.insert(user.clone());
        watch.seen.clone()
    }

    /// Whether the server has answered about a Secret.
    pub(crate) fn is_known(&self, secret: &SecretId) -> bool {
        self.lock().get(secret).is_some_and(|watch| !matches!(watch.seen, Seen::Nothing))
    }

    /// All who refer to a Secret.
    pub(crate) fn users(&self) -> HashSet<IssuerId> {
        self.lock().values().flat_map(|watch| watch.users.iter().cloned()).collect()
    }

    /// `user` is gone: a Secret that nobody else refers to is forgotten.
    pub(crate) fn forget(&self, user: &IssuerId) {
        self.lock().retain(|_, watch| {
            watch.users.remove(user);
            !watch.users.is_empty()
        });
    }

    async fn follow(self: Arc<Self>, secret: SecretId) {
        let api: Api<CaSecret> = Api::namespaced(self.client.clone(), &secret.namespace);
        let events = watched(|| watch_object(api.clone(), &secret.name)).default_backoff();
        pin_mut!(events);
        // Until the first answer, of whatever kind.
        let mut turn = self.turns.acquire().await.ok();
        let mut refused_since: Option<Instant> = None;
        while let Some(event) = events.next().await {
            turn.take();
            let is_refused = event.as_ref().is_err_and(|error| refusal(error).is_some());
            refused_since = is_refused.then(|| refused_since.unwrap_or_else(Instant::now));
            if let Some(watch) = self.lock().get_mut(&secret) {
                watch.seen = match event {
                    Ok(object) => watch.seen.read(object.map(|secret| secret.data)),
                    Err(error) => {
                        METRICS.watch_error("secrets");
                        watch.seen.failed(&error, refused_since.map_or(Duration::ZERO, |since| since.elapsed()))
                    }
                };
                for user in &watch.users {
                    if let Some(changed) = self.changed.get(&user.kind) {
                        // The receiver ends with the process.
                        let _ = changed.send(user.clone());
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SecretId, Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fact 29: who has to be allowed is who was refused, wherever it is installed and under whatever name.
    #[test]
    fn the_account_is_the_one_that_was_refused() {
        let refusal = |user: &str| {
            format!(r#"secrets "ca" is forbidden: User "{user}" cannot list resource "secrets" in API group "" in …"#)
        };
        assert_eq!(account(&refusal("system:serviceaccount:pki:our-issuer")), "pki:our-issuer");
        assert_eq!(account(&refusal("admin")), "tandem:tandem-issuer");
        let seen = Seen::Nothing.failed(&forbidden(&refusal("system:serviceaccount:pki:our-issuer")), Duration::ZERO);
        assert!(matches!(seen, Seen::Forbidden(account, None) if account == "pki:our-issuer"));
    }

    fn forbidden(message: &str) -> watcher::Error {
        let status = serde_json::json!({"code": 403, "reason": "Forbidden", "message": message});
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(serde_json::from_value(status).unwrap())))
    }

    /// Fact 24: a server that starts forbids everything; one that fails says nothing about the Secret. Who deletes the Secret
    /// takes its CA away.
    #[test]
    fn the_last_good_ca_outlives_refusals_and_failures_and_ends_with_the_secret() {
        let data = |key: &str| {
            let entry = |name: &str, text: &str| (name.to_owned(), ByteString(text.as_bytes().to_vec()));
            let certificate = include_str!("../core/tests/data/ca-sec1.crt");
            Some(BTreeMap::from([entry("tls.crt", certificate), entry("tls.key", key)]))
        };
        let whole = || data(include_str!("../core/tests/data/ca-sec1.key"));
        let half = || data("half a key");
        let valid = Seen::Nothing.read(whole());
        assert!(matches!(valid, Seen::Valid(_)), "{valid:?}");
        for seen in [valid.read(half()), valid] {
            let moment = seen.failed(&forbidden("no"), A_MOMENT - Duration::from_millis(1));
            assert!(matches!(moment, Seen::Valid(_) | Seen::Invalid(_, Some(_))), "after a moment: {moment:?}");
            let refused = moment.failed(&forbidden("no"), A_MOMENT);
            let still = refused.failed(&forbidden("no"), Duration::ZERO);
            let failed = still.failed(&watcher::Error::NoResourceVersion, Duration::ZERO);
            for forbidden in [&refused, &still, &failed] {
                assert!(matches!(forbidden, Seen::Forbidden(_, Some(_))), "{forbidden:?}");
                assert!(matches!(forbidden.read(half()), Seen::Invalid(_, Some(_))), "lost by {forbidden:?}");
                assert!(matches!(forbidden.read(whole()), Seen::Valid(_)));
            }
            let anew = failed.read(None).read(half());
            assert!(matches!(anew, Seen::Invalid(_, None)), "a Secret that was deleted is in use: {anew:?}");
        }
        let unknown = Seen::Missing.failed(&forbidden("no"), Duration::ZERO);
        assert!(matches!(unknown, Seen::Forbidden(_, None)), "nothing is in use that could be kept: {unknown:?}");
    }

    /// What watches it asks for a form to show it in.
    #[test]
    fn a_secret_shows_its_name_alone() {
        let secret = serde_json::json!({"metadata": {"name": "ca"}, "data": {"tls.key": "c2VjcmV0"}});
        let secret: CaSecret = serde_json::from_value(secret).unwrap();
        assert_eq!(secret.data["tls.key"].0, b"secret");
        assert_eq!(format!("{secret:?}"), r#"CaSecret { name: Some("ca"), .. }"#);
    }

    /// In the words of one who waits for a certificate: without those of the client.
    #[test]
    fn why_a_secret_cannot_be_read_is_told_by_its_cause() {
        let status: Box<kube::core::Status> = serde_json::from_value(serde_json::json!({
            "code": 500, "reason": "InternalError", "message": "etcdserver: no leader",
        }))
        .unwrap();
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        for (error, why) in [
            (
                watcher::Error::InitialListFailed(kube::Error::Api(status.clone())),
                "etcdserver: no leader (500 InternalError)",
            ),
            (watcher::Error::WatchError(status), "etcdserver: no leader (500 InternalError)"),
            (watcher::Error::WatchStartFailed(kube::Error::Service(Box::new(refused()))), "connection refused"),
        ] {
            let seen = Seen::Nothing.failed(&error, Duration::ZERO);
            assert!(matches!(&seen, Seen::Unreachable(told) if told == why), "{seen:?}");
        }
    }
}
