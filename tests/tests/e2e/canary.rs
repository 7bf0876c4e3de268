//! No key material is told, in whatever way the issuer tells of its work: everything is on, and all of it is searched for any
//! piece of 24 characters of a key. That a panic tells none is shown by `issuer/src/panics.rs`, whose output is searched alike: by
//! [`Canary`].

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::{
    ByteString,
    api::{certificates::v1::CertificateSigningRequest, events::v1::Event},
};
use kube::{
    Api,
    api::{DynamicObject, ListParams},
    core::ApiResource,
};
use rcgen::{CertifiedKey, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, generate_simple_self_signed};
use serde_json::{Value, json};
use tandem_tests::{
    Cluster,
    admin::Admin,
    canary::Canary,
    certificates::{Ca, csr, intermediate_ca, root_ca},
    cluster::{CERTIFICATE_REQUEST, CLUSTER_ISSUER, ISSUER, condition, is_ready},
    telemetry::Collector,
};

use crate::{
    environment::{Environment, make_issuer, with_issuer},
    requests::{ask, ask_plainly, failed, issued, pending},
    signing_requests::{self, ask_approved, named, signer},
};

/// All events, and the status of every object of the kinds that the issuer writes to.
async fn told_in_the_cluster(cluster: &Cluster) -> Result<BTreeMap<String, String>> {
    let mut told = BTreeMap::new();
    let events: Api<Event> = Api::all(cluster.client.clone());
    let events = events.list(&ListParams::default()).await?.items;
    ensure!(events.len() > 10, "only {} events", events.len());
    told.insert("events".to_owned(), serde_json::to_string(&events)?);
    for (version, kind) in [CERTIFICATE_REQUEST, ISSUER, CLUSTER_ISSUER] {
        let (group, version) = version.split_once('/').unwrap_or_default();
        let resource = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, kind));
        told.insert(format!("status of {kind}"), statuses(cluster, &resource).await?);
    }
    let resource = ApiResource::erase::<CertificateSigningRequest>(&());
    told.insert("status of CertificateSigningRequest".to_owned(), statuses(cluster, &resource).await?);
    Ok(told)
}

async fn statuses(cluster: &Cluster, resource: &ApiResource) -> Result<String> {
    let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), resource);
    let objects = api.list(&ListParams::default()).await?.items;
    ensure!(objects.iter().any(|object| object.data["status"].is_object()), "no {} has a status", resource.kind);
    Ok(objects.iter().map(|object| format!("{}\n", object.data["status"])).collect())
}

/// A Secret that goes from one CA to another by way of everything that may be wrong with it; what its issuer's status says of each.
async fn break_and_mend(space: &tandem_tests::Space, old: &Ca, new: &Ca) -> Result<String> {
    let (old_key, new_key) = (old.key().serialize_pem(), new.key().serialize_pem());
    let certificate = new.as_ref().pem();
    let half = |text: &str| text.chars().take(text.len() / 2).collect::<String>();
    let whole = |key: &str| key.replace("PRIVATE KEY", "CERTIFICATE");
    let mut told_of = String::new();
    // Each differs from the one before in what is said of it.
    for (certificates, key, problem) in [
        (old.as_ref().pem(), new_key.clone(), "tls.key is not the private key"),
        (new_key.clone(), new_key.clone(), "tls.crt: "),
        (certificate.clone(), half(&new_key), "exactly one private key"),
        (half(&certificate), new_key.clone(), "tls.crt: "),
        (certificate.clone(), format!("{old_key}{new_key}"), "exactly one private key"),
        (whole(&new_key), new_key.clone(), "tls.crt: "),
        (certificate.clone(), new_key.replace("-----", "#####"), "exactly one private key"),
        (certificate.clone(), new_key.replacen("\nM", "\n!", 1), "tls.key: it is not PEM"),
    ] {
        space.put_tls("internal-ca", &certificates, &key, None).await?;
        let told = |o: &DynamicObject| {
            is_ready(o, "True", "LastGoodKeyPair")
                && condition(o, "Ready").is_some_and(|ready| ready.2.contains(problem))
        };
        let issuer = space.wait(ISSUER, "internal-ca", told).await?;
        told_of += &format!("{}\n", issuer.data["status"]);
    }
    space.put_tls("internal-ca", &certificate, &new_key, None).await?;
    space.wait(ISSUER, "internal-ca", |o| is_ready(o, "True", "KeyPairVerified")).await?;
    Ok(told_of)
}

#[tokio::test]
async fn no_piece_of_a_key_is_told_in_whatever_way() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let collector = Collector::start(folder.path())?;
    let CertifiedKey { cert: served, signing_key: serving } = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let files = [folder.path().join("tls.crt"), folder.path().join("tls.key")];
    std::fs::write(&files[0], served.pem())?;
    std::fs::write(&files[1], serving.serialize_pem())?;
    let run = [
        format!("--otlp-endpoint={}", collector.endpoint),
        "--admin-address=127.0.0.1:0".to_owned(),
        format!("--admin-tls-cert={}", files[0].display()),
        format!("--admin-tls-key={}", files[1].display()),
    ];
    let run: Vec<_> = run.iter().map(String::as_str).collect();
    let mut environment = Environment::start_issuer(&[], &[("RUST_LOG", "trace")], &run).await?;
    let admin = Admin::of(&environment.issuer.process().log, Some(vec![served.der().to_vec()])).await?;
    let space = environment.space("canary").await?;
    let cluster = space.cluster.clone();

    // Signed by keys of both kinds, for requests of both kinds.
    let old = with_issuer(&space).await?;
    ask_plainly(&space, "by-old").await?;
    issued(&space, "by-old").await?;
    let new = intermediate_ca("new", &PKCS_RSA_SHA256, &root_ca("root", &PKCS_ECDSA_P256_SHA256)?)?;
    let meanwhile = break_and_mend(&space, &old, &new).await?;
    ask_plainly(&space, "by-new").await?;
    issued(&space, "by-new").await?;
    let by_kubernetes = named(&space, "csr");
    ask_approved(&space, &by_kubernetes, &signer(&space), &json!({}), &json!({})).await?;
    signing_requests::issued(&space, &by_kubernetes).await?;
    // Another issuer whose Secret has never been right, and one for all namespaces.
    let third = root_ca("third", &PKCS_ECDSA_P256_SHA256)?;
    let third_key = third.key().serialize_pem();
    space.put_tls("broken", &third_key, &third.as_ref().pem(), Some(&third_key)).await?;
    make_issuer(&space, "broken").await?;
    space.wait(ISSUER, "broken", |o| is_ready(o, "False", "ErrInvalidKeyPair")).await?;
    let reference = json!({"issuerRef": {"group": "pki.tandem.internal", "kind": "TandemIssuer", "name": "broken"}});
    ask(&space, "waits", &csr(&["waits.test"])?, reference).await?;
    pending(&space, "waits").await?;
    let fourth = root_ca("fourth", &PKCS_ECDSA_P256_SHA256)?;
    let fourth_key = fourth.key().serialize_pem();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "canary", "namespace": "tandem"},
        "stringData": {"tls.crt": fourth.as_ref().pem(), "tls.key": fourth_key},
    });
    let issuer = json!({
        "apiVersion": CLUSTER_ISSUER.0, "kind": CLUSTER_ISSUER.1, "metadata": {"name": "canary"},
        "spec": {"ca": {"secretName": "canary"}},
    });
    cluster.apply(&secret.to_string(), "tandem").await?;
    cluster.apply(&issuer.to_string(), "").await?;
    cluster.wait(CLUSTER_ISSUER, "", "canary", |o| is_ready(o, "True", "")).await?;
    // A key in place of a request, where nobody else looks at it before, and one as a name.
    let unchecked = cluster.space_without_validation("canary-pasted").await?;
    let fifth = with_issuer(&unchecked).await?;
    let pasted = KeyPair::generate()?.serialize_pem();
    ask(&unchecked, "pasted", &pasted, json!({})).await?;
    failed(&unchecked, "pasted").await?;
    ask(&unchecked, "behind", &(csr(&["leaf.test"])? + &pasted), json!({})).await?;
    failed(&unchecked, "behind").await?;
    unchecked.event((CERTIFICATE_REQUEST.1, "behind"), "SigningError", "").await?;
    // Kubernetes looks at the first document of a request alone.
    let behind = ByteString((csr(&["leaf.test"])? + &pasted).into_bytes());
    let refused = named(&space, "refused");
    ask_approved(&space, &refused, &signer(&space), &json!({"request": behind}), &json!({})).await?;
    signing_requests::failed(&space, &refused).await?;

    let metrics = admin.metrics().await?;
    let readiness = admin.ask("GET", "/readyz?verbose").await?.1;
    let unserved = admin.ask("POST", "/metrics").await?.1;
    ensure!(environment.issuer.process().stop()?, "it did not stop cleanly");

    let cas = [&old, &new, &third, &fourth, &fifth];
    let mut keys = cas.map(|ca| ca.key().serialize_pem()).to_vec();
    keys.extend([serving.serialize_pem(), pasted]);
    let mut public = cas.map(|ca| ca.as_ref().pem()).to_vec();
    public.push(served.pem());
    let [keys, public] = [&keys, &public].map(|texts| texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut canary = Canary::of(&keys, &public)?;
    let kubeconfig = std::fs::read_to_string(environment.control_plane.folder().join("issuer.kubeconfig"))?;
    let kubeconfig: Value = serde_yaml::from_str(&kubeconfig)?;
    let token = kubeconfig["users"][0]["user"]["token"].as_str().unwrap_or_default();
    ensure!(token.len() > 100, "there is no token to look for");
    canary.add_text(token)?;

    let mut told = told_in_the_cluster(&cluster).await?;
    told.entry(format!("status of {}", ISSUER.1)).or_default().push_str(&meanwhile);
    told.insert("log".to_owned(), environment.issuer.log()?);
    told.insert("traces".to_owned(), collector.text()?);
    told.insert("metrics".to_owned(), metrics);
    told.insert("probes".to_owned(), readiness + &unserved);
    ensure!(told["log"].contains("TRACE") && told["log"].contains("by-new"), "the log is not that of everything");
    ensure!(told["traces"].contains("by-new") && told["metrics"].contains("certificates_issued"), "too little is told");
    let mut leaks = Vec::new();
    for (channel, text) in &told {
        // The keys themselves would be found here.
        ensure!(
            !canary.find(&format!("{text}{}", old.key().serialize_pem())).is_empty(),
            "{channel} cannot be searched"
        );
        for (place, piece) in canary.find(text).into_iter().take(3) {
            let around = text.get(place.saturating_sub(100)..place).unwrap_or_default();
            leaks.push(format!("{channel}, after {around:?}: {piece}"));
        }
    }
    ensure!(leaks.is_empty(), "key material is told:\n{}", leaks.join("\n"));
    Ok(())
}
