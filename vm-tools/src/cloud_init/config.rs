//! The `#cloud-config` keys that are rendered, of which cloud-init 22.4 and later know all:
//! <https://docs.cloud-init.io/en/latest/reference/modules.html>.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::guest::{GuestCommand, WriteFile};

/// A whole `#cloud-config`.
#[derive(Debug, Default, Serialize)]
pub(super) struct CloudConfig {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ssh_authorized_keys: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) bootcmd: Vec<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) yum_repos: Option<BTreeMap<String, YumRepository>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) apt: Option<Apt>,
    pub(super) write_files: Vec<WriteFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) package_update: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) packages: Vec<String>,
    pub(super) runcmd: Vec<GuestCommand>,
}

#[derive(Debug, Serialize)]
pub(super) struct YumRepository {
    pub(super) name: String,
    pub(super) baseurl: String,
    pub(super) enabled: bool,
    pub(super) gpgcheck: bool,
    pub(super) gpgkey: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Apt {
    pub(super) sources: BTreeMap<String, AptSource>,
}

#[derive(Debug, Serialize)]
pub(super) struct AptSource {
    pub(super) source: String,
    pub(super) append: bool,
}
