//! One certificate of a CA's chain: DER → [`Link`], with what is needed of it.

use der::{Decode, oid::ObjectIdentifier};
use jiff::Timestamp;
use pki_types::CertificateDer;
use x509_cert::ext::pkix::ExtendedKeyUsage;
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension, oid_registry as oids, prelude::FromDer};

use crate::{
    Error,
    algorithm::{self, key_id, verify_signed},
    encoding::Signed,
    name_constraints::Constraints,
    profile, weak_keys,
};

/// One certificate of the CA's chain, with what is needed of it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) public_key: Vec<u8>,
    pub(crate) description: Description,
    pub(crate) basic_constraints: Option<(bool, Option<u32>)>,
    pub(crate) cert_sign: Option<bool>,
    pub(crate) key_id: Option<Vec<u8>>,
    /// GeneralNames, DER.
    pub(crate) alternative_names: Option<Vec<u8>>,
    pub(crate) name_constraints: Option<Constraints>,
    /// What it restricts extended key usages to.
    pub(crate) extended: Option<Vec<ObjectIdentifier>>,
}

/// A CA certificate in words, for the issuer's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Subject as text (RFC 4514).
    pub subject: String,
    /// SHA-256 of the certificate's DER, lower-case hexadecimal.
    pub fingerprint: String,
    /// Subject key identifier, lower-case hexadecimal; ours where the certificate has none.
    pub subject_key_id: String,
    /// Beginning of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
}

/// Extensions that may be critical in a CA's certificate: those that RFC 5280 clause 4.2 has every verifier recognise.
const MAY_BE_CRITICAL: [oids::Oid<'_>; 9] = [
    oids::OID_X509_EXT_KEY_USAGE,
    oids::OID_X509_EXT_CERTIFICATE_POLICIES,
    oids::OID_X509_EXT_POLICY_MAPPINGS,
    oids::OID_X509_EXT_SUBJECT_ALT_NAME,
    oids::OID_X509_EXT_BASIC_CONSTRAINTS,
    oids::OID_X509_EXT_NAME_CONSTRAINTS,
    oids::OID_X509_EXT_POLICY_CONSTRAINTS,
    oids::OID_X509_EXT_EXTENDED_KEY_USAGE,
    oids::OID_X509_EXT_INHIBIT_ANY_POLICY,
];

impl Link {
    /// Reads a certificate of the Secret's `field`.
    ///
    /// # Errors
    /// [`Error::SecretInvalid`] where it cannot be read, or no verifier would take it in a chain.
    pub(crate) fn from_der(field: &'static str, der: Vec<u8>) -> Result<Self, Error> {
        let invalid = |problem: String| Error::SecretInvalid { field, problem };
        let (rest, parsed) =
            X509Certificate::from_der(&der).map_err(|error| invalid(format!("not an X.509 certificate: {error}")))?;
        if !rest.is_empty() {
            return Err(invalid("bytes follow a certificate within its PEM block".to_owned()));
        }
        let signed = Signed::from_der(&der).and_then(|signed| signed.algorithm.whole());
        let algorithm = signed.map_err(|error| invalid(format!("not DER: {error}")))?;
        algorithm::check_accepted(&algorithm)
            .map_err(|name| invalid(format!("a certificate is signed with {name}, which is not accepted")))?;
        let subject = parsed.subject().to_string();
        let of = |problem: String| invalid(format!("the certificate {subject:?}: {problem}"));
        profile::check(&der, &parsed).map_err(of)?;
        let public_key = parsed.public_key().raw.to_vec();
        weak_keys::check(&public_key).map_err(|weakness| of(format!("its public key is refused: {weakness}")))?;

        let extension = |error| of(format!("its extensions: {error}"));
        let value = |oid| Ok(parsed.get_extension_unique(&oid).map_err(extension)?.map(|extension| extension.value));
        let basic = parsed.basic_constraints().map_err(extension)?;
        let usage = parsed.key_usage().map_err(extension)?;
        let name_constraints = value(oids::OID_X509_EXT_NAME_CONSTRAINTS)?.map(Constraints::from_der).transpose();
        let extended = value(oids::OID_X509_EXT_EXTENDED_KEY_USAGE)?.map(ExtendedKeyUsage::from_der).transpose();
        let alternative_names = value(oids::OID_X509_EXT_SUBJECT_ALT_NAME)?.map(<[u8]>::to_vec);
        if let Some(unknown) = parsed.iter_extensions().find(|e| e.critical && !MAY_BE_CRITICAL.contains(&e.oid)) {
            return Err(of(format!("its critical extension {} is not known to all verifiers", unknown.oid)));
        }
        let own_id = parsed.iter_extensions().find_map(|e| match e.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) if !id.0.is_empty() => Some(id.0.to_vec()),
            _ => None,
        });
        // The last day that a certificate can name is beyond the last one here: it is as good as that.
        let time = |time: x509_parser::time::ASN1Time| {
            let range = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
            let second = time.timestamp().clamp(*range.start(), *range.end());
            Timestamp::from_second(second).map_err(|error| of(format!("its validity: {error}")))
        };
        let description = Description {
            fingerprint: hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der).as_ref()),
            subject_key_id: hex(own_id.as_deref().unwrap_or(&key_id(&public_key))),
            not_before: time(parsed.validity().not_before)?,
            not_after: time(parsed.validity().not_after)?,
            subject: subject.clone(),
        };
        Ok(Self {
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            public_key,
            description,
            basic_constraints: basic.map(|b| (b.value.ca, b.value.path_len_constraint)),
            cert_sign: usage.map(|u| u.value.key_cert_sign()),
            key_id: own_id,
            alternative_names,
            name_constraints: name_constraints.map_err(|problem| of(format!("its name constraints: {problem}")))?,
            extended: extended.map_err(|error| of(format!("its extended key usage: {error}")))?.map(|usage| usage.0),
            der: CertificateDer::from(der),
        })
    }

    /// Whether `issuer`'s key signed this certificate, and the names agree.
    pub(crate) fn signed_by(&self, issuer: &Self) -> bool {
        self.issuer == issuer.subject && verify_signed(&self.der, &issuer.public_key)
    }

    pub(crate) fn is_ca(&self) -> bool {
        matches!(self.basic_constraints, Some((true, _))) && self.cert_sign != Some(false)
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
