//! Looks at a finished certificate with other eyes than those that built it, before it is published.
//!
//! webpki verifies the path. It does not look at certificates of CAs, at the anchor, nor at whether the content is what
//! was granted: that is checked here over x509-parser.

use std::cell::Cell;

use der::{Decode, Encode, oid::ObjectIdentifier};
use jiff::Timestamp;
use pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, anchor_from_trusted_cert};
use x509_cert::ext::pkix::SubjectAltName;
use x509_parser::{
    certificate::X509Certificate, extensions::ParsedExtension, oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME,
    prelude::FromDer,
};

use crate::{
    Authority, Error,
    algorithm::{ACCEPTED, verify_signed},
    grant::{Grant, Serial},
    usage::{ANY, key_usage_extension},
};

/// Checks `leaf` (DER) against what was granted and against the authority's whole chain at `now`.
///
/// # Errors
/// [`Error::Unverified`] names the first check that failed.
pub fn verify(leaf: &[u8], grant: &Grant, authority: &Authority, serial: Serial, now: Timestamp) -> Result<(), Error> {
    check_content(leaf, grant, authority, serial).map_err(|what| Error::Unverified(what.to_owned()))?;
    check_constraints(leaf, grant, authority).map_err(|why| Error::Unverified(why.to_string()))?;
    // webpki takes no CA certificate for a leaf; its chain was checked when the authority was read.
    if grant.is_ca { check_signature(leaf, authority) } else { check_path(leaf, grant, authority, now) }
}

fn check_signature(leaf: &[u8], authority: &Authority) -> Result<(), Error> {
    if verify_signed(leaf, authority.public_key()) {
        Ok(())
    } else {
        Err(Error::Unverified("its signature is not by the CA's key".to_owned()))
    }
}

fn check_content(leaf: &[u8], grant: &Grant, authority: &Authority, serial: Serial) -> Result<(), &'static str> {
    let (rest, parsed) = X509Certificate::from_der(leaf).map_err(|_| "it does not parse")?;
    let require = |holds: bool, what: &'static str| if holds { Ok(()) } else { Err(what) };
    let request = &grant.request;
    require(rest.is_empty(), "bytes follow it")?;
    require(parsed.raw_serial() == serial.as_bytes(), "its serial number differs")?;
    require(parsed.issuer().as_raw() == authority.subject(), "its issuer is not the CA's subject")?;
    require(parsed.subject().as_raw() == request.subject, "its subject differs")?;
    require(parsed.public_key().raw == request.public_key, "its public key differs")?;
    let validity = parsed.validity();
    require(validity.not_before.timestamp() == grant.not_before.as_second(), "its beginning differs")?;
    require(validity.not_after.timestamp() == grant.not_after.as_second(), "its end differs")?;

    let basic = parsed.basic_constraints().map_err(|_| "its basic constraints are given twice")?;
    require(basic.is_some_and(|b| b.critical && b.value.ca == grant.is_ca), "its basic constraints differ")?;

    let mut names = None;
    let mut usage = None;
    let mut extended = Vec::new();
    let mut subject_key = false;
    let mut authority_key = false;
    for extension in parsed.iter_extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(_) => names = Some((extension.value, extension.critical)),
            ParsedExtension::KeyUsage(_) => usage = Some((extension.value, extension.critical)),
            ParsedExtension::ExtendedKeyUsage(_) => extended = extension.value.to_vec(),
            ParsedExtension::SubjectKeyIdentifier(id) => subject_key = !id.0.is_empty(),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                authority_key = id.key_identifier.as_ref().is_some_and(|id| id.0 == authority.key_id());
            }
            ParsedExtension::UnsupportedExtension { .. } | ParsedExtension::ParseError { .. } => {
                return Err("it has an extension that does not parse");
            }
            _ => {}
        }
    }
    require(subject_key, "it has no subject key identifier")?;
    require(authority_key, "its authority key identifier is not the CA's")?;
    let expected = request.subject_alt_name.as_deref().map(|value| (value, request.subject_is_empty()));
    require(names == expected, "its subject alternative names differ")?;
    let expected = key_usage_extension(&grant.usages).map(|value| value.to_der()).transpose();
    let expected = expected.map_err(|_| "its key usage cannot be encoded")?;
    require(usage == expected.as_deref().map(|value| (value, true)), "its key usage differs")?;
    let expected = if grant.usages.extended.is_empty() { Ok(Vec::new()) } else { grant.usages.extended.to_der() };
    require(expected.is_ok_and(|value| value == extended), "its extended key usage differs")
}

/// What the chain constrains, over the finished certificate: webpki looks neither at the anchor's usages, nor at all
/// forms of names, nor at certificates of CAs.
fn check_constraints(leaf: &[u8], grant: &Grant, authority: &Authority) -> Result<(), Error> {
    let unread = |_| Error::NameUnreadable("a subject alternative name");
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| Error::NameUnreadable("the certificate"))?;
    let names = parsed.get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME);
    let names = match names.map_err(|_| Error::NameUnreadable("a subject alternative name"))? {
        Some(extension) => SubjectAltName::from_der(extension.value).map_err(unread)?.0,
        None => Vec::new(),
    };
    authority.check_names(parsed.subject().as_raw(), &names)?;
    authority.check_usages(&grant.usages.extended)?;
    if grant.is_ca && !authority.may_sign_ca() { Err(Error::PathLength) } else { Ok(()) }
}

fn check_path(leaf: &[u8], grant: &Grant, authority: &Authority, now: Timestamp) -> Result<(), Error> {
    let unverified = |error: webpki::Error| Error::Unverified(format!("its path to the root: {error:?}"));
    let leaf = CertificateDer::from(leaf);
    let end_entity = EndEntityCert::try_from(&leaf).map_err(unverified)?;
    let root = authority.anchors().first().ok_or_else(|| Error::Unverified("no root is known".to_owned()))?;
    let anchors = [anchor_from_trusted_cert(root).map_err(unverified)?];
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let purposes = Purposes { wanted: &grant.usages.extended, refused: Cell::new(false) };
    let path = end_entity.verify_for_usage(ACCEPTED, &anchors, authority.intermediates(), time, &purposes, None, None);
    match path {
        Ok(_) => Ok(()),
        // It refuses every certificate beneath constraints that it cannot compare, perhaps before it looks at signatures.
        Err(webpki::Error::NameConstraintViolation) if !authority.has_plain_constraints() => {
            check_signature(leaf.as_ref(), authority)
        }
        Err(_) if purposes.refused.get() => {
            Err(Error::Unverified("a CA above it restricts its extended key usages, and not to these".to_owned()))
        }
        // The leaf's own signature first: that is said in plainer words.
        Err(error) => check_signature(leaf.as_ref(), authority).and(Err(unverified(error))),
    }
}

/// Each certificate of the path that restricts its purposes must allow all of the leaf's (RFC 5280 clause 4.2.1.12).
struct Purposes<'a> {
    wanted: &'a [ObjectIdentifier],
    refused: Cell<bool>,
}

impl ExtendedKeyUsageValidator for Purposes<'_> {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let allowed = purposes.collect::<Result<Vec<_>, _>>()?;
        let allows = |purpose: &ObjectIdentifier| allowed.contains(&KeyPurposeId::new(purpose.as_bytes()));
        if allowed.is_empty() || allows(&ANY) || self.wanted.iter().all(allows) {
            return Ok(());
        }
        // webpki's own error for this cannot be made here.
        self.refused.set(true);
        Err(webpki::Error::UnknownIssuer)
    }
}
