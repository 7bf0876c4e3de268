//! Names that lead nowhere, beside what they were meant for. A stream need not hold everything, so that something is not in it is no
//! finding by itself; together with something of a near name, or of the same purpose, that nobody asks for, it is.

use std::collections::BTreeSet;

use super::connections::{dials, resolve};
use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{At, Certificate, Meta, Stream};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM309",
        name: "dialled-service-missing",
        severity: Severity::Warning,
        summary: "a client dials a name that is nearly that of the database's Service",
        why: "No Service of the stream has that name, and one of nearly that name stands in front of a machine in the same namespace: \
              the name does not resolve, and the client waits for ever.",
        remedy: "Write the Service's name, or check the files together with that of the other Service.",
        check: service,
    },
    Rule {
        id: "TVM411",
        name: "tls-secret-from-nowhere",
        severity: Severity::Warning,
        summary: "a machine or pod uses a TLS Secret that nothing writes, beside a Certificate whose Secret nothing uses",
        why: "One of the two names is probably mistyped: the machine or pod then waits for a Secret that never comes, and the \
              certificate reaches nobody.",
        remedy: "Write the same secretName in both, or check the files together with the Certificate or Secret that is missing.",
        check: secret,
    },
];

/// Which of these was meant: they are compared without the words that both have at the beginning and the end, so that `db-tls` is
/// near `db-tsl` but not `db-key`; and `db1` is not near `db2`, which are two.
fn meant<'n>(found: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let near = |name: &&str| {
        let (mut a, mut b): (Vec<_>, Vec<_>) = (found.split('-').collect(), name.split('-').collect());
        while a.last().is_some() && a.last() == b.last() {
            a.pop();
            b.pop();
        }
        let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        let [a, b] = [a, b].map(|words| words.into_iter().skip(same).collect::<Vec<_>>().join("-"));
        let numbered = stem(&a) == stem(&b) && stem(&a) != a && stem(&b) != b;
        !numbered && tandem_cli::problem::nearest(&a, [b.as_str()]).is_some()
    };
    names.into_iter().find(near)
}

/// Without the number at its end.
fn stem(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// A Secret that a machine or pod does not start without.
struct Use<'s> {
    object: &'s Meta,
    name: &'s At<String>,
    /// It holds, or takes, a certificate, by its name or its keys.
    tls: bool,
}

fn says_tls(name: &str) -> bool {
    ["tls", "cert", "ssl", "x509"].iter().any(|word| name.contains(word))
}

/// What volumes take; and the names of all Secrets that machines and pods take in any way.
fn uses(stream: &Stream) -> (Vec<Use<'_>>, BTreeSet<&str>) {
    let (mut all, mut names) = (Vec::new(), BTreeSet::new());
    for machine in &stream.machines {
        for (volume, name) in machine.secret_volumes() {
            names.insert(&*name.value);
            if !volume.source.optional() {
                all.push(Use { object: &machine.meta, name, tls: says_tls(&name.value) });
            }
        }
        names.extend(super::user_data::secret_refs(machine).map(|name| &*name.value));
    }
    for workload in &stream.workloads {
        for (_, used) in workload.secrets() {
            names.insert(&*used.name.value);
            let keys = used.keys.as_deref().unwrap_or_default();
            let is_tls = |key: &At<String>| ["tls.crt", "tls.key", "ca.crt"].contains(&&*key.value);
            // One that takes other keys is of another purpose, whatever its name.
            if !used.optional && (keys.is_empty() || keys.iter().any(is_tls)) {
                let tls = says_tls(&used.name.value) || keys.iter().any(|key| key.value.starts_with("tls."));
                all.push(Use { object: &workload.meta, name: &used.name, tls });
            }
        }
        for container in &workload.containers {
            let variables = container.env.iter().filter_map(|variable| variable.secret.as_ref().map(|(used, _)| used));
            names.extend(variables.chain(&container.env_from).map(|used| &*used.name.value));
            // A program that reads it through the API is told its name.
            let values = container.env.iter().filter_map(|variable| variable.value.as_ref()).chain(&container.words);
            names.extend(values.map(|text| text.value.rsplit_once('=').map_or(&*text.value, |(_, value)| value)));
        }
    }
    (all, names)
}

fn secret(stream: &Stream, found: &mut Findings) {
    let (uses, used) = uses(stream);
    // Which namespace it is in is TVM407's.
    let written: BTreeSet<&str> = (stream.certificates.iter())
        .filter_map(|certificate| certificate.secret_name.as_ref().map(|name| &*name.value))
        .chain(stream.secrets.iter().map(|secret| &*secret.meta.name))
        .collect();
    let idle: Vec<(&Certificate, &str)> = (stream.certificates.iter())
        .filter_map(|certificate| Some((certificate, &*certificate.secret_name.as_ref()?.value)))
        .filter(|(certificate, name)| !certificate.is_ca && !used.contains(name) && !stream.mentioned.contains(*name))
        .collect();
    for Use { object, name, tls } in uses {
        if written.contains(&*name.value) || stream.mentioned.contains(&*name.value) {
            continue;
        }
        let here = || idle.iter().filter(|(certificate, _)| certificate.meta.namespace == object.namespace);
        let near = meant(&name.value, here().map(|(_, secret)| *secret));
        let other =
            here().find(|(_, secret)| near.is_none_or(|near| near == *secret)).filter(|_| tls || near.is_some());
        if let Some((certificate, secret)) = other {
            let mut message = format!(
                "nothing in the stream writes {}, and nothing uses {}, which Certificate {} writes",
                quoted(&name.value),
                quoted(secret),
                quoted(&certificate.meta.name)
            );
            if let Some(near) = near {
                message += &format!("; did you mean {}?", tandem_cli::shown(near));
            }
            found.add(object, &name.path, message);
        }
    }
}

fn service(stream: &Stream, found: &mut Findings) {
    let of_machines: Vec<_> =
        stream.services.iter().filter(|service| stream.machines_behind(service).next().is_some()).collect();
    for dial in dials(stream) {
        let labels: Vec<&str> = dial.host.split('.').collect();
        // Only names that cannot be meant otherwise: a short one, SERVICE.NAMESPACE, or what has `svc` behind that.
        let (name, namespace) = match (&labels[..], labels.iter().position(|label| *label == "svc")) {
            ([name], _) => (*name, dial.namespace),
            ([name, namespace], None) => (*name, *namespace),
            (_, Some(svc @ 2..=3)) => (labels[svc - 2], labels[svc - 1]),
            _ => continue,
        };
        // One of that name in another namespace is TVM306's; and one that is called so by another kind has a Service elsewhere.
        let known = stream
            .objects
            .iter()
            .any(|meta| meta.name == name && (meta.kind == "Service" || meta.namespace == namespace))
            || stream.machines.iter().any(|machine| machine.hostname == name)
            || stream.mentioned.contains(&dial.host);
        if known || resolve(stream, &dial.host, dial.namespace).is_some() {
            continue;
        }
        let services = of_machines.iter().filter(|service| service.meta.namespace == namespace);
        if let Some(near) = meant(name, services.map(|service| &*service.meta.name)) {
            let message = format!(
                "{}: the stream has no Service {} in {}; did you mean {}?",
                quoted(&dial.host),
                quoted(name),
                quoted(namespace),
                tandem_cli::shown(near)
            );
            dial.report(found, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn a_name_is_near_by_the_words_in_which_it_differs() {
        for (found, name) in [
            ("atls", "a-tls"),
            ("order-tls", "orders-tls"),
            ("orders-tsl", "orders-tls"),
            ("orders-0-tsl", "orders-0-tls"),
            ("db2", "db"),
            ("ordres", "orders"),
        ] {
            assert_eq!(meant(found, [name]), Some(name), "{found}");
        }
        for (found, name) in [
            ("db-key", "db-tls"),
            ("db-url", "db-tls"),
            ("wrong-tls", "orders-tls"),
            ("orders-0-tls", "orders-1-tls"),
            ("orders-ro", "orders"),
            ("db1", "db2"),
            ("kafka", "orders"),
            ("", "db"),
        ] {
            assert_eq!(meant(found, [name]), None, "{found}");
        }
    }
}
