//! A proxy between the issuer and the API server that answers some requests by itself, as a server under strain would.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use http_body_util::BodyExt;
use hyper::{Method, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{
    Client, Config,
    client::Body,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

use crate::ControlPlane;

/// What the proxy answers in place of the server; `None` where it lets the request pass.
pub type Fault = dyn Fn(&Method, &str) -> Option<Response<Body>> + Send + Sync;

/// A request that came by: when, its method and path, and whether the proxy answered it by itself.
#[derive(Clone, Debug)]
pub struct Passed {
    /// When it came.
    pub at: Instant,
    /// `METHOD /path`.
    pub what: String,
    /// Whether it never reached the server.
    pub answered: bool,
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
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = fault(&method, &path);
    let _ = sender.send(Passed { at: Instant::now(), what: format!("{method} {path}"), answered: answer.is_some() });
    match answer {
        Some(answer) => Ok(answer),
        None => {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes().to_vec();
            Ok(client.send(Request::from_parts(head, Body::from(body))).await?)
        }
    }
}

/// An answer as the API server gives it when it has too much to do, or is in trouble.
///
/// # Errors
/// Where the status is none.
pub fn trouble(status: u16, retry_after: Option<Duration>) -> Result<Response<Body>> {
    let mut response = Response::builder().status(status);
    if let Some(after) = retry_after {
        response = response.header("Retry-After", after.as_secs());
    }
    Ok(response.body(Body::from(b"in trouble".to_vec()))?)
}
