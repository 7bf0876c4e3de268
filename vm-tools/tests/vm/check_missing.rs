//! Names that lead nowhere: which are told of, beside what, and which are not, since a stream need not hold everything.

use crate::check::{run, text_of};
use crate::check_published::{INTERNAL_CA, broken, certificate, client, machine, service};

/// A machine that takes this Secret.
fn taking(secret: &str) -> String {
    let disk = "{name: certificate, disk: {bus: virtio}, serial: db-certificate}";
    machine("db", disk, &format!("{{name: certificate, secret: {{secretName: {secret}}}}}"))
}

fn pod(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: app}}\nspec: {spec}\n")
}

#[test]
fn a_secret_that_nothing_writes_is_told_of_beside_a_certificate_that_nothing_uses() {
    let written = certificate(INTERNAL_CA, "db");
    let items = |name: &str, key: &str| {
        pod(&format!("{{volumes: [{{name: a, secret: {{secretName: {name}, items: [{{key: {key}, path: a}}]}}}}]}}"))
    };
    for (user, expected) in [
        (taking("dbtls"), true),
        (taking("db-tsl"), true),
        // Not near, but of the same purpose.
        (taking("orders-tls"), true),
        (taking("orders-password"), false),
        (taking("db-keyfile"), false),
        (taking("db-key"), false),
        (taking("dbtls, optional: true"), false),
        (items("db-tsl", "ca.crt"), true),
        (items("orders", "tls.crt"), true),
        (items("company-ca", "ca.crt"), false),
        (items("dbtls", "password"), false),
    ] {
        let found = broken(&[&written, &user]);
        assert_eq!(found.contains(&"TVM411"), expected, "{found:?}\n{user}");
    }
}

#[test]
fn a_certificate_that_something_may_use_and_a_secret_that_something_may_write_are_passed_over() {
    let (written, user) = (certificate(INTERNAL_CA, "db"), taking("dbtls"));
    assert_eq!(broken(&[&written, &user]), ["TVM411"]);
    let object =
        |kind: &str, name: &str, spec: &str| format!("apiVersion: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n");
    for other in [
        object("networking.k8s.io/v1\nkind: Ingress", "web", "{tls: [{hosts: [db], secretName: db-tls}]}"),
        object("cert-manager.io/v1\nkind: Issuer", "ours", "{ca: {secretName: db-tls}}"),
        object("pki.tandem.internal/v1alpha1\nkind: TandemIssuer", "ours", "{ca: {secretName: db-tls}}"),
        object("external-secrets.io/v1\nkind: ExternalSecret", "a", "{target: {name: dbtls}}"),
        object("bitnami.com/v1alpha1\nkind: SealedSecret", "dbtls", "{}"),
        pod("{volumes: [{name: a, secret: {secretName: db-tls, optional: true}}]}"),
        pod("{volumes: [{name: a, projected: {sources: [{secret: {name: db-tls}}]}}]}"),
        pod("{containers: [{name: a, args: [--secret=db-tls]}]}"),
    ] {
        let found = broken(&[&written, &user, &other]);
        assert!(!found.contains(&"TVM411"), "{found:?}\n{other}");
    }
    let in_environment =
        pod("{containers: [{name: a, env: [{name: A, valueFrom: {secretKeyRef: {name: db-tls, key: ca.crt}}}]}]}");
    assert!(!broken(&[&written, &user, &in_environment]).contains(&"TVM411"));
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: dbtls}\ndata: {tls.crt: \"\", tls.key: \"\", ca.crt: \"\"}\n";
    assert_eq!(broken(&[&written, &user, secret]), [""; 0]);
    assert_eq!(broken(&[&written.replace("dnsNames", "isCA: true, dnsNames"), &user]), [""; 0]);
    for namespace in ["other", "dbs"] {
        let elsewhere = written.replace("{name: db}", &format!("{{name: db, namespace: {namespace}}}"));
        assert_eq!(broken(&[&elsewhere, &user]), [""; 0]);
        // Who uses it there is TVM407's.
        assert_eq!(broken(&[&elsewhere, &taking("db-tls")]), ["TVM407"]);
    }
}

#[test]
fn a_name_near_that_of_the_databases_service_is_told_of() {
    let (machine, service) = (machine("db", "", ""), service("db", "db"));
    let found = |host: &str, more: &[&str]| {
        let client = client(&format!("mongodb://{host}:27017/x"));
        broken(&[&[&*machine, &*service, &*client], more].concat())
    };
    for host in
        ["db2", "db2.databases", "db2.databases.svc", "db2.databases.svc.cluster.local", "db-0.db2.databases.svc"]
    {
        assert_eq!(found(host, &[]), ["TVM309"], "{host}");
    }
    for host in ["db", "db.databases.svc", "db-ro", "kafka", "db2.other.svc", "db2.example.org", "db2.svc", "db.db2"] {
        assert_eq!(found(host, &[]), [""; 0], "{host}");
    }
    for more in [
        "apiVersion: v1\nkind: Service\nmetadata: {name: db2}\nspec: {type: ExternalName, externalName: db.example.org}\n",
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db2}\nspec: {}\n",
        "apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nmetadata: {name: a}\nspec: {hostname: db2}\n",
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {hosts: [db2]}\n",
    ] {
        assert_eq!(found("db2", &[more]), [""; 0], "{more}");
    }
    // Without a machine nobody knows whose Service it is.
    assert!(!broken(&[&service, &client("mongodb://db2:27017/x")]).contains(&"TVM309"));
}

#[test]
fn both_names_are_told_and_the_one_that_was_meant() {
    for (rule, name, message) in
        [("TVM411", "orderstls", "; did you mean orders-tls?"), ("TVM309", "ordres", "; did you mean orders?")]
    {
        let done = run(&[&format!("vm-tools/tests/vm/check/{rule}-fail.yaml")]);
        let text = text_of(&done);
        assert!([rule, name, message].iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(done.status.code(), Some(0));
    }
}
