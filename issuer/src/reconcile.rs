//! The way of a request, on one screen: observe → decide → act. The same for CertificateRequests and for Kubernetes'
//! CertificateSigningRequests.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::rand;
use jiff::Timestamp;
use k8s_openapi::api::{authorization::v1::SubjectAccessReview, core::v1};
use kube::{
    Api, Client, ResourceExt,
    api::{GetParams, PostParams},
};
use serde::Deserialize;
use tandem_issuer_core::{
    Decision, Serial, decide,
    decide::{Approval, Issuer, Namespace, Request},
    issue,
};
use tracing::{Instrument, Span, debug_span, field::display};

use crate::{
    api::{IssuerId, Publication, SigningRequest},
    client::write_status,
    context::{Context, Error},
    issuers::Observed,
    metrics::METRICS,
    outcome::{Outcome, trouble, would_refuse},
    panics::isolate,
    telemetry,
};

/// How long an approver may take before users are told that one is awaited. Most answer at once, and an event about each
/// request would double what is asked of the API server.
const APPROVERS_TIME: Duration = Duration::from_secs(10);

/// Brings one request forward as far as it goes now. Returns when to look again even where nothing changes.
pub(crate) async fn reconcile<R: SigningRequest>(
    request: Arc<R>,
    ctx: Arc<Context>,
) -> Result<Option<Duration>, Error> {
    // A follower keeps its caches warm, and nothing else.
    if !ctx.leadership.leading() {
        return Ok(None);
    }
    // What was written to it is on its way: another look would sign once more, for a write that the server refuses.
    let uid = request.uid().unwrap_or_default();
    if ctx.has_finished(&uid, request.meta().resource_version.as_deref()) {
        return Ok(None);
    }
    let now = Timestamp::now();

    // Observe: the issuer, as far as it is known. It wakes its requests when that changes.
    let Some(id) = request.issuer() else { return Ok(None) };
    let Some(issuer) = ctx.issuers.observe(&id, request.meta().namespace.as_deref()) else { return Ok(None) };
    Span::current().record("issuer", display(&id));
    let mut core = request.to_core();
    let asked = ask(request.as_ref(), &core, &id, &issuer, &ctx.acting).instrument(debug_span!("ask")).await;

    // Decide: pure, in the core.
    let decided = match &asked {
        Ok((may_refer, labels)) => {
            core.namespace = core.namespace.map(|namespace| Namespace { labels: labels.as_ref(), ..namespace });
            let began = Instant::now();
            let concluded = isolate(|| conclude(&core, &id, &issuer, *may_refer, now)).map_err(Error::from);
            if let Ok(Some(Outcome::Issued(..))) = &concluded {
                METRICS.signed(&R::plural(&()), began.elapsed());
            }
            concluded
        }
        Err(_) => Ok(None),
    };
    let decided = asked.and(decided);
    let Some(outcome) = decided.unwrap_or_else(|error| Some(Outcome::Retrying(error))) else { return Ok(None) };
    if let (Outcome::Unapproved, Some(rest)) = (&outcome, approvers_rest(request.as_ref(), now)) {
        return Ok(Some(rest));
    }

    telemetry::outcome(&outcome, &outcome.event::<R>().reason);
    // Act: one conditional write of the status, then the event.
    let published =
        publish(request.as_ref(), &outcome, issuer.key_id(), &ctx, now).instrument(debug_span!("publish")).await;
    match (published, outcome) {
        (Ok(()), Outcome::Retrying(error)) => Err(error),
        (Ok(()), _) => Ok(None),
        (Err(Error::Changed), _) => Err(Error::Changed),
        (Err(error), _) => {
            // An event is the only place left where this can be seen.
            let event = trouble(&error);
            if !ctx.has_told(uid, &event) {
                ctx.announce(event, request.object_ref(&()));
            }
            Err(error)
        }
    }
}

/// What becomes of the request; nothing where it is finished.
pub(crate) fn conclude(
    request: &Request<'_>,
    id: &IssuerId,
    issuer: &Observed,
    may_refer: bool,
    now: Timestamp,
) -> Option<Outcome> {
    let seen = if may_refer { issuer.to_core() } else { Issuer::Forbidden };
    Some(match debug_span!("decide").in_scope(|| decide(request, &seen, now)) {
        Decision::Ignore => return None,
        Decision::Wait(wait) => Outcome::waiting(wait, id, issuer),
        Decision::Deny => Outcome::Denied,
        Decision::Fail(error) => Outcome::Failed(error),
        Decision::Sign(grant) => {
            let Observed::Ready(ready) = issuer else { return None };
            match new_serial() {
                Ok(serial) => {
                    let issued = debug_span!("sign").in_scope(|| issue(&grant, &ready.authority, serial, now));
                    Outcome::of_signing(issued, grant.would_refuse)
                }
                Err(error) => Outcome::Retrying(error),
            }
        }
    })
}

/// What the API server knows beside the request, and is asked only where the answer counts: whether the request may refer
/// to its issuer, and the labels of its namespace.
async fn ask<R: SigningRequest>(
    request: &R,
    core: &Request<'_>,
    id: &IssuerId,
    issuer: &Observed,
    client: &Client,
) -> Result<(bool, Option<BTreeMap<String, String>>), Error> {
    let may_refer = may_refer(request, core, id, issuer, client).await?;
    let counts = may_refer && !core.finished && core.approval == Approval::Approved;
    let labels = if counts { labels(core, issuer, client).await? } else { None };
    Ok((may_refer, labels))
}

#[derive(Deserialize)]
struct Labelled {
    metadata: Labels,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The labels of the request's namespace, where the issuer's policy looks at them. As they are now, not as a watch has
/// seen them a little earlier: a refusal is for good.
pub(crate) async fn labels(
    request: &Request<'_>,
    issuer: &Observed,
    client: &Client,
) -> Result<Option<BTreeMap<String, String>>, Error> {
    let (Observed::Ready(ready), Some(namespace)) = (issuer, &request.namespace) else { return Ok(None) };
    if !ready.settings.policy.as_ref().is_some_and(|policy| policy.needs_labels(namespace.name)) {
        return Ok(None);
    }
    // No more than these is read: what else stands there may not be readable.
    let call = kube::core::Request::new(Api::<v1::Namespace>::all(client.clone()).resource_url());
    let call = call.get_metadata(namespace.name, &GetParams::default());
    let call = call.map_err(|error| Error::Api(kube::Error::BuildRequest(error)))?;
    let found: Labelled = client.request(call).await.map_err(Error::Api)?;
    Ok(Some(found.metadata.labels))
}

/// Whether the request may refer to its issuer. Asked of the API server only where the answer counts.
pub(crate) async fn may_refer<R: SigningRequest>(
    request: &R,
    core: &Request<'_>,
    id: &IssuerId,
    issuer: &Observed,
    client: &Client,
) -> Result<bool, Error> {
    if core.finished || core.approval != Approval::Approved || matches!(issuer, Observed::Missing(_)) {
        return Ok(true);
    }
    let reviews = request.reviews(id);
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    for review in &reviews {
        let answer = api.create(&PostParams::default(), review).await.map_err(Error::Api)?;
        if answer.status.is_some_and(|status| status.allowed) {
            return Ok(true);
        }
    }
    Ok(reviews.is_empty())
}

/// How long the approvers still have before users are told that one is awaited.
fn approvers_rest(request: &impl SigningRequest, now: Timestamp) -> Option<Duration> {
    let created = request.meta().creation_timestamp.as_ref()?.0;
    let waited = Duration::try_from(now.duration_since(created)).unwrap_or_default();
    APPROVERS_TIME.checked_sub(waited).filter(|rest| !rest.is_zero())
}

/// Tells of an outcome that has not been told; `by` is the CA's subject key identifier. A write is conditional on the version
/// that was observed: of two that would sign the same request only one succeeds, and a request that has changed meanwhile is
/// looked at again.
async fn publish<R: SigningRequest>(
    request: &R,
    outcome: &Outcome,
    by: Option<&str>,
    ctx: &Context,
    now: Timestamp,
) -> Result<(), Error> {
    let event = outcome.event::<R>();
    match request.publication(outcome, now) {
        Publication::Nothing => return Ok(()),
        Publication::Event if ctx.has_told(request.uid().unwrap_or_default(), &event) => return Ok(()),
        Publication::Event => {}
        Publication::Status(patch) => {
            // Where it has changed meanwhile, this outcome is void, and it is looked at again as it is now.
            if !write_status(&request.api(ctx.acting.clone()), &request.name_any(), &ctx.acting, &patch).await? {
                // It is gone, and nobody waits for it.
                return Ok(());
            }
            if outcome.is_final() {
                ctx.finish(request.uid().unwrap_or_default(), request.resource_version());
            }
        }
    }
    METRICS.told(request, outcome, by, &event.reason, now);
    tracing::info!(reason = event.reason, "{}", outcome.message());
    ctx.announce(event, request.object_ref(&()));
    if let Outcome::Issued(_, Some(error)) = outcome {
        let event = would_refuse(error);
        tracing::warn!(reason = event.reason, "{error}");
        ctx.announce(event, request.object_ref(&()));
    }
    Ok(())
}

fn new_serial() -> Result<Serial, Error> {
    let mut bytes = [0; 20];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(Serial::from_random(bytes))
}
