//! What follows the database, the delivery and the machine.

use serde_json::{Value, json};
use tandem_vm::Rendered;

use crate::support::{document, example, find, guest_files, object, render};

/// A document with this database on a family, and further lines.
fn rendered(database: &str, family: &str, more: &str) -> Rendered {
    render(&document(&format!("database: {database}\nos: {{family: {family}, image: i}}\n{more}")))
}

fn machine(rendered: &Rendered) -> Value {
    object(rendered, "VirtualMachine")["spec"].clone()
}

/// Items of a list, by name.
fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|item| item["name"] == name).unwrap_or(&Value::Null)
}

#[test]
fn ports_names_and_probes_follow_the_database() {
    for (database, name, port) in
        [("mongodb", "mongodb", 27017), ("postgresql", "postgresql", 5432), ("redis", "redis", 6379)]
    {
        let rendered = rendered(&format!("{{{database}: {{}}}}"), "debian", "clients: [{name: app, image: i}]");
        let vm = machine(&rendered)["template"]["spec"].clone();
        assert_eq!(vm["readinessProbe"]["tcpSocket"]["port"], port);
        let interface = &vm["domain"]["devices"]["interfaces"][0];
        assert_eq!(interface["ports"], json!([{"name": name, "port": port, "protocol": "TCP"}]));
        let service = &object(&rendered, "Service")["spec"]["ports"][0];
        assert_eq!(
            (&service["name"], &service["port"], &service["targetPort"]),
            (&json!(name), &json!(port), &json!(port))
        );
        assert_eq!(object(&rendered, "NetworkPolicy")["spec"]["ingress"][0]["ports"][0]["port"], port);
        let env = &object(&rendered, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"];
        let host = if database == "postgresql" { "PGHOST".to_owned() } else { format!("{}_HOST", name.to_uppercase()) };
        assert_eq!(named(env, &host)["value"], "orders.shop.svc.cluster.local");
        assert!(
            env.as_array().unwrap().iter().any(|variable| variable["value"].as_str() == Some(&port.to_string())),
            "{env}"
        );
    }
}

#[test]
fn files_alone_come_without_service_policy_and_probe_unless_there_is_a_port() {
    let files = "{none: {files: {folder: /etc/app}}}";
    let without = rendered(files, "rhel", "");
    let kinds: Vec<_> = without.manifests.iter().map(tandem_vm::Manifest::kind).collect();
    assert_eq!(kinds, ["Certificate", "Secret", "VirtualMachine"]);
    assert_eq!(object(&without, "Certificate")["spec"]["dnsNames"], json!(["orders-vm"]));
    assert_eq!(object(&without, "Certificate")["spec"]["commonName"], "orders-vm");
    let spec = machine(&without)["template"]["spec"].clone();
    assert_eq!((spec.get("readinessProbe"), spec["domain"]["devices"]["interfaces"][0].get("ports")), (None, None));
    assert!(find(&rendered(&files.replace("}}}", "}, port: 8443}}"), "rhel", ""), "Service").is_some());
}

#[test]
fn files_go_where_the_document_says() {
    let database = "{none: {files: {folder: /etc/app, owner: app, group: tls, mode: \"640\", combined: app.pem, ca: root.crt}, \
                    service: app.service, reload: {command: 'kill -HUP $(cat /run/app.pid)'}}}";
    let rendered = rendered(database, "debian", "delivery: filesystem\nstorage: {mountPath: /srv/app}");
    let files = guest_files(&rendered.user_data);
    let settings = &files["/etc/tandem/tls.conf"].content;
    for line in [
        "TAG='secret-files'",
        "FILE='combined 0640 app:tls /etc/app/app.pem'",
        "FILE='ca 0644 - /etc/app/root.crt'",
        "SERVICE='app.service'",
        "RELOAD='command'",
    ] {
        assert!(settings.lines().any(|found| found == line), "{line}: {settings}");
    }
    assert!(files["/etc/tandem/tls-reload"].content.contains("\nkill -HUP $(cat /run/app.pid)\n"));
    assert!(files["/etc/tandem/data.conf"].content.contains("FOLDER='/srv/app'\nOWNER='app'\n"));
    // No package brings its mkfs here, and every guest has ext4's.
    assert!(files["/etc/tandem/data.conf"].content.contains("FILESYSTEM='ext4'\n"));
    assert!(
        files["/etc/systemd/system/app.service.d/10-tandem-data.conf"].content.contains("RequiresMountsFor=/srv/app\n")
    );
    let config: Value = serde_yaml::from_str(&rendered.user_data).unwrap();
    assert_eq!(config.get("packages"), None);
}

#[test]
fn a_filesystem_is_a_volume_of_the_same_name_and_no_disk() {
    let rendered = rendered("{postgresql: {}}", "rhel", "delivery: filesystem");
    let spec = machine(&rendered)["template"]["spec"].clone();
    assert_eq!(spec["domain"]["devices"]["filesystems"], json!([{"name": "secret-files", "virtiofs": {}}]));
    assert_eq!(named(&spec["volumes"], "secret-files")["secret"]["secretName"], "orders-tls");
    assert_eq!(named(&spec["domain"]["devices"]["disks"], "secret-files"), &Value::Null);
    let files = guest_files(&rendered.user_data);
    assert!(files.contains_key("/etc/systemd/system/tandem-tls-refresh.timer"));
    assert!(files["/etc/tandem/tls.conf"].content.contains("TAG='secret-files'\n"));
}

/// It tells itself of a new certificate with that very certificate, which must then be fit for a client.
#[test]
fn mongodb_may_present_its_certificate_to_itself_where_it_is_told_of_a_new_one() {
    for (delivery, usages) in [("disk", 3), ("filesystem", 4)] {
        let rendered = rendered("{mongodb: {}}", "debian", &format!("delivery: {delivery}"));
        assert_eq!(object(&rendered, "Certificate")["spec"]["usages"].as_array().unwrap().len(), usages, "{delivery}");
    }
}

#[test]
fn a_service_is_restarted_only_where_the_document_says_so() {
    let reload = |database: &str| {
        let rendered = rendered(database, "debian", "delivery: filesystem");
        let files = guest_files(&rendered.user_data);
        let line = files["/etc/tandem/tls.conf"].content.lines().find(|line| line.starts_with("RELOAD=")).unwrap();
        line.to_owned()
    };
    for database in ["mongodb", "postgresql", "redis"] {
        assert_eq!(reload(&format!("{{{database}: {{}}}}")), format!("RELOAD='{database}'"));
        assert_eq!(reload(&format!("{{{database}: {{reload: {{service: Restart}}}}}}")), "RELOAD='restart'");
    }
}

#[test]
fn a_root_disk_can_be_an_image_a_data_volume_or_a_claim() {
    let root = |text: &str| {
        let rendered = render(&document(&format!("database: {{redis: {{}}}}\nos: {{family: debian}}\nroot: {text}")));
        let spec = machine(&rendered);
        (
            named(&spec["template"]["spec"]["volumes"], "root-disk").clone(),
            spec["dataVolumeTemplates"][0]["spec"].clone(),
        )
    };
    let (volume, _) = root("{containerDisk: {image: i, imagePullSecret: pull}}");
    assert_eq!(volume["containerDisk"], json!({"image": "i", "imagePullSecret": "pull"}));
    let (volume, _) = root("{persistentVolumeClaim: {claimName: golden}}");
    assert_eq!(volume["persistentVolumeClaim"]["claimName"], "golden");
    let storage = json!({"resources": {"requests": {"storage": "9Gi"}}, "storageClassName": "fast"});
    for (source, expected) in [
        (
            "{http: {url: 'https://example.com/i', secretRef: s, certConfigMap: m}}",
            json!({"http": {"url": "https://example.com/i", "secretRef": "s", "certConfigMap": "m"}}),
        ),
        ("{registry: {url: 'docker://example.com/i'}}", json!({"registry": {"url": "docker://example.com/i"}})),
        ("{s3: {url: 'https://example.com/i'}}", json!({"s3": {"url": "https://example.com/i"}})),
        ("{pvc: {name: golden}}", json!({"pvc": {"namespace": "shop", "name": "golden"}})),
        (
            "{snapshot: {name: golden, namespace: images}}",
            json!({"snapshot": {"namespace": "images", "name": "golden"}}),
        ),
    ] {
        let (volume, template) =
            root(&format!("{{dataVolume: {{size: 9Gi, storageClassName: fast, source: {source}}}}}"));
        assert_eq!(volume["dataVolume"]["name"], "orders-vm-root");
        assert_eq!(template, json!({"source": expected, "storage": storage}));
    }
    let (_, template) = root("{dataVolume: {source: {dataSource: {name: debian, namespace: images}}}}");
    let source = json!({"kind": "DataSource", "namespace": "images", "name": "debian"});
    assert_eq!(template, json!({"sourceRef": source, "storage": {}}));
}

#[test]
fn an_instance_type_takes_the_place_of_cpu_and_memory() {
    let rendered =
        rendered("{mongodb: {}}", "debian", "machine: {instancetype: {name: u1.small}, preference: {name: debian}}");
    let spec = machine(&rendered);
    assert_eq!(
        (&spec["instancetype"], &spec["preference"]),
        (&json!({"name": "u1.small"}), &json!({"name": "debian"}))
    );
    let domain = &spec["template"]["spec"]["domain"];
    assert_eq!((domain.get("cpu"), domain.get("memory")), (None, None));
}

#[test]
fn without_a_data_disk_there_is_none() {
    let text = "database: {postgresql: {}}\nos: {family: rhel}\nroot: {persistentVolumeClaim: {claimName: golden}}\n\
                storage: {dataDisk: false}";
    let rendered = render(&document(text));
    assert!(find(&rendered, "PersistentVolumeClaim").is_none());
    let spec = machine(&rendered)["template"]["spec"].clone();
    assert_eq!(named(&spec["volumes"], "data-disk"), &Value::Null);
    assert!(!rendered.user_data.contains("tandem-data") && !rendered.user_data.contains("xfsprogs"));
}

#[test]
fn cloud_config_of_the_user_is_merged_into_ours() {
    let more = "cloudConfig:\n  packages: [vim]\n  package_update: true\n  apt: {sources: {a.list: {source: deb a}}}\n  \
                runcmd: [[echo, done]]\n  timezone: Europe/Vienna\n  write_files: [{path: /etc/motd, content: x}]\n  \
                users: [default, {name: dba}]";
    let plain = rendered("{mongodb: {}}", "debian", "");
    let merged = rendered("{mongodb: {}}", "debian", more);
    assert!(merged.user_data.starts_with("#cloud-config\n"));
    let [before, after]: [Value; 2] =
        [plain, merged].map(|rendered| serde_yaml::from_str(&rendered.user_data).unwrap());
    for list in ["packages", "runcmd", "write_files"] {
        let ours = before[list].as_array().unwrap();
        let all = after[list].as_array().unwrap();
        assert_eq!((&all[..ours.len()], all.len()), (&ours[..], ours.len() + 1), "{list}");
    }
    assert_eq!(after["apt"]["sources"].as_object().unwrap().len(), 2);
    assert_eq!((&after["timezone"], &after["users"][1]["name"]), (&json!("Europe/Vienna"), &json!("dba")));
}

#[test]
fn a_template_has_the_last_word() {
    let template = "template:\n  runStrategy: Halted\n  template:\n    metadata: {labels: {tier: gold}}\n    spec:\n      \
        readinessProbe: null\n      affinity: {nodeAffinity: {a: null, b: 1}}\n      domain:\n        cpu: {cores: 8, model: host-model}\n        \
        devices:\n          disks: [{name: data-disk, cache: none}, {name: more, disk: {bus: virtio}}]\n          \
        interfaces: [{name: default, $patch: delete}, {name: lan, bridge: {}}]\n      \
        networks: [{name: default, $patch: delete}, {name: lan, multus: {networkName: lan}}]\n      \
        volumes: [{name: more, emptyDisk: {capacity: 1Gi}}, {name: root-disk, containerDisk: null, dataVolume: {name: own}}]\n      \
        tolerations: [{key: a}]";
    let rendered = rendered("{mongodb: {}}", "debian", template);
    let spec = machine(&rendered);
    assert_eq!(spec["runStrategy"], "Halted");
    let labels = &spec["template"]["metadata"]["labels"];
    assert_eq!((&labels["tier"], &labels["vm.tandem.internal/role"]), (&json!("gold"), &json!("database")));
    let spec = &spec["template"]["spec"];
    assert_eq!((spec.get("readinessProbe"), &spec["affinity"]), (None, &json!({"nodeAffinity": {"b": 1}})));
    assert_eq!(spec["domain"]["cpu"], json!({"cores": 8, "model": "host-model"}));
    let devices = &spec["domain"]["devices"];
    let disks: Vec<_> =
        devices["disks"].as_array().unwrap().iter().map(|disk| disk["name"].as_str().unwrap()).collect();
    assert_eq!(disks, ["root-disk", "data-disk", "secret-disk", "cloud-init", "more"]);
    let data = named(&devices["disks"], "data-disk");
    assert_eq!((&data["cache"], &data["disk"]["bus"]), (&json!("none"), &json!("virtio")));
    assert_eq!(devices["interfaces"], json!([{"name": "lan", "bridge": {}}]));
    assert_eq!(named(&spec["volumes"], "root-disk"), &json!({"name": "root-disk", "dataVolume": {"name": "own"}}));
    assert_eq!(spec["tolerations"], json!([{"key": "a"}]));
}

#[test]
fn an_empty_template_changes_nothing() {
    let [plain, empty, null] = ["", "template: {}", "template: {template: {spec: {affinity: null}}}"]
        .map(|more| rendered("{redis: {}}", "rhel", more));
    assert_eq!(plain, empty);
    let value = |rendered: &Rendered| serde_json::to_value(&rendered.manifests).unwrap();
    assert_eq!(value(&plain), value(&null));
}

/// libpq takes a key of root's that only its group may read besides, and no other.
#[test]
fn libpq_gets_a_key_that_it_takes() {
    let pod = |certificate: &str| {
        let text = example("postgresql-vm/databasevm.yaml")
            .replace("    - name: app\n", &format!("    - name: app\n      certificate: {certificate}\n"));
        object(&render(&text), "Deployment")["spec"]["template"]["spec"].clone()
    };
    let shared = pod("shared");
    assert_eq!(shared["volumes"][0]["secret"]["defaultMode"], 0o440);
    assert!(shared["securityContext"]["fsGroup"].is_number());
    assert_eq!(pod("none")["securityContext"].get("fsGroup"), None);
}

/// Members ask for a user in any case: membership turns it on.
#[test]
fn mongodb_asks_for_a_user_where_the_document_says_so() {
    let members = "members: 3";
    for (database, more, expected) in [
        ("{}", "", Value::Null),
        ("{authorization: disabled}", "", Value::Null),
        ("{authorization: enabled}", "", json!({"authorization": "enabled"})),
        ("{membership: {x509: {}}}", members, json!({"clusterAuthMode": "x509"})),
        (
            "{membership: {x509: {}}, authorization: enabled}",
            members,
            json!({"authorization": "enabled", "clusterAuthMode": "x509"}),
        ),
        (
            "{membership: {keyFile: {secretName: k}}, authorization: enabled}",
            members,
            json!({"authorization": "enabled", "clusterAuthMode": "keyFile", "keyFile": "/etc/ssl/mongodb.keyfile"}),
        ),
    ] {
        let rendered = rendered(&format!("{{mongodb: {database}}}"), "debian", more);
        let config: Value =
            serde_yaml::from_str(&guest_files(&rendered.user_data)["/etc/mongod.conf"].content).unwrap();
        assert_eq!(config["security"], expected, "{database}");
        assert_eq!(config["net"]["tls"]["mode"], "requireTLS");
    }
}
