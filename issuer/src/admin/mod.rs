//! Probes and metrics over HTTP, where `--admin-address` asks for them.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while the process works, to its end: it is answered by the thread that does everything else |
//! | `/readyz` | 200 when all caches are synced, whether it leads or follows; else, and from SIGTERM on, 503. `?verbose` names each of them |
//! | `/metrics` | what [`crate::metrics`] has, for Prometheus |
//!
//! Nobody is asked who they are, so nothing is told that is a secret, and little that is of any use to others. A connection
//! is for one question, and ends after [`PATIENCE`], or when it is the oldest of too many: who holds connections open keeps no
//! probe waiting.

mod caches;
mod tls;

use std::{collections::VecDeque, convert::Infallible, net::SocketAddr, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::{args::AdminArgs, leader::Leadership, metrics::METRICS};
pub(crate) use caches::{CACHES, Caches, is_listed};
use tls::Tls;

/// How long a connection may take, with its handshake, its question and the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections there may be at once; one more ends the oldest. A probe takes milliseconds, so that it is not the
/// oldest of them even where others come by the hundred.
const CONNECTIONS: usize = 64;

/// The most bytes that the head of a question may have; the least that hyper takes.
const HEAD: usize = 8192;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("--admin-address {0}: {1}")]
    Address(String, #[source] std::io::Error),
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// A listening server.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    tls: Option<Tls>,
}

impl Admin {
    /// Listens where the arguments say, if they do.
    ///
    /// # Errors
    /// Where the address cannot be listened on, or the files for TLS do not fit.
    pub(crate) async fn bind(args: &AdminArgs) -> Result<Option<Self>, Error> {
        let Some(address) = &args.admin_address else { return Ok(None) };
        let failed = |error| Error::Address(address.to_string(), error);
        let listener = TcpListener::bind(&address.sockets()[..]).await.map_err(failed)?;
        let tls = match (&args.admin_tls_cert, &args.admin_tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::read(certificate.clone(), key.clone())?),
            _ => None,
        };
        let address: SocketAddr = listener.local_addr().map_err(failed)?;
        tracing::info!(%address, tls = tls.is_some(), "serving probes and metrics");
        Ok(Some(Self { listener, tls }))
    }

    /// Serves without end. `stopping` says whether work in hand is only finished.
    pub(crate) async fn serve(self, leadership: Leadership, stopping: impl Fn() -> bool + Clone + Send + 'static) {
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let acceptor = self.tls.as_ref().map(Tls::acceptor);
                    let (leadership, stopping) = (leadership.clone(), stopping.clone());
                    let state = move || State { leading: leadership.leading(), stopping: stopping() };
                    open.retain(|connection| !connection.is_finished());
                    if open.len() >= CONNECTIONS
                        && let Some(oldest) = open.pop_front()
                    {
                        oldest.abort();
                    }
                    // Whoever hangs up has what he wanted, and whoever is slow does not get it.
                    let connection = timeout(PATIENCE, converse(stream, acceptor, state));
                    open.push_back(tokio::spawn(connection).abort_handle());
                }
                // Too many open files, perhaps: it is no better at once.
                Err(error) => {
                    tracing::warn!(%error, "a connection for probes and metrics was not accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// How the process is, beside its caches.
#[derive(Clone, Copy)]
struct State {
    leading: bool,
    /// It was told to stop, and finishes what it has in hand.
    stopping: bool,
}

async fn converse(stream: TcpStream, acceptor: Option<tokio_rustls::TlsAcceptor>, state: impl Fn() -> State) {
    match acceptor {
        None => answer_one(stream, state).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => answer_one(stream, state).await,
            Err(error) => tracing::debug!(%error, "no TLS with whoever asks for probes or metrics"),
        },
    }
}

async fn answer_one(stream: impl AsyncRead + AsyncWrite + Unpin, state: impl Fn() -> State) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, &CACHES, state());
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut server = http1::Builder::new();
    let connection = server.keep_alive(false).max_buf_size(HEAD).serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a question about probes or metrics broke off");
    }
}

fn answer<B>(request: &Request<B>, caches: &Caches, state: State) -> Response<Full<Bytes>> {
    let is_known = matches!(request.uri().path(), "/livez" | "/readyz" | "/metrics");
    if !is_known {
        return plain(StatusCode::NOT_FOUND, "not here: /livez, /readyz and /metrics are\n".to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match request.uri().path() {
        "/livez" => plain(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => {
            let query = request.uri().query().unwrap_or_default();
            let verbose = query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="));
            readiness(caches, state, verbose)
        }
        _ => match METRICS.text(state.leading) {
            Ok(text) => {
                let mut answer = plain(StatusCode::OK, text);
                let type_ = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                answer.headers_mut().insert(CONTENT_TYPE, type_);
                answer
            }
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
    }
}

fn readiness(caches: &Caches, State { leading, stopping }: State, verbose: bool) -> Response<Full<Bytes>> {
    let states = caches.states();
    let ready = !stopping && !states.is_empty() && states.values().all(|synced| *synced);
    let role = if leading { "leading" } else { "following" };
    let mut text = String::new();
    for (name, synced) in states.iter().filter(|(_, synced)| verbose || !**synced) {
        text.push_str(&if *synced { format!("[+]{name} ok\n") } else { format!("[-]{name} not synced yet\n") });
    }
    if stopping {
        text.push_str("[-]shutdown: work in hand is finished\n");
    }
    text.push_str(&if ready { format!("ok: {role}\n") } else { format!("not ready; {role}\n") });
    plain(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    async fn ask(method: &str, path: &str, caches: &Caches, leading: bool) -> (u16, String) {
        ask_while(method, path, caches, State { leading, stopping: false }).await
    }

    async fn ask_while(method: &str, path: &str, caches: &Caches, state: State) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let answer = answer(&request, caches, state);
        let status = answer.status().as_u16();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn it_is_ready_when_all_caches_have_been_synced_whoever_leads() {
        let caches = Caches::default();
        let ready = |query: &'static str, leading| {
            let caches = &caches;
            async move { ask("GET", &format!("/readyz{query}"), caches, leading).await }
        };
        assert_eq!(ready("", true).await, (503, "not ready; leading\n".to_owned()), "nothing has begun");
        let (synced, stop) = (Arc::new(std::sync::atomic::AtomicBool::new(false)), std::sync::atomic::Ordering::SeqCst);
        let look = synced.clone();
        caches.add("secrets", || true);
        caches.add("requests", move || look.load(stop));
        caches.add("requests", || true);
        assert_eq!(ready("", false).await, (503, "[-]requests not synced yet\nnot ready; following\n".to_owned()));
        synced.store(true, stop);
        assert_eq!(ready("", false).await, (200, "ok: following\n".to_owned()));
        assert_eq!(ready("?verbose", true).await, (200, "[+]requests ok\n[+]secrets ok\nok: leading\n".to_owned()));
        // A cache stays synced: what comes later needs no time without probes.
        synced.store(false, stop);
        assert_eq!(ready("", true).await, (200, "ok: leading\n".to_owned()));
        assert_eq!(ask("GET", "/livez", &Caches::default(), false).await, (200, "ok\n".to_owned()));
    }

    /// It lives to its end, but nobody is sent to it any more.
    #[tokio::test]
    async fn it_is_not_ready_any_more_when_it_was_told_to_stop() {
        let caches = Caches::default();
        caches.add("requests", || true);
        let stopping = State { leading: true, stopping: true };
        let (status, text) = ask_while("GET", "/readyz", &caches, stopping).await;
        assert_eq!((status, &*text), (503, "[-]shutdown: work in hand is finished\nnot ready; leading\n"));
        assert_eq!(ask_while("GET", "/livez", &caches, stopping).await, (200, "ok\n".to_owned()));
        assert_eq!(ask_while("GET", "/metrics", &caches, stopping).await.0, 200);
    }

    #[tokio::test]
    async fn what_is_not_served_is_refused() {
        let caches = Caches::default();
        for (method, path, status) in [
            ("GET", "/", 404),
            ("GET", "/metrics/", 404),
            ("POST", "/debug", 404),
            ("POST", "/metrics", 405),
            ("DELETE", "/readyz", 405),
            ("HEAD", "/metrics", 200),
            ("GET", "/metrics?name[]=x", 200),
        ] {
            assert_eq!(ask(method, path, &caches, true).await.0, status, "{method} {path}");
        }
    }
}
