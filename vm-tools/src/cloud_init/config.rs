//! The `#cloud-config` keys that are rendered, of which cloud-init 22.4 and later know all:
//! <https://docs.cloud-init.io/en/latest/reference/modules.html>.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::guest::{GuestCommand, WriteFile};

/// A whole `#cloud-config`.
#[derive(Debug, Default, Serialize)]
pub(super) struct CloudConfig {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<Host>,
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

/// A host that calls itself by a name of the cluster's DNS, and finds itself under it: the pod's address, to which that name
/// resolves, leads nowhere from inside the pod's own guest.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    pub(super) hostname: String,
    pub(super) fqdn: String,
    /// The kernel takes at most 64 bytes for a host name, which the qualified one may exceed.
    pub(super) prefer_fqdn_over_hostname: bool,
    /// `localhost`: both names stand for the loopback interface in `/etc/hosts`, at every boot.
    pub(super) manage_etc_hosts: &'static str,
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
