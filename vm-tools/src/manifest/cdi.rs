//! The fields of CDI's `DataVolume` that are rendered, as part of a VirtualMachine:
//! <https://github.com/kubevirt/containerized-data-importer/blob/main/doc/datavolumes.md>.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::VolumeResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

/// A volume that is made and filled with the VirtualMachine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataVolumeTemplate {
    /// Name and labels.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: DataVolumeSpec,
}

/// What is wanted: a source or a reference to one, and a volume.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataVolumeSpec {
    /// Where the content comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<BTreeMap<&'static str, Source>>,
    /// Who knows where the content comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<SourceRef>,
    /// The volume; what is left out, CDI derives from the StorageClass and the source.
    pub storage: StorageSpec,
}

/// Where the content comes from; the key beside it says what that is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", untagged)]
#[expect(missing_docs, reason = "CDI's page explains each")]
pub enum Source {
    #[serde(rename_all = "camelCase")]
    Remote {
        url: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        secret_ref: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cert_config_map: Option<String>,
    },
    Local {
        namespace: String,
        name: String,
    },
}

/// A DataSource.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceRef {
    /// `DataSource`.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The volume.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageSpec {
    /// Size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<VolumeResourceRequirements>,
    /// StorageClass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
}
