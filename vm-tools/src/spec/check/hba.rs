//! A line of `pg_hba.conf`, read as PostgreSQL reads it at its start, which one bad line prevents:
//! <https://www.postgresql.org/docs/current/auth-pg-hba-conf.html>, and where that leaves a question `src/backend/libpq/hba.c`.
//!
//! More is refused than there: what PostgreSQL takes, and no client can ever match or nobody means. What only the guest knows,
//! such as a file behind `@`, a regular expression or the address of a RADIUS server, is left to it.

use std::net::IpAddr;
use std::vec::IntoIter;

use tandem_cli::shown;

use super::super::{Database, Document};

/// What a line says.
pub(crate) struct Rule {
    /// Whether it is for those who come over the network, or by the guest's socket.
    pub(crate) remote: bool,
    pub(crate) method: String,
    clientcert: Option<String>,
}

/// The methods of Debian's and the RHEL family's builds; `sspi` is for Windows and `bsd` for OpenBSD.
const METHODS: [&str; 12] =
    ["scram-sha-256", "cert", "peer", "reject", "trust", "md5", "password", "ident", "gss", "ldap", "pam", "radius"];

/// The options, each with the methods that it is for; none where it is for all that come over the network.
const OPTIONS: [(&str, &[&str]); 27] = [
    ("clientcert", &[]),
    ("clientname", &[]),
    ("map", &["ident", "peer", "gss", "cert", "oauth"]),
    ("pamservice", &["pam"]),
    ("pam_use_hostname", &["pam"]),
    ("krb_realm", &["gss"]),
    ("include_realm", &["gss"]),
    ("ldapserver", &["ldap"]),
    ("ldapport", &["ldap"]),
    ("ldapscheme", &["ldap"]),
    ("ldaptls", &["ldap"]),
    ("ldapurl", &["ldap"]),
    ("ldapprefix", &["ldap"]),
    ("ldapsuffix", &["ldap"]),
    ("ldapbasedn", &["ldap"]),
    ("ldapbinddn", &["ldap"]),
    ("ldapbindpasswd", &["ldap"]),
    ("ldapsearchattribute", &["ldap"]),
    ("ldapsearchfilter", &["ldap"]),
    ("radiusservers", &["radius"]),
    ("radiussecrets", &["radius"]),
    ("radiusports", &["radius"]),
    ("radiusidentifiers", &["radius"]),
    ("issuer", &["oauth"]),
    ("scope", &["oauth"]),
    ("validator", &["oauth"]),
    ("delegate_ident_mapping", &["oauth"]),
];

/// Reads a line for a major version, if that is known.
///
/// # Errors
/// What is wrong with it and what to write, as the end of a sentence that begins with the field's path.
pub(crate) fn rule(text: &str, version: Option<u8>) -> Result<Rule, String> {
    if text.contains(['\n', '\r']) {
        return Err("has more than one line; write each line as an entry of its own".to_owned());
    }
    if let Some(character) = text.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(format!("has the character {character:?}; write plain text"));
    }
    if text.ends_with('\\') {
        return Err("ends with a backslash, and so would go on with the next line; leave it out".to_owned());
    }
    const LONGEST: usize = 4096;
    if text.len() > LONGEST {
        return Err(format!("has {} bytes, which is more than PostgreSQL reads; write at most {LONGEST}", text.len()));
    }
    // A password in it is for no message, however its option is written; so nothing of a line is shown that might have one.
    let plain = text.replace('"', "").to_lowercase();
    let words = ["pass", "pw", "secret", "key", "ldap", "radius"];
    let secret = !text.is_ascii() || words.iter().any(|word| plain.contains(word));
    let told = |why: String| if secret { why } else { format!("in `{}` {why}", shown(text)) };
    let mut fields = fields(text).map_err(told)?.into_iter();
    let remote = match fields.next().as_deref() {
        Some([word]) if word.text == "local" => false,
        Some([word]) if word.text == "hostssl" => true,
        None => return Err("is no rule; write one, or leave it out".to_owned()),
        Some(kind) => {
            let kind = kind.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(",");
            let kind = if secret { String::new() } else { format!(" with `{}`", shown(&kind)) };
            return Err(format!("begins{kind}; begin with local or hostssl, since nobody connects without TLS"));
        }
    };
    let form = if remote { "hostssl DATABASE USER ADDRESS METHOD" } else { "local DATABASE USER METHOD" };
    Line { fields, form, secret }.rule(remote, version).map_err(told)
}

/// What is said of lines that let in more than one may think.
pub(crate) fn notes(document: &Document) -> Vec<String> {
    let Database::PostgreSql(postgresql) = &document.spec.database else { return Vec::new() };
    let trusts = |line: &str| {
        let rule = rule(line, None);
        rule.is_ok_and(|rule| {
            rule.remote && rule.method == "trust" && rule.clientcert.as_deref() != Some("verify-full")
        })
    };
    let trusting = postgresql.hba.iter().enumerate().filter(|(_, line)| trusts(line));
    let note = |(i, _): (usize, &String)| {
        format!(
            "spec.database.postgresql.hba[{i}]: `trust` asks for no password, and whoever reaches the port is the user that he names; \
             write scram-sha-256, or add clientcert=verify-full"
        )
    };
    trusting.map(note).collect()
}

/// What commas join.
type Field = Vec<Word>;

struct Word {
    text: String,
    /// Then a keyword is none.
    quoted: bool,
}

/// The fields of a line. Commas before a word mean nothing; one behind it goes on with its field.
fn fields(line: &str) -> Result<Vec<Field>, String> {
    let mut fields: Vec<Field> = Vec::new();
    let mut chars = line.chars().peekable();
    let mut goes_on = false;
    loop {
        while chars.next_if(|c| [' ', '\t', ','].contains(c)).is_some() {}
        let mut word = Word { text: String::new(), quoted: false };
        let (mut inside, mut any) = (false, false);
        while let Some(c) = chars.next_if(|c| inside || ![' ', '\t', ',', '#'].contains(c)) {
            any = true;
            if c != '"' {
                word.text.push(c);
            } else if inside && chars.next_if_eq(&'"').is_some() {
                word.text.push('"');
            } else {
                inside = !inside;
                word.quoted |= word.text.is_empty();
            }
        }
        if inside {
            return Err("a quote is not closed; close it, or write \"\" for one that is part of a name".to_owned());
        }
        if !any {
            return Ok(fields);
        }
        match fields.last_mut().filter(|_| goes_on) {
            Some(field) => field.push(word),
            None => fields.push(vec![word]),
        }
        goes_on = chars.peek() == Some(&',');
    }
}

/// What is left of a line behind its first field.
struct Line {
    fields: IntoIter<Field>,
    /// How such a line is written.
    form: &'static str,
    /// Whether no message may show what stands in it.
    secret: bool,
}

impl Line {
    fn rule(mut self, remote: bool, version: Option<u8>) -> Result<Rule, String> {
        self.next("database")?;
        self.next("user")?;
        if remote {
            self.address()?;
        }
        let method = self.method(remote, version)?;
        let words: Vec<Word> = self.fields.by_ref().flatten().collect();
        let option = |word: &Word| self.option(&word.text, &method, remote, version);
        let options = Options(words.iter().map(option).collect::<Result<_, _>>()?);
        options.together(&method)?;
        let clientcert = options.last("clientcert").map(str::to_owned);
        Ok(Rule { remote, method, clientcert })
    }

    fn next(&mut self, what: &str) -> Result<Field, String> {
        self.fields.next().ok_or_else(|| format!("the {what} is missing; write {}", self.form))
    }

    fn one(&mut self, what: &str) -> Result<Word, String> {
        let mut field = self.next(what)?;
        field
            .pop()
            .filter(|_| field.is_empty())
            .ok_or_else(|| format!("there is more than one {what}; write one, and further lines for the others"))
    }

    fn shown(&self, text: &str) -> String {
        if self.secret { "a word".to_owned() } else { format!("`{}`", shown(text)) }
    }

    fn address(&mut self) -> Result<(), String> {
        let Word { text, quoted } = self.one("address")?;
        if !quoted && ["all", "samehost", "samenet"].contains(&text.as_str()) {
            return Ok(());
        }
        let longest = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        if let Some((address, length)) = text.split_once('/') {
            let network = address.parse().ok().zip(length.parse::<u8>().ok());
            return match network {
                Some((address, length)) if length <= longest(address) => Ok(()),
                Some((address, _)) => {
                    Err(format!("{} has no length from 0 to {} behind its slash", self.shown(&text), longest(address)))
                }
                None => Err(self.no_address(&text)),
            };
        }
        let Ok(address) = text.parse::<IpAddr>() else {
            return if host(&text) { Ok(()) } else { Err(self.no_address(&text)) };
        };
        let next = self.fields.next();
        let mask = next.as_deref().and_then(|field| match field {
            [mask] => mask.text.parse::<IpAddr>().ok(),
            _ => None,
        });
        if mask.is_none_or(|mask| mask.is_ipv4() != address.is_ipv4()) {
            return Err(format!("{} has no mask; write {address}/{}", self.shown(&text), longest(address)));
        }
        Ok(())
    }

    fn no_address(&self, text: &str) -> String {
        format!(
            "{} is no address; write a network such as 192.0.2.0/24, a host's name, .example.com for the names of a domain, all, \
             samehost or samenet",
            self.shown(text)
        )
    }

    fn method(&mut self, remote: bool, version: Option<u8>) -> Result<String, String> {
        let method = self.one("method")?.text;
        let oauth = method == "oauth" && version.is_none_or(|version| version >= 18);
        if !oauth && !METHODS.contains(&method.as_str()) {
            let hint = if remote { "" } else { ", and a local line has no address" };
            return Err(format!("{} is no method{hint}; write one of {}", self.shown(&method), METHODS.join(", ")));
        }
        match (remote, method.as_str()) {
            (true, "peer") => Err("peer is for local lines; write scram-sha-256 or cert".to_owned()),
            (false, "cert" | "gss") => Err(format!("{method} is for hostssl lines; write peer or scram-sha-256")),
            _ => Ok(method),
        }
    }

    /// A word behind the method.
    fn option(&self, text: &str, method: &str, remote: bool, version: Option<u8>) -> Result<(String, String), String> {
        let Some((name, value)) = text.split_once('=') else {
            return Err(format!(
                "{} is no option; write NAME=VALUE, in quotes where a blank or comma is in it",
                self.shown(text)
            ));
        };
        let takes = |(name, methods): &&(&str, &[&str])| {
            let known = *name != "clientname" || version.is_none_or(|version| version >= 14);
            known && if methods.is_empty() { remote } else { methods.contains(&method) }
        };
        let taken: Vec<&str> = OPTIONS.iter().filter(takes).map(|(name, _)| *name).collect();
        if !taken.contains(&name) {
            let taken = if taken.is_empty() { "none".to_owned() } else { taken.join(", ") };
            return Err(format!("{} is no option of {method} here, which takes {taken}", self.shown(name)));
        }
        let port = |text: &str| text.trim().parse::<u16>().is_ok_and(|port| port > 0);
        let (good, values) = match name {
            "clientcert" if method == "cert" => (value == "verify-full", "verify-full, or leave it out"),
            "clientcert" => (["verify-ca", "verify-full"].contains(&value), "verify-ca or verify-full"),
            "clientname" => (["CN", "DN"].contains(&value), "CN or DN"),
            "ldapscheme" => (["ldap", "ldaps"].contains(&value), "ldap or ldaps"),
            "ldapurl" => (LdapUrl::read(value).is_some(), "ldaps://HOST/BASEDN, and behind it ?ATTRIBUTE?SCOPE?FILTER"),
            "ldapport" => (port(value), "a port"),
            "radiusports" => (value.split(',').all(port), "a port, or as many as there are servers"),
            // Whatever is not 1 is 0 there.
            "ldaptls" | "include_realm" | "pam_use_hostname" | "delegate_ident_mapping" => {
                (["0", "1"].contains(&value), "0 or 1")
            }
            _ => (true, ""),
        };
        if good {
            return Ok((name.to_owned(), value.to_owned()));
        }
        if self.secret {
            return Err(format!("{name} does not take what is there; write {values}"));
        }
        Err(format!("{name} is {}; write {values}", self.shown(value)))
    }
}

/// Whether a text can be the name of a host, or, with a dot before it, of a domain. PostgreSQL takes any text for one, and
/// compares it with the name that DNS has for the client's address.
fn host(text: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let name = text.strip_prefix('.').unwrap_or(text);
    // Such as 10.0.0.300 is not; and the C library takes 10.1 and 0xa for addresses.
    let number = |label: &str| label.bytes().all(|b| b.is_ascii_digit()) || label.to_lowercase().starts_with("0x");
    name.len() <= 253 && name.split('.').all(label) && !name.rsplit('.').next().is_some_and(number)
}

/// What PostgreSQL takes from an LDAP URL (RFC 4516): `SCHEME://HOST:PORT/BASEDN?ATTRIBUTE?SCOPE?FILTER`.
#[derive(Default)]
struct LdapUrl<'a> {
    base: &'a str,
    attribute: &'a str,
    filter: &'a str,
}

impl<'a> LdapUrl<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("ldap://").or_else(|| text.strip_prefix("ldaps://"))?;
        let (server, rest) = rest.split_once('/').unwrap_or((rest, ""));
        // An IPv6 address stands in brackets.
        let (name, port) = match server.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
            _ => (server, None),
        };
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let mut parts = rest.split('?');
        let (base, attribute) = (parts.next()?, parts.next().unwrap_or_default());
        let (scope, filter) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let good = (name.is_empty() || host(name) || address.parse::<IpAddr>().is_ok())
            && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
            && ["", "base", "one", "sub"].contains(&scope)
            && parts.next().is_none();
        good.then_some(Self { base, attribute, filter })
    }
}

struct Options(Vec<(String, String)>);

impl Options {
    /// The value that counts.
    fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(option, _)| option == name).map(|(_, value)| value.as_str())
    }

    /// Whether what the method needs is there, and nothing that contradicts.
    fn together(&self, method: &str) -> Result<(), String> {
        let has = |names: &[&str]| names.iter().any(|name| self.last(name).is_some());
        let url = self.last("ldapurl").and_then(LdapUrl::read).unwrap_or_default();
        let needs = |name: &str| match self.last(name) {
            Some(value) if !value.is_empty() => Ok(value.split(',').count()),
            _ => Err(format!("{method} has no {name}; add {name}=")),
        };
        match method {
            "ldap" if has(&["ldapprefix", "ldapsuffix"]) => {
                let search = [
                    "ldapbasedn",
                    "ldapurl",
                    "ldapbinddn",
                    "ldapbindpasswd",
                    "ldapsearchattribute",
                    "ldapsearchfilter",
                ];
                match search.into_iter().find(|name| has(&[name])) {
                    Some(name) => Err(format!(
                        "{name} is there beside ldapprefix or ldapsuffix, which need no search; leave one out"
                    )),
                    None => Ok(()),
                }
            }
            "ldap" if !has(&["ldapbasedn"]) && url.base.is_empty() => {
                Err("ldap has nothing to look for users in; add ldapurl=, ldapbasedn=, ldapprefix= or ldapsuffix="
                    .to_owned())
            }
            "ldap"
                if (has(&["ldapsearchattribute"]) || !url.attribute.is_empty())
                    && (has(&["ldapsearchfilter"]) || !url.filter.is_empty()) =>
            {
                Err("an attribute to search for and a filter are both there; leave one out".to_owned())
            }
            "radius" => {
                let servers = needs("radiusservers")?;
                needs("radiussecrets")?;
                for name in ["radiussecrets", "radiusports", "radiusidentifiers"] {
                    let count = self.last(name).map_or(1, |value| value.split(',').count());
                    if count != 1 && count != servers {
                        return Err(format!(
                            "{name} has {count} values for {servers} servers; write one, or one for each"
                        ));
                    }
                }
                Ok(())
            }
            "oauth" => needs("issuer").and_then(|_| needs("scope")).map(|_| ()),
            _ => Ok(()),
        }
    }
}
