//! Beside `openssl s_server`.

use std::fs;

use rcgen::{CertificateParams, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use tempfile::TempDir;

use super::{
    done,
    servers::{NAME, Spoken, ca, client, client_usage, drain, leaf, s_server, secret, write_secret},
    verify,
};
use crate::{
    command::tandem_vm,
    support::{output, said, tool},
};

const NOW: [&str; 2] = ["--now", "2026-06-01T00:00:00Z"];

#[test]
fn an_endpoint_that_serves_its_secret_is_good() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    for (options, version) in [(&[][..], "TLS 1.3"), (&["-tls1_2"], "TLS 1.2")] {
        let server = s_server(secret.path(), options);
        let done = verify(server.port, secret.path(), &NOW);
        done.expect_failed(&[]);
        done.expect("chain", "good", "it leads to CN=internal-ca of ca.crt");
        done.expect("names", "good", NAME);
        done.expect("dates", "good", "it ends at 2036-01-01T00:00:00Z, in 3501d 0h");
        done.expect("usages", "good", "digital signature, key encipherment");
        done.expect("served", "good", "it is the Secret's");
        done.expect("key", "good", "");
        done.expect("protocol", "good", version);
        done.expect("plaintext", "good", "refused: ");
        done.expect("anonymous", "told", "accepted");
        done.expect("stranger", "told", "no client certificate is asked for");
        assert_eq!(done.report["tls"]["version"], version);
        assert_eq!(done.report["served"]["notAfter"], "2036-01-01T00:00:00Z");
    }
}

#[test]
fn a_database_that_does_not_answer_behind_tls_is_not_good() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = s_server(secret.path(), &[]);
    for protocol in ["mongodb", "redis"] {
        let done =
            verify(server.port, secret.path(), &[&NOW[..], &["--protocol", protocol, "--timeout", "2s"]].concat());
        done.expect("answers", "failed", &format!("no {protocol} is seen to answer: it does not answer in time"));
        done.expect("chain", "good", "");
        done.expect_failed(&["answers"]);
    }
}

#[test]
fn text_has_a_line_for_each_check() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = s_server(secret.path(), &["-tls1_3"]);
    let endpoint = format!("127.0.0.1:{}", server.port);
    let mut command = tandem_vm();
    // The host is one of the names.
    command.args(["verify", "--endpoint", &endpoint, "--folder"]).arg(secret.path()).args(NOW);
    let done = output(&mut command);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let text = said(&done).replace(&secret.path().display().to_string(), "SECRET").replace(&endpoint, "127.0.0.1:PORT");
    // The serial number is another one each time.
    let serial = text.split_once("(serial ").unwrap().1.split_once(',').unwrap().0.to_owned();
    insta::assert_snapshot!(text.replace(&serial, "SERIAL"));
}

#[test]
fn why_a_chain_is_not_trusted_is_said() {
    if tool("openssl").is_none() {
        return;
    }
    let (ours, other, again) = (ca("internal-ca"), ca("other-ca"), ca("internal-ca"));
    let served = secret(&ours, &leaf());
    let server = s_server(served.path(), &[]);
    for (trusted, why) in [
        (
            &other,
            "unknown issuer: it was issued by CN=internal-ca, and from there nothing leads to ca.crt, which holds CN=other-ca",
        ),
        (
            &again,
            "unknown issuer: ca.crt holds CN=internal-ca, but with another key than the one that signed: the authority was made anew",
        ),
    ] {
        fs::write(served.path().join("ca.crt"), trusted.as_ref().pem()).unwrap();
        let done = verify(server.port, served.path(), &NOW);
        done.expect("chain", "failed", why);
        done.expect_failed(&["chain"]);
    }
    fs::remove_file(served.path().join("ca.crt")).unwrap();
    verify(server.port, served.path(), &NOW).expect("chain", "failed", "the Secret has no ca.crt to trust");
}

#[test]
fn dates_are_judged_by_the_given_time() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = s_server(secret.path(), &[]);
    let dates = |now: &str, more: &[&str]| verify(server.port, secret.path(), &[&["--now", now], more].concat());
    let late = dates("2036-01-03T01:00:00Z", &[]);
    late.expect("dates", "failed", "expired: it ended at 2036-01-01T00:00:00Z, 2d 1h ago");
    late.expect_failed(&["dates"]);
    dates("2025-12-31T23:00:00Z", &[]).expect(
        "dates",
        "failed",
        "not yet valid: it begins at 2026-01-01T00:00:00Z, in 1h 0m",
    );
    dates("2035-12-30T00:00:00Z", &["--warn-before", "47h"]).expect_failed(&[]);
    let soon = dates("2035-12-30T00:00:00Z", &["--warn-before", "49h"]);
    soon.expect("dates", "failed", "it ends at 2036-01-01T00:00:00Z, in 2d 0h: less than the 2d 1h of --warn-before");
    soon.expect_failed(&["dates"]);
}

#[test]
fn other_names_and_usages_are_told() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let served = secret(&ca, &leaf());
    let server = s_server(served.path(), &[]);
    let endpoint = format!("127.0.0.1:{}", server.port);
    let mut command = tandem_vm();
    command.args(["verify", "-o", "json", "--server-name", "orders.other.svc", "--endpoint", &endpoint, "--folder"]);
    let named = done(&output(command.arg(served.path()).args(NOW)), served.path());
    named.expect("names", "failed", "it is not for orders.other.svc, but for orders.shop.svc, 127.0.0.1");
    named.expect_failed(&["names"]);

    let mut params = leaf();
    params.extended_key_usages = client_usage();
    let for_clients = secret(&ca, &params);
    let server = s_server(for_clients.path(), &[]);
    let done = verify(server.port, for_clients.path(), &NOW);
    done.expect("usages", "failed", "its extended key usages (client auth) leave out server auth");
    done.expect_failed(&["chain", "usages"]);

    let mut params = leaf();
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let no_signature = secret(&ca, &params);
    let server = s_server(no_signature.path(), &[]);
    verify(server.port, no_signature.path(), &NOW).expect("usages", "failed", "leave out digital signature");
}

#[test]
fn another_certificate_than_the_secrets_is_older_or_newer() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let mut renewed = leaf();
    renewed.not_before = date_time_ymd(2026, 2, 1);
    let (old, new) = (secret(&ca, &leaf()), secret(&ca, &renewed));
    let server = s_server(old.path(), &[]);
    let done = verify(server.port, new.path(), &NOW);
    done.expect("served", "failed", "it is older than the Secret's: the endpoint has not loaded the renewed one");
    done.expect_failed(&["served"]);
    let server = s_server(new.path(), &[]);
    verify(server.port, old.path(), &NOW).expect("served", "failed", "it is newer than the Secret's");
    // The key of the other one.
    fs::copy(old.path().join("tls.key"), new.path().join("tls.key")).unwrap();
    let done = verify(server.port, new.path(), &NOW);
    done.expect("key", "failed", "the Secret's key is not that of its certificate");
    done.expect_failed(&["key"]);
    fs::remove_file(new.path().join("tls.key")).unwrap();
    verify(server.port, new.path(), &NOW).expect("key", "told", "the Secret was given without its key");
}

/// What a selfSigned issuer makes: ca.crt is the leaf.
#[test]
fn a_certificate_that_is_its_own_authority_is_told_of() {
    if tool("openssl").is_none() {
        return;
    }
    let key = KeyPair::generate().unwrap();
    let mut params: CertificateParams = leaf();
    params.is_ca = IsCa::ExplicitNoCa;
    let certificate = params.self_signed(&key).unwrap().pem();
    let secret = write_secret(&certificate, &key, &certificate);
    let server = s_server(secret.path(), &[]);
    let done = verify(server.port, secret.path(), &NOW);
    done.expect("chain", "told", "it is its own authority (a selfSigned issuer's): after its renewal, whoever has loaded this one trusts the next one no more; an internal CA does not have that");
    done.expect_failed(&[]);
}

#[test]
fn strangers_are_refused_as_expected_or_not() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let app = client(&ca, "app");
    let as_app = ["--client", app.path().to_str().unwrap()];
    for version in ["-tls1_2", "-tls1_3"] {
        // Requires one, and verifies it.
        let server = s_server(secret.path(), &[version, "-Verify", "2", "-verify_return_error"]);
        let check = |more: &[&str]| verify(server.port, secret.path(), &[&NOW, more].concat());
        for more in [&[][..], &as_app] {
            let done = check(&[&["--client-auth", "required"], more].concat());
            done.expect_failed(&[]);
            done.expect("client", "good", "accepted with the ");
            done.expect("anonymous", "good", "refused without a client certificate: ");
            done.expect("stranger", "good", "refused with a certificate of an unknown CA: ");
        }
        let done = check(&[&["--client-auth", "optional"][..], &as_app].concat());
        done.expect("anonymous", "failed", "refused without a client certificate");
        done.expect_failed(&["anonymous"]);
        check(&[]).expect_failed(&[]);

        // Asks for one, and takes any.
        let server = s_server(secret.path(), &[version, "-verify", "2"]);
        let done = verify(server.port, secret.path(), &[&NOW[..], &["--client-auth", "optional"]].concat());
        done.expect("anonymous", "good", "accepted");
        done.expect("stranger", "failed", "accepted with a certificate of an unknown CA");
        done.expect_failed(&["stranger"]);

        // Asks for none.
        let server = s_server(secret.path(), &[version]);
        let required = verify(server.port, secret.path(), &[&NOW[..], &["--client-auth", "required"]].concat());
        required.expect("stranger", "failed", "no client certificate is asked for");
        required.expect_failed(&["anonymous", "stranger"]);
        let optional = verify(server.port, secret.path(), &[&NOW[..], &["--client-auth", "optional"]].concat());
        optional.expect("stranger", "good", "no client certificate is asked for");
        optional.expect_failed(&[]);
    }
}

#[test]
fn tls_that_is_too_old_is_no_tls() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = s_server(secret.path(), &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    let done = verify(server.port, secret.path(), &NOW);
    done.expect(
        "protocol",
        "failed",
        "no handshake (TLS 1.3 and 1.2 were offered) came to its end: it sends the TLS alert ProtocolVersion",
    );
    done.expect_failed(&["protocol", "chain"]);
}

#[test]
fn an_endpoint_without_tls_is_told_from_one_that_is_not_there() {
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = Spoken::start(|mut stream| {
        let _ = std::io::Write::write_all(&mut stream, b"+PONG\r\n");
        drain(&mut stream);
    });
    let done = verify(server.port, secret.path(), &NOW);
    done.expect("protocol", "failed", "what it sends is not TLS");
    done.expect("plaintext", "failed", "accepted");
    done.expect_failed(&["protocol", "chain", "plaintext"]);
    let allowed = verify(server.port, secret.path(), &["--allow-plaintext"]);
    allowed.expect("plaintext", "told", "accepted");

    let port = server.port;
    drop(server);
    let done = verify(port, secret.path(), &NOW);
    assert_eq!(done.code, Some(3), "{}", done.said);
    assert_eq!(
        done.said,
        format!("tandem-vm: 127.0.0.1:{port}: no connection: 127.0.0.1:{port}: Connection refused (os error 111)\n")
    );
    let empty = TempDir::new().unwrap();
    assert_eq!(verify(port, empty.path(), &[]).code, Some(2));
}
