//! The PostgreSQL that is to be installed, beside the release that the image is named after.

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
