//! Packages. The guest downloads them at first boot, from MongoDB's repository or the distribution's own; with
//! [`Install::Image`] it downloads nothing.

use std::collections::BTreeMap;

use super::config::{Apt, AptSource, CloudConfig, YumRepository};
use crate::spec::{Database, Document, Family, Install, MongoDb, RedisServer};

pub(super) fn add(config: &mut CloudConfig, document: &Document) {
    let (spec, family) = (&document.spec, document.spec.os.family);
    let (install, package) = match &spec.database {
        Database::MongoDb(mongodb) => (mongodb.install, Some("mongodb-org".to_owned())),
        Database::PostgreSql(postgresql) => {
            let package = match family {
                Family::Debian => format!("postgresql-{}", postgresql.version_on_debian()),
                Family::Rhel => "postgresql-server".to_owned(),
            };
            (postgresql.install, Some(package))
        }
        Database::Redis(redis) => {
            let package = match (redis.server, family) {
                (RedisServer::Redis, Family::Debian) => "redis-server",
                (RedisServer::Redis, Family::Rhel) => "redis",
                (RedisServer::Valkey, Family::Debian) => "valkey-server",
                (RedisServer::Valkey, Family::Rhel) => "valkey",
            };
            (redis.install, Some(package.to_owned()))
        }
        // What the user's program needs is the image's, or in the user's cloud-config.
        Database::None(_) => (Install::Image, None),
    };
    if install == Install::Image {
        return;
    }
    config.package_update = Some(true);
    config.packages.extend(package);
    if spec.has_data_disk() {
        config.packages.push(super::filesystem(document).package().to_owned());
    }
    if let Database::MongoDb(mongodb) = &spec.database {
        add_mongodb_repository(config, family, mongodb);
    }
}

/// Signing key from pgp.mongodb.com, packages from repo.mongodb.org, both over HTTPS:
/// <https://www.mongodb.com/docs/manual/administration/install-on-linux/>.
fn add_mongodb_repository(config: &mut CloudConfig, family: Family, mongodb: &MongoDb) {
    let version = &mongodb.version;
    let key_url = format!("https://pgp.mongodb.com/server-{version}.asc");
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
