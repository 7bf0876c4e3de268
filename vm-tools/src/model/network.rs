//! Services, NetworkPolicies, and what they select.

use super::{At, Map, Meta, Node};

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
            let target = item.get("targetPort");
            let target = target.text().map(str::to_owned).or(target.number().map(|number| number.to_string()));
            Some(ServicePort { path: item.path().to_owned(), port, target: target.unwrap_or_else(|| port.to_string()) })
        };
        Self {
            meta,
            selector: (!labels.is_empty() && !external).then(|| selector.place(labels)),
            headless: spec.get("clusterIP").text() == Some("None"),
            ports: spec.get("ports").items().filter_map(port).collect(),
        }
    }

    /// Whether it sends to pods with these labels.
    #[must_use]
    pub fn selects(&self, labels: &Map) -> bool {
        self.selector.as_ref().is_some_and(|selector| subset(&selector.value, labels))
    }
}

/// A NetworkPolicy.
pub struct NetworkPolicy {
    /// The object.
    pub meta: Meta,
    /// The pods that it protects.
    pub pods: Selector,
    /// Pods in `ingress[].from`; empty lists stand for everybody and are not here.
    pub from: Vec<Peer>,
    /// Pods in `egress[].to`.
    pub to: Vec<Peer>,
}

/// Pods that may connect.
pub struct Peer {
    /// Which.
    pub pods: Selector,
    /// Whether only in the policy's own namespace.
    pub own_namespace: bool,
}

impl NetworkPolicy {
    pub(super) fn read(meta: Meta, root: &Node<'_>) -> Self {
        let spec = root.get("spec");
        let peers = |list: &str, entry: &str| {
            let all = spec.get(list).items().flat_map(|rule| rule.get(entry).items());
            let peer = |node: Node<'_>| {
                let pods = node.get("podSelector");
                let own_namespace = !node.get("namespaceSelector").is_there();
                pods.value().is_some().then(|| Peer { pods: Selector::read(&pods), own_namespace })
            };
            all.filter_map(peer).collect()
        };
        Self {
            pods: Selector::read(&spec.get("podSelector")),
            from: peers("ingress", "from"),
            to: peers("egress", "to"),
            meta,
        }
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

    /// Whether it selects these labels.
    #[must_use]
    pub fn selects(&self, labels: &Map) -> bool {
        subset(&self.labels, labels)
            && self.expressions.iter().all(|(key, operator, values)| {
                let found = labels.get(key);
                match operator.as_str() {
                    "In" => found.is_some_and(|value| values.contains(value)),
                    "NotIn" => found.is_none_or(|value| !values.contains(value)),
                    "Exists" => found.is_some(),
                    "DoesNotExist" => found.is_none(),
                    // Of an operator that Kubernetes does not know nothing can be said.
                    _ => true,
                }
            })
    }
}

fn subset(wanted: &Map, labels: &Map) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}
