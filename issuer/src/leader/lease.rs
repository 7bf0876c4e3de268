//! The lease as it is read, and as the library gets to see it.
//!
//! Whoever may write the lease may write anything that the API server takes: an end in a thousand years, a time of year 9999,
//! which cannot be held here, as many turns as fit, and all that without a holder. So its times are not read as times, and the
//! library is shown only what it would have written itself.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{self, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::Resource;
use serde::{Deserialize, de::IgnoredAny};

use super::LONGEST;
use crate::api::essential;

/// A lease, as far as it is read.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = v1::Lease)]
pub(super) struct Lease {
    #[serde(deserialize_with = "essential")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<i32>,
    lease_transitions: Option<i32>,
    acquire_time: Option<IgnoredAny>,
    /// As it is written: it is compared, and not read as a time.
    renew_time: Option<String>,
}

impl Lease {
    pub(super) fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }

    /// Who holds it.
    pub(super) fn holder(&self) -> Option<&str> {
        self.spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    /// What a renewal changes, or another holder: by whom it is held, in which turn, and since when. Its version changes with
    /// whatever is written to it, by whomever.
    pub(super) fn renewal(&self) -> (Option<&str>, Option<i32>, Option<&str>) {
        (self.holder(), self.spec.lease_transitions, self.spec.renew_time.as_deref())
    }

    /// Whether nobody holds it, and something of a holder is left in it: who applies those fields is refused, for they are
    /// somebody else's.
    pub(super) fn is_littered(&self) -> bool {
        let Spec { holder_identity, lease_duration_seconds, acquire_time, renew_time, .. } = &self.spec;
        self.holder().is_none()
            && (holder_identity.is_some()
                || lease_duration_seconds.is_some()
                || acquire_time.is_some()
                || renew_time.is_some())
    }

    /// How long it lasts without being renewed, if it says so: at most as long as a replica can be told to have it last.
    pub(super) fn duration(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.spec.lease_duration_seconds?).ok()?;
        Some(Duration::from_secs(seconds).min(LONGEST))
    }

    /// What the library is shown: nobody's lease without more, and its own as if it had just been renewed.
    pub(super) fn shown(self, duration: Duration) -> v1::Lease {
        let holder_identity = self.holder().map(str::to_owned);
        let held = holder_identity.is_some();
        let spec = LeaseSpec {
            holder_identity,
            lease_duration_seconds: held.then(|| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)),
            renew_time: held.then(|| MicroTime(Timestamp::now())),
            // The library adds one.
            lease_transitions: self.spec.lease_transitions.map(|turns| turns.min(i32::MAX - 1)),
            ..LeaseSpec::default()
        };
        v1::Lease { metadata: self.metadata, spec: Some(spec) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const LASTS: Duration = Duration::from_secs(15);

    fn lease(spec: Value) -> Lease {
        let managers = json!([{"manager": "x", "operation": "Update", "time": "9999-12-31T23:59:59Z"}]);
        let metadata = json!({"name": "tandem-issuer", "resourceVersion": "7", "managedFields": managers});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    #[test]
    fn what_a_stranger_left_without_a_holder_is_litter_and_not_shown() {
        let year_9999 = "9999-12-31T23:59:59.999999Z";
        for (spec, is_litter) in [
            (json!({}), false),
            (json!({"leaseTransitions": 3}), false),
            (json!({"holderIdentity": ""}), true),
            (json!({"leaseDurationSeconds": 1_000_000_000}), true),
            (json!({"renewTime": year_9999}), true),
            (json!({"acquireTime": year_9999}), true),
            (json!({"holderIdentity": "own", "renewTime": year_9999}), false),
        ] {
            assert_eq!(lease(spec.clone()).is_littered(), is_litter, "{spec}");
            let LeaseSpec { lease_duration_seconds, renew_time, acquire_time, holder_identity, .. } =
                lease(spec.clone()).shown(LASTS).spec.unwrap();
            let held = spec["holderIdentity"] == "own";
            assert_eq!((holder_identity.is_some(), lease_duration_seconds), (held, held.then_some(15)), "{spec}");
            assert_eq!((renew_time.is_some(), acquire_time), (held, None), "{spec}");
        }
        let gone: Lease = serde_json::from_value(json!({"metadata": {}})).unwrap();
        assert!(!gone.is_littered() && gone.holder().is_none(), "a lease without a spec");
    }

    /// Whatever else is written to it keeps no dead holder in office.
    #[test]
    fn a_renewal_is_another_time_or_another_holder_and_nothing_else() {
        let held = json!({"holderIdentity": "x", "leaseTransitions": 3, "renewTime": "2026-11-26T12:00:00.000001Z"});
        let touched = json!({"metadata": {"resourceVersion": "8", "labels": {"touched": "yes"}}, "spec": held});
        let touched: Lease = serde_json::from_value(touched).unwrap();
        let before = lease(held.clone());
        assert!(touched.version() != before.version() && touched.renewal() == before.renewal());
        for (field, value) in [
            ("renewTime", json!("2026-11-26T12:00:00.000002Z")),
            ("renewTime", json!("9999-12-31T23:59:59.999999Z")),
            ("renewTime", Value::Null),
            ("holderIdentity", json!("y")),
            ("leaseTransitions", json!(4)),
        ] {
            let mut renewed = held.clone();
            renewed[field] = value;
            assert_ne!(lease(renewed).renewal(), before.renewal(), "{field}");
        }
    }

    #[test]
    fn a_lease_of_decades_lasts_for_an_hour_and_turns_do_not_overflow() {
        let lasts = |seconds| lease(json!({"holderIdentity": "x", "leaseDurationSeconds": seconds})).duration();
        assert_eq!((lasts(20), lasts(1_000_000_000), lasts(-1)), (Some(Duration::from_secs(20)), Some(LONGEST), None));
        let turns = |turns| lease(json!({"leaseTransitions": turns})).shown(LASTS).spec.unwrap().lease_transitions;
        assert_eq!((turns(3), turns(i32::MAX)), (Some(3), Some(i32::MAX - 1)));
    }
}
