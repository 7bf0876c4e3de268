//! Beside Redis, real.

use super::{
    servers::{ca, leaf, redis, secret},
    verify,
};
use crate::support::tool;

const HOW: [&str; 2] = ["--protocol", "redis"];

#[test]
fn redis_is_seen_as_it_is_configured() {
    let Some(program) = tool("redis-server") else { return };
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    for (auth_clients, wanted, unwanted) in
        [("yes", "required", "optional"), ("no", "optional", "required"), ("optional", "optional", "required")]
    {
        let server = redis(&program, secret.path(), auth_clients, false);
        let done = verify(server.port, secret.path(), &[&HOW[..], &["--client-auth", wanted]].concat());
        done.expect_failed(&[]);
        done.expect("answers", "good", "it answers");
        done.expect("plaintext", "good", "refused: ");
        let done = verify(server.port, secret.path(), &[&HOW[..], &["--client-auth", unwanted]].concat());
        done.expect("anonymous", "failed", "");
    }
}

#[test]
fn redis_without_tls_is_told_of() {
    let Some(program) = tool("redis-server") else { return };
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = redis(&program, secret.path(), "no", true);
    let done = verify(server.port, secret.path(), &HOW);
    done.expect("plaintext", "failed", "accepted: it answers");
    done.expect_failed(&["protocol", "chain", "plaintext"]);
}
