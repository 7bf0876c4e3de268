//! Requests by the hundred, and what becomes of them in the order in which the API server stored it.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
};

use anyhow::{Context, Result, bail};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, PostParams, TypeMeta},
    core::{ApiResource, GroupVersionKind},
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use serde_json::Value;
use tandem_tests::{
    Cluster, Space,
    certificates::csr,
    cluster::{CERTIFICATE_REQUEST, PATIENCE, condition, is_ready},
};
use tokio::time::timeout;

use crate::{
    environment::{Environment, audit_log},
    requests::request,
    signing_requests,
};

/// Makes CertificateRequests of these names for an issuer, several at a time.
pub(crate) async fn ask_for_many(space: &Space, names: &[String], issuer: &Value) -> Result<()> {
    let api = space.api(CERTIFICATE_REQUEST)?;
    let make = |name: &String| {
        let (api, name) = (api.clone(), name.clone());
        async move {
            let mut made = request(&name, &csr(&[&format!("{name}.test")])?);
            made["spec"]["issuerRef"] = issuer.clone();
            api.create(&PostParams::default(), &serde_json::from_value(made)?).await?;
            anyhow::Ok(())
        }
    };
    stream::iter(names).map(make).buffer_unordered(8).try_collect::<Vec<_>>().await.map(|_| ())
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Approved,
    Issued,
}

type Events = Pin<Box<dyn Stream<Item = watcher::Result<DynamicObject>> + Send>>;

/// Certificates by the UID of their request.
pub(crate) type Certificates = HashMap<String, HashSet<String>>;

/// The steps of all CertificateRequests, each once, in the API server's order; and every certificate that was stored, also
/// in a CertificateSigningRequest.
pub(crate) struct Progress {
    events: Events,
    seen: HashSet<(String, Step)>,
    pub(crate) stored: Certificates,
    pub(crate) steps: Vec<(String, String, Step)>,
}

impl Progress {
    pub(crate) fn follow(cluster: &Cluster) -> Result<Self> {
        let watch = |kind: (&str, &str)| {
            let types = TypeMeta { api_version: kind.0.to_owned(), kind: kind.1.to_owned() };
            let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
            let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource);
            anyhow::Ok(watcher(api, watcher::Config::default()).default_backoff().applied_objects())
        };
        let events = stream::select(watch(CERTIFICATE_REQUEST)?, watch(signing_requests::KIND)?).boxed();
        Ok(Self { events, seen: HashSet::new(), stored: Certificates::new(), steps: Vec::new() })
    }

    /// How many requests of a namespace have come so far.
    pub(crate) fn count(&self, space: &Space, step: Step) -> usize {
        self.steps.iter().filter(|(namespace, _, taken)| (namespace, *taken) == (&space.name, step)).count()
    }

    /// How many requests of a namespace have their certificate by now, by a list.
    pub(crate) async fn finished(space: &Space) -> Result<usize> {
        let all = space.list(CERTIFICATE_REQUEST).await?;
        Ok(all.iter().filter(|request| is_ready(request, "True", "Issued")).count())
    }

    /// Waits until as many have come so far. That one fails, or that none comes any further, is an error.
    pub(crate) async fn until(&mut self, space: &Space, step: Step, count: usize) -> Result<()> {
        while self.count(space, step) < count {
            let event = timeout(PATIENCE, self.events.next()).await;
            let stuck = || format!("{} of {count} are {step:?} in {}", self.count(space, step), space.name);
            let event = event.with_context(stuck)?;
            self.take(event.context("no watch")?)?;
        }
        Ok(())
    }

    /// Waits until it has seen a certificate of each of these requests. That any request fails is an error.
    pub(crate) async fn until_stored(&mut self, requests: &[DynamicObject]) -> Result<()> {
        for request in requests {
            while !self.stored.contains_key(&request.uid().unwrap_or_default()) {
                let event = timeout(PATIENCE, self.events.next()).await;
                self.take(event.with_context(|| request.name_any())?.context("no watch")?)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, event: watcher::Result<DynamicObject>) -> Result<()> {
        // Errors of the watch are retried by it.
        let Ok(object) = event else { return Ok(()) };
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let uid = object.uid().unwrap_or_default();
        if let Some(certificate) = object.data["status"]["certificate"].as_str() {
            self.stored.entry(uid.clone()).or_default().insert(certificate.to_owned());
        }
        let unready = condition(&object, "Ready").filter(|(_, reason, _)| reason == "Failed");
        if let Some((_, _, message)) = condition(&object, "Failed").or(unready) {
            bail!("{namespace}/{name} failed: {message}");
        }
        for (step, taken) in [
            (Step::Approved, condition(&object, "Approved").is_some()),
            (Step::Issued, is_ready(&object, "True", "Issued")),
        ] {
            if taken && self.seen.insert((uid.clone(), step)) {
                self.steps.push((namespace.clone(), name.clone(), step));
            }
        }
        Ok(())
    }
}

/// Each write of a status that the server accepted and after which a certificate was there: the object's UID and the
/// certificate, by the audit log.
pub(crate) fn accepted(environment: &Environment) -> Result<Vec<(String, String)>> {
    let audit = audit_log(&environment.control_plane)?;
    let mut accepted = Vec::new();
    for line in audit.lines().filter(|line| line.contains("\"subresource\":\"status\"")) {
        // A server that is killed leaves half a line, to which the next one adds.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let answer = &event["responseObject"];
        let success = event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300);
        if let (true, Some(uid), Some(certificate)) =
            (success, answer["metadata"]["uid"].as_str(), answer["status"]["certificate"].as_str())
        {
            accepted.push((uid.to_owned(), certificate.to_owned()));
        }
    }
    Ok(accepted)
}
