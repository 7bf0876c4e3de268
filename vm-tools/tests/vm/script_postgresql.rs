//! `tandem-tls --reload` and the real PostgreSQL.

use std::fs;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use tandem_vm::guest::{Reload, StartTls};

use crate::live::{Lines, Live, Server, as_server, same_certificate, served, server_user, takes_clients};
use crate::secret::{Secret, authority, secret, tells_no_secret};
use crate::support::{output, said, tool};
use crate::verify::servers::postgresql_programs;

/// What Debian's clusters are instances of.
const UNIT: &str = "postgresql@.service";

/// `systemctl` stands in here for systemd, which runs in real guests only. It says that the service is in this state, notes down
/// what it is told, and, after what is to be done first, reloads the server, which is real, as the packages' units do.
pub(crate) fn systemctl(live: &Live, state: &str, first: &str) {
    let (calls, data) = (live.text("calls"), live.text("data"));
    let reload = format!("echo \"$*\" >>{calls}; {first} kill -HUP \"$(head -n 1 {data}/postmaster.pid)\"");
    live.program("systemctl", &format!("case $1 in is-active) echo {state} ;; *) {reload} ;; esac"));
}

struct Database {
    live: Live,
    server: Server,
}

impl Database {
    /// A server with TLS, started with this Secret.
    fn start(secret: &Secret) -> Option<Self> {
        let programs = postgresql_programs()?;
        let live = Live::new();
        let (data, user) = (live.text("data"), server_user());
        fs::create_dir(&data).unwrap();
        assert!(output(Command::new("chown").args([&user, &data])).status.success());
        let done = output(as_server(programs.join("initdb")).args([
            "-D",
            &data,
            "-A",
            "trust",
            "-U",
            "test",
            "--no-sync",
            "--no-locale",
        ]));
        assert!(done.status.success(), "{}", said(&done));
        let folder = live.text("tls");
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\nssl = on\n\
             ssl_cert_file = '{folder}/tls.crt'\nssl_key_file = '{folder}/tls.key'\nssl_ca_file = '{folder}/ca.crt'\n"
        );
        let file = fs::OpenOptions::new().append(true).open(format!("{data}/postgresql.conf"));
        file.unwrap().write_all(settings.as_bytes()).unwrap();
        let configure = |port| {
            let mut tls = live.tls(Reload::PostgreSql, port, StartTls::PostgreSql);
            tls.before = vec![UNIT.to_owned()];
            live.configure(&tls);
        };
        configure(1);
        systemctl(&live, "inactive", "");
        live.renew(secret);
        live.boot();
        let server = Server::start(&live.path("log"), |port| {
            let mut command = as_server(programs.join("postgres"));
            command.args(["-D", &data, "-p", &port.to_string()]);
            command
        });
        takes_clients(&live.path("log"));
        configure(server.port);
        systemctl(&live, "active", "");
        // The server has read them as it started.
        live.tick_is_silent();
        Some(Self { live, server })
    }

    fn serves(&self, secret: &Secret) -> bool {
        same_certificate(&served(self.server.port, StartTls::PostgreSql), &secret.chain)
    }

    fn reloads(&self) -> usize {
        self.live.read("log").matches("received SIGHUP").count()
    }

    /// A client that verifies everything, with its connection open.
    fn session(&self, secret: &Secret) -> Session {
        self.live.write("client-ca.crt", &secret.ca, 0o644);
        let mut child = Command::new(tool("psql").unwrap())
            .arg(format!(
                "host=localhost hostaddr=127.0.0.1 port={} user=test dbname=postgres sslmode=verify-full sslrootcert={}",
                self.server.port,
                self.live.text("client-ca.crt")
            ))
            .args(["-X", "-A", "-t", "-q"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, answers) = (child.stdin.take().unwrap(), Lines::of(child.stdout.take().unwrap()));
        Session { child, input, answers }
    }
}

struct Session {
    child: Child,
    input: ChildStdin,
    answers: Lines,
}

impl Session {
    /// The server's process for this connection; a connection of its own has another.
    fn backend(&mut self) -> String {
        writeln!(self.input, "select pg_backend_pid(), ssl from pg_stat_ssl where pid = pg_backend_pid();").unwrap();
        let line = self.answers.next();
        assert!(line.ends_with("|t"), "no answer over TLS: {line:?}");
        line
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_renewed_secret_is_served_and_no_connection_dropped() {
    let authority = authority();
    let (old, new) = (secret(&authority), secret(&authority));
    let Some(database) = Database::start(&old) else { return };
    assert!(database.serves(&old));
    let mut session = database.session(&old);
    let backend = session.backend();
    database.live.tick_is_silent();
    database.live.renew(&new);
    let said = database.live.tick_says(0, &["installed ", "the service has taken them (postgresql)", "notAfter="]);
    assert!(!said.contains("PRIVATE"), "{said}");
    assert_eq!(database.live.read("calls"), "reload postgresql@*.service\n", "not all instances are told, and once");
    assert!(database.serves(&new));
    assert_eq!(session.backend(), backend, "the connection was dropped");
    let reloads = database.reloads();
    database.live.tick_is_silent();
    assert_eq!(database.reloads(), reloads, "told again without need");
    // Another client comes in by the new certificate.
    assert_ne!(database.session(&new).backend(), backend);
}

#[test]
fn a_renewal_by_a_new_authority_is_taken_as_well() {
    let (old, new) = (secret(&authority()), secret(&authority()));
    let Some(database) = Database::start(&old) else { return };
    database.live.renew(&new);
    database.live.tick_says(0, &["the service has taken them"]);
    assert!(database.serves(&new));
    database.session(&new).backend();
}

#[test]
fn the_key_of_another_certificate_leaves_the_old_one_served_and_is_reported_once() {
    let authority = authority();
    let (old, other, new) = (secret(&authority), secret(&authority), secret(&authority));
    let Some(database) = Database::start(&old) else { return };
    let live = &database.live;
    let before = (live.read("tls/tls.crt"), live.read("tls/tls.key"), database.reloads());
    let broken = Secret { key: other.key, ..new.clone() };
    live.renew(&broken);
    live.tick_says(1, &["tls.key is not the key of tls.crt", "the files in place were not touched"]);
    assert!(database.serves(&old));
    assert_eq!((live.read("tls/tls.crt"), live.read("tls/tls.key"), database.reloads()), before);
    live.tick_is_silent();
    live.tick_is_silent();
    live.two_hours_pass();
    live.tick_says(1, &["tls.key is not the key of tls.crt"]);
    // Other broken content is another matter.
    live.renew(&Secret { chain: String::new(), ..broken });
    live.tick_says(1, &["tls.crt is missing or empty"]);
    live.tick_is_silent();
    live.renew(&new);
    live.tick_says(0, &["the service has taken them"]);
    assert!(database.serves(&new));
    live.tick_is_silent();
}

/// A certificate that is right in itself, and that OpenSSL's security level, as Debian sets it, keeps a server from using.
pub(crate) fn weak(live: &Live) -> Secret {
    let (key, crt) = (live.text("weak.key"), live.text("weak.crt"));
    let mut command = Command::new(tool("openssl").unwrap());
    command.args(["req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "30", "-subj", "/CN=localhost"]);
    let done = output(command.args(["-keyout", &key, "-out", &crt]));
    assert!(done.status.success(), "{}", said(&done));
    Secret { key: live.read("weak.key"), chain: live.read("weak.crt"), ca: live.read("weak.crt") }
}

#[test]
fn what_the_server_refuses_brings_the_old_files_back() {
    let authority = authority();
    let (old, new) = (secret(&authority), secret(&authority));
    let Some(database) = Database::start(&old) else { return };
    let live = &database.live;
    let mut session = database.session(&old);
    let backend = session.backend();
    let refused = weak(live);
    live.renew(&refused);
    let done = live.tick("1");
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    for words in ["serves another certificate than the one in place", "the old files are back in place, and served"] {
        assert!(said(&done).contains(words), "{}", said(&done));
    }
    tells_no_secret(&done, &refused);
    assert!(live.read("log").contains("ee key too small"), "it was refused for another reason: {}", live.read("log"));
    assert_eq!(
        (live.read("tls/tls.crt"), live.read("tls/tls.key"), live.read("tls/ca.crt")),
        (old.chain.clone(), old.key.clone(), old.ca.clone())
    );
    assert!(database.serves(&old));
    assert_eq!(session.backend(), backend);
    let reloads = database.reloads();
    live.tick_is_silent();
    assert_eq!(database.reloads(), reloads, "the server was bothered again");
    live.renew(&new);
    live.tick_says(0, &["the service has taken them"]);
    assert!(database.serves(&new));
    assert_eq!(session.backend(), backend);
}

#[test]
fn a_reload_that_fails_brings_the_old_files_back() {
    let authority = authority();
    let (old, new) = (secret(&authority), secret(&authority));
    let Some(database) = Database::start(&old) else { return };
    let live = &database.live;
    systemctl(live, "active", "exit 1;");
    live.renew(&new);
    live.tick_says(1, &["systemctl reload postgresql@*.service failed", "the old files are back in place, and served"]);
    assert_eq!(live.read("tls/tls.crt"), old.chain);
    assert!(database.serves(&old));
}

/// A server that is stopped reads the files when it starts; one that is on its way is told once it is there.
#[test]
fn a_service_that_does_not_run_is_not_told() {
    let authority = authority();
    let (old, new, newer) = (secret(&authority), secret(&authority), secret(&authority));
    let Some(database) = Database::start(&old) else { return };
    let live = &database.live;
    for (secret, state) in [(&new, "inactive"), (&newer, "activating")] {
        systemctl(live, state, "");
        live.renew(secret);
        live.tick_says(0, &["installed "]);
        assert_eq!(live.read("tls/tls.crt"), secret.chain);
        assert!(!live.path("calls").exists(), "told while {state}");
    }
    systemctl(live, "active", "");
    live.tick_says(0, &["unchanged", "the service has taken them"]);
    assert_eq!(live.read("calls"), "reload postgresql@*.service\n");
    assert!(database.serves(&newer));
}
