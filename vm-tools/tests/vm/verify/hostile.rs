//! Servers that mean harm. None keeps the command for longer than its time limit, and none makes it panic.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::{
    servers::{Spoken, ca, drain, flood, leaf, pass_on, s_server, secret},
    verify,
};
use crate::support::tool;

/// Connections of one run: anonymous, with a certificate, a stranger's, plaintext.
const CONNECTIONS: u32 = 4;

/// Runs against the server, with TLS at once and after a question: each time the report says that something failed, in time.
fn survives(port: u16, secret: &std::path::Path) {
    const LIMIT: Duration = Duration::from_millis(500);
    for protocol in ["tls", "postgresql", "redis"] {
        let start = Instant::now();
        let limit = format!("{}ms", LIMIT.as_millis());
        let done = verify(port, secret, &["--protocol", protocol, "--client-auth", "required", "--timeout", &limit]);
        // Beside the time limits stands the start of a process on a busy machine.
        assert!(start.elapsed() < CONNECTIONS * LIMIT + Duration::from_secs(30), "{protocol}: {:?}", start.elapsed());
        assert_eq!(done.code, Some(1), "{protocol}: {}", done.said);
        assert_eq!(done.check("protocol").0, "failed", "{protocol}: {}", done.said);
        // Who has shown no certificate has not judged anybody's.
        for client in ["anonymous", "stranger"] {
            assert_eq!(done.check(client).0, "failed", "{protocol}, {client}: {}", done.said);
        }
        assert!(!done.said.contains("panicked"), "{protocol}: {}", done.said);
    }
}

fn each(name: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) {
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = Spoken::start(serve);
    eprintln!("{name}");
    survives(server.port, secret.path());
}

#[test]
fn silence_ends_at_the_time_limit() {
    each("silence", |mut stream| drain(&mut stream));
    each("a door that is shut at once", drop);
    each("a trickle", |mut stream| {
        // A record that says it has 16 KiB, a byte of it at a time: each arrives within the limit, all of them never.
        let _ = stream.write_all(&[0x16, 3, 3, 0x3f, 0xff]);
        while stream.write_all(&[0]).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

#[test]
fn bytes_without_end_are_not_read_to_their_end() {
    each("zeroes", |mut stream| flood(&mut stream, &[0; 4096]));
    each("what PostgreSQL would say, then garbage", |mut stream| {
        let _ = stream.read(&mut [0; 8]);
        flood(&mut stream, &[b'S'; 4096]);
    });
    each("empty TLS records", |mut stream| flood(&mut stream, &[0x16, 3, 3, 0, 0].repeat(100)));
    each("changes of cipher", |mut stream| flood(&mut stream, &[0x14, 3, 3, 0, 1, 1].repeat(100)));
    each("warnings", |mut stream| flood(&mut stream, &[0x15, 3, 3, 0, 2, 1, 90].repeat(100)));
    each("one long handshake message", |mut stream| {
        let _ = stream.write_all(&[&[0x16, 3, 3, 0x3f, 0xff, 2, 0xff, 0xff, 0xff][..], &[0; 0x3ffb]].concat());
        flood(&mut stream, &[&[0x16, 3, 3, 0x3f, 0xff][..], &[0; 0x3fff]].concat());
    });
    each("notices", |mut stream| {
        let _ = stream.read(&mut [0; 8]);
        flood(&mut stream, b"N\0\0\0\x04");
    });
}

/// A real server, cut off after some of its bytes: before, within and after its certificate.
#[test]
fn half_a_handshake_is_none() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    for options in [&["-tls1_2"], &["-tls1_3"]] {
        let server = s_server(secret.path(), options);
        let port = server.port;
        for limit in [1, 5, 60, 200, 700] {
            let cut = Spoken::start(move |client| {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
                pass_on(client.try_clone().unwrap(), server, limit);
                drain(&mut { client });
            });
            let done = verify(cut.port, secret.path(), &["--timeout", "500ms"]);
            assert_eq!((done.code, done.check("protocol").0), (Some(1), "failed"), "{limit}: {}", done.said);
        }
    }
}
