//! Subject alternative names and name constraints of a Certificate, in cert-manager's order.

use std::net::IpAddr;

use der::{
    Tag,
    asn1::{Any, Ia5String, OctetString},
    oid::ObjectIdentifier,
};
use ipnet::IpNet;
use tandem_cli::{Problem, shown};
use x509_cert::ext::pkix::{
    self,
    constraints::name::GeneralSubtree,
    name::{GeneralName, OtherName},
};

use super::{Spec, Subtrees};

/// DNS names, emails, IP addresses, URIs, then others.
pub(super) fn subject_alternative(spec: &Spec) -> Result<Vec<GeneralName>, Problem> {
    let mut all = Vec::new();
    for (index, name) in spec.dns_names.iter().enumerate() {
        all.push(GeneralName::DnsName(ascii(name, format!("spec.dnsNames[{index}]"))?));
    }
    for (index, email) in spec.email_addresses.iter().enumerate() {
        let field = format!("spec.emailAddresses[{index}]");
        let address = ascii(email, field.clone())?;
        if !is_email(email) {
            let message = format!("`{}` is not an address; write one such as ops@example.com", shown(email));
            return Err(Problem::new(field, message));
        }
        all.push(GeneralName::Rfc822Name(address));
    }
    for (index, address) in spec.ip_addresses.iter().enumerate() {
        let read: Result<IpAddr, _> = address.parse();
        let read = read.map_err(|_| {
            let message = format!("`{}` is not an IP address; write one such as 10.0.0.1", shown(address));
            Problem::new(format!("spec.ipAddresses[{index}]"), message)
        })?;
        // An IPv4 address in IPv6's clothes has four bytes.
        all.push(GeneralName::from(read.to_canonical()));
    }
    for (index, uri) in spec.uris.iter().enumerate() {
        all.push(GeneralName::UniformResourceIdentifier(ascii(uri, format!("spec.uris[{index}]"))?));
    }
    for (index, other) in spec.other_names.iter().enumerate() {
        let field = |name: &str| format!("spec.otherNames[{index}].{name}");
        let type_id = ObjectIdentifier::new(&other.oid).map_err(|_| {
            let message = format!("`{}` is not an OID; write one such as 1.3.6.1.4.1.311.20.2.3", shown(&other.oid));
            Problem::new(field("oid"), message)
        })?;
        let value = Any::new(Tag::Utf8String, other.utf8_value.as_bytes()).ok();
        let value = value.filter(|_| !other.utf8_value.is_empty());
        let value = value.ok_or_else(|| Problem::new(field("utf8Value"), "is empty; write a value"))?;
        all.push(GeneralName::OtherName(OtherName { type_id, value }));
    }
    Ok(all)
}

/// One address and nothing else: no display name, no angle brackets.
fn is_email(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !"<>(),;:\\\"[]".contains(c);
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !local.contains('@') && text.chars().all(plain)
    })
}

/// The name constraints, and whether they are critical; `None` where none are given.
pub(super) fn constraints(spec: &Spec) -> Result<Option<(pkix::NameConstraints, bool)>, Problem> {
    let Some(given) = &spec.name_constraints else { return Ok(None) };
    let read = |field: &str, subtrees: &Option<Subtrees>| match subtrees {
        Some(subtrees) => subtrees_of(subtrees, &format!("spec.nameConstraints.{field}")),
        None => Ok(Vec::new()),
    };
    let (permitted, excluded) = (read("permitted", &given.permitted)?, read("excluded", &given.excluded)?);
    let some = |subtrees: Vec<GeneralSubtree>| (!subtrees.is_empty()).then_some(subtrees);
    let constraints = pkix::NameConstraints { permitted_subtrees: some(permitted), excluded_subtrees: some(excluded) };
    let given_any = constraints.permitted_subtrees.is_some() || constraints.excluded_subtrees.is_some();
    Ok(given_any.then_some((constraints, given.critical)))
}

fn subtrees_of(given: &Subtrees, path: &str) -> Result<Vec<GeneralSubtree>, Problem> {
    let mut bases = Vec::new();
    for (index, name) in given.dns_domains.iter().enumerate() {
        bases.push(GeneralName::DnsName(ascii(name, format!("{path}.dnsDomains[{index}]"))?));
    }
    for (index, range) in given.ip_ranges.iter().enumerate() {
        let read = range.parse().ok().and_then(|range: IpNet| OctetString::new(address_and_mask(range)).ok());
        bases.push(GeneralName::IpAddress(read.ok_or_else(|| {
            let message = format!("`{}` is not a range; write one such as 10.0.0.0/8", shown(range));
            Problem::new(format!("{path}.ipRanges[{index}]"), message)
        })?));
    }
    for (index, email) in given.email_addresses.iter().enumerate() {
        bases.push(GeneralName::Rfc822Name(ascii(email, format!("{path}.emailAddresses[{index}]"))?));
    }
    for (index, domain) in given.uri_domains.iter().enumerate() {
        bases.push(GeneralName::UniformResourceIdentifier(ascii(domain, format!("{path}.uriDomains[{index}]"))?));
    }
    Ok(bases.into_iter().map(|base| GeneralSubtree { base, minimum: 0, maximum: None }).collect())
}

/// RFC 5280 clause 4.2.1.10: the address, then the mask.
fn address_and_mask(range: IpNet) -> Vec<u8> {
    match range.trunc() {
        IpNet::V4(range) => [range.addr().octets(), range.netmask().octets()].concat(),
        IpNet::V6(range) => [range.addr().octets(), range.netmask().octets()].concat(),
    }
}

fn ascii(text: &str, field: String) -> Result<Ia5String, Problem> {
    Ia5String::new(text).map_err(|_| {
        let message =
            format!("`{}` is not ASCII; write host names as A-labels (xn--…), URIs percent-encoded", shown(text));
        Problem::new(field, message)
    })
}
