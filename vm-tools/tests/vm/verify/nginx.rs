//! Beside nginx, real, which speaks HTTP to whoever does not speak TLS.

use super::{
    servers::{ca, leaf, nginx, secret},
    verify,
};
use crate::support::tool;

const NOW: [&str; 2] = ["--now", "2026-06-01T00:00:00Z"];

#[test]
fn a_web_server_that_complains_of_a_request_without_tls_refuses_it() {
    let Some(program) = tool("nginx") else { return };
    let secret = secret(&ca("internal-ca"), &leaf());
    for settings in ["", "ssl_protocols TLSv1.2;"] {
        let server = nginx(&program, secret.path(), "ssl", settings);
        let done = verify(server.port, secret.path(), &NOW);
        done.expect("plaintext", "good", "refused: it answers HTTP 400 to a request without TLS");
        done.expect_failed(&[]);
    }
}

#[test]
fn a_web_server_without_tls_accepts_plaintext() {
    let Some(program) = tool("nginx") else { return };
    let secret = secret(&ca("internal-ca"), &leaf());
    let server = nginx(&program, secret.path(), "", "");
    let done = verify(server.port, secret.path(), &NOW);
    done.expect("plaintext", "failed", "accepted: it answers; require TLS");
    done.expect_failed(&["protocol", "chain", "plaintext"]);
    verify(server.port, secret.path(), &["--allow-plaintext"]).expect("plaintext", "told", "accepted: it answers");
}
