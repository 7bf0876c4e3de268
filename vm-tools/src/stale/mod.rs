//! `tandem-vm stale`: is what an endpoint serves older than what the Secret holds? And VMs that are restarted for it.

mod restart;

use serde::Serialize;

pub(crate) use restart::{Fleet, Told};

pub use crate::probe::secret::Age;
use crate::probe::{Identity, Target, certificate::Described, connect, secret::Material};

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
        let (served, own) = (self.served.told_apart(), secret.leaf.told_apart());
        match self.age {
            Age::Fresh => format!("fresh: serves the Secret's certificate ({served})"),
            Age::Newer => format!("fresh: serves a newer certificate ({served}) than {} has ({own})", secret.name),
            Age::Stale => format!("stale: serves another certificate ({served}) than {} has ({own})", secret.name),
            Age::Foreign if !secret.leaf.shares_a_name(&self.served) => format!(
                "foreign: serves another's certificate, for {} ({served}), and {} has one for {} ({own}); is it the right endpoint, \
                 and the right Secret?",
                self.served.names_shown(),
                secret.name,
                secret.leaf.names_shown()
            ),
            Age::Foreign => format!(
                "foreign: serves a certificate of another CA ({served}) than {} has ({own}), and no older one; is it the right \
                 endpoint, and the right Secret?",
                secret.name
            ),
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
        return Err(format!("{endpoint}: no certificate was served: {}", seen.answer.how()));
    };
    let served = Described::of(leaf).map_err(|why| format!("{endpoint}: {why}"))?;
    Ok(Seen { endpoint, age: secret.age_of(leaf, &served), served })
}
