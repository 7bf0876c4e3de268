//! What the server allows whom.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::cluster::PATIENCE;

/// Waits until the server allows `user` what `attributes` describe (`resourceAttributes` of a SubjectAccessReview), or does so no
/// more: it goes by a changed role only once its cache has it.
///
/// # Errors
/// Where that does not come, and what the server said.
pub async fn wait(client: &Client, user: &str, attributes: &Value, allowed: bool) -> Result<()> {
    let review = json!({"metadata": {}, "spec": {"user": user, "resourceAttributes": attributes}});
    let review: SubjectAccessReview = serde_json::from_value(review)?;
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let mut look = interval(Duration::from_millis(20));
    let goes_by_it = async {
        loop {
            look.tick().await;
            let answer = reviews.create(&PostParams::default(), &review).await?.status;
            if answer.is_some_and(|answer| answer.allowed == allowed) {
                return Ok(());
            }
        }
    };
    let late = || format!("the server does not go by the changed role: {user}, {attributes}, {allowed}");
    timeout(PATIENCE, goes_by_it).await.with_context(late)?
}
