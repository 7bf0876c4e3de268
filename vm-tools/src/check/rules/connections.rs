//! What clients dial, against the names in the certificate that answers.
//!
//! ```text
//! connection string, HOST variable, host list ─▶ host ─▶ Service ─▶ machine or pod ─▶ its Certificate: is the host among its names?
//! ```

mod hosts;

use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{Certificate, Machine, Meta, Service, Stream};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM304",
        name: "dialled-name-not-in-certificate",
        severity: Severity::Error,
        summary: "a client dials a name that is not in the server's certificate",
        why: "A client that verifies (and only that is TLS worth having) refuses the certificate. A wildcard stands for one label: \
              *.NS.svc.cluster.local covers neither mongodb-0 nor mongodb-0.mongodb.NS.svc.cluster.local.",
        remedy: "Add the name to the Certificate's dnsNames, or dial one that is there.",
        check: dialled,
    },
    Rule {
        id: "TVM305",
        name: "service-not-in-certificate",
        severity: Severity::Error,
        summary: "a certificate has none of the names of the Service in front of it",
        why: "Whoever dials the Service is answered with a certificate for somebody else.",
        remedy: "Add SERVICE, SERVICE.NAMESPACE, SERVICE.NAMESPACE.svc and SERVICE.NAMESPACE.svc.cluster.local to dnsNames.",
        check: services,
    },
    Rule {
        id: "TVM306",
        name: "dialled-name-in-another-namespace",
        severity: Severity::Error,
        summary: "a client dials a Service in a namespace where it is not",
        why: "The Service of this name is in another namespace: the name does not resolve, or leads to a stranger.",
        remedy: "Write the Service's own namespace into the name.",
        check: other_namespace,
    },
];

/// A host that somebody dials.
pub(super) struct Dial<'s> {
    /// The object in which it says so.
    pub(super) object: &'s Meta,
    /// The machine whose user data it is.
    machine: Option<&'s Meta>,
    field: String,
    pub(super) host: String,
    /// From where: what a short name is short for.
    pub(super) namespace: &'s str,
}

impl Dial<'_> {
    pub(super) fn report(&self, found: &mut Findings, message: String) {
        found.add(self.object, &self.field, message);
        if let Some((machine, finding)) = self.machine.zip(found.all.last_mut()) {
            finding.concerns = Some(machine.clone());
        }
    }
}

pub(super) fn dials(stream: &Stream) -> Vec<Dial<'_>> {
    let mut all = Vec::new();
    let mut add = |object, machine, namespace, field: &str, hosts: Vec<String>| {
        all.extend(hosts.into_iter().map(|host| Dial { object, machine, field: field.to_owned(), host, namespace }));
    };
    for workload in &stream.workloads {
        let (meta, namespace) = (&workload.meta, workload.meta.namespace.as_str());
        for container in &workload.containers {
            for (variable, value) in
                container.env.iter().filter_map(|variable| Some((variable, variable.value.as_ref()?)))
            {
                add(meta, None, namespace, &value.path, hosts::in_variable(&variable.name, &value.value));
            }
            for word in &container.words {
                add(meta, None, namespace, &word.path, hosts::in_text(&word.value));
            }
            for [option, value] in container.words.windows(2).filter_map(|pair| <&[_; 2]>::try_from(pair).ok()) {
                if ["--host", "-h"].contains(&&*option.value) {
                    add(meta, None, namespace, &value.path, hosts::list(&value.value));
                }
            }
        }
    }
    for map in &stream.config_maps {
        for (key, value) in &map.entries {
            add(&map.meta, None, &map.meta.namespace, &value.path, hosts::in_variable(key, &value.value));
        }
    }
    for machine in &stream.machines {
        for user_data in &machine.user_data {
            for text in user_data.texts() {
                let concerned = user_data.in_secret.then_some(&machine.meta);
                let field = user_data.field(&text.path);
                add(&user_data.meta, concerned, &machine.meta.namespace, &field, hosts::in_text(text.value));
            }
        }
    }
    all
}

/// Where a host leads: a Service of the stream and perhaps one pod behind it, or a machine by its own name.
pub(super) enum Target<'s> {
    Service(&'s Service, Option<String>),
    Machine(&'s Machine),
}

/// By the names that cluster DNS gives: <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>.
pub(super) fn resolve<'s>(stream: &'s Stream, host: &str, namespace: &str) -> Option<Target<'s>> {
    let labels: Vec<&str> = host.split('.').collect();
    let service = |name: &str, namespace: &str| {
        stream.services.iter().find(|service| service.meta.name == name && service.meta.namespace == namespace)
    };
    // Without `svc` there is nothing behind the namespace.
    let in_cluster = |rest: &[&str]| rest.is_empty() || rest.first() == Some(&"svc");
    let found = match &labels[..] {
        [name] => service(name, namespace).map(|service| (service, None)),
        [name, other, rest @ ..] if in_cluster(rest) => service(name, other).map(|service| (service, None)),
        _ => None,
    };
    let pod = || match &labels[..] {
        [pod, name] => service(name, namespace).map(|service| (service, Some((*pod).to_owned()))),
        [pod, name, other, rest @ ..] if in_cluster(rest) => {
            service(name, other).map(|service| (service, Some((*pod).to_owned())))
        }
        _ => None,
    };
    if let Some((service, pod)) = found.or_else(pod) {
        return Some(Target::Service(service, pod));
    }
    let machine = stream.machines.iter().find(|machine| {
        labels.len() == 1
            && machine.meta.namespace == namespace
            && (machine.hostname == host || machine.meta.name == host)
    });
    machine.map(Target::Machine)
}

/// The certificates that may answer: each entry is what one machine or pod has.
fn answering<'s>(stream: &'s Stream, target: &Target<'s>) -> Vec<Vec<&'s Certificate>> {
    let of_machine =
        |machine: &'s Machine| stream.delivered(machine).map(|(_, certificate)| certificate).collect::<Vec<_>>();
    let all = match target {
        Target::Machine(machine) => vec![of_machine(machine)],
        Target::Service(service, pod) => {
            let called = |machine: &&Machine| {
                pod.as_ref().is_none_or(|pod| machine.hostname == *pod || machine.meta.name == *pod)
            };
            let machines = stream.machines_behind(service).filter(called).map(of_machine);
            let pods = stream.workloads_behind(service).map(|workload| {
                let keys = workload.secrets().filter(|(_, used)| used.has("tls.key"));
                keys.filter_map(|(_, used)| stream.certificate_of_secret(&workload.meta.namespace, &used.name.value))
                    .collect()
            });
            machines.chain(pods).collect()
        }
    };
    // Who has no certificate of the stream has one from elsewhere, or does no TLS.
    all.into_iter().filter(|certificates: &Vec<_>| !certificates.is_empty()).collect()
}

/// RFC 9525, 6.3: a wildcard stands for exactly one label, the first.
fn covers(certificate: &Certificate, host: &str) -> bool {
    certificate.dns_names.iter().any(|name| {
        let name = name.value.trim_end_matches('.').to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => name == host,
        }
    })
}

fn named(certificate: &Certificate) -> String {
    let names: Vec<_> = certificate.dns_names.iter().take(6).map(|name| tandem_cli::shown(&name.value)).collect();
    let more = if certificate.dns_names.len() > 6 { ", …" } else { "" };
    format!("Certificate {} ({}{more})", quoted(&certificate.meta.name), names.join(", "))
}

fn dialled(stream: &Stream, found: &mut Findings) {
    for dial in dials(stream) {
        let Some(target) = resolve(stream, &dial.host, dial.namespace) else { continue };
        for certificates in answering(stream, &target) {
            // One without any name is told of elsewhere.
            let Some(certificate) = certificates.iter().find(|certificate| !certificate.dns_names.is_empty()) else {
                continue;
            };
            if !certificates.iter().any(|certificate| covers(certificate, &dial.host)) {
                dial.report(found, format!("{} is not in {}", quoted(&dial.host), named(certificate)));
            }
        }
    }
}

fn services(stream: &Stream, found: &mut Findings) {
    for service in &stream.services {
        let (name, namespace) = (&service.meta.name, &service.meta.namespace);
        for machine in stream.machines_behind(service) {
            let certificates: Vec<_> = stream.delivered(machine).map(|(_, certificate)| certificate).collect();
            let Some(certificate) = certificates.iter().find(|certificate| !certificate.dns_names.is_empty()) else {
                continue;
            };
            let qualified = format!("{name}.{namespace}.svc");
            // The cluster's domain is whatever stands behind `svc` in any of the names.
            let domains = certificates.iter().flat_map(|certificate| &certificate.dns_names);
            let domains =
                domains.filter_map(|name| name.value.split_once(".svc.").map(|(_, domain)| domain.to_owned()));
            let mut hosts = vec![name.clone(), format!("{name}.{namespace}"), qualified.clone()];
            hosts.extend(domains.chain(["cluster.local".to_owned()]).map(|domain| format!("{qualified}.{domain}")));
            // A headless Service is there for the names of its members.
            if service.headless {
                let members = [&machine.hostname, &machine.meta.name];
                let of_members: Vec<_> = members
                    .iter()
                    .flat_map(|member| hosts.iter().map(move |host| format!("{member}.{host}")))
                    .collect();
                hosts.extend(of_members);
            }
            if !hosts.iter().any(|host| certificates.iter().any(|certificate| covers(certificate, host))) {
                let message =
                    format!("{} names neither {} nor {}", named(certificate), quoted(name), quoted(&qualified));
                found.add(
                    &certificate.meta,
                    "spec.dnsNames",
                    format!("{message}, of the Service in front of {}", machine.meta),
                );
            }
        }
    }
}

fn other_namespace(stream: &Stream, found: &mut Findings) {
    for dial in dials(stream) {
        let labels: Vec<&str> = dial.host.split('.').collect();
        // Only names that cannot be meant otherwise: SERVICE.NAMESPACE.svc, perhaps with a pod before it.
        let Some(svc) = labels.iter().position(|label| *label == "svc").filter(|svc| (2..=3).contains(svc)) else {
            continue;
        };
        let [name, namespace] = [labels[svc - 2], labels[svc - 1]];
        let mut homes = stream.services.iter().filter(|service| service.meta.name == name).peekable();
        let Some(home) = homes.peek().map(|service| service.meta.namespace.as_str()) else { continue };
        if !homes.any(|service| service.meta.namespace == namespace) {
            let message = format!(
                "{} is in {}, and the Service {} in {}",
                quoted(&dial.host),
                quoted(namespace),
                quoted(name),
                quoted(home)
            );
            dial.report(found, message);
        }
    }
}
