//! Policies of issuers, as those who ask meet them: refusals, dry runs, namespaces.

use anyhow::{Context, Result, ensure};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::{Value, json};
use tandem_tests::{
    Cluster, Space,
    certificates::{OpenSsl, csr, root_ca},
    cluster::{CERTIFICATE, CERTIFICATE_REQUEST, CLUSTER_ISSUER, ISSUER, condition, is_ready},
    issuer,
    tools::root,
};

use crate::{
    environment::{shared, space, space_with_issuer},
    requests::{ask, failed, issued, obtain, pending},
};

/// Gives the TandemIssuer `internal-ca` a policy.
async fn put_policy(space: &Space, policy: Value) -> Result<()> {
    let issuer = json!({
        "apiVersion": ISSUER.0, "kind": ISSUER.1, "metadata": {"name": "internal-ca"},
        "spec": {"ca": {"secretName": "internal-ca"}, "policy": policy},
    });
    space.apply(&issuer.to_string()).await?;
    Ok(())
}

/// A TandemClusterIssuer with a policy and a CA of its own, named like the namespace; ready.
async fn cluster_issuer(space: &Space, policy: Value) -> Result<()> {
    let ca = root_ca(&space.name, &PKCS_ECDSA_P256_SHA256)?;
    let home = Space { cluster: space.cluster.clone(), name: issuer::NAMESPACE.to_owned() };
    home.put_tls(&space.name, &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    let issuer = json!({
        "apiVersion": CLUSTER_ISSUER.0, "kind": CLUSTER_ISSUER.1, "metadata": {"name": space.name},
        "spec": {"ca": {"secretName": space.name}, "policy": policy},
    });
    space.apply(&issuer.to_string()).await?;
    space.wait_ready(CLUSTER_ISSUER, &space.name).await?;
    Ok(())
}

/// Asks the cluster issuer `name`, from `space`, for a DNS name.
async fn ask_for(space: &Space, name: &str, issuer: &str, dns: &str) -> Result<()> {
    let reference = json!({"group": "pki.tandem.internal", "kind": "TandemClusterIssuer", "name": issuer});
    ask(space, name, &csr(&[dns])?, json!({"issuerRef": reference})).await
}

async fn label(space: &Space, labels: Value) -> Result<()> {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name, "labels": labels}});
    space.apply(&namespace.to_string()).await.map(|_| ())
}

/// Facts 3, 4: Failed with failureTime, and every broken rule at once with all that broke it.
#[tokio::test]
async fn a_refusal_is_final_and_names_all_that_was_refused() -> Result<()> {
    let (space, ca) = space_with_issuer("refused").await?;
    put_policy(&space, json!({"dnsNames": ["*.example.com"], "keys": [{"algorithm": "RSA"}], "maxDuration": "24h"}))
        .await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    let names = csr(&["a.test", "db.example.com", "b.test", "10.0.0.1"])?;
    ask(&space, "all-wrong", &names, json!({"isCA": true, "usages": ["code signing"]})).await?;
    let message = failed(&space, "all-wrong").await?;
    let expected = [
        "the issuer's spec.policy.dnsNames does not allow \"a.test\", \"b.test\"; it allows \"*.example.com\"",
        "the issuer's spec.policy.ipRanges does not allow IP 10.0.0.1; it allows none",
        "the issuer's spec.policy.usages does not allow code signing; \
         it allows digital signature, key encipherment, server auth, client auth",
        "the issuer's spec.policy.keys does not allow ECDSA of 256 bits; it allows RSA",
        "the issuer's spec.policy.maxDuration does not allow a duration of 2160h; it allows at most 24h",
        "the issuer's spec.policy.isCA does not allow a CA; it allows certificates that are not of CAs",
    ];
    assert_eq!(message, expected.join("; "));
    space.event((CERTIFICATE_REQUEST.1, "all-wrong"), "SigningError", "does not allow \"a.test\", \"b.test\"").await?;

    put_policy(&space, json!({"dnsNames": ["*.example.com"], "maxDuration": "24h"})).await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    let chain = obtain(&space, "right", &csr(&["db.example.com"])?, json!({"duration": "24h"})).await?.chain;
    OpenSsl::new()?.verify(&chain, &ca.as_ref().pem(), &[])?;
    // The looser policy came too late for what has failed.
    assert_eq!(failed(&space, "all-wrong").await?, message);
    Ok(())
}

#[tokio::test]
async fn a_dry_run_signs_and_tells_what_it_would_refuse() -> Result<()> {
    let (space, _) = space_with_issuer("dry-run").await?;
    put_policy(&space, json!({"dryRun": true, "dnsNames": ["a.test"]})).await?;
    space.wait_ready(ISSUER, "internal-ca").await?;
    obtain(&space, "leaf", &csr(&["b.test", "c.test", "10.0.0.1"])?, json!({})).await?;
    let about = (CERTIFICATE_REQUEST.1, "leaf");
    let dns = "spec.policy.dnsNames does not allow \"b.test\", \"c.test\"; it allows \"a.test\"";
    let event = space.event(about, "PolicyWouldRefuse", dns).await?;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    let note = event.note.context("no note")?;
    ensure!(note.contains("spec.policy.ipRanges does not allow IP 10.0.0.1"), "{note}");
    let log = shared()?.issuer.log()?;
    let line = log.lines().find(|line| line.contains("PolicyWouldRefuse") && line.contains(&space.name));
    let line = line.with_context(|| format!("no line in the log:\n{log}"))?;
    ensure!(line.contains("WARN") && line.contains("ipRanges") && line.contains("c.test"), "{line}");

    // What it allows is not worth a word.
    obtain(&space, "allowed", &csr(&["a.test"])?, json!({})).await?;
    obtain(&space, "later", &csr(&["d.test"])?, json!({})).await?;
    space.event((CERTIFICATE_REQUEST.1, "later"), "PolicyWouldRefuse", "d.test").await?;
    let events = space.events().await?;
    let warned = |name: &str| {
        let about = |event: &&k8s_openapi::api::events::v1::Event| {
            event.regarding.as_ref().is_some_and(|object| object.name.as_deref() == Some(name))
        };
        events.iter().filter(about).any(|event| event.reason.as_deref() == Some("PolicyWouldRefuse"))
    };
    ensure!(warned("leaf") && warned("later") && !warned("allowed"), "{events:?}");
    Ok(())
}

#[tokio::test]
async fn each_namespace_gets_names_of_its_own() -> Result<()> {
    let (one, other) = (space("own").await?, space("own").await?);
    cluster_issuer(&one, json!({"dnsNames": ["*.${namespace}.svc"]})).await?;
    for (space, neighbour) in [(&one, &other), (&other, &one)] {
        ask_for(space, "own", &one.name, &format!("db.{}.svc", space.name)).await?;
        issued(space, "own").await?;
        ask_for(space, "neighbours", &one.name, &format!("db.{}.svc", neighbour.name)).await?;
        let message = failed(space, "neighbours").await?;
        assert_eq!(
            message,
            format!(
                "the issuer's spec.policy.dnsNames does not allow \"db.{}.svc\"; it allows \"*.${{namespace}}.svc\"",
                neighbour.name
            )
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_cluster_issuer_is_for_namespaces_by_name_and_by_label() -> Result<()> {
    let (named, labelled) = (space("named").await?, space("labelled").await?);
    let team = &named.name;
    let policy = json!({
        "namespaces": {"names": [named.name], "selector": {"matchLabels": {"team": team}}}, "dnsNames": ["**"],
    });
    cluster_issuer(&named, policy).await?;
    ask_for(&named, "leaf", &named.name, "leaf.test").await?;
    issued(&named, "leaf").await?;

    // The label counts from the moment at which it is set, and no longer than it is there.
    ask_for(&labelled, "before", &named.name, "leaf.test").await?;
    let message = failed(&labelled, "before").await?;
    assert_eq!(
        message,
        format!(
            "the issuer's spec.policy.namespaces does not allow the namespace \"{}\"; \
             it allows \"{}\", those with team in ({team})",
            labelled.name, named.name
        )
    );
    label(&labelled, json!({"team": team})).await?;
    ask_for(&labelled, "meanwhile", &named.name, "leaf.test").await?;
    issued(&labelled, "meanwhile").await?;
    label(&labelled, json!({"team": "another"})).await?;
    ask_for(&labelled, "after", &named.name, "leaf.test").await?;
    failed(&labelled, "after").await?;
    Ok(())
}

/// Fact 6: requests wait for an issuer whose policy cannot be read, and are woken when it can.
#[tokio::test]
async fn a_policy_that_cannot_be_read_makes_the_issuer_not_ready_and_names_the_field() -> Result<()> {
    let (space, _) = space_with_issuer("unreadable").await?;
    for (policy, message) in [
        (
            json!({"dnsNames": ["a.test", "xn--a.test"]}),
            "spec.policy.dnsNames[1]: \"xn--a.test\": it is no internationalised DNS name (RFC 5890)",
        ),
        (
            json!({"uris": ["spiffe://*.local/a"]}),
            "spec.policy.uris[0]: \"spiffe://*.local/a\": a trust domain has no wildcard",
        ),
        (
            json!({"subject": [{"attribute": "Organisation", "values": ["a"]}]}),
            "spec.policy.subject[0].attribute: \"Organisation\" is neither a name of an attribute such as O nor an OID",
        ),
        (
            json!({"namespaces": {"selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}}),
            "spec.policy.namespaces.selector: failed to parse value as expression: Invalid expression operator",
        ),
    ] {
        put_policy(&space, policy).await?;
        let seen = space.wait(ISSUER, "internal-ca", |object| is_ready(object, "False", "InvalidSpec")).await?;
        assert_eq!(condition(&seen, "Ready").context("no Ready")?.2, message);
    }
    ask(&space, "leaf", &csr(&["leaf.test"])?, json!({})).await?;
    let waits = pending(&space, "leaf").await?;
    ensure!(waits.contains("is not ready: spec.policy.namespaces.selector"), "{waits}");
    put_policy(&space, json!({"dnsNames": ["leaf.test"]})).await?;
    issued(&space, "leaf").await?;
    Ok(())
}

/// What is always refused is so without a policy; as cert-manager's webhook does not look at it.
#[tokio::test]
async fn malformed_names_are_refused_without_a_policy() -> Result<()> {
    let (space, _) = space_with_issuer("malformed").await?;
    ask(&space, "leaf", &csr(&["*.*.test", "good.test", "a..b"])?, json!({})).await?;
    assert_eq!(
        failed(&space, "leaf").await?,
        "names that no certificate may carry: \
         DNS \"*.*.test\": a wildcard may only be the whole of its first label, before others, \
         DNS \"a..b\": it has an empty label"
    );
    Ok(())
}

#[tokio::test]
async fn the_example_signs_for_a_team_and_for_nobody_else() -> Result<()> {
    let space = space("example").await?;
    let example = std::fs::read_to_string(root().join("examples/policy/policy.yaml"))?;
    space.apply(&example).await?;
    let team = Space { cluster: Cluster::clone(&space.cluster), name: "team-shop".to_owned() };
    team.wait_ready(CERTIFICATE, "db").await?;
    let names = OpenSsl::new()?.extension(&team.secret("db-tls", "tls.crt").await?, "subjectAltName")?;
    ensure!(
        names.contains("DNS:*.db.team-shop.svc.cluster.local, URI:spiffe://cluster.local/ns/team-shop/sa/db"),
        "{names}"
    );
    ask_for(&space, "leaf", "teams", &format!("db.{}.svc", space.name)).await?;
    let message = failed(&space, "leaf").await?;
    ensure!(message.contains("spec.policy.namespaces does not allow"), "{message}");
    Ok(())
}
