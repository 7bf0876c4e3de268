//! Rights, one by one: what Roles grant, and what the audit log says was made use of.

use std::{collections::BTreeSet, fmt};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role as NamespacedRole, RoleBinding, RoleRef, Subject,
};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::Value;
use tandem_tests::{Cluster, helm::RELEASE, issuer::NAMESPACE};

use crate::environment::ISSUER_ACCOUNT;

/// Where a right comes from: a Role, or, without a namespace, a ClusterRole that is bound in the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Role {
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

/// One verb on one resource; perhaps of one name only. A call has the same form, with the name of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    pub(crate) role: Role,
    pub(crate) group: String,
    /// With its subresource, after a slash.
    pub(crate) resource: String,
    pub(crate) verb: String,
    pub(crate) name: Option<String>,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.role.namespace.as_ref().map_or_else(String::new, |namespace| format!(" in {namespace}"));
        let name = self.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
        let Self { group, resource, verb, role: Role { name: role, .. }, .. } = self;
        write!(f, "{verb} {resource}.{group}{name}{place} ({role})")
    }
}

impl Right {
    /// `role` is `Role NAMESPACE/NAME` or `ClusterRole NAME`.
    pub(super) fn of(role: &str, group: &str, resource: &str, verb: &str, name: Option<&str>) -> Self {
        let (_, path) = role.split_once(' ').unwrap_or_default();
        let role = match path.split_once('/') {
            Some((namespace, name)) => Role { namespace: Some(namespace.to_owned()), name: name.to_owned() },
            None => Role { namespace: None, name: path.to_owned() },
        };
        let text = str::to_owned;
        Self { role, group: text(group), resource: text(resource), verb: text(verb), name: name.map(text) }
    }

    /// The same as a rule of a Role.
    pub(super) fn rule(&self) -> PolicyRule {
        PolicyRule {
            api_groups: Some(vec![self.group.clone()]),
            resources: Some(vec![self.resource.clone()]),
            verbs: vec![self.verb.clone()],
            resource_names: self.name.clone().map(|name| vec![name]),
            ..PolicyRule::default()
        }
    }
}

/// Whether a call makes use of a right.
pub(crate) fn covers(right: &Right, call: &Right) -> bool {
    (&right.role, &right.group, &right.resource, &right.verb) == (&call.role, &call.group, &call.resource, &call.verb)
        && (right.name.is_none() || right.name == call.name)
}

/// All that is granted to the issuer's ServiceAccount in the cluster, by whomever: to it, to a user of its name, or to all
/// ServiceAccounts of its namespace. What Kubernetes itself grants to everybody is not among it.
pub(crate) async fn granted(cluster: &Cluster) -> Result<BTreeSet<Right>> {
    let client = || cluster.client.clone();
    let all = ListParams::default();
    let ours = |subjects: Option<Vec<Subject>>| {
        let mut subjects = subjects.into_iter().flatten();
        subjects.any(|subject| match &*subject.kind {
            "ServiceAccount" => subject.name == RELEASE && subject.namespace.as_deref() == Some(NAMESPACE),
            "User" => subject.name == ISSUER_ACCOUNT,
            _ => subject.name == format!("system:serviceaccounts:{NAMESPACE}"),
        })
    };
    let mut rights = BTreeSet::new();
    for binding in Api::<ClusterRoleBinding>::all(client()).list(&all).await? {
        if ours(binding.subjects) {
            let name = binding.role_ref.name;
            let role = Api::<ClusterRole>::all(client()).get(&name).await?;
            rights.extend(expand(&Role { namespace: None, name }, &role.rules.unwrap_or_default())?);
        }
    }
    for binding in Api::<RoleBinding>::all(client()).list(&all).await? {
        let namespace = binding.namespace();
        if ours(binding.subjects) {
            let RoleRef { kind, name, .. } = binding.role_ref;
            let place = namespace.clone().filter(|_| kind == "Role").context("a RoleBinding to a ClusterRole")?;
            let role = Api::<NamespacedRole>::namespaced(client(), &place).get(&name).await?;
            rights.extend(expand(&Role { namespace, name }, &role.rules.unwrap_or_default())?);
        }
    }
    Ok(rights)
}

/// What rules say, right by right. None is about a path of the server, which is no resource.
fn expand(role: &Role, rules: &[PolicyRule]) -> Result<Vec<Right>> {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let mut rights = Vec::new();
    for rule in rules {
        ensure!(rule.non_resource_urls.is_none(), "{role:?} grants paths: {:?}", rule.non_resource_urls);
        let names: Vec<_> = list(&rule.resource_names).into_iter().map(Some).collect();
        let names = if names.is_empty() { vec![None] } else { names };
        for group in list(&rule.api_groups) {
            for resource in list(&rule.resources) {
                for verb in &rule.verbs {
                    rights.extend(names.iter().map(|name| Right {
                        role: role.clone(),
                        group: group.clone(),
                        resource: resource.clone(),
                        verb: verb.clone(),
                        name: name.clone(),
                    }));
                }
            }
        }
    }
    Ok(rights)
}

/// What an event of the audit log says.
pub(crate) enum Heard {
    /// Something that others asked for.
    Nothing,
    /// What the issuer asked for and may do, with all the rights that this took.
    Allowed(Vec<Right>),
    /// What it asked for and may not do: in the terms of a call, but for its role, and the answer.
    Denied(Right, String),
}

/// What a line of the audit log says of the issuer.
pub(crate) fn hear(line: &str) -> Result<Heard> {
    if !line.contains(ISSUER_ACCOUNT) {
        return Ok(Heard::Nothing);
    }
    let event: Value = serde_json::from_str(line)?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/user/username") != ISSUER_ACCOUNT {
        return Ok(Heard::Nothing);
    }
    let part = text("/objectRef/subresource");
    let resource = format!("{}{}{part}", text("/objectRef/resource"), if part.is_empty() { "" } else { "/" });
    let name = Some(text("/objectRef/name")).filter(|name| !name.is_empty());
    let call = |role: &str| Right::of(role, text("/objectRef/apiGroup"), &resource, text("/verb"), name);
    // With the same code admission refuses what is written into a namespace that is about to go, whoever writes it.
    let going = text("/responseStatus/message").contains("because it is being terminated");
    if event.pointer("/responseStatus/code").and_then(Value::as_u64) == Some(403) && !going {
        let place = text("/objectRef/namespace");
        let role = if place.is_empty() { "ClusterRole ".to_owned() } else { format!("Role {place}/") };
        return Ok(Heard::Denied(call(&role), text("/responseStatus/message").to_owned()));
    }
    // RBAC: allowed by RoleBinding "NAME/NAMESPACE" of Role "NAME" to ServiceAccount …
    let reason = text("/annotations/authorization.k8s.io~1reason");
    // Held back before anybody asked whether it may.
    if reason.is_empty() {
        return Ok(Heard::Nothing);
    }
    let words: Vec<_> = reason.split('"').collect();
    let [by, binding, _, role, ..] = words.as_slice() else { bail!("allowed, but not by RBAC: {line}") };
    let role = match binding.rsplit_once('/') {
        Some((_, namespace)) if by.ends_with(" RoleBinding ") => format!("Role {namespace}/{role}"),
        _ => format!("ClusterRole {role}"),
    };
    let mut calls = vec![call(&role)];
    // Who writes a certificate or a failure there is asked for one right more, of which the log has no line.
    if resource == "certificatesigningrequests/status"
        && let Some((signer, _)) = text("/responseObject/spec/signerName").split_once('/')
    {
        calls.push(Right::of(&role, "certificates.k8s.io", "signers", "sign", Some(&format!("{signer}/*"))));
    }
    Ok(Heard::Allowed(calls))
}
