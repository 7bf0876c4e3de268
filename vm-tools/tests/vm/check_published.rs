//! What breaks in published examples of databases in VMs, each in as few lines as show it.

use tandem_vm::check::check;
use tandem_vm::model::Stream;

/// The numbers of the rules that a stream breaks.
pub(crate) fn broken(manifests: &[&str]) -> Vec<&'static str> {
    let text: String = manifests.iter().map(|manifest| format!("---\n{manifest}\n")).collect();
    let stream = Stream::read(&["-".into()], &mut text.as_bytes(), "databases");
    let report = check(&stream.unwrap_or_else(|lines| panic!("{lines:?}\n{text}")), &[]);
    report.findings.iter().map(|finding| finding.rule.id).collect()
}

pub(crate) fn machine(name: &str, disks: &str, volumes: &str) -> String {
    format!(
        "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {{name: {name}}}\nspec:\n  runStrategy: Always\n  template:\n    \
         metadata: {{labels: {{kubevirt.io/domain: {name}}}}}\n    spec:\n      domain: {{devices: {{disks: [{disks}]}}}}\n      \
         volumes: [{volumes}]\n"
    )
}

const CERTIFICATE_DISK: &str = "{name: certificate, disk: {bus: virtio}, serial: db-certificate}";
const CERTIFICATE_VOLUME: &str = "{name: certificate, secret: {secretName: db-tls}}";

pub(crate) fn certificate(issuer: &str, names: &str) -> String {
    format!(
        "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {{name: db}}\n\
         spec: {{secretName: db-tls, issuerRef: {issuer}, dnsNames: [{names}]}}\n"
    )
}

pub(crate) const INTERNAL_CA: &str = "{group: pki.tandem.internal, kind: TandemClusterIssuer, name: internal-ca}";

pub(crate) fn service(name: &str, machine: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec: {{selector: {{kubevirt.io/domain: {machine}}}, ports: [{{port: 27017}}]}}\n"
    )
}

pub(crate) fn client(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: app}}\n\
         spec: {{containers: [{{name: app, env: [{{name: DATABASE, value: {value:?}}}]}}]}}\n"
    )
}

fn with_user_data(disks: &str, volumes: &str, user_data: &str) -> String {
    let text = serde_json::to_string(user_data).unwrap();
    machine(
        "db",
        &format!("{disks}{{name: seed, disk: {{bus: virtio}}}}"),
        &format!("{volumes}{{name: seed, cloudInitNoCloud: {{userData: {text}}}}}"),
    )
}

#[test]
fn a_self_signed_cluster_issuer_breaks_at_the_first_renewal() {
    let issuer = "apiVersion: cert-manager.io/v1\nkind: ClusterIssuer\nmetadata: {name: own}\nspec: {selfSigned: {}}\n";
    let certificate = certificate("{kind: ClusterIssuer, name: own}", "db");
    let machine = machine("db", CERTIFICATE_DISK, CERTIFICATE_VOLUME);
    assert_eq!(broken(&[issuer, &certificate, &machine]), ["TVM201", "TVM210"]);
    // A CA may sign itself: that is what it is for.
    let authority = certificate.replace("dnsNames", "isCA: true, dnsNames");
    assert_eq!(broken(&[issuer, &authority]), [""; 0]);
}

#[test]
fn a_serial_of_22_characters_is_cut_to_20() {
    let serial = "mongodb-certificate-01";
    assert_eq!(serial.len(), 22);
    let machine = |serial: &str| machine("db", &CERTIFICATE_DISK.replace("db-certificate", serial), CERTIFICATE_VOLUME);
    assert_eq!(broken(&[&machine(serial)]), ["TVM001"]);
    assert_eq!(broken(&[&machine(&serial[..20])]), [""; 0]);
}

#[test]
fn a_grep_for_a_serial_finds_more_than_one_disk() {
    let disks = |other: &str| format!("{CERTIFICATE_DISK}, {{name: data, disk: {{bus: virtio}}, serial: {other}}}, ");
    let volumes = format!("{CERTIFICATE_VOLUME}, {{name: data, persistentVolumeClaim: {{claimName: data}}}}, ");
    let user_data =
        "#cloud-config\nbootcmd:\n  - lsblk --nodeps -no name,serial | grep db-certificate | cut -f1 -d' '\n";
    let with = |other: &str| with_user_data(&disks(other), &volumes, user_data);
    assert_eq!(broken(&[&with("db-certificate-old")]), ["TVM004", "TVM122"]);
    assert_eq!(broken(&[&with("db-data")]), ["TVM121"]);
}

#[test]
fn user_data_of_2287_bytes_does_not_fit_the_manifest() {
    let user_data = |bytes: usize| {
        let head = "#cloud-config\n# ";
        format!("{head}{}\n", "x".repeat(bytes - head.len() - 1))
    };
    assert_eq!(broken(&[&with_user_data("", "", &user_data(2287))]), ["TVM101"]);
    assert_eq!(broken(&[&with_user_data("", "", &user_data(2048))]), [""; 0]);
}

#[test]
fn a_policy_for_mongodb_vm_protects_no_vm_that_is_labelled_mongodb_vm_0() {
    let policy = |name: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: db}}\n\
             spec: {{podSelector: {{matchLabels: {{kubevirt.io/domain: {name}}}}}, ingress: []}}\n"
        )
    };
    let machine = machine("mongodb-vm-0", CERTIFICATE_DISK, CERTIFICATE_VOLUME);
    assert_eq!(broken(&[&machine, &policy("mongodb-vm")]), ["TVM302"]);
    assert_eq!(broken(&[&machine, &policy("mongodb-vm-0")]), [""; 0]);
}

#[test]
fn a_service_and_a_policy_in_another_namespace_than_the_vm() {
    let machine = machine("db", CERTIFICATE_DISK, CERTIFICATE_VOLUME);
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db}\n\
                  spec: {podSelector: {matchLabels: {kubevirt.io/domain: db}}, ingress: []}\n";
    let elsewhere = |manifest: &str| manifest.replace("{name: db}", "{name: db, namespace: elsewhere}");
    let service = service("db", "db");
    assert_eq!(broken(&[&machine, &elsewhere(&service), &elsewhere(policy)]), ["TVM301", "TVM302"]);
    assert_eq!(broken(&[&machine, &service, policy]), [""; 0]);
}

#[test]
fn a_client_dials_mongodb_0_which_the_certificate_does_not_name() {
    let filesystem =
        machine("db", "", CERTIFICATE_VOLUME).replace("disks: []", "filesystems: [{name: certificate, virtiofs: {}}]");
    let certificate = certificate(INTERNAL_CA, "'*.databases.svc.cluster.local', mongodb");
    let [mongodb, member] = [service("mongodb", "db"), service("mongodb-0", "db")];
    let dialling = |host: &str| {
        broken(&[&certificate, &filesystem, &mongodb, &member, &client(&format!("mongodb://{host}:27017/?tls=true"))])
    };
    assert_eq!(dialling("mongodb-0"), ["TVM304"]);
    assert_eq!(dialling("mongodb"), [""; 0]);
    assert_eq!(dialling("mongodb-0.databases.svc.cluster.local"), [""; 0]);
    // One label is all that a wildcard stands for.
    assert_eq!(dialling("db.mongodb.databases.svc.cluster.local"), ["TVM304"]);
}

#[test]
fn a_replica_set_is_configured_for_another_namespace_than_the_names() {
    let filesystem =
        machine("db", "", CERTIFICATE_VOLUME).replace("disks: []", "filesystems: [{name: certificate, virtiofs: {}}]");
    let certificate = certificate(INTERNAL_CA, "'*.databases.svc.cluster.local', mongodb");
    let service = service("mongodb", "db");
    let initiation = |namespace: &str| {
        let script = format!(
            "rs.initiate({{_id: 'rs0', members: [{{_id: 0, host: 'mongodb.{namespace}.svc.cluster.local:27017'}}]}})"
        );
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: init}}\ndata: {{init.js: {script:?}}}\n")
    };
    assert_eq!(broken(&[&certificate, &filesystem, &service, &initiation("production")]), ["TVM306"]);
    assert_eq!(broken(&[&certificate, &filesystem, &service, &initiation("databases")]), [""; 0]);
}

#[test]
fn a_key_file_is_over_1024_characters_or_readable_by_others() {
    let user_data = |characters: usize, permissions: &str| {
        let key = "k".repeat(characters);
        let text = format!(
            "#cloud-config\nwrite_files:\n  - {{path: /etc/rs.key, content: {key}{permissions}}}\n  \
             - {{path: /etc/mongod.conf, content: \"security:\\n  keyFile: /etc/rs.key\\n\"}}\n"
        );
        with_user_data("", "", &text)
    };
    assert_eq!(broken(&[&user_data(1025, ", permissions: '0400'")]), ["TVM130"]);
    assert_eq!(broken(&[&user_data(1024, ", permissions: '0400'")]), [""; 0]);
    assert_eq!(broken(&[&user_data(1024, ", permissions: '0440'")]), ["TVM131"]);
    assert_eq!(broken(&[&user_data(1024, "")]), ["TVM131"]);
}

/// Machines whose root outlives a start, with the certificate on a disk and this user data.
fn keeps_its_root(user_data: &str) -> String {
    let disks = format!("{{name: root, disk: {{bus: virtio}}}}, {CERTIFICATE_DISK}, ");
    let volumes = format!("{{name: root, persistentVolumeClaim: {{claimName: root}}}}, {CERTIFICATE_VOLUME}, ");
    with_user_data(&disks, &volumes, &format!("#cloud-config\n{user_data}"))
}

#[test]
fn a_folder_of_certificates_that_is_copied_at_the_first_boot_stays_as_it_is() {
    const MOUNT: &str = "mount -o ro /dev/disk/by-id/virtio-db-certificate /mnt";
    let runs = |command: &str| keeps_its_root(&format!("runcmd:\n- {MOUNT}\n- {command}\n"));
    for command in [
        "cp -r /mnt/. /etc/ssl/db/",
        "cp /mnt/* /etc/ssl/db/",
        "cp -a /mnt /etc/ssl/db",
        "rsync -a /mnt/ /etc/ssl/db/",
        "mkdir -p /etc/ssl/db && cp -r \"/mnt/.\" /etc/ssl/db",
        "[cp, -r, /mnt/., /etc/ssl/db/]",
        "tar -C /mnt -cf - . | tar -C /etc/ssl/db -xf -",
    ] {
        assert_eq!(broken(&[&runs(command)]), ["TVM211"], "{command}");
    }
    for command in ["cp -r /srv/. /etc/ssl/db/", "ls /mnt/", "cp /mnt/ca.crt /etc/ssl/", "cp /etc/motd /mnt/"] {
        assert_eq!(broken(&[&runs(command)]), [""; 0], "{command}");
    }
    // Mounted by a unit.
    let unit = "write_files:\n- {path: /etc/systemd/system/mnt.mount, content: \"[Mount]\\nWhat=/dev/disk/by-id/virtio-db-certificate\\n\
                Where=/mnt\\n\"}\nruncmd:\n- systemctl start mnt.mount\n- cp -r /mnt/. /etc/ssl/db/\n";
    assert_eq!(broken(&[&keeps_its_root(unit)]), ["TVM211"]);
    assert_eq!(broken(&[&keeps_its_root(&unit.replace("Where=/mnt", "Where=/srv"))]), [""; 0]);
    // Mounted by cloud-init, and copied by a script.
    let script = "mounts:\n- [/dev/disk/by-id/virtio-db-certificate, /mnt, auto, ro]\nwrite_files:\n\
        - path: /usr/local/bin/once\n  permissions: '0755'\n  content: |\n    #!/bin/sh\n    cp /mnt/* /etc/ssl/db/\n\
        runcmd:\n- /usr/local/bin/once\n";
    assert_eq!(broken(&[&keeps_its_root(script)]), ["TVM211"]);
    assert_eq!(broken(&[&keeps_its_root(&script.replace("runcmd", "bootcmd"))]), [""; 0]);
}

#[test]
fn a_pod_that_mounts_the_authority_alone_does_not_see_the_key() {
    let machine = machine("db", CERTIFICATE_DISK, CERTIFICATE_VOLUME);
    let pod = |mount: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: app}}\nspec: {{containers: [{{name: app, volumeMounts: [{{name: tls, \
             mountPath: /tls{mount}}}]}}], volumes: [{{name: tls, secret: {{secretName: db-tls}}}}]}}\n"
        )
    };
    let certificate = certificate(INTERNAL_CA, "db");
    for (mount, sees) in [
        ("", true),
        (", subPath: ca.crt", false),
        (", subPath: tls.key", true),
        (", subPath: ..data", true),
        (", subPathExpr: $(FILE)", true),
    ] {
        assert_eq!(broken(&[&certificate, &machine, &pod(mount)]).contains(&"TVM403"), sees, "{mount}");
    }
}
