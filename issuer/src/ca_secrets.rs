//! The CA Secrets: each one that an issuer refers to is watched by its name, and no other is ever read.
//!
//! What is kept is the checked [`Authority`], not the Secret: its bytes are zeroed as soon as they have been read.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt, pin_mut};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
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
    /// Nobody allows the issuer to read it; its ServiceAccount, as NAMESPACE:NAME.
    Forbidden(String),
    /// The server did not answer; why.
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

    /// The state after the server refused or failed. A CA that is known stays in use when the server only fails.
    fn failed(&self, error: &watcher::Error) -> Self {
        let refusal = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => Some(status).filter(|status| status.is_forbidden()),
            _ => None,
        };
        if let Some(refusal) = refusal {
            return Self::Forbidden(account(&refusal.message).to_owned());
        }
        match self {
            Self::Nothing | Self::Unreachable(_) => Self::Unreachable(watch_error(error)),
            known => known.clone(),
        }
    }

    fn last_good(&self) -> Option<Arc<Authority>> {
        match self {
            Self::Valid(authority) => Some(authority.clone()),
            Self::Invalid(_, last_good) => last_good.clone(),
            Self::Nothing | Self::Missing | Self::Forbidden(_) | Self::Unreachable(_) => None,
        }
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
        while let Some(event) = events.next().await {
            turn.take();
            if let Some(watch) = self.lock().get_mut(&secret) {
                watch.seen = match event {
                    Ok(object) => watch.seen.read(object.map(|secret| secret.data)),
                    Err(error) => {
                        METRICS.watch_error("secrets");
                        watch.seen.failed(&error)
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
        let status = serde_json::from_value(serde_json::json!({
            "code": 403, "reason": "Forbidden", "message": refusal("system:serviceaccount:pki:our-issuer"),
        }));
        let error = watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status.unwrap())));
        assert!(matches!(Seen::Nothing.failed(&error), Seen::Forbidden(account) if account == "pki:our-issuer"));
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
            let seen = Seen::Nothing.failed(&error);
            assert!(matches!(&seen, Seen::Unreachable(told) if told == why), "{seen:?}");
        }
    }
}
