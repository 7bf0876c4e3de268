//! The parts by which URIs are compared (RFC 3986; the SPIFFE ID standard, clause 2).

use iri_string::types::UriStr;

use super::{patterns::covers, template::glob};
use crate::names::dns;

/// A URI of nothing but scheme, host and path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// In lower case.
    scheme: String,
    /// In lower case; `None` where there is no authority.
    host: Option<String>,
    path: Vec<&'a str>,
}

impl<'a> Parts<'a> {
    /// Reads what a request names.
    pub(super) fn read(uri: &'a str) -> Result<Self, &'static str> {
        Self::split(uri, false)
    }

    /// Reads a pattern without variables.
    pub(super) fn of_pattern(pattern: &'a str) -> Result<Self, &'static str> {
        let parts = Self::split(pattern, true)?;
        if parts.is_spiffe() && parts.host.as_ref().is_some_and(|host| host.contains('*')) {
            return Err("a trust domain has no wildcard");
        }
        let (last, before) = parts.path.split_last().unwrap_or((&"", &[]));
        if before.iter().any(|segment| segment.contains("**")) || (last.contains("**") && *last != "**") {
            return Err("** may only be the whole of the last segment");
        }
        Ok(parts)
    }

    fn split(uri: &'a str, wildcards: bool) -> Result<Self, &'static str> {
        if uri.contains('%') {
            return Err("it is percent-encoded");
        }
        let parsed = UriStr::new(uri).map_err(|_| "it is no absolute URI (RFC 3986)")?;
        let authority = parsed.authority_components();
        if authority.is_some_and(|authority| authority.userinfo().is_some() || authority.port().is_some()) {
            return Err("it has a user or a port");
        }
        if parsed.query_str().is_some() || parsed.fragment_str().is_some() {
            return Err("it has a query or a fragment");
        }
        let host = authority.map(|authority| authority.host().to_ascii_lowercase()).filter(|host| !host.is_empty());
        // An IPv6 address is in brackets.
        if let Some(host) = host.as_deref().filter(|host| !host.starts_with('[')) {
            let example = if wildcards { host.replace("**", "a").replace('*', "a") } else { host.to_owned() };
            dns::read_host(&example)?;
        }
        let path = parsed.path_str();
        let path: Vec<_> = match (path, authority) {
            ("", _) => Vec::new(),
            (path, Some(_)) => path.strip_prefix('/').unwrap_or(path).split('/').collect(),
            (path, None) => path.split('/').collect(),
        };
        if path.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err("its path has an empty or a dot segment");
        }
        let parts = Self { scheme: parsed.scheme_str().to_ascii_lowercase(), host, path };
        if parts.is_spiffe() {
            parts.check_spiffe(uri, wildcards)?;
        }
        Ok(parts)
    }

    fn is_spiffe(&self) -> bool {
        self.scheme == "spiffe"
    }

    /// A SPIFFE ID is written in one way only.
    fn check_spiffe(&self, uri: &str, wildcards: bool) -> Result<(), &'static str> {
        let others: &[u8] = if wildcards { b"-._*" } else { b"-._" };
        let known = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte));
        let host = self.host.as_deref().ok_or("a SPIFFE ID has a trust domain")?;
        match () {
            () if !uri.starts_with(&format!("spiffe://{host}")) => {
                Err("scheme and trust domain of a SPIFFE ID are in lower case")
            }
            () if !known(host) || !self.path.iter().all(|segment| known(segment)) => {
                Err("it has a character that no SPIFFE ID has")
            }
            () if uri.len() > 2048 => Err("a SPIFFE ID has at most 2048 bytes"),
            () => Ok(()),
        }
    }

    /// Whether this, as a pattern, allows `uri`.
    pub(super) fn covers(&self, uri: &Parts<'_>) -> bool {
        let host = match (&self.host, &uri.host) {
            (Some(wanted), Some(host)) => covers(wanted, host),
            (wanted, host) => wanted == host,
        };
        let path = match self.path.split_last() {
            Some((&"**", before)) => uri.path.len() > before.len() && all(before, &uri.path),
            _ => uri.path.len() == self.path.len() && all(&self.path, &uri.path),
        };
        self.scheme == uri.scheme && host && path
    }
}

/// Whether each pattern allows the segment in its place.
fn all(patterns: &[&str], segments: &[&str]) -> bool {
    patterns.iter().zip(segments).all(|(pattern, segment)| glob(pattern, segment))
}
