//! Bad input: the exact message and exit code of each kind.

use std::fs::{self, File};
use std::path::Path;

use tempfile::TempDir;

use crate::command::{render_stdin, tandem_vm};
use crate::support::{example, output, renamed, said};

/// Expects the one document to be refused with exactly these lines.
pub(crate) fn refused(text: impl AsRef<[u8]>, lines: &[&str]) {
    let lines: Vec<_> = lines.iter().map(|line| format!("document 1: {line}")).collect();
    unread(text, &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Expects the text to be refused with exactly these lines.
fn unread(text: impl AsRef<[u8]>, lines: &[&str]) {
    let done = render_stdin(text.as_ref(), &[]);
    let expected: String = lines.iter().map(|line| format!("tandem-vm: standard input: {line}\n")).collect();
    assert_eq!((done.status.code(), said(&done)), (Some(2), expected));
}

/// The example with one piece replaced.
pub(crate) fn with(from: &str, to: &str) -> String {
    let text = example("databasevm.yaml");
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

#[test]
fn values_of_the_wrong_kind() {
    refused(
        with("secretName: mongodb-cert-tls", "secretName: 5"),
        &["spec.certificate.secretName: expected a string, found the number 5; write it in quotes"],
    );
    refused(
        with("version: \"8.0\"", "version: 8.0"),
        &["spec.database.mongodb.version: expected a string, found the number 8.0; write it in quotes"],
    );
    refused(
        with("clientAuth: Optional", "clientAuth: optional"),
        &["spec.database.mongodb.clientAuth: `optional` is unknown; \
           did you mean Optional? Known here: Optional, Required"],
    );
    refused(
        with("size: 30Gi", "size: 30Gi\n    serial: 17"),
        &["spec.storage.serial: expected a string, found the number 17; write it in quotes"],
    );
    refused(
        with("secretName: mongodb-cert-tls", "secretName: s\n    ipAddresses: [mongodb]"),
        &["spec.certificate.ipAddresses[0]: `mongodb` is not an IP address; write one such as 10.0.0.5"],
    );
    refused(
        with("  storage:\n", "  machine: {cores: -1}\n  storage:\n"),
        &["spec.machine.cores: expected a whole number, found the number -1; write one that is not negative"],
    );
    refused(
        with("  storage:\n", "  machine: small\n  storage:\n"),
        &["spec.machine: expected a mapping, found string \"small\"; write its fields as key: value"],
    );
    refused("[]", &["expected a mapping, found a list; write its fields as key: value"]);
}

#[test]
fn unknown_and_missing_fields() {
    refused(
        with("secretName:", "secretname:"),
        &["spec.certificate.secretname: unknown field; did you mean secretName? Known here: \
           secretName, issuerRef, commonName, subject, dnsNames, ipAddresses, privateKey, duration, renewBefore, serial, volumeName"],
    );
    refused(
        with("  storage:", "  deliver: disk\n  storage:"),
        &[
            "spec.deliver: unknown field; did you mean delivery? Known here: database, os, certificate, delivery, restartStale, root, \
           storage, machine, members, clusterDomain, clients, networkPolicy, cloudConfig, template",
        ],
    );
    refused(with("    secretName: mongodb-cert-tls\n", ""), &["spec.certificate.secretName: is missing; add it"]);
    refused(
        with("certificate: shared", "certificate: everything"),
        &["spec.clients[0].certificate: `everything` is unknown; known here: none, shared, own"],
    );
}

#[test]
fn documents_of_another_kind() {
    refused(
        "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: {running: true}\n",
        &[
            "apiVersion, kind: found `kubevirt.io/v1 VirtualMachine`; write vm.tandem.internal/v1alpha1 and DatabaseVM, \
           or have tandem-vm inject change a VM of your own",
        ],
    );
}

#[test]
fn what_is_not_one_document_is_none() {
    let two = format!("{0}---\n{0}", example("databasevm.yaml"));
    for (text, why) in [
        ("#".repeat(2 << 20), " bytes; a DatabaseVM is a few lines of YAML"),
        ("# nothing\n".to_owned(), "the document is empty; write a DatabaseVM (tandem-vm render --help shows one)"),
        (two, "there are several YAML documents; write each into a file of its own"),
    ] {
        let error = tandem_vm::spec::parse(&text).unwrap_err().to_string();
        assert!(error.ends_with(why), "{error}");
    }
}

#[test]
fn names() {
    let long = "n".repeat(61);
    refused(
        with("name: mongodb\n", &format!("name: {long}\n")),
        &[
            &format!("metadata.name: `{long}` has 61 bytes; use at most 60"),
            "spec.clients[0].name: `python-app` has 10 bytes; use at most 1",
        ],
    );
    refused(
        with("name: mongodb\n", "name: 0db\n"),
        &["metadata.name: `0db` begins with a digit, which a Service's name may not; begin with a letter"],
    );
    refused(
        with("kubevirt-networking-poc", "Kubevirt_poc"),
        &["metadata.namespace: `Kubevirt_poc` is not an RFC 1123 label; \
           use a-z, 0-9 and -, beginning and ending with a letter or digit"],
    );
    refused(
        with("secretName: mongodb-cert-tls", "secretName: mongodb-vm-userdata"),
        &[
            "spec.certificate.secretName: `mongodb-vm-userdata` is the name of the VM's user data Secret; choose another",
        ],
    );
}

#[test]
fn serials() {
    let serial = |value: &str| with("secretName: mongodb-cert-tls", &format!("secretName: s\n    serial: {value}"));
    refused(
        serial("mongodb-cert-serial-12"),
        &[
            "spec.certificate.serial: `mongodb-cert-serial-12` has 22 bytes, and the guest would see only the first 20; \
           use at most 20, or leave the field out",
        ],
    );
    refused(
        serial("'a b'"),
        &["spec.certificate.serial: has the character ' '; use only A-Z, a-z, 0-9, _, ., + and -"],
    );
    refused(serial("''"), &["spec.certificate.serial: is empty; write a serial or leave the field out"]);
    refused(
        serial("same").replace("size: 30Gi", "size: 30Gi\n    serial: same"),
        &["spec.storage.serial: is also spec.certificate.serial, and the guest could not tell the disks apart; \
           change one of them"],
    );
}

#[test]
fn several_problems_are_told_at_once() {
    let text = with("size: 30Gi", "size: \"30\"");
    let text = text.replace("image: quay.io/containerdisks/centos-stream:9", "image: ''");
    let text = text
        .replace("clientAuth: Optional", "clientAuth: Required")
        .replace("certificate: shared", "certificate: none");
    refused(
        text,
        &[
            "spec.os.image: is empty; write an image such as registry.example/name:tag",
            "spec.storage.size: `30` is less than 1Gi; write at least 1Gi",
            "spec.clients[0].certificate: `none`, but spec.database.mongodb.clientAuth is Required and would turn this client \
         away; write certificate: own, or clientAuth: Optional",
        ],
    );
}

#[test]
fn clients() {
    refused(
        with("  clients:\n", "  clients:\n    - {name: python-app, image: i}\n"),
        &["spec.clients[1].name: `python-app` is there twice; give each client a name of its own"],
    );
    refused(
        with("registry.example/python-app:latest", "'my image'"),
        &["spec.clients[0].image: `my image` is not an image reference; write registry/name:tag"],
    );
}

#[test]
fn quantities_and_numbers() {
    refused(
        with("size: 30Gi", "size: 30 GB"),
        &["spec.storage.size: `30 GB` is not a quantity; write a number with a unit, such as 1Gi"],
    );
    let machine = |fields: &str| with("  storage:\n", &format!("  machine: {{{fields}}}\n  storage:\n"));
    refused(machine("memory: 64Mi"), &["spec.machine.memory: `64Mi` is less than 512Mi; write at least 512Mi"]);
    refused(machine("cores: 0"), &["spec.machine.cores: 0 cores; write 1 to 512"]);
}

#[test]
fn certificates() {
    let certificate = |fields: &str| with("secretName: mongodb-cert-tls", &format!("secretName: s\n    {fields}"));
    refused(
        certificate("dnsNames: ['not a name']"),
        &["spec.certificate.dnsNames[0]: `not a name` is not a DNS name; use labels of a-z, 0-9 and -, joined by dots"],
    );
    let long = "a".repeat(64);
    refused(
        certificate(&format!("dnsNames: [{long}.example]")),
        &[&format!(
            "spec.certificate.dnsNames[0]: `{long}.example` has a label of 64 bytes; use at most 63 between two dots"
        )],
    );
    refused(
        certificate("duration: 90d"),
        &["spec.certificate.duration: `90d` is not a duration; write hours, minutes and seconds, such as 2160h"],
    );
    refused(
        certificate("duration: 2h\n    renewBefore: 2h"),
        &["spec.certificate.renewBefore: is not shorter than the certificate's duration; make it shorter"],
    );
    refused(
        certificate("privateKey: {size: 1024}"),
        &["spec.certificate.privateKey.size: 1024 bits with RSA; write 2048, 3072 or 4096"],
    );
    refused(
        with("kind: TandemClusterIssuer", "kind: ClusterIssuer"),
        &[
            "spec.certificate.issuerRef.kind: `ClusterIssuer` is not a kind of pki.tandem.internal; write TandemIssuer or \
           TandemClusterIssuer; for cert-manager's own add group: cert-manager.io",
        ],
    );
}

#[test]
fn a_private_key_in_place_of_a_public_one_is_not_repeated() {
    refused(
        with("family: rhel", "family: rhel\n    sshAuthorizedKeys: ['-----BEGIN OPENSSH PRIVATE KEY-----']"),
        &["spec.os.sshAuthorizedKeys[0]: is not an SSH public key; \
           write one line as in a .pub file, such as ssh-ed25519 AAAA… name"],
    );
}

/// A file of the wrong kind, or a value pasted into the wrong field.
#[test]
fn a_private_key_or_keyfile_in_place_of_anything_else_is_not_repeated() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let keyfile = "bm90LWEta2V5LW9mLWFueWJvZHkK".repeat(2);
    for secret in [key.as_str(), &keyfile, &keyfile[..8]] {
        refused(secret, &["expected a mapping, found a text; write its fields as key: value"]);
    }
    let quoted = serde_json::to_string(&key).unwrap();
    for (from, to) in [
        ("storage:\n    size: 30Gi", format!("storage: {quoted}")),
        ("storage:\n    size: 30Gi", format!("storage: {keyfile}")),
        ("storage:\n    size: 30Gi", format!("delivery: {quoted}")),
        ("name: mongodb\n", format!("name: {quoted}\n")),
        ("mongodb-cert-tls", quoted.clone()),
        ("size: 30Gi", format!("{quoted}: 1")),
    ] {
        let done = render_stdin(with(from, &to).as_bytes(), &[]);
        let said = said(&done);
        assert_eq!(done.status.code(), Some(2), "{said}");
        for secret in key.lines().filter(|line| !line.starts_with('-')).chain([keyfile.as_str()]) {
            assert!(!said.contains(&secret[..8]), "{to}: {said}");
        }
    }
}

#[test]
fn texts_that_are_no_document() {
    for empty in ["", "\n\n", "# only a comment\n", "---\n"] {
        unread(empty, &["no document is in it; write Kubernetes manifests"]);
    }
    unread(b"kind: \xff\n", &["byte 6 is not UTF-8; save the document as UTF-8"]);
    refused(
        "kind: [",
        &[
            "not readable as YAML or JSON: did not find expected node content at line 2 column 1, while parsing a flow node",
        ],
    );
}

#[test]
fn hostile_texts_end_soon_and_clearly() {
    let level = |i: usize| format!("a{}: &a{} [{}]\n", i + 1, i + 1, vec![format!("*a{i}"); 9].join(","));
    // Two texts for gigabytes: aliases of aliases, and many aliases of one long list.
    let list = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(15_000), "*a,".repeat(10_000));
    let bomb: String = (0..50).map(level).collect();
    let bomb = format!("a0: &a0 [x]\n{bomb}metadata: *a50\n");
    for text in [&list, &bomb] {
        let done = render_stdin(text.as_bytes(), &[]);
        assert!(said(&done).contains("its aliases stand for too much; write the values out"), "{}", said(&done));
    }
    for text in [list, bomb, "[".repeat(60_000), "{a: ".repeat(15_000), "- ".repeat(30_000), "a: ".repeat(20_000)] {
        let done = render_stdin(text.as_bytes(), &[]);
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        assert!(said(&done).len() < 500, "{}", said(&done));
    }
    unread(vec![b'#'; 70_000_000], &["more than 67108864 bytes; split it into several files"]);
}

#[test]
fn what_is_wrong_in_several_documents_is_told_of_each() {
    let (good, other) = (example("databasevm.yaml"), renamed("databasevm-debian.yaml", "two"));
    let bad = with("size: 30Gi", "size: 0");
    let size = "spec.storage.size: expected a string, found the number 0; write it in quotes";
    unread(
        format!("{bad}---\n{good}---\n---\n{bad}---\n5\n"),
        &[
            &format!("document 1: {size}"),
            &format!("document 4: {size}"),
            "document 5: expected a mapping, found the number 5; write its fields as key: value",
        ],
    );
    unread(
        format!("{good}---\n{other}---\nkind: ["),
        &["document 3: not readable as YAML or JSON: \
           did not find expected node content at line 57 column 1, while parsing a flow node"],
    );
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- kind: [a]\n- {}", good.replace('\n', "\n  "));
    unread(
        list,
        &[
            "document 1, item 1: kind: expected a string, found a list; write one value",
            "document 1, item 1: apiVersion: is missing; add it",
        ],
    );
}

#[test]
fn documents_that_would_write_the_same_object() {
    let good = example("databasevm.yaml");
    unread(
        format!("{good}---\n{good}"),
        &[
            "document 2: Certificate kubevirt-networking-poc/mongodb-cert and 7 more come from standard input: document 1 as \
           well; change a name",
        ],
    );
    // Nor may two Certificates write one Secret.
    let other = good.replace("name: mongodb\n", "name: other\n");
    unread(
        format!("{good}---\n{other}"),
        &[
            "document 2: Secret kubevirt-networking-poc/mongodb-cert-tls comes from standard input: document 1 as well; \
           change a name",
        ],
    );
    // In another namespace it is another one.
    let elsewhere = other.replace("namespace: kubevirt-networking-poc\n", "namespace: shop\n");
    let done = render_stdin(format!("{good}---\n{elsewhere}").as_bytes(), &[]);
    assert!(done.status.success(), "{}", said(&done));
    // The Deployment of a client is called as that of another database's.
    let named = |name: &str, client: &str| {
        let text = good.replace("name: mongodb\n", &format!("name: {name}\n"));
        text.replace("name: python-app\n", &format!("name: {client}\n"))
            .replace("mongodb-cert-tls", &format!("{name}-tls"))
    };
    unread(
        format!("{}---\n{}", named("a", "b-c"), named("a-b", "c")),
        &["document 2: Deployment kubevirt-networking-poc/a-b-c comes from standard input: document 1 as well; \
           change a name"],
    );
}

#[test]
fn files_that_cannot_be_read() {
    let folder = TempDir::new().unwrap();
    let mut expected = String::new();
    let mut command = tandem_vm();
    command.arg("render");
    let mut add = |path: &Path, rest: &str| {
        command.arg(path);
        expected.push_str(&format!("tandem-vm: {}: {rest}\n", path.display()));
    };
    let advice = "give a file that can be read, or - for standard input";
    add(&folder.path().join("none.yaml"), &format!("No such file or directory (os error 2); {advice}"));
    add(folder.path(), "no .yaml, .yml or .json file is in this folder; name another");
    let large = folder.path().join("large");
    File::create(&large).unwrap().set_len(80_000_000).unwrap();
    add(&large, "more than 67108864 bytes; split it into several files");
    let bad = folder.path().join("bad");
    fs::write(&bad, "a: {").unwrap();
    add(
        &bad,
        "document 1: not readable as YAML or JSON: \
         did not find expected node content at line 2 column 1, while parsing a flow node",
    );
    let done = output(&mut command);
    assert_eq!((done.status.code(), said(&done)), (Some(2), expected));
}
