//! The Certificate: every name under which a client may dial, and only the usages that are needed.

use super::cert_manager::{Certificate, CertificatePrivateKey, CertificateSpec};
use super::metadata;
use crate::names::{HOST_SUFFIX, Labels, Names, with_common};
use crate::spec::{Algorithm, ClientCertificate, Database, Delivery, Document};

pub(super) fn certificate(document: &Document, names: &Names) -> Certificate {
    let wanted = &document.spec.certificate;
    Certificate {
        api_version: "cert-manager.io/v1",
        kind: "Certificate",
        metadata: metadata(document, &names.certificate, with_common(document, Labels::new())),
        spec: CertificateSpec {
            secret_name: wanted.secret_name.clone(),
            issuer_ref: wanted.issuer_ref.clone(),
            common_name: wanted.common_name.clone().unwrap_or_else(|| default_common_name(document, names)),
            dns_names: dns_names(document, names),
            ip_addresses: wanted.ip_addresses.clone(),
            usages: usages(document),
            private_key: CertificatePrivateKey {
                algorithm: wanted.private_key.algorithm,
                size: wanted.private_key.size.unwrap_or(match wanted.private_key.algorithm {
                    Algorithm::Rsa => 2048,
                    Algorithm::Ecdsa => 256,
                }),
                // The key leaves the cluster's memory for a disk: never keep one for longer than its certificate.
                rotation_policy: "Always",
            },
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
    let own = service.iter().chain(names.machines.iter().map(|machine| &machine.vm));
    for name in own.chain(&document.spec.certificate.dns_names) {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

fn usages(document: &Document) -> Vec<&'static str> {
    let spec = &document.spec;
    let mut usages = vec!["digital signature"];
    // RFC 8813, section 3: a certificate with an elliptic curve key must not have it.
    if spec.certificate.private_key.algorithm == Algorithm::Rsa {
        usages.push("key encipherment");
    }
    usages.push("server auth");
    // Once there is an extended key usage, a server takes only a certificate with client auth from whoever connects: a client
    // that presents this same certificate, and MongoDB's shell in the guest, by which a renewed one comes into use.
    let shared = spec.clients.iter().any(|client| client.certificate == ClientCertificate::Shared);
    let to_itself = matches!(spec.database, Database::MongoDb(_)) && spec.delivery == Delivery::Filesystem;
    if shared || to_itself {
        usages.push("client auth");
    }
    usages
}
