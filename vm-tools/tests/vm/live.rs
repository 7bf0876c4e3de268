//! A guest that runs: the script works on real paths beneath a folder, and tells real servers.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tandem_vm::guest::{Content, Endpoint, GuestTls, InstalledFile, Owner, Reload, Source, StartTls};
use tempfile::TempDir;

use crate::secret::{Secret, lay_out};
use crate::support::{LIMIT, end, output, said, tool};

/// Waits until something is there.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) struct Live {
    folder: TempDir,
    generation: Cell<u32>,
}

impl Live {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        // The server runs as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        Self { folder, generation: Cell::new(0) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Three separate files, the key for the server's user, and a server at this port.
    pub(crate) fn tls(&self, reload: Reload, port: u16, start: StartTls) -> GuestTls {
        let file = |content, name: &str, mode| InstalledFile {
            content,
            path: self.text(&format!("tls/{name}")),
            owner: Some(Owner { user: server_user(), group: None }),
            mode,
        };
        let mut tls = GuestTls::files_only(Source::Filesystem { tag: "certificate".to_owned() }, "/unused");
        tls.files = vec![
            file(Content::Certificate, "tls.crt", 0o644),
            file(Content::Key, "tls.key", 0o400),
            file(Content::Ca, "ca.crt", 0o644),
        ];
        tls.endpoint = Some(Endpoint { address: format!("127.0.0.1:{port}"), start });
        tls.reload = reload;
        tls
    }

    /// Writes script and settings as cloud-init would, with what is not ours to change in /etc beneath the folder.
    pub(crate) fn configure(&self, tls: &GuestTls) {
        for file in tls.write_files().unwrap() {
            let name = file.path.rsplit('/').next().unwrap();
            let content = file.content.replace("COMMAND='/etc/tandem/", &format!("COMMAND='{}/", self.text("")));
            self.write(name, &content, u32::from_str_radix(file.permissions, 8).unwrap());
        }
    }

    pub(crate) fn write(&self, name: &str, content: &str, mode: u32) {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A program that is found before the system's own.
    pub(crate) fn program(&self, name: &str, text: &str) {
        self.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{text}\n"), 0o755);
    }

    pub(crate) fn renew(&self, secret: &Secret) {
        self.generation.set(self.generation.get() + 1);
        lay_out(&self.path("volume"), secret, &format!("..generation_{}", self.generation.get()));
    }

    pub(crate) fn command(&self) -> Command {
        let mut path = OsString::from(self.path("bin"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let mut command = Command::new("sh");
        command.env("PATH", path).env("RUNTIME_DIRECTORY", self.path("state")).arg(self.path("tandem-tls"));
        command.arg("--config").arg(self.path("tls.conf")).arg("--source").arg(self.path("volume"));
        command
    }

    /// As at boot, before the server starts.
    pub(crate) fn boot(&self) {
        let done = output(&mut self.command());
        assert!(done.status.success(), "{}", said(&done));
    }

    /// As the timer runs it; it waits this many seconds for what does not come.
    pub(crate) fn tick(&self, wait: &str) -> Output {
        output(self.command().args(["--reload", "--wait", wait]))
    }

    /// A run that ends with this status and says all of these.
    pub(crate) fn tick_says(&self, status: i32, expected: &[&str]) -> String {
        // A run that is to fail waits for nothing that comes.
        let done = self.tick(if status == 0 { "10" } else { "1" });
        let said = said(&done);
        assert_eq!(done.status.code(), Some(status), "{said}");
        for words in expected {
            assert!(said.contains(words), "'{words}' is not in: {said}");
        }
        said
    }

    /// A run that finds nothing to do, or nothing that it has not said already.
    pub(crate) fn tick_is_silent(&self) {
        let done = self.tick("10");
        assert_eq!((done.status.code(), said(&done).as_str()), (Some(0), ""));
    }

    /// As if two hours had passed since something was refused.
    pub(crate) fn two_hours_pass(&self) {
        assert!(
            output(Command::new("touch").args(["-d", "2 hours ago"]).arg(self.path("state/refused"))).status.success()
        );
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Who runs servers: not root, which PostgreSQL refuses.
pub(crate) fn server_user() -> String {
    if is_root() {
        return "nobody".to_owned();
    }
    said(&output(Command::new("id").arg("-un"))).trim().to_owned()
}

/// A command of that user's.
pub(crate) fn as_server(program: impl AsRef<Path>) -> Command {
    if !is_root() {
        return Command::new(program.as_ref());
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .arg(program.as_ref())
        .env("HOME", "/nonexistent");
    command
}

/// A server's process, ended when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts a server on a free port, and again where somebody else was faster to take that port.
    pub(crate) fn start(log: &Path, command: impl Fn(u16) -> Command) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let mut command = command(port);
            let log = fs::File::create(log).unwrap();
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let mut child = command.spawn().unwrap();
            let answers = eventually("a server that answers", || match child.try_wait().unwrap() {
                Some(_) => Some(false),
                None => TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(true),
            });
            if answers {
                return Self { child, port };
            }
        }
        panic!("the server does not start: {}", fs::read_to_string(log).unwrap());
    }
}

/// PostgreSQL listens for a while before it takes anybody in.
pub(crate) fn takes_clients(log: &Path) {
    let said = || fs::read_to_string(log).unwrap().contains("ready to accept connections");
    eventually("a PostgreSQL that takes clients in", || said().then_some(()));
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// What a program says, line by line, read aside so that a silent one is noticed.
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    pub(crate) fn of(output: ChildStdout) -> Self {
        let (send, receive) = channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Self(receive)
    }

    pub(crate) fn next(&self) -> String {
        self.0.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("it says no more, within {LIMIT:?}: {error}"))
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The certificate that is served, as OpenSSL's client sees it, in PEM.
pub(crate) fn served(port: u16, start: StartTls) -> String {
    let mut command = Command::new(tool("openssl").unwrap());
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]).stdin(Stdio::null());
    if start == StartTls::PostgreSql {
        command.args(["-starttls", "postgres"]);
    }
    let said = said(&output(&mut command));
    let (begin, end) = ("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n");
    let (_, rest) = said.split_once(begin).unwrap_or_else(|| panic!("no certificate: {said}"));
    format!("{begin}{}{end}", rest.split_once(end).unwrap().0)
}

/// The same certificate, whatever its line ends and lengths.
pub(crate) fn same_certificate(a: &str, b: &str) -> bool {
    let bytes = |pem: &str| pem.split_whitespace().filter(|word| !word.contains('-')).collect::<String>();
    bytes(a) == bytes(b)
}
