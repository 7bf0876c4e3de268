//! A plan → text for people.

use std::fmt::Write;

use super::{CertificatePlan, Plan};
use crate::probe::certificate::span;

impl Plan {
    /// For each Certificate a table, then what is wrong.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for certificate in &self.certificates {
            certificate.write(&mut text);
        }
        let count: usize = self.certificates.iter().map(|certificate| certificate.divergences.len()).sum();
        // A String takes any text.
        let _ = match count {
            0 => writeln!(text, "All sides agree until {}.", self.until),
            1 => writeln!(text, "There is 1 divergence until {}.", self.until),
            _ => writeln!(text, "There are {count} divergences until {}.", self.until),
        };
        text
    }
}

impl CertificatePlan {
    fn write(&self, text: &mut String) {
        let Self { certificate, secret, issuer, duration, renew_before, present, events, divergences } = self;
        let _ = writeln!(text, "Certificate {certificate} for Secret {secret}, by {issuer}");
        let _ = writeln!(
            text,
            "  valid for {}, renewed {} before its end; the present one, certificate 1, is from {} to {}\n",
            span(*duration),
            span(*renew_before),
            present.issued,
            present.not_after
        );
        let who = events.iter().map(|event| event.who.chars().count()).max().unwrap_or(0);
        for event in events {
            let _ = writeln!(text, "  {}  {:<who$}  {}", event.time, event.who, event.what);
        }
        for divergence in divergences {
            let _ = writeln!(text, "\n  Diverges at {}: {}", divergence.from, divergence.who);
            let _ = writeln!(text, "    why:    {}\n    change: {}", divergence.why, divergence.change);
        }
        text.push('\n');
    }
}
