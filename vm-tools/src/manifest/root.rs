//! The root disk: its volume, and the DataVolume behind it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::cdi::{self, DataVolumeSpec, DataVolumeTemplate, SourceRef, StorageSpec};
use super::kubevirt::VolumeSource;
use crate::names::{Labels, MachineNames, with_common};
use crate::spec::{DataVolume, Document, Root, Source};

/// The root disk's volume, and the template of the DataVolume if it is one.
pub(super) fn root(document: &Document, machine: &MachineNames) -> (VolumeSource, Option<DataVolumeTemplate>) {
    match &document.spec.root {
        None => {
            let image = document.spec.os.image.clone().unwrap_or_default();
            (VolumeSource::ContainerDisk { image, image_pull_secret: None }, None)
        }
        Some(Root::ContainerDisk(disk)) => {
            let (image, image_pull_secret) = (disk.image.clone(), disk.image_pull_secret.clone());
            (VolumeSource::ContainerDisk { image, image_pull_secret }, None)
        }
        Some(Root::PersistentVolumeClaim(claim)) => {
            let claim_name = claim.claim_name.clone();
            let source =
                PersistentVolumeClaimVolumeSource { claim_name, ..PersistentVolumeClaimVolumeSource::default() };
            (VolumeSource::PersistentVolumeClaim(source), None)
        }
        Some(Root::DataVolume(volume)) => {
            (VolumeSource::DataVolume { name: machine.root.clone() }, Some(template(document, machine, volume)))
        }
    }
}

fn template(document: &Document, machine: &MachineNames, volume: &DataVolume) -> DataVolumeTemplate {
    let (source, source_ref) = source(document, &volume.source);
    let size = volume.size.as_ref().map(|size| VolumeResourceRequirements {
        requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(size.clone()))])),
        ..VolumeResourceRequirements::default()
    });
    DataVolumeTemplate {
        metadata: ObjectMeta {
            name: Some(machine.root.clone()),
            labels: Some(with_common(document, Labels::new())),
            ..ObjectMeta::default()
        },
        spec: DataVolumeSpec {
            source,
            source_ref,
            storage: StorageSpec { resources: size, storage_class_name: volume.storage_class_name.clone() },
        },
    }
}

fn source(document: &Document, source: &Source) -> (Option<BTreeMap<&'static str, cdi::Source>>, Option<SourceRef>) {
    let (kind, remote, local) = match source {
        Source::Http(remote) => ("http", Some(remote), None),
        Source::Registry(remote) => ("registry", Some(remote), None),
        Source::S3(remote) => ("s3", Some(remote), None),
        Source::Pvc(local) => ("pvc", None, Some(local)),
        Source::Snapshot(local) => ("snapshot", None, Some(local)),
        Source::DataSource(local) => ("DataSource", None, Some(local)),
    };
    let remote = remote.map(|remote| cdi::Source::Remote {
        url: remote.url.clone(),
        secret_ref: remote.secret_ref.clone(),
        cert_config_map: remote.cert_config_map.clone(),
    });
    let local = local.map(|local| {
        let namespace = local.namespace.clone().unwrap_or_else(|| document.metadata.namespace.clone());
        (namespace, local.name.clone())
    });
    if let (Source::DataSource(_), Some((namespace, name))) = (source, &local) {
        return (None, Some(SourceRef { kind, namespace: namespace.clone(), name: name.clone() }));
    }
    let local = local.map(|(namespace, name)| cdi::Source::Local { namespace, name });
    (remote.or(local).map(|source| BTreeMap::from([(kind, source)])), None)
}
