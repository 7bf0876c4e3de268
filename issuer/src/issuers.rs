//! What is known of the issuers: the objects, their CA Secrets, and what was concluded of both.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use kube::runtime::reflector::Store;
use tandem_issuer_core::{Authority, Settings, decide};
use tokio::sync::mpsc;

use crate::{
    admin::is_listed,
    api::{
        Issuer, IssuerId, IssuerKind,
        issuer::{CaSource, generation},
    },
    ca_secrets::{CaSecrets, SecretId},
    metrics::METRICS,
    outcome::Judgement,
};

/// An issuer that can sign.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) authority: Arc<Authority>,
    pub(crate) settings: Settings,
}

/// What is known of the issuer that a request refers to. Requests wait, unmarked, while it is not known.
#[derive(Clone, Debug)]
pub(crate) enum Observed {
    /// It does not exist, but perhaps one of its name and of the other kind.
    Missing(Option<IssuerId>),
    NotReady(Judgement),
    Ready(Arc<Ready>),
}

impl Observed {
    /// The same in the core's terms.
    pub(crate) fn to_core(&self) -> decide::Issuer<'_> {
        match self {
            Self::Missing(_) => decide::Issuer::Missing,
            Self::NotReady(judgement) => decide::Issuer::NotReady(&judgement.message),
            Self::Ready(ready) => decide::Issuer::Ready { authority: &ready.authority, settings: &ready.settings },
        }
    }

    /// The subject key identifier of the CA that it signs with, in hexadecimal.
    pub(crate) fn key_id(&self) -> Option<&str> {
        match self {
            Self::Ready(ready) => Some(&ready.authority.description().subject_key_id),
            Self::Missing(_) | Self::NotReady(_) => None,
        }
    }
}

/// That the issuer does not exist, but perhaps another one that may have been meant.
pub(crate) fn missing(id: &IssuerId, other: Option<&IssuerId>) -> String {
    let hint = other.map(|other| format!("; a {} of that name does", other.kind.kind()));
    format!("{id} does not exist{}", hint.unwrap_or_default())
}

/// Of what a conclusion is: this object and no later one of its name, with this spec.
pub(crate) type Version = (Option<String>, i64);

pub(crate) fn version(issuer: &Issuer) -> Version {
    (issuer.metadata.uid.clone(), generation(issuer))
}

/// All issuers, and what has been concluded of each.
pub(crate) struct Issuers {
    pub(crate) stores: HashMap<IssuerKind, Store<Issuer>>,
    pub(crate) secrets: Arc<CaSecrets>,
    cluster_resource_namespace: String,
    concluded: RwLock<HashMap<IssuerId, (Version, Observed)>>,
    wake: Vec<mpsc::UnboundedSender<IssuerId>>,
}

impl Issuers {
    /// Each of `wake` hears of each issuer about which something new has been concluded.
    pub(crate) fn new(
        stores: HashMap<IssuerKind, Store<Issuer>>,
        secrets: Arc<CaSecrets>,
        cluster_resource_namespace: String,
        wake: Vec<mpsc::UnboundedSender<IssuerId>>,
    ) -> Self {
        Self { stores, secrets, cluster_resource_namespace, concluded: RwLock::default(), wake }
    }

    /// What is known of an issuer to which a request in `namespace` refers; `None` where it has changed and has not been looked
    /// at since (its requests are woken afterwards).
    pub(crate) fn observe(&self, id: &IssuerId, namespace: Option<&str>) -> Option<Observed> {
        let Some(issuer) = self.get(id) else {
            let other = id.of_the_other_kind(namespace).filter(|other| self.get(other).is_some());
            return Some(Observed::Missing(other));
        };
        let concluded = self.concluded.read().unwrap_or_else(PoisonError::into_inner);
        let (of_version, observed) = concluded.get(id)?;
        (*of_version == version(&issuer)).then(|| observed.clone())
    }

    fn get(&self, id: &IssuerId) -> Option<Arc<Issuer>> {
        self.stores.get(&id.kind)?.get(&id.clone().into_reference())
    }

    /// Keeps what was concluded, and wakes the issuer's requests; of an issuer that has gone meanwhile nothing is kept.
    pub(crate) fn conclude(&self, id: IssuerId, version: Version, observed: Observed) {
        if self.get(&id).is_none() {
            return;
        }
        let mut concluded = self.concluded.write().unwrap_or_else(PoisonError::into_inner);
        concluded.insert(id.clone(), (version, observed));
        self.wake(&id);
    }

    /// The issuer is gone.
    pub(crate) fn forget(&self, id: &IssuerId) {
        METRICS.forget_issuer(id);
        self.secrets.forget(id);
        self.concluded.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.wake(id);
    }

    /// All issuers of a kind have been listed anew: some may be gone without a word. Whatever is known of an issuer, its Secret
    /// was looked at first.
    pub(crate) fn forget_missing(&self, kind: IssuerKind) {
        let missing = |id: &IssuerId| id.kind == kind && self.get(id).is_none();
        self.secrets.users().iter().filter(|id| missing(id)).for_each(|id| self.forget(id));
    }

    fn wake(&self, id: &IssuerId) {
        for wake in &self.wake {
            // The receiver ends with the process.
            let _ = wake.send(id.clone());
        }
    }

    /// Whether all issuers have been listed, and the server has answered about each one's CA Secret.
    pub(crate) fn are_secrets_known(&self) -> bool {
        self.stores.iter().all(|(kind, store)| {
            let is_known = |issuer: &Arc<Issuer>| match &issuer.spec.ca {
                Some(ca) => self.secrets.is_known(&self.secret_of(&IssuerId::of(*kind, issuer), ca)),
                None => true,
            };
            is_listed(store) && store.state().iter().all(is_known)
        })
    }

    /// Where the CA Secret of an issuer lives: a cluster issuer's in one place, any other's beside it, nowhere else.
    pub(crate) fn secret_of(&self, id: &IssuerId, ca: &CaSource) -> SecretId {
        let namespace = id.namespace.as_ref().unwrap_or(&self.cluster_resource_namespace).clone();
        SecretId { namespace, name: ca.secret_name.clone() }
    }
}

#[cfg(test)]
mod tests {
    use kube::{
        Client, Config,
        runtime::{reflector::store::Writer, watcher::Event},
    };

    use super::*;

    const KIND: IssuerKind = IssuerKind::Namespaced;

    fn issuer(uid: &str, generation: i64) -> Issuer {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "pki.tandem.internal/v1alpha1", "kind": "TandemIssuer",
            "metadata": {"name": "ca", "namespace": "shop", "uid": uid, "generation": generation},
            "spec": {"ca": {"secretName": "ca"}},
        }))
        .unwrap()
    }

    fn issuers() -> (Writer<Issuer>, Issuers, mpsc::UnboundedReceiver<IssuerId>) {
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let writer = Writer::new(KIND.resource());
        let (wake, woken) = mpsc::unbounded_channel();
        let stores = HashMap::from([(KIND, writer.as_reader())]);
        let secrets = CaSecrets::new(client, HashMap::new());
        (writer, Issuers::new(stores, secrets, "tandem".to_owned(), vec![wake]), woken)
    }

    /// As a look does.
    fn conclude(issuers: &Issuers, issuer: &Issuer) {
        let id = IssuerId::of(KIND, issuer);
        issuers.secrets.look(&id, &issuers.secret_of(&id, issuer.spec.ca.as_ref().unwrap()));
        let judgement = Judgement::not_ready("ErrGetKeyPair", "SecretMissing", "no Secret".to_owned());
        issuers.conclude(id, version(issuer), Observed::NotReady(judgement));
    }

    /// Fact 6: what was concluded counts for that very object, as it was then; its requests wait until it was looked at anew.
    #[tokio::test]
    async fn a_conclusion_is_of_one_object_and_one_generation() {
        let (mut writer, issuers, _woken) = issuers();
        let id = IssuerId::of(KIND, &issuer("a", 1));
        assert!(matches!(issuers.observe(&id, Some("shop")), Some(Observed::Missing(None))));
        writer.apply_watcher_event(&Event::Apply(issuer("a", 1)));
        assert!(issuers.observe(&id, Some("shop")).is_none(), "nobody has looked at it");
        conclude(&issuers, &issuer("a", 1));
        assert!(matches!(issuers.observe(&id, Some("shop")), Some(Observed::NotReady(_))));
        for other in [issuer("a", 2), issuer("b", 1)] {
            writer.apply_watcher_event(&Event::Apply(other));
            assert!(issuers.observe(&id, Some("shop")).is_none(), "it has changed");
        }
        writer.apply_watcher_event(&Event::Delete(issuer("b", 1)));
        assert!(matches!(issuers.observe(&id, Some("shop")), Some(Observed::Missing(None))));
    }

    /// A watch that was interrupted does not tell what has gone meanwhile: the next list does.
    #[tokio::test]
    async fn an_issuer_that_is_no_longer_listed_is_forgotten_and_its_requests_are_woken() {
        let (mut writer, issuers, mut woken) = issuers();
        writer.apply_watcher_event(&Event::Apply(issuer("a", 1)));
        conclude(&issuers, &issuer("a", 1));
        assert_eq!(woken.try_recv().unwrap(), IssuerId::of(KIND, &issuer("a", 1)));
        issuers.forget_missing(KIND);
        assert!(woken.try_recv().is_err(), "it is still there");
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        issuers.forget_missing(KIND);
        assert_eq!(woken.try_recv().unwrap(), IssuerId::of(KIND, &issuer("a", 1)));
        assert!(issuers.concluded.read().unwrap().is_empty());
        assert!(issuers.secrets.users().is_empty(), "its Secret is watched");
    }

    /// Its Secret has been asked for, and there was no answer yet: nothing has been concluded.
    #[tokio::test]
    async fn the_secret_of_an_issuer_that_is_no_longer_listed_is_not_watched_whatever_was_concluded() {
        let (mut writer, issuers, _woken) = issuers();
        writer.apply_watcher_event(&Event::Apply(issuer("a", 1)));
        let id = IssuerId::of(KIND, &issuer("a", 1));
        issuers.secrets.look(&id, &issuers.secret_of(&id, issuer("a", 1).spec.ca.as_ref().unwrap()));
        for event in [Event::Init, Event::InitDone] {
            writer.apply_watcher_event(&event);
        }
        issuers.forget_missing(KIND);
        assert!(issuers.secrets.users().is_empty());
    }

    /// Its status was being written when it was deleted.
    #[tokio::test]
    async fn nothing_is_concluded_of_an_issuer_that_is_gone() {
        let (mut writer, issuers, mut woken) = issuers();
        writer.apply_watcher_event(&Event::Apply(issuer("a", 1)));
        writer.apply_watcher_event(&Event::Delete(issuer("a", 1)));
        issuers.forget(&IssuerId::of(KIND, &issuer("a", 1)));
        woken.try_recv().unwrap();
        conclude(&issuers, &issuer("a", 1));
        assert!(issuers.concluded.read().unwrap().is_empty(), "its CA's key is kept");
        assert!(woken.try_recv().is_err());
    }
}
