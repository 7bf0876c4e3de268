//! The way to the API server: how long it is waited for, watches that miss nothing, and statuses that are written.

use std::{path::Path, time::Duration};

use futures::{
    Stream, StreamExt,
    io::{copy_buf, sink},
    stream::{self, BoxStream},
};
use kube::{
    Api, Client, Config, Resource,
    api::{Patch, PatchParams},
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::watcher,
};
use serde_json::Value;
use tower::layer::layer_fn;

use crate::{context, controller::Error, metrics::api_calls::Counted, status::FIELD_MANAGER};

/// How long a connection may be silent while something is expected on it.
///
/// A server that is well says something within a minute: it gives up on a call after that time (kube-apiserver's
/// `--request-timeout`), and sends bookmarks on a watch on which nothing happens. Longer silence is a connection that
/// leads nowhere any more, of which TCP alone would not tell for a quarter of an hour. What waited on it is tried again:
/// calls as what fails otherwise, watches from where they were. Waits that the server asks for are not counted.
const SILENCE: Duration = Duration::from_secs(75);

/// A client for the cluster of the kubeconfig, or the one that kubectl would find.
pub(crate) async fn connect(kubeconfig: Option<&Path>) -> Result<Client, Error> {
    let mut config = match kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(Error::Kubeconfig)?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(Error::Kubeconfig)?
        }
        None => Config::infer().await.map_err(Error::NoCluster)?,
    };
    config.read_timeout = Some(SILENCE);
    // Counted from when a call is sent, not from when its connection was used last.
    config.reset_reader_on_write = true;
    let builder = ClientBuilder::try_from(config).map_err(Error::Client)?;
    Ok(builder.with_layer(&layer_fn(Counted::new)).build())
}

/// Applies a patch of an object's status, on the version of the object that it names; whether the object was still there.
///
/// # Errors
/// Where the object has changed since that version; what the server said.
pub(crate) async fn write_status<K: Resource>(
    api: &Api<K>,
    name: &str,
    client: &Client,
    patch: &Value,
) -> Result<bool, context::Error> {
    match send_status(api, name, client, patch).await {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(kube::Error::Api(status)) if status.is_conflict() => Err(context::Error::Changed),
        Err(error) => Err(context::Error::Api(error)),
    }
}

/// The answer is the whole object once more, which the watch brings: it is read to its end, for the connection's sake, and not
/// kept.
async fn send_status<K: Resource>(api: &Api<K>, name: &str, client: &Client, patch: &Value) -> Result<(), kube::Error> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let call = kube::core::Request::new(api.resource_url())
        .patch_subresource("status", name, &params, &Patch::Apply(patch))
        .map_err(kube::Error::BuildRequest)?;
    let answer = client.request_stream(call).await?;
    copy_buf(answer, &mut sink()).await.map_err(kube::Error::ReadEvents)?;
    Ok(())
}

/// The events of a watch that `start` starts, which is started anew where it would go on with something missing: see
/// [`misses_something`].
pub(crate) fn watched<T, S>(start: impl Fn() -> S) -> impl Stream<Item = watcher::Result<T>>
where
    S: Stream<Item = watcher::Result<T>> + Send + 'static,
{
    stream::unfold(None, move |running: Option<BoxStream<'static, watcher::Result<T>>>| {
        let mut events = running.unwrap_or_else(|| start().boxed());
        async move {
            let event = events.next().await?;
            let goes_on = !matches!(&event, Err(error) if misses_something(error));
            Some((event, goes_on.then_some(events)))
        }
    })
}

/// Whether kube's watch would not, after this error, list everything anew, although it has to: what stood in a line that
/// cannot be read is not repeated, and a version that the server has forgotten (410 Gone, which may also come as the
/// answer's status) it will never know again. Who was forbidden to watch, as everyone is for a moment by a server that has
/// just started, has to be told what there is: there may be nothing new to tell.
fn misses_something(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchFailed(kube::Error::SerdeError(_)) => true,
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 410 || status.is_forbidden(),
        watcher::Error::WatchError(status) => status.is_forbidden(),
        _ => false,
    }
}
