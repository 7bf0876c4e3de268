//! The rules of a policy: one for each field of the issuer's `spec.policy`, in its order.

use std::{collections::HashSet, fmt::Display, net::IpAddr};

use jiff::SignedDuration;
use x509_cert::ext::pkix::{KeyUsages, name::GeneralName};

use super::{
    Dns, Email, Policy, Refusal, Text, Uri, attribute_name, keys,
    patterns::{covers, is_at},
    uri::Parts,
};
use crate::{
    Error,
    names::{describe, dns, ip, list, mailbox, other_text, quoted},
    request::COMMON_NAME,
    rules::{Case, Rule},
    subject::SubjectAttribute,
    usage::{ANY, Usages, describe_extended, describe_key_usage},
};

/// What a policy without `usages` allows: what TLS servers and clients have, and cert-manager's defaults.
const USAGES: [&str; 4] = ["digital signature", "key encipherment", "server auth", "client auth"];

/// A rule over what `look` finds.
macro_rules! rule {
    ($field:literal, $look:expr) => {
        Rule {
            name: concat!("policy: ", $field),
            source: concat!("the issuer's spec.policy.", $field),
            saw: |case| {
                let seen = case.settings.policy.as_ref().map(|policy| $look(case, policy));
                seen.map_or_else(String::new, |seen| list(seen.found))
            },
            check: |case| {
                let seen = case.settings.policy.as_ref().map(|policy| $look(case, policy));
                seen.map_or(Ok(()), |seen| seen.judge($field))
            },
        }
    };
}

pub(crate) const RULES: &[Rule] = &[
    rule!("namespaces", namespaces),
    rule!("dnsNames", dns_names),
    rule!("ipRanges", ip_ranges),
    rule!("uris", uris),
    rule!("emails", emails),
    rule!("otherNames", other_names),
    rule!("commonName", common_names),
    rule!("subject", subject),
    rule!("usages", usages),
    rule!("keys", keys),
    rule!("minDuration", min_duration),
    rule!("maxDuration", max_duration),
    rule!("isCA", is_ca),
];

/// What one rule saw, for people.
struct Seen {
    /// All that it looked at.
    found: Vec<String>,
    /// What of it is not allowed.
    refused: Vec<String>,
    /// What would be.
    allowed: Vec<String>,
}

impl Seen {
    fn new(allowed: impl IntoIterator<Item = impl Display>) -> Self {
        let allowed = allowed.into_iter().map(|allowed| allowed.to_string()).collect();
        Self { found: Vec::new(), refused: Vec::new(), allowed }
    }

    fn add(&mut self, found: String, allowed: bool) {
        if !allowed {
            self.refused.push(found.clone());
        }
        self.found.push(found);
    }

    fn judge(self, field: &'static str) -> Result<(), Error> {
        match self.refused {
            refused if refused.is_empty() => Ok(()),
            found => Err(Error::Policy(Refusal { field, found, allowed: self.allowed })),
        }
    }
}

/// The patterns as they are for this requester. Once, and not for each of the thousands of names that a request may have.
fn expanded<'p, P, E>(patterns: &'p [P], expand: fn(&'p P, Option<&str>) -> Option<E>, case: &Case<'_>) -> Vec<E> {
    patterns.iter().filter_map(|pattern| expand(pattern, case.namespace())).collect()
}

/// Whether one of the patterns allows `text`.
fn any(patterns: &[Text], text: &str, case: &Case<'_>) -> bool {
    patterns.iter().any(|pattern| pattern.allows(text, case.namespace()))
}

fn namespaces(case: &Case<'_>, policy: &Policy) -> Seen {
    let names = policy.namespaces.iter().flat_map(|allowed| &allowed.names).map(|name| quoted(name));
    let selector = policy.namespaces.iter().flat_map(|allowed| &allowed.selector).map(|all| match all.as_slice() {
        [] => "any".to_owned(),
        all => format!("those with {}", all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    });
    let mut seen = Seen::new(names.chain(selector));
    let allow = |namespace| policy.namespaces.as_ref().is_none_or(|allowed| allowed.allow(namespace));
    match &case.request.namespace {
        Some(namespace) => seen.add(format!("the namespace {:?}", namespace.name), allow(namespace)),
        None => seen.add("a request of no namespace".to_owned(), policy.namespaces.is_none()),
    }
    seen
}

fn dns_names(case: &Case<'_>, policy: &Policy) -> Seen {
    let mut seen = Seen::new(&policy.dns_names);
    let patterns = expanded(&policy.dns_names, Dns::expand, case);
    for name in &case.valid.names {
        let GeneralName::DnsName(name) = name else { continue };
        let allows = |read: String| patterns.iter().any(|pattern| covers(pattern, &read));
        seen.add(quoted(name.as_str()), dns::read(name.as_str()).is_ok_and(allows));
    }
    seen
}

fn ip_ranges(case: &Case<'_>, policy: &Policy) -> Seen {
    let mut seen = Seen::new(&policy.ip_ranges);
    for name in &case.valid.names {
        let GeneralName::IpAddress(octets) = name else { continue };
        let allows = |address| policy.ip_ranges.iter().any(|range| range.allows(address));
        seen.add(describe(name), ip(octets.as_bytes()).is_some_and(allows));
    }
    seen
}

fn uris(case: &Case<'_>, policy: &Policy) -> Seen {
    let mut seen = Seen::new(&policy.uris);
    let texts = expanded(&policy.uris, Uri::expand, case);
    let patterns: Vec<_> = texts.iter().filter_map(|text| Parts::of_pattern(text).ok()).collect();
    for name in &case.valid.names {
        let GeneralName::UniformResourceIdentifier(name) = name else { continue };
        let allows = |read: Parts<'_>| patterns.iter().any(|pattern| pattern.covers(&read));
        seen.add(quoted(name.as_str()), Parts::read(name.as_str()).is_ok_and(allows));
    }
    seen
}

fn emails(case: &Case<'_>, policy: &Policy) -> Seen {
    let mut seen = Seen::new(&policy.emails);
    let patterns = expanded(&policy.emails, Email::expand, case);
    for name in &case.valid.names {
        let GeneralName::Rfc822Name(name) = name else { continue };
        let allows = |read| patterns.iter().any(|pattern| is_at(pattern, &read));
        seen.add(quoted(name.as_str()), mailbox::read(name.as_str()).is_ok_and(allows));
    }
    seen
}

/// Also the kinds of names for which a policy has no field.
fn other_names(case: &Case<'_>, policy: &Policy) -> Seen {
    let allowed = policy.other_names.iter().flat_map(|names| names.values.iter().map(|value| (names.oid, value)));
    let mut seen = Seen::new(allowed.map(|(oid, value)| format!("{oid} {value}")));
    for name in &case.valid.names {
        match name {
            GeneralName::OtherName(other) => {
                let of_type = policy.other_names.iter().filter(|names| names.oid == other.type_id);
                let mut values = of_type.map(|names| names.values.as_slice());
                let allows = |text: &str| values.any(|values| any(values, text, case));
                seen.add(describe(name), other_text(other).is_some_and(allows));
            }
            GeneralName::DirectoryName(_) | GeneralName::EdiPartyName(_) | GeneralName::RegisteredId(_) => {
                seen.add(describe(name), false);
            }
            GeneralName::DnsName(_)
            | GeneralName::IpAddress(_)
            | GeneralName::UniformResourceIdentifier(_)
            | GeneralName::Rfc822Name(_) => {}
        }
    }
    seen
}

fn common_names(case: &Case<'_>, policy: &Policy) -> Seen {
    let allowed = &policy.common_name;
    let one_of_names = allowed.in_subject_alt_names.then(|| "one of the subject alternative names".to_owned());
    let mut seen = Seen::new(allowed.values.iter().map(ToString::to_string).chain(one_of_names));
    let alternatives = allowed.in_subject_alt_names.then(|| Alternatives::new(&case.valid.names));
    for name in &case.valid.common_names {
        let allowed = any(&allowed.values, name, case) || alternatives.as_ref().is_some_and(|all| all.hold(name));
        seen.add(quoted(name), allowed);
    }
    seen
}

/// What a common name may say to say the same as an alternative name.
#[derive(Default)]
struct Alternatives<'a> {
    /// DNS names, in lower case.
    dns_names: HashSet<String>,
    /// Those of them with A-labels, in U-labels.
    unicode: HashSet<String>,
    addresses: HashSet<IpAddr>,
    texts: HashSet<&'a str>,
}

impl<'a> Alternatives<'a> {
    fn new(names: &'a [GeneralName]) -> Self {
        let mut all = Self::default();
        for name in names {
            match name {
                GeneralName::DnsName(name) => {
                    let (unicode, read) = idna::domain_to_unicode(name.as_str());
                    all.unicode.extend(Some(unicode).filter(|unicode| read.is_ok() && !unicode.is_ascii()));
                    all.dns_names.insert(name.as_str().to_ascii_lowercase());
                }
                GeneralName::IpAddress(octets) => all.addresses.extend(ip(octets.as_bytes())),
                GeneralName::Rfc822Name(name) | GeneralName::UniformResourceIdentifier(name) => {
                    all.texts.insert(name.as_str());
                }
                _ => {}
            }
        }
        all
    }

    fn hold(&self, common_name: &str) -> bool {
        self.texts.contains(common_name)
            || self.dns_names.contains(&common_name.to_ascii_lowercase())
            || self.unicode.contains(&common_name.to_lowercase())
            || common_name.parse().is_ok_and(|address| self.addresses.contains(&address))
    }
}

fn subject(case: &Case<'_>, policy: &Policy) -> Seen {
    let allowed = policy.subject.iter().flat_map(|attribute| {
        attribute.values.iter().map(|value| format!("{} {value}", attribute_name(attribute.oid)))
    });
    let mut seen = Seen::new(allowed);
    for SubjectAttribute { oid, text } in &case.valid.subject_attributes {
        if *oid != COMMON_NAME {
            let mut of_type = policy.subject.iter().filter(|allowed| allowed.oid == *oid);
            let allowed = of_type.any(|allowed| any(&allowed.values, text, case));
            seen.add(format!("{} {}", attribute_name(*oid), quoted(text)), allowed);
        }
    }
    seen
}

fn usages(case: &Case<'_>, policy: &Policy) -> Seen {
    let default = || Usages::from_names(&USAGES, false).ok();
    let Some(allowed) = policy.usages.clone().or_else(default) else { return Seen::new([""; 0]) };
    let key = allowed.key.into_iter().map(|usage| describe_key_usage(usage.into()));
    let extended = allowed.extended.iter().map(|usage| describe_extended(&[*usage]));
    let mut seen = Seen::new(key.chain(extended));
    // What makes a CA is the matter of the rule about CAs.
    let implied = |usage| usage == KeyUsages::KeyCertSign && case.request.is_ca;
    for usage in case.usages.key {
        seen.add(describe_key_usage(usage.into()), allowed.key.contains(usage) || implied(usage));
    }
    for usage in &case.usages.extended {
        seen.add(describe_extended(&[*usage]), allowed.extended.contains(usage));
    }
    // Without any, a certificate is good for all of them (RFC 5280 clause 4.2.1.12): more than was allowed, where some were.
    let restricts = policy.usages.as_ref().is_some_and(|u| !u.extended.is_empty() && !u.extended.contains(&ANY));
    if case.usages.extended.is_empty() && restricts && !case.request.is_ca {
        seen.add("a certificate without extended usages (good for every purpose)".to_owned(), false);
    }
    seen
}

fn keys(case: &Case<'_>, policy: &Policy) -> Seen {
    let mut seen = Seen::new(policy.keys.iter().flatten());
    let allow = |key| policy.keys.as_ref().is_none_or(|keys| keys.iter().any(|allowed| allowed.allow(key)));
    match keys::read(&case.valid.public_key) {
        Some(key) => seen.add(key.to_string(), allow(&key)),
        None => seen.add("a key of another kind".to_owned(), policy.keys.is_none()),
    }
    seen
}

fn min_duration(case: &Case<'_>, policy: &Policy) -> Seen {
    let mut seen = Seen::new(policy.min_duration.map(|least| format!("{least:#} and more")));
    seen.add(describe_duration(case.duration()), policy.min_duration.is_none_or(|least| case.duration() >= least));
    seen
}

fn max_duration(case: &Case<'_>, policy: &Policy) -> Seen {
    let mut seen = Seen::new(policy.max_duration.map(|most| format!("at most {most:#}")));
    seen.add(describe_duration(case.duration()), policy.max_duration.is_none_or(|most| case.duration() <= most));
    seen
}

fn describe_duration(duration: SignedDuration) -> String {
    format!("a duration of {duration:#}")
}

fn is_ca(case: &Case<'_>, policy: &Policy) -> Seen {
    let mut seen = Seen::new(["certificates that are not of CAs"]);
    if case.request.is_ca {
        seen.add("a CA".to_owned(), policy.is_ca);
    }
    seen
}
