//! What Services and NetworkPolicies select.

use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{Map, Meta, Stream};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM301",
        name: "service-selects-nothing",
        severity: Severity::Error,
        summary: "a Service selects no machine and no pod of its namespace",
        why: "It has no endpoints: whoever dials it waits in vain. A VM's pod has the labels of the VM's template, not the VM's own.",
        remedy: "Write a selector of labels in spec.template.metadata.labels of the VirtualMachine, or add them there.",
        check: service,
    },
    Rule {
        id: "TVM302",
        name: "policy-selects-nothing",
        severity: Severity::Error,
        summary: "a NetworkPolicy selects no machine and no pod of its namespace",
        why: "It protects nothing, and says so to nobody: what it was meant for is open to everyone.",
        remedy: "Write a podSelector of labels in spec.template.metadata.labels of the VirtualMachine, or add them there.",
        check: policy,
    },
    Rule {
        id: "TVM303",
        name: "policy-lets-nobody-in",
        severity: Severity::Warning,
        summary: "a NetworkPolicy names pods that are not there",
        why: "No machine and no pod of the namespace has the labels of this peer, so nobody is let through by it.",
        remedy: "Write the labels of the clients' pods.",
        check: peers,
    },
    Rule {
        id: "TVM307",
        name: "port-not-forwarded",
        severity: Severity::Error,
        summary: "a Service sends to a port that the machine does not forward",
        why: "A masquerade interface that lists ports forwards those and no others.",
        remedy: "Add the port to the interface's ports, or leave that list out.",
        check: port,
    },
];

/// Labels of everything in a namespace that a selector may select, and the labels of the object itself.
fn pods<'s>(stream: &'s Stream, namespace: &'s str) -> impl Iterator<Item = (&'s Meta, &'s Map)> {
    let machines = stream.machines.iter().map(|machine| (&machine.meta, &machine.template_labels));
    let workloads = stream.workloads.iter().map(|workload| (&workload.meta, &workload.labels));
    machines.chain(workloads).filter(move |(meta, _)| meta.namespace == namespace)
}

/// What a selector was perhaps meant for: what has one of its keys, or the labels on the object instead of the template.
fn nearest(stream: &Stream, namespace: &str, wanted: &Map) -> String {
    let near = pods(stream, namespace).find_map(|(meta, labels)| {
        let on_object = wanted.iter().all(|(key, value)| meta.labels.get(key) == Some(value));
        if on_object && !wanted.is_empty() {
            return Some(format!("; {meta} has them on itself, but not in its template"));
        }
        let (key, value) = wanted.keys().find_map(|key| labels.get_key_value(key))?;
        Some(format!("; {meta} has {}", quoted(&format!("{key}={value}"))))
    });
    near.unwrap_or_default()
}

fn shown(labels: &Map) -> String {
    let parts: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    quoted(&parts.join(","))
}

fn service(stream: &Stream, found: &mut Findings) {
    for service in &stream.services {
        let Some(selector) = &service.selector else { continue };
        let namespace = &service.meta.namespace;
        let mut all = pods(stream, namespace).peekable();
        if all.peek().is_some() && !all.any(|(_, labels)| service.selects(labels)) {
            let near = nearest(stream, namespace, &selector.value);
            found.add(&service.meta, &selector.path, format!("nothing has {}{near}", shown(&selector.value)));
        }
    }
}

fn policy(stream: &Stream, found: &mut Findings) {
    for policy in stream.policies.iter().filter(|policy| !policy.pods.is_empty()) {
        let namespace = &policy.meta.namespace;
        let mut all = pods(stream, namespace).peekable();
        if all.peek().is_some() && !all.any(|(_, labels)| policy.pods.selects(labels)) {
            let near = nearest(stream, namespace, &policy.pods.labels);
            let what =
                if policy.pods.labels.is_empty() { "what is asked for".to_owned() } else { shown(&policy.pods.labels) };
            found.add(&policy.meta, &policy.pods.path, format!("nothing has {what}{near}"));
        }
    }
}

fn peers(stream: &Stream, found: &mut Findings) {
    for policy in &stream.policies {
        let namespace = &policy.meta.namespace;
        for peer in policy.from.iter().chain(&policy.to).filter(|peer| peer.own_namespace && !peer.pods.is_empty()) {
            let mut all = pods(stream, namespace).peekable();
            if all.peek().is_some() && !all.any(|(_, labels)| peer.pods.selects(labels)) {
                let near = nearest(stream, namespace, &peer.pods.labels);
                found.add(&policy.meta, &peer.pods.path, format!("nothing has {}{near}", shown(&peer.pods.labels)));
            }
        }
    }
}

fn port(stream: &Stream, found: &mut Findings) {
    for service in &stream.services {
        for machine in stream.machines_behind(service) {
            let Some(forwarded) = &machine.ports else { continue };
            for port in &service.ports {
                let known =
                    forwarded.iter().any(|(number, name)| number.to_string() == port.target || *name == port.target);
                if !known {
                    let numbers: Vec<_> = forwarded.iter().map(|(number, _)| number.to_string()).collect();
                    let message = format!(
                        "sends to {}, and {} forwards {}",
                        tandem_cli::shown(&port.target),
                        machine.meta,
                        numbers.join(", ")
                    );
                    found.add(&service.meta, &port.path, message);
                }
            }
        }
    }
}
