//! Bytes → [`ValidRequest`]: a strict reading of a PKCS#10 request (RFC 2986).

use std::collections::BTreeSet;

use der::{Decode, Encode, oid::ObjectIdentifier, referenced::OwnedToRef};
use pem::PemError;
use x509_cert::{
    der::{flagset::FlagSet, oid::AssociatedOid},
    ext::{
        Extension,
        pkix::{
            BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, NameConstraints, SubjectAltName, name::GeneralName,
        },
    },
};

use crate::{
    Error,
    algorithm::{self, Rejected},
    encoding::{RequestInfo, Signed},
    name_constraints::Constraints,
    subject::{self, SubjectAttribute, is_minimal},
    usage::{Usages, describe_extended, describe_key_usage},
    weak_keys,
};

/// More bytes of PEM than any honest request has: an RSA key of 8192 bits and a thousand names fit.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// The attribute in which a request carries extensions (RFC 2985 clause 5.4.2).
pub(crate) const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

/// The attribute type commonName (RFC 5280 appendix A.1).
pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A request that is well formed and signed by its own key. What it asks for has not been granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidRequest {
    /// Name, DER, as the request has it.
    pub subject: Vec<u8>,
    /// SubjectPublicKeyInfo, DER, as the request has it.
    pub public_key: Vec<u8>,
    /// GeneralNames, DER, as the request has it; `None` where there is none or it is empty.
    pub subject_alt_name: Option<Vec<u8>>,
    /// The same names, read.
    pub names: Vec<GeneralName>,
    /// The subject's attributes, in order, common names included.
    pub subject_attributes: Vec<SubjectAttribute>,
    /// The subject's common names, in order.
    pub common_names: Vec<String>,
    /// NameConstraints, DER, and whether it is critical.
    pub name_constraints: Option<(Vec<u8>, bool)>,
    /// The path length that the request encodes beside CA:TRUE.
    pub path_length: Option<u8>,
    encoded_key_usage: Option<FlagSet<KeyUsages>>,
    encoded_extended: Option<Vec<ObjectIdentifier>>,
    encoded_ca: Option<bool>,
}

impl ValidRequest {
    /// Reads `spec.request`: PEM, text before the block and white space after it allowed, nothing else.
    ///
    /// # Errors
    /// All of class permanent: size, framing, structure, algorithm or signature.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        if pem.len() > MAX_REQUEST_BYTES {
            return Err(Error::RequestTooLarge { limit: MAX_REQUEST_BYTES });
        }
        Self::from_der(&one_block(pem)?)
    }

    /// Reads a request in DER, of which nothing may be left over.
    ///
    /// # Errors
    /// As [`ValidRequest::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let signed = Signed::from_der(der).map_err(malformed)?;
        let content = signed.content.whole().map_err(malformed)?;
        let info = RequestInfo::from_der(&content).map_err(malformed)?;
        if info.version != 0 {
            return Err(Error::RequestMalformed(format!("version {} instead of 1", u16::from(info.version) + 1)));
        }
        let public_key = info.public_key.whole().map_err(malformed)?;
        check_possession(&public_key, &signed, &content)?;

        let subject = info.subject.whole().map_err(malformed)?;
        let attributes = subject::attributes(&decode("subject", &subject)?)
            .map_err(|problem| Error::RequestMalformed(format!("subject: {problem}")))?;
        let common_names = attributes.iter().filter(|attribute| attribute.oid == COMMON_NAME);
        let mut request = Self {
            subject,
            public_key,
            subject_alt_name: None,
            names: Vec::new(),
            common_names: common_names.map(|attribute| attribute.text.clone()).collect(),
            subject_attributes: attributes,
            name_constraints: None,
            path_length: None,
            encoded_key_usage: None,
            encoded_extended: None,
            encoded_ca: None,
        };
        for extension in requested_extensions(&info)? {
            request.take(&extension)?;
        }
        Ok(request)
    }

    /// Keeps what is known of an extension; others are dropped (as cert-manager's CA issuer does).
    fn take(&mut self, extension: &Extension) -> Result<(), Error> {
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            SubjectAltName::OID => {
                let names: SubjectAltName = decode("subject alternative name", value)?;
                names.0.iter().try_for_each(check_name)?;
                self.subject_alt_name = (!names.0.is_empty()).then(|| value.to_vec());
                self.names = names.0;
            }
            KeyUsage::OID => self.encoded_key_usage = Some(decode::<KeyUsage>("key usage", value)?.0),
            ExtendedKeyUsage::OID => {
                let usages: ExtendedKeyUsage = decode("extended key usage", value)?;
                if usages.0.is_empty() {
                    return Err(Error::RequestMalformed("extended key usage: it is empty".to_owned()));
                }
                self.encoded_extended = Some(usages.0);
            }
            BasicConstraints::OID => {
                let constraints: BasicConstraints = decode("basic constraints", value)?;
                self.encoded_ca = Some(constraints.ca);
                self.path_length = constraints.path_len_constraint.filter(|_| constraints.ca);
            }
            NameConstraints::OID => {
                Constraints::new(decode("name constraints", value)?)
                    .map_err(|problem| Error::RequestMalformed(format!("name constraints: {problem}")))?;
                self.name_constraints = Some((value.to_vec(), extension.critical));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the subject is empty (then the subject alternative name is critical, RFC 5280 clause 4.1.2.6).
    #[must_use]
    pub fn subject_is_empty(&self) -> bool {
        self.subject == [0x30, 0x00]
    }

    /// What the request encodes must be what its spec asks for; nothing is merged.
    ///
    /// # Errors
    /// [`Error::Mismatch`] names the field and both values.
    pub fn check_against(&self, usages: &Usages, is_ca: bool) -> Result<(), Error> {
        if self.encoded_key_usage.is_some() || self.encoded_extended.is_some() {
            let key = self.encoded_key_usage.unwrap_or_default();
            if key != usages.key {
                return Err(Error::Mismatch {
                    field: "key usage",
                    encoded: describe_key_usage(key),
                    expected: describe_key_usage(usages.key),
                });
            }
            let extended = self.encoded_extended.as_deref().unwrap_or_default();
            if extended != usages.extended {
                return Err(Error::Mismatch {
                    field: "extended key usage",
                    encoded: describe_extended(extended),
                    expected: describe_extended(&usages.extended),
                });
            }
        }
        match self.encoded_ca {
            Some(encoded) if encoded != is_ca => {
                Err(Error::Mismatch { field: "isCA", encoded: encoded.to_string(), expected: is_ca.to_string() })
            }
            _ => Ok(()),
        }
    }
}

/// The DER of the one block. Text may stand before it (OpenSSL writes some), only white space after it.
fn one_block(pem: &[u8]) -> Result<Vec<u8>, Error> {
    let not_pem = |problem: &str| Error::RequestNotPem(problem.to_owned());
    let text = std::str::from_utf8(pem).map_err(|_| not_pem("it is not text"))?;
    let (_, after) = text
        .split_once("-----END ")
        .and_then(|(_, rest)| rest.split_once("-----"))
        .ok_or_else(|| not_pem("no PEM block was found"))?;
    if !after.trim().is_empty() {
        return Err(not_pem("something follows its first block"));
    }
    // Only fixed words are told: what stands where a label or a header is due may be a part of a private key, pasted by
    // mistake, and this message reaches the status, an event and the log.
    let block = pem::parse(text).map_err(|error| match error {
        PemError::MismatchedTags(..) => not_pem("its BEGIN and END lines do not agree"),
        PemError::InvalidData(_) => not_pem("it is not base64 between its BEGIN and END lines"),
        PemError::InvalidHeader(_) => not_pem("a line before its base64 is no header"),
        _ => not_pem("its framing is broken"),
    })?;
    // RFC 7468 has no headers; those that there were (RFC 1421) mostly say that what follows is encrypted.
    if block.headers().iter().next().is_some() {
        return Err(not_pem("lines of headers stand before its base64"));
    }
    const REQUESTS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
    const OTHERS: [&str; 6] =
        ["CERTIFICATE", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY"];
    let label = block.tag();
    match OTHERS.into_iter().find(|known| *known == label) {
        _ if REQUESTS.contains(&label) => Ok(block.into_contents()),
        Some(other) => Err(Error::RequestNotPem(format!("its label is {other:?}"))),
        None => Err(not_pem("it has another label")),
    }
}

/// Proof of possession: the request is signed by the key that it asks to have certified.
fn check_possession(public_key: &[u8], signed: &Signed<'_>, content: &[u8]) -> Result<(), Error> {
    let algorithm = signed.algorithm.whole().map_err(malformed)?;
    let signature = signed.signature.as_bytes().ok_or(Error::RequestSignature)?;
    algorithm::verify(public_key, &algorithm, content, signature).map_err(|rejected| match rejected {
        Rejected::Malformed => Error::RequestMalformed("its public key is not DER".to_owned()),
        Rejected::Algorithm(name) => Error::RequestAlgorithm(name),
        // Many a weak key verifies nothing: that is the better reason.
        Rejected::Signature => match weak_keys::check(public_key) {
            Err(weakness) => Error::WeakKey(weakness),
            Ok(()) => Error::RequestSignature,
        },
    })
}

/// The extensions in the request's extensionRequest attribute; an attribute or an extension given twice is an error.
fn requested_extensions(info: &RequestInfo<'_>) -> Result<Vec<Extension>, Error> {
    let mut found: Option<Vec<Extension>> = None;
    for attribute in info.attributes.iter().flat_map(|set| set.iter()).filter(|a| a.oid == EXTENSION_REQUEST) {
        let [value] = attribute.values.as_slice() else {
            return Err(Error::RequestMalformed("extensionRequest: not exactly one value".to_owned()));
        };
        let value = value.owned_to_ref().to_der().map_err(malformed)?;
        if found.replace(decode("extensionRequest", &value)?).is_some() {
            return Err(Error::RequestMalformed("extensionRequest: given twice".to_owned()));
        }
    }
    let extensions = found.unwrap_or_default();
    // A set, because thousands of them fit into a request.
    let mut seen = BTreeSet::new();
    if let Some(twice) = extensions.iter().find(|extension| !seen.insert(extension.extn_id)) {
        return Err(Error::RequestMalformed(format!("extension {} is given twice", twice.extn_id)));
    }
    Ok(extensions)
}

/// What the types of a name leave open.
fn check_name(name: &GeneralName) -> Result<(), Error> {
    let problem = match name {
        GeneralName::OtherName(other) if !is_minimal(other.type_id) => "an OID has more octets than it needs",
        GeneralName::RegisteredId(oid) if !is_minimal(*oid) => "an OID has more octets than it needs",
        GeneralName::IpAddress(address) if !matches!(address.as_bytes().len(), 4 | 16) => {
            "an IP address has neither 4 octets nor 16"
        }
        _ => return Ok(()),
    };
    Err(Error::RequestMalformed(format!("subject alternative name: {problem}")))
}

/// Reads DER, strictly: what a decoder lets pass though it would encode it in another way (a default that is written
/// out, a SET in another order) is no DER.
fn decode<'a, T: Decode<'a, Error = der::Error> + Encode>(what: &str, der: &'a [u8]) -> Result<T, Error> {
    let problem = |error| Error::RequestMalformed(format!("{what}: {error}"));
    let value = T::from_der(der).map_err(problem)?;
    match value.to_der().map_err(problem)? == der {
        true => Ok(value),
        false => Err(Error::RequestMalformed(format!("{what}: it is BER, not DER"))),
    }
}

fn malformed(error: der::Error) -> Error {
    Error::RequestMalformed(error.to_string())
}
