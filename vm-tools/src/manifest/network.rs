//! The database's address, and who may use it.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata;
use super::port_name;
use crate::names::{Labels, Names, clients_selector, database_selector, with_common};
use crate::spec::Document;

pub(super) fn service(document: &Document, names: &Names, port: u16) -> Service {
    Service {
        metadata: metadata(document, &names.service, with_common(document, Labels::new())),
        spec: Some(ServiceSpec {
            selector: Some(database_selector(document)),
            ports: Some(vec![ServicePort {
                name: Some(port_name(&document.spec.database).to_owned()),
                port: port.into(),
                target_port: Some(IntOrString::Int(port.into())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Closes the VM's pod to everything but the clients of this document, on the database's port.
pub(super) fn policy(document: &Document, names: &Names, port: u16) -> NetworkPolicy {
    let matching = |labels| LabelSelector { match_labels: Some(labels), ..LabelSelector::default() };
    let clients = NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            pod_selector: Some(matching(clients_selector(document))),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(port.into())),
            protocol: Some("TCP".to_owned()),
            ..NetworkPolicyPort::default()
        }]),
    };
    NetworkPolicy {
        metadata: metadata(document, &names.policy, with_common(document, Labels::new())),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(matching(database_selector(document))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![clients]),
            ..NetworkPolicySpec::default()
        }),
    }
}
