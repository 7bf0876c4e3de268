//! What a CA's certificate has to be besides readable (RFC 5280 clause 4.1): what it issues is read by verifiers that are
//! stricter than the parser that reads it here, and which find its subject in every certificate that it has signed.

use der::Decode;
use x509_cert::{Certificate, ext::pkix::BasicConstraints};
use x509_parser::{certificate::X509Certificate, oid_registry::OID_X509_EXT_BASIC_CONSTRAINTS, x509::X509Version};

use crate::subject::attributes;

/// Looks at a certificate (DER) that has been read; the error is for people.
pub(crate) fn check(der: &[u8], parsed: &X509Certificate<'_>) -> Result<(), String> {
    let X509Version(version) = parsed.version();
    if parsed.version() != X509Version::V3 && !parsed.extensions().is_empty() {
        return Err(format!("it has extensions, but its version is {} instead of 3", u64::from(version) + 1));
    }
    let strict = Certificate::from_der(der).map_err(|error| format!("it is not DER: {error}"))?;
    let content = strict.tbs_certificate();
    if content.signature() != strict.signature_algorithm() {
        return Err("it names two different algorithms of its signature".to_owned());
    }
    if content.subject().is_empty() {
        return Err("its subject is empty".to_owned());
    }
    attributes(content.subject().as_ref()).map_err(|problem| format!("its subject: {problem}"))?;
    let validity = parsed.validity();
    if validity.not_before > validity.not_after {
        return Err("its validity ends before it begins".to_owned());
    }
    let constraints = parsed.get_extension_unique(&OID_X509_EXT_BASIC_CONSTRAINTS).ok().flatten();
    match constraints.map(|extension| BasicConstraints::from_der(extension.value)) {
        Some(Err(error)) => Err(format!("its basic constraints are not DER: {error}")),
        _ => Ok(()),
    }
}
