//! What can go wrong, and what that means for the request or the issuer at hand.

use jiff::Timestamp;

use crate::{decide::Api, policy::Refusal, weak_keys::Weakness};

/// What an [`Error`] means to whoever waits for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The request will never be signed as it stands: it ends as Failed.
    Permanent,
    /// It may work at the next try: the request stays Pending.
    Retryable,
    /// The issuer cannot sign for anybody: it turns not Ready, and its requests wait.
    Issuer,
}

/// Every reason why no certificate comes out. `Display` is written for people and never holds key material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // --- the request ---------------------------------------------------------------------------------------------
    /// Somebody said no.
    #[error("The CertificateRequest was denied by an approval controller")]
    Denied,
    /// More bytes than a request may have.
    #[error("the request has more than the {limit} bytes that are accepted")]
    RequestTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// Not one PEM block with a request's label.
    #[error("the request is not one PEM block labelled CERTIFICATE REQUEST: {0}")]
    RequestNotPem(String),
    /// The block is not a PKCS#10 request in DER (RFC 2986).
    #[error("the request is not a PKCS#10 certification request in DER: {0}")]
    RequestMalformed(String),
    /// Signed with an algorithm that is not accepted (RFC 2986 clause 4.2).
    #[error(
        "the request is signed with {0}, which is not accepted; use RSA (2048 to 8192 bits), ECDSA P-256, P-384 or P-521, or Ed25519, with SHA-256 or stronger"
    )]
    RequestAlgorithm(String),
    /// The signature is not by the request's own key: no proof of possession.
    #[error("the request's signature does not match its public key")]
    RequestSignature,
    /// A key that protects nothing, or is known to others.
    #[error("the request's public key is refused: {0}; make a new key")]
    WeakKey(Weakness),
    /// Neither subject nor subject alternative name (RFC 5280 clause 4.1.2.6).
    #[error("the request names nobody: both the subject and the subject alternative names are empty")]
    NoNames,
    /// Names that no certificate carries, each with what is wrong with it.
    #[error("names that no certificate may carry: {}", crate::names::list(.0.iter().cloned()))]
    BadNames(Vec<String>),
    /// The issuer's policy does not allow it.
    #[error("{0}")]
    Policy(Refusal),
    /// The extension says another thing than the request's spec.
    #[error("the request encodes {field} {encoded}, but its spec asks for {expected}")]
    Mismatch {
        /// What differs: `key usage`, `extended key usage` or `isCA`.
        field: &'static str,
        /// As encoded in the PKCS#10 request.
        encoded: String,
        /// As asked for in the spec.
        expected: String,
    },
    /// A usage that cert-manager's API does not have.
    #[error("spec.usages: {0:?} is not a key usage")]
    UnknownUsage(String),
    /// The issuer is in a namespace in which the requester may not refer to it.
    #[error(
        "the requester may not refer to this issuer: that takes the verb \"reference\" on \"signers\" of cert-manager.io in the issuer's namespace"
    )]
    MayNotRefer,
    /// The text in which a duration was due.
    #[error("{}: {text:?} is not a duration such as 2160h or 1h30m", duration_field(*api))]
    DurationUnreadable {
        /// Where it was given.
        api: Api,
        /// The beginning of what stands there.
        text: String,
    },
    /// No time, or more than a certificate can express.
    #[error("{}: {seconds} seconds is not a duration that a certificate can have", duration_field(*api))]
    Duration {
        /// Where it was given.
        api: Api,
        /// Seconds asked for.
        seconds: i64,
    },
    /// Less than Kubernetes' API has (`spec.expirationSeconds`).
    #[error("the duration is {seconds} s; the shortest that a CertificateSigningRequest has is 600 s")]
    DurationTooShort {
        /// Seconds asked for.
        seconds: i64,
    },
    /// The certificate would be valid for longer than its CA.
    #[error(
        "the certificate would end at {not_after}, after its CA at {ca_not_after}; ask for a shorter duration, renew the CA, or set the issuer's spec.leafBeyondCA"
    )]
    BeyondCa {
        /// End of the certificate that was asked for.
        not_after: Timestamp,
        /// Earliest end in the CA's chain.
        ca_not_after: Timestamp,
    },
    /// The CA's path length allows no further CA beneath it (RFC 5280 clause 4.2.1.9).
    #[error("a CA certificate was asked for, but the path length of the issuing CA's chain allows none beneath it")]
    PathLength,
    /// The request encodes a path length that the chain does not leave (RFC 5280 clause 4.2.1.9).
    #[error(
        "the request encodes path length {wanted}, but the issuing CA's chain leaves {left}; ask for less, or for none"
    )]
    PathLengthBeyond {
        /// As encoded.
        wanted: u8,
        /// The greatest that has a meaning.
        left: i64,
    },
    /// A name that a CA of the chain does not leave to those beneath it (RFC 5280 clause 4.2.1.10).
    #[error("the {name} breaks the name constraints of the CA {ca:?}: {problem}")]
    NameConstraint {
        /// Form and value of the name.
        name: String,
        /// What they say about it.
        problem: String,
        /// Subject of the constraining CA (RFC 4514).
        ca: String,
    },
    /// Name constraints apply, but not all names can be read.
    #[error("{0} cannot be read, and so not be compared with the name constraints of the CA's chain")]
    NameUnreadable(&'static str),
    /// An extended key usage that a CA of the chain does not allow beneath it (RFC 5280 clause 4.2.1.12).
    #[error("the CA {ca:?} restricts extended key usages to {allowed}: no verifier would take {wanted} beneath it")]
    ExtendedUsage {
        /// Those that it does not allow.
        wanted: String,
        /// Those that it allows.
        allowed: String,
        /// Subject of the restricting CA (RFC 4514).
        ca: String,
    },
    /// Too long to be kept by cert-manager.
    #[error("the chain has {size} bytes; cert-manager takes at most {limit}")]
    ChainTooLarge {
        /// Bytes of PEM.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Our own check rejected what we had built: a fault of ours or of the CA, never published.
    #[error("the certificate did not pass verification and was not published: {0}")]
    Unverified(String),

    /// More than one rule is broken: every one of them, in the rules' order.
    #[error("{}", crate::names::joined(.0, "; "))]
    Several(Vec<Error>),

    // --- the signer ----------------------------------------------------------------------------------------------
    /// The key refused to sign, or could not be reached.
    #[error("the CA's key did not sign: {0}")]
    Signer(String),

    // --- the issuer ----------------------------------------------------------------------------------------------
    /// The Secret lacks a key, or it is empty.
    #[error("{0} is missing or empty")]
    SecretKeyMissing(&'static str),
    /// A key of the Secret does not hold what it should.
    #[error("{field}: {problem}")]
    SecretInvalid {
        /// The Secret's key: `tls.crt`, `tls.key` or `ca.crt`.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The private key is not the certificate's.
    #[error("tls.key is not the private key of the first certificate in tls.crt")]
    KeyMismatch,
    /// The certificate must not sign others (RFC 5280 clauses 4.2.1.3 and 4.2.1.9).
    #[error("the first certificate in tls.crt is no CA: {0}")]
    NotACa(&'static str),
    /// A certificate of the CA's chain is no longer valid.
    #[error("the CA certificate {subject:?} expired at {not_after}")]
    CaExpired {
        /// Its subject (RFC 4514).
        subject: String,
        /// Its end.
        not_after: Timestamp,
    },
    /// A certificate of the CA's chain is not valid yet.
    #[error("the CA certificate {subject:?} is not valid before {not_before}")]
    CaNotYetValid {
        /// Its subject (RFC 4514).
        subject: String,
        /// Its beginning.
        not_before: Timestamp,
    },
}

fn duration_field(api: Api) -> &'static str {
    match api {
        Api::CertManager => "spec.duration",
        Api::Kubernetes => "spec.expirationSeconds or the annotation experimental.cert-manager.io/request-duration",
    }
}

impl Error {
    /// One error for all that were found; `None` where none was.
    pub(crate) fn all(errors: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut errors: Vec<_> = errors.into_iter().collect();
        match errors.len() {
            0 | 1 => errors.pop(),
            _ => Some(Self::Several(errors)),
        }
    }

    /// The first of [`Error::Several`], else this one.
    #[must_use]
    pub fn first(&self) -> &Self {
        match self {
            Self::Several(errors) => errors.first().unwrap_or(self),
            _ => self,
        }
    }

    /// What this error means outwardly. No wildcard arm: a new variant has to say it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Denied
            | Self::RequestTooLarge { .. }
            | Self::RequestNotPem(_)
            | Self::RequestMalformed(_)
            | Self::RequestAlgorithm(_)
            | Self::RequestSignature
            | Self::WeakKey(_)
            | Self::NoNames
            | Self::BadNames(_)
            | Self::Policy(_)
            | Self::Mismatch { .. }
            | Self::UnknownUsage(_)
            | Self::MayNotRefer
            | Self::DurationUnreadable { .. }
            | Self::Duration { .. }
            | Self::DurationTooShort { .. }
            | Self::BeyondCa { .. }
            | Self::PathLength
            | Self::PathLengthBeyond { .. }
            | Self::NameConstraint { .. }
            | Self::NameUnreadable(_)
            | Self::ExtendedUsage { .. }
            | Self::ChainTooLarge { .. }
            | Self::Unverified(_)
            // Rules are of requests: what breaks one never heals.
            | Self::Several(_) => Class::Permanent,
            Self::Signer(_) => Class::Retryable,
            Self::SecretKeyMissing(_)
            | Self::SecretInvalid { .. }
            | Self::KeyMismatch
            | Self::NotACa(_)
            | Self::CaExpired { .. }
            | Self::CaNotYetValid { .. } => Class::Issuer,
        }
    }

    /// A word for it, by which errors are counted. It stays as it is.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Denied => "Denied",
            Self::RequestTooLarge { .. } => "RequestTooLarge",
            Self::RequestNotPem(_) => "RequestNotPem",
            Self::RequestMalformed(_) => "RequestMalformed",
            Self::RequestAlgorithm(_) => "RequestAlgorithm",
            Self::RequestSignature => "RequestSignature",
            Self::WeakKey(_) => "WeakKey",
            Self::NoNames => "NoNames",
            Self::BadNames(_) => "BadNames",
            Self::Policy(_) => "Policy",
            Self::Mismatch { .. } => "Mismatch",
            Self::UnknownUsage(_) => "UnknownUsage",
            Self::MayNotRefer => "MayNotRefer",
            Self::DurationUnreadable { .. } => "DurationUnreadable",
            Self::Duration { .. } => "Duration",
            Self::DurationTooShort { .. } => "DurationTooShort",
            Self::BeyondCa { .. } => "BeyondCa",
            Self::PathLength => "PathLength",
            Self::PathLengthBeyond { .. } => "PathLengthBeyond",
            Self::NameConstraint { .. } => "NameConstraint",
            Self::NameUnreadable(_) => "NameUnreadable",
            Self::ExtendedUsage { .. } => "ExtendedUsage",
            Self::ChainTooLarge { .. } => "ChainTooLarge",
            Self::Unverified(_) => "Unverified",
            Self::Several(_) => "Several",
            Self::Signer(_) => "Signer",
            Self::SecretKeyMissing(_) => "SecretKeyMissing",
            Self::SecretInvalid { .. } => "SecretInvalid",
            Self::KeyMismatch => "KeyMismatch",
            Self::NotACa(_) => "NotACa",
            Self::CaExpired { .. } => "CaExpired",
            Self::CaNotYetValid { .. } => "CaNotYetValid",
        }
    }
}
