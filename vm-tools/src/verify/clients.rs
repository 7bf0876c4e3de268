//! Who is let in: a client with a certificate, one without, and a stranger with one that nobody vouches for.

use super::{Check, ClientAuth, Expected};
use crate::probe::{Answer, Seen, Target, connect, stranger};

/// One check for each kind of client.
pub(super) fn checks(target: &Target, expected: &Expected<'_>, anonymous: &Seen, holding: Option<&Seen>) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(seen) = holding {
        let whose = if expected.client.is_some() { "the client's certificate" } else { "the Secret's own certificate" };
        checks.push(accepted("client", &seen.answer, &format!("with {whose}"), "; name a client's with --client"));
    } else if expected.client_auth == Some(ClientAuth::Required) {
        checks.push(Check::told(
            "client",
            "there is no key to show a certificate with; name a client's with --client".to_owned(),
        ));
    }
    let without = "without a client certificate";
    checks.push(match expected.client_auth {
        Some(ClientAuth::Required) => refused("anonymous", &anonymous.answer, without),
        Some(ClientAuth::Optional) => accepted("anonymous", &anonymous.answer, without, ""),
        None => told("anonymous", &anonymous.answer, without),
    });
    let with = "with a certificate of an unknown CA";
    let seen = stranger().map_err(|error| error.to_string()).and_then(|identity| connect(target, identity));
    checks.push(match (seen, expected.client_auth) {
        (Err(why), _) => Check::failed("stranger", format!("not told: {why}")),
        (Ok(Seen { asked: false, answer: Answer::Accepted(_), .. }), Some(ClientAuth::Optional)) => {
            Check::good("stranger", "no client certificate is asked for".to_owned())
        }
        (Ok(Seen { asked: false, answer: Answer::Accepted(_), .. }), None) => {
            Check::told("stranger", "no client certificate is asked for".to_owned())
        }
        (Ok(Seen { asked: false, answer: Answer::Accepted(how), .. }), Some(ClientAuth::Required)) => {
            Check::failed("stranger", format!("accepted, and no client certificate is asked for: {how}"))
        }
        (Ok(seen), Some(_)) => refused("stranger", &seen.answer, with),
        (Ok(seen), None) => told("stranger", &seen.answer, with),
    });
    checks
}

fn accepted(check: &'static str, answer: &Answer, how: &str, remedy: &str) -> Check {
    match answer {
        Answer::Accepted(what) => Check::good(check, format!("accepted {how}: {what}")),
        Answer::Refused(what) => Check::failed(check, format!("refused {how}: {what}{remedy}")),
        Answer::Unclear(what) => Check::failed(check, format!("not known to be accepted {how}: {what}")),
    }
}

fn refused(check: &'static str, answer: &Answer, how: &str) -> Check {
    match answer {
        Answer::Refused(what) => Check::good(check, format!("refused {how}: {what}")),
        Answer::Accepted(what) => Check::failed(check, format!("accepted {how}: {what}")),
        Answer::Unclear(what) => Check::failed(check, format!("not known to be refused {how}: {what}")),
    }
}

fn told(check: &'static str, answer: &Answer, how: &str) -> Check {
    let (word, what) = match answer {
        Answer::Refused(what) => ("refused", what),
        Answer::Accepted(what) => ("accepted", what),
        Answer::Unclear(what) => ("not known", what),
    };
    Check::told(check, format!("{word} {how}: {what}"))
}
