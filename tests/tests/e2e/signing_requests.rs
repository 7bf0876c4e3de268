//! Kubernetes' CertificateSigningRequests, as cert-manager's users make them (issuer facts 12, 17, 20 to 23).

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::{
    Api, Client, Config,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::ApiResource,
};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::{Value, json};
use tandem_tests::{
    Space,
    certificates::{OpenSsl, blocks, csr, intermediate_ca, root_ca},
    cluster::{CLUSTER_ISSUER, ISSUER, condition, is_ready},
    issuer,
};

use crate::{
    environment::{ISSUER_ACCOUNT, audit_log, make_issuer, shared, space, space_with_issuer},
    requests::touched,
};

pub(crate) const KIND: (&str, &str) = ("certificates.k8s.io/v1", "CertificateSigningRequest");
const DURATION: &str = "experimental.cert-manager.io/request-duration";

/// The signer name of the TandemIssuer `internal-ca` of a namespace.
pub(crate) fn signer(space: &Space) -> String {
    format!("tandemissuers.pki.tandem.internal/{}.internal-ca", space.name)
}

/// Names of these requests are of the whole cluster: each test's begin with its namespace's name.
pub(crate) fn named(space: &Space, name: &str) -> String {
    format!("{}-{name}", space.name)
}

fn api(client: Client) -> Api<DynamicObject> {
    Api::all_with(client, &ApiResource::erase::<CertificateSigningRequest>(&()))
}

/// Makes a request with further fields in its spec, and annotations.
pub(crate) async fn ask(client: &Client, name: &str, signer: &str, more: &Value, annotations: &Value) -> Result<()> {
    let mut request = json!({
        "apiVersion": KIND.0, "kind": KIND.1, "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "request": ByteString(csr(&["leaf.test"])?.into_bytes()),
            "signerName": signer,
            "usages": ["digital signature", "key encipherment"],
        },
    });
    if let (Some(spec), Some(more)) = (request["spec"].as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    let request: DynamicObject = serde_json::from_value(request)?;
    api(client.clone()).create(&PostParams::default(), &request).await?;
    Ok(())
}

/// Says Approved or Denied, as `kubectl certificate` does.
async fn answer(space: &Space, name: &str, type_: &str) -> Result<()> {
    let condition = json!({"type": type_, "status": "True", "reason": "ByHand", "message": "by hand"});
    answer_with(space, name, &condition).await
}

/// Gives a request a condition as approvers may.
pub(crate) async fn answer_with(space: &Space, name: &str, condition: &Value) -> Result<()> {
    let patch = json!({
        "apiVersion": KIND.0, "kind": KIND.1, "metadata": {"name": name}, "status": {"conditions": [condition]},
    });
    let params = PatchParams::apply("by-hand").force();
    api(space.cluster.client.clone()).patch_subresource("approval", name, &params, &Patch::Apply(patch)).await?;
    Ok(())
}

/// Makes a request and approves it.
pub(crate) async fn ask_approved(
    space: &Space,
    name: &str,
    signer: &str,
    more: &Value,
    annotations: &Value,
) -> Result<()> {
    ask(&space.cluster.client, name, signer, more, annotations).await?;
    answer(space, name, "Approved").await
}

/// Waits for its end: the chain, or the reason and message of its failure.
async fn end(space: &Space, name: &str) -> Result<Result<String, (String, String)>> {
    let ended = |o: &DynamicObject| !o.data["status"]["certificate"].is_null() || condition(o, "Failed").is_some();
    let object = space.wait(KIND, name, ended).await?;
    if let Some((status, reason, message)) = condition(&object, "Failed") {
        ensure!(status == "True" && object.data["status"]["certificate"].is_null(), "{:?}", object.data["status"]);
        return Ok(Err((reason, message)));
    }
    let bytes: ByteString = serde_json::from_value(object.data["status"]["certificate"].clone())?;
    Ok(Ok(String::from_utf8(bytes.0)?))
}

pub(crate) async fn issued(space: &Space, name: &str) -> Result<String> {
    end(space, name).await?.map_err(|(reason, message)| anyhow::anyhow!("{name} failed: {reason}: {message}"))
}

pub(crate) async fn failed(space: &Space, name: &str) -> Result<(String, String)> {
    end(space, name).await?.err().with_context(|| format!("{name} was signed"))
}

/// Facts 20, 21 and 23: a cluster issuer signs, and hands out the chain without the root.
#[tokio::test]
async fn a_cluster_issuer_signs_kubernetes_requests() -> Result<()> {
    let space = space("csr-cluster").await?;
    let name = named(&space, "leaf");
    let root = root_ca("root", &PKCS_ECDSA_P256_SHA256)?;
    let ca = intermediate_ca("ca", &PKCS_ECDSA_P256_SHA256, &root)?;
    let home = Space { cluster: space.cluster.clone(), name: issuer::NAMESPACE.to_owned() };
    let chain = ca.as_ref().pem() + &root.as_ref().pem();
    home.put_tls(&space.name, &chain, &ca.key().serialize_pem(), None).await?;
    let tandem = json!({
        "apiVersion": CLUSTER_ISSUER.0, "kind": CLUSTER_ISSUER.1, "metadata": {"name": space.name},
        "spec": {"ca": {"secretName": space.name}},
    });
    home.apply(&tandem.to_string()).await?;
    let signer = format!("tandemclusterissuers.pki.tandem.internal/{}", space.name);
    let usages = json!({"usages": ["client auth", "server auth", "digital signature"], "expirationSeconds": 7200});
    ask_approved(&space, &name, &signer, &usages, &json!({})).await?;
    let chain = issued(&space, &name).await?;
    assert_eq!(blocks(&chain)?.len(), 2, "the leaf and the CA, without the root");
    let openssl = OpenSsl::new()?;
    openssl.verify(&chain, &root.as_ref().pem(), &["-purpose", "sslclient"])?;
    let text = openssl.show(&chain, &["-text"])?;
    assert!(text.contains("TLS Web Client Authentication, TLS Web Server Authentication"), "{text}");
    space.cluster.event("default", (KIND.1, &name), "CertificateIssued", "").await.map(|_| ())
}

/// Fact 22: durations from the annotation, then from the seconds; what is too short or none fails.
#[tokio::test]
async fn durations_and_ca_come_from_annotations() -> Result<()> {
    let (space, _) = space_with_issuer("csr-durations").await?;
    let openssl = OpenSsl::new()?;
    for (name, spec, annotations, hours) in [
        ("annotation", json!({"expirationSeconds": 86400}), json!({DURATION: "2h"}), 2),
        ("seconds", json!({"expirationSeconds": 86400}), json!({}), 24),
        ("default", json!({}), json!({}), 90 * 24),
    ] {
        let name = named(&space, name);
        ask_approved(&space, &name, &signer(&space), &spec, &annotations).await?;
        let chain = issued(&space, &name).await?;
        let (_, leaf) = x509_parser::pem::parse_x509_pem(chain.as_bytes())?;
        let validity = leaf.parse_x509()?.validity().clone();
        assert_eq!(validity.not_after.timestamp() - validity.not_before.timestamp(), hours * 3600, "{name}");
    }
    for (name, text, reason) in [
        ("short", "599s", "InvalidDuration"),
        ("none", "soon", "ErrorParseDuration"),
        ("minus", "-1h", "InvalidDuration"),
    ] {
        let name = named(&space, name);
        ask_approved(&space, &name, &signer(&space), &json!({}), &json!({DURATION: text})).await?;
        assert_eq!(failed(&space, &name).await?.0, reason);
        space.cluster.event("default", (KIND.1, &name), reason, "").await?;
    }
    // Fact 12: a CA, to which cert sign is not added.
    let name = named(&space, "ca");
    let is_ca = json!({"experimental.cert-manager.io/request-is-ca": "true"});
    ask_approved(&space, &name, &signer(&space), &json!({}), &is_ca).await?;
    let chain = issued(&space, &name).await?;
    let extensions = ["basicConstraints", "keyUsage"].map(|extension| openssl.extension(&chain, extension));
    let [constraints, usage] = extensions;
    assert!(constraints?.contains("CA:TRUE"));
    let usage = usage?;
    assert!(usage.contains("Digital Signature, Key Encipherment") && !usage.contains("Sign,"), "{usage}");
    Ok(())
}

/// Fact 20: who refers to a namespaced issuer needs the right to, for its name or for `*`; whether the issuer is ready comes after.
#[tokio::test]
async fn a_namespaced_issuer_is_for_those_who_may_refer_to_it() -> Result<()> {
    let (space, ca) = space_with_issuer("csr-reference").await?;
    let users = ["by-name", "by-star", "stranger", "other-name"].map(|user| named(&space, user));
    let mut rights = String::new();
    for (user, issuer) in users.iter().zip(["internal-ca", "*", "", "another"]) {
        rights.push_str(&format!(
            "
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {user}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-ask}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]
"
        ));
        if !issuer.is_empty() {
            rights.push_str(&format!(
                "
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {user}}}
rules: [{{apiGroups: [cert-manager.io], resources: [signers], verbs: [reference], resourceNames: ['{issuer}']}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {user}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {user}}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]
"
            ));
        }
    }
    let ask_role = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE-ask}
rules: [{apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [create]}]
";
    space.apply(&format!("{ask_role}{rights}")).await?;
    make_issuer(&space, "unready").await?;
    space.wait(ISSUER, "unready", |issuer| is_ready(issuer, "False", "ErrGetKeyPair")).await?;
    let (unready, early) = (signer(&space).replace("internal-ca", "unready"), named(&space, "early"));
    for (user, name, signer) in
        users.iter().map(|user| (user, user, signer(&space))).chain([(&users[2], &early, unready)])
    {
        let mut config = config().await?;
        config.auth_info.impersonate = Some(user.clone());
        let client = Client::try_from(config)?;
        ask(&client, name, &signer, &json!({}), &json!({})).await?;
        answer(&space, name, "Approved").await?;
    }
    let openssl = OpenSsl::new()?;
    for user in &users[..2] {
        openssl.verify(&issued(&space, user).await?, &ca.as_ref().pem(), &[])?;
    }
    for name in users[2..].iter().chain([&early]) {
        let (reason, message) = failed(&space, name).await?;
        assert_eq!(reason, "DeniedReference");
        assert!(message.contains("reference"), "{message}");
        space.cluster.event("default", (KIND.1, name), "DeniedReference", "").await?;
    }
    Ok(())
}

async fn config() -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(shared()?.control_plane.kubeconfig())?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// Facts 2 and 23: nothing is written to what nobody approved, what was denied, or what waits for its issuer; events tell
/// of it.
#[tokio::test]
async fn waiting_is_told_by_events_alone() -> Result<()> {
    let space = space("csr-waits").await?;
    let [undecided, denied, waits, foreign] =
        ["undecided", "denied", "waits", "foreign"].map(|name| named(&space, name));
    let client = &space.cluster.client;
    ask(client, &undecided, &signer(&space), &json!({}), &json!({})).await?;
    ask(client, &denied, &signer(&space), &json!({}), &json!({})).await?;
    answer(&space, &denied, "Denied").await?;
    ask_approved(&space, &waits, &signer(&space), &json!({}), &json!({})).await?;
    let others = format!("issuers.cert-manager.io/{}.internal-ca", space.name);
    ask_approved(&space, &foreign, &others, &json!({}), &json!({})).await?;
    space.cluster.event("default", (KIND.1, &waits), "IssuerNotFound", "internal-ca").await?;
    crate::environment::allow_secrets(&space).await?;
    make_issuer(&space, "internal-ca").await?;
    space.cluster.event("default", (KIND.1, &waits), "SecretMissing", "internal-ca").await?;
    let ca = root_ca("late", &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    issued(&space, &waits).await?;
    // It is told late: approvers have some seconds' time.
    space.cluster.event("default", (KIND.1, &undecided), "WaitingApproval", "").await?;
    for name in [&undecided, &denied, &foreign] {
        let object = api(client.clone()).get(name).await?;
        ensure!(!touched(&object), "{name} was touched: {:?}", object.data["status"]);
    }
    answer(&space, &undecided, "Approved").await?;
    issued(&space, &undecided).await.map(|_| ())
}

/// One write of the status makes a certificate, and nothing that was final is touched again.
#[tokio::test]
async fn one_status_write_makes_a_certificate_here_too() -> Result<()> {
    let (space, _) = space_with_issuer("csr-writes").await?;
    let name = named(&space, "once");
    let since = space.now(KIND).await?;
    ask_approved(&space, &name, &signer(&space), &json!({}), &json!({})).await?;
    let done = |o: &DynamicObject| !o.data["status"]["certificate"].is_null();
    let states = space.history(KIND, &name, &since, done).await?;
    assert_eq!(states.iter().map(touched).collect::<Vec<_>>(), [false, false, true]);
    space.cluster.event("default", (KIND.1, &name), "CertificateIssued", "").await?;
    let audit = audit_log(&shared()?.control_plane)?;
    let writes = audit.lines().filter(|line| {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        event["user"]["username"] == ISSUER_ACCOUNT && event["objectRef"]["name"] == *name && event["verb"] == "patch"
    });
    assert_eq!(writes.count(), 1);
    Ok(())
}

/// Fact 23: a policy holds for both kinds of requests; these have no namespace, and are allowed nothing by one.
#[tokio::test]
async fn a_policy_allows_kubernetes_requests_nothing_by_namespace() -> Result<()> {
    let (space, _) = space_with_issuer("csr-policy").await?;
    let none = json!({});
    for (name, policy, message) in [
        ("allowed", json!({"dnsNames": ["leaf.test"]}), None),
        ("template", json!({"dnsNames": ["leaf.${namespace}"]}), Some("dnsNames does not allow \"leaf.test\"")),
        (
            "namespaces",
            json!({"dnsNames": ["leaf.test"], "namespaces": {"names": [space.name], "selector": {}}}),
            Some("namespaces does not allow a request of no namespace"),
        ),
    ] {
        let issuer = json!({
            "apiVersion": ISSUER.0, "kind": ISSUER.1, "metadata": {"name": "internal-ca"},
            "spec": {"ca": {"secretName": "internal-ca"}, "policy": policy},
        });
        space.apply(&issuer.to_string()).await?;
        space.wait_ready(ISSUER, "internal-ca").await?;
        let name = named(&space, name);
        ask_approved(&space, &name, &signer(&space), &none, &none).await?;
        match (end(&space, &name).await?, message) {
            (Ok(_), None) => {}
            (Err((reason, found)), Some(message)) => {
                ensure!(reason == "SigningError" && found.contains(message), "{name}: {reason}: {found}");
            }
            other => anyhow::bail!("{name}: {other:?}"),
        }
    }
    Ok(())
}
