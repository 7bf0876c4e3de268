//! What a policy allows of each kind of name: patterns that are read once, and matched against names as they are compared
//! by verifiers, never as mere strings.

use std::{borrow::Cow, fmt, net::IpAddr};

use ipnet::IpNet;

use super::{
    template::{Template, glob},
    uri::Parts,
};
use crate::names::{
    dns,
    mailbox::{self, Mailbox},
};

/// A pattern that is read once, from an issuer's spec.
pub trait Pattern: Sized + fmt::Display {
    /// # Errors
    /// Why it is none, for people; without the field's name.
    fn parse(text: &str) -> Result<Self, String>;
}

macro_rules! pattern {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(Template);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0.as_str())
            }
        }
    };
}

pattern! {
    /// Any text: `*` stands for any characters, also none. Its case counts.
    Text
}

impl Pattern for Text {
    fn parse(text: &str) -> Result<Self, String> {
        Template::parse(text).map(Self)
    }
}

impl Text {
    pub(crate) fn allows(&self, text: &str, namespace: Option<&str>) -> bool {
        self.0.expand(namespace).is_some_and(|pattern| glob(&pattern, text))
    }
}

pattern! {
    /// DNS names: `*` stands for one whole label, or for any characters within one; `**` as the first label for one or more
    /// labels. In U-labels or A-labels; compared on A-labels and in lower case.
    ///
    /// A wildcard in a request is allowed where every name that it covers is.
    Dns
}

impl Pattern for Dns {
    fn parse(text: &str) -> Result<Self, String> {
        let template = Template::parse(text)?;
        let mut labels = Vec::new();
        for (index, label) in template.example().split('.').enumerate() {
            let any = label == "*" || (label == "**" && index == 0);
            if label.contains("**") && !any {
                return Err("** may only be the whole of the first label".to_owned());
            }
            if label.contains('*') && !label.is_ascii() {
                return Err("a label with * in it has to be in ASCII".to_owned());
            }
            labels.push(if any { "a".to_owned() } else { dns::to_ascii(label)?.replace('*', "a") });
        }
        // Wherever `*` stands, a letter may.
        dns::read_host(&labels.join("."))?;
        Ok(Self(template))
    }
}

impl Dns {
    /// The pattern for a requester in `namespace`, on A-labels, as [`covers`] takes it; `None` where it allows nothing.
    pub(crate) fn expand(&self, namespace: Option<&str>) -> Option<String> {
        let pattern = self.0.expand(namespace)?;
        // Label by label: a rule about whole names (RFC 5893) does not know of wildcards.
        let labels = pattern.split('.').map(|label| dns::to_ascii(label).ok()).collect::<Option<Vec<_>>>()?;
        Some(labels.join("."))
    }
}

/// Whether `pattern` allows a DNS name, which is as [`dns::read`] gives it, label by label from the end.
pub(super) fn covers(pattern: &str, name: &str) -> bool {
    let (mut wanted, mut labels) = (pattern.rsplit('.'), name.rsplit('.'));
    loop {
        match (wanted.next(), labels.next()) {
            (None, None) => return true,
            (Some("**"), Some(_)) => return true,
            (Some(wanted), Some(label)) if allows_label(wanted, label) => {}
            _ => return false,
        }
    }
}

fn allows_label(pattern: &str, label: &str) -> bool {
    match (pattern, label) {
        // Also a wildcard, which stands for as much.
        ("*", _) => true,
        // A part of an A-label says nothing about the name that it stands for.
        _ if label.starts_with("xn--") => pattern == label,
        _ => glob(pattern, label),
    }
}

pattern! {
    /// Email addresses: `*` in the local part stands for any characters; the domain is compared on A-labels and in lower
    /// case. Quoted local parts are never allowed.
    Email
}

impl Pattern for Email {
    fn parse(text: &str) -> Result<Self, String> {
        let template = Template::parse(text)?;
        let example = mailbox::read(&template.example())?;
        if example.local.starts_with('"') {
            return Err("its local part is quoted".to_owned());
        }
        Ok(Self(template))
    }
}

impl Email {
    /// The pattern for a requester in `namespace`; `None` where it allows nothing.
    pub(crate) fn expand(&self, namespace: Option<&str>) -> Option<Mailbox> {
        mailbox::read(&self.0.expand(namespace)?).ok()
    }
}

/// Whether `pattern` allows an email address.
pub(super) fn is_at(pattern: &Mailbox, address: &Mailbox) -> bool {
    let plain = !address.local.starts_with('"');
    plain && glob(&pattern.local, &address.local) && pattern.domain == address.domain
}

pattern! {
    /// URIs, compared part by part: scheme, host and each segment of the path. `*` stands for characters within a segment
    /// or, where the scheme is not `spiffe`, for labels of the host as in [`Dns`]; `**` as the last segment for one or more
    /// segments. Those with a user, a port, a query, a fragment, percent-encoding, or with empty or dot segments are never
    /// allowed.
    Uri
}

impl Pattern for Uri {
    fn parse(text: &str) -> Result<Self, String> {
        let template = Template::parse(text)?;
        Parts::of_pattern(&template.example())?;
        Ok(Self(template))
    }
}

impl Uri {
    /// The pattern for a requester in `namespace`; `None` where it allows nothing.
    pub(crate) fn expand(&self, namespace: Option<&str>) -> Option<Cow<'_, str>> {
        self.0.expand(namespace)
    }
}

/// A range of IP addresses in CIDR notation. An IPv4 address that is mapped into IPv6 counts as the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange(IpNet);

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Pattern for IpRange {
    fn parse(text: &str) -> Result<Self, String> {
        let range: IpNet = text.parse().map_err(|_| "it is no range of addresses such as 10.0.0.0/8".to_owned())?;
        let whole = range.trunc();
        let mapped = matches!(whole, IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some());
        match () {
            () if whole != range => Err(format!("the address has bits beyond its prefix; {whole} would be the range")),
            () if mapped => Err("its addresses are IPv4 ones; write the range as one of IPv4".to_owned()),
            () => Ok(Self(range)),
        }
    }
}

impl IpRange {
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}
