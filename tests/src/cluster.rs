//! A client with the verbs that tests need: apply, get, and wait for a condition.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use futures::{
    StreamExt,
    future::{Either, select},
    pin_mut,
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams, TypeMeta, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
    runtime::{WatchStreamExt, watcher::watch_object},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::issuance::is_issuing;

/// How long a condition may take. Generous: nothing waits for it to pass where all is well.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Kinds without a namespace, among those that tests use.
const CLUSTER_SCOPED: &[&str] = &[
    "Namespace",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterIssuer",
    "TandemClusterIssuer",
    "CertificateSigningRequest",
];

/// A connection to a server.
#[derive(Clone)]
pub struct Cluster {
    /// The client beneath.
    pub client: Client,
    /// Counted by the control plane that it is of, as long as this or a copy of it is there.
    #[expect(dead_code, reason = "it is counted, and not read")]
    pub(crate) user: Arc<()>,
}

impl Cluster {
    /// Connects with a kubeconfig.
    ///
    /// # Errors
    /// Where the file cannot be read or is none.
    pub async fn connect(kubeconfig: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Self { client: Client::try_from(config)?, user: Arc::default() })
    }

    /// A namespace of its own for one test, with a name that starts with `purpose`.
    ///
    /// # Errors
    /// What the server said.
    pub async fn space(&self, purpose: &str) -> Result<Space> {
        self.labelled_space(purpose, &[]).await
    }

    /// The same where cert-manager's webhook checks nothing: what it would refuse reaches the issuer.
    ///
    /// # Errors
    /// What the server said.
    pub async fn space_without_validation(&self, purpose: &str) -> Result<Space> {
        self.labelled_space(purpose, &[("cert-manager.io/disable-validation", "true")]).await
    }

    async fn labelled_space(&self, purpose: &str, labels: &[(&str, &str)]) -> Result<Space> {
        let mut namespace = Namespace::default();
        namespace.metadata.generate_name = Some(format!("{purpose}-"));
        namespace.metadata.labels = Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        let api: Api<Namespace> = Api::all(self.client.clone());
        let made = api.create(&PostParams::default(), &namespace).await?;
        Ok(Space { cluster: self.clone(), name: made.name_any() })
    }

    /// Applies each document of a YAML stream by server-side apply with strict field validation: an unknown field, or
    /// one that is given twice, is an error. Objects without a namespace go to `namespace`. After a
    /// CustomResourceDefinition it waits until the server knows the kind.
    ///
    /// # Errors
    /// What the server said, with the object's kind and name.
    pub async fn apply(&self, yaml: &str, namespace: &str) -> Result<Vec<DynamicObject>> {
        let documents: Vec<Value> =
            serde_yaml::Deserializer::from_str(yaml).map(Value::deserialize).collect::<Result<_, _>>()?;
        let mut applied = Vec::new();
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            applied.push(self.apply_value(document, namespace).await?);
        }
        for object in &applied {
            if object.types.as_ref().is_some_and(|types| types.kind == CRD.1) {
                let established =
                    |object: &_| condition(object, "Established").is_some_and(|(status, _, _)| status == "True");
                self.wait(CRD, "", &object.name_any(), established).await?;
            }
        }
        Ok(applied)
    }

    /// Applies a file of CustomResourceDefinitions; see [`Cluster::apply`].
    ///
    /// # Errors
    /// Where the file cannot be read; what the server said.
    pub async fn apply_crds(&self, file: &Path) -> Result<()> {
        let yaml = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
        self.apply(&yaml, "").await.map(|_| ())
    }

    async fn apply_value(&self, value: Value, namespace: &str) -> Result<DynamicObject> {
        let object: DynamicObject = serde_json::from_value(value.clone()).context("an object without kind or name")?;
        let types = object.types.clone().unwrap_or_default();
        let name = object.metadata.name.clone().context("an object without a name")?;
        let place = object.metadata.namespace.as_deref().unwrap_or(namespace);
        let params = PatchParams::apply("tandem-tests").force().validation_strict();
        let api = self.api(&types, place)?;
        api.patch(&name, &params, &Patch::Apply(&value)).await.with_context(|| format!("{} {name}", types.kind))
    }

    /// The API of a kind given as in a manifest, such as `cert-manager.io/v1` and `Certificate`.
    ///
    /// # Errors
    /// Where the apiVersion is none.
    pub fn api(&self, types: &TypeMeta, namespace: &str) -> Result<Api<DynamicObject>> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
        Ok(if CLUSTER_SCOPED.contains(&resource.kind.as_str()) {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        })
    }

    /// Waits, by watching, until an object is as `condition` asks; returns it.
    ///
    /// # Errors
    /// Where that is not so after [`PATIENCE`]; then with the object as it was last seen.
    pub async fn wait(
        &self,
        kind: (&str, &str),
        namespace: &str,
        name: &str,
        condition: impl Fn(&DynamicObject) -> bool,
    ) -> Result<DynamicObject> {
        let types = TypeMeta { api_version: kind.0.to_owned(), kind: kind.1.to_owned() };
        let seen = watch_object(self.api(&types, namespace)?, name).default_backoff();
        pin_mut!(seen);
        let mut last = None;
        let deadline = tokio::time::sleep(PATIENCE);
        pin_mut!(deadline);
        // Errors are retried by the watch; what counts is the last state that was seen.
        while let Either::Left((Some(event), _)) = select(seen.next(), &mut deadline).await {
            match event {
                Ok(Some(object)) if condition(&object) => return Ok(object),
                Ok(object) => last = object,
                Err(_) => {}
            }
        }
        let seen = last.map_or_else(|| "it is not there".to_owned(), |o| serde_yaml::to_string(&o).unwrap_or_default());
        Err(anyhow!("{} {namespace}/{name} did not get there within {PATIENCE:?}:\n{seen}", kind.1))
    }
}

/// cert-manager's Certificate, for [`Cluster::wait`].
pub const CERTIFICATE: (&str, &str) = ("cert-manager.io/v1", "Certificate");
/// cert-manager's CertificateRequest.
pub const CERTIFICATE_REQUEST: (&str, &str) = ("cert-manager.io/v1", "CertificateRequest");
/// Our namespaced issuer.
pub const ISSUER: (&str, &str) = ("pki.tandem.internal/v1alpha1", "TandemIssuer");
/// The kind of kinds.
pub const CRD: (&str, &str) = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");
/// Our cluster issuer.
pub const CLUSTER_ISSUER: (&str, &str) = ("pki.tandem.internal/v1alpha1", "TandemClusterIssuer");

/// A condition of an object: its status, reason and message.
#[must_use]
pub fn condition(object: &DynamicObject, type_: &str) -> Option<(String, String, String)> {
    let conditions = object.data.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == type_)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

/// Whether the object's Ready condition has `status` and, unless it is empty, `reason`, for the present generation where
/// the condition says for which it holds.
#[must_use]
pub fn is_ready(object: &DynamicObject, status: &str, reason: &str) -> bool {
    let generation = object.metadata.generation;
    let current = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .and_then(|conditions| conditions.iter().find(|condition| condition["type"] == "Ready"))
        .is_some_and(|ready| ready["observedGeneration"].as_i64().is_none_or(|g| Some(g) == generation));
    condition(object, "Ready").is_some_and(|(s, r, _)| current && s == status && (reason.is_empty() || r == reason))
}

/// A namespace of a test's own.
#[derive(Clone)]
pub struct Space {
    /// The server it is on.
    pub cluster: Cluster,
    /// The namespace's name, unlike any other's.
    pub name: String,
}

impl Space {
    /// Applies a YAML stream in this namespace; see [`Cluster::apply`]. `NAMESPACE` in the text stands for its name.
    ///
    /// # Errors
    /// As [`Cluster::apply`].
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        self.cluster.apply(&yaml.replace("NAMESPACE", &self.name), &self.name).await
    }

    /// Waits in this namespace; see [`Cluster::wait`].
    ///
    /// # Errors
    /// As [`Cluster::wait`].
    pub async fn wait(
        &self,
        kind: (&str, &str),
        name: &str,
        condition: impl Fn(&DynamicObject) -> bool,
    ) -> Result<DynamicObject> {
        self.cluster.wait(kind, &self.name, name, condition).await
    }

    /// Waits until an object is ready, and a Certificate until nothing is left to do: cert-manager says that one is ready by
    /// another controller than by which it ends the issuance and counts the revision, sometimes before.
    ///
    /// # Errors
    /// As [`Cluster::wait`].
    pub async fn wait_ready(&self, kind: (&str, &str), name: &str) -> Result<DynamicObject> {
        self.wait(kind, name, |object| is_ready(object, "True", "") && !is_issuing(object)).await
    }

    /// Writes a part of an object's status by server-side apply, in nobody's name.
    ///
    /// # Errors
    /// What the server said.
    pub async fn patch_status(&self, kind: (&str, &str), name: &str, status: Value) -> Result<()> {
        let patch = json!({"apiVersion": kind.0, "kind": kind.1, "metadata": {"name": name}, "status": status});
        let params = PatchParams::apply("by-hand").force();
        self.api(kind)?.patch_status(name, &params, &Patch::Apply(patch)).await.map(|_| ()).map_err(Into::into)
    }

    /// All objects of a kind in this namespace.
    ///
    /// # Errors
    /// What the server said.
    pub async fn list(&self, kind: (&str, &str)) -> Result<Vec<DynamicObject>> {
        Ok(self.api(kind)?.list(&ListParams::default()).await?.items)
    }

    /// Where the history of a kind in this namespace stands, for [`Space::history`].
    ///
    /// # Errors
    /// What the server said.
    pub async fn now(&self, kind: (&str, &str)) -> Result<String> {
        let list = self.api(kind)?.list(&ListParams::default().limit(1)).await?;
        list.metadata.resource_version.context("the server gave no version")
    }

    /// Every state in which an object was stored after `since`, none left out, until one is as `condition` asks.
    ///
    /// # Errors
    /// Where none is so after [`PATIENCE`].
    pub async fn history(
        &self,
        kind: (&str, &str),
        name: &str,
        since: &str,
        condition: impl Fn(&DynamicObject) -> bool,
    ) -> Result<Vec<DynamicObject>> {
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let seen = self.api(kind)?.watch(&params, since).await?;
        let deadline = tokio::time::sleep(PATIENCE);
        pin_mut!(seen, deadline);
        let mut states = Vec::new();
        while let Either::Left((Some(event), _)) = select(seen.next(), &mut deadline).await {
            if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event? {
                let done = condition(&object);
                states.push(object);
                if done {
                    return Ok(states);
                }
            }
        }
        Err(anyhow!("{} {name} did not get there within {PATIENCE:?}: {states:?}", kind.1))
    }

    /// The API of a kind, such as [`CERTIFICATE`], in this namespace.
    ///
    /// # Errors
    /// Where the apiVersion is none.
    pub fn api(&self, kind: (&str, &str)) -> Result<Api<DynamicObject>> {
        let types = TypeMeta { api_version: kind.0.to_owned(), kind: kind.1.to_owned() };
        self.cluster.api(&types, &self.name)
    }

    /// The Secrets of this namespace.
    #[must_use]
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    /// One entry of a Secret, as text.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn secret(&self, name: &str, key: &str) -> Result<String> {
        let [value] = self.secret_of(name, [key]).await?;
        Ok(value)
    }

    /// The values of several keys of a Secret, all as they were at one time.
    ///
    /// # Errors
    /// Where one of them is not there, or no text.
    pub async fn secret_of<const N: usize>(&self, name: &str, keys: [&str; N]) -> Result<[String; N]> {
        let mut data = self.secrets().get(name).await?.data.unwrap_or_default();
        let mut values = [const { String::new() }; N];
        for (value, key) in values.iter_mut().zip(keys) {
            let found = data.remove(key).with_context(|| format!("the Secret {}/{name} has no {key}", self.name))?;
            *value = String::from_utf8(found.0)?;
        }
        Ok(values)
    }

    /// Writes a TLS Secret: certificates, key and, if given, roots, each in PEM.
    ///
    /// # Errors
    /// What the server said.
    pub async fn put_tls(&self, name: &str, certificates: &str, key: &str, roots: Option<&str>) -> Result<()> {
        let mut data = json!({"tls.crt": certificates, "tls.key": key});
        if let Some(roots) = roots {
            data["ca.crt"] = roots.into();
        }
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "stringData": data,
        });
        self.apply(&secret.to_string()).await.map(|_| ())
    }
}
