//! [`Grant`] + [`Authority`] + serial → a certificate: built afresh, signed, verified.

use der::{
    Encode,
    asn1::{BitStringRef, ContextSpecific, Ia5String, OctetString, UintRef},
    oid::AssociatedOid,
};
use jiff::Timestamp;
use x509_cert::{
    der::DateTime,
    ext::{
        Extension,
        pkix::{
            AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints,
            CrlDistributionPoints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName, SubjectKeyIdentifier,
            crl::dp::DistributionPoint,
            name::{DistributionPointName, GeneralName},
        },
    },
    spki::ObjectIdentifier,
    time::{Time, Validity},
};

use crate::{
    Authority, Error,
    algorithm::key_id,
    encoding::{RawSequence, Signed, TbsCertificate, certificates_to_pem},
    grant::{Grant, Serial},
    settings::Urls,
    usage::key_usage_extension,
    verify,
};

/// cert-manager does not decode a longer chain (`pkg/util/pki`, about 95 kB).
const MAX_CHAIN_BYTES: usize = 95_000;

const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");

/// A verified certificate in the form in which cert-manager takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// PEM: the leaf first, then the intermediates, without the root.
    pub certificate: String,
    /// PEM: the root, then further ones; the topmost certificate where no root is known.
    pub ca: String,
    /// The leaf alone, DER.
    pub leaf: Vec<u8>,
}

/// Builds, signs and verifies. `now` is the time at which the chain must hold.
///
/// # Errors
/// [`Error::Signer`] may heal; [`Error::Unverified`] and [`Error::ChainTooLarge`] will not.
pub fn issue(grant: &Grant, authority: &Authority, serial: Serial, now: Timestamp) -> Result<Issued, Error> {
    let to_sign = prepare(grant, authority, serial).map_err(|e| Error::Unverified(format!("building it: {e}")))?;
    let signature = authority.signer().sign(&to_sign)?;
    assemble(grant, authority, serial, &to_sign, &signature, now)
}

/// The TBSCertificate (DER) that the authority's key has to sign.
///
/// # Errors
/// Where DER cannot express what was granted, such as a URL that is not ASCII.
pub fn prepare(grant: &Grant, authority: &Authority, serial: Serial) -> Result<Vec<u8>, der::Error> {
    let algorithm = authority.signer().algorithm_der()?;
    TbsCertificate {
        version: ContextSpecific { tag_number: der::TagNumber(0), tag_mode: der::TagMode::Explicit, value: 2 },
        serial: UintRef::new(serial.as_bytes())?,
        algorithm: RawSequence::read(&algorithm)?,
        issuer: RawSequence::read(authority.subject())?,
        validity: Validity::new(time(grant.not_before)?, time(grant.not_after)?),
        subject: RawSequence::read(&grant.request.subject)?,
        public_key: RawSequence::read(&grant.request.public_key)?,
        extensions: extensions(grant, authority)?,
    }
    .to_der()
}

/// Puts the signature to what [`prepare`] made, and verifies the whole before anybody sees it.
///
/// # Errors
/// [`Error::Unverified`] says which check failed; [`Error::ChainTooLarge`] where cert-manager would not read it.
pub fn assemble(
    grant: &Grant,
    authority: &Authority,
    serial: Serial,
    to_sign: &[u8],
    signature: &[u8],
    now: Timestamp,
) -> Result<Issued, Error> {
    let build = || {
        let algorithm = authority.signer().algorithm_der()?;
        let signature = BitStringRef::from_bytes(signature)?;
        Signed { content: RawSequence::read(to_sign)?, algorithm: RawSequence::read(&algorithm)?, signature }.to_der()
    };
    let leaf = build().map_err(|e| Error::Unverified(format!("assembling it: {e}")))?;
    let chain = std::iter::once(leaf.as_slice()).chain(authority.intermediates().iter().map(AsRef::as_ref));
    let certificate = certificates_to_pem(chain);
    if certificate.len() > MAX_CHAIN_BYTES {
        return Err(Error::ChainTooLarge { size: certificate.len(), limit: MAX_CHAIN_BYTES });
    }
    verify::verify(&leaf, grant, authority, serial, now)?;
    let ca = certificates_to_pem(authority.anchors().iter().map(AsRef::as_ref));
    Ok(Issued { certificate, ca, leaf })
}

fn time(time: Timestamp) -> Result<Time, der::Error> {
    let since_epoch = u64::try_from(time.as_second()).map_err(|_| der::ErrorKind::DateTime)?;
    Ok(DateTime::from_unix_duration(std::time::Duration::from_secs(since_epoch))?.into())
}

fn extensions(grant: &Grant, authority: &Authority) -> Result<Vec<Extension>, der::Error> {
    let request = &grant.request;
    let mut all = Vec::new();
    if let Some(usage) = key_usage_extension(&grant.usages) {
        all.push(extension(KeyUsage::OID, true, usage.to_der()?)?);
    }
    if !grant.usages.extended.is_empty() {
        let usage = ExtendedKeyUsage(grant.usages.extended.clone());
        all.push(extension(ExtendedKeyUsage::OID, false, usage.to_der()?)?);
    }
    let constraints =
        BasicConstraints { ca: grant.is_ca, path_len_constraint: request.path_length.filter(|_| grant.is_ca) };
    all.push(extension(BasicConstraints::OID, true, constraints.to_der()?)?);
    let subject_key = SubjectKeyIdentifier(OctetString::new(key_id(&request.public_key))?);
    all.push(extension(SubjectKeyIdentifier::OID, false, subject_key.to_der()?)?);
    let authority_key = AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new(authority.key_id())?),
        ..AuthorityKeyIdentifier::default()
    };
    all.push(extension(AuthorityKeyIdentifier::OID, false, authority_key.to_der()?)?);
    let access = access_descriptions(&grant.urls)?;
    if !access.is_empty() {
        all.push(extension(AuthorityInfoAccessSyntax::OID, false, AuthorityInfoAccessSyntax(access).to_der()?)?);
    }
    if let Some(names) = &request.subject_alt_name {
        all.push(extension(SubjectAltName::OID, request.subject_is_empty(), names.clone())?);
    }
    if !grant.urls.crl_distribution_points.is_empty() {
        let points = grant.urls.crl_distribution_points.iter().map(|url| distribution_point(url));
        let points = CrlDistributionPoints(points.collect::<Result<_, _>>()?);
        all.push(extension(CrlDistributionPoints::OID, false, points.to_der()?)?);
    }
    if let Some((names, critical)) = request.name_constraints.as_ref().filter(|_| grant.is_ca) {
        all.push(extension(NameConstraints::OID, *critical, names.clone())?);
    }
    Ok(all)
}

fn extension(extn_id: ObjectIdentifier, critical: bool, value: Vec<u8>) -> Result<Extension, der::Error> {
    Ok(Extension { extn_id, critical, extn_value: OctetString::new(value)? })
}

fn url(url: &str) -> Result<GeneralName, der::Error> {
    Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(url)?))
}

fn access_descriptions(urls: &Urls) -> Result<Vec<AccessDescription>, der::Error> {
    let ocsp = urls.ocsp_servers.iter().map(|location| (OCSP, location));
    let issuers = urls.issuing_certificate_urls.iter().map(|location| (CA_ISSUERS, location));
    ocsp.chain(issuers)
        .map(|(access_method, location)| Ok(AccessDescription { access_method, access_location: url(location)? }))
        .collect()
}

fn distribution_point(location: &str) -> Result<DistributionPoint, der::Error> {
    let name = DistributionPointName::FullName(vec![url(location)?]);
    Ok(DistributionPoint { distribution_point: Some(name), reasons: None, crl_issuer: None })
}
