//! What is read from a cluster, with the user's own rights: Secrets by their names.

use std::{future::Future, path::Path, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tandem_cli::shown;
use zeroize::Zeroizing;

use crate::probe::secret::{Entries, Material};

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectId {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::str::FromStr for ObjectId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('/')
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains('/'));
        let (namespace, name) = parts
            .ok_or_else(|| format!("`{}` is not NAMESPACE/NAME; write both, such as shop/orders-tls", shown(text)))?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Runs what speaks to the API server, on this thread.
///
/// # Errors
/// What it says, or that there is no runtime for it.
pub(crate) fn run<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(work)
}

/// A client for the cluster of the kubeconfig, or the one that kubectl would find, or that this pod is in. No answer is
/// waited for longer than `timeout`.
///
/// # Errors
/// In words.
pub(crate) async fn connect(kubeconfig: Option<&Path>, timeout: Duration) -> Result<Client, String> {
    let advice = "name another one with --kubeconfig or $KUBECONFIG";
    let mut config = match kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path).map_err(|error| format!("the kubeconfig: {error}; {advice}"))?;
            let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
            config.map_err(|error| format!("the kubeconfig: {error}; {advice}"))?
        }
        None => Config::infer().await.map_err(|error| format!("no cluster was found: {error}; {advice}"))?,
    };
    (config.connect_timeout, config.read_timeout, config.write_timeout) = (Some(timeout), Some(timeout), Some(timeout));
    Client::try_from(config).map_err(|error| format!("the client for the API server: {error}"))
}

/// A TLS Secret.
///
/// # Errors
/// In words.
pub(crate) async fn secret(client: &Client, id: &ObjectId) -> Result<Material, String> {
    let title = format!("the Secret {id}");
    let api: Api<Secret> = Api::namespaced(client.clone(), &id.namespace);
    let mut data = api.get(&id.name).await.map_err(|error| unread(&title, &error))?.data.unwrap_or_default();
    let key = data.remove("tls.key").map(|bytes| Zeroizing::new(bytes.0));
    let mut other = |key: &str| data.remove(key).map(|bytes| bytes.0);
    Material::read(&title, Entries { certificate: other("tls.crt"), key, authorities: other("ca.crt") })
}

/// Why an object was not read.
pub(crate) fn unread(what: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.is_not_found() => format!("{what} does not exist"),
        kube::Error::Api(status) => format!("{what} cannot be read: {}", status.message),
        error => format!("{what} cannot be read: {error}"),
    }
}
