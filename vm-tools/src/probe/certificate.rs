//! A certificate (DER) in words.

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::net::{Ipv4Addr, Ipv6Addr};
use tandem_cli::shown;
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, time::ASN1Time, x509::X509Name,
};

use crate::encoding;

/// What people and monitoring want to know of a certificate. Texts are short and without control characters, whatever
/// the certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    /// Subject (RFC 4514).
    pub subject: String,
    /// Issuer (RFC 4514).
    pub issuer: String,
    /// Serial number: hexadecimal bytes with colons.
    pub serial: String,
    /// SHA-256 of the DER: lower-case hexadecimal.
    pub fingerprint: String,
    /// Beginning of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// DNS names and IP addresses that it is for.
    pub names: Vec<String>,
    /// Key usages (RFC 5280 clause 4.2.1.3); `None`: it does not say, and so allows all.
    pub key_usage: Option<Vec<&'static str>>,
    /// Extended key usages (clause 4.2.1.12); `None`: it does not say, and so allows all.
    pub extended_key_usage: Option<Vec<String>>,
    /// Whether it may sign others.
    pub is_ca: bool,
    /// It names itself as its issuer.
    pub self_issued: bool,
}

/// Most names that are kept; certificates have room for thousands.
const MAX_NAMES: usize = 100;

impl Described {
    /// Reads a certificate.
    ///
    /// # Errors
    /// In words, where it is none.
    pub fn of(der: &[u8]) -> Result<Self, String> {
        let unread =
            |error: &dyn std::fmt::Display| format!("it is not an X.509 certificate: {}", shown(&error.to_string()));
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| unread(&error))?;
        let names = parsed.subject_alternative_name().map_err(|error| unread(&error))?;
        let usage = parsed.key_usage().map_err(|error| unread(&error))?;
        let extended = parsed.extended_key_usage().map_err(|error| unread(&error))?;
        Ok(Self {
            subject: text(parsed.subject()),
            issuer: text(parsed.issuer()),
            serial: shown(&parsed.raw_serial_as_string()),
            fingerprint: encoding::hex(&Sha256::digest(der)),
            not_before: time(parsed.validity().not_before),
            not_after: time(parsed.validity().not_after),
            names: names
                .map(|names| names.value.general_names.iter().filter_map(name).take(MAX_NAMES).collect())
                .unwrap_or_default(),
            key_usage: usage.map(|usage| {
                let usage = usage.value;
                let all = [
                    (usage.digital_signature(), "digital signature"),
                    (usage.non_repudiation(), "content commitment"),
                    (usage.key_encipherment(), "key encipherment"),
                    (usage.data_encipherment(), "data encipherment"),
                    (usage.key_agreement(), "key agreement"),
                    (usage.key_cert_sign(), "cert sign"),
                    (usage.crl_sign(), "crl sign"),
                ];
                all.into_iter().filter_map(|(set, name)| set.then_some(name)).collect()
            }),
            extended_key_usage: extended.map(|usage| {
                let usage = usage.value;
                let known = [
                    (usage.any, "any"),
                    (usage.server_auth, "server auth"),
                    (usage.client_auth, "client auth"),
                    (usage.code_signing, "code signing"),
                    (usage.email_protection, "email protection"),
                    (usage.time_stamping, "timestamping"),
                    (usage.ocsp_signing, "ocsp signing"),
                ];
                let known = known.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
                known.chain(usage.other.iter().map(|oid| shown(&oid.to_id_string()))).collect()
            }),
            is_ca: parsed.is_ca(),
            self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
        })
    }

    /// By what it is told apart from those before and after it.
    #[must_use]
    pub fn told_apart(&self) -> String {
        format!("serial {}, from {}", self.serial, self.not_before)
    }

    /// Whether both are for the same name; where neither has one, for the same subject.
    #[must_use]
    pub fn shares_a_name(&self, other: &Self) -> bool {
        match (&self.names[..], &other.names[..]) {
            ([], []) => self.subject == other.subject,
            (own, others) => own.iter().any(|name| others.iter().any(|other| name.eq_ignore_ascii_case(other))),
        }
    }

    /// The names in a line: the first ten, and how many more there are.
    #[must_use]
    pub fn names_shown(&self) -> String {
        let first = self.names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
        match self.names.len() {
            0 => "no name at all".to_owned(),
            count @ 11.. => format!("{first} and {} more", count - 10),
            _ => first,
        }
    }
}

fn text(name: &X509Name<'_>) -> String {
    let text = shown(&name.to_string());
    if text.is_empty() { "(empty)".to_owned() } else { text }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(shown(name)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
        }
        _ => None,
    }
}

/// The last day that a certificate can name is beyond the last one here: it is as good as that.
fn time(time: ASN1Time) -> Timestamp {
    let second = time.timestamp().clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// The end of `left` seconds in days, hours or minutes, whichever says enough.
#[must_use]
pub fn span(seconds: i64) -> String {
    let seconds = seconds.abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) if minutes == 0 => format!("{seconds}s"),
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}
