//! `tandem-vm verify` beside real servers, and beside such as mean harm.

mod hostile;
mod messages;
pub(crate) mod mongodb;
mod nginx;
mod openssl;
mod postgresql;
mod redis;
mod refusals;
pub(crate) mod secrets;
pub(crate) mod servers;
mod spoken;

use std::{path::Path, process::Output};

use serde_json::Value;

use crate::{
    command::tandem_vm,
    support::{output, said},
};

/// What the command said.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) report: Value,
    pub(crate) said: String,
}

impl Done {
    /// Verdict and message of a check.
    pub(crate) fn check(&self, name: &str) -> (&str, &str) {
        let checks = self.report["checks"].as_array().unwrap_or_else(|| panic!("no report: {}", self.said));
        let check =
            checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name}: {}", self.said));
        (check["verdict"].as_str().unwrap(), check["message"].as_str().unwrap())
    }

    /// The check has this verdict, and its message holds this text.
    pub(crate) fn expect(&self, name: &str, verdict: &str, text: &str) {
        let (found, message) = self.check(name);
        assert!(found == verdict && message.contains(text), "{name}: expected {verdict}, {text}\n{}", self.said);
    }

    /// These checks failed and no others; the exit code says so.
    pub(crate) fn expect_failed(&self, expected: &[&str]) {
        let failed = self.report["checks"].as_array().unwrap_or_else(|| panic!("no report: {}", self.said));
        let failed: Vec<_> =
            failed.iter().filter(|c| c["verdict"] == "failed").map(|c| c["check"].as_str().unwrap()).collect();
        assert_eq!(failed, expected, "{}", self.said);
        assert_eq!(self.code, Some(i32::from(!expected.is_empty())), "{}", self.said);
        assert_eq!(self.report["verdict"], if expected.is_empty() { "good" } else { "failed" });
    }
}

/// Runs `verify -o json` for an endpoint, the Secret being in a folder.
pub(crate) fn verify(port: u16, secret: &Path, more: &[&str]) -> Done {
    let endpoint = format!("127.0.0.1:{port}");
    let mut command = tandem_vm();
    command.args(["verify", "-o", "json", "--server-name", servers::NAME, "--endpoint", &endpoint]).args(more);
    if !secret.as_os_str().is_empty() {
        command.arg("--folder").arg(secret);
    }
    done(&output(&mut command), secret)
}

pub(crate) fn done(output: &Output, secret: &Path) -> Done {
    let said = said(output);
    // No line of the key, whatever went wrong.
    let key = std::fs::read_to_string(secret.join("tls.key")).unwrap_or_default();
    assert!(!key.lines().any(|line| line.len() > 16 && !line.starts_with('-') && said.contains(line)), "{said}");
    Done { code: output.status.code(), report: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), said }
}
