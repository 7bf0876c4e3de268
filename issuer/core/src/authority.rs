//! PEM of a CA Secret → [`Authority`]: a certificate that may sign, the key that does, and the chain above it.

use der::{Decode, oid::ObjectIdentifier};
use jiff::Timestamp;
use pki_types::CertificateDer;
use x509_cert::ext::pkix::name::GeneralName;

pub use crate::link::Description;
use crate::{
    Error,
    algorithm::{self, key_id},
    chain::{check_names, check_order, check_own_names, check_usages, path_room},
    encoding::{Spki, certificates_to_pem},
    link::Link,
    name_constraints::Constraints,
    settings::Settings,
    signer::{LocalKey, Signer},
    weak_keys::Weakness,
};

/// The most bytes of PEM that may be above a certificate in `tls.crt`, the root left out, and that the roots may have: what
/// cert-manager reads of a chain, less what it leaves to the certificate itself, and of a bundle (cert-manager v1.21,
/// internal/pem/decode.go). With more, each certificate that is signed would be one that nobody can use.
const MAX_ABOVE: usize = 58_500;
const MAX_ROOTS: usize = 330_000;

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

/// A CA that can sign: checked certificate, matching key, known chain.
#[derive(Debug)]
pub struct Authority {
    ca: Link,
    intermediates: Vec<CertificateDer<'static>>,
    anchors: Vec<CertificateDer<'static>>,
    /// From the CA to the topmost certificate that is known, that included.
    chain: Vec<Link>,
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
        } else if let Some(root) =
            roots.iter().find(|root| root.is_ca() && root.signed_by(root) && topmost.signed_by(root))
        {
            anchors.push(root.clone());
        } else {
            anchors.push(topmost);
        }
        let top = anchors.iter().take(1).filter(|root| chain.last().is_none_or(|last| last.der != root.der));
        let whole: Vec<Link> = chain.iter().chain(top).cloned().collect();
        let path_room = path_room(&whole)?;
        check_own_names(&whole)?;
        for root in roots {
            if root.signed_by(&root) && anchors.iter().all(|known| known.der != root.der) {
                anchors.push(root);
            }
        }
        check_size("tls.crt", &chain, MAX_ABOVE)?;
        check_size("ca.crt", &anchors, MAX_ROOTS)?;
        let bare = |links: Vec<Link>| links.into_iter().map(|link| link.der).collect();
        Ok(Self { ca, intermediates: bare(chain), anchors: bare(anchors), chain: whole, path_room, signer })
    }

    /// Whether every certificate of the chain is within its validity at `now`.
    ///
    /// # Errors
    /// [`Error::CaExpired`] or [`Error::CaNotYetValid`] for the first one that is not.
    pub fn check_time(&self, now: Timestamp) -> Result<(), Error> {
        for Description { subject, not_before, not_after, .. } in self.chain.iter().map(|link| &link.description) {
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
        self.chain.iter().map(|link| link.description.not_after).min().unwrap_or(self.ca.description.not_after)
    }

    /// When the last certificate of the chain begins.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.chain.iter().map(|link| link.description.not_before).max().unwrap_or(self.ca.description.not_before)
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

    /// How many CAs may follow one another beneath this one; `None`: any number.
    #[must_use]
    pub fn path_room(&self) -> Option<i64> {
        self.path_room
    }

    /// Whether none of the issuer's refused keys is in the chain.
    ///
    /// # Errors
    /// Of class issuer, for the first certificate that has one.
    pub fn check_refused_keys(&self, settings: &Settings) -> Result<(), Error> {
        self.chain.iter().find_map(|link| Some((link, settings.refused(&link.public_key)?))).map_or(
            Ok(()),
            |(link, hash)| {
                let subject = &link.description.subject;
                let problem =
                    format!("the certificate {subject:?}: its public key is refused: {}", Weakness::Refused(hash));
                Err(Error::SecretInvalid { field: "tls.crt", problem })
            },
        )
    }

    /// Whether the name constraints of the chain allow a certificate of this subject (Name, DER) and these names.
    ///
    /// # Errors
    /// One for each name and constraint that it breaks (RFC 5280 clause 4.2.1.10).
    pub fn check_names(&self, subject: &[u8], alternative: &[GeneralName]) -> Result<(), Error> {
        check_names(&self.chain, subject, alternative).map_or(Ok(()), Err)
    }

    /// Whether the chain allows these extended key usages.
    ///
    /// # Errors
    /// One for each certificate of the chain that does not (RFC 5280 clause 4.2.1.12).
    pub fn check_usages(&self, extended: &[ObjectIdentifier]) -> Result<(), Error> {
        check_usages(&self.chain, extended).map_or(Ok(()), Err)
    }

    /// Whether all name constraints of the chain are such as webpki compares.
    pub(crate) fn has_plain_constraints(&self) -> bool {
        self.chain.iter().filter_map(|link| link.name_constraints.as_ref()).all(Constraints::are_plain)
    }

    /// The chain's constraints in words, for people: how many certificates constrain names, and how many usages.
    pub(crate) fn constraining(&self) -> (usize, usize) {
        let names = self.chain.iter().filter(|link| link.name_constraints.is_some()).count();
        (names, self.chain.iter().filter(|link| link.extended.is_some()).count())
    }

    /// Who holds the key.
    #[must_use]
    pub fn signer(&self) -> &dyn Signer {
        self.signer.as_ref()
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

fn check_size(field: &'static str, links: &[Link], limit: usize) -> Result<(), Error> {
    let size = certificates_to_pem(links.iter().map(|link| link.der.as_ref())).len();
    if size > limit {
        let count = links.len();
        let problem = format!("its {count} certificates have {size} bytes; cert-manager takes at most {limit}");
        return Err(Error::SecretInvalid { field, problem });
    }
    Ok(())
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
