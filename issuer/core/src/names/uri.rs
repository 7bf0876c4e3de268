//! URIs as certificates hold them (RFC 5280 clause 4.2.1.6, RFC 3986).

use iri_string::types::UriStr;

use super::dns;

/// Whether it is an absolute URI whose host, if it has one, is a DNS name or an IP address.
pub(crate) fn check(uri: &str) -> Result<(), &'static str> {
    let parsed = UriStr::new(uri).map_err(|_| "it is no absolute URI (RFC 3986)")?;
    match parsed.authority_components().and_then(|authority| authority.reg_name()) {
        Some(host) if !host.is_empty() => dns::read_host(host).map(drop),
        _ => Ok(()),
    }
}
