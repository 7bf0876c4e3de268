//! Secrets: whether they hold what is taken from them, and who gets more than is good.

use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{IssuerSource, Meta, Secret, Stream};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM401",
        name: "tls-secret-incomplete",
        severity: Severity::Error,
        summary: "a TLS Secret that a machine or pod uses lacks a key",
        why: "The guest needs tls.crt, tls.key and ca.crt, a pod the first two: what looks for a file that is not there does not start.",
        remedy: "Add the key, or let cert-manager write the Secret, by an issuer that gives a ca.crt.",
        check: incomplete,
    },
    Rule {
        id: "TVM402",
        name: "secret-key-missing",
        severity: Severity::Error,
        summary: "a pod takes a key that the Secret does not have",
        why: "The pod waits in ContainerCreating, or CreateContainerConfigError, for ever. cert-manager writes tls.crt, tls.key and ca.crt, \
              and more only where the Certificate asks for it (additionalOutputFormats, keystores).",
        remedy: "Name a key that the Secret has, or have the Certificate write it.",
        check: key_missing,
    },
    Rule {
        id: "TVM409",
        name: "ca-key-handed-out",
        severity: Severity::Error,
        summary: "a machine or pod gets the private key of a CA",
        why: "Whoever has it can sign certificates for every name, for as long as the CA is trusted.",
        remedy: "Name the Secret of a leaf certificate: its ca.crt is enough to trust the CA. A pod may take `items: [{key: ca.crt, path: \
                 ca.crt}]`.",
        check: ca_key,
    },
];

fn incomplete(stream: &Stream, found: &mut Findings) {
    let tls = |secret: &&Secret| {
        secret.kind == "kubernetes.io/tls" || secret.get("tls.crt").is_some() || secret.get("tls.key").is_some()
    };
    for secret in stream.secrets.iter().filter(tls) {
        let (namespace, name) = (&secret.meta.namespace, &secret.meta.name);
        // cert-manager completes what it owns.
        if stream.certificate_of_secret(namespace, name).is_some() {
            continue;
        }
        for key in ["tls.crt", "tls.key", "ca.crt"].into_iter().filter(|key| secret.get(key).is_none()) {
            if let Some(user) = user(stream, namespace, name, key) {
                found.add(&secret.meta, "data", format!("has no {key}, and {user} uses it"));
            }
        }
    }
}

/// Who needs a key of a TLS Secret: a guest all three, a pod that takes the Secret whole those that every one of its kind has. A key
/// that a pod names is TVM402's.
fn user<'s>(stream: &'s Stream, namespace: &str, name: &str, key: &str) -> Option<&'s Meta> {
    let here = |meta: &Meta| meta.namespace == namespace;
    let machine = stream
        .machines
        .iter()
        .filter(|machine| here(&machine.meta))
        .find(|machine| machine.secret_volumes().any(|(_, used)| used.value == name));
    let workload = stream
        .workloads
        .iter()
        .filter(|workload| here(&workload.meta) && key != "ca.crt")
        .find(|workload| workload.secrets().any(|(_, used)| used.name.value == name && used.keys.is_none()));
    machine.map(|machine| &machine.meta).or(workload.map(|workload| &workload.meta))
}

/// The keys that a Secret has or will have; `None` where the stream does not say.
fn keys(stream: &Stream, namespace: &str, name: &str) -> Option<Vec<String>> {
    let written = stream.certificate_of_secret(namespace, name).map(crate::model::Certificate::secret_keys);
    let given = stream.secret(namespace, name);
    if written.is_none() && given.is_none() {
        return None;
    }
    let given = given.iter().flat_map(|secret| &secret.entries).map(|(key, _)| key.clone());
    Some(written.into_iter().flatten().map(str::to_owned).chain(given).collect())
}

fn key_missing(stream: &Stream, found: &mut Findings) {
    for workload in &stream.workloads {
        let namespace = &workload.meta.namespace;
        let mut look = |secret: &str, key: &str, path: &str| {
            if let Some(keys) = keys(stream, namespace, secret).filter(|keys| !keys.iter().any(|found| found == key)) {
                let has: Vec<_> = keys.iter().map(|key| tandem_cli::shown(key)).collect();
                let message =
                    format!("{} is not in the Secret {}, which has {}", quoted(key), quoted(secret), has.join(", "));
                found.add(&workload.meta, path, message);
            }
        };
        for (_, used) in workload.secrets().filter(|(_, used)| !used.optional) {
            for key in used.keys.iter().flatten() {
                look(&used.name.value, &key.value, &key.path);
            }
        }
        for variable in workload.containers.iter().flat_map(|container| &container.env) {
            if let Some((secret, key)) = variable.secret.as_ref().filter(|(secret, _)| !secret.optional) {
                look(&secret.name.value, key, &secret.name.path);
            }
        }
    }
}

fn ca_key(stream: &Stream, found: &mut Findings) {
    // Where a cluster issuer's Secret is, only the issuer's controller knows: its name is all that there is to go by.
    let signs = |namespace: &str, name: &str| {
        let issuer = stream.issuers.iter().find(|issuer| {
            let IssuerSource::Ca { secret_name: Some(secret) } = &issuer.source else { return false };
            secret.value == name && (issuer.cluster_scoped() || issuer.meta.namespace == namespace)
        });
        let authority = stream.certificate_of_secret(namespace, name).filter(|certificate| certificate.is_ca);
        issuer.map(|issuer| &issuer.meta).or(authority.map(|certificate| &certificate.meta)).map(ToString::to_string)
    };
    for machine in &stream.machines {
        for (_, secret) in machine.secret_volumes() {
            if let Some(authority) = signs(&machine.meta.namespace, &secret.value) {
                found.add(&machine.meta, &secret.path, format!("{} is the CA of {authority}", quoted(&secret.value)));
            }
        }
    }
    for workload in &stream.workloads {
        for (_, used) in workload.secrets().filter(|(_, used)| used.has("tls.key")) {
            if let Some(authority) = signs(&workload.meta.namespace, &used.name.value) {
                found.add(
                    &workload.meta,
                    &used.name.path,
                    format!("{} is the CA of {authority}", quoted(&used.name.value)),
                );
            }
        }
    }
}
