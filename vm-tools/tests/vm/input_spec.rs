//! Bad input: databases, machines, and what the user merges into ours.

use crate::input::refused;
use crate::support::document;

/// A document whose database is this, on Debian.
fn database(text: &str) -> String {
    document(&format!("database: {text}\nos: {{family: debian, image: i}}"))
}

/// A document with MongoDB and these further lines.
fn with(lines: &str) -> String {
    document(&format!("database: {{mongodb: {{}}}}\nos: {{family: debian, image: i}}\n{lines}"))
}

/// A document with the Secret's files alone, in this folder with these further fields.
fn none(fields: &str) -> String {
    database(&format!("{{none: {{files: {{folder: /etc/app}}, {fields}}}}}"))
}

fn files(fields: &str) -> String {
    database(&format!("{{none: {{files: {{folder: /etc/app, {fields}}}}}}}"))
}

#[test]
fn exactly_one_database() {
    refused(database("{}"), &["spec.database: is empty; write one of mongodb, postgresql, redis, none"]);
    refused(database("{redis: {}, mongodb: {}}"), &["spec.database: names redis and mongodb; keep one of them"]);
    refused(
        database("{mysql: {}}"),
        &["spec.database.mysql: unknown field; known here: mongodb, postgresql, redis, none"],
    );
    refused(
        database("{postgres: {}}"),
        &["spec.database.postgres: unknown field; did you mean postgresql? \
           Known here: mongodb, postgresql, redis, none"],
    );
    refused(
        database("redis"),
        &["spec.database: expected a mapping, found string \"redis\"; write its fields as key: value"],
    );
    refused(
        database("{redis: {verison: \"7\"}}"),
        &[
            "spec.database.redis.verison: unknown field; known here: server, clientAuth, install, credentialFile, reload",
        ],
    );
}

#[test]
fn who_asks_for_a_user_asks_the_one_as_well_who_tells_of_a_renewed_certificate() {
    let with = |fields: &str| {
        document(&format!(
            "database: {{mongodb: {{authorization: enabled{fields}}}}}\nos: {{family: debian, image: i}}\ndelivery: filesystem"
        ))
    };
    refused(
        with(""),
        &[
            "spec.database.mongodb.credentialFile: is missing, and MongoDB would take no renewed certificate, since authorization \
           is enabled; add the file, with a user who has the role hostManager, or say in reload how it is done",
        ],
    );
    for fields in [", credentialFile: /etc/tandem/mongodb", ", reload: {service: Restart}"] {
        crate::support::render(&with(fields));
    }
    refused(
        database("{mongodb: {authorization: true}}"),
        &[
            "spec.database.mongodb.authorization: expected a word, found the truth value true; write one of those that the field \
           knows",
        ],
    );
}

#[test]
fn postgresql() {
    refused(
        database("{postgresql: {version: \"9.6\"}}"),
        &["spec.database.postgresql.version: `9.6` is not a major version of 13 or later; write one such as \"15\""],
    );
    refused(
        database("{postgresql: {version: \"16\"}}").replace("debian", "rhel"),
        &["spec.database.postgresql.version: is for Debian; the RHEL family has a version of its own: leave it out"],
    );
    refused(
        database("{postgresql: {clientcert: verify-full}}"),
        &["spec.database.postgresql.clientcert: asks for nothing while clientAuth is Optional; \
           write clientAuth: Required"],
    );
    refused(
        database("{postgresql: {clientAuth: Required, clientcert: verify_ca}}"),
        &["spec.database.postgresql.clientcert: `verify_ca` is unknown; did you mean verify-ca? \
           Known here: verify-ca, verify-full"],
    );
    refused(
        database("{postgresql: {hba: [\"host all all all md5\", \"hostssl all\\nhost all\"]}}"),
        &[
            "spec.database.postgresql.hba[0]: begins with `host`; begin with local or hostssl, since nobody connects \
             without TLS",
            "spec.database.postgresql.hba[1]: has more than one line; write each line as an entry of its own",
        ],
    );
}

#[test]
fn files_for_a_program() {
    refused(database("{none: {}}"), &["spec.database.none.files: is missing; add it"]);
    let plain = "is not a plain absolute path; write one such as /etc/ssl/app, of A-Z, a-z, 0-9, _, ., +, - and @";
    for folder in ["etc/app", "/etc/../app", "/etc/app/", "/", "\"/etc/my app\"", "\"/etc/$(id)\""] {
        refused(
            database(&format!("{{none: {{files: {{folder: {folder}}}}}}}")),
            &[&format!("spec.database.none.files.folder: `{}` {plain}", folder.trim_matches('"'))],
        );
    }
    refused(
        files("mode: \"0644\""),
        &["spec.database.none.files.mode: `0644` lets every user of the guest at the private key; \
           write \"0400\", \"0440\" or \"0640\""],
    );
    refused(
        files("mode: \"0500\""),
        &["spec.database.none.files.mode: `0500` is no mode for a file that is read; \
           write \"0400\", \"0440\" or \"0640\""],
    );
    refused(
        files("mode: 400"),
        &["spec.database.none.files.mode: expected a string, found the number 400; write it in quotes"],
    );
    refused(
        files("mode: u=r"),
        &["spec.database.none.files.mode: `u=r` is not a mode; write it in octal and in quotes, such as \"0400\""],
    );
    refused(
        files("owner: \"a:b\", group: 'root group'"),
        &[
            "spec.database.none.files.owner: `a:b` is not a user's name; write one such as nginx",
            "spec.database.none.files.group: `root group` is not a user's name; write one such as nginx",
        ],
    );
    refused(
        files("key: ../key, ca: tls.crt"),
        &[
            "spec.database.none.files.key: `../key` is not a plain file name; write one such as tls.crt",
            "spec.database.none.files.ca: `tls.crt` is also the name of certificate; choose another",
        ],
    );
    refused(
        none("service: tandem-tls.service"),
        &["spec.database.none.service: `tandem-tls.service` is tandem-vm's own; name the service that starts after it"],
    );
    refused(
        none("service: nginx"),
        &["spec.database.none.service: `nginx` is not a service; write its unit, such as nginx.service"],
    );
    refused(none("port: 0"), &["spec.database.none.port: 0 is no port; write 1 to 65535"]);
    refused(
        format!("{}  clients: [{{name: a, image: i}}]\n", none("service: a.service")),
        &["spec.clients: has nothing to connect to; add spec.database.none.port, or leave the clients out"],
    );
}

#[test]
fn reloading() {
    refused(
        none("service: a.service, reload: {service: Reload}"),
        &["spec.database.none.reload: has nothing to react to, since a disk changes only when the VM starts; \
           write delivery: filesystem, or leave it out"],
    );
    let follows = |text: String| format!("{text}  delivery: filesystem\n");
    refused(
        follows(none("reload: {service: Reload}")),
        &["spec.database.none.reload.service: there is no service; add spec.database.none.service"],
    );
    refused(
        follows(none("reload: {command: '  '}")),
        &["spec.database.none.reload.command: is empty; write a script, or leave reload out"],
    );
    refused(
        follows(none("reload: {restart: true}")),
        &["spec.database.none.reload.restart: unknown field; known here: command, service"],
    );
    refused(
        follows(database("{redis: {reload: {service: Reload}}}")),
        &["spec.database.redis.reload.service: `Reload`, which its unit does not know; \
           write Restart, or leave reload out"],
    );
    refused(
        database("{mongodb: {credentialFile: /root/credentials}}"),
        &["spec.database.mongodb.credentialFile: is of no use, since a disk changes only when the VM starts; \
           write delivery: filesystem, or leave it out"],
    );
}

#[test]
fn delivery() {
    refused(with("delivery: virtiofs"), &["spec.delivery: `virtiofs` is unknown; known here: disk, filesystem"]);
    let certificate =
        |field: &str, more: &str| with(more).replace("{secretName: ", &format!("{{{field}, secretName: "));
    refused(
        certificate("serial: tls", "delivery: filesystem"),
        &["spec.certificate.serial: is for delivery: disk, and a filesystem has none; leave it out"],
    );
    let long = "v".repeat(37);
    refused(
        certificate(&format!("volumeName: {long}"), ""),
        &[&format!("spec.certificate.volumeName: `{long}` has 37 bytes; use at most 36")],
    );
    refused(
        certificate("volumeName: data-disk", ""),
        &["spec.certificate.volumeName: `data-disk` is another volume of the VM; choose another name"],
    );
}

#[test]
fn the_root_disk() {
    let root = |text: &str| document(&format!("database: {{mongodb: {{}}}}\nos: {{family: debian}}\n{text}"));
    refused(root(""), &["spec.os.image: is missing; add it, or spec.root for another kind of root disk"]);
    refused(
        with("root: {persistentVolumeClaim: {claimName: c}}"),
        &["spec.root: is there beside spec.os.image; leave one of them out"],
    );
    refused(root("root: {}"), &["spec.root: is empty; write one of containerDisk, dataVolume, persistentVolumeClaim"]);
    refused(
        root("root: {dataVolume: {source: {http: {url: ftp://example.com/x}}}}"),
        &[
            "spec.root.dataVolume.source.http.url: `ftp://example.com/x` is not such a URL; \
             begin with http:// or https://",
            "spec.root.dataVolume.size: is missing; add it, since http does not tell how large the image is",
        ],
    );
    refused(
        root("root: {dataVolume: {size: 5Gi, source: {registry: {url: quay.io/x}}}}"),
        &["spec.root.dataVolume.source.registry.url: `quay.io/x` is not such a URL; \
           begin with docker:// or oci-archive://"],
    );
    refused(
        root("root: {dataVolume: {source: {pvc: {name: Golden_Image}}}}"),
        &["spec.root.dataVolume.source.pvc.name: `Golden_Image` is not a DNS name; \
           use labels of a-z, 0-9 and -, joined by dots"],
    );
}

#[test]
fn the_data_disk() {
    refused(
        with("storage: {mountPath: /data}"),
        &["spec.storage.mountPath: is for database none; mongodb knows its own place: leave it out"],
    );
    refused(
        with("storage: {dataDisk: false}"),
        &["spec.storage.dataDisk: `false`, and a container disk forgets the data at every start; \
           write root: {dataVolume: …} or {persistentVolumeClaim: …}, or leave the data disk"],
    );
    refused(
        with("storage: {dataDisk: false, size: 5Gi}")
            .replace("image: i", "")
            .replace("storage:", "root: {persistentVolumeClaim: {claimName: c}}\n  storage:"),
        &["spec.storage.dataDisk: `false`, but the disk is described; leave its other fields out"],
    );
    let files = |storage: &str| format!("{}  storage: {{{storage}}}\n", none("port: 1"));
    refused(
        files("size: 5Gi"),
        &["spec.storage.mountPath: is missing; add it, or leave spec.storage out for no data disk"],
    );
    refused(
        files("mountPath: /etc").replace("port: 1", "port: 1, service: app.service"),
        &["spec.database.none.files.folder: is on the data disk, which is mounted over it later; \
           choose a folder outside spec.storage.mountPath"],
    );
    refused(
        files("mountPath: /data"),
        &["spec.storage.mountPath: is mounted before a service starts, and there is none; \
           add spec.database.none.service"],
    );
}

#[test]
fn instance_types() {
    refused(
        with("machine: {instancetype: {name: u1.small}, cores: 2, memory: 4Gi}"),
        &[
            "spec.machine.cores: is what the instancetype says; leave one of them out",
            "spec.machine.memory: is what the instancetype says; leave one of them out",
        ],
    );
    refused(
        with("machine: {preference: {name: centos, kind: VirtualMachineInstancetype}}"),
        &["spec.machine.preference.kind: `VirtualMachineInstancetype` is not a kind of preference; \
           write VirtualMachinePreference or VirtualMachineClusterPreference"],
    );
}

#[test]
fn cloud_config_that_contradicts_ours() {
    refused(
        with("cloudConfig: {package_update: false, packages: vim, apt: [a], runcmd: []}"),
        &[
            "spec.cloudConfig.package_update: contradicts ours, which says `true`; leave it out",
            "spec.cloudConfig.packages: is appended to a list of ours; write a list",
            "spec.cloudConfig.apt: is merged into a mapping of ours; write its fields as key: value",
        ],
    );
    refused(
        with("cloudConfig: {write_files: [{path: /etc/motd, content: x}, {path: /etc/mongod.conf, content: x}]}"),
        &["spec.cloudConfig.write_files[1].path: `/etc/mongod.conf` is written by tandem-vm; choose another path"],
    );
    refused(
        with(
            "storage: {size: 1Gi, serial: orders-data}\ncloudConfig:\n    mounts: [[/dev/vdb, /var/lib/mongodb/], [vdc, /var/lib], [vdd, \
             /var/lib/mongodb/log], [/dev/disk/by-id/virtio-orders-data, /srv], [vde, /var/lib/mongodb2], [vdf, none, swap], [vda1, /]]\n    \
             fs_setup: [{device: /dev/disk/by-id/virtio-orders-data-part1, overwrite: true}, {device: \
             /dev/disk/by-id/virtio-orders-data2}]\n    disk_setup: {/dev/disk/by-id/virtio-orders-data: {table_type: gpt}, /dev/vdg: \
             {table_type: gpt}}",
        ),
        &[
            "spec.cloudConfig.mounts[0][1]: `/var/lib/mongodb/` and the data disk, which is mounted on `/var/lib/mongodb`, would hide one \
             another; choose another folder",
            "spec.cloudConfig.mounts[1][1]: `/var/lib` and the data disk, which is mounted on `/var/lib/mongodb`, would hide one another; \
             choose another folder",
            "spec.cloudConfig.mounts[2][1]: `/var/lib/mongodb/log` and the data disk, which is mounted on `/var/lib/mongodb`, would hide \
             one another; choose another folder",
            "spec.cloudConfig.mounts[3][0]: `/dev/disk/by-id/virtio-orders-data` is the data disk, which tandem-vm formats and mounts; \
             leave it out",
            "spec.cloudConfig.fs_setup[0].device: `/dev/disk/by-id/virtio-orders-data-part1` is the data disk, which tandem-vm formats and \
             mounts; leave it out",
            "spec.cloudConfig.disk_setup: `/dev/disk/by-id/virtio-orders-data` is the data disk, which tandem-vm formats and mounts; leave \
             it out",
        ],
    );
    refused(
        with("cloudConfig: '#cloud-config'"),
        &["spec.cloudConfig: expected a mapping, found string \"#cloud-config\"; write its fields as key: value"],
    );
}

#[test]
fn cloud_config_that_cloud_init_does_not_know() {
    refused(
        with("cloudConfig: {runcmds: [], Packages: [vim], x-mine: 1, cheese: brie}"),
        &[
            "spec.cloudConfig.runcmds: unknown to cloud-init, which would pass over it; did you mean runcmd?",
            "spec.cloudConfig.Packages: unknown to cloud-init, which would pass over it; did you mean packages?",
            "spec.cloudConfig.cheese: unknown to cloud-init, which would pass over it; \
             https://docs.cloud-init.io/en/latest/reference/modules.html has those that it knows",
        ],
    );
    // tests/vm/model.rs compares these with cloud-init's own description.
    let all: String = tandem_vm::model::KNOWN_KEYS.iter().map(|key| format!("\n  {key}: null")).collect();
    tandem_vm::spec::parse(&with(&format!("cloudConfig:{all}"))).unwrap();
}

#[test]
fn numbers_beyond_their_fields() {
    refused(
        with("members: -1"),
        &["spec.members: expected a whole number, found the number -1; write one that is not negative"],
    );
    refused(
        with("members: 1.5"),
        &["spec.members: expected a whole number, found the number 1.5; write one without a fraction"],
    );
    refused(
        with("clients: [{name: a, image: i, replicas: 70000}]"),
        &["spec.clients[0].replicas: expected a whole number, found the number 70000; write at most 65535"],
    );
}

#[test]
fn templates_that_do_not_fit() {
    refused(
        with("template: {domain: {}, spec: {}}"),
        &[
            "spec.template.domain: is a field of the instance; write it under spec.template.template.spec",
            "spec.template.spec: is not a field of a VirtualMachine's spec; write what belongs beneath its spec",
        ],
    );
    refused(
        with("template: {template: {spec: {volumes: [{name: nvram, $patch: delete}]}}}"),
        &["spec.template.template.spec.volumes[0]: there is no entry `nvram` to delete; leave it out"],
    );
}
