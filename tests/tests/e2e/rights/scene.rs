//! A control plane with the chart, two replicas of the issuer, and requests of every kind.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use k8s_openapi::api::{
    coordination::v1::Lease,
    rbac::v1::{ClusterRole, PolicyRule, Role},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tandem_tests::{
    Cluster, ControlPlane, IssuerProcess, Space, access,
    admin::Admin,
    certificates::{csr, root_ca},
    cluster::{CLUSTER_ISSUER, ISSUER, PATIENCE},
    helm,
    issuer::NAMESPACE,
};

use super::right::{Heard, Right, covers, hear};
use crate::{
    environment::{AUDIT, AUDIT_LOG, ISSUER_ACCOUNT},
    requests, signing_requests,
};

/// Where all CAs of the scene are.
const CA: &str = "ca";

pub(super) struct Scene {
    control_plane: ControlPlane,
    pub(super) cluster: Cluster,
    /// The namespaces with TandemIssuers.
    pub(super) spaces: Vec<Space>,
    /// The arguments that the chart gives to its pods, but for the port, which here is any free one.
    arguments: Vec<String>,
    /// How many replicas have been started.
    started: usize,
    audit: File,
    used: Vec<Right>,
    refused: Vec<(Right, String)>,
}

/// A request that was made: in its namespace, or a CertificateSigningRequest.
pub(super) struct Asked {
    space: Space,
    name: String,
    of_kubernetes: bool,
}

impl Scene {
    /// Installs the chart, with a CA in its namespace and in each of `names`.
    pub(super) async fn start(names: &[&str], values: &[&str]) -> Result<Self> {
        let control_plane = tokio::task::spawn_blocking(|| ControlPlane::start_with(&[AUDIT])).await??;
        let cluster = control_plane.cluster().await?;
        let space = |name: &str| Space { cluster: cluster.clone(), name: name.to_owned() };
        let spaces: Vec<_> = names.iter().map(|name| space(name)).collect();
        let ca = root_ca("CA", &PKCS_ECDSA_P256_SHA256)?;
        for space in spaces.iter().chain([&space(NAMESPACE)]) {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name}});
            cluster.apply(&namespace.to_string(), "").await?;
            space.put_tls(CA, &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
        }
        helm::install(&control_plane, values)?;
        let arguments = helm::arguments(&cluster).await?;
        let audit = File::open(control_plane.folder().join(AUDIT_LOG))?;
        Ok(Self { control_plane, cluster, spaces, arguments, started: 0, audit, used: Vec::new(), refused: Vec::new() })
    }

    /// Two replicas with the chart's rights and arguments, neither of which finds a lease that is already there.
    pub(super) async fn replicas(&mut self) -> Result<[IssuerProcess; 2]> {
        let leases: Api<Lease> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        match leases.delete(helm::RELEASE, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            deleted => drop(deleted?),
        }
        // What was heard of earlier replicas is over.
        self.listen()?;
        (self.used, self.refused) = (Vec::new(), Vec::new());
        Ok([self.replica().await?, self.replica().await?])
    }

    /// One more, with a log and a token of its own.
    async fn replica(&mut self) -> Result<IssuerProcess> {
        self.started += 1;
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        let name = format!("replica-{}", self.started);
        IssuerProcess::of(&self.control_plane).named(&name).exactly(&arguments).start().await
    }

    /// Waits until probes are told that the replicas are ready, one of them as the leader.
    pub(super) async fn ready(replicas: &mut [IssuerProcess; 2]) -> Result<()> {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        let mut told = Vec::new();
        for _ in 0..PATIENCE.as_millis() / 50 {
            look.tick().await;
            told.clear();
            for replica in &mut *replicas {
                told.push(Admin::of(&replica.process().log, None).await?.ready().await?);
            }
            told.sort();
            if told == ["ok: following\n", "ok: leading\n"] {
                return Ok(());
            }
        }
        bail!("not one leads and one follows: {told:?}")
    }

    /// Makes new issuers and requests of every kind that the scope has, so that every right is needed.
    pub(super) async fn ask(&self, round: &str, whole_cluster: bool) -> Result<Vec<Asked>> {
        let mut asked = Vec::new();
        for space in &self.spaces {
            self.make_issuer(space, ISSUER, round, &space.name).await?;
            asked.push(self.ask_of(round, space, ISSUER.1, round).await?);
        }
        if whole_cluster {
            let space = &self.spaces[0];
            self.make_issuer(space, CLUSTER_ISSUER, round, &space.name).await?;
            asked.push(self.ask_of(&format!("{round}-of-the-cluster"), space, CLUSTER_ISSUER.1, round).await?);
            // Without a policy: what is in no namespace is not of one that has a label.
            for (kind, signer) in [
                (ISSUER, format!("tandemissuers.pki.tandem.internal/{}.{round}-plain", space.name)),
                (CLUSTER_ISSUER, format!("tandemclusterissuers.pki.tandem.internal/{round}-plain")),
            ] {
                self.make_issuer(space, kind, &format!("{round}-plain"), "").await?;
                let name = format!("{round}-{}", kind.1.to_lowercase());
                signing_requests::ask_approved(space, &name, &signer, &json!({}), &json!({})).await?;
                asked.push(Asked { space: space.clone(), name, of_kubernetes: true });
            }
        }
        Ok(asked)
    }

    /// An issuer, for namespaces with the label that a namespace of this name has; for all where it is empty.
    async fn make_issuer(&self, space: &Space, kind: (&str, &str), name: &str, label: &str) -> Result<()> {
        let mut spec = json!({"ca": {"secretName": CA}});
        if !label.is_empty() {
            let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": label}});
            spec["policy"] = json!({"namespaces": {"selector": selector}, "dnsNames": ["**"]});
        }
        let issuer = json!({"apiVersion": kind.0, "kind": kind.1, "metadata": {"name": name}, "spec": spec});
        space.apply(&issuer.to_string()).await.map(|_| ())
    }

    /// A CertificateRequest for an issuer.
    pub(super) async fn ask_of(&self, name: &str, space: &Space, kind: &str, issuer: &str) -> Result<Asked> {
        let reference = json!({"issuerRef": {"group": "pki.tandem.internal", "kind": kind, "name": issuer}});
        requests::ask(space, name, &csr(&["leaf.test"])?, reference).await?;
        Ok(Asked { space: space.clone(), name: name.to_owned(), of_kubernetes: false })
    }

    /// Waits until all are signed.
    pub(super) async fn issued(&self, asked: &[Asked]) -> Result<()> {
        for Asked { space, name, of_kubernetes } in asked {
            if *of_kubernetes {
                signing_requests::issued(space, name).await?;
            } else {
                requests::issued(space, name).await?;
            }
        }
        Ok(())
    }

    /// Takes in what the audit log says by now.
    fn listen(&mut self) -> Result<()> {
        let mut text = String::new();
        self.audit.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        // A line that is still being written is read again.
        self.audit.seek(SeekFrom::Current(-i64::try_from(text.len() - whole)?))?;
        for line in text[..whole].lines() {
            match hear(line)? {
                Heard::Nothing => {}
                Heard::Allowed(calls) => self.used.extend(calls),
                Heard::Denied(call, message) => self.refused.push((call, message)),
            }
        }
        Ok(())
    }

    /// Waits until every right has been used; meanwhile nothing may be denied, nor allowed by what others granted.
    pub(super) async fn all_used(&mut self, granted: &BTreeSet<Right>) -> Result<()> {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        for _ in 0..PATIENCE.as_millis() / 50 {
            look.tick().await;
            self.listen()?;
            ensure!(self.refused.is_empty(), "denied: {:#?}", self.refused);
            let stray = self.used.iter().find(|call| !granted.iter().any(|right| covers(right, call)));
            ensure!(stray.is_none(), "allowed by a right of others: {stray:#?}");
            if granted.iter().all(|right| self.used.iter().any(|call| covers(right, call))) {
                return Ok(());
            }
        }
        let unused = granted.iter().filter(|right| !self.used.iter().any(|call| covers(right, call)));
        bail!("granted, but never used: {:#?}", unused.map(ToString::to_string).collect::<Vec<_>>())
    }

    /// Waits until something is denied for want of this right.
    pub(super) async fn denied(&mut self, right: &Right) -> Result<()> {
        // `sign` is asked about when a status is written.
        let signer = right.name.as_deref().filter(|_| right.verb == "sign").map(|name| name.trim_end_matches('*'));
        let by_want_of = |(call, message): &(Right, String)| match signer {
            Some(signer) => {
                call.resource == "certificatesigningrequests/status"
                    && message.contains(&format!("with signerName \"{signer}"))
            }
            None => {
                (&call.group, &call.resource, &call.verb) == (&right.group, &right.resource, &right.verb)
                    && (right.name.is_none() || right.name == call.name)
                    && right.role.namespace.as_ref().is_none_or(|place| call.role.namespace.as_ref() == Some(place))
            }
        };
        let mut look = tokio::time::interval(Duration::from_millis(50));
        for _ in 0..PATIENCE.as_millis() / 50 {
            look.tick().await;
            self.listen()?;
            if self.refused.iter().any(by_want_of) {
                return Ok(());
            }
        }
        bail!("nobody misses the right to {right}; denied was {:#?}", self.refused)
    }

    /// Takes one right away from its role; the role's rules as they were.
    pub(super) async fn take_away(&self, right: &Right, granted: &BTreeSet<Right>) -> Result<Vec<PolicyRule>> {
        let rules: Vec<_> = granted.iter().filter(|other| other.role == right.role).map(Right::rule).collect();
        let left = rules.iter().filter(|rule| **rule != right.rule()).cloned().collect::<Vec<_>>();
        ensure!(left.len() + 1 == rules.len(), "{right} is granted twice");
        self.set_rules(right, &left, false).await?;
        Ok(rules)
    }

    /// The opposite.
    pub(super) async fn give_back(&self, right: &Right, rules: &[PolicyRule]) -> Result<()> {
        self.set_rules(right, rules, true).await
    }

    /// Writes a role's rules, and waits until the server goes by them.
    async fn set_rules(&self, right: &Right, rules: &[PolicyRule], allowed: bool) -> Result<()> {
        let (client, params) = (self.cluster.client.clone(), PatchParams::default());
        let patch = Patch::Merge(json!({"rules": rules}));
        let name = &right.role.name;
        match &right.role.namespace {
            Some(place) => {
                Api::<Role>::namespaced(client.clone(), place).patch(name, &params, &patch).await?;
            }
            None => drop(Api::<ClusterRole>::all(client.clone()).patch(name, &params, &patch).await?),
        }
        let (resource, part) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
        let asked: Value = json!({
            "namespace": right.role.namespace, "group": right.group, "resource": resource, "subresource": part,
            "verb": right.verb, "name": right.name,
        });
        access::wait(&client, ISSUER_ACCOUNT, &asked, allowed).await
    }
}
