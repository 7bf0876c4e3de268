//! What a server does once the handshake is done, and whether that refuses anybody.

use std::{io::Write, net::TcpStream};

use rustls::{
    ServerConnection,
    version::{TLS12, TLS13},
};

use super::{
    servers::{Spoken, after_handshake, ca, client, drain, leaf, secret, tls, unasking_config},
    verify,
};

const NOW: [&str; 2] = ["--now", "2026-06-01T00:00:00Z"];

/// Says this, and waits for the peer to go.
fn says(words: &'static [u8]) -> impl Fn(ServerConnection, TcpStream) {
    move |mut tls, mut stream| {
        let _ = tls.writer().write_all(words);
        let _ = tls.complete_io(&mut stream);
        drain(&mut stream);
    }
}

#[test]
fn only_an_alert_refuses_whoever_has_no_certificate() {
    let ca = ca("internal-ca");
    let (secret, app) = (secret(&ca, &leaf()), client(&ca, "app"));
    let closes = tls(secret.path(), false, &TLS13, |_, _| {});
    let bids_farewell = tls(secret.path(), false, &TLS13, |mut tls, mut stream| {
        tls.send_close_notify();
        let _ = tls.complete_io(&mut stream);
    });
    let greets = tls(secret.path(), false, &TLS13, says(b"220 mail.example\r\n"));
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
}

/// So MongoDB refuses whoever has no certificate, or another CA's. Whoever has one must see that it answers.
#[test]
fn silence_refuses_where_whoever_has_a_certificate_is_answered() {
    let ca = ca("internal-ca");
    let (secret, app) = (secret(&ca, &leaf()), client(&ca, "app"));
    let picky = tls(secret.path(), false, &TLS13, |tls, stream| {
        if tls.peer_certificates().is_some() {
            says(b"+PONG\r\n")(tls, stream);
        }
    });
    let dead = tls(secret.path(), false, &TLS13, |_, _| {});
    let run = |server: &Spoken, more: &[&str]| {
        verify(server.port, secret.path(), &[&NOW[..], &["--protocol", "redis", "--timeout", "5s"], more].concat())
    };
    let named = ["--client-auth", "required", "--client", app.path().to_str().unwrap()];
    for more in [&named[..2], &named] {
        let done = run(&picky, more);
        done.expect("anonymous", "good", "refused without a client certificate: it closes the connection");
        done.expect("answers", "good", "it answers");
        done.expect_failed(&[]);
    }
    // Which of the two it is cannot be told without a certificate.
    for server in [&picky, &dead] {
        let done = run(server, &[]);
        done.expect(
            "answers",
            "told",
            "not known, since nobody was let in: it closes the connection; name a client's certificate with --client",
        );
        done.expect("anonymous", "told", "not known without a client certificate: it closes the connection");
        done.expect_failed(&[]);
    }
    let done = run(&dead, &named);
    done.expect(
        "answers",
        "failed",
        "no redis is seen to answer: it closes the connection; look at the database's log",
    );
    done.expect("client", "failed", "not known to be accepted with the client's certificate: it closes the connection");
    done.expect(
        "anonymous",
        "failed",
        "not known to be refused without a client certificate: it closes the connection",
    );
    done.expect_failed(&["answers", "client", "anonymous"]);
    assert!(!done.said.contains("--client"), "{}", done.said);
    let own = run(&dead, &named[..2]);
    own.expect("client", "failed", "it closes the connection; name a client's with --client");
}

#[test]
fn nobody_is_refused_for_a_certificate_that_is_not_asked_for() {
    let ca = ca("internal-ca");
    let (secret, app) = (secret(&ca, &leaf()), client(&ca, "app"));
    let as_app = ["--client", app.path().to_str().unwrap()];
    let run = |server: &Spoken, protocol: &str, more: &[&str]| {
        verify(server.port, secret.path(), &[&NOW[..], &["--protocol", protocol], more].concat())
    };
    for (version, protocol) in [(&TLS12, "mongodb"), (&TLS13, "mongodb"), (&TLS13, "redis")] {
        let dead = after_handshake(unasking_config(secret.path(), &[version]), |mut tls, mut stream| {
            tls.send_close_notify();
            let _ = tls.complete_io(&mut stream);
        });
        let done = run(&dead, protocol, &[]);
        let why = format!("no {protocol} is seen to answer: it closes the connection; look at the database's log");
        done.expect("answers", "failed", &why);
        done.expect("anonymous", "told", "not known without a client certificate: it closes the connection");
        done.expect("stranger", "told", "no client certificate is asked for");
        done.expect_failed(&["answers"]);
        let done = run(&dead, protocol, &[&as_app[..], &["--client-auth", "required"]].concat());
        done.expect("stranger", "failed", "not known to be refused with a certificate of an unknown CA: it closes the");
        done.expect_failed(&["answers", "client", "anonymous", "stranger"]);
        assert!(!done.said.contains("--client"), "{}", done.said);
    }
    let alive = after_handshake(unasking_config(secret.path(), &[&TLS13]), says(b"+PONG\r\n"));
    let done = run(&alive, "redis", &as_app);
    done.expect("client", "told", "accepted, and no client certificate is asked for: it answers");
    done.expect_failed(&[]);
}

/// The database of another port, or whatever else has the certificate.
#[test]
fn what_answers_otherwise_than_the_database_does_is_not_it() {
    let secret = secret(&ca("internal-ca"), &leaf());
    let rows: [(&str, &'static [u8], &str); 3] = [
        ("redis", b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak Redis' protocol"),
        ("mongodb", b"-ERR unknown command\r\n", "it does not speak MongoDB's protocol"),
        // TLS within TLS: another server's before the database's own.
        ("redis", &[0x15, 3, 3, 0, 2, 2, 70], "it does not speak Redis' protocol"),
    ];
    for (protocol, words, why) in rows {
        let another = tls(secret.path(), false, &TLS13, says(words));
        let done = verify(another.port, secret.path(), &[&NOW[..], &["--protocol", protocol]].concat());
        done.expect("answers", "failed", &format!("no {protocol} is seen to answer: {why}"));
        done.expect_failed(&["answers"]);
    }
}
