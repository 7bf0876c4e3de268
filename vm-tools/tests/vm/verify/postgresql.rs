//! Beside PostgreSQL, real.

use super::{
    servers::{ca, client, leaf, postgresql, postgresql_programs, secret},
    verify,
};

const HOW: [&str; 4] = ["--protocol", "postgresql", "--timeout", "20s"];

#[test]
fn postgresql_that_requires_tls_is_good() {
    let Some(programs) = postgresql_programs() else { return };
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = postgresql(&programs, secret.path(), "hostssl all all all scram-sha-256\n", &["ssl=on"]);
    let done = verify(server.port, secret.path(), &[&HOW[..], &["--client-auth", "optional"]].concat());
    done.expect_failed(&[]);
    done.expect("answers", "good", "it goes on to authentication");
    done.expect("plaintext", "good", "refused: it says: no pg_hba.conf entry for host");
    done.expect(
        "plaintext",
        "good",
        "; asked as user postgres of database postgres alone: pg_hba.conf may let others in",
    );
    done.expect("anonymous", "good", "it goes on to authentication");
    // It asks for a certificate where it has a CA file, and verifies what it is shown.
    done.expect("stranger", "good", "refused with a certificate of an unknown CA: it sends the TLS alert UnknownCA");
    let required = verify(server.port, secret.path(), &[&HOW[..], &["--client-auth", "required"]].concat());
    required.expect_failed(&["anonymous"]);
}

#[test]
fn postgresql_that_requires_client_certificates_is_good() {
    let Some(programs) = postgresql_programs() else { return };
    let ca = ca("internal-ca");
    let (secret, app) = (secret(&ca, &leaf()), client(&ca, "app"));
    let hba = "hostssl all app all cert\nhostssl all all all scram-sha-256 clientcert=verify-ca\n";
    let server = postgresql(&programs, secret.path(), hba, &["ssl=on"]);
    let required = [&HOW[..], &["--client-auth", "required"]].concat();
    for more in [&[][..], &["--client", app.path().to_str().unwrap()]] {
        let done = verify(server.port, secret.path(), &[&required, more].concat());
        done.expect_failed(&[]);
        done.expect("client", "good", "it goes on to authentication");
        done.expect("anonymous", "good", "it says: connection requires a valid client certificate (SQLSTATE 28000)");
        done.expect("stranger", "good", "UnknownCA");
    }
    // A user whose certificate must be in that name.
    let own = verify(server.port, secret.path(), &[&required[..], &["--user", "app"]].concat());
    own.expect("client", "failed", "certificate authentication failed for user \"app\"");
    let done = verify(
        server.port,
        secret.path(),
        &[&required[..], &["--user", "app", "--client", app.path().to_str().unwrap()]].concat(),
    );
    done.expect_failed(&[]);
}

#[test]
fn postgresql_that_also_talks_in_plaintext_is_told_of() {
    let Some(programs) = postgresql_programs() else { return };
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = postgresql(&programs, secret.path(), "host all all all scram-sha-256\n", &["ssl=on"]);
    let done = verify(server.port, secret.path(), &HOW);
    done.expect("plaintext", "failed", "accepted: it goes on to authentication; require TLS");
    done.expect_failed(&["plaintext"]);
    verify(server.port, secret.path(), &[&HOW[..], &["--allow-plaintext"]].concat()).expect_failed(&[]);
    drop(server);
    let server = postgresql(&programs, secret.path(), "host all all all scram-sha-256\n", &["ssl=off"]);
    let done = verify(server.port, secret.path(), &HOW);
    done.expect(
        "protocol",
        "failed",
        "it does not offer TLS (it answers N to SSLRequest); set ssl = on in its postgresql.conf",
    );
    assert!(!done.said.contains("--protocol"), "{}", done.said);
    done.expect_failed(&["protocol", "chain", "plaintext"]);
}
