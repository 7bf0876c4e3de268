//! What Services and NetworkPolicies select.

use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{Map, Meta, NetworkPolicy, PodLabels, Selector, Stream};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM301",
        name: "service-selects-nothing",
        severity: Severity::Error,
        summary: "a Service selects no machine and no pod of its namespace",
        why: "It has no endpoints: whoever dials it waits in vain. A VM's pod has the labels of the VM's template, and \
              KubeVirt's such as `vm.kubevirt.io/name`, not the VM's own.",
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

/// Labels of everything that a selector may select.
fn pods(stream: &Stream) -> impl Iterator<Item = (&Meta, &PodLabels)> {
    let machines = stream.machines.iter().map(|machine| (&machine.meta, &machine.pod_labels));
    let workloads = stream.workloads.iter().map(|workload| (&workload.meta, &workload.labels));
    machines.chain(workloads)
}

/// Why a selector selects nothing in its namespace, as far as the stream shows it; `None` where it does, or where what it selects may
/// simply not be in the stream, since its namespace shows nothing that `counts`.
fn nothing(
    stream: &Stream,
    namespace: &str,
    selects: impl Fn(&PodLabels) -> bool,
    wanted: &Map,
    counts: impl Fn(&PodLabels) -> bool,
) -> Option<String> {
    let here = |meta: &Meta| meta.namespace == namespace;
    if pods(stream).any(|(meta, labels)| here(meta) && selects(labels)) {
        return None;
    }
    if let Some((meta, _)) = pods(stream).find(|(_, labels)| selects(labels)) {
        return Some(format!("; {meta} has, in another namespace"));
    }
    pods(stream).find(|(meta, labels)| here(meta) && counts(labels))?;
    let near = pods(stream).filter(|(meta, _)| here(meta)).find_map(|(meta, labels)| {
        if !wanted.is_empty() && selects(&meta.labels.clone().into()) {
            return Some(format!("; {meta} has on itself, but not in its template"));
        }
        let (key, value) = wanted.keys().find_map(|key| labels.known.get_key_value(key))?;
        Some(format!("; {meta} has {}", quoted(&format!("{key}={value}"))))
    });
    Some(near.unwrap_or_default())
}

fn shown(labels: &Map) -> String {
    let parts: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    quoted(&parts.join(","))
}

fn service(stream: &Stream, found: &mut Findings) {
    for service in &stream.services {
        let Some(selector) = &service.selector else { continue };
        let selects = |labels: &PodLabels| service.selects(labels);
        if let Some(near) = nothing(stream, &service.meta.namespace, selects, &selector.value, |_| true) {
            found.add(&service.meta, &selector.path, format!("nothing has {}{near}", shown(&selector.value)));
        }
    }
}

/// A selector of a NetworkPolicy.
fn look(
    stream: &Stream,
    policy: &NetworkPolicy,
    selector: &Selector,
    counts: impl Fn(&PodLabels) -> bool,
    found: &mut Findings,
) {
    let selects = |labels: &PodLabels| selector.selects(labels);
    let near =
        nothing(stream, &policy.meta.namespace, selects, &selector.labels, counts).filter(|_| !selector.is_empty());
    if let Some(near) = near {
        let what = if selector.labels.is_empty() { "what is asked for".to_owned() } else { shown(&selector.labels) };
        found.add(&policy.meta, &selector.path, format!("nothing has {what}{near}"));
    }
}

fn policy(stream: &Stream, found: &mut Findings) {
    stream.policies.iter().for_each(|policy| look(stream, policy, &policy.pods, |_| true, found));
}

fn peers(stream: &Stream, found: &mut Findings) {
    for policy in &stream.policies {
        let named = policy.ingress.iter().chain(&policy.egress).flat_map(|rule| &rule.peers);
        // Where the stream has nothing but what is protected, its clients are elsewhere.
        let other = |labels: &PodLabels| !policy.pods.selects(labels);
        named.filter(|peer| peer.own_namespace).for_each(|peer| look(stream, policy, &peer.pods, other, found));
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
