//! Members and clients' certificates that would make no replica set, or one that is open: what is said of each.

use tandem_vm::spec::parse;

use crate::members::{X509, single, text};

#[test]
fn what_would_not_make_a_set_is_refused() {
    let client = |rest: &str| format!("  clients: [{{name: app, image: i, {rest}}}]\n");
    let own_key = single("mongodb: {}", "certificate: own");
    for (text, expected) in [
        (text(0, X509, ""), "spec.members: 0 members; write 1 to 7, of whom all have a vote"),
        (text(8, X509, ""), "spec.members: 8 members; write 1 to 7, of whom all have a vote"),
        (text(300, X509, ""), "spec.members: 300 members; write 1 to 7, of whom all have a vote"),
        (text(u32::MAX, X509, ""), "spec.members: 4294967295 members; write 1 to 7, of whom all have a vote"),
        (
            text(1, X509, ""),
            "spec.database.mongodb.membership: is for a replica set; add spec.members: 3, or leave it out",
        ),
        (
            text(3, X509, "").replace("mongodb: {membership: {x509: {}}}", "redis: {}"),
            "spec.members: is for mongodb; redis gets one VM: leave the field out",
        ),
        (
            text(3, X509, "").replace("membership: {x509: {}}", ""),
            "spec.database.mongodb.membership: is missing; add x509: {}, or keyFile: {secretName: …} with a Secret that \
             tandem-vm keyfile makes",
        ),
        (
            text(3, "x509: {}, keyFile: {secretName: a}", ""),
            "spec.database.mongodb.membership: names x509 and keyFile; keep one of them",
        ),
        (
            text(3, "keyFile: {secretName: orders-tls}", ""),
            "spec.database.mongodb.membership.keyFile.secretName: `orders-tls` is another Secret of this document; name one \
             of its own",
        ),
        (
            text(3, "keyFile: {secretName: orders-vm-1-userdata}", ""),
            "spec.database.mongodb.membership.keyFile.secretName: `orders-vm-1-userdata` is another Secret of this document; \
             name one of its own",
        ),
        (
            text(3, "keyFile: {secretName: orders-app-tls}", "  clients: [{name: app, image: i, certificate: own}]\n"),
            "spec.database.mongodb.membership.keyFile.secretName: `orders-app-tls` is another Secret of this document; name \
             one of its own",
        ),
        (
            text(3, "keyFile: {secretName: a, key: \"it's\"}", ""),
            "spec.database.mongodb.membership.keyFile.key: `it's` is no key of a Secret; use letters, digits and . _ -",
        ),
        (
            text(3, X509, "").replace("mongodb: {", "mongodb: {replicaSetName: \"a b\", "),
            "spec.database.mongodb.replicaSetName: `a b` is no name for a set; use 1 to 64 letters, digits and . _ -",
        ),
        (
            text(3, X509, "  root: {persistentVolumeClaim: {claimName: root}}\n").replace(", image: i}", "}"),
            "spec.root.persistentVolumeClaim: is one volume for several VMs; write dataVolume, which makes each its own, or \
             containerDisk",
        ),
        (
            text(3, X509, "").replace("name: orders,", &format!("name: {},", "n".repeat(59))),
            "metadata.name: `nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn` has 59 bytes; use at most 58",
        ),
        (
            text(3, X509, &client("certificate: shared")),
            "spec.clients[0].certificate: `shared` makes this client a member of the replica set, with all rights; write own \
             or none",
        ),
        (
            text(3, X509, &client("certificate: own, subject: {organizations: [shop], organizationalUnits: [orders]}")),
            "spec.clients[0].subject: has the same organizations and organizationalUnits as the members, so MongoDB would \
             take this client for a member, with all rights; change one of them, or leave the field out",
        ),
        (
            text(3, X509, &client("certificate: own"))
                .replace("orders-tls,", "orders-tls, subject: {organizations: [shop]},"),
            "spec.clients[0].subject: has the same organizations and organizationalUnits as the members, so MongoDB would \
             take this client for a member, with all rights; change one of them, or leave the field out",
        ),
        (
            text(3, X509, "").replace("orders-tls,", "orders-tls, subject: {},"),
            "spec.certificate.subject: is empty, and members know one another by it; write organizations or \
             organizationalUnits",
        ),
        (
            text(3, X509, &client("subject: {organizations: [a]}")),
            "spec.clients[0].subject: is for a certificate of its own; write certificate: own, or leave it out",
        ),
        (
            single("redis: {}", "certificate: shared, commonName: app"),
            "spec.clients[0].commonName: is for a certificate of its own; write certificate: own, or leave it out",
        ),
        (
            single("redis: {}", "certificate: own, commonName: \"a\\nb\""),
            "spec.clients[0].commonName: `a�b` is empty, has control characters or more than 64; shorten it or leave the \
             field out",
        ),
        (
            text(3, X509, &client("certificate: own, subject: {organizations: [a, b], organizationalUnits: [\"\"]}")),
            "spec.clients[0].subject.organizations: has several; keep one, which every program compares alike\n\
             spec.clients[0].subject.organizationalUnits[0]: `` is empty, has control characters or more than 64; change it",
        ),
        (
            own_key.replace("secretName: orders-tls", "secretName: orders-app-tls"),
            "spec.certificate.secretName: `orders-app-tls` is the Secret of spec.clients[0]; choose another",
        ),
        (
            single("redis: {clientAuth: Required}", "certificate: none"),
            "spec.clients[0].certificate: `none`, but spec.database.redis.clientAuth is Required and would turn this client \
             away; write certificate: own, or clientAuth: Optional",
        ),
    ] {
        let error = parse(&text).expect_err(&text).to_string();
        assert_eq!(error, expected, "{text}");
    }
}
