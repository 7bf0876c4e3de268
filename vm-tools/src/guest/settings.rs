//! Settings as the guest's scripts read them. What their values may be, [`crate::values`] says.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::{probe, values};

/// A value that has no place in a guest's settings: in no unit, path or line of them could it do what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{what}: {problem}")]
pub struct GuestError {
    /// What the value is for.
    pub what: &'static str,
    /// What is wrong with it, and what to write.
    pub problem: String,
}

/// The text if it passed a rule.
fn passed<'a>(what: &'static str, text: &'a str, verdict: Result<(), String>) -> Result<&'a str, GuestError> {
    verdict.map(|()| text).map_err(|problem| GuestError { what, problem })
}

/// Nothing if it `fits`, or the error that says what is wrong.
pub(super) fn checked(what: &'static str, fits: bool, problem: impl Into<String>) -> Result<(), GuestError> {
    if fits { Ok(()) } else { Err(GuestError { what, problem: problem.into() }) }
}

/// An absolute path that needs no quoting in a shell, a unit or a URI.
pub(crate) fn path<'a>(what: &'static str, text: &'a str) -> Result<&'a str, GuestError> {
    passed(what, text, values::guest_path(text))
}

/// What KubeVirt admits as a serial, as far as a guest sees it.
pub(crate) fn serial<'a>(what: &'static str, text: &'a str, longest: usize) -> Result<&'a str, GuestError> {
    passed(what, text, values::serial(text, longest))
}

/// A user or group.
pub(crate) fn account<'a>(what: &'static str, text: &'a str) -> Result<&'a str, GuestError> {
    passed(what, text, values::user(text))
}

/// A service's unit, or a template (`postgresql@.service`), which stands for its instances.
pub(crate) fn service<'a>(what: &'static str, text: &'a str) -> Result<&'a str, GuestError> {
    passed(what, text, values::unit(&text.replace("@.service", ".service")))
}

/// A volume's name, which is the tag of its virtiofs: at most 36 bytes.
pub(super) fn tag(text: &str) -> Result<&str, GuestError> {
    passed("the tag of the filesystem", text, values::label(text, 36))
}

/// A key of a Secret.
pub(super) fn secret_key<'a>(what: &'static str, text: &'a str) -> Result<&'a str, GuestError> {
    passed(what, text, values::secret_key(text))
}

/// A replica set's name.
pub(super) fn set_name(text: &str) -> Result<&str, GuestError> {
    passed("the name of the replica set", text, values::replica_set_name(text))
}

/// `HOST:PORT`, the host being an address or a DNS name.
pub(crate) fn address<'a>(what: &'static str, text: &'a str) -> Result<&'a str, GuestError> {
    let endpoint = text.parse::<probe::Endpoint>().map_err(|error| error.to_string());
    let verdict = endpoint.and_then(|endpoint| match endpoint.host.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => values::subdomain(&endpoint.host),
    });
    passed(what, text, verdict)
}

/// Lines `KEY='value'`, which the scripts read without running them.
#[derive(Debug)]
pub(super) struct Settings(String);

impl Settings {
    pub(super) fn for_program(program: &str) -> Self {
        Self(format!("# Written by tandem-vm for {program}, which reads it as data.\n"))
    }

    /// Adds a line. All values have passed one of the checks above, which leave no quote in them.
    pub(super) fn line(&mut self, key: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{key}='{value}'");
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}
