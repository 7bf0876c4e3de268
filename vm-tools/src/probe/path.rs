//! From the served certificate to an authority of the Secret's `ca.crt`, by webpki; and why not.

use std::time::Duration;

use jiff::Timestamp;
use pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use tandem_cli::shown;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

use super::certificate::Described;

/// Verifies a chain as served (the server's certificate first) up to one of `authorities`; returns that one.
///
/// The leaf's own dates are left to another check: within the chain it is judged at the moment of its validity that is
/// nearest to `now`.
///
/// # Errors
/// Why it is not trusted, in words.
pub(crate) fn check_path(
    chain: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'static>],
    now: Timestamp,
) -> Result<Described, String> {
    let (leaf, above) = chain.split_first().ok_or("no certificate was served")?;
    let described = Described::of(leaf)?;
    let end_entity = EndEntityCert::try_from(leaf).map_err(|error| why(&error, &described, authorities))?;
    let anchors: Vec<(TrustAnchor<'_>, &CertificateDer<'_>)> =
        authorities.iter().filter_map(|der| Some((anchor_from_trusted_cert(der).ok()?, der))).collect();
    let bare: Vec<_> = anchors.iter().map(|(anchor, _)| anchor.clone()).collect();
    let time = unix(now.clamp(described.not_before, described.not_after.max(described.not_before)));
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let path = end_entity
        .verify_for_usage(algorithms, &bare, above, time, KeyUsage::server_auth(), None, None)
        .map_err(|error| why(&error, &described, authorities))?;
    let used = anchors.iter().find(|(anchor, _)| {
        anchor.subject == path.anchor().subject
            && anchor.subject_public_key_info == path.anchor().subject_public_key_info
    });
    let (_, authority) = used.ok_or("the authority at its end is not known")?;
    Described::of(authority)
}

fn unix(time: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.as_second()).unwrap_or_default()))
}

fn why(error: &Error, leaf: &Described, authorities: &[CertificateDer<'static>]) -> String {
    // What is beyond the last day that can be named is as good as that.
    let at = |time: &UnixTime| {
        i64::try_from(time.as_secs())
            .ok()
            .and_then(|second| Timestamp::from_second(second).ok())
            .unwrap_or(Timestamp::MAX)
    };
    match error {
        Error::UnknownIssuer => {
            let known: Vec<_> =
                authorities.iter().map(|der| Described::of(der).map_or_else(|e| e, |ca| ca.subject)).collect();
            format!(
                "unknown issuer: it was issued by {}, and from there nothing leads to ca.crt, which holds {}",
                leaf.issuer,
                known.join("; ")
            )
        }
        Error::InvalidSignatureForPublicKey => format!(
            "unknown issuer: ca.crt holds {}, but with another key than the one that signed: the authority was made anew",
            leaf.issuer
        ),
        Error::CertExpired { not_after, .. } => {
            format!("a certificate between it and ca.crt ended at {}", at(not_after))
        }
        Error::CertNotValidYet { not_before, .. } => {
            format!("a certificate between it and ca.crt begins only at {}", at(not_before))
        }
        Error::RequiredEkuNotFoundContext(_) => {
            "the extended key usages of it, or of an authority above it, leave out server auth".to_owned()
        }
        Error::CaUsedAsEndEntity => "it is an authority's certificate (CA:TRUE), which may not serve".to_owned(),
        Error::EndEntityUsedAsCa => "a certificate above it is no authority's (CA:FALSE)".to_owned(),
        Error::NameConstraintViolation => "an authority above it may not sign its names (name constraints)".to_owned(),
        Error::UnsupportedCertVersion => "it is not an X.509 certificate of version 3".to_owned(),
        error => shown(&format!("{error:?}")),
    }
}

/// Whether a certificate is for a name.
///
/// # Errors
/// Which names it is for instead.
pub(crate) fn check_name(leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), String> {
    let described = Described::of(leaf)?;
    let end_entity =
        EndEntityCert::try_from(leaf).map_err(|error| format!("the certificate cannot be read: {error:?}"))?;
    end_entity
        .verify_is_valid_for_subject_name(name)
        .map_err(|_| format!("it is not for {}, but for {}", shown(&name.to_str()), described.names_shown()))
}
