//! What is installed: the CRDs as a user meets them, and the rights.

use anyhow::{Result, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tandem_tests::{
    Cluster, ControlPlane, Space,
    certificates::csr,
    cluster::{CERTIFICATE, CERTIFICATE_REQUEST, CRD, condition},
    issuer, tools,
};

use crate::{
    environment::{Environment, ISSUER_ACCOUNT, shared, space, space_with_issuer},
    requests::{ask, get},
    signing_requests,
};

/// kubectl's outcome: what it printed, of either kind.
fn kubectl(arguments: &[&str]) -> Result<String> {
    tools::output(shared()?.control_plane.kubectl().args(arguments))
}

#[tokio::test]
async fn kubectl_shows_what_a_cert_manager_user_expects() -> Result<()> {
    let (space, _) = space_with_issuer("shown").await?;
    space
        .apply(
            "{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: leaf}, spec: {secretName: leaf,
              dnsNames: [leaf.test], issuerRef: {group: pki.tandem.internal, kind: TandemIssuer, name: internal-ca}}}",
        )
        .await?;
    space.wait_ready(CERTIFICATE, "leaf").await?;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for name in ["tandemissuers", "tandemissuer", "ti"] {
        let table = kubectl(&["get", name, "-n", &space.name])?;
        let (header, row) = table.split_once('\n').unwrap_or_default();
        ensure!(words(header) == ["NAME", "READY", "REASON", "CA", "EXPIRY", "AGE"], "{header}");
        ensure!(row.starts_with("internal-ca") && row.contains("True") && row.contains("KeyPairVerified"), "{row}");
        ensure!(row.contains("4096-01-01T00:00:00Z"), "the CA's end: {row}");
    }
    let cluster_issuers = kubectl(&["get", "tci,tandemclusterissuer", "-A"])?;
    for line in cluster_issuers.lines().filter(|line| line.starts_with("NAME")) {
        ensure!(words(line) == ["NAME", "READY", "REASON", "CA", "EXPIRY", "AGE"], "{line}");
    }
    let all = kubectl(&["get", "certificate,certificaterequest,tandemissuer", "-n", &space.name])?;
    // cert-manager may issue a new Certificate twice, where it has not yet seen the Secret it wrote: leaf-1 or leaf-2.
    for line in ["certificate.cert-manager.io/leaf ", "certificaterequest.cert-manager.io/leaf-"] {
        let row = all.lines().find(|row| row.starts_with(line)).unwrap_or_default();
        ensure!(row.contains("True"), "{line} is not ready in\n{all}");
    }
    let category = kubectl(&["get", "cert-manager", "-n", &space.name])?;
    ensure!(category.contains("tandemissuer.pki.tandem.internal/internal-ca"), "{category}");
    Ok(())
}

#[tokio::test]
async fn admission_refuses_a_spec_that_means_nothing() -> Result<()> {
    let space = space("admission").await?;
    for (spec, message) in [
        ("{}", "exactly one source of certificates must be given: ca"),
        ("{ca: {}}", "spec.ca.secretName: Required value"),
        ("{ca: {secretName: ''}}", "spec.ca.secretName"),
        ("{ca: {secretName: a}, policy: {dnsNames: ['']}}", "spec.policy.dnsNames[0]"),
        ("{ca: {secretName: a}, policy: {dnsNames: ['a b']}}", "spec.policy.dnsNames[0]"),
        ("{ca: {secretName: a}, policy: {dnsNames: ['${name}.test']}}", "the only variable is ${namespace}"),
        ("{ca: {secretName: a}, policy: {uris: ['cluster.local/ns']}}", "spec.policy.uris[0]"),
        ("{ca: {secretName: a}, policy: {uris: ['spiffe://a/${name}']}}", "the only variable is ${namespace}"),
        ("{ca: {secretName: a}, policy: {emails: ['example.org']}}", "spec.policy.emails[0]"),
        ("{ca: {secretName: a}, policy: {ipRanges: ['10.0.0.0']}}", "each is a range such as 10.0.0.0/8"),
        ("{ca: {secretName: a}, policy: {ipRanges: ['10.0.0.1/8']}}", "without bits beyond its prefix"),
        ("{ca: {secretName: a}, policy: {usages: ['server_auth']}}", "Unsupported value: \"server_auth\""),
        ("{ca: {secretName: a}, policy: {keys: []}}", "spec.policy.keys"),
        ("{ca: {secretName: a}, policy: {keys: [{algorithm: DSA}]}}", "Unsupported value: \"DSA\""),
        (
            "{ca: {secretName: a}, policy: {keys: [{algorithm: RSA, minSize: 3, maxSize: 2}]}}",
            "minSize is more than maxSize",
        ),
        ("{ca: {secretName: a}, policy: {keys: [{algorithm: Ed25519, minSize: 3}]}}", "Ed25519 has one size"),
        ("{ca: {secretName: a}, policy: {minDuration: soon}}", "minDuration must be a duration"),
        ("{ca: {secretName: a}, policy: {minDuration: 2h, maxDuration: 90m}}", "minDuration is more than maxDuration"),
        ("{ca: {secretName: a}, policy: {namespaces: {}}}", "names or a selector must be given"),
        ("{ca: {secretName: a}, policy: {namespaces: {names: ['A_b']}}}", "spec.policy.namespaces.names[0]"),
        ("{ca: {secretName: a}, policy: {otherNames: [{oid: x, values: [a]}]}}", "spec.policy.otherNames[0].oid"),
        (
            "{ca: {secretName: a}, policy: {subject: [{attribute: CN, values: [a]}]}}",
            "a field of their own: commonName",
        ),
        ("{ca: {secretName: a}, policy: {dnsName: [a]}}", ".spec.policy.dnsName: field not declared in schema"),
        ("{ca: {secretName: a, secretname: b}}", ".spec.ca.secretname: field not declared in schema"),
        ("{ca: {secretName: a}, leafBeyondCA: Never}", "Unsupported value: \\\"Never\\\""),
        ("{ca: {secretName: a}, backdate: soon}", "backdate must be a duration such as 1m"),
        ("{ca: {secretName: a}, backdate: -1m}", "backdate must be a duration such as 1m"),
        ("{ca: {secretName: a}, backdate: 25h}", "of at most 24h"),
        ("{ca: {secretName: a, ocspServers: ['http://with space']}}", "spec.ca.ocspServers[0]"),
    ] {
        for kind in ["TandemIssuer", "TandemClusterIssuer"] {
            let object = format!(
                "{{apiVersion: pki.tandem.internal/v1alpha1, kind: {kind}, metadata: {{name: {}}}, spec: {spec}}}",
                space.name
            );
            let refused = match space.apply(&object).await {
                Ok(_) => anyhow::bail!("{kind} with {spec} was accepted"),
                Err(error) => format!("{error:?}"),
            };
            ensure!(refused.contains(message) || refused.contains(&message.replace('\\', "")), "{spec}: {refused}");
        }
    }
    Ok(())
}

/// Facts 21, 29: by the API server's own answer.
#[tokio::test]
async fn the_rights_are_narrow() -> Result<()> {
    let space = space("rights").await?;
    let reviews: Api<SubjectAccessReview> = Api::all(space.cluster.client.clone());
    let may = async |verb: &str, (group, resource): (&str, &str), name: &str, namespace: &str| -> Result<bool> {
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let asked = json!({
            "verb": verb, "group": group, "resource": resource, "subresource": part, "name": name, "namespace": namespace,
        });
        let review = json!({"metadata": {}, "spec": {"user": ISSUER_ACCOUNT, "resourceAttributes": asked}});
        let answer = reviews.create(&PostParams::default(), &serde_json::from_value(review)?).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    };
    let own = |resource| ("", resource);
    ensure!(may("watch", own("secrets"), "", "tandem").await?, "its own namespace's Secrets");
    let work = ("cert-manager.io", "certificaterequests/status");
    ensure!(may("patch", work, "", &space.name).await?, "its work");
    let signer = "tandemissuers.pki.tandem.internal/*";
    for (verb, resource, name, namespace) in [
        ("list", own("secrets"), "", space.name.as_str()),
        ("list", own("namespaces"), "", ""),
        ("get", own("secrets"), "any", "kube-system"),
        ("create", own("secrets"), "", "tandem"),
        ("delete", own("secrets"), "any", "tandem"),
        ("update", ("cert-manager.io", "certificaterequests"), "any", &space.name),
        ("approve", ("cert-manager.io", "signers"), signer, ""),
        ("create", own("serviceaccounts/token"), "tandem-issuer", "tandem"),
        ("escalate", ("rbac.authorization.k8s.io", "clusterroles"), "tandem-issuer", ""),
    ] {
        let (of, what) = resource;
        ensure!(!may(verb, resource, name, namespace).await?, "it may {verb} {what} {name} of {of:?} in {namespace:?}");
    }
    Ok(())
}

/// What docs/security.md says of whoever has the issuer's token: he can answer requests for any issuer, but approve none, and of
/// Kubernetes' requests he can answer those of our signers alone.
#[tokio::test(flavor = "multi_thread")]
async fn its_token_can_answer_requests_for_others_and_approve_none() -> Result<()> {
    let environment =
        Environment::start(&["--cert-manager-controllers=all,-certificaterequests-approver"], &[]).await?;
    let (control_plane, space) = (&environment.control_plane, environment.space("others").await?);
    let reference = json!({"issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": "any"}});
    ask(&space, "others", &csr(&["leaf.test"])?, reference).await?;
    signing_requests::ask_approved(&space, &space.name, "others.test/signer", &json!({}), &json!({})).await?;
    let kubeconfig = control_plane.folder().join("token.kubeconfig");
    issuer::write_kubeconfig(control_plane, (issuer::NAMESPACE, "tandem-issuer"), None, &kubeconfig).await?;
    let stolen = Space { cluster: Cluster::connect(&kubeconfig).await?, name: space.name.clone() };
    let now = jiff::Timestamp::now().to_string();
    let saying = |type_: &str, status: &str| {
        let fields =
            json!({"type": type_, "status": status, "reason": "Stolen", "message": "", "lastTransitionTime": now});
        json!({"status": {"conditions": [fields]}})
    };
    let api = stolen.api(CERTIFICATE_REQUEST)?;
    let patch = PatchParams::default();
    let refused = api.patch_status("others", &patch, &Patch::Merge(saying("Approved", "True"))).await;
    ensure!(
        refused.as_ref().is_err_and(|e| e.to_string().contains("permissions to set approved/denied conditions")),
        "{refused:?}"
    );
    let told = api.patch_status("others", &patch, &Patch::Merge(saying("Ready", "False"))).await?;
    ensure!(condition(&told, "Ready").is_some(), "it is better than docs/security.md says");
    let api = stolen.api(signing_requests::KIND)?;
    let added = &saying("Failed", "True")["status"]["conditions"][0];
    let failed = serde_json::from_value(json!([{"op": "add", "path": "/status/conditions/-", "value": added}]))?;
    let refused = api.patch_status(&space.name, &patch, &Patch::<()>::Json(failed)).await;
    ensure!(refused.as_ref().is_err_and(|e| e.to_string().contains("forbidden")), "{refused:?}");
    Ok(())
}

/// Fact 18: cert-manager's approver approves nothing for us before it may, and for both kinds once the shipped RBAC lets it.
#[tokio::test(flavor = "multi_thread")]
async fn cert_managers_approver_approves_by_the_rbac_that_is_shipped() -> Result<()> {
    let control_plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    let cluster = control_plane.cluster().await?;
    cluster.apply(&issuer::manifest(|kind| kind == CRD.1)?, issuer::NAMESPACE).await?;
    let space = cluster.space("approver").await?;
    let reference = |group: &str, kind: &str| json!({"issuerRef": {"group": group, "kind": kind, "name": "any"}});
    let approved =
        |name: &'static str| space.wait(CERTIFICATE_REQUEST, name, |request| condition(request, "Approved").is_some());
    let ours = [("namespaced", "TandemIssuer"), ("cluster", "TandemClusterIssuer")];
    for (name, kind) in ours {
        ask(&space, name, &csr(&["leaf.test"])?, reference("pki.tandem.internal", kind)).await?;
    }
    ask(&space, "cert-managers", &csr(&["leaf.test"])?, reference("cert-manager.io", "Issuer")).await?;
    approved("cert-managers").await?;
    for (name, _) in ours {
        ensure!(condition(&get(&space, name).await?, "Approved").is_none(), "{name}: nothing is left to be allowed");
    }
    cluster.apply(&issuer::manifest(|kind| kind.starts_with("ClusterRole"))?, issuer::NAMESPACE).await?;
    for (name, _) in ours {
        let (status, reason, _) = condition(&approved(name).await?, "Approved").unwrap_or_default();
        ensure!((status.as_str(), reason.as_str()) == ("True", "cert-manager.io"), "{name}: {status} {reason}");
    }
    // Where cert-manager's own chart grants the right, the guide says with which value.
    let guide = std::fs::read_to_string(tools::root().join("docs/from-the-ca-issuer.md"))?;
    ensure!(guide.contains("approveSignerNames"), "the guide does not name the value");
    Ok(())
}
