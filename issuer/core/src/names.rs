//! Names that no certificate carries, policy or not: verifiers disagree about them, or cut them short.

pub(crate) mod dns;
pub(crate) mod mailbox;
pub(crate) mod uri;

use der::{Decode, asn1::Utf8StringRef, oid::ObjectIdentifier};
use x509_cert::ext::pkix::{
    NameConstraints,
    name::{GeneralName, OtherName},
};

use crate::{
    Error,
    request::ValidRequest,
    rules::{Case, Rule},
    subject::attributes,
};

pub(crate) const RULES: &[Rule] = &[Rule {
    name: "every name is well formed",
    source: "RFC 5280 clauses 4.2.1.6 and 7; RFC 5890",
    saw: |case| list(case.valid.names.iter().map(describe)),
    check: |case| match problems(case) {
        problems if problems.is_empty() => Ok(()),
        problems => Err(Error::BadNames(problems)),
    },
}];

fn problems(case: &Case<'_>) -> Vec<String> {
    let names = case.valid.names.iter().filter_map(|name| Some((describe(name), check(name).err()?)));
    let subject = controls_in_subject(&case.valid).map(|what| (what, CONTROL));
    let constraints = constraints(&case.valid);
    let constraints = constraints
        .iter()
        .filter_map(|base| Some((format!("name constraint {}", describe(base)), check_constraint(base).err()?)));
    names.chain(subject).chain(constraints).map(|(name, problem)| format!("{name}: {problem}")).collect()
}

const CONTROL: &str = "it has a control character";

fn check(name: &GeneralName) -> Result<(), &'static str> {
    match name {
        GeneralName::DnsName(name) => without_controls(name.as_str()).and_then(dns::read).map(drop),
        GeneralName::Rfc822Name(name) => without_controls(name.as_str()).and_then(mailbox::read).map(drop),
        GeneralName::UniformResourceIdentifier(name) => without_controls(name.as_str()).and_then(uri::check),
        GeneralName::OtherName(name) => other_text(name).map_or(Ok(""), without_controls).map(drop),
        GeneralName::DirectoryName(name) => match attributes(name.as_ref()) {
            Ok(attributes) => attributes.iter().try_for_each(|attribute| without_controls(&attribute.text).map(drop)),
            Err(_) => Err("it has an attribute that is no text"),
        },
        GeneralName::IpAddress(_) | GeneralName::EdiPartyName(_) | GeneralName::RegisteredId(_) => Ok(()),
    }
}

/// The bases of subtrees in which a CA is to be held (RFC 5280 clause 4.2.1.10): a name, or the part of it that counts.
pub(crate) fn check_constraint(base: &GeneralName) -> Result<(), &'static str> {
    // A dot before it says "beneath"; nothing at all says "any".
    let domain = |name: &str| match name.strip_prefix('.').unwrap_or(name) {
        "" => Ok(()),
        name => dns::read_host(name).map(drop),
    };
    match base {
        GeneralName::DnsName(name) => without_controls(name.as_str()).and_then(domain),
        GeneralName::UniformResourceIdentifier(name) => without_controls(name.as_str()).and_then(domain),
        GeneralName::Rfc822Name(name) => without_controls(name.as_str()).and_then(|name| match name.contains('@') {
            true => mailbox::read(name).map(drop),
            false => domain(name),
        }),
        _ => Ok(()),
    }
}

fn constraints(request: &ValidRequest) -> Vec<GeneralName> {
    let read = request.name_constraints.as_ref().and_then(|(der, _)| NameConstraints::from_der(der).ok());
    let subtrees = read.into_iter().flat_map(|read| [read.permitted_subtrees, read.excluded_subtrees]);
    subtrees.flatten().flatten().map(|subtree| subtree.base).collect()
}

/// The subject's attributes that hold a control character.
fn controls_in_subject(request: &ValidRequest) -> impl Iterator<Item = String> {
    let crooked = request.subject_attributes.iter().filter(|attribute| without_controls(&attribute.text).is_err());
    crooked.map(|attribute| format!("subject attribute {} {}", attribute.oid, quoted(&attribute.text)))
}

fn without_controls(text: &str) -> Result<&str, &'static str> {
    if text.chars().any(char::is_control) { Err(CONTROL) } else { Ok(text) }
}

/// The text of an otherName of type UTF8String, the one that cert-manager makes.
pub(crate) fn other_text(name: &OtherName) -> Option<&str> {
    Some(Utf8StringRef::try_from(&name.value).ok()?.as_str())
}

/// A name for people, as OpenSSL writes it; its text is quoted.
pub(crate) fn describe(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => format!("DNS {}", quoted(name.as_str())),
        GeneralName::Rfc822Name(name) => format!("email {}", quoted(name.as_str())),
        GeneralName::UniformResourceIdentifier(name) => format!("URI {}", quoted(name.as_str())),
        GeneralName::IpAddress(octets) => format!("IP {}", describe_ip(octets.as_bytes())),
        GeneralName::OtherName(name) => describe_other(&name.type_id, other_text(name)),
        GeneralName::DirectoryName(name) => format!("directoryName {}", quoted(&name.to_string())),
        GeneralName::EdiPartyName(_) => "ediPartyName".to_owned(),
        GeneralName::RegisteredId(oid) => format!("registeredID {oid}"),
    }
}

fn describe_other(oid: &ObjectIdentifier, text: Option<&str>) -> String {
    match text {
        Some(text) => format!("otherName {oid} {}", quoted(text)),
        None => format!("otherName {oid}, which is no UTF8String"),
    }
}

/// The address in 4 or 16 bytes; anything else as numbers.
fn describe_ip(octets: &[u8]) -> String {
    ip(octets).map_or_else(|| format!("{octets:?}"), |address| address.to_string())
}

/// An iPAddress of a subject alternative name.
pub(crate) fn ip(octets: &[u8]) -> Option<std::net::IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(Into::into);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(Into::into)).ok()
}

/// As many as fit into a message, and how many more there are: a request has room for thousands.
pub(crate) fn list<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    match names.into_iter().collect::<Vec<_>>() {
        names if names.is_empty() => "none".to_owned(),
        names => joined(&names, ", "),
    }
}

/// The same with another separator; nothing at all where there is none.
pub(crate) fn joined<T: ToString>(all: &[T], separator: &str) -> String {
    const TOLD: usize = 64;
    let told: Vec<_> = all.iter().take(TOLD).map(ToString::to_string).collect();
    match all.len() - told.len() {
        0 => told.join(separator),
        more => format!("{} and {more} more", told.join(separator)),
    }
}

/// A text in quotes, or enough of it to recognise it by.
pub(crate) fn quoted(text: &str) -> String {
    const TOLD: usize = 256;
    let told: String = text.chars().take(TOLD).collect();
    if told.len() < text.len() { format!("{told:?}…") } else { format!("{told:?}") }
}
