//! Objects that the API server takes and that are not written as its own programs write them. Nobody's request may hide
//! those of all others: a list is read as a whole.

use anyhow::{Context, Result, ensure};
use k8s_openapi::ByteString;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::{Value, json};
use tandem_tests::{
    ControlPlane, IssuerProcess,
    canary::Canary,
    certificates::{csr, root_ca},
    cluster::ISSUER,
    tools,
};

use crate::{
    environment::{allow_secrets, make_issuer, space_with_issuer, without_issuer},
    requests::{ask, ask_plainly, issued, request},
    signing_requests::{self, ask_approved, named, signer},
};

/// The same bytes in base64, with the bits set that its last character has to spare (RFC 4648 clause 3.5). Go reads it.
fn with_spare_bits(text: &str) -> Result<String> {
    // White space at the end belongs to no block, and makes room for spare bits.
    let padding = " ".repeat((4 - text.len() % 3) % 3);
    let encoded = serde_json::to_value(ByteString(format!("{text}{padding}").into_bytes()))?;
    let plain = encoded.as_str().and_then(|text| text.strip_suffix("==")).context("no spare bits")?;
    let (rest, last) = plain.split_at(plain.len() - 1);
    let last = last.as_bytes()[0];
    ensure!(matches!(last, b'A' | b'Q' | b'g' | b'w'), "no spare bits");
    Ok(format!("{rest}{}==", char::from(last + 1)))
}

/// Fact 10: through cert-manager's webhook.
#[tokio::test]
async fn base64_with_spare_bits_is_read_as_go_reads_it() -> Result<()> {
    let (space, _) = space_with_issuer("spare-bits").await?;
    let mut odd = request("odd", "");
    odd["spec"]["request"] = Value::String(with_spare_bits(&csr(&["odd.test"])?)?);
    space.apply(&odd.to_string()).await?;
    issued(&space, "odd").await?;
    ask_plainly(&space, "next").await?;
    issued(&space, "next").await?;
    Ok(())
}

/// Gives an object a manager whose time is the last that RFC 3339 can write, as whoever may write the object can.
fn manage(control_plane: &ControlPlane, namespace: &str, object: &str, fields: &Value) -> Result<()> {
    let mut get = control_plane.kubectl();
    get.args(["get", "--namespace", namespace, "--output", "json", "--show-managed-fields", object]);
    let mut value: Value = serde_json::from_str(&tools::output(&mut get)?)?;
    let version = value["apiVersion"].clone();
    value["metadata"]["labels"] = json!({"odd": "yes"});
    value["metadata"]["managedFields"] = json!([{
        "manager": "odd", "operation": "Update", "apiVersion": version, "time": "9999-12-31T23:59:59Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    }]);
    let file = control_plane.folder().join("odd.json");
    std::fs::write(&file, value.to_string())?;
    tools::run(control_plane.kubectl().arg("replace").arg("--filename").arg(&file))?;
    ensure!(tools::output(&mut get)?.contains("9999-12-31"), "{object}: the server does not keep the manager");
    Ok(())
}

/// Issuers of a namespace, requests of the cluster, CA Secrets and a namespace's labels are read all the same, and nobody is shown
/// what is in a list.
#[tokio::test(flavor = "multi_thread")]
async fn times_that_cannot_be_held_stop_nobody_and_show_no_key() -> Result<()> {
    let control_plane = without_issuer().await?;
    let cluster = control_plane.cluster().await?;
    let (odd, other) = (cluster.space("odd").await?, cluster.space("other").await?);
    let ca = root_ca("internal CA", &PKCS_ECDSA_P256_SHA256)?;
    for space in [&odd, &other] {
        allow_secrets(space).await?;
        space.put_tls("internal-ca", &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
        make_issuer(space, "internal-ca").await?;
    }
    let by_kubernetes = named(&odd, "csr");
    ask_approved(&odd, &by_kubernetes, &signer(&odd), &json!({}), &json!({})).await?;
    manage(&control_plane, &odd.name, "tandemissuer/internal-ca", &json!({"f:spec": {}}))?;
    manage(&control_plane, &odd.name, "secret/internal-ca", &json!({"f:type": {}}))?;
    manage(&control_plane, "", &format!("certificatesigningrequest/{by_kubernetes}"), &json!({"f:spec": {}}))?;
    manage(&control_plane, "", &format!("namespace/{}", odd.name), &json!({"f:spec": {}}))?;
    let by_label = json!({
        "apiVersion": ISSUER.0, "kind": ISSUER.1, "metadata": {"name": "by-label"}, "spec": {
            "ca": {"secretName": "internal-ca"},
            "policy": {"dnsNames": ["**"], "namespaces": {"selector": {"matchLabels": {"odd": "yes"}}}},
        },
    });
    odd.apply(&by_label.to_string()).await?;
    // Nobody's of ours, but in the same list; its approver may write any time.
    let foreign = named(&odd, "foreign");
    signing_requests::ask(&cluster.client, &foreign, "tandem.test/other", &json!({}), &json!({})).await?;
    let approved = json!({
        "type": "Approved", "status": "True", "reason": "Odd", "message": "odd",
        "lastUpdateTime": "9999-12-31T23:59:59Z", "lastTransitionTime": "9999-12-31T23:59:59Z",
    });
    signing_requests::answer_with(&odd, &foreign, &approved).await?;

    let issuer = IssuerProcess::of(&control_plane).start().await?;
    let served = async {
        other.wait_ready(ISSUER, "internal-ca").await?;
        ask_plainly(&other, "leaf").await?;
        issued(&other, "leaf").await?;
        let reference = json!({"group": "pki.tandem.internal", "kind": ISSUER.1, "name": "by-label"});
        ask(&odd, "leaf", &csr(&["leaf.test"])?, json!({"issuerRef": reference})).await?;
        issued(&odd, "leaf").await?;
        let mut wait = control_plane.kubectl();
        wait.args(["wait", "--timeout=120s", "--namespace", &odd.name]);
        tools::run(wait.args(["--for=condition=Ready", "tandemissuer/internal-ca"]))?;
        let mut wait = control_plane.kubectl();
        wait.args(["wait", "--timeout=120s", "--for=jsonpath={.status.certificate}"]);
        tools::run(wait.arg(format!("certificatesigningrequest/{by_kubernetes}")))
    };
    let served = served.await;
    let log = issuer.log()?;
    let leaks = Canary::of(&[&ca.key().serialize_pem()], &[&ca.as_ref().pem()])?.find(&log);
    ensure!(leaks.is_empty(), "the CA's key is in the log: {leaks:?}");
    served.with_context(|| log)
}
