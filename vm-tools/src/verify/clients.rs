//! Who is let in: a client with a certificate, one without, and a stranger with one that nobody vouches for.

use super::{Check, ClientAuth, Expected, ask_as_others};
use crate::probe::{Answer, Seen, Target, connect, stranger};

/// One check for each kind of client.
pub(super) fn checks(target: &Target, expected: &Expected<'_>, anonymous: &Seen, holding: Option<&Seen>) -> Vec<Check> {
    let mut checks = Vec::new();
    let let_in =
        [holding, Some(anonymous)].into_iter().flatten().any(|seen| matches!(seen.answer, Answer::Accepted(_)));
    let outcome = |answer: &Answer| Outcome::of(answer, let_in, target);
    if let Some(seen) = holding {
        let own = expected.client.is_none();
        let whose = if own { "with the Secret's own certificate" } else { "with the client's certificate" };
        let remedy = match &seen.answer {
            Answer::Refused(_) | Answer::Closed(_) if own => "; name a client's with --client",
            _ => "",
        };
        checks.push(match &seen.answer {
            Answer::Accepted(how) if !seen.asked => {
                Check::told("client", format!("accepted, and no client certificate is asked for: {how}"))
            }
            answer => accepted("client", outcome(answer), whose, remedy),
        });
    } else if expected.client_auth == Some(ClientAuth::Required) {
        checks.push(Check::told(
            "client",
            "there is no key to show a certificate with; name a client's with --client".to_owned(),
        ));
    }
    let without = "without a client certificate";
    checks.push(match expected.client_auth {
        Some(ClientAuth::Required) => refused("anonymous", outcome(&anonymous.answer), without),
        Some(ClientAuth::Optional) => accepted("anonymous", outcome(&anonymous.answer), without, ""),
        None => told("anonymous", outcome(&anonymous.answer), without),
    });
    let with = "with a certificate of an unknown CA";
    let seen = stranger().map_err(|error| error.to_string()).and_then(|identity| connect(target, identity));
    checks.push(match (seen, expected.client_auth) {
        (Err(why), _) => Check::failed("stranger", format!("not told: {why}")),
        (Ok(Seen { asked: false, negotiated: Some(_), .. }), Some(ClientAuth::Optional)) => {
            Check::good("stranger", "no client certificate is asked for".to_owned())
        }
        (Ok(Seen { asked: false, negotiated: Some(_), .. }), None) => {
            Check::told("stranger", "no client certificate is asked for".to_owned())
        }
        (Ok(Seen { asked: false, answer: Answer::Accepted(how), .. }), Some(ClientAuth::Required)) => {
            Check::failed("stranger", format!("accepted, and no client certificate is asked for: {how}"))
        }
        (Ok(seen), Some(_)) => refused("stranger", outcome(&seen.answer), with),
        (Ok(seen), None) => told("stranger", outcome(&seen.answer), with),
    });
    checks
}

/// What an answer says of a certificate, or of the want of one.
enum Outcome {
    Accepted(String),
    Refused(String),
    Unknown(String),
}

impl Outcome {
    /// That it goes no further, and not why, is a refusal where it goes further with somebody who differs in the certificate alone.
    fn of(answer: &Answer, let_in: bool, target: &Target) -> Self {
        match answer {
            Answer::Accepted(how) => Self::Accepted(how.clone()),
            Answer::Refused(how) => Self::Refused(how.clone()),
            Answer::Unlisted(how) | Answer::Closed(how) if let_in => Self::Refused(how.clone()),
            Answer::Unlisted(how) => Self::Unknown(format!("{how}{}", ask_as_others(target))),
            Answer::Closed(how) | Answer::Unclear(how) => Self::Unknown(how.clone()),
        }
    }
}

fn accepted(check: &'static str, outcome: Outcome, how: &str, remedy: &str) -> Check {
    match outcome {
        Outcome::Accepted(what) => Check::good(check, format!("accepted {how}: {what}")),
        Outcome::Refused(what) => Check::failed(check, format!("refused {how}: {what}{remedy}")),
        Outcome::Unknown(what) => Check::failed(check, format!("not known to be accepted {how}: {what}{remedy}")),
    }
}

fn refused(check: &'static str, outcome: Outcome, how: &str) -> Check {
    match outcome {
        Outcome::Refused(what) => Check::good(check, format!("refused {how}: {what}")),
        Outcome::Accepted(what) => Check::failed(check, format!("accepted {how}: {what}")),
        Outcome::Unknown(what) => Check::failed(check, format!("not known to be refused {how}: {what}")),
    }
}

fn told(check: &'static str, outcome: Outcome, how: &str) -> Check {
    let (word, what) = match outcome {
        Outcome::Refused(what) => ("refused", what),
        Outcome::Accepted(what) => ("accepted", what),
        Outcome::Unknown(what) => ("not known", what),
    };
    Check::told(check, format!("{word} {how}: {what}"))
}
