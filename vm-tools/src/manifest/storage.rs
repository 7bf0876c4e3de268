//! The data volume, and the place of the user data.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    LocalObjectReference, PersistentVolumeClaim, PersistentVolumeClaimSpec, Secret, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::kubevirt::UserData;
use super::metadata;
use crate::names::{Labels, MachineNames, machine_selector, with_common};
use crate::spec::Document;
use crate::user_data::MAX_INLINE;

pub(super) fn claim(document: &Document, machine: &MachineNames) -> PersistentVolumeClaim {
    let storage = &document.spec.storage;
    PersistentVolumeClaim {
        metadata: metadata(document, &machine.data, with_common(document, machine_selector(document, machine))),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([(
                    "storage".to_owned(),
                    Quantity(storage.size.clone().unwrap_or_else(|| "30Gi".to_owned())),
                )])),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: storage.storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

/// User data for the VirtualMachine, and the Secret that holds it if KubeVirt would refuse it inline.
pub(super) fn user_data(document: &Document, machine: &MachineNames, text: &str) -> (UserData, Option<Secret>) {
    if text.len() <= MAX_INLINE {
        return (UserData::UserData(text.to_owned()), None);
    }
    let name = machine.user_data_secret.clone();
    let secret = Secret {
        metadata: metadata(document, &name, with_common(document, Labels::new())),
        // Not `data`: what the guest will run stays readable in a review.
        string_data: Some(BTreeMap::from([("userdata".to_owned(), text.to_owned())])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    (UserData::SecretRef(LocalObjectReference { name }), Some(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(bytes: usize) -> (UserData, Option<Secret>) {
        let vm = crate::spec::parse(include_str!("../../../examples/mongodb-vm/databasevm.yaml")).unwrap();
        user_data(vm.document(), &crate::Names::of(vm.document()).machines[0], &"x".repeat(bytes))
    }

    #[test]
    fn user_data_stands_in_the_manifest_up_to_2048_bytes() {
        assert!(matches!(placed(2048), (UserData::UserData(text), None) if text.len() == 2048));
    }

    #[test]
    fn longer_user_data_goes_to_a_secret() {
        let (source, secret) = placed(2049);
        let secret = secret.unwrap();
        assert_eq!(secret.string_data.unwrap()["userdata"].len(), 2049);
        assert_eq!(serde_json::to_value(source).unwrap()["secretRef"]["name"], secret.metadata.name.unwrap());
    }
}
