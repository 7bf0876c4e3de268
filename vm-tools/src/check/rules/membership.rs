//! x.509 membership: whoever has the members' O, OU and DC is a member, with all rights.
//! <https://www.mongodb.com/docs/manual/core/security-internal-authentication/#x.509>

use std::collections::BTreeSet;
use std::str::FromStr;

use der::asn1::ObjectIdentifier;
use x509_cert::name::RdnSequence;

use super::keyfiles::members;
use crate::check::report::quoted;
use crate::check::{Findings, Rule, Severity};
use crate::model::{Certificate, Stream};

pub(in crate::check) const RULES: &[Rule] = &[
    Rule {
        id: "TVM220",
        name: "member-without-organization",
        severity: Severity::Error,
        summary: "a member's certificate has no O, OU or DC",
        why: "With x.509 membership MongoDB knows a member by them, and refuses a certificate that has none.",
        remedy: "Write subject.organizations or subject.organizationalUnits, the same for all members and for nobody else.",
        check: without,
    },
    Rule {
        id: "TVM221",
        name: "client-looks-like-a-member",
        severity: Severity::Error,
        summary: "a client's certificate has the O, OU and DC of a replica set's members",
        why: "MongoDB then takes the client for a member: it may do everything, on all databases.",
        remedy: "Give the client's certificate another organization or organizational unit than the members'.",
        check: alike,
    },
];

const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const DOMAIN_COMPONENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25");

/// What makes a member: O, OU and DC, in any order.
type Identity = BTreeSet<(&'static str, String)>;

/// `None` for a literal subject that cannot be read.
fn identity(certificate: &Certificate) -> Option<Identity> {
    let subject = &certificate.subject;
    let Some(literal) = &subject.literal else {
        let organizations = subject.organizations.iter().map(|name| ("O", name.value.clone()));
        return Some(
            organizations.chain(subject.organizational_units.iter().map(|name| ("OU", name.value.clone()))).collect(),
        );
    };
    let name = RdnSequence::from_str(&literal.value).ok()?;
    let attribute = |attribute: &x509_cert::attr::AttributeTypeAndValue| {
        let kind = match attribute.oid {
            ORGANIZATION => "O",
            ORGANIZATIONAL_UNIT => "OU",
            DOMAIN_COMPONENT => "DC",
            _ => return None,
        };
        // The kind of string does not count.
        Some((kind, String::from_utf8_lossy(attribute.value.value()).into_owned()))
    };
    Some(name.as_ref().iter().flat_map(|rdn| rdn.iter()).filter_map(attribute).collect())
}

fn shown(identity: &Identity) -> String {
    let parts: Vec<_> = identity.iter().map(|(kind, value)| format!("{kind}={}", tandem_cli::shown(value))).collect();
    parts.join(", ")
}

fn of_members(stream: &Stream) -> Vec<(&Certificate, Identity)> {
    let delivered = members(stream, true).flat_map(|machine| stream.delivered(machine));
    delivered.filter_map(|(_, certificate)| Some((certificate, identity(certificate)?))).collect()
}

fn without(stream: &Stream, found: &mut Findings) {
    for (certificate, identity) in of_members(stream) {
        if identity.is_empty() {
            found.add(&certificate.meta, "spec.subject", "has neither O nor OU nor DC, and members are known by them");
        }
    }
}

fn alike(stream: &Stream, found: &mut Findings) {
    let members = of_members(stream);
    let others = stream.certificates.iter().filter(|certificate| {
        let member = members.iter().any(|(member, _)| std::ptr::eq(*member, *certificate));
        !member && !certificate.is_ca && certificate.allows("client auth")
    });
    for certificate in others {
        let Some(own) = identity(certificate).filter(|own| !own.is_empty()) else { continue };
        if let Some((member, _)) = members.iter().find(|(_, identity)| *identity == own) {
            let message = format!(
                "{} is also that of the member's Certificate {}",
                quoted(&shown(&own)),
                quoted(&member.meta.name)
            );
            found.add(&certificate.meta, "spec.subject", message);
        }
    }
}
