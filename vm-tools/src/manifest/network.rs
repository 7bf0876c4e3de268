//! The database's address, and who may use it.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{metadata, port_name};
use crate::RenderError;
use crate::names::{Labels, MachineNames, Names, clients_selector, database_selector, machine_selector, with_common};
use crate::spec::{self, Database, Document};

/// The database's Service. That of a replica set is headless: it gives each member's pod a name, before it is ready as well,
/// since members have to find one another first.
pub(super) fn service(document: &Document, names: &Names, port: u16) -> Service {
    let mut service = service_for(document, &names.service, database_selector(document), port);
    if let (Some(spec), true) = (&mut service.spec, document.replica_set().is_some()) {
        spec.cluster_ip = Some("None".to_owned());
        spec.publish_not_ready_addresses = Some(true);
    }
    service
}

/// The Service of a single member: an address that stays when the member's pod does not.
pub(super) fn member_service(document: &Document, machine: &MachineNames, port: u16) -> Option<Service> {
    machine.member?;
    Some(service_for(document, &machine.vm, machine_selector(document, machine), port))
}

fn service_for(document: &Document, name: &str, selector: Labels, port: u16) -> Service {
    Service {
        metadata: metadata(document, name, with_common(document, Labels::new())),
        spec: Some(ServiceSpec {
            selector: Some(selector),
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

/// Closes the VMs' pods to everything but the clients of this document, whom it names besides, and, in a replica set, the
/// members, on the database's port.
pub(super) fn policy(document: &Document, names: &Names, port: u16) -> Result<NetworkPolicy, RenderError> {
    let matching = |labels| LabelSelector { match_labels: Some(labels), ..LabelSelector::default() };
    let peer = |labels| NetworkPolicyPeer { pod_selector: Some(matching(labels)), ..NetworkPolicyPeer::default() };
    let members = document.replica_set().map(|_| peer(database_selector(document)));
    let others = document.spec.network_policy.from.iter().map(spec::peer).collect::<Result<Vec<_>, _>>();
    let others = others.map_err(RenderError::Fields)?;
    let from = NetworkPolicyIngressRule {
        from: Some([peer(clients_selector(document))].into_iter().chain(members).chain(others).collect()),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(port.into())),
            protocol: Some("TCP".to_owned()),
            ..NetworkPolicyPort::default()
        }]),
    };
    Ok(NetworkPolicy {
        metadata: metadata(document, &names.policy, with_common(document, Labels::new())),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(matching(database_selector(document))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![from]),
            ..NetworkPolicySpec::default()
        }),
    })
}

/// What is said where the NetworkPolicy lets in fewer than one may think, be it nobody or not all whom PostgreSQL would.
pub(crate) fn narrower(document: &Document) -> Option<String> {
    let spec = &document.spec;
    if spec.database.port().is_none() || !spec.network_policy.from.is_empty() {
        return None;
    }
    let for_others =
        |line: &String| spec::hba::rule(line, None).is_ok_and(|rule| rule.remote && rule.method != "reject");
    let hba = match &spec.database {
        Database::PostgreSql(postgresql) => postgresql.hba.iter().position(for_others),
        _ => None,
    };
    let who = if spec.clients.is_empty() { "no client" } else { "spec.clients alone" };
    match hba {
        Some(i) => Some(format!(
            "spec.database.postgresql.hba[{i}]: whoever it is for, the NetworkPolicy lets in {who}; name others in \
             spec.networkPolicy.from"
        )),
        None if spec.clients.is_empty() => Some(format!(
            "the NetworkPolicy lets in {who}; name clients in spec.clients, or others in spec.networkPolicy.from"
        )),
        None => None,
    }
}
