//! What was found → text for people, or JSON.

use serde::Serialize;
use serde_json::json;

use crate::probe::{Negotiated, certificate::Described};

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not judged, only told.
    Told,
    /// Not as it should be.
    Failed,
}

impl Verdict {
    /// As text and JSON have it.
    fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Told => "told",
            Self::Failed => "failed",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is checked, in one word.
    pub check: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// What was seen, and why that is so.
    pub message: String,
}

impl Check {
    pub(super) fn good(check: &'static str, message: String) -> Self {
        Self { check, verdict: Verdict::Good, message }
    }

    pub(super) fn told(check: &'static str, message: String) -> Self {
        Self { check, verdict: Verdict::Told, message }
    }

    pub(super) fn failed(check: &'static str, message: String) -> Self {
        Self { check, verdict: Verdict::Failed, message }
    }

    pub(super) fn of(check: &'static str, result: Result<String, String>) -> Self {
        match result {
            Ok(message) => Self::good(check, message),
            Err(message) => Self::failed(check, message),
        }
    }
}

/// All that was found of one endpoint.
#[derive(Clone, Debug)]
pub struct Report {
    /// `HOST:PORT`.
    pub endpoint: String,
    /// The protocol's name.
    pub protocol: &'static str,
    /// The name that was checked.
    pub server_name: String,
    /// The Secret's name.
    pub secret: String,
    pub(crate) negotiated: Option<Negotiated>,
    /// The certificate that was served.
    pub served: Option<Described>,
    /// In a fixed order.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether no check failed.
    #[must_use]
    pub fn good(&self) -> bool {
        self.checks.iter().all(|check| check.verdict != Verdict::Failed)
    }

    fn verdict(&self) -> Verdict {
        if self.good() { Verdict::Good } else { Verdict::Failed }
    }

    /// A line for the whole, then one for each check.
    #[must_use]
    pub fn text(&self) -> String {
        let (verdict, beside) = (self.verdict().word(), &self.secret);
        let head =
            format!("{} ({}), as {}, beside {beside}: {verdict}\n", self.endpoint, self.protocol, self.server_name);
        let line = |Check { check, verdict, message }: &Check| format!("  {:<7}{check:<11}{message}\n", verdict.word());
        self.checks.iter().map(line).fold(head, |text, line| text + &line)
    }

    /// The same for machines.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let tls = self
            .negotiated
            .as_ref()
            .map(|Negotiated { version, cipher }| json!({"version": version, "cipher": cipher}));
        json!({
            "endpoint": self.endpoint, "protocol": self.protocol, "serverName": self.server_name, "secret": self.secret,
            "verdict": self.verdict(),
            "tls": tls, "served": self.served, "checks": self.checks,
        })
    }
}
