//! [Toxiproxy](https://github.com/Shopify/toxiproxy) between the issuer and the API server: it knows nothing of HTTP nor
//! of TLS, and harms connections as networks do. Its API is described in its README.

use std::{net::TcpListener, process::Command};

use anyhow::{Context, Result};
use http_body_util::BodyExt;
use hyper::{Method, Request};
use kube::{Client, Config, client::Body, config::Kubeconfig};
use serde_json::{Value, json};
use tokio::time::{Duration, interval, timeout};

use crate::{ControlPlane, cluster::PATIENCE, process::Process, tools};

/// A running Toxiproxy with one proxy, in front of a control plane's API server.
#[derive(Debug)]
pub struct Toxiproxy {
    /// The proxy's address. It does not touch TLS: the server's certificate names the IP address that both share.
    pub url: String,
    api: String,
    _process: Process,
}

/// Where a toxic works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// From the issuer to the server.
    Up,
    /// From the server to the issuer: what was asked for is carried out.
    Down,
}

impl Toxiproxy {
    /// Starts it.
    ///
    /// # Errors
    /// Where it cannot be built or does not start.
    pub async fn start(control_plane: &ControlPlane) -> Result<Self> {
        let program = tools::toxiproxy()?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.env("LOG_LEVEL", "disabled").args(["-host", "127.0.0.1", "-port", &port.to_string()]);
        let process = Process::start(&mut command, &control_plane.folder().join("toxiproxy.log"), None)?;
        let mut this = Self { url: String::new(), api: format!("http://127.0.0.1:{port}"), _process: process };
        let mut look = interval(Duration::from_millis(20));
        let answers = async {
            while this.call(Method::GET, "/version", None).await.is_err() {
                look.tick().await;
            }
        };
        timeout(PATIENCE, answers).await.context("Toxiproxy does not answer")?;

        let kubeconfig = serde_json::to_value(Kubeconfig::read_from(control_plane.kubeconfig())?)?;
        let server = kubeconfig["clusters"][0]["cluster"]["server"].as_str().context("no server")?;
        let upstream = server.strip_prefix("https://").context("no TLS")?;
        let proxy = json!({"name": "api", "listen": "127.0.0.1:0", "upstream": upstream});
        let made = this.call(Method::POST, "/proxies", Some(proxy)).await?;
        this.url = format!("https://{}", made["listen"].as_str().context("no address")?);
        Ok(this)
    }

    /// Adds a toxic of a type with its attributes to all connections, those that are open as well.
    ///
    /// # Errors
    /// What Toxiproxy said.
    pub async fn poison(&self, type_: &str, stream: Stream, attributes: &Value) -> Result<()> {
        let stream = if stream == Stream::Up { "upstream" } else { "downstream" };
        let toxic = json!({"type": type_, "stream": stream, "toxicity": 1.0, "attributes": attributes});
        self.call(Method::POST, "/proxies/api/toxics", Some(toxic)).await.map(|_| ())
    }

    /// Ends all connections, and takes no new ones until [`Toxiproxy::heal`].
    ///
    /// # Errors
    /// What Toxiproxy said.
    pub async fn cut(&self) -> Result<()> {
        self.call(Method::POST, "/proxies/api", Some(json!({"enabled": false}))).await.map(|_| ())
    }

    /// Takes all toxics away.
    ///
    /// # Errors
    /// What Toxiproxy said.
    pub async fn heal(&self) -> Result<()> {
        self.call(Method::POST, "/reset", None).await.map(|_| ())
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let mut config = Config::new(self.api.parse()?);
        config.default_retry = false;
        let request = Request::builder().method(method).uri(path).body(Body::from(body))?;
        let (head, body) = Client::try_from(config)?.send(request).await?.into_parts();
        let text = body.collect().await?.to_bytes();
        anyhow::ensure!(head.status.is_success(), "{path}: {}: {}", head.status, String::from_utf8_lossy(&text));
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }
}

/// A port that is free at this moment.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
