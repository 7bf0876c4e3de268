//! A proxy between the issuer and the API server that answers some requests by itself, as a server under strain would,
//! loses the answers of others, and breaks watches.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use futures::{AsyncBufReadExt, Stream, StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kube::{
    Client, Config,
    client::Body,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc, oneshot},
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
    /// It never reaches the server, and no answer ever comes; the connection stays open.
    Hang,
    /// The connection ends without an answer. The server has carried it out.
    Lost,
    /// No answer ever comes; the connection stays open. The server has carried it out.
    LostAndHang,
    /// Another path and query are asked for.
    Instead(String),
}

/// What happens to the watches that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchTrouble {
    /// They end, as the server ends them after some minutes.
    End,
    /// The next line ends in its middle, and with it the connection.
    MidLine,
    /// An empty line comes.
    EmptyLine,
    /// The next line is no JSON.
    Broken,
    /// The server no longer knows the version from which it goes on (`410 Gone` as an event), and ends the watch.
    Gone,
    /// Nothing comes any more; the connection stays open.
    Silence,
}

/// A request that came by, or a watch that met with trouble: when, its method and path, and whether it did.
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
    watches: broadcast::Sender<(WatchTrouble, &'static str)>,
    task: JoinHandle<()>,
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a request is answered with.
type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// What each request is passed on with.
#[derive(Clone)]
struct Way {
    client: Client,
    fault: Arc<Fault>,
    passed: mpsc::UnboundedSender<Passed>,
    watches: broadcast::Sender<(WatchTrouble, &'static str)>,
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
        let (watches, _) = broadcast::channel(16);
        let way = Way { client, fault: fault.into(), passed: sender, watches: watches.clone() };
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let way = way.clone();
                let serve = service_fn(move |request| forward(request, way.clone()));
                // Whoever hangs up has what he wanted.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
            }
        });
        Ok(Self { url, passed, watches, task })
    }

    /// Troubles all watches that run now and have `part` in their path.
    pub fn trouble_watches(&self, trouble: WatchTrouble, part: &'static str) {
        // Without a watch nobody hears it.
        let _ = self.watches.send((trouble, part));
    }
}

impl Way {
    fn tell(&self, what: String, troubled: bool) {
        // Whoever does not listen does not want to know.
        let _ = self.passed.send(Passed { at: Instant::now(), what, troubled });
    }
}

async fn forward(request: Request<Incoming>, way: Way) -> Result<Answer> {
    let (method, path) = (request.method().clone(), request.uri().to_string());
    let what = format!("{method} {path}");
    let is_watch = path.contains("watch=true");
    let trouble = (way.fault)(&method, &path);
    way.tell(what.clone(), !matches!(trouble, None | Some(Trouble::Instead(_))));
    let (mut head, body) = request.into_parts();
    if let Some(Trouble::Instead(path)) = &trouble {
        head.uri = path.parse()?;
    }
    let client = way.client.clone();
    let pass_on = async move {
        let body = body.collect().await?.to_bytes().to_vec();
        anyhow::Ok(client.send(Request::from_parts(head, Body::from(body))).await?)
    };
    let answer = match trouble {
        Some(Trouble::Answer(answer)) => answer,
        // On a task of its own, which does not end when the sender hangs up.
        Some(Trouble::Delay { until, done }) => {
            tokio::spawn(async move {
                until.await?;
                let answer = pass_on.await?;
                // Whoever does not listen does not want to know.
                let _ = done.send(answer.status());
                anyhow::Ok(answer)
            })
            .await??
        }
        Some(Trouble::Hang) => std::future::pending().await,
        Some(Trouble::Lost) => {
            let answer = pass_on.await?;
            bail!("nobody hears of {}", answer.status());
        }
        Some(Trouble::LostAndHang) => {
            pass_on.await?;
            std::future::pending().await
        }
        None | Some(Trouble::Instead(_)) => {
            let troubles = way.watches.subscribe();
            let answer = pass_on.await?;
            if is_watch && answer.status().is_success() {
                let (head, body) = answer.into_parts();
                let hit = what.clone();
                let lines = watch_lines(body, &what, troubles, move || way.tell(hit.clone(), true));
                return Ok(Response::from_parts(head, StreamBody::new(lines).boxed_unsync()));
            }
            answer
        }
    };
    Ok(answer.map(|body| body.map_err(io::Error::other).boxed_unsync()))
}

/// The lines of a watch, with what happens to them. `hit` is called when something does.
fn watch_lines(
    body: Body,
    what: &str,
    mut troubles: broadcast::Receiver<(WatchTrouble, &'static str)>,
    hit: impl Fn() + Send + 'static,
) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static {
    let data = TryStreamExt::map_err(body.into_data_stream(), io::Error::other);
    let mut lines = data.into_async_read().lines();
    let (sender, receiver) = mpsc::channel(1);
    let what = what.to_owned();
    tokio::spawn(async move {
        // What the next line will meet with.
        let mut next = None;
        loop {
            tokio::select! {
                biased;
                () = sender.closed() => break,
                trouble = troubles.recv() => {
                    // There are too few to lag behind; they end with the proxy.
                    let Ok((trouble, part)) = trouble else { break };
                    if !what.contains(part) {
                        continue;
                    }
                    if matches!(trouble, WatchTrouble::MidLine | WatchTrouble::Broken) {
                        next = Some(trouble);
                        continue;
                    }
                    hit();
                    match trouble {
                        WatchTrouble::EmptyLine => send(&sender, "\n".to_owned()).await,
                        WatchTrouble::Gone => {
                            let gone = serde_json::json!({"type": "ERROR", "object": status(410, None)});
                            send(&sender, format!("{gone}\n")).await;
                            break;
                        }
                        WatchTrouble::Silence => sender.closed().await,
                        _ => break,
                    }
                }
                line = lines.next() => {
                    let Some(Ok(line)) = line else { break };
                    let trouble = next.take();
                    if trouble.is_some() {
                        hit();
                    }
                    match trouble {
                        Some(WatchTrouble::MidLine) => {
                            send(&sender, line.chars().take(line.chars().count() / 2).collect()).await;
                            // Whoever has hung up needs no end.
                            let _ = sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                            break;
                        }
                        Some(_) => send(&sender, "{\"type\":\"MODIFIED\",\"object\":}\n".to_owned()).await,
                        None => send(&sender, format!("{line}\n")).await,
                    }
                }
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|frame| (frame, receiver)) })
}

async fn send(sender: &mpsc::Sender<io::Result<Frame<Bytes>>>, text: String) {
    // Whoever has hung up has what he wanted.
    let _ = sender.send(Ok(Frame::data(Bytes::from(text)))).await;
}

/// An answer as the API server gives it when it has too much to do, or is in trouble.
///
/// # Errors
/// Where the status is none.
pub fn trouble(code: u16, retry_after: Option<Duration>) -> Result<Trouble> {
    let mut response = Response::builder().status(code).header("Content-Type", "application/json");
    if let Some(after) = retry_after {
        response = response.header("Retry-After", after.as_secs());
    }
    Ok(Trouble::Answer(response.body(Body::from(serde_json::to_vec(&status(code, retry_after))?))?))
}

/// Kubernetes' Status with this code.
fn status(code: u16, retry_after: Option<Duration>) -> serde_json::Value {
    let seconds = retry_after.map(|after| after.as_secs());
    let reason = match code {
        403 => "Forbidden",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 if seconds.is_some() => "ServerTimeout",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "in trouble", "reason": reason,
        "code": code, "details": {"retryAfterSeconds": seconds.unwrap_or_default()},
    })
}
