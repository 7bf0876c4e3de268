//! `tandem-vm stale`: is what an endpoint serves older than what the Secret holds? And VMs that are restarted for it.

mod restart;

use pki_types::CertificateDer;
use serde::Serialize;

pub(crate) use restart::{Fleet, Told};

use crate::probe::{Answer, Identity, Target, certificate::Described, connect, secret::Material};

/// What an endpoint serves, beside a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Age {
    /// The Secret's certificate.
    Fresh,
    /// A newer one: the Secret that was given is not the present one.
    Newer,
    /// An older one, or another one of the same age.
    Stale,
}

/// What was seen of one endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// `HOST:PORT`.
    pub endpoint: String,
    /// How old what it serves is.
    pub age: Age,
    /// The certificate that it serves.
    pub served: Described,
}

impl Seen {
    /// In a sentence, without its subject.
    #[must_use]
    pub fn text(&self, secret: &Material) -> String {
        let pair = |described: &Described| format!("serial {}, from {}", described.serial, described.not_before);
        let served = pair(&self.served);
        let own = pair(&secret.leaf);
        match self.age {
            Age::Fresh => format!("fresh: serves the Secret's certificate ({served})"),
            Age::Newer => format!("fresh: serves a newer certificate ({served}) than {} has ({own})", secret.name),
            Age::Stale => format!("stale: serves another certificate ({served}) than {} has ({own})", secret.name),
        }
    }
}

/// Looks at an endpoint.
///
/// # Errors
/// Why nothing is known of what it serves.
pub fn look(target: &Target, secret: &Material) -> Result<Seen, String> {
    let endpoint = target.endpoint.to_string();
    let seen = connect(target, Identity::Nobody).map_err(|why| format!("{endpoint}: no connection: {why}"))?;
    let Some(leaf) = seen.chain.first() else {
        let (Answer::Accepted(why) | Answer::Refused(why) | Answer::Unclear(why)) = seen.answer;
        return Err(format!("{endpoint}: no certificate was served: {why}"));
    };
    let served = Described::of(leaf).map_err(|why| format!("{endpoint}: {why}"))?;
    Ok(Seen { endpoint, age: age(leaf, &served, secret), served })
}

fn age(leaf: &CertificateDer<'_>, served: &Described, secret: &Material) -> Age {
    match &secret.chain[..] {
        [own, ..] if own == leaf => Age::Fresh,
        _ if served.not_before > secret.leaf.not_before => Age::Newer,
        _ => Age::Stale,
    }
}
