//! An issuer's spec → the core's [`Settings`].

use tandem_issuer_core::settings::{self, Settings, Urls};

use super::{
    certificate_request::duration,
    issuer::{CaSource, IssuerSpec, LeafBeyondCa},
    policy::GivenPolicy,
};

impl IssuerSpec {
    /// What the spec says about certificates.
    ///
    /// # Errors
    /// The first field that cannot be read, and why; admission refuses most of them.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        let backdate = match &self.backdate {
            None => Settings::BACKDATE,
            Some(text) => duration(text)
                .filter(|backdate| !backdate.is_negative())
                .ok_or_else(|| format!("spec.backdate: {text:?} is not a duration such as 1m or 1h30m"))?,
        };
        Ok(Settings {
            urls: self.ca.as_ref().map(Urls::from).unwrap_or_default(),
            leaf_beyond_ca: self.leaf_beyond_ca.into(),
            backdate,
            refused_keys: self.refused_keys.iter().map(|hash| key_hash(hash)).collect::<Result<_, _>>()?,
            policy: self.policy.as_ref().map(GivenPolicy::to_core).transpose()?,
        })
    }
}

fn key_hash(text: &str) -> Result<String, String> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_ascii_lowercase()).ok_or_else(|| {
        format!("spec.refusedKeys: {text:?} is not the SHA-256 of a public key, in 64 hexadecimal digits")
    })
}

impl From<LeafBeyondCa> for settings::LeafBeyondCa {
    fn from(setting: LeafBeyondCa) -> Self {
        match setting {
            LeafBeyondCa::Refuse => Self::Refuse,
            LeafBeyondCa::Truncate => Self::Truncate,
            LeafBeyondCa::Permit => Self::Permit,
        }
    }
}

impl From<&CaSource> for Urls {
    fn from(ca: &CaSource) -> Self {
        Self {
            crl_distribution_points: ca.crl_distribution_points.clone(),
            ocsp_servers: ca.ocsp_servers.clone(),
            issuing_certificate_urls: ca.issuing_certificate_urls.clone(),
        }
    }
}
