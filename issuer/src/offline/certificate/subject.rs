//! The subject of a Certificate, as cert-manager writes it: RDNs in order, their attributes as the shortest string type
//! that holds them.

use der::{
    Encode, Tag, Tagged,
    asn1::{Any, PrintableStringRef},
    oid::ObjectIdentifier,
};
use tandem_cli::{Problem, shown};
use x509_cert::{
    attr::AttributeTypeAndValue,
    name::{RdnSequence, RelativeDistinguishedName},
};

use super::Spec;

/// A relative distinguished name: types and texts.
pub(super) type Rdn = Vec<(ObjectIdentifier, String)>;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

pub(super) const COMMON_NAME: ObjectIdentifier = oid("2.5.4.3");
pub(super) const SERIAL_NUMBER: ObjectIdentifier = oid("2.5.4.5");
pub(super) const COUNTRY: ObjectIdentifier = oid("2.5.4.6");
pub(super) const LOCALITY: ObjectIdentifier = oid("2.5.4.7");
pub(super) const PROVINCE: ObjectIdentifier = oid("2.5.4.8");
pub(super) const STREET: ObjectIdentifier = oid("2.5.4.9");
pub(super) const ORGANIZATION: ObjectIdentifier = oid("2.5.4.10");
pub(super) const UNIT: ObjectIdentifier = oid("2.5.4.11");
pub(super) const POSTAL_CODE: ObjectIdentifier = oid("2.5.4.17");

/// The types that a literal subject may name; any other is written as its OID.
const TYPES: &[(&str, ObjectIdentifier)] = &[
    ("C", COUNTRY),
    ("O", ORGANIZATION),
    ("OU", UNIT),
    ("CN", COMMON_NAME),
    ("SERIALNUMBER", SERIAL_NUMBER),
    ("L", LOCALITY),
    ("ST", PROVINCE),
    ("STREET", STREET),
    ("DC", oid("0.9.2342.19200300.100.1.25")),
    ("UID", oid("0.9.2342.19200300.100.1.1")),
];

/// The RDNs that `literalSubject`, or `subject` and `commonName`, ask for.
pub(super) fn of(spec: &Spec) -> Result<Vec<Rdn>, Problem> {
    if let Some(text) = spec.literal_subject.as_deref().filter(|text| !text.is_empty()) {
        return literal(text).map_err(|message| Problem::new("spec.literalSubject", message));
    }
    let mut rdns = Vec::new();
    // Order as in pkix.Name of Go 1.26, with which cert-manager is built; all values of one type are one RDN.
    let mut add = |kind, values: &[String]| {
        if !values.is_empty() {
            rdns.push(values.iter().map(|value| (kind, value.clone())).collect());
        }
    };
    let one = |value: &str| if value.is_empty() { Vec::new() } else { vec![value.to_owned()] };
    if let Some(subject) = &spec.subject {
        add(COUNTRY, &subject.countries);
        add(PROVINCE, &subject.provinces);
        add(LOCALITY, &subject.localities);
        add(STREET, &subject.street_addresses);
        add(POSTAL_CODE, &subject.postal_codes);
        add(ORGANIZATION, &subject.organizations);
        add(UNIT, &subject.organizational_units);
    }
    add(COMMON_NAME, &one(spec.common_name.as_deref().unwrap_or_default()));
    add(SERIAL_NUMBER, &one(spec.subject.as_ref().map_or("", |subject| &subject.serial_number)));
    Ok(rdns)
}

/// A name in LDAP's notation (RFC 4514), in which the last RDN comes first.
fn literal(text: &str) -> Result<Vec<Rdn>, String> {
    let rdn = |rdn| split(rdn, &['+']).into_iter().map(attribute).collect::<Result<Rdn, _>>();
    split(text, &[',', ';']).into_iter().rev().map(rdn).collect()
}

/// The parts between separators that no backslash protects. x509-cert's own takes a comma after `\\\\\\` for one.
fn split<'t>(text: &'t str, separators: &[char]) -> Vec<&'t str> {
    let mut escaped = false;
    let separates = |c: char| {
        let protected = escaped;
        escaped = c == '\\' && !protected;
        !protected && separators.contains(&c)
    };
    text.split(separates).collect()
}

fn attribute(text: &str) -> Result<(ObjectIdentifier, String), String> {
    let wrong = |what: &str| format!("`{}` {what}", shown(text.trim()));
    let (name, value) = text.split_once('=').ok_or_else(|| wrong("has no =; write TYPE=value, as in CN=db,O=Shop"))?;
    let name = name.trim();
    let known = TYPES.iter().find(|(known, _)| *known == name).map(|(_, oid)| *oid);
    let kind = known.or_else(|| ObjectIdentifier::new(name).ok()).ok_or_else(|| {
        let all: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
        wrong(&format!("has an unknown type; known here: {}, or an OID", all.join(", ")))
    })?;
    let value = unescaped(kind, trimmed(value)).ok_or_else(|| wrong("has a value that RFC 4514 does not allow"))?;
    Ok((kind, value))
}

/// Without the spaces around it; a last one that is escaped stays.
fn trimmed(value: &str) -> &str {
    let short = value.trim_matches(' ');
    let protected = short.ends_with('\\') && value.trim_start_matches(' ').len() > short.len();
    if protected { value.trim_start_matches(' ').get(..=short.len()).unwrap_or(short) } else { short }
}

fn unescaped(kind: ObjectIdentifier, value: &str) -> Option<String> {
    // x509-cert passes over an escape that the text ends in: the letter after it shows whether there is one.
    let (end, length) = if value.starts_with('#') { ("", 0) } else { ("x", 1) };
    let read: AttributeTypeAndValue = format!("{kind}={value}{end}").parse().ok()?;
    let bytes = read.value.value();
    String::from_utf8(bytes.get(..bytes.len().checked_sub(length)?)?.to_vec()).ok()
}

/// The Name (DER).
///
/// # Errors
/// Where a text is too long for DER.
pub(super) fn to_der(rdns: &[Rdn]) -> Result<Vec<u8>, der::Error> {
    sequence(rdns)?.to_der()
}

/// Types and texts in the order that they have in the Name: that of DER within an RDN.
pub(super) fn in_order(rdns: &[Rdn]) -> Vec<(ObjectIdentifier, String)> {
    let text = |attribute: &AttributeTypeAndValue| {
        (attribute.oid, String::from_utf8_lossy(attribute.value.value()).into_owned())
    };
    let sequence = sequence(rdns).unwrap_or_default();
    sequence.iter().flat_map(RelativeDistinguishedName::iter).map(text).collect()
}

/// PrintableString where it holds the text, UTF8String elsewhere, as Go has it.
fn sequence(rdns: &[Rdn]) -> Result<RdnSequence, der::Error> {
    let attribute = |(oid, text): &(ObjectIdentifier, String)| {
        let tag = PrintableStringRef::new(text).map_or(Tag::Utf8String, |text| text.tag());
        Ok(AttributeTypeAndValue { oid: *oid, value: Any::new(tag, text.as_bytes())? })
    };
    let rdn = |rdn: &Rdn| {
        let attributes = rdn.iter().map(attribute).collect::<Result<Vec<_>, der::Error>>()?;
        RelativeDistinguishedName::try_from(attributes)
    };
    Ok(RdnSequence::from(rdns.iter().map(rdn).collect::<Result<Vec<_>, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<Vec<String>> {
        let rdn = |rdn: Rdn| rdn.into_iter().map(|(oid, text)| format!("{oid}={text}")).collect();
        literal(text).unwrap().into_iter().map(rdn).collect()
    }

    #[test]
    fn a_literal_subject_is_read_from_its_end() {
        assert_eq!(
            texts("CN=db + UID=7, OU=a\\, b;OU=c,DC=shop,DC=test,1.2.3=x=y"),
            [
                vec!["1.2.3=x=y"],
                vec!["0.9.2342.19200300.100.1.25=test"],
                vec!["0.9.2342.19200300.100.1.25=shop"],
                vec!["2.5.4.11=c"],
                vec!["2.5.4.11=a, b"],
                vec!["2.5.4.3=db", "0.9.2342.19200300.100.1.1=7"],
            ]
        );
    }

    #[test]
    fn escapes_and_spaces_are_those_of_rfc_4514() {
        for (value, expected) in [
            (" a ", "a"),
            ("a\\ ", "a "),
            ("a\\  ", "a "),
            ("\\ a", " a"),
            ("a\\\\", "a\\"),
            ("\\c3\\a4", "ä"),
            ("ä", "ä"),
            ("a\\+b\\=c\\;d", "a+b=c;d"),
            ("a/b", "a/b"),
            ("", ""),
            ("#130161", "a"),
            ("\\#1", "#1"),
        ] {
            assert_eq!(texts(&format!("CN={value}")), [[format!("2.5.4.3={expected}")]], "{value}");
        }
        // An escaped backslash, then an escaped comma; an escaped backslash, then a separator.
        assert_eq!(texts("CN=a\\\\\\,b"), [["2.5.4.3=a\\,b"]]);
        assert_eq!(texts("CN=a\\\\,O=b"), [["2.5.4.10=b"], ["2.5.4.3=a\\"]]);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["CN", "CN=a,", "cn=a", "emailAddress=a", "=a", "CN=a\\", "CN=\\4", "CN=\\zz", "CN=\\ff", "CN=#1"] {
            assert!(literal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_string_type_is_the_one_that_go_takes() {
        let tag = |text: &str| to_der(&[vec![(COMMON_NAME, text.to_owned())]]).unwrap()[11];
        for (text, expected) in
            [("db", 0x13), ("it's (1+1)/2?", 0x13), ("", 0x13), ("*", 0x0c), ("a&b", 0x0c), ("ä", 0x0c)]
        {
            // SEQUENCE, SET, SEQUENCE, then five octets of the type's OID.
            assert_eq!(tag(text), expected, "{text}");
        }
    }

    #[test]
    fn an_rdn_is_in_the_order_of_der() {
        let rdn = |values: [&str; 3]| to_der(&[values.map(|value| (UNIT, value.to_owned())).to_vec()]).unwrap();
        assert_eq!(rdn(["b", "a", "aa"]), rdn(["aa", "b", "a"]));
        assert_ne!(
            to_der(&[vec![(UNIT, "a".to_owned())], vec![(UNIT, "b".to_owned())]]).unwrap(),
            to_der(&[vec![(UNIT, "b".to_owned())], vec![(UNIT, "a".to_owned())]]).unwrap()
        );
    }
}
