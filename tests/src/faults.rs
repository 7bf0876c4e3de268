//! A proxy between the issuer and the API server that answers some requests by itself, as a server under strain would.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use http_body_util::BodyExt;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{
    Client, Config,
    client::Body,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::ControlPlane;

/// What happens to a request, by its method and its path with the query; `None` where it passes as it is.
pub type Fault = dyn Fn(&Method, &str) -> Option<Trouble> + Send + Sync;

/// What happens to a request in place of being passed on.
#[derive(Debug)]
pub enum Trouble {
    /// The proxy answers by itself.
    Answer(Response<Body>),
    /// It is passed on only when `until` is sent, whether or not its sender still waits; `done` has the server's answer.
    Delay {
        /// When to pass it on.
        until: oneshot::Receiver<()>,
        /// The HTTP status of the server's answer.
        done: oneshot::Sender<StatusCode>,
    },
}

/// A request that came by: when, its method and path, and whether the proxy answered it by itself.
#[derive(Clone, Debug)]
pub struct Passed {
    /// When it came.
    pub at: Instant,
    /// `METHOD /path?query`.
    pub what: String,
    /// Whether something happened to it.
    pub troubled: bool,
}

/// The running proxy, which ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    /// Its address, without TLS.
    pub url: String,
    /// What came by, in order.
    pub passed: mpsc::UnboundedReceiver<Passed>,
    task: JoinHandle<()>,
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FaultProxy {
    /// Starts it in front of a control plane. Callers keep their own tokens.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn start(control_plane: &ControlPlane, fault: Box<Fault>) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig())?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.auth_info = AuthInfo::default();
        config.default_retry = false;
        let client = Client::try_from(config)?;
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (sender, passed) = mpsc::unbounded_channel();
        let fault: Arc<Fault> = fault.into();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (client, fault, sender) = (client.clone(), fault.clone(), sender.clone());
                let serve = service_fn(move |request| forward(request, client.clone(), fault.clone(), sender.clone()));
                // Whoever hangs up has what he wanted.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
            }
        });
        Ok(Self { url, passed, task })
    }
}

async fn forward(
    request: Request<Incoming>,
    client: Client,
    fault: Arc<Fault>,
    sender: mpsc::UnboundedSender<Passed>,
) -> Result<Response<Body>> {
    let (method, path) = (request.method().clone(), request.uri().to_string());
    let trouble = fault(&method, &path);
    let _ = sender.send(Passed { at: Instant::now(), what: format!("{method} {path}"), troubled: trouble.is_some() });
    let pass_on = async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        anyhow::Ok(client.send(Request::from_parts(head, Body::from(body))).await?)
    };
    match trouble {
        None => pass_on.await,
        Some(Trouble::Answer(answer)) => Ok(answer),
        // On a task of its own, which does not end when the sender hangs up.
        Some(Trouble::Delay { until, done }) => {
            tokio::spawn(async move {
                until.await?;
                let answer = pass_on.await?;
                // Whoever does not listen does not want to know.
                let _ = done.send(answer.status());
                anyhow::Ok(answer)
            })
            .await?
        }
    }
}

/// An answer as the API server gives it when it has too much to do, or is in trouble.
///
/// # Errors
/// Where the status is none.
pub fn trouble(status: u16, retry_after: Option<Duration>) -> Result<Trouble> {
    let seconds = retry_after.map(|after| after.as_secs());
    let reason = match status {
        409 => "Conflict",
        429 => "TooManyRequests",
        500 if seconds.is_some() => "ServerTimeout",
        _ => "InternalError",
    };
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "in trouble", "reason": reason,
        "code": status, "details": {"retryAfterSeconds": seconds.unwrap_or_default()},
    });
    let mut response = Response::builder().status(status).header("Content-Type", "application/json");
    if let Some(seconds) = seconds {
        response = response.header("Retry-After", seconds);
    }
    Ok(Trouble::Answer(response.body(Body::from(serde_json::to_vec(&body)?))?))
}
