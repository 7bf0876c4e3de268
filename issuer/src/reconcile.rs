//! The way of a request, on one screen: observe → decide → act. The same for CertificateRequests and for Kubernetes'
//! CertificateSigningRequests.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::rand;
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    runtime::reflector::ObjectRef,
};
use tandem_issuer_core::{
    Decision, Serial, decide,
    decide::{Approval, Issuer, Request},
    issue,
};

use crate::{
    api::{IssuerId, Publication, SigningRequest},
    context::{Context, Error},
    issuers::Observed,
    outcome::{Outcome, trouble},
    panics::isolate,
    status::FIELD_MANAGER,
};

/// How long an approver may take before users are told that one is awaited. Most answer at once, and an event about each
/// request would double what is asked of the API server.
const APPROVERS_TIME: Duration = Duration::from_secs(10);

/// Brings one request forward as far as it goes now. Returns when to look again even where nothing changes.
pub(crate) async fn reconcile<R: SigningRequest>(
    request: Arc<R>,
    ctx: Arc<Context>,
) -> Result<Option<Duration>, Error> {
    let now = Timestamp::now();

    // Observe: the issuer, as far as it is known. It wakes its requests when that changes.
    let Some(id) = request.issuer() else { return Ok(None) };
    let Some(issuer) = ctx.issuers.observe(&id) else { return Ok(None) };
    let may_refer = may_refer(request.as_ref(), &id, &issuer, &ctx.client).await;

    // Decide: pure, in the core.
    let decided = match may_refer {
        Ok(may_refer) => isolate(|| conclude(&request.to_core(), &id, &issuer, may_refer, now)).map_err(Error::from),
        Err(error) => Err(error),
    };
    let Some(outcome) = decided.unwrap_or_else(|error| Some(Outcome::Retrying(error))) else { return Ok(None) };
    if let (Outcome::Unapproved, Some(rest)) = (&outcome, approvers_rest(request.as_ref(), now)) {
        return Ok(Some(rest));
    }

    // Act: one conditional write of the status, then the event.
    match (publish(request.as_ref(), &outcome, &ctx, now).await, outcome) {
        (Ok(()), Outcome::Retrying(error)) => Err(error),
        (Ok(()), _) => Ok(None),
        (Err(Error::Changed), _) => Err(Error::Changed),
        (Err(error), _) => {
            // An event is the only place left where this can be seen.
            let event = trouble(&error);
            if !ctx.has_told(request.uid().unwrap_or_default(), &event) {
                ctx.announce(&event, &request.object_ref(&())).await;
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
    Some(match decide(request, &seen, now) {
        Decision::Ignore => return None,
        Decision::Wait(wait) => Outcome::waiting(wait, id, issuer),
        Decision::Deny => Outcome::Denied,
        Decision::Fail(error) => Outcome::Failed(error),
        Decision::Sign(grant) => {
            let Observed::Ready(ready) = issuer else { return None };
            match new_serial() {
                Ok(serial) => Outcome::of_signing(issue(&grant, &ready.authority, serial, now)),
                Err(error) => Outcome::Retrying(error),
            }
        }
    })
}

/// Whether the request may refer to its issuer. Asked of the API server only where the answer counts.
pub(crate) async fn may_refer<R: SigningRequest>(
    request: &R,
    id: &IssuerId,
    issuer: &Observed,
    client: &Client,
) -> Result<bool, Error> {
    let core = request.to_core();
    if core.finished || core.approval != Approval::Approved || matches!(issuer, Observed::Missing) {
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

/// Tells of an outcome that has not been told. A write is conditional on the version that was observed: of two that would
/// sign the same request only one succeeds, and a request that has changed meanwhile is looked at again.
async fn publish<R: SigningRequest>(
    request: &R,
    outcome: &Outcome,
    ctx: &Context,
    now: Timestamp,
) -> Result<(), Error> {
    let event = outcome.event::<R>();
    match request.publication(outcome, now) {
        Publication::Nothing => return Ok(()),
        Publication::Event if ctx.has_told(request.uid().unwrap_or_default(), &event) => return Ok(()),
        Publication::Event => {}
        Publication::Status(patch) => {
            let params = PatchParams::apply(FIELD_MANAGER).force();
            let (api, name) = (request.api(ctx.client.clone()), request.name_any());
            match api.patch_status(&name, &params, &Patch::Apply(patch)).await {
                Ok(_) => {}
                // It is gone, and nobody waits for it.
                Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
                // Then this outcome is void, and it is looked at again as it is now.
                Err(kube::Error::Api(status)) if status.is_conflict() => return Err(Error::Changed),
                Err(error) => return Err(Error::Api(error)),
            }
        }
    }
    let object = ObjectRef::from_obj(request);
    tracing::info!(request = %object, reason = event.reason, "{}", outcome.message());
    ctx.announce(&event, &request.object_ref(&())).await;
    Ok(())
}

fn new_serial() -> Result<Serial, Error> {
    let mut bytes = [0; 20];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(Serial::from_random(bytes))
}
