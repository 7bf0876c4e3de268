//! What a server does once the handshake is done, and whether that refuses anybody.

use std::io::Write;

use rustls::version::TLS13;

use super::{
    servers::{Spoken, ca, client, drain, leaf, secret, tls},
    verify,
};

const NOW: [&str; 2] = ["--now", "2026-06-01T00:00:00Z"];

#[test]
fn only_an_alert_refuses_whoever_has_no_certificate() {
    let ca = ca("internal-ca");
    let (secret, app) = (secret(&ca, &leaf()), client(&ca, "app"));
    let closes = tls(secret.path(), false, &TLS13, |_, _| {});
    let bids_farewell = tls(secret.path(), false, &TLS13, |mut tls, mut stream| {
        tls.send_close_notify();
        let _ = tls.complete_io(&mut stream);
    });
    let greets = tls(secret.path(), false, &TLS13, |mut tls, mut stream| {
        let _ = tls.writer().write_all(b"220 mail.example\r\n");
        let _ = tls.complete_io(&mut stream);
        drain(&mut stream);
    });
    let refuses = tls(secret.path(), true, &TLS13, |_, mut stream| drain(&mut stream));
    let run = |server: &Spoken, more: &[&str]| {
        let app = ["--client", app.path().to_str().unwrap(), "--timeout", "5s"];
        verify(server.port, secret.path(), &[&NOW[..], &app, more].concat())
    };
    let required = ["--client-auth", "required"];
    for server in [&closes, &bids_farewell] {
        let why = "it closes the connection after the handshake, without an alert that says why";
        let done = run(server, &required);
        done.expect("anonymous", "failed", &format!("not known to be refused without a client certificate: {why}"));
        done.expect("client", "failed", &format!("not known to be accepted with the client's certificate: {why}"));
        run(server, &[]).expect("anonymous", "told", &format!("not known without a client certificate: {why}"));
    }
    let done = run(&greets, &required);
    done.expect("anonymous", "failed", "accepted without a client certificate: it talks");
    let done = run(&refuses, &required);
    done.expect(
        "anonymous",
        "good",
        "refused without a client certificate: it sends the TLS alert CertificateRequired",
    );
    done.expect("client", "good", "accepted with the client's certificate");
    // In a protocol with a question that is answered to everybody, silence is an answer.
    let asked = run(&closes, &["--protocol", "redis", "--client-auth", "required"]);
    asked.expect("anonymous", "good", "refused without a client certificate: it closes the connection");
}

/// The database of another port, or whatever else has the certificate.
#[test]
fn what_answers_otherwise_than_the_database_does_is_not_it() {
    let secret = secret(&ca("internal-ca"), &leaf());
    for (protocol, words, why) in [
        ("redis", "HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak Redis' protocol"),
        ("mongodb", "-ERR unknown command\r\n", "it does not speak MongoDB's protocol"),
    ] {
        let another = tls(secret.path(), false, &TLS13, move |mut tls, mut stream| {
            let _ = tls.writer().write_all(words.as_bytes());
            let _ = tls.complete_io(&mut stream);
            drain(&mut stream);
        });
        let done = verify(another.port, secret.path(), &[&NOW[..], &["--protocol", protocol]].concat());
        done.expect("answers", "failed", &format!("no {protocol} is seen to answer: {why}"));
        done.expect_failed(&["answers"]);
    }
}
