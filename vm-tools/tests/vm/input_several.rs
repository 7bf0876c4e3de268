//! Bad input: everything that is wrong with a document is said at once, and nothing that only follows from it.

use crate::command::render_stdin;
use crate::input::refused;
use crate::support::{document, said};

#[test]
fn misspelt_fields_and_wrong_values_are_said_together() {
    refused(
        document(
            "databse: {mongodb: {clientAuht: Optional}}\nos: {family: debian, imgae: a b}\nmembers: 9\n\
             clients: [{naem: a, image: i}, {name: A, image: i}]",
        ),
        &[
            "spec.databse: unknown field; did you mean database? Known here: database, os, certificate, delivery, restartStale, \
             root, storage, machine, members, clusterDomain, clients, networkPolicy, cloudConfig, template",
            "spec.os.imgae: unknown field; did you mean image? Known here: family, image, sshAuthorizedKeys",
            "spec.clients[0].naem: unknown field; did you mean name? Known here: name, image, certificate, commonName, subject, replicas, \
             command, args",
            "spec.database.mongodb.clientAuht: unknown field; did you mean clientAuth? Known here: version, clientAuth, authorization, install, \
             credentialFile, reload, replicaSetName, membership",
            "spec.os.image: `a b` is not an image reference; write registry/name:tag",
            "spec.members: 9 members; write 1 to 7, of whom all have a vote",
            "spec.clients[1].name: `A` is not an RFC 1123 label; use a-z, 0-9 and -, beginning and ending with a letter or digit",
        ],
    );
}

#[test]
fn a_value_of_the_wrong_kind_hides_no_other() {
    refused(
        document(
            "database: {mongodb: {version: 8}}\nos: {family: debian, image: [i]}\nstorage: {size: 30Gi, bogus: 1}\n\
             clients: [{name: a, image: i, certificate: all}]\nmembers: three",
        ),
        &[
            "spec.database.mongodb.version: expected a string, found the number 8; write it in quotes",
            "spec.os.image: expected a string, found a list; write one value",
            "spec.storage.bogus: unknown field; known here: dataDisk, size, storageClassName, serial, mountPath",
            "spec.clients[0].certificate: `all` is unknown; known here: none, shared, own",
            "spec.members: expected a whole number, found string \"three\"; write one without quotes",
        ],
    );
}

#[test]
fn what_only_follows_is_not_said() {
    // Without its kind the database is empty, and without its family the system lacks one.
    refused(
        document("database: {mysql: {}}\nos: {family: suse, image: i}"),
        &[
            "spec.database.mysql: unknown field; known here: mongodb, postgresql, redis, none",
            "spec.os.family: `suse` is unknown; known here: rhel, debian",
        ],
    );
    // What is missing hides what comes after it no more than what is wrong.
    refused(
        document("root: {persistentVolumeClaim: {}}\ndatabase: {redis: {}}\nmembers: x"),
        &[
            "spec.root.persistentVolumeClaim.claimName: is missing; add it",
            "spec.members: expected a whole number, found string \"x\"; write one without quotes",
            "spec.os: is missing; add it",
        ],
    );
    // Both names are there: which one is meant is not known.
    refused(
        document("database: {redis: {}}\ndatabse: {redis: {bogus: 1}}\nos: {family: debian, image: a b}"),
        &[
            "spec.databse: unknown field; did you mean database? Known here: database, os, certificate, delivery, restartStale, \
           root, storage, machine, members, clusterDomain, clients, networkPolicy, cloudConfig, template",
        ],
    );
}

#[test]
fn so_much_that_nobody_reads_it_is_not_all_said() {
    let many: String = (0..5000).map(|number| format!("\nx{number}y: 1")).collect();
    let text = document(&format!("database: {{redis: {{}}}}\nos: {{family: debian, image: i}}{many}"));
    let done = render_stdin(text.as_bytes(), &[]);
    let told = said(&done);
    assert_eq!((done.status.code(), told.lines().count()), (Some(2), 20), "{told}");
    assert!(told.lines().enumerate().all(|(number, line)| line.contains(&format!(" spec.x{number}y: "))), "{told}");
}
