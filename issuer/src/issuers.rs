//! The issuers: from spec and CA Secret to the Ready condition, and to an authority that requests can be signed with.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jiff::Timestamp;
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
    runtime::{
        controller::Action,
        reflector::{ObjectRef, Store},
    },
};
use tandem_issuer_core::{Authority, Error as CoreError, certificate::Urls, decide};
use tokio::sync::mpsc;

use crate::{
    api::{
        CertificateRequest, Issuer, IssuerId, IssuerKind,
        issuer::{AuthorityStatus, CaSource, generation},
    },
    authorities::{CaSecrets, SecretId, Seen},
    controller::Context,
    reconcile::Error,
    status::{self, FIELD_MANAGER, Judgement},
};

/// An issuer that can sign.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) authority: Arc<Authority>,
    urls: Urls,
    leaf_beyond_ca: decide::LeafBeyondCa,
}

/// What is known of the issuer that a request refers to. Requests wait, unmarked, while it is not known.
#[derive(Clone, Debug)]
pub(crate) enum Observed {
    Missing,
    NotReady(String),
    Ready(Arc<Ready>),
}

impl Observed {
    /// The same in the core's terms.
    pub(crate) fn to_core(&self) -> decide::Issuer<'_> {
        match self {
            Self::Missing => decide::Issuer::Missing,
            Self::NotReady(why) => decide::Issuer::NotReady(why),
            Self::Ready(ready) => decide::Issuer::Ready {
                authority: &ready.authority,
                urls: &ready.urls,
                leaf_beyond_ca: ready.leaf_beyond_ca,
            },
        }
    }
}

/// All issuers, and what has been concluded of each.
pub(crate) struct Issuers {
    pub(crate) stores: HashMap<IssuerKind, Store<Issuer>>,
    pub(crate) secrets: Arc<CaSecrets>,
    cluster_resource_namespace: String,
    concluded: RwLock<HashMap<IssuerId, (i64, Observed)>>,
    wake: mpsc::UnboundedSender<IssuerId>,
}

impl Issuers {
    /// `wake` hears of each issuer about which something new has been concluded.
    pub(crate) fn new(
        stores: HashMap<IssuerKind, Store<Issuer>>,
        secrets: Arc<CaSecrets>,
        cluster_resource_namespace: String,
        wake: mpsc::UnboundedSender<IssuerId>,
    ) -> Self {
        Self { stores, secrets, cluster_resource_namespace, concluded: RwLock::default(), wake }
    }

    /// What is known of the issuer that `request` refers to; `None` where it is not ours, or where it has changed and
    /// has not been looked at since (the request is woken afterwards).
    pub(crate) fn observe(&self, request: &CertificateRequest) -> Option<(IssuerId, Observed)> {
        let id = IssuerId::referred(&request.spec.issuer_ref, request.metadata.namespace.clone())?;
        let Some(issuer) = self.get(&id) else { return Some((id, Observed::Missing)) };
        let concluded = self.concluded.read().unwrap_or_else(PoisonError::into_inner);
        let (of_generation, observed) = concluded.get(&id)?;
        (*of_generation == generation(issuer.as_ref())).then(|| (id, observed.clone()))
    }

    fn get(&self, id: &IssuerId) -> Option<Arc<Issuer>> {
        let mut reference = ObjectRef::new_with(&id.name, id.kind.resource());
        reference.namespace.clone_from(&id.namespace);
        self.stores.get(&id.kind)?.get(&reference)
    }

    fn conclude(&self, id: IssuerId, generation: i64, observed: Observed) {
        let mut concluded = self.concluded.write().unwrap_or_else(PoisonError::into_inner);
        concluded.insert(id.clone(), (generation, observed));
        // The receiver ends with the process.
        let _ = self.wake.send(id);
    }

    /// The issuer is gone.
    pub(crate) fn forget(&self, id: &IssuerId) {
        self.secrets.forget(id);
        self.concluded.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        let _ = self.wake.send(id.clone());
    }

    /// Where the CA Secret of an issuer lives: a cluster issuer's in one place, any other's beside it, nowhere else.
    fn secret_of(&self, id: &IssuerId, ca: &CaSource) -> SecretId {
        let namespace = id.namespace.as_ref().unwrap_or(&self.cluster_resource_namespace).clone();
        SecretId { namespace, name: ca.secret_name.clone() }
    }
}

/// Observes the issuer and its Secret, judges them, and says so; then the issuer's requests are woken.
pub(crate) async fn reconcile(issuer: Arc<Issuer>, kind: IssuerKind, ctx: Arc<Context>) -> Result<Action, Error> {
    let now = Timestamp::now();
    let id = IssuerId::of(kind, &issuer);

    // Observe. Admission lets no spec pass without a source.
    let Some(ca) = &issuer.spec.ca else { return Ok(Action::await_change()) };
    let secret = ctx.issuers.secret_of(&id, ca);
    let seen = ctx.issuers.secrets.look(&id, &secret);

    // Decide. Nothing is said before the Secret has been asked for: an answer, of whatever kind, follows.
    if matches!(seen, Seen::Nothing) {
        return Ok(Action::await_change());
    }
    let (judgement, authority) = judge(&seen, &secret, now);

    // Act.
    let authorities: Vec<_> =
        seen_authority(&seen).map(|a| AuthorityStatus::new(a.description(), now)).into_iter().collect();
    let patch = status::issuer_patch(&issuer, kind, &judgement, &authorities, now);
    if let Some(patch) = &patch {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        api(&ctx.client, &id).patch_status(&id.name, &params, &Patch::Apply(patch)).await.map_err(Error::Api)?;
        tracing::info!(issuer = %id, reason = judgement.reason, "{}", judgement.message);
    }
    let observed = match authority {
        Some(authority) => Observed::Ready(Arc::new(Ready {
            authority,
            urls: Urls::from(ca),
            leaf_beyond_ca: issuer.spec.leaf_beyond_ca.into(),
        })),
        None => Observed::NotReady(judgement.message.clone()),
    };
    ctx.issuers.conclude(id, generation(issuer.as_ref()), observed);
    if patch.is_some() {
        ctx.announce(&judgement.event(), &issuer.object_ref(&kind.resource())).await;
    }
    let next = seen_authority(&seen).and_then(|authority| until_change(authority, now));
    Ok(next.map_or_else(Action::await_change, Action::requeue))
}

/// Whether an issuer is ready, why, and with which authority.
fn judge(seen: &Seen, secret: &SecretId, now: Timestamp) -> (Judgement, Option<Arc<Authority>>) {
    match seen {
        Seen::Nothing => (Judgement::not_ready("Pending", format!("the Secret {secret} has not been read yet")), None),
        Seen::Missing => (
            Judgement::not_ready(
                "ErrGetKeyPair",
                format!("the Secret {secret} does not exist; create it with the CA's tls.crt and tls.key"),
            ),
            None,
        ),
        Seen::Forbidden => (Judgement::not_ready("SecretForbidden", how_to_allow(secret)), None),
        Seen::Unreachable(why) => {
            (Judgement::not_ready("ErrGetKeyPair", format!("the Secret {secret} cannot be read now: {why}")), None)
        }
        Seen::Invalid(error, None) => {
            (Judgement::not_ready("ErrInvalidKeyPair", format!("the Secret {secret}: {error}")), None)
        }
        Seen::Invalid(error, Some(last_good)) => match last_good.check_time(now) {
            Ok(()) => (
                Judgement::ready_with_warning(
                    "LastGoodKeyPair",
                    format!(
                        "the Secret {secret}: {error}; until it is whole again, the CA that it held before stays in use"
                    ),
                ),
                Some(last_good.clone()),
            ),
            Err(_) => (Judgement::not_ready("ErrInvalidKeyPair", format!("the Secret {secret}: {error}")), None),
        },
        Seen::Valid(authority) => match authority.check_time(now) {
            Ok(()) => (Judgement::ready("KeyPairVerified", "Signing CA verified".to_owned()), Some(authority.clone())),
            Err(error) => {
                let reason = match error {
                    CoreError::CaExpired { .. } => "CAExpired",
                    _ => "CANotYetValid",
                };
                (Judgement::not_ready(reason, format!("the Secret {secret}: {error}; put a valid CA there")), None)
            }
        },
    }
}

/// The authority to be shown in the status: the one in use, or the one that waits for its time.
fn seen_authority(seen: &Seen) -> Option<&Authority> {
    match seen {
        Seen::Valid(authority) | Seen::Invalid(_, Some(authority)) => Some(authority),
        _ => None,
    }
}

/// How long until the authority's validity begins or ends.
fn until_change(authority: &Authority, now: Timestamp) -> Option<Duration> {
    let next = [authority.not_before(), authority.not_after()].into_iter().find(|time| *time > now)?;
    // A second more, so that the time has really passed.
    Duration::try_from(next.duration_since(now)).ok().map(|wait| wait + Duration::from_secs(1))
}

/// The Role that lets the issuer read one Secret, ready to be applied.
fn how_to_allow(secret: &SecretId) -> String {
    let SecretId { namespace, name } = secret;
    format!(
        "the issuer may not read the Secret {secret}; allow it with: \
         kubectl create role tandem-issuer-ca --namespace {namespace} \
         --verb=list,watch --resource=secrets --resource-name={name} && \
         kubectl create rolebinding tandem-issuer-ca --namespace {namespace} \
         --role=tandem-issuer-ca --serviceaccount=tandem:tandem-issuer"
    )
}

fn api(client: &Client, id: &IssuerId) -> Api<Issuer> {
    match &id.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &id.kind.resource()),
        None => Api::all_with(client.clone(), &id.kind.resource()),
    }
}
