//! Members of a replica set, and the subjects by which MongoDB tells them from clients.

use super::super::{ClientCertificate, Database, Document, Membership, Root, Subject, values};
use super::Problems;
use crate::names::Names;

/// Most members of a replica set that have a vote: <https://www.mongodb.com/docs/manual/core/replica-set-architectures/>.
pub(super) const MAX_MEMBERS: u32 = 7;

pub(super) fn members(document: &Document, problems: &mut Problems) {
    let spec = &document.spec;
    let several = spec.members > 1;
    if !(1..=MAX_MEMBERS).contains(&spec.members) {
        let message = format!("{} members; write 1 to {MAX_MEMBERS}, of whom all have a vote", spec.members);
        problems.add("spec.members", message);
        return;
    }
    if several && matches!(spec.root, Some(Root::PersistentVolumeClaim(_))) {
        let message = "is one volume for several VMs; write dataVolume, which makes each its own, or containerDisk";
        problems.add("spec.root.persistentVolumeClaim", message);
    }
    let Database::MongoDb(mongodb) = &spec.database else {
        if several {
            let database = spec.database.name();
            problems.add("spec.members", format!("is for mongodb; {database} gets one VM: leave the field out"));
        }
        return;
    };
    let path = |field: &str| format!("spec.database.mongodb.{field}");
    if !several {
        for (field, there) in
            [("membership", mongodb.membership.is_some()), ("replicaSetName", mongodb.replica_set_name.is_some())]
        {
            if there {
                problems.add(path(field), "is for a replica set; add spec.members: 3, or leave it out");
            }
        }
        return;
    }
    let name = mongodb.replica_set_name.as_ref();
    problems.check_some(&path("replicaSetName"), name, values::replica_set_name);
    match &mongodb.membership {
        None => problems.add(
            path("membership"),
            "is missing; add x509: {}, or keyFile: {secretName: …} with a Secret that tandem-vm keyfile makes",
        ),
        Some(Membership::KeyFile(key)) => {
            problems.check(path("membership.keyFile.secretName"), values::subdomain(&key.secret_name));
            problems.check(path("membership.keyFile.key"), values::secret_key(&key.key));
            let names = Names::of(document);
            let own = spec.clients.iter().filter(|client| client.certificate == ClientCertificate::Own);
            let taken = names.machines.iter().any(|vm| vm.user_data_secret == key.secret_name)
                || own.into_iter().any(|client| names.client_certificate(client) == key.secret_name);
            if taken || key.secret_name == spec.certificate.secret_name {
                let message = format!("`{}` is another Secret of this document; name one of its own", key.secret_name);
                problems.add(path("membership.keyFile.secretName"), message);
            }
        }
        Some(Membership::X509(_)) => x509(document, problems),
    }
}

/// A client whose certificate has the members' O and OU would be a member, with all rights.
fn x509(document: &Document, problems: &mut Problems) {
    let members = document.server_subject();
    if members == Subject::default() {
        let message = "is empty, and members know one another by it; write organizations or organizationalUnits";
        problems.add("spec.certificate.subject", message);
    }
    for (i, client) in document.spec.clients.iter().enumerate() {
        if client.certificate == ClientCertificate::Shared {
            problems.add(
                format!("spec.clients[{i}].certificate"),
                "`shared` makes this client a member of the replica set, with all rights; write own or none",
            );
        }
    }
    for (i, subject) in document.own_subjects() {
        if subject == members {
            problems.add(
                format!("spec.clients[{i}].subject"),
                "has the same organizations and organizationalUnits as the members, so MongoDB would take this client for a \
                 member, with all rights; change one of them, or leave the field out",
            );
        }
    }
}

pub(super) fn subjects(document: &Document, problems: &mut Problems) {
    let clients = &document.spec.clients;
    let of_clients =
        clients.iter().enumerate().map(|(i, client)| (format!("spec.clients[{i}].subject"), &client.subject));
    let all =
        [("spec.certificate.subject".to_owned(), &document.spec.certificate.subject)].into_iter().chain(of_clients);
    for (path, subject) in all.filter_map(|(path, subject)| Some((path, subject.as_ref()?))) {
        for (field, values) in
            [("organizations", &subject.organizations), ("organizationalUnits", &subject.organizational_units)]
        {
            if values.len() > 1 {
                problems.add(format!("{path}.{field}"), "has several; keep one, which every program compares alike");
            }
            for (n, value) in values.iter().enumerate() {
                let fits = !value.trim().is_empty() && value.chars().count() <= 64;
                if !fits || value.chars().any(char::is_control) {
                    let value = tandem_cli::shown(value);
                    let message = format!("`{value}` is empty, has control characters or more than 64; change it");
                    problems.add(format!("{path}.{field}[{n}]"), message);
                }
            }
        }
    }
    for (i, client) in clients.iter().enumerate() {
        let path = |field: &str| format!("spec.clients[{i}].{field}");
        problems.check_some(&path("commonName"), client.common_name.as_ref(), super::certificate::common_name);
        for (field, there) in [("commonName", client.common_name.is_some()), ("subject", client.subject.is_some())] {
            if there && client.certificate != ClientCertificate::Own {
                problems.add(path(field), "is for a certificate of its own; write certificate: own, or leave it out");
            }
        }
    }
}
