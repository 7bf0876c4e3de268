//! What the flow needs of a request, whichever API it is made with: cert-manager's CertificateRequest or Kubernetes'
//! CertificateSigningRequest. They differ in how they are observed and in how a result is published.

use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::{Api, Client, Resource};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tandem_issuer_core::{
    Error,
    decide::{Approval, Request},
};

use super::IssuerId;
use crate::outcome::Outcome;

/// A request for a certificate.
pub(crate) trait SigningRequest:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The reason of the event that says that nobody has approved yet.
    const WAITING_FOR_APPROVAL: &'static str;

    /// The issuer that it refers to, if that is one of ours.
    fn issuer(&self) -> Option<IssuerId>;

    /// Whether nothing will change any more.
    fn finished(&self) -> bool;

    /// What has been decided about it.
    fn approval(&self) -> Approval;

    /// When it was approved, where that is known.
    fn approved_at(&self) -> Option<Timestamp>;

    /// The request in the core's terms.
    fn to_core(&self) -> Request<'_>;

    /// The questions of which the API server has to answer one with yes before the request may refer to `issuer`; none
    /// where nothing has to be asked.
    fn reviews(&self, issuer: &IssuerId) -> Vec<SubjectAccessReview>;

    /// The reason, in the event and where the API has a place for it, of a failure.
    fn failure_reason(error: &Error) -> &'static str;

    /// How `outcome` is told.
    fn publication(&self, outcome: &Outcome, now: Timestamp) -> Publication;

    /// The client for this object.
    fn api(&self, client: Client) -> Api<Self>;

    /// Drops what is never looked at and takes room.
    fn strip(&mut self);
}

/// How an outcome is told.
#[derive(Debug, PartialEq)]
pub(crate) enum Publication {
    /// Not at all: it has been told, or is nobody's business.
    Nothing,
    /// By an event alone, once.
    Event,
    /// By this patch of the status (server-side apply), then by an event.
    Status(Value),
}
