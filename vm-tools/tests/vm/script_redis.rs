//! `tandem-tls --reload` and the real Redis.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use tandem_vm::guest::{Reload, StartTls};

use crate::live::{Lines, Live, Server, as_server, same_certificate, served, server_user};
use crate::secret::{Secret, authority, secret, secret_with};
use crate::support::{output, tool};

const PASSWORD: &str = "a pass'word \"with\" $everything";

struct Redis {
    live: Live,
    server: Server,
}

impl Redis {
    /// A server with TLS alone, a password, and a socket.
    fn start(secret: &Secret, more: &[&str], reload: impl Fn(&Live) -> Reload) -> Option<Self> {
        let (program, _) = (tool("redis-server")?, tool("redis-cli")?);
        let live = Live::new();
        live.configure(&live.tls(reload(&live), 1, StartTls::Direct));
        live.renew(secret);
        live.boot();
        fs::create_dir(live.path("run")).unwrap();
        assert!(output(Command::new("chown").arg(server_user()).arg(live.path("run"))).status.success());
        let server = Server::start(&live.path("log"), |port| {
            let mut command = as_server(&program);
            command.args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
            for (name, file) in [("cert", "tls.crt"), ("key", "tls.key"), ("ca-cert", "ca.crt")] {
                command.arg(format!("--tls-{name}-file")).arg(live.path("tls").join(file));
            }
            command.args(["--unixsocket", &live.text("run/socket"), "--requirepass", PASSWORD]).args(more);
            command
        });
        live.write("credentials", &format!("default\n{PASSWORD}\n"), 0o600);
        live.configure(&live.tls(reload(&live), server.port, StartTls::Direct));
        let redis = Self { live, server };
        redis.live.tick_says(0, &["unchanged", "the service has taken them"]);
        Some(redis)
    }

    fn serves(&self, secret: &Secret) -> bool {
        same_certificate(&served(self.server.port, StartTls::Direct), &secret.chain)
    }
}

fn by_socket(live: &Live) -> Reload {
    Reload::Redis { credentials: Some(live.text("credentials")), socket: Some(live.text("run/socket")) }
}

fn by_tls(live: &Live) -> Reload {
    Reload::Redis { credentials: Some(live.text("credentials")), socket: None }
}

/// A Secret of an authority of its own, fit for the script's client where the server asks for a certificate.
fn for_both() -> Secret {
    secret_with(&authority(), |it| it.extended_key_usages = vec![ServerAuth, ClientAuth])
}

/// Over TLS the script's own client has to get in before the change and after it, also when the authority changes.
#[test]
fn a_renewed_secret_is_served_by_another_authority_and_no_connection_dropped() {
    let (old, new) = (for_both(), for_both());
    let Some(redis) = Redis::start(&old, &[], by_tls) else { return };
    let live = &redis.live;
    for (name, text) in [("client.crt", &old.chain), ("client.key", &old.key), ("client-ca.crt", &old.ca)] {
        live.write(name, text, 0o600);
    }
    let mut client = Command::new(tool("redis-cli").unwrap())
        .env("REDISCLI_AUTH", PASSWORD)
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &redis.server.port.to_string(),
            "--tls",
            "--cacert",
            &live.text("client-ca.crt"),
        ])
        .args(["--cert", &live.text("client.crt"), "--key", &live.text("client.key")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, answers) = (client.stdin.take().unwrap(), Lines::of(client.stdout.take().unwrap()));
    // A connection's number, which another one would not have.
    let mut id = || {
        writeln!(input, "CLIENT ID").unwrap();
        let line = answers.next();
        assert!(line.trim().parse::<u64>().is_ok(), "{line:?}");
        line
    };
    let before = id();
    live.renew(&new);
    live.tick_says(0, &["installed ", "the service has taken them (redis)"]);
    assert!(redis.serves(&new));
    assert_eq!(id(), before, "the connection was dropped");
    live.tick_is_silent();
    client.kill().unwrap();
    client.wait().unwrap();
}

/// The real redis-cli, with its arguments noted down.
#[test]
fn the_password_is_in_no_argument_and_no_line() {
    let authority = authority();
    let (old, new) = (secret(&authority), secret(&authority));
    let Some(redis) = Redis::start(&old, &[], by_socket) else { return };
    let live = &redis.live;
    let real = tool("redis-cli").unwrap();
    live.program("redis-cli", &format!("echo \"$*\" >>{}\nexec {} \"$@\"", live.text("calls"), real.display()));
    live.renew(&new);
    let said = live.tick_says(0, &["the service has taken them"]);
    assert!(redis.serves(&new));
    let calls = live.read("calls");
    assert!(calls.contains("CONFIG SET tls-cert-file") && calls.contains("--user default"), "{calls}");
    assert!(!calls.contains("word") && !said.contains("word"), "{calls}{said}");
}

#[test]
fn a_wrong_password_brings_the_old_files_back_and_is_said() {
    let authority = authority();
    let (old, new) = (secret(&authority), secret(&authority));
    let Some(redis) = Redis::start(&old, &[], by_socket) else { return };
    let live = &redis.live;
    for (content, mode, expected) in [
        ("default\nwrong-secret\n", 0o600, "CONFIG SET"),
        (&*format!("default\n{PASSWORD}\n"), 0o640, "open to others than its owner; chmod 0600"),
        ("wrong-secret\n", 0o600, "the user in its first line and the password in its second"),
    ] {
        live.write("credentials", content, mode);
        live.renew(&new);
        let said = live.tick_says(1, &[expected, "the old files are back in place, and served"]);
        assert!(!said.contains("wrong-secret"), "{said}");
        assert_eq!(live.read("tls/tls.crt"), old.chain);
        assert!(redis.serves(&old));
        live.two_hours_pass();
    }
    fs::remove_file(live.path("credentials")).unwrap();
    live.tick_says(1, &["/credentials cannot be read", "the old files are back in place, and served"]);
    live.two_hours_pass();
    live.write("credentials", &format!("default\n{PASSWORD}"), 0o600);
    live.tick_says(0, &["the service has taken them"]);
    assert!(redis.serves(&new));
}

#[test]
fn what_the_server_refuses_brings_the_old_files_back() {
    let authority = authority();
    let (old, new) = (secret(&authority), secret(&authority));
    let Some(redis) = Redis::start(&old, &[], by_socket) else { return };
    let live = &redis.live;
    let weak = crate::script_postgresql::weak(live);
    live.renew(&weak);
    let said =
        live.tick_says(1, &["the server did not take it by CONFIG SET", "the old files are back in place, and served"]);
    assert!(said.contains("Unable to update TLS configuration"), "{said}");
    assert_eq!((live.read("tls/tls.crt"), live.read("tls/tls.key")), (old.chain.clone(), old.key.clone()));
    assert!(redis.serves(&old));
    live.tick_is_silent();
    live.renew(&new);
    live.tick_says(0, &["the service has taken them"]);
    assert!(redis.serves(&new));
}

/// Redis before 7.0 takes one setting at a time. This redis-cli answers in its place where there are several, in its words.
#[test]
fn an_older_server_is_told_one_setting_at_a_time() {
    // After the first setting the server has a certificate of the new authority, and trusts no other: it takes what the
    // client presents in any case.
    let (old, new) = (for_both(), for_both());
    let Some(redis) = Redis::start(&old, &["--tls-auth-clients", "no"], by_tls) else { return };
    let live = &redis.live;
    let real = tool("redis-cli").unwrap();
    let old_server = "echo \"ERR Unknown subcommand or wrong number of arguments for 'SET'. Try CONFIG HELP.\"; exit 0";
    let text =
        format!("case \"$*\" in *tls-cert-file*tls-key-file*) {old_server} ;; esac\nexec {} \"$@\"", real.display());
    live.program("redis-cli", &text);
    live.renew(&new);
    live.tick_says(0, &["the service has taken them"]);
    assert!(redis.serves(&new));
}
