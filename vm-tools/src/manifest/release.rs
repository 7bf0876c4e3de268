//! The release that a root disk's image is named after, and the PostgreSQL in its archive.

use crate::spec::{Database, Document, Family, Install, Root, Source};

/// A release's image, and the major version of PostgreSQL in its own archive: <https://packages.debian.org/postgresql>,
/// <https://packages.ubuntu.com/postgresql>.
const ARCHIVES: [(&str, &str, &str); 5] = [
    ("debian", "11", "13"),
    ("debian", "12", "15"),
    ("debian", "13", "17"),
    ("ubuntu", "22.04", "14"),
    ("ubuntu", "24.04", "16"),
];

/// What is said where the guest is to install a PostgreSQL that its release does not have, by the name of its image.
pub(crate) fn other_release(document: &Document) -> Option<String> {
    let spec = &document.spec;
    let Database::PostgreSql(postgresql) = &spec.database else { return None };
    // With an archive of the user's own, its packages may be from there.
    let own = postgresql.install == Install::Image || spec.cloud_config.contains_key("apt");
    if spec.os.family != Family::Debian || own {
        return None;
    }
    let image = match &spec.root {
        None => spec.os.image.as_deref()?,
        Some(Root::ContainerDisk(disk)) => &disk.image,
        Some(Root::DataVolume(volume)) => match &volume.source {
            Source::Registry(remote) => &remote.url,
            _ => return None,
        },
        Some(Root::PersistentVolumeClaim(_)) => return None,
    };
    let (name, tag) = image.rsplit('/').next()?.split('@').next()?.split_once(':')?;
    let is_of =
        |release: &str| tag.strip_prefix(release).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']));
    let (.., own) = ARCHIVES.iter().find(|(of, release, _)| *of == name && is_of(release))?;
    let version = postgresql.version_on_debian();
    (version != *own).then(|| {
        format!(
            "spec.database.postgresql.version: the image is called {name}:{tag}, whose own PostgreSQL is {own}, and {version} is to be \
             installed; write version: \"{own}\", or name an archive that has {version} in spec.cloudConfig.apt"
        )
    })
}
