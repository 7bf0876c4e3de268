//! URIs as certificates hold them (RFC 5280 clause 4.2.1.6, RFC 3986).

use fluent_uri::{Uri, component::Host};

use super::dns;

/// Whether it is an absolute URI whose host, if it has one, is a DNS name or an IP address.
pub(crate) fn check(uri: &str) -> Result<(), &'static str> {
    let parsed = Uri::parse(uri).map_err(|_| "it is no absolute URI (RFC 3986)")?;
    match parsed.authority().map(|authority| authority.host_parsed()) {
        Some(Host::RegName(host)) if !host.is_empty() => dns::read_host(host.as_str()).map(drop),
        _ => Ok(()),
    }
}
