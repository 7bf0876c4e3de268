//! Email addresses as certificates hold them: local part, `@`, DNS name (RFC 5280 clause 4.2.1.6, RFC 5321 clause 4.1.2).

use email_address::{EmailAddress, Options};

use super::dns;

/// The two parts of an email address, by which it is compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mailbox {
    /// As it stands: its case counts, and quotes are a part of it.
    pub(crate) local: String,
    /// A DNS name in ASCII and in lower case, without wildcards.
    pub(crate) domain: String,
}

/// Reads an email address, without a display name. Its domain may be given in U-labels.
pub(crate) fn read(address: &str) -> Result<Mailbox, &'static str> {
    let options = Options::default().without_display_text().without_domain_literal();
    let parsed = EmailAddress::parse_with_options(address, options)
        .map_err(|_| "it is no email address of the form local-part@domain")?;
    let domain = dns::read_host(&dns::to_ascii(parsed.domain())?)?;
    Ok(Mailbox { local: parsed.local_part().to_owned(), domain })
}
