//! Objects without the metadata that nothing reads, the managers of their fields above all.

use std::{
    borrow::Cow,
    ops::{Deref, DerefMut},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error as _};
use serde_json::Value;

/// The metadata that are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Essential {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
}

/// Reads these, and passes over all others.
pub(crate) fn essential<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Essential { name, namespace, uid, resource_version, generation, creation_timestamp } =
        Essential::deserialize(deserializer)?;
    Ok(ObjectMeta { name, namespace, uid, resource_version, generation, creation_timestamp, ..ObjectMeta::default() })
}

/// What is read of an object's metadata.
const METADATA: [&str; 7] =
    ["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "annotations"];

/// An object of which only [`METADATA`] and the times of conditions that can be held are read. Of managers, owners, labels and
/// finalizers there may be a megabyte, and whoever may write an object or its conditions may write times there that lie where
/// none can be held: one such object would hide all others of its kind, since a list is read as a whole.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Lean<K>(pub(crate) K);

impl<'de, K: DeserializeOwned> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|field, _| METADATA.contains(&field.as_str()));
        }
        let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
            condition.retain(|field, value| match field.as_str() {
                "lastUpdateTime" => false,
                "lastTransitionTime" => Option::<Time>::deserialize(&*value).is_ok(),
                _ => true,
            });
        }
        serde_json::from_value(object).map(Self).map_err(D::Error::custom)
    }
}

impl<K> Deref for Lean<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.0
    }
}

impl<K> DerefMut for Lean<K> {
    fn deref_mut(&mut self) -> &mut K {
        &mut self.0
    }
}

impl<K: Resource> Resource for Lean<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::{CertificateSigningRequest, Issuer, SigningRequest};

    /// The server takes any time of RFC 3339 there, from whoever may write the object or approve it.
    #[test]
    fn times_that_cannot_be_held_hide_no_object() {
        let managers = json!([{
            "manager": "x", "operation": "Update", "apiVersion": "v1", "time": "9999-12-31T23:59:59Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}},
        }]);
        let metadata = json!({"name": "odd", "labels": {"a": "b"}, "managedFields": managers});
        let issuer = json!({
            "apiVersion": "pki.tandem.internal/v1alpha1", "kind": "TandemIssuer", "metadata": metadata,
            "spec": {"ca": {"secretName": "ca"}},
        });
        let issuer: Issuer = serde_json::from_value(issuer).unwrap();
        let unread = issuer.metadata.managed_fields.is_none() && issuer.metadata.labels.is_none();
        assert_eq!((issuer.metadata.name.as_deref(), unread), (Some("odd"), true));
        let request = json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": metadata,
            "spec": {"request": "", "signerName": "tandemclusterissuers.pki.tandem.internal/ca"},
            "status": {"conditions": [
                {"type": "A", "status": "True", "lastTransitionTime": "9999-12-31T23:59:59Z"},
                {"type": "B", "status": "True", "lastUpdateTime": "9999-12-31T23:59:59Z"},
                {"type": "Approved", "status": "True", "lastTransitionTime": "2026-11-26T12:00:00Z"},
            ]},
        });
        let request: CertificateSigningRequest = serde_json::from_value(request).unwrap();
        assert_eq!(request.approved_at().unwrap().to_string(), "2026-11-26T12:00:00Z");
        assert_eq!(request.spec.signer_name, "tandemclusterissuers.pki.tandem.internal/ca");
    }
}
