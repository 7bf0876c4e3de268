//! Secrets made on the spot, and the servers that serve them.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tempfile::TempDir;

use crate::support::{LIMIT, end, output, said};

/// The name that certificates are for unless a test says otherwise.
pub(crate) const NAME: &str = "orders.shop.svc";

pub(crate) type Ca = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server's certificate from 2026 to 2036.
pub(crate) fn leaf() -> CertificateParams {
    let mut params = CertificateParams::new(vec![NAME.to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, NAME);
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2036, 1, 1));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.use_authority_key_identifier_extension = true;
    params
}

pub(crate) fn client_usage() -> Vec<ExtendedKeyUsagePurpose> {
    vec![ExtendedKeyUsagePurpose::ClientAuth]
}

/// A folder with tls.crt, tls.key and ca.crt.
pub(crate) fn secret(ca: &Ca, params: &CertificateParams) -> TempDir {
    let key = KeyPair::generate().unwrap();
    write_secret(&params.signed_by(&key, ca).unwrap().pem(), &key, &ca.as_ref().pem())
}

pub(crate) fn write_secret(certificate: &str, key: &KeyPair, ca: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in [("tls.crt", certificate), ("tls.key", &key.serialize_pem()), ("ca.crt", ca)] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// A Secret that a client shows.
pub(crate) fn client(ca: &Ca, user: &str) -> TempDir {
    let mut params = leaf();
    params.distinguished_name.push(DnType::CommonName, user);
    params.extended_key_usages = client_usage();
    secret(ca, &params)
}

/// How a server in this process serves a Secret's certificate, to clients with one of the same CA and, unless that is required, to
/// those without.
pub(crate) fn server_config(
    secret: &Path,
    required: bool,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(secret.join("ca.crt")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = if required { verifier } else { verifier.allow_unauthenticated() }.build().unwrap();
    serving(secret, verifier, versions)
}

/// The same, which asks no client for a certificate.
pub(crate) fn unasking_config(secret: &Path, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    serving(secret, WebPkiClientVerifier::no_client_auth(), versions)
}

fn serving(
    secret: &Path,
    verifier: Arc<dyn ClientCertVerifier>,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(secret.join("tls.crt")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(secret.join("tls.key")).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap()
}

/// A process that is ended and waited for on drop, with the folder of its files.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    _folder: Option<TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// `openssl s_server` with a Secret's certificate, on a port that it says.
pub(crate) fn s_server(secret: &Path, more: &[&str]) -> Server {
    let mut child = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "tls.crt", "-key", "tls.key", "-CAfile", "ca.crt"])
        .args(more)
        .current_dir(secret)
        // It would read from here what to send.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (send, port) = channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // To the end: what it says of each connection must go somewhere, or it stops.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(address) = line.trim().strip_prefix("ACCEPT ") {
                let _ = send.send(address.rsplit_once(':').unwrap().1.parse().unwrap());
            }
        }
    });
    let port = port.recv_timeout(LIMIT).expect("openssl s_server does not start");
    Server { child, port, _folder: None }
}

/// A program that listens on a port that it is told: one that was free a moment ago, and another where it is no more.
pub(crate) fn listening(name: &str, mut start: impl FnMut(u16) -> Command, folder: TempDir) -> Server {
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = folder.path().join("log");
        let mut command = start(port);
        let file = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            // PostgreSQL and Redis say so, the one when it has listened for a while; nginx says how it will wait for events.
            let said = fs::read_to_string(&log).unwrap();
            if said.contains("eady to accept connections") || said.contains("event method") {
                return Server { child, port, _folder: Some(folder) };
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        end(&mut child);
    }
    panic!("{name} does not start: {}", fs::read_to_string(folder.path().join("log")).unwrap_or_default())
}

/// Redis, real.
pub(crate) fn redis(program: &Path, secret: &Path, auth_clients: &str, plaintext: bool) -> Server {
    let folder = TempDir::new().unwrap();
    let start = |port: u16| {
        let mut command = Command::new(program);
        let (tls, plain) = if plaintext { (0, port) } else { (port, 0) };
        command.args([
            "--port",
            &plain.to_string(),
            "--tls-port",
            &tls.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ]);
        command.args(["--tls-auth-clients", auth_clients]).current_dir(secret);
        command.args(["--tls-cert-file", "tls.crt", "--tls-key-file", "tls.key", "--tls-ca-cert-file", "ca.crt"]);
        command
    };
    listening("redis-server", start, folder)
}

/// nginx, real, as one process with these settings of its server.
pub(crate) fn nginx(program: &Path, secret: &Path, listen: &str, settings: &str) -> Server {
    let folder = TempDir::new().unwrap();
    let at = folder.path().to_owned();
    let start = |port: u16| {
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String = kinds.map(|kind| format!("{kind}_temp_path {kind};\n")).concat();
        let conf = format!(
            "daemon off;\nmaster_process off;\npid pid;\nerror_log stderr notice;\nevents {{}}\nhttp {{\naccess_log \
             off;\n{temporary}server {{\nlisten 127.0.0.1:{port} {listen};\nssl_certificate {0}/tls.crt;\nssl_certificate_key \
             {0}/tls.key;\n{settings}\nlocation / {{ return 204; }}\n}}\n}}\n",
            secret.display()
        );
        fs::write(at.join("conf"), conf).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(&at).args(["-c", "conf", "-e", "stderr"]);
        command
    };
    listening("nginx", start, folder)
}

/// PostgreSQL, real, with `pg_hba.conf` and settings. It refuses to run as root: then it runs as nobody.
pub(crate) fn postgresql(bin: &Path, secret: &Path, hba: &str, settings: &[&str]) -> Server {
    const NOBODY: u32 = 65534;
    let root = fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).unwrap() == 0;
    let folder = TempDir::new().unwrap();
    let own = |path: &Path| {
        if root {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap()
        }
    };
    let unprivileged = |program: &str| {
        let mut command = Command::new(bin.join(program));
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir(folder.path());
        command
    };
    own(folder.path());
    let data = folder.path().join("data");
    let made = output(
        unprivileged("initdb")
            .args(["--no-sync", "--no-locale", "--auth=trust", "--username=postgres", "-D"])
            .arg(&data),
    );
    assert!(made.status.success(), "{}", said(&made));
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        let copy = folder.path().join(name);
        fs::copy(secret.join(name), &copy).unwrap();
        fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        own(&copy);
    }
    let hba_file = folder.path().join("hba");
    fs::write(&hba_file, hba).unwrap();
    own(&hba_file);
    let path = folder.path().to_owned();
    let start = move |port: u16| {
        let mut command = Command::new(bin.join("postgres"));
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"]).arg(&path);
        let file = |name: &str| path.join(name).display().to_string();
        for setting in [
            format!("ssl_cert_file={}", file("tls.crt")),
            format!("ssl_key_file={}", file("tls.key")),
            format!("ssl_ca_file={}", file("ca.crt")),
            format!("hba_file={}", file("hba")),
            "fsync=off".to_owned(),
        ] {
            command.args(["-c", &setting]);
        }
        for setting in settings {
            command.args(["-c", setting]);
        }
        command.current_dir(&path);
        command
    };
    listening("postgres", start, folder)
}

/// Where PostgreSQL's programs are: Debian keeps them out of the path.
pub(crate) fn postgresql_programs() -> Option<PathBuf> {
    let versions =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = versions
        .chain(std::env::split_paths(&paths))
        .find(|folder| ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file()));
    if found.is_none() {
        crate::support::skipped("postgresql is not installed");
    }
    found
}

/// A server in this process that does with each connection what a test says, in a thread of its own.
pub(crate) struct Spoken {
    pub(crate) port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Spoken {
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, serve) = (Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let stopping = stop.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, serve) = (stream.unwrap(), serve.clone());
                // Whatever a test's server does, it ends with its peer.
                stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
                std::thread::spawn(move || serve(stream));
            }
        });
        Self { port, stop, thread: Some(thread) }
    }
}

impl Drop for Spoken {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Reads until the peer has gone.
pub(crate) fn drain(stream: &mut TcpStream) {
    let _ = std::io::copy(stream, &mut std::io::sink());
}

/// Sends without end, until the peer has gone.
pub(crate) fn flood(stream: &mut TcpStream, bytes: &[u8]) {
    while stream.write_all(bytes).is_ok() {}
}

/// Passes on what two peers say to one another, but no more than `limit` bytes of the server's.
pub(crate) fn pass_on(client: TcpStream, server: TcpStream, limit: u64) {
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    let _ = std::io::copy(&mut server.take(limit), &mut { client });
}

/// A server that answers TLS of this version, and then does as it is told.
pub(crate) fn tls(
    secret: &Path,
    required: bool,
    version: &'static SupportedProtocolVersion,
    then: impl Fn(ServerConnection, TcpStream) + Send + Sync + 'static,
) -> Spoken {
    after_handshake(server_config(secret, required, &[version]), then)
}

/// A server that does as it is told once the handshake is done. With session tickets it would have said that it goes on: it sends none.
pub(crate) fn after_handshake(
    mut config: ServerConfig,
    then: impl Fn(ServerConnection, TcpStream) + Send + Sync + 'static,
) -> Spoken {
    config.send_tls13_tickets = 0;
    let config = Arc::new(config);
    Spoken::start(move |mut stream| {
        let mut tls = ServerConnection::new(config.clone()).unwrap();
        while tls.is_handshaking() {
            // Of a peer that is refused an alert has been sent.
            if tls.complete_io(&mut stream).is_err() {
                return;
            }
        }
        then(tls, stream);
    })
}
