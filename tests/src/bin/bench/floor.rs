//! The floor: a process that does for each approved request what every issuer has to do on the API server (watch, write the
//! status, write the event), with the issuer's own client, and nothing else. It signs, decides, keeps and logs nothing.
//! What it costs is the client, HTTP, TLS, JSON and the kernel; no issuer on this client costs less.

use std::path::Path;

use anyhow::{Context, Result};
use futures::{TryStreamExt, future};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{Patch, PatchParams},
    core::{ApiResource, GroupVersionKind, Request},
    runtime::{WatchStreamExt, watcher::Config as WatcherConfig, watcher::Event, watcher::watcher},
};
use serde::de::IgnoredAny;
use serde_json::json;

use crate::load::{CONCURRENCY, MESSAGE, Seen, SeenStatus, issued};

/// What is written into each status, in the folder of the process.
pub(crate) const STATUS: &str = "floor.json";

/// Runs until it is killed.
pub(crate) fn run(folder: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (certificate, ca): (String, String) = serde_json::from_slice(&std::fs::read(folder.join(STATUS))?)?;
        answer_all(&Client::try_from(Config::incluster()?)?, &certificate, &ca).await
    })
}

async fn answer_all(client: &Client, certificate: &str, ca: &str) -> Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "CertificateRequest"));
    let api: Api<Seen> = Api::all_with(client.clone(), &resource);
    let seen = watcher(api, WatcherConfig::default().page_size(100)).default_backoff();
    let awaited = seen.map_err(anyhow::Error::from).try_filter_map(|event| {
        future::ready(Ok(match event {
            Event::Apply(request) | Event::InitApply(request)
                if request.status.as_ref().is_some_and(SeenStatus::awaits_a_signer) =>
            {
                Some(request)
            }
            _ => None,
        }))
    });
    awaited.try_for_each_concurrent(CONCURRENCY, |request| answer(client, request, certificate, ca)).await
}

async fn answer(client: &Client, request: Seen, certificate: &str, ca: &str) -> Result<()> {
    let (name, namespace) = (request.name_any(), request.namespace().context("no namespace")?);
    let status = json!({"status": issued(certificate, ca)});
    let path = format!("/apis/cert-manager.io/v1/namespaces/{namespace}/certificaterequests");
    let call = Request::new(path).patch_subresource("status", &name, &PatchParams::default(), &Patch::Merge(status))?;
    client.request::<IgnoredAny>(call).await?;
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"generateName": "floor-"},
        "action": "Sign", "reason": "CertificateIssued", "note": MESSAGE, "type": "Normal",
        "eventTime": k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(jiff::Timestamp::now()),
        "reportingController": "floor", "reportingInstance": "floor",
        "regarding": {
            "apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest", "name": name, "namespace": namespace,
            "uid": request.uid(), "resourceVersion": request.resource_version(),
        },
    });
    let call = hyper::Request::post(format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events"));
    let call = call.header("Content-Type", "application/json").body(serde_json::to_vec(&event)?)?;
    client.request::<IgnoredAny>(call).await?;
    Ok(())
}
