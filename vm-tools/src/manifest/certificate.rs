//! The Certificate: every name under which a client may dial, and only the usages that are needed.

use super::cert_manager::{Certificate, CertificatePrivateKey, CertificateSpec, OutputFormat};
use super::metadata;
use crate::names::{HOST_SUFFIX, Labels, Names, with_common};
use crate::spec::{Algorithm, ClientCertificate, Database, Delivery, Document, Subject};

/// The server's: also of all members of a replica set, in one. Each of them has the whole set's rights in any case, by the
/// keyFile or by the subject, so a key of its own for each would keep nothing apart; and a renewal reaches all at once.
pub(super) fn server(document: &Document, names: &Names) -> Certificate {
    let wanted = &document.spec.certificate;
    let mut certificate = certificate(document, names.certificate.clone(), wanted.secret_name.clone());
    let spec = &mut certificate.spec;
    spec.common_name = wanted.common_name.clone().unwrap_or_else(|| default_common_name(document, names));
    spec.subject = document.server_subject();
    spec.dns_names = dns_names(document, names);
    spec.ip_addresses.clone_from(&wanted.ip_addresses);
    spec.usages.extend(usages(document));
    certificate
}

/// Those of the clients that have their own.
pub(super) fn clients(document: &Document, names: &Names) -> impl Iterator<Item = Certificate> {
    document.own_subjects().map(|(i, subject)| {
        let client = &document.spec.clients[i];
        let name = names.client_certificate(client);
        let mut certificate = certificate(document, name.clone(), name);
        let spec = &mut certificate.spec;
        spec.common_name = client.common_name.clone().unwrap_or_else(|| names.client(client));
        spec.subject = subject;
        spec.usages.push("client auth");
        if let Database::MongoDb(_) = document.spec.database {
            // MongoDB's drivers want key and certificate in one file.
            spec.additional_output_formats = vec![OutputFormat { kind: "CombinedPEM" }];
        }
        certificate
    })
}

/// What all certificates of a document have alike.
fn certificate(document: &Document, name: String, secret_name: String) -> Certificate {
    let wanted = &document.spec.certificate;
    let mut usages = vec!["digital signature"];
    // RFC 8813, section 3: a certificate with an elliptic curve key must not have it.
    if wanted.private_key.algorithm == Algorithm::Rsa {
        usages.push("key encipherment");
    }
    Certificate {
        api_version: "cert-manager.io/v1",
        kind: "Certificate",
        metadata: metadata(document, &name, with_common(document, Labels::new())),
        spec: CertificateSpec {
            secret_name,
            issuer_ref: wanted.issuer_ref.clone(),
            common_name: String::new(),
            subject: Subject::default(),
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            usages,
            private_key: CertificatePrivateKey {
                algorithm: wanted.private_key.algorithm,
                size: wanted.private_key.size.unwrap_or(match wanted.private_key.algorithm {
                    Algorithm::Rsa => 2048,
                    Algorithm::Ecdsa => 256,
                }),
                // The key leaves the cluster's memory for a disk: never keep one for longer than its certificate.
                rotation_policy: "Always",
            },
            additional_output_formats: Vec::new(),
            duration: wanted.duration.clone(),
            renew_before: wanted.renew_before.clone(),
        },
    }
}

/// A common name has at most 64 characters (RFC 5280, appendix A.1); the short name always fits.
fn default_common_name(document: &Document, names: &Names) -> String {
    let [short, _, service, _] = &names.service_names;
    match document.spec.database.port() {
        None => format!("{short}{HOST_SUFFIX}"),
        Some(_) if service.len() > 64 => short.clone(),
        Some(_) => service.clone(),
    }
}

fn dns_names(document: &Document, names: &Names) -> Vec<String> {
    let mut all = Vec::new();
    // Without a port there is no Service, and no one is called by its names.
    let service = document.spec.database.port().map_or(&[][..], |_| &names.service_names);
    let own = service.iter().chain(names.machines.iter().flat_map(|machine| &machine.dns_names));
    for name in own.chain(&document.spec.certificate.dns_names) {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

/// The server's extended key usages.
fn usages(document: &Document) -> Vec<&'static str> {
    let spec = &document.spec;
    let mut usages = vec!["server auth"];
    // Once there is an extended key usage, a server takes only a certificate with client auth from whoever connects: a client
    // that presents this same certificate, another member of the replica set, and MongoDB's shell in the guest, by which a
    // set is initiated and a renewed certificate comes into use.
    let shared = spec.clients.iter().any(|client| client.certificate == ClientCertificate::Shared);
    let to_itself = matches!(spec.database, Database::MongoDb(_)) && spec.delivery == Delivery::Filesystem;
    if shared || to_itself || document.replica_set().is_some() {
        usages.push("client auth");
    }
    usages
}
