//! PEM of a CA Secret → [`Authority`]: a certificate that may sign, the key that does, and the chain above it.

use der::Decode;
use jiff::Timestamp;
use pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer};

use crate::{
    Error,
    algorithm::{self, key_id, verify_signed},
    encoding::{Signed, Spki},
    signer::{LocalKey, Signer},
};

/// The bytes of a CA Secret, as Kubernetes keeps them. `Debug` is not implemented: one of them is a private key.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// `tls.crt`: the CA's certificate first, then its issuers upwards (PEM).
    pub certificates: Option<&'a [u8]>,
    /// `tls.key`: the CA's private key (PEM).
    pub key: Option<&'a [u8]>,
    /// `ca.crt`: the root where `tls.crt` does not hold it, and further roots (PEM).
    pub roots: Option<&'a [u8]>,
}

/// One certificate of the CA's chain, with what is needed of it.
#[derive(Clone, Debug)]
struct Link {
    der: CertificateDer<'static>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    public_key: Vec<u8>,
    description: Description,
    basic_constraints: Option<(bool, Option<u32>)>,
    cert_sign: Option<bool>,
    key_id: Option<Vec<u8>>,
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

/// A CA that can sign: checked certificate, matching key, known chain.
#[derive(Debug)]
pub struct Authority {
    ca: Link,
    intermediates: Vec<CertificateDer<'static>>,
    anchors: Vec<CertificateDer<'static>>,
    chain: Vec<Description>,
    path_room: Option<i64>,
    signer: Box<dyn Signer>,
}

impl Authority {
    /// Reads and checks a CA Secret. The time plays no part here: see [`Authority::check_time`].
    ///
    /// # Errors
    /// All of class issuer: what is missing, unreadable or does not belong together.
    pub fn from_secret(material: Material<'_>) -> Result<Self, Error> {
        let chain = read_chain("tls.crt", present("tls.crt", material.certificates)?)?;
        let key = LocalKey::from_pem(present("tls.key", material.key)?)?;
        let roots = match material.roots {
            Some(roots) if !roots.is_empty() => read_chain("ca.crt", roots)?,
            _ => Vec::new(),
        };
        Self::new(chain, roots, Box::new(key))
    }

    fn new(mut chain: Vec<Link>, roots: Vec<Link>, signer: Box<dyn Signer>) -> Result<Self, Error> {
        let ca = chain.first().cloned().ok_or(Error::SecretKeyMissing("tls.crt"))?;
        check_ca(&ca)?;
        check_key(&ca, signer.as_ref())?;
        check_order(&chain)?;

        // The root is the end of tls.crt where that signed itself, else the certificate of ca.crt that signed the end.
        let topmost = chain.last().cloned().ok_or(Error::SecretKeyMissing("tls.crt"))?;
        let mut anchors = Vec::new();
        if topmost.issuer == topmost.subject {
            if !topmost.signed_by(&topmost) {
                let problem = "its last certificate names itself as issuer, but did not sign itself".to_owned();
                return Err(Error::SecretInvalid { field: "tls.crt", problem });
            }
            chain.pop();
            anchors.push(topmost);
        } else if let Some(root) = roots.iter().find(|root| root.signed_by(root) && topmost.signed_by(root)) {
            anchors.push(root.clone());
        } else {
            anchors.push(topmost);
        }
        let whole: Vec<&Link> = {
            let first = anchors.iter().take(1).filter(|root| chain.last().is_none_or(|last| last.der != root.der));
            chain.iter().chain(first).collect()
        };
        let path_room = path_room(&whole)?;
        let descriptions = whole.iter().map(|link| link.description.clone()).collect();
        for root in roots {
            if root.signed_by(&root) && anchors.iter().all(|known| known.der != root.der) {
                anchors.push(root);
            }
        }
        let bare = |links: Vec<Link>| links.into_iter().map(|link| link.der).collect();
        Ok(Self { ca, intermediates: bare(chain), anchors: bare(anchors), chain: descriptions, path_room, signer })
    }

    /// Whether every certificate of the chain is within its validity at `now`.
    ///
    /// # Errors
    /// [`Error::CaExpired`] or [`Error::CaNotYetValid`] for the first one that is not.
    pub fn check_time(&self, now: Timestamp) -> Result<(), Error> {
        for Description { subject, not_before, not_after, .. } in &self.chain {
            if now > *not_after {
                return Err(Error::CaExpired { subject: subject.clone(), not_after: *not_after });
            }
            if now < *not_before {
                return Err(Error::CaNotYetValid { subject: subject.clone(), not_before: *not_before });
            }
        }
        Ok(())
    }

    /// When the first certificate of the chain ends: nothing that is issued counts beyond it.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.chain.iter().map(|link| link.not_after).min().unwrap_or(self.ca.description.not_after)
    }

    /// When the last certificate of the chain begins.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.chain.iter().map(|link| link.not_before).max().unwrap_or(self.ca.description.not_before)
    }

    /// The CA's own certificate in words.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.ca.description
    }

    /// The CA's subject, DER: the issuer name of what it signs, byte for byte.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.ca.subject
    }

    /// The CA's SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.ca.public_key
    }

    /// The authority key identifier of what it signs: the CA's own subject key identifier where it has one.
    #[must_use]
    pub fn key_id(&self) -> Vec<u8> {
        self.ca.key_id.clone().unwrap_or_else(|| key_id(&self.ca.public_key))
    }

    /// The certificates (DER) that follow a leaf: the CA first, without the root. Empty where the CA is the root.
    #[must_use]
    pub fn intermediates(&self) -> &[CertificateDer<'static>] {
        &self.intermediates
    }

    /// The roots (DER), the chain's own first; where none is known, the topmost certificate. Never empty.
    #[must_use]
    pub fn anchors(&self) -> &[CertificateDer<'static>] {
        &self.anchors
    }

    /// Whether the chain's path lengths leave room for a CA beneath this one (RFC 5280 clause 4.2.1.9).
    #[must_use]
    pub fn may_sign_ca(&self) -> bool {
        self.path_room.is_none_or(|room| room >= 1)
    }

    /// Who holds the key.
    #[must_use]
    pub fn signer(&self) -> &dyn Signer {
        self.signer.as_ref()
    }
}

impl Link {
    fn from_der(field: &'static str, der: Vec<u8>) -> Result<Self, Error> {
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
        let extension = |error| invalid(format!("a certificate's extensions: {error}"));
        let basic = parsed.basic_constraints().map_err(extension)?;
        let usage = parsed.key_usage().map_err(extension)?;
        let own_id = parsed.iter_extensions().find_map(|e| match e.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) if !id.0.is_empty() => Some(id.0.to_vec()),
            _ => None,
        });
        let public_key = parsed.public_key().raw.to_vec();
        let time = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|error| invalid(format!("its validity: {error}")))
        };
        let description = Description {
            subject: parsed.subject().to_string(),
            fingerprint: hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der).as_ref()),
            subject_key_id: hex(own_id.as_deref().unwrap_or(&key_id(&public_key))),
            not_before: time(parsed.validity().not_before)?,
            not_after: time(parsed.validity().not_after)?,
        };
        Ok(Self {
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            public_key,
            description,
            basic_constraints: basic.map(|b| (b.value.ca, b.value.path_len_constraint)),
            cert_sign: usage.map(|u| u.value.key_cert_sign()),
            key_id: own_id,
            der: CertificateDer::from(der),
        })
    }

    /// Whether `issuer`'s key signed this certificate, and the names agree.
    fn signed_by(&self, issuer: &Self) -> bool {
        self.issuer == issuer.subject && verify_signed(&self.der, &issuer.public_key)
    }

    fn is_ca(&self) -> bool {
        matches!(self.basic_constraints, Some((true, _))) && self.cert_sign != Some(false)
    }
}

fn present<'a>(field: &'static str, bytes: Option<&'a [u8]>) -> Result<&'a [u8], Error> {
    bytes.filter(|bytes| !bytes.is_empty()).ok_or(Error::SecretKeyMissing(field))
}

fn read_chain(field: &'static str, pem: &[u8]) -> Result<Vec<Link>, Error> {
    let invalid = |problem: &str| Error::SecretInvalid { field, problem: problem.to_owned() };
    let blocks = pem::parse_many(pem).map_err(|_| invalid("it is not PEM"))?;
    if blocks.is_empty() {
        return Err(invalid("it holds no certificate in PEM"));
    }
    blocks
        .into_iter()
        .map(|block| match block.tag() {
            crate::encoding::CERTIFICATE => Link::from_der(field, block.into_contents()),
            _ => Err(invalid("it holds something else than certificates")),
        })
        .collect()
}

fn check_ca(ca: &Link) -> Result<(), Error> {
    match ca.basic_constraints {
        None => return Err(Error::NotACa("it has no basic constraints (CA:TRUE is needed)")),
        Some((false, _)) => return Err(Error::NotACa("its basic constraints say CA:FALSE")),
        Some((true, _)) => {}
    }
    if ca.cert_sign == Some(false) {
        return Err(Error::NotACa("its key usage does not hold certificate signing"));
    }
    Ok(())
}

/// The key is the certificate's: the public keys agree, and a signature made by one is verified by the other.
fn check_key(ca: &Link, signer: &dyn Signer) -> Result<(), Error> {
    let spki = Spki::from_der(&ca.public_key)
        .map_err(|e| Error::SecretInvalid { field: "tls.crt", problem: format!("its public key: {e}") })?;
    if spki.key.as_bytes() != Some(signer.public_key()) {
        return Err(Error::KeyMismatch);
    }
    const PROOF: &[u8] = b"tandem-issuer: proof that the key is the certificate's";
    let signature = signer.sign(PROOF)?;
    let algorithm =
        signer.algorithm_der().map_err(|e| Error::SecretInvalid { field: "tls.key", problem: e.to_string() })?;
    algorithm::verify(&ca.public_key, &algorithm, PROOF, &signature).map_err(|_| Error::KeyMismatch)
}

/// Each certificate of `tls.crt` was signed by the next, which is a CA.
fn check_order(chain: &[Link]) -> Result<(), Error> {
    for (index, pair) in chain.windows(2).enumerate() {
        let [lower, upper] = pair else { continue };
        if !lower.signed_by(upper) || !upper.is_ca() {
            let problem = format!(
                "certificate {} was not issued by certificate {}; order them from the CA upwards",
                index + 1,
                index + 2
            );
            return Err(Error::SecretInvalid { field: "tls.crt", problem });
        }
    }
    Ok(())
}

/// How many CAs may still follow beneath the first certificate, by every path length in the chain; `None`: any number.
fn path_room(chain: &[&Link]) -> Result<Option<i64>, Error> {
    let room = (0_i64..)
        .zip(chain)
        .filter_map(|(beneath, link)| link.basic_constraints?.1.map(|length| i64::from(length) - beneath))
        .min();
    match room {
        Some(room) if room < 0 => Err(Error::SecretInvalid {
            field: "tls.crt",
            problem: "the chain is longer than a path length in it allows".to_owned(),
        }),
        room => Ok(room),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
