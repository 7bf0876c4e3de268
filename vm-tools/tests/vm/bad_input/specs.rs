//! DatabaseVM documents that are broken in one place each.

use super::{Case, case};
use crate::support::example;

/// The example with one piece replaced.
fn with(from: &str, to: &str) -> String {
    let text = example("databasevm.yaml");
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

pub(super) fn cases() -> Vec<Case> {
    let field = |field: &str| with("  storage:\n", &format!("  {field}\n  storage:\n"));
    let certificate = |fields: &str| with("secretName: mongodb-cert-tls", &format!("secretName: s\n    {fields}"));
    let database = |value: &str| {
        with("    mongodb:\n      version: \"8.0\"\n      clientAuth: Optional\n", &format!("    {value}\n"))
    };
    // Nothing but files, and what is at fault with them.
    let none = |value: &str| database(value).split("  storage:").next().unwrap().to_owned();
    let client = |fields: &str| with("  clients:\n", &format!("  clients:\n    - {{{fields}}}\n"));
    let long = "n".repeat(300);
    [
        ("no apiVersion", with("apiVersion: vm.tandem.internal/v1alpha1\n", "")),
        ("another version", with("vm.tandem.internal/v1alpha1", "vm.tandem.internal/v1")),
        ("another kind", with("kind: DatabaseVM", "kind: VirtualMachine")),
        ("no metadata", with("metadata:\n  name: mongodb\n  namespace: kubevirt-networking-poc\n", "")),
        ("no name", with("  name: mongodb\n", "")),
        ("no namespace", with("  namespace: kubevirt-networking-poc\n", "")),
        ("labels in the metadata", with("  name: mongodb\n", "  name: mongodb\n  labels: {}\n")),
        ("an empty name", with("name: mongodb\n", "name: ''\n")),
        ("a name in capitals", with("name: mongodb\n", "name: MongoDB\n")),
        ("a name of 300 bytes", with("name: mongodb\n", &format!("name: {long}\n"))),
        ("a name with another letter that looks like one", with("name: mongodb\n", "name: m\u{43e}ngodb\n")),
        ("a name that ends with a dash", with("name: mongodb\n", "name: mongodb-\n")),
        ("a name that is a number", with("name: mongodb\n", "name: 5\n")),
        ("a name that is a path", with("name: mongodb\n", "name: ../../etc\n")),
        ("a namespace that is nothing", with("namespace: kubevirt-networking-poc", "namespace:")),
        ("a namespace that is a path", with("kubevirt-networking-poc", "../other")),
        ("no database", database("")),
        ("a database that is a text", database("mongodb")),
        ("two databases", database("mongodb: {}\n    postgresql: {}")),
        ("an unknown database", database("oracle: {}")),
        ("a version that is a number", with("version: \"8.0\"", "version: 8.0")),
        ("a version with a patch level", with("version: \"8.0\"", "version: \"8.0.4\"")),
        ("a version that injects a line", with("version: \"8.0\"", "version: \"8.0\\nbaseurl=http://evil.example\"")),
        ("an old version", with("version: \"8.0\"", "version: \"3.6\"")),
        ("clientAuth in small letters", with("clientAuth: Optional", "clientAuth: optional")),
        ("clientAuth that is a truth value", with("clientAuth: Optional", "clientAuth: true")),
        ("no os", with("  os:\n    family: rhel\n    image: quay.io/containerdisks/centos-stream:9\n", "")),
        ("an unknown family", with("family: rhel", "family: windows")),
        ("an image with a blank", with("quay.io/containerdisks/centos-stream:9", "'my image'")),
        ("an image that injects a line", with("quay.io/containerdisks/centos-stream:9", "\"a\\nb: c\"")),
        (
            "a private SSH key",
            with("family: rhel", "family: rhel\n    sshAuthorizedKeys: ['-----BEGIN OPENSSH PRIVATE KEY-----']"),
        ),
        (
            "an SSH key of two lines",
            with("family: rhel", "family: rhel\n    sshAuthorizedKeys: [\"ssh-ed25519 AAAA\\nssh-rsa BBBB\"]"),
        ),
        ("no Secret's name", with("    secretName: mongodb-cert-tls\n", "")),
        ("a Secret's name in capitals", with("mongodb-cert-tls", "Mongodb-Cert")),
        ("no issuer", with("    issuerRef:\n      kind: TandemClusterIssuer\n      name: internal-ca\n", "")),
        ("an issuer without a name", with("      name: internal-ca\n", "")),
        ("an issuer of another group", with("kind: TandemClusterIssuer", "kind: ClusterIssuer")),
        ("a DNS name with a blank", certificate("dnsNames: [a b]")),
        ("a DNS name with a scheme", certificate("dnsNames: ['https://db.example']")),
        ("DNS names that are a text", certificate("dnsNames: db.example")),
        ("an address that is none", certificate("ipAddresses: [10.0.0.256]")),
        ("a common name of 300 characters", certificate(&format!("commonName: {long}"))),
        ("a duration in days", certificate("duration: 90d")),
        ("a duration below nothing", certificate("duration: -1h")),
        ("a duration beyond counting", certificate("duration: 99999999999999999999h")),
        ("a renewal after the end", certificate("duration: 2h\n    renewBefore: 3h")),
        ("a key of 1024 bits", certificate("privateKey: {size: 1024}")),
        ("a key of an unknown algorithm", certificate("privateKey: {algorithm: DSA}")),
        ("a serial of 22 bytes", certificate("serial: mongodb-cert-serial-12")),
        ("a serial that is a pattern", certificate("serial: '*'")),
        ("a serial that is a shell command", certificate("serial: '$(reboot)'")),
        ("two disks of one serial", certificate("serial: a").replace("size: 30Gi", "size: 30Gi\n    serial: a")),
        ("a size in GB", with("size: 30Gi", "size: 30 GB")),
        ("a size that is a number", with("size: 30Gi", "size: 30")),
        ("a size below nothing", with("size: 30Gi", "size: -1Gi")),
        ("a size beyond counting", with("size: 30Gi", "size: 9e999")),
        ("cores below nothing", field("machine: {cores: -1}")),
        ("cores in a text", field("machine: {cores: two}")),
        ("too much memory to be true", field("machine: {memory: lots}")),
        ("a cluster domain with a blank", field("clusterDomain: 'cluster local'")),
        (
            "clients that are a mapping",
            with("  clients:\n    - name: python-app\n", "  clients:\n      name: python-app\n"),
        ),
        ("a client without an image", with("      image: registry.example/python-app:latest\n", "")),
        ("two clients of one name", client("name: python-app, image: i")),
        ("a client with a field of a Deployment", client("name: a, image: i, containers: []")),
        ("an unknown delivery", field("delivery: cdrom")),
        ("delivery in a list", field("delivery: [disk]")),
        ("an empty root disk", field("root: {}")),
        ("a root disk from two sources", field("root: {persistentVolumeClaim: {name: a}, containerDisk: {image: a}}")),
        ("cloud-config that is a text", field("cloudConfig: |\n    #cloud-config\n    runcmd: []")),
        ("cloud-config that is a list", field("cloudConfig: [runcmd]")),
        ("cloud-config that contradicts", field("cloudConfig: {write_files: none}")),
        ("cloud-config with a number as a field's name", field("cloudConfig: {1: a}")),
        ("a template that is a list", field("template: [a]")),
        ("PostgreSQL of a version that is a word", database("postgresql: {version: latest}")),
        (
            "PostgreSQL with a rule of two lines",
            database("postgresql: {hba: [\"local all all trust\\nhost all all all trust\"]}"),
        ),
        ("PostgreSQL with a rule that it cannot read", database("postgresql: {hba: ['hostssl all all 10.0.0.1 md5']}")),
        ("PostgreSQL with a rule for plaintext", database("postgresql: {hba: ['host all all 0.0.0.0/0 trust']}")),
        ("Redis of an unknown make", database("redis: {server: KeyDB}")),
        ("Redis with a relative credential file", database("redis: {credentialFile: redis.auth}")),
        ("files without a folder", none("none: {files: {}}")),
        ("files in a relative folder", none("none: {files: {folder: etc/ssl}}")),
        ("files that others may read", none("none: {files: {folder: /etc/ssl, mode: '0644'}}")),
        ("files with a mode that is a number", none("none: {files: {folder: /etc/ssl, mode: 400}}")),
        ("files of an owner who injects", none("none: {files: {folder: /etc/ssl, owner: 'a; reboot'}}")),
        ("files whose name is a path", none("none: {files: {folder: /etc/ssl, key: ../shadow}}")),
        ("files of one name", none("none: {files: {folder: /etc/ssl, key: a, certificate: a}}")),
        ("a service that is no unit", none("none: {files: {folder: /etc/ssl}, service: 'nginx reload'}")),
        ("two ways to reload", none("none: {files: {folder: /etc/ssl}, reload: {command: a, service: Reload}}")),
        ("port 0", none("none: {files: {folder: /etc/ssl}, port: 0}")),
        ("port 65536", none("none: {files: {folder: /etc/ssl}, port: 65536}")),
        ("a Secret's name of 300 bytes", with("mongodb-cert-tls", &long)),
        ("a kind of issuer that is none", with("kind: TandemClusterIssuer", "group: x.example\n      kind: my issuer")),
        ("a duration of minutes", certificate("duration: 30m")),
        ("a serial that is the data disk's", certificate("serial: data-d0db5477ca604e7")),
        (
            "a cluster domain that leaves a name no room",
            field(&format!("clusterDomain: {}", vec!["n".repeat(60); 4].join("."))),
        ),
        ("a command with a bell in it", none("none: {files: {folder: /etc/ssl}, reload: {command: \"a\\a\"}}")),
        ("cores beyond counting", field("machine: {cores: 99999999999}")),
        ("a field beside spec", format!("{}status: {{}}\n", example("databasevm.yaml"))),
    ]
    .map(|(name, text)| case(name, "render input --output-dir out", text))
    .into()
}
