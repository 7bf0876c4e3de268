//! Who else may reach the database's port.

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};
use serde_yaml::Value;
use tandem_cli::{Problem, strict};

/// The NetworkPolicy of the database's port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkPolicy {
    /// Who may reach the port besides the document's clients and, in a replica set, its members: entries of a NetworkPolicy's
    /// `from`. <https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-to-and-from-selectors>
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Value>,
}

/// An entry as Kubernetes has it, or what is wrong with which of its fields. One that Kubernetes does not know is wrong: without it,
/// a selector selects everything.
pub(crate) fn peer(value: &Value) -> Result<NetworkPolicyPeer, Vec<Problem>> {
    let peer = strict::read(value, &[])?;
    names_somebody(&peer).map_err(|problem| vec![problem])?;
    Ok(peer)
}

/// Whether the entry says whom it lets in, in a way that the API server takes.
fn names_somebody(peer: &NetworkPolicyPeer) -> Result<(), Problem> {
    let selectors = [("podSelector", &peer.pod_selector), ("namespaceSelector", &peer.namespace_selector)];
    match &peer.ip_block {
        Some(_) if selectors.iter().any(|(_, selector)| selector.is_some()) => {
            return Err(Problem::new("ipBlock", "stands beside no selector; write it as an entry of its own"));
        }
        Some(block) => ip_block(block)?,
        None if selectors.iter().all(|(_, selector)| selector.is_none()) => {
            return Err(Problem::new("", "names nobody; write podSelector, namespaceSelector or ipBlock"));
        }
        None => {}
    }
    selectors.into_iter().try_for_each(|(name, selector)| expressions(name, selector.as_ref()))
}

fn ip_block(block: &IPBlock) -> Result<(), Problem> {
    let range = |text: &str, field: &str| {
        let message = format!("`{}` is no range; write one such as 192.0.2.0/24", tandem_cli::shown(text));
        text.parse::<IpNet>().map_err(|_| Problem::new(field, message))
    };
    let all = range(&block.cidr, "ipBlock.cidr")?;
    for (i, except) in block.except.iter().flatten().enumerate() {
        let field = format!("ipBlock.except[{i}]");
        let part = range(except, &field)?;
        if part == all || !all.contains(&part) {
            return Err(Problem::new(field, format!("`{part}` is no part of {all}; write one that is")));
        }
    }
    Ok(())
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements>
fn expressions(name: &str, selector: Option<&LabelSelector>) -> Result<(), Problem> {
    for (i, requirement) in
        selector.and_then(|selector| selector.match_expressions.as_ref()).into_iter().flatten().enumerate()
    {
        let has_values = requirement.values.as_ref().is_some_and(|values| !values.is_empty());
        let fits = match &*requirement.operator {
            "In" | "NotIn" => has_values,
            "Exists" | "DoesNotExist" => !has_values,
            _ => false,
        };
        if !fits {
            let message =
                "has no operator that fits its values; write In or NotIn with some, or Exists or DoesNotExist without";
            return Err(Problem::new(format!("{name}.matchExpressions[{i}]"), message));
        }
    }
    Ok(())
}
