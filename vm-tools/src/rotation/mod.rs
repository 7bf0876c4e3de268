//! `tandem-vm rotation-plan`: what each renewal of a certificate does to each side that has its Secret, and when they
//! would part ways.
//!
//! ```text
//! Stream ─┬─ renewal: when cert-manager renews, and what it issues ─▶ Generation, Generation, … ─┐
//!         └─ sides: who has the Secret, and how it comes to them ──▶ Side, Side, … ─────────────┴─▶ Plan
//! ```
//!
//! It is computed from manifests alone, at a given time: nothing is asked of a cluster. It takes cert-manager to renew on
//! time, and a CronJob that restarts VMs to do so at each date of its schedule. Renewal windows, and what an ACME server suggests, are not looked at.

mod events;
mod renewal;
mod report;
mod restarts;
mod sides;

use jiff::Timestamp;
use serde::Serialize;

pub(crate) use renewal::whole;
pub use renewal::{Generation, Issued, MAX_GENERATIONS};

use crate::model::Stream;

/// What to compute.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The time to go by.
    pub now: Timestamp,
    /// When present certificates were issued, where that is not in the stream; else [`Settings::now`].
    pub issued: Issued,
    /// How many renewals of each certificate are looked at; without `until`.
    pub count: u32,
    /// The last moment that is looked at.
    pub until: Option<Timestamp>,
}

/// What happens at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// To whom.
    pub who: String,
    /// What.
    pub what: String,
}

/// Sides no longer agree, or one serves what is no longer valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// From when on.
    pub from: Timestamp,
    /// Whom it concerns.
    pub who: String,
    /// Why.
    pub why: String,
    /// What to change.
    pub change: String,
}

/// What becomes of one Certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificatePlan {
    /// `NAMESPACE/NAME` of the Certificate.
    pub certificate: String,
    /// The Secret that cert-manager writes.
    pub secret: String,
    /// Kind and name of the issuer, and what it signs with.
    pub issuer: String,
    /// Length of the validity, in seconds.
    pub duration: i64,
    /// How long before its end it is renewed, in seconds.
    pub renew_before: i64,
    /// The present certificate.
    pub present: Generation,
    /// In the order of time.
    pub events: Vec<Event>,
    /// In the order of time.
    pub divergences: Vec<Divergence>,
}

/// What becomes of all Certificates of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The time to go by.
    pub now: Timestamp,
    /// The last moment that was looked at.
    pub until: Timestamp,
    /// Whether all sides agree until then.
    pub holds: bool,
    /// In the order of the stream.
    pub certificates: Vec<CertificatePlan>,
}

/// Computes the plan.
///
/// # Errors
/// A line for each Certificate that cannot be computed, with its place and field.
pub fn plan(stream: &Stream, settings: &Settings) -> Result<Plan, Vec<String>> {
    if stream.certificates.is_empty() {
        return Err(vec![
            "no Certificate of cert-manager, and no DatabaseVM, is among the documents; name their files".to_owned(),
        ]);
    }
    let timelines = renewal::Timelines::of(stream, settings)?;
    let certificates: Vec<_> =
        (0..stream.certificates.len()).map(|index| events::of(stream, &timelines, index)).collect();
    let holds = certificates.iter().all(|certificate| certificate.divergences.is_empty());
    Ok(Plan { now: settings.now, until: timelines.until, holds, certificates })
}
