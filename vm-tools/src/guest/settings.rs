//! Settings as the guest's scripts read them, and what their values may be.

use std::fmt::Write as _;

use tandem_cli::shown;

/// A value that has no place in a guest's settings: in no unit, path or line of them could it do what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{what} is {found}: {rule}")]
pub struct GuestError {
    /// What the value is for.
    pub what: &'static str,
    /// The value, shortened and without control characters.
    pub found: String,
    /// What it has to be.
    pub rule: &'static str,
}

/// The text if `fits`, or the error that says what it has to be.
pub(super) fn checked<'a>(
    what: &'static str,
    text: &'a str,
    fits: bool,
    rule: &'static str,
) -> Result<&'a str, GuestError> {
    if fits { Ok(text) } else { Err(GuestError { what, found: format!("'{}'", shown(text)), rule }) }
}

fn only(text: &str, more: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}

/// An absolute path that needs no quoting in a shell, a unit or a URI.
pub(super) fn path<'a>(what: &'static str, text: &'a str) -> Result<&'a str, GuestError> {
    let plain = |part: &str| only(part, b"._+@:-") && part != "." && part != "..";
    let fits = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain));
    checked(what, text, fits, "an absolute path of letters, digits and . _ + @ : - is needed, without . and ..")
}

/// What KubeVirt admits as a serial, as far as a guest sees it.
pub(super) fn serial<'a>(what: &'static str, text: &'a str, longest: usize) -> Result<&'a str, GuestError> {
    let fits = only(text, b"_.+-") && text.len() <= longest;
    checked(what, text, fits, "letters, digits and _ . + - are possible, 20 of them on virtio and 36 elsewhere")
}

/// A user or group as useradd(8) takes it.
pub(super) fn account<'a>(what: &'static str, text: &'a str) -> Result<&'a str, GuestError> {
    let fits = only(text, b"_.-") && !text.starts_with('-') && text.len() <= 32;
    checked(what, text, fits, "the name of a user or group is needed")
}

/// A service's unit; systemd.unit(5).
pub(super) fn service<'a>(what: &'static str, text: &'a str) -> Result<&'a str, GuestError> {
    let fits = only(text, b":_.\\@-") && text.len() <= 255 && text.ends_with(".service");
    checked(what, text, fits, "the name of a systemd service is needed, with its suffix .service")
}

/// A volume's name, which is the tag of its virtiofs: RFC 1123, at most 36 bytes.
pub(super) fn tag(text: &str) -> Result<&str, GuestError> {
    let fits = only(text, b"-.") && text.len() <= 36;
    checked("the tag of the filesystem", text, fits, "the name of a volume is needed, of at most 36 bytes")
}

/// Letters, digits and what stands between them in names.
pub(super) fn word<'a>(what: &'static str, text: &'a str) -> Result<&'a str, GuestError> {
    checked(what, text, only(text, b"._-"), "letters, digits and . _ - are possible")
}

/// `HOST:PORT`.
pub(super) fn address(text: &str) -> Result<&str, GuestError> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let fits = only(host, b".-[]:") && port.parse::<u16>().is_ok_and(|port| port != 0);
    checked("the endpoint", text, fits, "HOST:PORT is needed, as in 127.0.0.1:5432")
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
