//! The way of an issuer: from its spec and its CA Secret to the Ready condition, and to an authority that its requests
//! are signed with.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Api, Client, Resource};
use tandem_issuer_core::{Authority, Error as CoreError};

use crate::{
    api::{
        Issuer, IssuerId, IssuerKind,
        issuer::{AuthorityStatus, IssuerSpec},
    },
    ca_secrets::{SecretId, Seen},
    client::write_status,
    context::{Context, Error},
    issuers::{Observed, Ready, version},
    metrics::METRICS,
    outcome::Judgement,
    status,
};

/// What a CA Secret has to hold, for whoever has to put it right.
const HOW_TO_FILL: &str =
    "put the CA's certificate into tls.crt, then those above it, and its private key into tls.key";

/// Observes the issuer and its Secret, judges them, and says so; then the issuer's requests are woken. Returns when to look
/// again even where nothing changes.
pub(crate) async fn reconcile(
    issuer: Arc<Issuer>,
    kind: IssuerKind,
    ctx: Arc<Context>,
) -> Result<Option<Duration>, Error> {
    let now = Timestamp::now();
    let id = IssuerId::of(kind, &issuer);

    // Observe. Admission lets no spec pass without a source.
    let Some(ca) = &issuer.spec.ca else { return Ok(None) };
    let secret = ctx.issuers.secret_of(&id, ca);
    let seen = ctx.issuers.secrets.look(&id, &secret);

    // Decide. Nothing is said before the Secret has been asked for: an answer, of whatever kind, follows.
    let Some((judgement, observed)) = observe(&seen, &secret, &issuer.spec, now) else {
        return Ok(None);
    };

    // Act.
    let authorities: Vec<_> =
        seen_authority(&seen).map(|a| AuthorityStatus::new(a.description(), now)).into_iter().collect();
    let last_good = judgement.ready && matches!(seen, Seen::Invalid(..));
    METRICS.issuer(&id, judgement.ready, last_good, seen_authority(&seen));
    // A follower knows what it would say, and is ready to sign.
    let says = ctx.leadership.leading();
    let patch = status::issuer_patch(&issuer, kind, &judgement, &authorities, now).filter(|_| says);
    if let Some(patch) = &patch {
        if !write_status(&api(&ctx.acting, &id), &id.name, &ctx.acting, patch).await? {
            // It is gone, and nobody waits for it.
            return Ok(None);
        }
        tracing::info!(reason = judgement.reason, "{}", judgement.message);
    }
    ctx.issuers.conclude(id, version(&issuer), observed);
    if patch.is_some() {
        ctx.announce(judgement.event(), issuer.object_ref(&kind.resource()));
    }
    Ok(seen_authority(&seen).and_then(|authority| until_change(authority, now)))
}

/// Whether an issuer with this spec and Secret can sign, in words and for its requests; `None` while nothing is known of
/// the Secret.
pub(crate) fn observe(
    seen: &Seen,
    secret: &SecretId,
    spec: &IssuerSpec,
    now: Timestamp,
) -> Option<(Judgement, Observed)> {
    let (judgement, authority) = judge(seen, secret, now)?;
    let not_ready = |judgement: Judgement| (judgement.clone(), Observed::NotReady(judgement));
    Some(match (authority, spec.settings()) {
        (Some(authority), Ok(settings)) => match authority.check_refused_keys(&settings) {
            Ok(()) => (judgement, Observed::Ready(Arc::new(Ready { authority, settings }))),
            Err(error) => {
                let message = format!("the Secret {secret}: {error}; put another CA there");
                not_ready(Judgement::not_ready("ErrInvalidKeyPair", "SecretInvalidData", message))
            }
        },
        (_, Err(problem)) => not_ready(Judgement::not_ready("InvalidSpec", "IssuerNotReady", problem)),
        (None, _) => not_ready(judgement),
    })
}

/// Whether an issuer is ready, why, and with which authority; `None` while nothing is known of its Secret.
fn judge(seen: &Seen, secret: &SecretId, now: Timestamp) -> Option<(Judgement, Option<Arc<Authority>>)> {
    let not_ready =
        |reason, requests_wait_for, message| Some((Judgement::not_ready(reason, requests_wait_for, message), None));
    match seen {
        Seen::Nothing => None,
        Seen::Missing => not_ready(
            "ErrGetKeyPair",
            "SecretMissing",
            format!("the Secret {secret} does not exist; create it with the CA's tls.crt and tls.key"),
        ),
        Seen::Forbidden(account, _) => not_ready("SecretForbidden", "SecretGetError", how_to_allow(secret, account)),
        Seen::Unreachable(why) => {
            let message = format!("the Secret {secret} cannot be read now: {why}; it is tried again");
            not_ready("ErrGetKeyPair", "SecretGetError", message)
        }
        Seen::Invalid(error, last_good) => {
            match last_good.as_ref().filter(|authority| authority.check_time(now).is_ok()) {
                None => {
                    let message = format!("the Secret {secret}: {error}; {HOW_TO_FILL}");
                    not_ready("ErrInvalidKeyPair", "SecretInvalidData", message)
                }
                Some(authority) => {
                    let message = format!(
                        "the Secret {secret}: {error}; until it is whole again, the CA that it held before stays in use"
                    );
                    Some((Judgement::ready_with_warning("LastGoodKeyPair", message), Some(authority.clone())))
                }
            }
        }
        Seen::Valid(authority) => match authority.check_time(now) {
            Ok(()) => {
                let judgement = Judgement::ready("KeyPairVerified", "Signing CA verified".to_owned());
                Some((judgement, Some(authority.clone())))
            }
            Err(error) => {
                let reason = if matches!(error, CoreError::CaExpired { .. }) { "CAExpired" } else { "CANotYetValid" };
                not_ready(reason, "IssuerNotReady", format!("the Secret {secret}: {error}; put a valid CA there"))
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
fn how_to_allow(secret: &SecretId, account: &str) -> String {
    let SecretId { namespace, name } = secret;
    // Of its own: there may be one for another Secret.
    let role = format!("tandem-issuer-ca-{name}");
    format!(
        "the issuer may not read the Secret {secret}; allow it with: \
         kubectl create role {role} --namespace {namespace} \
         --verb=list,watch --resource=secrets --resource-name={name} && \
         kubectl create rolebinding {role} --namespace {namespace} \
         --role={role} --serviceaccount={account}"
    )
}

pub(crate) fn api(client: &Client, id: &IssuerId) -> Api<Issuer> {
    match &id.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &id.kind.resource()),
        None => Api::all_with(client.clone(), &id.kind.resource()),
    }
}
