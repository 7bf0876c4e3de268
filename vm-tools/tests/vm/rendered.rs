//! What is rendered from the examples and from the options.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tandem_vm::inject::{Database, Options, Os};
use tandem_vm::output::{Format, stream};

use crate::inject;
use crate::support::{EXAMPLES, MONGODB, example, example_path, guest_files, object, render};

#[test]
fn the_whole_stream_of_each_example() {
    for name in EXAMPLES {
        let rendered = render(&example(name));
        let text = stream(&rendered.manifests, Format::Yaml).unwrap();
        insta::assert_snapshot!(name.replace('/', "-"), without_scripts(text, &rendered.user_data));
    }
}

/// With the options of its README.
#[test]
fn the_whole_stream_of_the_example_that_is_injected() {
    let options = Options {
        database: Database::MongoDb,
        os: Some(Os::Debian),
        secret: "shop-db-tls".to_owned(),
        ..inject::options("shop-db")
    };
    let text = inject::injected(&example("inject-own-vm/vm.yaml"), &options);
    let user_data = inject::user_data(&inject::objects(&text), "shop-db").unwrap();
    insta::assert_snapshot!("inject-own-vm-vm.yaml", without_scripts(text, &user_data));
}

/// No example is forgotten.
#[test]
fn the_examples_are_those_of_the_folder() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").canonicalize().unwrap();
    let mut found = Vec::new();
    for folder in fs::read_dir(&examples).unwrap() {
        for entry in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            let is_document = |text: String| text.lines().any(|line| line == "kind: DatabaseVM");
            if path.is_file() && fs::read_to_string(&path).is_ok_and(is_document) {
                found.push(path);
            }
        }
    }
    let mut named = EXAMPLES.map(|name| example_path(name).canonicalize().unwrap());
    found.sort();
    named.sort();
    assert_eq!(found, named);
}

/// The stream without the text of the scripts that are the same in every guest.
fn without_scripts(mut text: String, user_data: &str) -> String {
    for (path, file) in guest_files(user_data) {
        let scripts = ["tandem-tls", "tandem-data", "tandem-keyfile", "tandem-replset"];
        if path.strip_prefix("/usr/local/sbin/").is_some_and(|name| scripts.contains(&name)) {
            let indent = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("        {line}\n") };
            let script: String = file.content.lines().map(indent).collect();
            assert!(text.contains(&script), "{path}");
            text = text.replace(&script, "        (script)\n");
        }
    }
    text
}

#[test]
fn the_names_of_the_scenario() {
    let rendered = render(&example("databasevm.yaml"));
    let names: Vec<_> = rendered.manifests.iter().map(|m| format!("{}/{}", m.kind(), m.name())).collect();
    let expected = [
        "Certificate/mongodb-cert",
        "PersistentVolumeClaim/mongodb-data",
        "Secret/mongodb-vm-userdata",
        "VirtualMachine/mongodb-vm",
        "Service/mongodb",
        "NetworkPolicy/mongodb-vm",
        "Deployment/mongodb-python-app",
    ];
    assert_eq!(names, expected);
}

#[test]
fn yaml_and_json_say_the_same_and_yaml_has_no_tags() {
    for name in EXAMPLES {
        let rendered = render(&example(name));
        let json: Value = serde_json::from_str(&stream(&rendered.manifests, Format::Json).unwrap()).unwrap();
        assert_eq!((&json["apiVersion"], &json["kind"]), (&json!("v1"), &json!("List")));
        let yaml = stream(&rendered.manifests, Format::Yaml).unwrap();
        let documents: Vec<Value> =
            yaml.split("---\n").skip(1).map(|text| serde_yaml::from_str(text).unwrap()).collect();
        assert_eq!(json["items"], Value::Array(documents));
        for line in yaml.lines() {
            assert!(!line.contains(": !"), "a YAML tag, which Kubernetes does not read: {line}");
        }
    }
}

/// The example with one line replaced.
fn changed(from: &str, to: &str) -> String {
    let text = example("databasevm.yaml");
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

#[test]
fn mongod_asks_for_client_certificates_only_if_required() {
    for (word, expected) in [("Optional", "true"), ("Required", "false")] {
        let rendered = render(&changed("clientAuth: Optional", &format!("clientAuth: {word}")));
        let conf = &guest_files(&rendered.user_data)["/etc/mongod.conf"].content;
        // In lower case: MongoDB reads no other spelling.
        assert!(conf.contains(&format!("    allowConnectionsWithoutCertificates: {expected}\n")), "{conf}");
        let conf: Value = serde_yaml::from_str(conf).unwrap();
        assert_eq!(conf["net"]["tls"]["mode"], "requireTLS");
        assert_eq!(conf["net"]["bindIp"], "0.0.0.0");
    }
}

#[test]
fn a_client_gets_the_ca_alone_unless_it_says_shared() {
    let volume =
        |text: &str| object(&render(text), "Deployment")["spec"]["template"]["spec"]["volumes"][0]["secret"].clone();
    let secret = "mongodb-cert-tls";
    assert_eq!(
        volume(&changed("certificate: shared", "replicas: 2")),
        json!({
            "secretName": secret, "items": [{"key": "ca.crt", "path": "ca.crt"}]
        })
    );
    assert_eq!(volume(&example("databasevm.yaml")), json!({"secretName": secret}));
}

#[test]
fn no_mount_uses_a_sub_path() {
    for name in EXAMPLES {
        assert!(!stream(&render(&example(name)).manifests, Format::Yaml).unwrap().contains("subPath"));
    }
}

#[test]
fn client_auth_is_in_the_certificate_only_where_it_is_presented() {
    let usages = |text: &str| object(&render(text), "Certificate")["spec"]["usages"].clone();
    let server = json!(["digital signature", "key encipherment", "server auth"]);
    assert_eq!(usages(&changed("certificate: shared", "certificate: none")), server);
    assert_eq!(usages(&example("databasevm.yaml"))[3], "client auth");
    // RFC 8813 forbids key encipherment with an elliptic curve key.
    let ecdsa =
        changed("secretName: mongodb-cert-tls", "secretName: mongodb-cert-tls\n    privateKey: {algorithm: ECDSA}");
    assert_eq!(usages(&ecdsa), json!(["digital signature", "server auth", "client auth"]));
}

#[test]
fn the_certificate_has_every_name_once_and_those_of_the_user() {
    let more = "secretName: mongodb-cert-tls\n    dnsNames: [db.example.org, mongodb-vm, '*.example.org']\n    \
                ipAddresses: [192.0.2.7, '2001:db8::7']\n    duration: 24h\n    renewBefore: 8h";
    let text = changed("secretName: mongodb-cert-tls", more);
    let spec = object(&render(&format!("{text}  clusterDomain: k8s.example\n")), "Certificate")["spec"].clone();
    let expected = json!([
        "mongodb",
        "mongodb.kubevirt-networking-poc",
        "mongodb.kubevirt-networking-poc.svc",
        "mongodb.kubevirt-networking-poc.svc.k8s.example",
        "mongodb-vm",
        "db.example.org",
        "*.example.org"
    ]);
    assert_eq!(spec["dnsNames"], expected);
    assert_eq!(spec["ipAddresses"], json!(["192.0.2.7", "2001:db8::7"]));
    assert_eq!((&spec["duration"], &spec["renewBefore"]), (&json!("24h"), &json!("8h")));
}

#[test]
fn cert_managers_own_issuers_are_possible() {
    let text = changed("kind: TandemClusterIssuer", "kind: ClusterIssuer\n      group: cert-manager.io");
    let issuer = object(&render(&text), "Certificate")["spec"]["issuerRef"].clone();
    assert_eq!(issuer, json!({"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "internal-ca"}));
}

#[test]
fn a_common_name_never_has_more_than_64_characters() {
    let long = "n".repeat(60);
    let text = example("databasevm.yaml").replace("name: mongodb\n", &format!("name: {long}\n"));
    let text = text.replace("name: python-app", "name: a");
    assert_eq!(object(&render(&text), "Certificate")["spec"]["commonName"], long);
}

#[test]
fn an_image_with_the_database_in_it_downloads_nothing() {
    for name in MONGODB {
        let user_data = render(&example(name).replace("clientAuth: Optional", "install: Image")).user_data;
        assert!(!user_data.contains("https://"), "{user_data}");
        let config: Value = serde_yaml::from_str(&user_data).unwrap();
        for key in ["packages", "yum_repos", "apt", "bootcmd", "package_update"] {
            assert_eq!(config.get(key), None, "{key}");
        }
    }
}

#[test]
fn ssh_keys_reach_the_guest_and_open_its_port() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEexampleexampleexampleexampleexample someone";
    let rendered = render(&changed("family: rhel", &format!("family: rhel\n    sshAuthorizedKeys: ['{key}']")));
    let config: Value = serde_yaml::from_str(&rendered.user_data).unwrap();
    assert_eq!(config["ssh_authorized_keys"], json!([key]));
    let vm = object(&rendered, "VirtualMachine");
    assert_eq!(vm["spec"]["template"]["spec"]["domain"]["devices"]["interfaces"][0]["ports"][1]["port"], 22);
}

#[test]
fn serials_and_classes_of_the_user_are_kept() {
    let text = changed("size: 30Gi", "size: 5Gi\n    storageClassName: fast\n    serial: my_data.1");
    let text =
        text.replace("secretName: mongodb-cert-tls", "secretName: mongodb-cert-tls\n    serial: my+tls-0123456789.1");
    let rendered = render(&text);
    let disks = object(&rendered, "VirtualMachine")["spec"]["template"]["spec"]["domain"]["devices"]["disks"].clone();
    assert_eq!((&disks[1]["serial"], &disks[2]["serial"]), (&json!("my_data.1"), &json!("my+tls-0123456789.1")));
    let claim = object(&rendered, "PersistentVolumeClaim")["spec"].clone();
    assert_eq!(
        (&claim["storageClassName"], &claim["resources"]["requests"]["storage"]),
        (&json!("fast"), &json!("5Gi"))
    );
    let files = guest_files(&rendered.user_data);
    assert!(
        files["/etc/systemd/system/var-lib-mongo.mount"].content.contains("What=/dev/disk/by-id/virtio-my_data.1\n")
    );
}
