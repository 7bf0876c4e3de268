//! A stand-in for mongod: TLS as the rendered mongod.conf asks for it, with an answer to whoever gets through.
//!
//! It reads the configuration strictly and stops at a key that it does not know, so that a misspelt one is found.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde::Deserialize;

use super::guest::Guest;

/// What it answers to the first bytes that reach it through TLS.
pub const ANSWER: &[u8] = b"hello from the database\n";

/// No peer is waited for longer than this.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    net: Net,
    #[serde(rename = "replication")]
    _replication: Option<Replication>,
    security: Option<Security>,
    #[serde(rename = "storage")]
    _storage: Storage,
    #[serde(rename = "systemLog")]
    _system_log: SystemLog,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Net {
    #[serde(rename = "bindIp")]
    _bind_ip: std::net::IpAddr,
    #[serde(rename = "port")]
    _port: u16,
    tls: Tls,
}

/// Members of a set do not speak with one another here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Replication {
    #[serde(rename = "replSetName")]
    _repl_set_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Security {
    cluster_auth_mode: ClusterAuthMode,
    key_file: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ClusterAuthMode {
    KeyFile,
    X509,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Tls {
    mode: String,
    certificate_key_file: String,
    cluster_file: Option<String>,
    #[serde(rename = "CAFile")]
    ca_file: String,
    #[serde(default)]
    allow_connections_without_certificates: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Storage {
    #[serde(rename = "dbPath")]
    _db_path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SystemLog {
    #[serde(rename = "destination")]
    _destination: String,
    #[serde(rename = "path")]
    _path: String,
    #[serde(rename = "logAppend")]
    _log_append: bool,
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Mongod {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mongod {
    /// Starts on a free port of the loopback interface, with the guest's /etc/mongod.conf and the files that it names.
    ///
    /// # Errors
    /// Where the configuration or a file is not what it should be.
    pub fn start(guest: &Guest) -> Result<Self> {
        let tls = Arc::new(read_config(guest)?);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                // A peer that is refused or goes away is no error of the server's.
                let _ = stream.map_err(anyhow::Error::from).and_then(|stream| serve(stream, tls.clone()));
            }
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener; it looks at the flag then.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read_config(guest: &Guest) -> Result<ServerConfig> {
    let path = guest.path("/etc/mongod.conf")?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let config: Config = serde_yaml::from_str(&text).context("mongod.conf")?;
    let Tls { mode, certificate_key_file, cluster_file, ca_file, allow_connections_without_certificates } =
        config.net.tls;
    if let Some(security) = config.security
        && (security.cluster_auth_mode == ClusterAuthMode::KeyFile) != security.key_file.is_some()
    {
        bail!("mongod.conf: security.keyFile and clusterAuthMode do not belong together");
    }
    if let Some(file) = cluster_file {
        // What it would show the other members.
        PrivateKeyDer::from_pem_file(guest.path(&file)?)?;
    }
    if mode != "requireTLS" {
        bail!("mongod.conf: net.tls.mode is {mode}; only requireTLS stands for itself here");
    }
    let pem = guest.path(&certificate_key_file)?;
    let roots = read_roots(&guest.path(&ca_file)?)?;
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
    let verifier =
        if allow_connections_without_certificates { verifier.allow_unauthenticated() } else { verifier }.build()?;
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(read_chain(&pem)?, PrivateKeyDer::from_pem_file(&pem)?)?;
    Ok(config)
}

/// The certificates of a PEM file, in order.
pub(crate) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(path).with_context(|| format!("{}", path.display()))?;
    Ok(chain.collect::<Result<_, _>>()?)
}

/// The certificates of a PEM file, as those to trust.
pub(crate) fn read_roots(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(path)? {
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        bail!("{} holds no certificate", path.display());
    }
    Ok(roots)
}

fn serve(stream: TcpStream, tls: Arc<ServerConfig>) -> Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut stream = StreamOwned::new(ServerConnection::new(tls)?, stream);
    stream.read_exact(&mut [0])?;
    stream.write_all(ANSWER)?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}
