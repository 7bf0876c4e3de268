//! A request of our own making, as cert-manager makes one for a Certificate (RFC 2986).

use der::{
    Decode, Encode,
    asn1::{Any, BitStringRef, OctetString, SetOfVec},
    oid::AssociatedOid,
};
use pem::{EncodeConfig, LineEnding, Pem};
use x509_cert::{
    attr::Attribute,
    ext::{
        Extension,
        pkix::{ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName, name::GeneralName},
    },
};

use crate::{
    Error,
    encoding::{CERTIFICATE_REQUEST, RawSequence, RequestInfo, Signed},
    request::EXTENSION_REQUEST,
    signer::{LocalKey, Signer},
    usage::{Usages, key_usage_extension},
};

/// What a request is made of.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Name, DER.
    pub subject: Vec<u8>,
    /// Subject alternative names, in order.
    pub names: Vec<GeneralName>,
    /// The usages to be encoded; `None` where none are (cert-manager's `encodeUsagesInRequest: false`).
    pub usages: Option<Usages>,
    /// Name constraints, and whether they are critical.
    pub name_constraints: Option<(NameConstraints, bool)>,
}

impl NewRequest {
    /// The request in PEM, signed by `key`, the key that it asks to have certified.
    ///
    /// # Errors
    /// [`Error::RequestMalformed`] where DER cannot express it, [`Error::Signer`] where the key does not sign.
    pub fn sign(&self, key: &LocalKey) -> Result<String, Error> {
        let unwritten = |error: der::Error| Error::RequestMalformed(format!("it cannot be written: {error}"));
        let public_key = key.public_key_info()?;
        let info = self.info(&public_key).map_err(unwritten)?;
        let signature = key.sign(&info)?;
        let build = || {
            let algorithm = key.algorithm_der()?;
            let signature = BitStringRef::from_bytes(&signature)?;
            Signed { content: RawSequence::read(&info)?, algorithm: RawSequence::read(&algorithm)?, signature }.to_der()
        };
        let der = build().map_err(unwritten)?;
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        Ok(pem::encode_config(&Pem::new(CERTIFICATE_REQUEST, der), config))
    }

    /// The CertificationRequestInfo (DER).
    fn info(&self, public_key: &[u8]) -> Result<Vec<u8>, der::Error> {
        let mut attributes = SetOfVec::new();
        let extensions = self.extensions()?;
        if !extensions.is_empty() {
            let value = Any::from_der(&extensions.to_der()?)?;
            attributes.insert(Attribute { oid: EXTENSION_REQUEST, values: SetOfVec::try_from([value])? })?;
        }
        RequestInfo {
            version: 0,
            subject: RawSequence::read(&self.subject)?,
            public_key: RawSequence::read(public_key)?,
            attributes: Some(attributes),
        }
        .to_der()
    }

    fn extensions(&self) -> Result<Vec<Extension>, der::Error> {
        let extension = |extn_id, critical, value: Vec<u8>| {
            Ok::<_, der::Error>(Extension { extn_id, critical, extn_value: OctetString::new(value)? })
        };
        let mut all = Vec::new();
        if !self.names.is_empty() {
            // RFC 5280 clause 4.1.2.6: critical where the subject is empty.
            let critical = self.subject == [0x30, 0x00];
            all.push(extension(SubjectAltName::OID, critical, self.names.to_der()?)?);
        }
        if let Some(usages) = &self.usages {
            if let Some(usage) = key_usage_extension(usages) {
                all.push(extension(KeyUsage::OID, true, usage.to_der()?)?);
            }
            if !usages.extended.is_empty() {
                all.push(extension(ExtendedKeyUsage::OID, false, usages.extended.to_der()?)?);
            }
        }
        if let Some((constraints, critical)) = &self.name_constraints {
            all.push(extension(NameConstraints::OID, *critical, constraints.to_der()?)?);
        }
        Ok(all)
    }
}
