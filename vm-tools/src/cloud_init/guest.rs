//! What differs between guests: users, paths and packages.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Apt, AptSource, CloudConfig, YumRepository};
use crate::spec::{Family, Install, MongoDb};

/// Facts about MongoDB in a guest of one family, as its package sets them up:
/// <https://www.mongodb.com/docs/manual/administration/install-on-linux/>.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Guest {
    /// User and group of the server.
    pub(super) user: &'static str,
    /// `storage.dbPath`, where the data disk is mounted.
    pub(super) db_path: &'static str,
    /// The server's log.
    pub(super) log_path: &'static str,
}

impl Guest {
    pub(super) fn of(family: Family) -> Self {
        let log_path = "/var/log/mongodb/mongod.log";
        match family {
            Family::Rhel => Self { user: "mongod", db_path: "/var/lib/mongo", log_path },
            Family::Debian => Self { user: "mongodb", db_path: "/var/lib/mongodb", log_path },
        }
    }
}

/// Adds MongoDB's repository and packages. The guest downloads the signing key from pgp.mongodb.com and the packages
/// from repo.mongodb.org, both over HTTPS; with [`Install::Image`] it downloads nothing.
pub(super) fn add_packages(config: &mut CloudConfig, family: Family, mongodb: &MongoDb) {
    if mongodb.install == Install::Image {
        return;
    }
    let version = &mongodb.version;
    let key_url = format!("https://pgp.mongodb.com/server-{version}.asc");
    config.package_update = Some(true);
    config.packages = vec!["mongodb-org", super::FILESYSTEM.package()];
    match family {
        Family::Rhel => {
            let repository = YumRepository {
                name: format!("MongoDB {version}"),
                baseurl: format!("https://repo.mongodb.org/yum/redhat/$releasever/mongodb-org/{version}/$basearch/"),
                enabled: true,
                gpgcheck: true,
                gpgkey: key_url,
            };
            config.yum_repos = Some(BTreeMap::from([(format!("mongodb-org-{version}"), repository)]));
        }
        Family::Debian => {
            let key = format!("/etc/apt/keyrings/mongodb-server-{version}.asc");
            // cloud-init takes a key inline or from a key server, not from a URL, and gpg may be missing. apt has its own
            // downloader and reads an armored key. bootcmd is the one place that runs before apt is configured.
            let download = format!(
                "test -s {key} || {{ mkdir -p /etc/apt/keyrings && /usr/lib/apt/apt-helper -o Acquire::Retries=5 \
                 download-file {key_url} {key}.new && chmod 0644 {key}.new && mv -f {key}.new {key}; }}"
            );
            config.bootcmd = vec![vec!["sh".to_owned(), "-c".to_owned(), download]];
            let source = AptSource {
                source: format!(
                    "deb [signed-by={key}] https://repo.mongodb.org/apt/debian $RELEASE/mongodb-org/{version} main"
                ),
                append: false,
            };
            config.apt = Some(Apt { sources: BTreeMap::from([("mongodb-org.list".to_owned(), source)]) });
        }
    }
}
