//! `HOST:PORT`, and what is spoken there.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use tandem_cli::shown;

/// A host (a name or an IP address) and a TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    /// From 1.
    pub port: u16,
}

/// The text is not `HOST:PORT`.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not HOST:PORT; write a name or an address, a colon and a port, such as db.example:5432 or [::1]:5432"
)]
pub struct BadEndpoint(String);

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let bad = || BadEndpoint(shown(text));
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| *port != 0 && digits);
        let fits = match bracketed {
            // It may name an interface (RFC 4007 clause 11): fe80::1%eth0.
            Some(address) => address.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
            None => !host.is_empty() && !host.contains(['[', ']', ':']),
        };
        let host = bracketed.unwrap_or(host);
        if !fits || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(bad());
        }
        Ok(Self { host: host.to_owned(), port: port.ok_or_else(bad)? })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How a connection begins, and what is asked once it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// TLS from the first byte, and nothing asked within
    #[default]
    Tls,
    /// PostgreSQL's SSLRequest first, then a startup message
    Postgresql,
    /// TLS from the first byte, then `hello`
    Mongodb,
    /// TLS from the first byte, then PING
    Redis,
}

impl Protocol {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Postgresql => "postgresql",
            Self::Mongodb => "mongodb",
            Self::Redis => "redis",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_addresses_are_read_and_written() {
        for text in ["db.example:5432", "127.0.0.1:1", "[::1]:65535", "mongodb:27017", "[fe80::1%eth0]:5"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "db", "db:", ":1", "db:0", "db:65536", "db:+5", "::1:5", "[::1:5", "a b:5", "a\n:5", "db:5 ", "[]:5",
            "[[:80", "[db]:5",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
