//! Services, NetworkPolicies, and what they select.

use super::{At, Map, Meta, Node, PodLabels};

/// A Service.
pub struct Service {
    /// The object.
    pub meta: Meta,
    /// `spec.selector`; `None` where it has none, because somebody else writes its endpoints.
    pub selector: Option<At<Map>>,
    /// Whether it has no address of its own (`clusterIP: None`).
    pub headless: bool,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Path of the entry.
    pub path: String,
    /// `port`.
    pub port: u64,
    /// `targetPort` as it stands, a number or a name; the port itself where the field is not there.
    pub target: String,
}

impl Service {
    pub(super) fn read(meta: Meta, root: &Node<'_>) -> Self {
        let spec = root.get("spec");
        let selector = spec.get("selector");
        let labels = selector.texts();
        let external = spec.get("type").text() == Some("ExternalName");
        let port = |item: Node<'_>| {
            let port = item.get("port").number()?;
            let target = item.get("targetPort").written();
            let target = target.map_or_else(|| port.to_string(), |target| target.value);
            Some(ServicePort { path: item.path().to_owned(), port, target })
        };
        Self {
            meta,
            selector: (!labels.is_empty() && !external).then(|| selector.place(labels)),
            headless: spec.get("clusterIP").text() == Some("None"),
            ports: spec.get("ports").items().filter_map(port).collect(),
        }
    }

    /// Whether it sends to pods with these labels, as far as they are known.
    #[must_use]
    pub fn selects(&self, labels: &PodLabels) -> bool {
        self.selector.as_ref().is_some_and(|selector| subset(&selector.value, labels))
    }
}

/// A NetworkPolicy.
pub struct NetworkPolicy {
    /// The object.
    pub meta: Meta,
    /// The pods that it protects.
    pub pods: Selector,
    /// Whether it says who may connect to them: `policyTypes` names Ingress, or is not there.
    pub governs_ingress: bool,
    /// `ingress`.
    pub ingress: Vec<PolicyRule>,
    /// `egress`.
    pub egress: Vec<PolicyRule>,
}

/// What a NetworkPolicy allows.
pub struct PolicyRule {
    /// The pods on the other side, where they are named by labels.
    pub peers: Vec<Peer>,
    /// Whether others are allowed as well: everybody, where no peer is named, or peers by address or by the labels of their
    /// namespace, which manifests alone do not tell.
    pub others: bool,
    /// Ports as they stand, numbers or names; empty for all.
    pub ports: Vec<String>,
}

/// Pods on the other side.
pub struct Peer {
    /// Which.
    pub pods: Selector,
    /// Whether only in the policy's own namespace.
    pub own_namespace: bool,
}

impl NetworkPolicy {
    pub(super) fn read(meta: Meta, root: &Node<'_>) -> Self {
        let spec = root.get("spec");
        let types = spec.get("policyTypes").list();
        let rules = |list: &str, peers: &str| spec.get(list).items().map(|node| rule(&node, peers)).collect();
        Self {
            pods: Selector::read(&spec.get("podSelector")),
            governs_ingress: types.is_empty() || types.iter().any(|kind| kind.value == "Ingress"),
            ingress: rules("ingress", "from"),
            egress: rules("egress", "to"),
            meta,
        }
    }
}

fn rule(node: &Node<'_>, peers: &str) -> PolicyRule {
    let entries: Vec<_> = node.get(peers).items().collect();
    let by_labels = |entry: &Node<'_>| {
        let pods = entry.get("podSelector");
        let own_namespace = !entry.get("namespaceSelector").is_there();
        pods.value().is_some().then(|| Peer { pods: Selector::read(&pods), own_namespace })
    };
    let peers: Vec<_> = entries.iter().filter_map(by_labels).collect();
    let port = |entry: Node<'_>| {
        // A range is not looked into.
        let port = entry.get("port").written().filter(|_| !entry.get("endPort").is_there());
        port.map(|port| port.value)
    };
    let ports: Vec<_> = node.get("ports").items().map(port).collect();
    PolicyRule {
        others: entries.is_empty() || peers.len() < entries.len(),
        peers,
        ports: ports.into_iter().collect::<Option<_>>().unwrap_or_default(),
    }
}

/// A label selector:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Path of the selector.
    pub path: String,
    /// `matchLabels`.
    pub labels: Map,
    /// `matchExpressions`: key, operator, values.
    pub expressions: Vec<(String, String, Vec<String>)>,
}

impl Selector {
    pub(super) fn read(node: &Node<'_>) -> Self {
        let expression = |item: Node<'_>| {
            let text = |key: &str| item.get(key).text().unwrap_or_default().to_owned();
            let values = item.get("values").list().into_iter().map(|value| value.value).collect();
            (text("key"), text("operator"), values)
        };
        Self {
            path: node.path().to_owned(),
            labels: node.get("matchLabels").texts(),
            expressions: node.get("matchExpressions").items().map(expression).collect(),
        }
    }

    /// Whether it names no label at all, and so selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.expressions.is_empty()
    }

    /// Whether it selects these labels, as far as they are known.
    #[must_use]
    pub fn selects(&self, labels: &PodLabels) -> bool {
        subset(&self.labels, labels)
            && self.expressions.iter().all(|(key, operator, values)| match operator.as_str() {
                "In" => values.iter().any(|value| labels.may_be(key, value)),
                "NotIn" => labels.known.get(key).is_none_or(|value| !values.contains(value)),
                "Exists" => labels.has(key),
                "DoesNotExist" => !labels.has(key),
                // Of an operator that Kubernetes does not know nothing can be said.
                _ => true,
            })
    }
}

fn subset(wanted: &Map, labels: &PodLabels) -> bool {
    wanted.iter().all(|(key, value)| labels.may_be(key, value))
}
