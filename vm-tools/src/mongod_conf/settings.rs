//! The settings that can be changed, and what each of them takes.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_yaml::Value;
use tandem_cli::{Problem, shown};

/// A setting of `mongod.conf`.
#[derive(Debug, PartialEq)]
pub struct Setting {
    /// Its dotted name, such as `net.tls.mode`.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Debug, PartialEq)]
enum Kind {
    /// `true` or `false`.
    Truth,
    Number(RangeInclusive<u32>),
    /// The absolute path of a file or folder in the guest.
    Path,
    OneOf(&'static [&'static str]),
    /// Addresses and host names to listen on, separated by commas.
    Addresses,
    /// A replica set's name.
    Name,
    /// Protocol versions, separated by commas.
    Protocols,
}

/// Values of `net.tls.mode`.
pub const MODES: [&str; 4] = ["disabled", "allowTLS", "preferTLS", "requireTLS"];
/// Values of `security.clusterAuthMode`.
pub const AUTH_MODES: [&str; 4] = ["keyFile", "sendKeyFile", "sendX509", "x509"];
const PROTOCOLS: [&str; 4] = ["TLS1_0", "TLS1_1", "TLS1_2", "TLS1_3"];

/// All settings that can be changed. Passwords are not among them: a command's arguments can be read by others.
pub const SETTINGS: [Setting; 24] = [
    Setting { name: "net.bindIp", kind: Kind::Addresses },
    Setting { name: "net.port", kind: Kind::Number(1..=65535) },
    Setting { name: "net.ipv6", kind: Kind::Truth },
    Setting { name: "net.maxIncomingConnections", kind: Kind::Number(5..=1_000_000) },
    Setting { name: "net.unixDomainSocket.enabled", kind: Kind::Truth },
    Setting { name: "net.unixDomainSocket.pathPrefix", kind: Kind::Path },
    Setting { name: "net.tls.mode", kind: Kind::OneOf(&MODES) },
    Setting { name: "net.tls.certificateKeyFile", kind: Kind::Path },
    Setting { name: "net.tls.CAFile", kind: Kind::Path },
    Setting { name: "net.tls.clusterFile", kind: Kind::Path },
    Setting { name: "net.tls.clusterCAFile", kind: Kind::Path },
    Setting { name: "net.tls.CRLFile", kind: Kind::Path },
    Setting { name: "net.tls.allowConnectionsWithoutCertificates", kind: Kind::Truth },
    Setting { name: "net.tls.allowInvalidHostnames", kind: Kind::Truth },
    Setting { name: "net.tls.allowInvalidCertificates", kind: Kind::Truth },
    Setting { name: "net.tls.disabledProtocols", kind: Kind::Protocols },
    Setting { name: "net.tls.logVersions", kind: Kind::Protocols },
    Setting { name: "net.tls.FIPSMode", kind: Kind::Truth },
    Setting { name: "replication.replSetName", kind: Kind::Name },
    Setting { name: "replication.oplogSizeMB", kind: Kind::Number(1..=100_000_000) },
    Setting { name: "security.keyFile", kind: Kind::Path },
    Setting { name: "security.clusterAuthMode", kind: Kind::OneOf(&AUTH_MODES) },
    Setting { name: "security.authorization", kind: Kind::OneOf(&["enabled", "disabled"]) },
    Setting { name: "security.transitionToAuth", kind: Kind::Truth },
];

/// The setting of that name.
///
/// # Errors
/// Where there is none; the problem names one that differs in case alone, or all.
pub fn named(name: &str) -> Result<&'static Setting, Problem> {
    let near = || SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name)).map(|setting| setting.name);
    SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| {
        let remedy = near().map_or_else(
            || format!("known here: {}", SETTINGS.map(|setting| setting.name).join(", ")),
            |near| format!("did you mean {near}?"),
        );
        Problem::new(shown(name), format!("is not a setting that is changed here; {remedy}"))
    })
}

impl Setting {
    /// Reads a value as a user writes it.
    pub(super) fn value(&self, text: &str) -> Result<Value, String> {
        if !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return Err(
                "has characters other than printable ASCII, which is all that mongod reads; use others".to_owned()
            );
        }
        let text_shown = shown(text);
        let wrong = |expected: &str| Err(format!("`{text_shown}`: write {expected}"));
        match &self.kind {
            Kind::Truth => match text {
                "true" => Ok(true.into()),
                "false" => Ok(false.into()),
                _ => wrong("true or false"),
            },
            Kind::Number(range) => match text.parse::<u32>() {
                Ok(number) if range.contains(&number) => Ok(number.into()),
                _ => wrong(&format!("a number from {} to {}", range.start(), range.end())),
            },
            Kind::Path if text.starts_with('/') && !text.ends_with('/') => Ok(text.into()),
            Kind::Path => wrong("the absolute path of a file in the guest, such as /etc/ssl/mongodb.pem"),
            Kind::OneOf(values) if values.contains(&text) => Ok(text.into()),
            Kind::OneOf(values) => wrong(&format!("one of {}", values.join(", "))),
            Kind::Addresses if text.split(',').all(is_address) => Ok(text.into()),
            Kind::Addresses => wrong("IP addresses or host names separated by commas, such as 127.0.0.1,10.0.0.5"),
            Kind::Name if !text.is_empty() && !text.contains([' ', '/', ',', '"', '\'', '\\']) => Ok(text.into()),
            Kind::Name => wrong("a name without blanks, quotes, slashes and commas, such as rs0"),
            Kind::Protocols if text == "none" || text.split(',').all(|part| PROTOCOLS.contains(&part)) => {
                Ok(text.into())
            }
            Kind::Protocols => wrong(&format!("none, or some of {} separated by commas", PROTOCOLS.join(","))),
        }
    }
}

/// What mongod listens on: an address, a host name, `*` for all, or the path of a socket.
fn is_address(text: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let numeric = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text == "*"
        || text.starts_with('/') && text.ends_with(".sock")
        || text.parse::<IpAddr>().is_ok()
        || !numeric(text) && text.split('.').all(label)
}
