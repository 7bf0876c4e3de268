//! Replica sets, and clients with certificates of their own.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_vm::Rendered;

use crate::support::{GuestFile, all_user_data, example, find, guest_files, object, objects, render};

pub(crate) const X509: &str = "x509: {}";
const KEYFILE: &str = "keyFile: {secretName: orders-key}";

/// A document of a set, with more lines at the end of its spec.
pub(crate) fn text(members: u32, membership: &str, more: &str) -> String {
    format!(
        "apiVersion: vm.tandem.internal/v1alpha1\nkind: DatabaseVM\nmetadata: {{name: orders, namespace: shop}}\nspec:\n  \
         members: {members}\n  database: {{mongodb: {{membership: {{{membership}}}}}}}\n  os: {{family: rhel, image: i}}\n  \
         certificate: {{secretName: orders-tls, issuerRef: {{kind: TandemIssuer, name: ca}}}}\n{more}"
    )
}

/// A document of one VM of any database, with a client.
pub(crate) fn single(database: &str, client: &str) -> String {
    format!(
        "apiVersion: vm.tandem.internal/v1alpha1\nkind: DatabaseVM\nmetadata: {{name: orders, namespace: shop}}\nspec:\n  \
         database: {{{database}}}\n  os: {{family: debian, image: i}}\n  \
         certificate: {{secretName: orders-tls, issuerRef: {{kind: TandemIssuer, name: ca}}}}\n  \
         clients: [{{name: app, image: i, {client}}}]\n"
    )
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn settings(file: &GuestFile, key: &str) -> Vec<String> {
    let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix("='")?.strip_suffix('\'')?.to_owned());
    file.content.lines().filter_map(value).collect()
}

fn environment(rendered: &Rendered) -> Vec<(String, String)> {
    let containers = &object(rendered, "Deployment")["spec"]["template"]["spec"]["containers"];
    let variables = containers[0]["env"].as_array().unwrap().clone();
    let pair = |variable: &Value| ["name", "value"].map(|key| variable[key].as_str().unwrap().to_owned());
    variables.iter().map(pair).map(|[name, value]| (name, value)).collect()
}

fn variable(rendered: &Rendered, name: &str) -> String {
    environment(rendered).into_iter().find(|(known, _)| known == name).unwrap().1
}

/// The hosts of a connection string.
fn hosts(uri: &str) -> Vec<String> {
    let (hosts, _) = uri.strip_prefix("mongodb://").unwrap().split_once("/?").unwrap();
    hosts.split(',').map(|host| host.strip_suffix(":27017").unwrap().to_owned()).collect()
}

fn subset(inner: &Value, outer: &Value) -> bool {
    let (inner, outer) = (inner.as_object().unwrap(), outer.as_object().unwrap());
    !inner.is_empty() && inner.iter().all(|(key, value)| outer.get(key) == Some(value))
}

fn label(max: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[a-z][a-z0-9-]{{0,{}}}[a-z0-9]", max - 2)).unwrap()
}

/// Any set with a client.
fn set() -> impl Strategy<Value = (String, u8)> {
    let names = (label(58), label(63), proptest::string::string_regex("[a-z]{1,10}\\.[a-z]{2,5}").unwrap());
    (names, 2_u8..=7, any::<bool>(), any::<bool>()).prop_map(|((name, namespace, domain), members, x509, own)| {
        let client = if own { "own" } else { "none" };
        let more = format!("  clusterDomain: {domain}\n  clients: [{{name: app, image: i, certificate: {client}}}]\n");
        let text = text(members.into(), if x509 { X509 } else { KEYFILE }, &more);
        // Short enough for the client's Deployment.
        let name = name[..name.len().min(50)].trim_end_matches('-').to_owned();
        let names = format!("{{name: {name:?}, namespace: {namespace:?}}}");
        (text.replace("{name: orders, namespace: shop}", &names), members)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What breaks in published examples: a client that dials a member by a name that its certificate does not have, and a
    /// set that is configured for another namespace than the certificate.
    #[test]
    fn every_host_that_is_dialled_is_in_the_certificate_and_leads_to_a_member((text, members) in set()) {
        let rendered = render(&text);
        let certificate = &objects(&rendered, "Certificate")[0]["spec"];
        let names: BTreeSet<_> = strings(&certificate["dnsNames"]).into_iter().collect();
        let first = guest_files(&rendered.user_data);
        let configured = settings(&first["/etc/tandem/replset.conf"], "MEMBER");
        let configured: Vec<_> = configured.iter().map(|member| member.strip_suffix(":27017").unwrap().to_owned()).collect();
        prop_assert_eq!(configured.len(), usize::from(members));
        // Clients dial what the members call themselves: a driver goes on with the hosts of the set's configuration.
        prop_assert_eq!(&hosts(&variable(&rendered, "MONGODB_URI")), &configured);
        prop_assert!(names.contains(&variable(&rendered, "MONGODB_HOST")));
        let domain = text.split_once("clusterDomain: ").unwrap().1.lines().next().unwrap();
        let set = objects(&rendered, "Service")[0].clone();
        prop_assert_eq!((&set["spec"]["clusterIP"], &set["spec"]["publishNotReadyAddresses"]), (&json!("None"), &json!(true)));
        for ((vm, user_data), host) in objects(&rendered, "VirtualMachine").iter().zip(all_user_data(&rendered)).zip(&configured) {
            let spec = &vm["spec"]["template"]["spec"];
            prop_assert_eq!(&spec["subdomain"], &set["metadata"]["name"]);
            let namespace = vm["metadata"]["namespace"].as_str().unwrap();
            let pod = format!("{}.{}.{namespace}.svc.{domain}", spec["hostname"].as_str().unwrap(), spec["subdomain"].as_str().unwrap());
            prop_assert_eq!(&pod, host);
            prop_assert!(names.contains(host));
            // It finds itself under that name.
            let config: Value = serde_yaml::from_str(&user_data).unwrap();
            prop_assert_eq!((&config["fqdn"], &config["manage_etc_hosts"]), (&json!(host), &json!("localhost")));
            prop_assert_eq!(&config["hostname"], &spec["hostname"]);
        }
        for service in objects(&rendered, "Service") {
            let [name, namespace] = ["name", "namespace"].map(|key| service["metadata"][key].as_str().unwrap());
            for form in [name.to_owned(), format!("{name}.{namespace}"), format!("{name}.{namespace}.svc"), format!("{name}.{namespace}.svc.{domain}")] {
                prop_assert!(names.contains(&form), "{}", form);
            }
        }
        prop_assert!(names.iter().all(|name| name.len() <= 253 && name.split('.').all(|label| label.len() <= 63)));
        // cert-manager and OpenSSL refuse a longer one.
        prop_assert!(certificate["commonName"].as_str().unwrap().len() <= 64);
    }

    #[test]
    fn services_and_policy_select_the_members_that_they_are_for((text, members) in set()) {
        let rendered = render(&text);
        let labels: Vec<_> = objects(&rendered, "VirtualMachine").iter().map(|vm| vm["spec"]["template"]["metadata"]["labels"].clone()).collect();
        let policy = object(&rendered, "NetworkPolicy")["spec"].clone();
        let pods = objects(&rendered, "Deployment")[0]["spec"]["template"]["metadata"]["labels"].clone();
        let from = policy["ingress"][0]["from"].as_array().unwrap();
        prop_assert_eq!((policy["ingress"].as_array().unwrap().len(), from.len()), (1, 2), "somebody else is let in");
        let [clients, members_too] = [0, 1].map(|i| from[i]["podSelector"]["matchLabels"].clone());
        prop_assert!(subset(&clients, &pods) && !subset(&members_too, &pods));
        let services = objects(&rendered, "Service");
        prop_assert_eq!(services.len(), 1 + usize::from(members));
        for (i, own) in labels.iter().enumerate() {
            prop_assert!(subset(&policy["podSelector"]["matchLabels"], own));
            prop_assert!(subset(&members_too, own) && !subset(&clients, own));
            prop_assert!(subset(&services[0]["spec"]["selector"], own));
            let selecting: Vec<_> = services[1..].iter().enumerate().filter(|(_, service)| subset(&service["spec"]["selector"], own)).map(|(n, _)| n).collect();
            prop_assert_eq!(selecting, vec![i]);
        }
    }

    #[test]
    fn each_member_has_what_is_its_own((text, members) in set()) {
        let rendered = render(&text);
        for kind in ["VirtualMachine", "PersistentVolumeClaim", "Secret"] {
            let names: BTreeSet<_> = objects(&rendered, kind).iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect();
            prop_assert_eq!(names.len(), usize::from(members));
            prop_assert!(kind != "VirtualMachine" || names.iter().all(|name| name.len() <= 63));
        }
        let mut claims = BTreeSet::new();
        let mut data_serials = BTreeSet::new();
        for (i, (vm, user_data)) in objects(&rendered, "VirtualMachine").iter().zip(all_user_data(&rendered)).enumerate() {
            let spec = &vm["spec"]["template"]["spec"];
            let disks = spec["domain"]["devices"]["disks"].as_array().unwrap();
            let of_manifest: BTreeSet<_> = disks.iter().filter_map(|disk| disk["serial"].as_str().map(str::to_owned)).collect();
            let of_guest: BTreeSet<_> = guest_files(&user_data).values().flat_map(|file| settings(file, "DEVICE")).map(|device| device.replace("/dev/disk/by-id/virtio-", "")).collect();
            prop_assert_eq!(of_manifest, of_guest);
            let named = |name: &str| disks.iter().find(|disk| disk["name"] == name).unwrap();
            data_serials.insert(named("data-disk")["serial"].to_string());
            claims.insert(spec["volumes"][1]["persistentVolumeClaim"]["claimName"].to_string());
            prop_assert_eq!(guest_files(&user_data).contains_key("/etc/tandem/replset.conf"), i == 0, "the first member initiates");
            prop_assert_eq!(user_data.contains("Wants=tandem-replset.service"), i == 0);
        }
        prop_assert_eq!((claims.len(), data_serials.len()), (usize::from(members), usize::from(members)));
    }

    /// Not even where databases, clients and namespaces have names that could be taken for one another.
    #[test]
    fn no_client_of_any_document_has_the_members_subject((a, _) in set(), (b, _) in set()) {
        let subject = |certificate: &Value| certificate["spec"]["subject"].clone();
        let [a, b] = [a, b].map(|text| render(&text.replace(KEYFILE, X509).replace("certificate: none", "certificate: own")));
        let members = [&a, &b].map(|rendered| subject(&objects(rendered, "Certificate")[0]));
        let clients = [&a, &b].map(|rendered| subject(&objects(rendered, "Certificate")[1]));
        for member in &members {
            prop_assert!(!member["organizationalUnits"].as_array().unwrap().is_empty());
            prop_assert!(!clients.contains(member));
        }
    }
}

fn mongod_conf(rendered: &Rendered) -> Vec<Value> {
    let conf = |text: &String| serde_yaml::from_str(&guest_files(text)["/etc/mongod.conf"].content).unwrap();
    all_user_data(rendered).iter().map(conf).collect()
}

#[test]
fn members_know_one_another_by_a_key_file_from_its_secret() {
    let text = text(3, "keyFile: {secretName: orders-key, key: set.key}", "");
    let rendered = render(&text);
    for conf in mongod_conf(&rendered) {
        assert_eq!(conf["security"], json!({"clusterAuthMode": "keyFile", "keyFile": "/etc/ssl/mongodb.keyfile"}));
        assert_eq!(conf["replication"], json!({"replSetName": "orders"}));
    }
    for user_data in all_user_data(&rendered) {
        let files = guest_files(&user_data);
        let conf = &files["/etc/tandem/keyfile.conf"];
        assert_eq!(settings(conf, "KEY"), ["set.key"]);
        assert_eq!(settings(conf, "OWNER"), ["mongod"]);
        assert_eq!(settings(conf, "TARGET"), ["/etc/ssl/mongodb.keyfile"]);
        let needs = &files["/etc/systemd/system/mongod.service.d/10-tandem-keyfile.conf"].content;
        assert!(needs.contains("Requires=tandem-keyfile.service\nAfter=tandem-keyfile.service\n"), "{needs}");
    }
    for vm in objects(&rendered, "VirtualMachine") {
        let volumes = vm["spec"]["template"]["spec"]["volumes"].clone();
        let volume = volumes.as_array().unwrap().iter().find(|volume| volume["name"] == "keyfile-disk").unwrap();
        assert_eq!(volume["secret"], json!({"secretName": "orders-key"}));
    }
    // No Secret of that name is rendered: its key is nothing that a document or a renderer should hold.
    assert!(objects(&rendered, "Secret").iter().all(|secret| secret["metadata"]["name"] != "orders-key"));
}

#[test]
fn members_know_one_another_by_their_certificate() {
    let rendered = render(&text(3, X509, ""));
    for conf in mongod_conf(&rendered) {
        assert_eq!(conf["security"], json!({"clusterAuthMode": "x509"}));
        assert_eq!(conf["net"]["tls"]["clusterFile"], conf["net"]["tls"]["certificateKeyFile"]);
    }
    let spec = object(&rendered, "Certificate")["spec"].clone();
    assert_eq!(spec["subject"], json!({"organizations": ["shop"], "organizationalUnits": ["orders"]}));
    for user_data in all_user_data(&rendered) {
        assert!(!user_data.contains("keyfile"));
    }
}

/// With either, a member shows its certificate to the others, who take it only with both extended key usages.
#[test]
fn a_members_certificate_is_for_servers_and_clients() {
    for membership in [X509, KEYFILE] {
        let usages = strings(&object(&render(&text(2, membership, "")), "Certificate")["spec"]["usages"]);
        assert_eq!(usages[usages.len() - 2..], ["server auth", "client auth"], "{membership}");
    }
}

#[test]
fn members_wish_for_nodes_of_their_own() {
    let rendered = render(&text(2, X509, ""));
    for vm in objects(&rendered, "VirtualMachine") {
        let spec = &vm["spec"]["template"]["spec"];
        let wish = &spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
        assert_eq!(wish["topologyKey"], "kubernetes.io/hostname");
        assert!(subset(&wish["labelSelector"]["matchLabels"], &vm["spec"]["template"]["metadata"]["labels"]));
    }
    let alone = object(&render(&example("databasevm.yaml")), "VirtualMachine");
    assert!(alone["spec"]["template"]["spec"].get("affinity").is_none());
}

#[test]
fn the_connection_string_names_the_set_its_members_and_no_user() {
    let client = "  clients: [{name: app, image: i, certificate: own}]\n";
    let named = text(2, X509, client).replace("mongodb: {", "mongodb: {replicaSetName: rs0, ");
    let host = |member| format!("orders-vm-{member}.orders.shop.svc.cluster.local:27017");
    let expected = format!(
        "mongodb://{},{}/?replicaSet=rs0&tls=true&tlsCAFile=/certificates/ca.crt\
         &tlsCertificateKeyFile=/certificates/tls-combined.pem",
        host(0),
        host(1)
    );
    assert_eq!(variable(&render(&named), "MONGODB_URI"), expected);
    let alone = render(&single("mongodb: {}", "certificate: none"));
    let expected = "mongodb://orders.shop.svc.cluster.local:27017/?tls=true&tlsCAFile=/certificates/ca.crt";
    assert_eq!(variable(&alone, "MONGODB_URI"), expected);
}

#[test]
fn a_clients_own_certificate_is_for_clients_alone() {
    for (database, formats) in
        [("mongodb", json!([{"type": "CombinedPEM"}])), ("postgresql", Value::Null), ("redis", Value::Null)]
    {
        let rendered = render(&single(&format!("{database}: {{clientAuth: Required}}"), "certificate: own"));
        let [server, own] = &objects(&rendered, "Certificate")[..] else { panic!("{database}") };
        assert_eq!(own["metadata"]["name"], "orders-app-tls");
        let (own, server) = (&own["spec"], &server["spec"]);
        assert_eq!((&own["secretName"], &own["commonName"]), (&json!("orders-app-tls"), &json!("orders-app")));
        assert_eq!(own["subject"], json!({"organizations": ["shop"]}));
        assert_eq!(own["usages"], json!(["digital signature", "key encipherment", "client auth"]));
        assert_eq!((&own["issuerRef"], &own["privateKey"]), (&server["issuerRef"], &server["privateKey"]));
        assert_eq!(own.get("dnsNames"), None);
        assert_eq!(own.get("additionalOutputFormats").unwrap_or(&Value::Null), &formats);
        // Nobody connects to the server as a client with the server's own.
        assert_eq!(server["usages"], json!(["digital signature", "key encipherment", "server auth"]), "{database}");
    }
}

/// PostgreSQL's `verify-full` compares the common name with the role, MongoDB takes the whole subject for the user.
#[test]
fn a_clients_own_certificate_has_the_name_that_the_document_gives_it() {
    let named = "certificate: own, commonName: app, subject: {organizationalUnits: [reports]}";
    let rendered = render(&single("postgresql: {clientAuth: Required, clientcert: verify-full}", named));
    let own = &objects(&rendered, "Certificate")[1];
    assert_eq!(own["metadata"]["name"], "orders-app-tls");
    assert_eq!(own["spec"]["commonName"], "app");
    assert_eq!(own["spec"]["subject"], json!({"organizationalUnits": ["reports"]}));
}

#[test]
fn a_client_with_its_own_certificate_gets_no_key_of_the_servers() {
    for (database, keys) in [
        ("mongodb", &["tls.crt", "tls.key", "tls-combined.pem"][..]),
        ("postgresql", &["tls.crt", "tls.key"]),
        ("redis", &["tls.crt", "tls.key"]),
    ] {
        let rendered = render(&single(&format!("{database}: {{clientAuth: Required}}"), "certificate: own"));
        let pod = find(&rendered, "Deployment").unwrap()["spec"]["template"]["spec"].clone();
        let item = |key: &&str| json!({"key": key, "path": key});
        let sources = json!([
            {"secret": {"name": "orders-app-tls", "items": keys.iter().map(item).collect::<Vec<_>>()}},
            {"secret": {"name": "orders-tls", "items": [item(&"ca.crt")]}},
        ]);
        assert_eq!(pod["volumes"].as_array().unwrap().len(), 1);
        assert_eq!(pod["volumes"][0]["projected"]["sources"], sources);
        // libpq takes a key only if its group is the pod's, and nobody else may read it.
        let (mode, group) =
            if database == "postgresql" { (json!(0o440), json!(10_001)) } else { (Value::Null, Value::Null) };
        assert_eq!(
            (&pod["volumes"][0]["projected"]["defaultMode"], &pod["securityContext"]["fsGroup"]),
            (&mode, &group)
        );
        let files: Vec<_> = environment(&rendered)
            .into_iter()
            .map(|(_, value)| value)
            .filter(|value| value.starts_with("/certificates/"))
            .collect();
        assert_eq!(files, ["/certificates/ca.crt", "/certificates/tls.crt", "/certificates/tls.key"], "{database}");
    }
    let redis = render(&single("redis: {}", "certificate: none"));
    assert_eq!(variable(&redis, "REDIS_URL"), "rediss://orders.shop.svc.cluster.local:6379");
}
