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
    let remedy = "certificate authentication failed for user \"app\" (SQLSTATE 28000); asked as user app of database app: name \
                  others with --user and --database";
    own.expect("client", "failed", remedy);
    own.expect("answers", "told", remedy);
    own.expect("anonymous", "good", "it says: connection requires a valid client certificate (SQLSTATE 28000)");
    let done = verify(
        server.port,
        secret.path(),
        &[&required[..], &["--user", "app", "--client", app.path().to_str().unwrap()]].concat(),
    );
    done.expect_failed(&[]);
}

/// No certificate helps whom no line of pg_hba.conf is for, and nobody is refused for want of one.
#[test]
fn a_user_that_postgresql_does_not_let_in_is_told_of() {
    let Some(programs) = postgresql_programs() else { return };
    let ca = ca("internal-ca");
    let (secret, app) = (secret(&ca, &leaf()), client(&ca, "app"));
    let hba = "hostssl app app all scram-sha-256\n";
    let server = postgresql(&programs, secret.path(), hba, &["ssl=on"]);
    let run = |more: &[&str]| verify(server.port, secret.path(), &[&HOW[..], more].concat());
    let remedy = "; asked as user postgres of database postgres: name others with --user and --database";
    let done = run(&[]);
    done.expect("answers", "told", "not known, since nobody was let in: it says: no pg_hba.conf entry for host");
    done.expect("answers", "told", remedy);
    done.expect("plaintext", "told", "refused, and with TLS as well: it says: no pg_hba.conf entry for host");
    done.expect("anonymous", "told", "not known without a client certificate: it says: no pg_hba.conf entry for host");
    done.expect("anonymous", "told", remedy);
    done.expect_failed(&[]);
    let done = run(&["--client-auth", "required", "--client", app.path().to_str().unwrap()]);
    done.expect("client", "failed", "not known to be accepted with the client's certificate: it says: no pg_hba.conf");
    done.expect("anonymous", "failed", "not known to be refused without a client certificate: it says: no pg_hba.conf");
    done.expect_failed(&["client", "anonymous"]);
    assert!(!done.said.contains("--client"), "{}", done.said);
    let done = run(&["--user", "app", "--client-auth", "optional"]);
    done.expect("answers", "good", "it goes on to authentication");
    done.expect("plaintext", "good", "; asked as user app of database app alone: pg_hba.conf may let others in");
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
