//! The way of a CertificateRequest, on one screen: observe → decide → act.

use std::sync::Arc;

use aws_lc_rs::rand;
use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use tandem_issuer_core::{Decision, Serial, decide, issue};

use crate::{
    api::CertificateRequest,
    context::{Context, Error},
    issuers::Observed,
    status::{self, FIELD_MANAGER, Outcome},
};

/// Brings one request forward as far as it goes now.
pub(crate) async fn reconcile(request: Arc<CertificateRequest>, ctx: Arc<Context>) -> Result<Action, Error> {
    let now = Timestamp::now();

    // Observe: the issuer, as far as it is known. It wakes its requests when that changes.
    let Some((id, issuer)) = ctx.issuers.observe(&request) else { return Ok(Action::await_change()) };

    // Decide: pure, in the core.
    let outcome = match decide(&request.to_core(), &issuer.to_core(), now) {
        Decision::Ignore => return Ok(Action::await_change()),
        Decision::Wait(wait) => Outcome::waiting(&wait, &id),
        Decision::Deny => Outcome::Denied,
        Decision::Fail(error) => Outcome::Failed(error),
        Decision::Sign(grant) => {
            let Observed::Ready(ready) = &issuer else { return Ok(Action::await_change()) };
            Outcome::of_signing(issue(&grant, &ready.authority, new_serial()?, now))
        }
    };

    // Act: one conditional write of the status, then the event.
    publish(&request, &outcome, &ctx, now).await?;
    match outcome {
        Outcome::Retrying(error) => Err(Error::Sign(error)),
        _ => Ok(Action::await_change()),
    }
}

/// Writes the status if it differs. The write is conditional on the version that was observed: of two that would sign
/// the same request only one succeeds, and a request that has changed meanwhile is looked at again.
async fn publish(request: &CertificateRequest, outcome: &Outcome, ctx: &Context, now: Timestamp) -> Result<(), Error> {
    let Some(patch) = status::request_patch(request, outcome, now) else { return Ok(()) };
    let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
    let api: Api<CertificateRequest> = Api::namespaced(ctx.client.clone(), &namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch_status(&name, &params, &Patch::Apply(patch)).await {
        Ok(_) => {}
        // It is gone, or changed: then its watch says so, and this outcome is void.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => return Ok(()),
        Err(error) => return Err(Error::Api(error)),
    }
    let event = outcome.event();
    tracing::info!(request = %format_args!("{namespace}/{name}"), reason = event.reason, "{}", outcome.message());
    ctx.announce(&event, &request.object_ref(&())).await;
    Ok(())
}

fn new_serial() -> Result<Serial, Error> {
    let mut bytes = [0; 20];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(Serial::from_random(bytes))
}
