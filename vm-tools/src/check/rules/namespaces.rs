//! References that end at a namespace's border, and objects that are there twice.

use std::collections::BTreeMap;

use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{At, Meta, Stream};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM407",
        name: "secret-in-another-namespace",
        severity: Severity::Error,
        summary: "a machine or pod names a Secret that is in another namespace",
        why: "Volumes and environments take Secrets of their own namespace only: the machine or pod waits for one that never comes.",
        remedy: "Put the Certificate (or the Secret) into the namespace of the machine or pod; one for each namespace that needs it.",
        check: secret,
    },
    Rule {
        id: "TVM408",
        name: "issuer-in-another-namespace",
        severity: Severity::Error,
        summary: "a Certificate names an issuer that is in another namespace",
        why: "Issuer and TandemIssuer serve their own namespace only: the request waits for one that never comes.",
        remedy: "Name a ClusterIssuer or TandemClusterIssuer, or put an issuer into the Certificate's namespace.",
        check: issuer,
    },
    Rule {
        id: "TVM410",
        name: "object-twice",
        severity: Severity::Warning,
        summary: "an object is in the stream twice",
        why: "The one that is applied last replaces the other. The rules look at both, and may take either for the one that a name means.",
        remedy: "Leave one of them out, or check the files one at a time if they are alternatives.",
        check: twice,
    },
];

/// Where the stream has, or makes, a Secret of this name.
fn homes<'s>(stream: &'s Stream, name: &'s str) -> impl Iterator<Item = &'s str> {
    let given = stream.secrets.iter().filter(move |secret| secret.meta.name == name).map(|secret| &secret.meta);
    let written = stream
        .certificates
        .iter()
        .filter(move |certificate| certificate.secret_name.as_ref().is_some_and(|secret| secret.value == name));
    given.chain(written.map(|certificate| &certificate.meta)).map(|meta| meta.namespace.as_str())
}

fn secret(stream: &Stream, found: &mut Findings) {
    let mut look = |object: &Meta, name: &At<String>| {
        let mut all = homes(stream, &name.value).peekable();
        let Some(home) = all.peek().copied() else { return };
        if !all.any(|home| home == object.namespace) {
            let message = format!(
                "{} is in the namespace {}, not in {}",
                quoted(&name.value),
                quoted(home),
                quoted(&object.namespace)
            );
            found.add(object, &name.path, message);
        }
    };
    for machine in &stream.machines {
        let needed = machine.secret_volumes().filter(|(volume, _)| !volume.source.optional());
        needed.for_each(|(_, name)| look(&machine.meta, name));
        super::user_data::secret_refs(machine).for_each(|name| look(&machine.meta, name));
    }
    for workload in &stream.workloads {
        let needed = workload.secrets().filter(|(_, used)| !used.optional);
        needed.for_each(|(_, used)| look(&workload.meta, &used.name));
        for container in &workload.containers {
            let variables = container.env.iter().filter_map(|variable| variable.secret.as_ref().map(|(used, _)| used));
            let needed = variables.chain(&container.env_from).filter(|used| !used.optional);
            needed.for_each(|used| look(&workload.meta, &used.name));
        }
    }
}

fn issuer(stream: &Stream, found: &mut Findings) {
    for certificate in &stream.certificates {
        if stream.issuer_of(certificate).is_some() {
            continue;
        }
        let wanted = &certificate.issuer;
        let elsewhere = stream.issuers.iter().find(|issuer| {
            issuer.meta.group() == wanted.group
                && issuer.meta.kind == wanted.kind
                && issuer.meta.name == wanted.name.value
        });
        if let Some(issuer) = elsewhere {
            let message = format!(
                "{} {} is in the namespace {}, not in {}",
                issuer.meta.kind,
                quoted(&issuer.meta.name),
                quoted(&issuer.meta.namespace),
                quoted(&certificate.meta.namespace)
            );
            found.add(&certificate.meta, &wanted.name.path, message);
        }
    }
}

fn twice(stream: &Stream, found: &mut Findings) {
    let mut seen: BTreeMap<(&str, &str, &str, &str), &Meta> = BTreeMap::new();
    // What has only a generateName, or no name yet, is another object each time.
    for meta in stream.objects.iter().filter(|meta| !meta.name.is_empty() && !meta.name.ends_with('-')) {
        let first = *seen.entry((meta.group(), &meta.kind, &meta.namespace, &meta.name)).or_insert(meta);
        if first.index != meta.index {
            found.add(meta, "metadata.name", format!("is also in {}", first.place));
        }
    }
}
