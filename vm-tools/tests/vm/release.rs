//! What the guest is to be, and what is to be installed in it, beside the release that the image is named after.

use crate::support::{document, render};

#[test]
fn render_says_where_an_images_release_has_another_postgresql() {
    let notes = |database: &str, rest: &str| {
        let text = document(&format!("database: {{postgresql: {{{database}}}}}\n{rest}"));
        render(&text).notes.into_iter().filter(|note| note.contains("postgresql.version")).collect::<Vec<_>>()
    };
    let debian = |root: &str| format!("os: {{family: debian}}\nroot: {{{root}}}");
    let disk = |image: &str| debian(&format!("containerDisk: {{image: {image:?}}}"));
    let image = |image: &str| format!("os: {{family: debian, image: {image:?}}}");
    let registry = "docker://quay.io/containerdisks/debian:13";
    let volume = debian(&format!("dataVolume: {{size: 20Gi, source: {{registry: {{url: {registry:?}}}}}}}"));
    for (database, rest, name, own, version) in [
        ("", image("quay.io/containerdisks/debian:13"), "debian:13", "17", "15"),
        ("", disk("registry.example:5000/ubuntu:22.04-20260101"), "ubuntu:22.04-20260101", "14", "15"),
        ("", volume.clone(), "debian:13", "17", "15"),
        ("version: '17'", image("debian:12.7"), "debian:12.7", "15", "17"),
        ("version: '17'", image("ubuntu:24.04"), "ubuntu:24.04", "16", "17"),
    ] {
        let note = format!(
            "spec.database.postgresql.version: the image is called {name}, whose own PostgreSQL is {own}, and {version} is to be \
             installed; write version: \"{own}\", or name an archive that has {version} in spec.cloudConfig.apt"
        );
        assert_eq!(notes(database, &rest), [note]);
    }
    let archive = "cloudConfig: {apt: {sources: {pgdg.list: {source: 'deb https://apt.postgresql.org/pub/repos/apt $RELEASE-pgdg main'}}}}";
    for (database, rest) in [
        ("", image("quay.io/containerdisks/debian:12")),
        ("version: '17'", image("quay.io/containerdisks/debian:13@sha256:0a")),
        ("version: '17'", format!("{}\n{archive}", image("debian:12"))),
        ("version: '17', install: Image", image("debian:12")),
        ("version: '17'", image("registry.example/mydebian:12")),
        ("version: '17'", image("debian:120")),
        ("version: '17'", image("debian")),
        ("version: '17'", debian("persistentVolumeClaim: {claimName: golden}")),
        ("", "os: {family: rhel, image: 'debian:13'}".to_owned()),
    ] {
        assert!(notes(database, &rest).is_empty(), "{database} {rest}");
    }
}

#[test]
fn render_says_where_an_image_is_of_another_family_or_has_no_such_packages() {
    let notes = |database: &str, family: &str, image: &str, rest: &str| {
        let os = format!("os: {{family: {family}, image: {image:?}}}");
        let text = document(&format!("database: {{{database}}}\n{os}\nclients: [{{name: a, image: i}}]\n{rest}"));
        render(&text).notes
    };
    for (family, image, other) in [
        ("rhel", "debian:12", "debian"),
        ("rhel", "ubuntu:24.04", "debian"),
        ("debian", "centos-stream:9", "rhel"),
        ("debian", "almalinux", "rhel"),
    ] {
        for database in [
            "mongodb: {}",
            "mongodb: {install: Image}",
            "redis: {server: Valkey}",
            "none: {files: {folder: /a}, port: 1}",
        ] {
            let note = format!(
                "spec.os.family: the image is called {image}, and packages, users and paths are to be those of {family}; write family: \
                 {other}, or name another image"
            );
            assert_eq!(notes(database, family, &format!("quay.io/containerdisks/{image}"), ""), [note]);
        }
    }
    let ubuntu = "spec.database.mongodb.install: the image is called ubuntu:22.04, and MongoDB's repository for Debian is to be \
                  used; write install: Image, and have MongoDB in the image or by spec.cloudConfig, or name an image of Debian";
    assert_eq!(notes("mongodb: {}", "debian", "quay.io/containerdisks/ubuntu:22.04", ""), [ubuntu]);
    for (family, image, later) in [
        ("debian", "debian:12", "debian:13"),
        ("debian", "debian:11-slim", "debian:13"),
        ("rhel", "centos-stream:9", "centos-stream:10"),
    ] {
        let note = format!(
            "spec.database.redis.server: the image is called {image}, whose release has no Valkey of its own; name a later one such \
             as {later}, or write server: Redis"
        );
        assert_eq!(notes("redis: {server: Valkey}", family, image, ""), [note]);
    }
    let own = "cloudConfig: {apt: {sources: {own.list: {source: 'deb https://apt.example ./'}}}}";
    let repositories = "cloudConfig: {yum_repos: {own: {baseurl: 'https://yum.example'}}}";
    for (database, family, image, rest) in [
        ("mongodb: {}", "debian", "debian:12", ""),
        ("mongodb: {install: Image}", "debian", "ubuntu:22.04", ""),
        ("mongodb: {}", "rhel", "centos-stream:9", ""),
        ("mongodb: {}", "rhel", "mydebian:12", ""),
        ("redis: {server: Valkey}", "debian", "debian:13", ""),
        ("redis: {server: Valkey}", "debian", "debian:12", own),
        ("redis: {server: Valkey, install: Image}", "debian", "debian:12", ""),
        ("redis: {server: Valkey}", "rhel", "centos-stream:10", ""),
        ("redis: {server: Valkey}", "rhel", "rhel:9.6", repositories),
        ("redis: {}", "debian", "debian:12", ""),
    ] {
        assert_eq!(notes(database, family, image, rest), [""; 0], "{database} {image} {rest}");
    }
}
