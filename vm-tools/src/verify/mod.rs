//! `tandem-vm verify`: a running endpoint against the Secret that it should serve.
//!
//! ```text
//!             ┌ with a client's certificate ┐
//! Target ─────┼ without one                 ┼─▶ Seen ─┐
//!             └ with a stranger's           ┘         ├─▶ Check, Check, … ─▶ Report
//! Material ───────────────────────────────────────────┘
//! ```

mod clients;
mod report;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use tandem_cli::shown;

pub use report::{Check, Report, Verdict};

use crate::probe::{
    Answer, Identity, Negotiated, Protocol, Seen, Target,
    certificate::{Described, span},
    check_name, check_path, connect, in_plaintext,
    secret::{Age, Material},
};

/// What an endpoint should do about client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientAuth {
    /// Whoever has none, or one of another CA, must be refused
    Required,
    /// Whoever has none must be let in; one that is shown must be verified
    Optional,
}

/// What is expected.
pub struct Expected<'a> {
    /// The Secret.
    pub secret: &'a Material,
    /// A client's Secret, where another than that is to be shown.
    pub client: Option<&'a Material>,
    /// `None`: what the endpoint does is told, not judged.
    pub client_auth: Option<ClientAuth>,
    /// Plaintext is told, not judged.
    pub allow_plaintext: bool,
    /// The least that must be left of the certificate.
    pub warn_before: SignedDuration,
    /// The time to go by.
    pub now: Timestamp,
}

/// The endpoint was not reached.
#[derive(Debug, thiserror::Error)]
#[error("{endpoint}: no connection: {why}")]
pub struct Unreachable {
    endpoint: String,
    why: String,
}

/// Connects as often as it takes, and checks.
///
/// # Errors
/// [`Unreachable`].
pub fn verify(target: &Target, expected: &Expected<'_>) -> Result<Report, Unreachable> {
    let unreachable = |why| Unreachable { endpoint: target.endpoint.to_string(), why };
    let Expected { secret, now, .. } = *expected;
    let anonymous = connect(target, Identity::Nobody).map_err(unreachable)?;
    let holder = client(expected);
    let holding = holder.map(|key| connect(target, Identity::Holder(key))).transpose().map_err(unreachable)?;

    let connections = [Some(&anonymous), holding.as_ref()];
    let served = connections.iter().flatten().map(|seen| seen.chain.as_slice()).find(|chain| !chain.is_empty());
    let negotiated = connections.iter().flatten().find_map(|seen| seen.negotiated.clone());
    let described = served.and_then(|chain| chain.first()).map(|leaf| Described::of(leaf));

    let mut checks = vec![key(secret)];
    checks.push(protocol(negotiated.as_ref(), &anonymous, holding.as_ref()));
    match (served, &described) {
        (Some(chain), Some(Ok(leaf))) => {
            let authority = check_path(chain, &secret.authorities, now);
            checks.extend([
                trust(&authority, leaf, secret),
                Check::of(
                    "names",
                    check_name(&chain[0], &target.server_name).map(|()| format!("it is for {}", leaf.names_shown())),
                ),
                Check::of("usages", usages(leaf)),
                Check::of("dates", dates(leaf, authority.as_ref().ok(), expected)),
                Check::of("served", served_is(chain.first(), leaf, secret)),
            ]);
        }
        (Some(_), Some(Err(problem))) => checks.push(Check::failed("chain", problem.clone())),
        _ => checks.push(Check::failed("chain", "no certificate was served".to_owned())),
    }
    checks.extend(answers(target, expected, &anonymous, holding.as_ref()));
    checks.push(plaintext(target, expected, connections));
    checks.extend(clients::checks(target, expected, &anonymous, holding.as_ref()));
    Ok(Report {
        endpoint: target.endpoint.to_string(),
        protocol: target.protocol.name(),
        server_name: target.server_name.to_str().into_owned(),
        secret: secret.name.clone(),
        negotiated,
        served: described.and_then(Result::ok),
        checks,
    })
}

/// Whose certificate a client shows: its own, or the Secret's where the endpoint requires one.
fn client(expected: &Expected<'_>) -> Option<Arc<CertifiedKey>> {
    let required = (expected.client_auth == Some(ClientAuth::Required)).then_some(expected.secret);
    expected.client.or(required).and_then(Material::holder)
}

fn key(secret: &Material) -> Check {
    match secret.key_matches() {
        Some(true) => Check::good("key", "the Secret's key is that of its certificate".to_owned()),
        Some(false) => Check::failed(
            "key",
            "the Secret's key is not that of its certificate: it was changed by hand, or two Certificates write it"
                .to_owned(),
        ),
        None => Check::told("key", "the Secret was given without its key".to_owned()),
    }
}

fn protocol(negotiated: Option<&Negotiated>, anonymous: &Seen, holding: Option<&Seen>) -> Check {
    match negotiated {
        Some(Negotiated { version, cipher }) => Check::good("protocol", format!("{version}, {cipher}")),
        None => {
            let why = holding.unwrap_or(anonymous).answer.how();
            // A server that wants a certificate, asked by somebody without one, has said nothing wrong.
            let refused = anonymous.asked && holding.is_none();
            let text = format!("no handshake (TLS 1.3 and 1.2 were offered) came to its end: {why}");
            if refused {
                Check::told(
                    "protocol",
                    format!("{text}; a client certificate is asked for, and there was none to show"),
                )
            } else {
                Check::failed("protocol", text)
            }
        }
    }
}

/// Whether the database is there behind TLS, which may be another's, or come to its end while the database hangs. Whoever was asked
/// for a certificate and had none may have been refused for that, also without a word: so mongod does it. Whoever has shown one, or
/// was not asked, should have been answered.
fn answers(target: &Target, expected: &Expected<'_>, anonymous: &Seen, holding: Option<&Seen>) -> Option<Check> {
    const NAME: &str = "answers";
    if target.protocol == Protocol::Tls {
        return None;
    }
    let all = [holding, Some(anonymous)].into_iter().flatten();
    let asked: Vec<_> = all.filter(|seen| seen.negotiated.is_some()).map(|seen| &seen.answer).collect();
    let accepted = asked.iter().find(|answer| matches!(answer, Answer::Accepted(_)));
    let by_certificate = "; name a client's certificate with --client";
    let named = expected.client.is_some();
    let not_known =
        |how: &str, remedy: &str| Check::told(NAME, format!("not known, since nobody was let in: {how}{remedy}"));
    Some(match accepted.or(asked.first()) {
        Some(Answer::Accepted(how)) => Check::good(NAME, how.clone()),
        Some(Answer::Refused(how)) => not_known(how, if named { "" } else { by_certificate }),
        Some(Answer::Closed(how)) if holding.is_none() => not_known(how, by_certificate),
        Some(Answer::Unlisted(how)) => not_known(how, &ask_as_others(target)),
        Some(Answer::Closed(how) | Answer::Unclear(how)) => Check::failed(
            NAME,
            format!("no {} is seen to answer: {how}; look at the database's log", target.protocol.name()),
        ),
        None => Check::told(NAME, "not asked, since no handshake came to its end".to_owned()),
    })
}

fn trust(authority: &Result<Described, String>, leaf: &Described, secret: &Material) -> Check {
    if secret.authorities.is_empty() {
        return Check::failed(
            "chain",
            "the Secret has no ca.crt to trust; add the authority's certificate to what is given, or use an issuer that \
             publishes it"
                .to_owned(),
        );
    }
    match authority {
        // What a selfSigned issuer makes: ca.crt is the certificate itself.
        Ok(authority) if authority.fingerprint == leaf.fingerprint => Check::told(
            "chain",
            "it is its own authority (a selfSigned issuer's): after its renewal, whoever has loaded this one trusts the \
             next one no more; an internal CA does not have that"
                .to_owned(),
        ),
        Ok(authority) => Check::good("chain", format!("it leads to {} of ca.crt", authority.subject)),
        Err(why) => Check::failed("chain", why.clone()),
    }
}

fn usages(leaf: &Described) -> Result<String, String> {
    let extended = leaf.extended_key_usage.as_ref();
    if extended.is_some_and(|usages| !usages.iter().any(|usage| usage == "server auth" || usage == "any")) {
        let found = extended.map(|usages| usages.join(", ")).unwrap_or_default();
        return Err(format!(
            "its extended key usages ({found}) leave out server auth; add it to the Certificate's usages"
        ));
    }
    let usage = leaf.key_usage.as_ref();
    if usage.is_some_and(|usages| !usages.contains(&"digital signature")) {
        let found = usage.map(|usages| usages.join(", ")).unwrap_or_default();
        return Err(format!(
            "its key usages ({found}) leave out digital signature, without which TLS 1.3 cannot use it"
        ));
    }
    let all = usage.into_iter().flatten().copied().chain(extended.into_iter().flatten().map(String::as_str));
    let all = all.collect::<Vec<_>>().join(", ");
    Ok(if all.is_empty() { "it does not restrict them".to_owned() } else { all })
}

fn dates(leaf: &Described, authority: Option<&Described>, expected: &Expected<'_>) -> Result<String, String> {
    let now = expected.now;
    let left = |described: &Described| described.not_after.as_second() - now.as_second();
    if now < leaf.not_before {
        let until = span(leaf.not_before.as_second() - now.as_second());
        return Err(format!("not yet valid: it begins at {}, in {until}; look at the clocks", leaf.not_before));
    }
    if now > leaf.not_after {
        return Err(format!("expired: it ended at {}, {} ago", leaf.not_after, span(left(leaf))));
    }
    if let Some(authority) = authority.filter(|authority| now > authority.not_after || now < authority.not_before) {
        return Err(format!(
            "its authority {} is valid from {} to {} only",
            authority.subject, authority.not_before, authority.not_after
        ));
    }
    let ends = format!("it ends at {}, in {}", leaf.not_after, span(left(leaf)));
    if left(leaf) < expected.warn_before.as_secs() {
        return Err(format!("{ends}: less than the {} of --warn-before", span(expected.warn_before.as_secs())));
    }
    Ok(ends)
}

fn served_is(served: Option<&CertificateDer<'_>>, leaf: &Described, secret: &Material) -> Result<String, String> {
    let own = &secret.leaf;
    let how = match served.map(|served| secret.age_of(served, leaf)) {
        Some(Age::Fresh) => return Ok(format!("it is the Secret's ({})", leaf.told_apart())),
        Some(Age::Newer) => "it is newer than the Secret's: the Secret that was given is not the present one",
        Some(Age::Stale) if leaf.not_before < own.not_before => {
            "it is older than the Secret's: the endpoint has not loaded the renewed one"
        }
        Some(Age::Stale | Age::Foreign) | None => "it is not the Secret's",
    };
    Err(format!("{how} (served: {}; the Secret's: {})", leaf.told_apart(), own.told_apart()))
}

/// For whom a refusal holds: PostgreSQL decides by user, database and address.
fn asked_as(target: &Target) -> String {
    match target.protocol {
        Protocol::Postgresql => format!("{} alone: pg_hba.conf may let others in", login(target)),
        Protocol::Tls | Protocol::Mongodb | Protocol::Redis => String::new(),
    }
}

/// What to do where PostgreSQL does not let in who was named to it.
fn ask_as_others(target: &Target) -> String {
    format!("{}: name others with --user and --database", login(target))
}

fn login(target: &Target) -> String {
    let (user, database) = &target.login;
    format!("; asked as user {} of database {}", shown(user), shown(database))
}

fn plaintext(target: &Target, expected: &Expected<'_>, with_tls: [Option<&Seen>; 2]) -> Check {
    const NAME: &str = "plaintext";
    let answer = in_plaintext(target).unwrap_or_else(|why| Answer::Unclear(format!("no connection: {why}")));
    let unlisted = |seen: &&Seen| matches!(seen.answer, Answer::Unlisted(_));
    match answer {
        Answer::Unlisted(how) if with_tls.iter().flatten().any(unlisted) => {
            Check::told(NAME, format!("refused, and with TLS as well: {how}{}", ask_as_others(target)))
        }
        Answer::Refused(how) | Answer::Closed(how) | Answer::Unlisted(how) => {
            Check::good(NAME, format!("refused: {how}{}", asked_as(target)))
        }
        Answer::Accepted(how) if expected.allow_plaintext => Check::told(NAME, format!("accepted: {how}")),
        Answer::Accepted(how) => {
            Check::failed(NAME, format!("accepted: {how}; require TLS in the database's configuration"))
        }
        Answer::Unclear(how) if expected.allow_plaintext => Check::told(NAME, format!("not told: {how}")),
        Answer::Unclear(how) => Check::failed(NAME, format!("not known to be refused: {how}")),
    }
}
