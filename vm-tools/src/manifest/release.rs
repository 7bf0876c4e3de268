//! The release that a root disk's image is named after, and what does not fit it.

use std::fmt;

use crate::spec::{Database, Document, Family, Install, MongoDb, PostgreSql, Redis, RedisServer, Root, Source};

/// A release's image, and the major version of PostgreSQL in its own archive: <https://packages.debian.org/postgresql>,
/// <https://packages.ubuntu.com/postgresql>.
const ARCHIVES: [(&str, &str, &str); 5] = [
    ("debian", "11", "13"),
    ("debian", "12", "15"),
    ("debian", "13", "17"),
    ("ubuntu", "22.04", "14"),
    ("ubuntu", "24.04", "16"),
];

/// Images of the RHEL family.
const RHEL: [&str; 6] = ["rhel", "centos", "centos-stream", "rocky", "rockylinux", "almalinux"];

/// The root disk's image, by the end of its name.
struct Image<'d> {
    name: &'d str,
    tag: Option<&'d str>,
}

impl fmt::Display for Image<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.tag.map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

impl<'d> Image<'d> {
    fn of(document: &'d Document) -> Option<Self> {
        let spec = &document.spec;
        let image = match &spec.root {
            None => spec.os.image.as_deref()?,
            Some(Root::ContainerDisk(disk)) => &disk.image,
            Some(Root::DataVolume(volume)) => match &volume.source {
                Source::Registry(remote) => &remote.url,
                _ => return None,
            },
            Some(Root::PersistentVolumeClaim(_)) => return None,
        };
        let named = image.rsplit('/').next()?.split('@').next()?;
        let (name, tag) = named.split_once(':').map_or((named, None), |(name, tag)| (name, Some(tag)));
        Some(Self { name, tag })
    }

    fn is_of(&self, release: &str) -> bool {
        let rest = self.tag.and_then(|tag| tag.strip_prefix(release));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    }

    /// The other family, if it is of that.
    fn of_other(&self, family: Family) -> Option<&'static str> {
        match family {
            Family::Rhel => ["debian", "ubuntu"].contains(&self.name).then_some("debian"),
            Family::Debian => RHEL.contains(&self.name).then_some("rhel"),
        }
    }

    fn other_postgresql(&self, postgresql: &PostgreSql) -> Option<String> {
        let (.., own) = ARCHIVES.iter().find(|(of, release, _)| *of == self.name && self.is_of(release))?;
        let version = postgresql.version_on_debian();
        (version != *own).then(|| {
            format!(
                "spec.database.postgresql.version: the image is called {self}, whose own PostgreSQL is {own}, and {version} is to be \
                 installed; write version: \"{own}\", or name an archive that has {version} in spec.cloudConfig.apt"
            )
        })
    }

    fn other_mongodb(&self) -> Option<String> {
        (self.name == "ubuntu").then(|| {
            format!(
                "spec.database.mongodb.install: the image is called {self}, and MongoDB's repository for Debian is to be used; write \
                 install: Image, and have MongoDB in the image or by spec.cloudConfig, or name an image of Debian"
            )
        })
    }

    fn no_valkey(&self) -> Option<String> {
        let (releases, first) = match self.name {
            "debian" => (["11", "12"], "13"),
            name if RHEL.contains(&name) => (["8", "9"], "10"),
            _ => return None,
        };
        releases.iter().any(|release| self.is_of(release)).then(|| {
            format!(
                "spec.database.redis.server: the image is called {self}, whose release has no Valkey of its own; name a later one such \
                 as {}:{first}, or write server: Redis",
                self.name
            )
        })
    }
}

/// What is said where the root disk, by its image's name, is of the other family, or has not what is to be installed: the table of
/// guests in docs/databasevm.md.
pub(crate) fn other_release(document: &Document) -> Option<String> {
    let (spec, image) = (&document.spec, Image::of(document)?);
    let family = spec.os.family;
    if let Some(other) = image.of_other(family) {
        let family = if other == "rhel" { "debian" } else { "rhel" };
        return Some(format!(
            "spec.os.family: the image is called {image}, and packages, users and paths are to be those of {family}; write family: \
             {other}, or name another image"
        ));
    }
    // With a repository of the user's own, its packages may be from there.
    let own = ["apt", "yum_repos"].iter().any(|key| spec.cloud_config.contains_key(key));
    match &spec.database {
        Database::MongoDb(MongoDb { install: Install::Packages, .. }) => image.other_mongodb(),
        Database::PostgreSql(postgresql @ PostgreSql { install: Install::Packages, .. }) if !own => {
            image.other_postgresql(postgresql)
        }
        Database::Redis(Redis { install: Install::Packages, server: RedisServer::Valkey, .. }) if !own => {
            image.no_valkey()
        }
        _ => None,
    }
}
