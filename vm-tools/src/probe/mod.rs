//! TLS to a running endpoint, seen from outside: what it serves, and whom it lets in.
//!
//! ```text
//! Target ──▶ connect(identity) ──▶ Seen: chain, version, cipher, whether a certificate was asked for, answer
//!        └─▶ in_plaintext ───────▶ Answer
//! ```
//!
//! A connection takes whatever certificate it is shown, so that it can be looked at; nothing is sent through it but a
//! question that every server of its protocol answers to strangers. Each has one time limit as a whole and a budget of
//! bytes, so that no server, whatever it does, keeps it.

pub mod certificate;
mod endpoint;
mod path;
pub mod secret;
mod socket;
mod speech;
mod tls;

pub use endpoint::{BadEndpoint, Endpoint, Protocol};
pub(crate) use path::{check_name, check_path};
pub(crate) use tls::{Identity, Negotiated, Seen, connect, in_plaintext, stranger};

use std::time::Duration;

use pki_types::ServerName;

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host and port.
    pub endpoint: Endpoint,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The name that its certificate must be for, and that is sent as SNI where it is a DNS name (RFC 6066 clause 3).
    pub server_name: ServerName<'static>,
    /// For each connection as a whole.
    pub timeout: Duration,
    /// User and database of PostgreSQL's startup message; other protocols are not told any.
    pub login: (String, String),
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The server talks to whoever asked.
    Accepted(String),
    /// It does not: for want of a certificate, for the one that was shown, or for want of TLS.
    Refused(String),
    /// PostgreSQL does not talk to this user of this database, whoever shows which certificate.
    Unlisted(String),
    /// It ends the connection without a word, for whichever reason.
    Closed(String),
    /// Neither can be told.
    Unclear(String),
}

impl Answer {
    /// What was seen.
    pub(crate) fn how(&self) -> &str {
        let (Self::Accepted(how) | Self::Refused(how) | Self::Unlisted(how) | Self::Closed(how) | Self::Unclear(how)) =
            self;
        how
    }
}
