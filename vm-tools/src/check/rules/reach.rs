//! Whether NetworkPolicies let a client reach what it dials.

use super::connections::{Target, dials, resolve};
use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{Machine, NetworkPolicy, Service, Stream, Workload};

pub(in crate::check) const RULES: &[Rule] = &[Rule {
    id: "TVM308",
    name: "policy-keeps-a-client-out",
    severity: Severity::Error,
    summary: "a client dials a machine whose NetworkPolicies do not let it in",
    why: "Once any policy selects a pod for ingress, only what a policy allows gets through: the client's connections end in a timeout.",
    remedy: "Add the client's labels and the port to `ingress` of the policy.",
    check: kept_out,
}];

fn kept_out(stream: &Stream, found: &mut Findings) {
    for dial in dials(stream) {
        let client = stream.workloads.iter().find(|workload| workload.meta.index == dial.object.index);
        let target = resolve(stream, &dial.host, dial.namespace);
        let (Some(client), Some(Target::Service(service, _))) = (client, target) else { continue };
        for machine in stream.machines_behind(service) {
            let policies: Vec<_> = protecting(stream, machine).collect();
            let let_in = policies.iter().any(|policy| lets_in(policy, client, service, machine));
            if let (Some(policy), false) = (policies.first(), let_in) {
                let message =
                    format!("{} dials {}, and is not let in to {}", client.meta, quoted(&dial.host), machine.meta);
                found.add(&policy.meta, "spec.ingress", message);
            }
        }
    }
}

fn protecting<'s>(stream: &'s Stream, machine: &'s Machine) -> impl Iterator<Item = &'s NetworkPolicy> {
    stream.policies.iter().filter(|policy| {
        policy.governs_ingress
            && policy.meta.namespace == machine.meta.namespace
            && policy.pods.selects(&machine.pod_labels)
    })
}

/// The number of a port that may be given by its name, which it has from the machine's interface; `None` where that does not say.
fn number(machine: &Machine, port: &str) -> Option<u64> {
    let named = || machine.ports.iter().flatten().find(|(_, name)| name == port).map(|(number, _)| *number);
    port.parse().ok().or_else(named)
}

fn lets_in(policy: &NetworkPolicy, client: &Workload, service: &Service, machine: &Machine) -> bool {
    policy.ingress.iter().any(|rule| {
        let named = rule.peers.iter().any(|peer| {
            // What labels another namespace has, manifests need not say.
            let reached = !peer.own_namespace || client.meta.namespace == policy.meta.namespace;
            reached && peer.pods.selects(&client.labels)
        });
        let open = |port: &String| {
            service.ports.iter().any(|one| match (number(machine, port), number(machine, &one.target)) {
                (Some(port), Some(target)) => port == target,
                _ => true,
            })
        };
        (rule.others || named) && (rule.ports.is_empty() || rule.ports.iter().any(open))
    })
}
