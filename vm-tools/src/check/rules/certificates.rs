//! Certificates and their issuers.

use std::collections::BTreeMap;

use super::keyfiles::members;
use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{At, Certificate, IssuerSource, Stream};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM201",
        name: "self-signed",
        severity: Severity::Error,
        summary: "a certificate that two sides share is signed by itself",
        why: "ca.crt is then the certificate itself. At the first renewal pods get the new one and trust nothing else, while the VM still \
              serves the old one: both sides stop trusting each other.",
        remedy: "Sign it with an internal CA: a TandemIssuer or cert-manager's CA issuer, whose own certificate may be self-signed.",
        check: self_signed,
    },
    Rule {
        id: "TVM202",
        name: "no-server-auth",
        severity: Severity::Error,
        summary: "a server's certificate is not for servers",
        why: "It has extended key usages, and server auth is not among them: clients refuse it.",
        remedy: "Add `server auth` to usages, or leave usages out: cert-manager then asks for no extended key usage.",
        check: server_auth,
    },
    Rule {
        id: "TVM203",
        name: "member-usages",
        severity: Severity::Error,
        summary: "the certificate of a replica set's member is for one side only",
        why: "Members are server and client of each other with the same certificate; one whose extended key usages lack server auth or \
              client auth is refused by the others.",
        remedy: "Give usages both `server auth` and `client auth`, or leave them out.",
        check: member_usages,
    },
    Rule {
        id: "TVM204",
        name: "no-digital-signature",
        severity: Severity::Warning,
        summary: "a certificate's usages lack `digital signature`",
        why: "TLS 1.3, and every ECDHE exchange of TLS 1.2, signs with the key: strict peers refuse a key usage without it (RFC 8446, \
              4.4.2.2).",
        remedy: "Add `digital signature` to usages.",
        check: digital_signature,
    },
    Rule {
        id: "TVM205",
        name: "no-names",
        severity: Severity::Error,
        summary: "a certificate that a machine serves has no subject alternative name",
        why: "Clients look at those alone; a common name has not counted since RFC 6125, and Go, Python and Java ignore it.",
        remedy: "List in dnsNames every name that clients dial.",
        check: no_names,
    },
    Rule {
        id: "TVM206",
        name: "key-never-rotated",
        severity: Severity::Note,
        summary: "a certificate keeps its key through renewals",
        why: "With rotationPolicy Never a key that leaked stays valid as long as the certificate is renewed.",
        remedy: "Write `rotationPolicy: Always`, unless something pins the key.",
        check: never_rotated,
    },
    Rule {
        id: "TVM207",
        name: "lifetime",
        severity: Severity::Error,
        summary: "a certificate's lifetime and renewal do not fit each other",
        why: "cert-manager takes Go's durations, which have the units h, m and s, and none for days. Its webhook refuses durations under \
              an hour, a renewBefore under five minutes, and one that is as long as the duration or more.",
        remedy: "Write for example duration: 2160h and renewBefore: 720h, or only the former.",
        check: lifetime,
    },
    Rule {
        id: "TVM208",
        name: "secret-written-twice",
        severity: Severity::Error,
        summary: "two Certificates write the same Secret",
        why: "cert-manager refuses both (DuplicateSecretName), or each overwrites what the other wrote: whoever reads the Secret gets \
              now one certificate, now the other.",
        remedy: "Give each Certificate a secretName of its own.",
        check: written_twice,
    },
    Rule {
        id: "TVM209",
        name: "certificate-refused",
        severity: Severity::Error,
        summary: "a Certificate names no Secret or no issuer, or a kind of issuer that is not cert-manager's",
        why: "The API server or cert-manager's webhook refuses it: nobody writes the Secret that machines and pods wait for.",
        remedy: "Write secretName and issuerRef.name, and in issuerRef.kind Issuer or ClusterIssuer, or in issuerRef.group whose kind it is.",
        check: refused,
    },
];

fn self_signed(stream: &Stream, found: &mut Findings) {
    for certificate in
        stream.certificates.iter().filter(|certificate| !certificate.is_ca && is_used(stream, certificate))
    {
        let issuer = stream.issuer_of(certificate).filter(|issuer| issuer.source == IssuerSource::SelfSigned);
        if let Some(issuer) = issuer {
            let message = format!("{} {} lets it sign itself", issuer.meta.kind, quoted(&issuer.meta.name));
            found.add(&certificate.meta, "spec.issuerRef", message);
        }
    }
}

/// Whether a machine or a pod of the stream has its Secret.
fn is_used(stream: &Stream, certificate: &Certificate) -> bool {
    let Some(secret) = &certificate.secret_name else { return false };
    let here = |namespace: &str| namespace == certificate.meta.namespace;
    let machines = stream.machines.iter().filter(|machine| here(&machine.meta.namespace));
    let workloads = stream.workloads.iter().filter(|workload| here(&workload.meta.namespace));
    machines.flat_map(|machine| machine.secret_volumes()).any(|(_, name)| name.value == secret.value)
        || workloads.flat_map(|workload| workload.secrets()).any(|(_, used)| used.name.value == secret.value)
}

/// Certificates of machines that a Service of the stream leads to.
fn served(stream: &Stream) -> impl Iterator<Item = &Certificate> {
    let behind = stream.services.iter().flat_map(|service| stream.machines_behind(service));
    behind.flat_map(|machine| stream.delivered(machine).map(|(_, certificate)| certificate))
}

fn usages(certificate: &Certificate) -> String {
    let usages: Vec<_> = certificate.usages.iter().flatten().map(|usage| tandem_cli::shown(&usage.value)).collect();
    usages.join(", ")
}

fn server_auth(stream: &Stream, found: &mut Findings) {
    for certificate in served(stream).filter(|certificate| !certificate.allows("server auth")) {
        // A member is told more, below.
        let member = members(stream, false)
            .any(|machine| stream.delivered(machine).any(|(_, other)| std::ptr::eq(other, certificate)));
        if !member {
            found.add(&certificate.meta, "spec.usages", format!("are {}", usages(certificate)));
        }
    }
}

fn member_usages(stream: &Stream, found: &mut Findings) {
    for machine in members(stream, false) {
        for (_, certificate) in stream.delivered(machine) {
            let missing: Vec<_> =
                ["server auth", "client auth"].into_iter().filter(|purpose| !certificate.allows(purpose)).collect();
            if !missing.is_empty() {
                let message = format!(
                    "are {}, without {}, for the member {}",
                    usages(certificate),
                    missing.join(" and "),
                    machine.meta
                );
                found.add(&certificate.meta, "spec.usages", message);
            }
        }
    }
}

fn digital_signature(stream: &Stream, found: &mut Findings) {
    for certificate in stream.certificates.iter().filter(|certificate| !certificate.is_ca) {
        let Some(list) = &certificate.usages else { continue };
        if !list.iter().any(|usage| ["digital signature", "signing"].contains(&&*usage.value)) {
            found.add(&certificate.meta, "spec.usages", format!("are {}", usages(certificate)));
        }
    }
}

fn no_names(stream: &Stream, found: &mut Findings) {
    for machine in &stream.machines {
        for (_, certificate) in stream.delivered(machine) {
            if certificate.dns_names.is_empty() && certificate.ip_addresses.is_empty() && !certificate.other_names {
                found.add(&certificate.meta, "spec.dnsNames", format!("is not there; {} serves it", machine.meta));
            }
        }
    }
}

fn never_rotated(stream: &Stream, found: &mut Findings) {
    for certificate in &stream.certificates {
        if let Some(policy) = certificate.rotation_policy.as_ref().filter(|policy| policy.value == "Never") {
            found.add(&certificate.meta, &policy.path, "is Never");
        }
    }
}

fn lifetime(stream: &Stream, found: &mut Findings) {
    for certificate in &stream.certificates {
        for At { path, value } in certificate.lifetime() {
            found.add(&certificate.meta, path, value);
        }
    }
}

fn written_twice(stream: &Stream, found: &mut Findings) {
    let mut writers: BTreeMap<(&str, &str), &Certificate> = BTreeMap::new();
    for certificate in &stream.certificates {
        let Some(secret) = &certificate.secret_name else { continue };
        let first = writers.entry((&certificate.meta.namespace, &secret.value)).or_insert(certificate);
        // The same Certificate twice is one thing too many, but no conflict.
        if first.meta.name != certificate.meta.name {
            let message = format!("{} is also that of Certificate {}", quoted(&secret.value), quoted(&first.meta.name));
            found.add(&certificate.meta, &secret.path, message);
        }
    }
}

fn refused(stream: &Stream, found: &mut Findings) {
    for certificate in &stream.certificates {
        let mut add = |path: &str, message: String| found.add(&certificate.meta, path, message);
        if certificate.secret_name.as_ref().is_none_or(|name| name.value.is_empty()) {
            let near = certificate.near_secret_name.as_ref().filter(|near| *near != "secretName");
            let near = near.map(|near| format!("; there is {}", quoted(near))).unwrap_or_default();
            add("spec.secretName", format!("names no Secret{near}"));
        }
        let issuer = &certificate.issuer;
        if issuer.name.value.is_empty() {
            add(&issuer.name.path, "names no issuer".to_owned());
        }
        if issuer.group == "cert-manager.io" && !["Issuer", "ClusterIssuer"].contains(&&*issuer.kind) {
            add("spec.issuerRef.kind", format!("{} is no kind of cert-manager.io", quoted(&issuer.kind)));
        }
    }
}
