//! Names of certificates, in the form in which name constraints are compared with them (RFC 5280 clause 4.2.1.10).

use std::{
    fmt,
    mem::discriminant,
    net::{IpAddr, Ipv6Addr},
};

use der::{asn1::Any, oid::ObjectIdentifier};
use iri_string::types::UriStr;
use x509_cert::{ext::pkix::name, name::RdnSequence};

use crate::{
    names::{
        dns,
        mailbox::{self, Mailbox},
        quoted,
    },
    subject::text,
};

/// A name in a certificate, or the base of a subtree of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GeneralName {
    /// Lower case.
    Dns(String),
    Email(String),
    Uri(String),
    /// Octets of an address; in a subtree those of its mask follow.
    Ip(Vec<u8>),
    Directory(Directory),
    /// A form that nobody compares; what it is called.
    Other(&'static str),
}

/// A directory name: its RDNs in order, each with its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    shown: String,
    rdns: Vec<Vec<(ObjectIdentifier, Value)>>,
}

/// An attribute's value: text without needless spaces, or DER.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    Other(Vec<u8>),
}

/// For which of both lists of subtrees a name is compared. Where verifiers differ, the stricter reading counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// At least one subtree must hold the name, whoever looks.
    Permitted,
    /// No subtree may hold the name, whoever looks.
    Excluded,
}

impl GeneralName {
    pub(crate) fn new(name: &name::GeneralName) -> Self {
        match name {
            name::GeneralName::DnsName(name) => Self::Dns(name.as_str().to_ascii_lowercase()),
            name::GeneralName::Rfc822Name(name) => Self::Email(name.as_str().to_owned()),
            name::GeneralName::UniformResourceIdentifier(uri) => Self::Uri(uri.as_str().to_owned()),
            name::GeneralName::IpAddress(octets) => Self::Ip(octets.as_bytes().to_vec()),
            name::GeneralName::DirectoryName(name) => Self::Directory(Directory::new(name.as_ref())),
            name::GeneralName::OtherName(_) => Self::Other("otherName"),
            name::GeneralName::EdiPartyName(_) => Self::Other("ediPartyName"),
            name::GeneralName::RegisteredId(_) => Self::Other("registered ID"),
        }
    }

    /// Whether `base` is of the same form: constraints on other forms do not concern a name.
    pub(crate) fn is_like(&self, base: &Self) -> bool {
        match (self, base) {
            (Self::Other(name), Self::Other(base)) => name == base,
            _ => discriminant(self) == discriminant(base),
        }
    }

    /// Whether verifiers can compare this name with any subtree. Go refuses one that it cannot read beneath any name
    /// constraint, also of another form.
    pub(crate) fn is_comparable(&self) -> bool {
        match self {
            Self::Dns(name) => dns::read(name).is_ok(),
            Self::Email(address) => mailbox(address).is_some(),
            Self::Uri(uri) => host(uri).is_some(),
            Self::Ip(octets) => matches!(octets.len(), 4 | 16),
            Self::Directory(_) | Self::Other(_) => true,
        }
    }

    /// Whether this is an IPv4 address in the form of an IPv6 one. Go compares its octets with subtrees, but takes it for
    /// the IPv4 address when it looks for a host.
    pub(crate) fn is_mapped_ip(&self) -> bool {
        let octets = |octets: &Vec<u8>| <[u8; 16]>::try_from(octets.as_slice()).ok();
        matches!(self, Self::Ip(ip) if octets(ip).is_some_and(|ip| Ipv6Addr::from(ip).to_ipv4_mapped().is_some()))
    }

    /// Whether this can be the base of a subtree, as far as numbers are concerned; for text see
    /// [`check_constraint`](crate::names::check_constraint).
    pub(crate) fn is_base(&self) -> bool {
        match self {
            // Go reads none that is an address: it could not be compared.
            Self::Uri(base) => base.parse::<IpAddr>().is_err(),
            Self::Ip(octets) => {
                let (_, mask) = octets.split_at(octets.len() / 2);
                let bits = mask.iter().flat_map(|octet| (0..8).map(move |bit| octet << bit & 0x80));
                matches!(octets.len(), 8 | 32) && bits.is_sorted_by(|a, b| a >= b)
            }
            _ => true,
        }
    }

    /// Whether the subtree at `base`, which is of the same form, holds this name.
    pub(crate) fn is_within(&self, base: &Self, role: Role) -> bool {
        match (self, base) {
            (Self::Dns(name), Self::Dns(base)) => {
                // A wildcard stands for each name beneath, also for the one that is excluded.
                let stands_for = || base.find('.').is_some_and(|dot| name.strip_prefix('*') == Some(&base[dot..]));
                is_beneath(name, base) || role == Role::Excluded && stands_for()
            }
            (Self::Email(address), Self::Email(base)) => {
                let Some(address) = mailbox(address) else { return role == Role::Excluded };
                mailbox(base).map_or_else(|| is_at(&address.domain, base, role), |base| address == base)
            }
            (Self::Uri(uri), Self::Uri(base)) => {
                host(uri).map_or(role == Role::Excluded, |host| is_at(host, base, role))
            }
            (Self::Ip(address), Self::Ip(base)) => {
                let (network, mask) = base.split_at(base.len() / 2);
                let same = |((a, n), m): ((&u8, &u8), &u8)| a & m == n & m;
                address.len() == network.len() && address.iter().zip(network).zip(mask).all(same)
            }
            (Self::Directory(name), Self::Directory(base)) => name.is_within(base, role),
            _ => role == Role::Excluded,
        }
    }
}

/// A dNSName constraint holds the domain itself and what is beneath; with a leading dot only what is beneath, which RFC
/// 5280 does not say, but everybody does.
fn is_beneath(name: &str, base: &str) -> bool {
    match name.strip_suffix(base) {
        Some("") => !base.starts_with('.'),
        Some(rest) => base.is_empty() || base.starts_with('.') || rest.ends_with('.'),
        None => false,
    }
}

/// A constraint on the host of an email address or a URI holds that host alone; with a leading dot, what is beneath. Go
/// takes the first for both, as in a dNSName, and empty ones are understood in different ways.
fn is_at(host: &str, base: &str, role: Role) -> bool {
    let (host, base) = (host.to_ascii_lowercase(), base.to_ascii_lowercase());
    match role {
        Role::Excluded => is_beneath(&host, &base),
        Role::Permitted if base.starts_with('.') => is_beneath(&host, &base),
        Role::Permitted => host == base && !base.is_empty(),
    }
}

fn is_host(name: &str) -> bool {
    dns::read_host(name).is_ok()
}

/// An email address, unless its local part is quoted: that is compared by nobody in the same way.
fn mailbox(address: &str) -> Option<Mailbox> {
    mailbox::read(address).ok().filter(|mailbox| address.is_ascii() && !mailbox.local.starts_with('"'))
}

/// The host of a URI that names one: no address, which cannot be compared, and nothing before it, which OpenSSL 3.0
/// takes for a part of it.
fn host(uri: &str) -> Option<&str> {
    let authority = UriStr::new(uri).ok()?.authority_components()?;
    let host = authority.reg_name().filter(|host| is_host(host))?;
    authority.userinfo().is_none().then_some(host)
}

impl Directory {
    pub(crate) fn new(name: &RdnSequence) -> Self {
        let rdns = name.iter().map(|rdn| rdn.iter().map(|a| (a.oid, Value::new(&a.value))).collect());
        Self { shown: name.to_string(), rdns: rdns.collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rdns.is_empty()
    }

    /// The values of an attribute, as far as they are text.
    pub(crate) fn values(&self, attribute: ObjectIdentifier) -> impl Iterator<Item = &str> {
        self.rdns.iter().flatten().filter_map(move |(of, value)| match value {
            Value::Text(text) if *of == attribute => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether this begins with the RDNs of `base`.
    fn is_within(&self, base: &Self, role: Role) -> bool {
        base.rdns.len() <= self.rdns.len()
            && self.rdns.iter().zip(&base.rdns).all(|(rdn, base)| {
                let holds = |(of, value): &(ObjectIdentifier, Value)| {
                    rdn.iter().any(|(o, v)| o == of && v.is_same(value, role))
                };
                rdn.len() == base.len() && base.iter().all(holds)
            })
    }
}

impl Value {
    fn new(value: &Any) -> Self {
        match text(value) {
            Some(text) => Self::Text(text.split_whitespace().collect::<Vec<_>>().join(" ")),
            None => Self::Other(value.value().to_vec()),
        }
    }

    /// RFC 5280 clause 7.1 asks for case folding; OpenSSL folds ASCII alone.
    fn is_same(&self, other: &Self, role: Role) -> bool {
        match (self, other, role) {
            (Self::Text(one), Self::Text(other), Role::Permitted) => one.eq_ignore_ascii_case(other),
            (Self::Text(one), Self::Text(other), Role::Excluded) => one.to_lowercase() == other.to_lowercase(),
            (Self::Other(one), Self::Other(other), _) => one == other,
            // Whether they are the same, nobody knows.
            _ => role == Role::Excluded,
        }
    }
}

impl fmt::Display for GeneralName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = |octets: &[u8]| match octets.len() {
            4 => <[u8; 4]>::try_from(octets).map(IpAddr::from).ok(),
            16 => <[u8; 16]>::try_from(octets).map(IpAddr::from).ok(),
            _ => None,
        };
        match self {
            Self::Dns(name) => write!(f, "DNS name {}", quoted(name)),
            Self::Email(address) => write!(f, "email address {}", quoted(address)),
            Self::Uri(uri) => write!(f, "URI {}", quoted(uri)),
            Self::Ip(octets) => match (ip(octets), octets.split_at(octets.len() / 2)) {
                // Sixteen octets are an IPv6 address; in a subtree it is eight or 32.
                (Some(address), _) => write!(f, "IP address {address}"),
                (None, (network, mask)) => match ip(network) {
                    Some(network) => {
                        let length: u32 = mask.iter().map(|octet| octet.count_ones()).sum();
                        write!(f, "IP address {network}/{length}")
                    }
                    None => write!(f, "IP address of {} octets", octets.len()),
                },
            },
            Self::Directory(name) => write!(f, "directory name {}", quoted(&name.shown)),
            Self::Other(form) => f.write_str(form),
        }
    }
}
