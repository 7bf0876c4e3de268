//! What others write beside us in a status stays as they wrote it.

use anyhow::{Context, Result};
use kube::api::DynamicObject;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::{Value, json};
use tandem_tests::{
    Space,
    certificates::root_ca,
    cluster::{CERTIFICATE_REQUEST, ISSUER, is_ready},
};

use crate::{
    environment::{allow_secrets, make_issuer, with_issuer, without_approver},
    requests::{ask_plainly, pending},
};

/// A condition of somebody else's, with a time that nobody would make up.
fn foreign(type_: &str) -> Value {
    json!({"type": type_, "status": "True", "reason": "ByHand", "message": "by hand",
           "lastTransitionTime": "2026-01-02T03:04:05Z"})
}

/// The condition as it is stored, with every field.
fn stored<'a>(object: &'a DynamicObject, type_: &str) -> Result<&'a Value> {
    let conditions = object.data["status"]["conditions"].as_array().context("no conditions")?;
    conditions.iter().find(|condition| condition["type"] == type_).with_context(|| format!("no {type_}"))
}

/// Whether `manager` still owns the condition.
fn owns(object: &DynamicObject, manager: &str, type_: &str) -> bool {
    let fields = object.metadata.managed_fields.iter().flatten();
    let of_manager = fields.filter(|entry| entry.manager.as_deref() == Some(manager));
    let condition = format!("k:{{\"type\":\"{type_}\"}}");
    of_manager.filter_map(|entry| entry.fields_v1.as_ref()).any(|owned| {
        owned.0.pointer("/f:status/f:conditions").is_some_and(|conditions| conditions.get(&condition).is_some())
    })
}

fn assert_undisturbed(object: &DynamicObject, types: &[&str]) -> Result<()> {
    for type_ in types {
        assert_eq!(*stored(object, type_)?, foreign(type_));
        assert!(
            owns(object, "by-hand", type_),
            "{type_} was taken from its owner: {:?}",
            object.metadata.managed_fields
        );
        assert!(!owns(object, "tandem-issuer", type_), "{type_} was claimed: {:?}", object.metadata.managed_fields);
    }
    assert!(owns(object, "tandem-issuer", "Ready"), "{:?}", object.metadata.managed_fields);
    Ok(())
}

/// Fact 2: neither Approved nor anybody else's condition is touched, by Pending, by Issued, or by an issuer's Ready.
#[tokio::test]
async fn other_owners_conditions_are_left_as_they_are() -> Result<()> {
    let space: Space = without_approver()?.space("conditions").await?;
    allow_secrets(&space).await?;
    make_issuer(&space, "internal-ca").await?;
    ask_plainly(&space, "shared").await?;
    let others = ["Approved", "Audited"];
    space.patch_status(CERTIFICATE_REQUEST, "shared", json!({"conditions": others.map(foreign)})).await?;
    pending(&space, "shared").await?;
    space.wait(ISSUER, "internal-ca", |issuer| is_ready(issuer, "False", "ErrGetKeyPair")).await?;
    space.patch_status(ISSUER, "internal-ca", json!({"conditions": [foreign("Audited")]})).await?;
    assert_undisturbed(&space.api(CERTIFICATE_REQUEST)?.get("shared").await?, &others)?;

    with_issuer(&space).await?;
    assert_undisturbed(&space.wait_ready(ISSUER, "internal-ca").await?, &["Audited"])?;
    let issued = space.wait(CERTIFICATE_REQUEST, "shared", |request| is_ready(request, "True", "Issued")).await?;
    assert_undisturbed(&issued, &others)?;

    // Nor by the next change of the issuer's.
    let ca = root_ca("new", &PKCS_ECDSA_P256_SHA256)?;
    space.put_tls("internal-ca", &ca.as_ref().pem(), "", None).await?;
    let issuer = space.wait(ISSUER, "internal-ca", |issuer| is_ready(issuer, "True", "LastGoodKeyPair")).await?;
    assert_undisturbed(&issuer, &["Audited"])
}
