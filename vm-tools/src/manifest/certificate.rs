//! The Certificate: every name under which a client may dial, and only the usages that are needed.

use super::cert_manager::{Certificate, CertificatePrivateKey, CertificateSpec};
use super::metadata;
use crate::names::{Labels, Names, with_common};
use crate::spec::{Algorithm, ClientCertificate, Document};

pub(super) fn certificate(document: &Document, names: &Names) -> Certificate {
    let wanted = &document.spec.certificate;
    Certificate {
        api_version: "cert-manager.io/v1",
        kind: "Certificate",
        metadata: metadata(document, &names.certificate, with_common(document, Labels::new())),
        spec: CertificateSpec {
            secret_name: wanted.secret_name.clone(),
            issuer_ref: wanted.issuer_ref.clone(),
            common_name: wanted.common_name.clone().unwrap_or_else(|| default_common_name(names)),
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
fn default_common_name(names: &Names) -> String {
    let [short, _, service, _] = &names.service_names;
    if service.len() <= 64 { service.clone() } else { short.clone() }
}

fn dns_names(document: &Document, names: &Names) -> Vec<String> {
    let mut all = Vec::new();
    let own = names.service_names.iter().chain([&names.vm]);
    for name in own.chain(&document.spec.certificate.dns_names) {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

fn usages(document: &Document) -> Vec<&'static str> {
    let mut usages = vec!["digital signature"];
    // RFC 8813, section 3: a certificate with an elliptic curve key must not have it.
    if document.spec.certificate.private_key.algorithm == Algorithm::Rsa {
        usages.push("key encipherment");
    }
    usages.push("server auth");
    // Once there is an extended key usage, MongoDB takes only a certificate with client auth from whoever connects: a
    // client that presents this same certificate now, and later the other members of a replica set.
    if document.spec.clients.iter().any(|client| client.certificate == ClientCertificate::Shared) {
        usages.push("client auth");
    }
    usages
}
