//! What is told of servers that speak in another way than they should, that wait, or that are gone: each with its sentence.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
};

use rustix::net::{Shutdown, shutdown};
use rustls::{ServerConnection, version};

use super::{
    Done,
    servers::{Spoken, ca, drain, flood, leaf, secret, tls},
    verify,
};

const NOW: [&str; 2] = ["--now", "2026-06-01T00:00:00Z"];

fn told(port: u16, secret: &Path, more: &str) -> Done {
    verify(port, secret, &NOW.into_iter().chain(more.split(' ')).collect::<Vec<_>>())
}

/// Each is a server that answers whatever comes with these bytes.
#[test]
fn what_is_said_before_tls_and_without_it_is_told() {
    let secret = secret(&ca("internal-ca"), &leaf());
    let rows: [(&[u8], &str, &str, &str, &str); 8] = [
        (
            b"E\0\0\0\x04",
            "--protocol postgresql",
            "protocol",
            "failed",
            "no handshake (TLS 1.3 and 1.2 were offered) came to its end: it answers SSLRequest with an error",
        ),
        (
            b"N",
            "--protocol postgresql",
            "protocol",
            "failed",
            "it does not offer TLS (it answers N to SSLRequest); set ssl = on in its postgresql.conf",
        ),
        (&[0x15, 3, 3, 0, 2, 2, 80], "--protocol tls", "plaintext", "good", "refused: it answers with a TLS alert"),
        (&[0x15, 4], "--protocol tls", "plaintext", "failed", "not known to be refused: its answer is not understood"),
        (&[0x15, 4], "--allow-plaintext", "plaintext", "told", "not told: its answer is not understood"),
        (b"220\r\n", "--protocol redis", "plaintext", "failed", "it does not speak Redis' protocol"),
        (&[0; 16], "--protocol mongodb", "plaintext", "failed", "it does not speak MongoDB's protocol"),
        (b"220 welcome\r\n", "--protocol postgresql", "plaintext", "failed", "it does not speak PostgreSQL's protocol"),
    ];
    for (bytes, more, check, verdict, text) in rows {
        let server = Spoken::start(move |mut stream| {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(bytes);
            drain(&mut stream);
        });
        told(server.port, secret.path(), more).expect(check, verdict, text);
    }
    let brief = Spoken::start(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"bye\r\n");
    });
    let done = told(brief.port, secret.path(), "--protocol mongodb");
    done.expect("plaintext", "failed", "not known to be refused: it does not speak MongoDB's protocol");
    let endless = Spoken::start(|mut stream| {
        let _ = stream.read(&mut [0; 8]);
        flood(&mut stream, &b"N\0\0\0\x04".repeat(1000));
    });
    let done = told(endless.port, secret.path(), "--protocol postgresql --timeout 60s");
    done.expect("plaintext", "failed", "not known to be refused: it sent more than 524288 bytes");
}

#[test]
fn what_is_done_within_tls_is_told() {
    let secret = secret(&ca("internal-ca"), &leaf());
    let at = secret.path();
    let waits = |_: ServerConnection, mut stream: TcpStream| drain(&mut stream);
    let says = |text: &'static [u8]| {
        move |mut tls: ServerConnection, mut stream: TcpStream| {
            let _ = tls.writer().write_all(text);
            let _ = tls.complete_io(&mut stream);
            drain(&mut stream);
        }
    };
    let silent = tls(at, false, &version::TLS13, waits);
    told(silent.port, at, "--timeout 3s").expect(
        "anonymous",
        "told",
        "accepted without a client certificate: it waits for the client to speak",
    );
    let done = told(tls(at, false, &version::TLS12, waits).port, at, "--timeout 3s");
    done.expect("anonymous", "told", "accepted without a client certificate: the handshake is done");

    let done = told(tls(at, false, &version::TLS13, says(b"220 welcome\r\n")).port, at, "--protocol redis");
    done.expect(
        "answers",
        "failed",
        "no redis is seen to answer: it does not speak Redis' protocol; look at the database's log",
    );
    let done = told(tls(at, false, &version::TLS13, says(&[0; 16])).port, at, "--protocol mongodb");
    done.expect("answers", "failed", "no mongodb is seen to answer: it does not speak MongoDB's protocol");

    let done = told(tls(at, true, &version::TLS13, waits).port, at, "--protocol redis");
    done.expect(
        "answers",
        "told",
        "not known, since nobody was let in: it sends the TLS alert CertificateRequired; name a client's certificate with \
         --client",
    );
    // In TLS 1.2 the handshake itself is refused.
    let done = told(tls(at, true, &version::TLS12, waits).port, at, "--protocol redis");
    done.expect("protocol", "told", "; a client certificate is asked for, and there was none to show");
    done.expect("answers", "told", "not asked, since no handshake came to its end");
}

#[test]
fn an_endpoint_that_goes_away_meanwhile_is_told_of() {
    let secret = secret(&ca("internal-ca"), &leaf());
    // The connection without a certificate is there, and perhaps the one in plaintext.
    for (connections, check, text) in
        [(1, "plaintext", "not known to be refused: no connection: "), (2, "stranger", "not told: ")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let taken: Vec<_> = listener.incoming().take(connections).map(Result::unwrap).collect();
            // Also for a process that another thread is starting, which has it open, too.
            shutdown(&listener, Shutdown::Both).unwrap();
            drop((listener, taken));
        });
        told(port, secret.path(), "--protocol tls").expect(check, "failed", text);
        server.join().unwrap();
    }
}

#[test]
fn what_is_missing_to_look_further_is_told() {
    let secret = secret(&ca("internal-ca"), &leaf());
    std::fs::remove_file(secret.path().join("tls.key")).unwrap();
    let server = Spoken::start(|mut stream| drain(&mut stream));
    let done = told(server.port, secret.path(), "--timeout 500ms --client-auth required");
    done.expect("key", "told", "the Secret was given without its key");
    done.expect("client", "told", "there is no key to show a certificate with; name a client's with --client");
    let client = ["--client", secret.path().to_str().unwrap()].join(" ");
    let done = told(server.port, secret.path(), &client);
    let why = "tandem-vm: --client: its folder has no tls.key; a client needs its key to show its certificate\n";
    assert_eq!((done.code, &*done.said), (Some(2), why));
}
