//! What certificates are made of, as a table in each dimension, and the cases that are judged.

use std::net::IpAddr;

use anyhow::Result;
use der::{
    asn1::{Any, Ia5String, OctetString, Utf8StringRef},
    oid::ObjectIdentifier,
};
use jiff::SignedDuration;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519};
use x509_cert::ext::pkix::{
    NameConstraints,
    constraints::name::GeneralSubtree,
    name::{GeneralName, OtherName},
};

/// One certificate to be made and judged: a value of each dimension.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) number: usize,
    pub(crate) key: &'static Key,
    pub(crate) names: &'static Names,
    pub(crate) usages: &'static Usages,
    pub(crate) ca_key: &'static Key,
    pub(crate) chain: Chain,
    pub(crate) urls: bool,
    pub(crate) duration: SignedDuration,
}

/// A key: a new one where making it is cheap, else one that is kept.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    make: fn() -> Result<KeyPair, rcgen::Error>,
}

impl Key {
    pub(crate) fn make(&self) -> Result<KeyPair> {
        Ok((self.make)()?)
    }

    pub(crate) fn is_ecdsa(&self) -> bool {
        self.name.starts_with("P-")
    }
}

pub(crate) static KEYS: &[Key] = &[
    Key { name: "RSA 2048", make: || KeyPair::from_pem(include_str!("../../../data/keys/rsa-2048.key")) },
    Key { name: "P-256", make: || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256) },
    Key { name: "RSA 3072", make: || KeyPair::from_pem(include_str!("../../../data/keys/rsa-3072.key")) },
    Key { name: "P-384", make: || KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384) },
    Key { name: "RSA 4096", make: || KeyPair::from_pem(include_str!("../../../data/keys/rsa-4096.key")) },
    Key { name: "P-521", make: || KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512) },
    Key { name: "RSA 8192", make: || KeyPair::from_pem(include_str!("../../../data/keys/rsa-8192.key")) },
    Key { name: "Ed25519", make: || KeyPair::generate_for(&PKCS_ED25519) },
];

pub(crate) static CA_KEYS: &[Key] = &[
    Key { name: "RSA 2048", make: || KeyPair::from_pem(include_str!("../../../data/keys/rsa-2048-ca.key")) },
    Key { name: "RSA 8192", make: || KeyPair::from_pem(include_str!("../../../data/keys/rsa-8192-ca.key")) },
    Key { name: "P-256", make: || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256) },
    Key { name: "P-384", make: || KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384) },
    Key { name: "P-521", make: || KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512) },
    Key { name: "Ed25519", make: || KeyPair::generate_for(&PKCS_ED25519) },
];

/// What stands above the leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Chain {
    /// The CA is the root.
    Root,
    /// The CA is below the root, which is the end of `tls.crt`.
    OneIntermediate,
    /// There is another CA between; the root is in `ca.crt`.
    TwoIntermediates,
    /// The CA is below a root that nobody told of: the CA itself is what is trusted.
    RootUnknown,
}

const CHAINS: &[Chain] = &[Chain::Root, Chain::OneIntermediate, Chain::TwoIntermediates, Chain::RootUnknown];

/// Subject and subject alternative names.
pub(crate) struct Names {
    pub(crate) name: &'static str,
    /// As RFC 4514 has it: the last RDN first.
    pub(crate) subject: &'static str,
    pub(crate) alternative: fn() -> Result<Vec<GeneralName>>,
}

const CN_OF_64: &str = "CN=common-name-of-sixty-four-characters.0123456789012345678.example";
const CN_OF_65: &str = "CN=common-name-of-sixty-five-characters.01234567890123456789.example";

pub(crate) static NAMES: &[Names] = &[
    Names { name: "DNS", subject: "", alternative: || Ok(vec![dns("db.example.com")?]) },
    Names { name: "DNS and CN", subject: "CN=db.example.com", alternative: || Ok(vec![dns("db.example.com")?]) },
    Names { name: "wildcard", subject: "", alternative: || Ok(vec![dns("*.example.com")?, dns("example.com")?]) },
    Names { name: "A-label", subject: "", alternative: || Ok(vec![dns("xn--bcher-kva.example")?]) },
    Names { name: "IPv4", subject: "", alternative: || Ok(vec![ip([10, 0, 0, 7].into())?]) },
    Names { name: "IPv6", subject: "", alternative: || Ok(vec![ip([0xfd00, 0, 0, 0, 0, 0, 0, 7].into())?]) },
    Names { name: "URI", subject: "", alternative: || Ok(vec![uri("spiffe://example.com/ns/sandbox/sa/db")?]) },
    Names { name: "email", subject: "", alternative: || Ok(vec![email("db@example.com")?]) },
    Names { name: "otherName", subject: "", alternative: || Ok(vec![principal("db@example.com")?]) },
    Names { name: "otherName and CN", subject: "CN=db", alternative: || Ok(vec![principal("db@example.com")?]) },
    Names {
        name: "mixed",
        subject: "CN=db,OU=Databases,O=Example,L=Springfield,ST=North,C=GB",
        alternative: || {
            Ok(vec![
                dns("db-0.example.com")?,
                ip([10, 0, 0, 7].into())?,
                dns("*.db.example.com")?,
                uri("https://example.com/db?x=1")?,
                email("db@example.com")?,
                ip([0xfd00, 0, 0, 0, 0, 0, 0, 7].into())?,
                principal("db@example.com")?,
            ])
        },
    },
    Names {
        name: "hundred DNS",
        subject: "",
        alternative: || (0..100).map(|number| dns(&format!("db-{number}.example.com"))).collect(),
    },
    Names { name: "CN alone", subject: "CN=client", alternative: || Ok(Vec::new()) },
    Names { name: "CN of 64", subject: CN_OF_64, alternative: || Ok(Vec::new()) },
    Names { name: "CN of 65", subject: CN_OF_65, alternative: || Ok(Vec::new()) },
    Names {
        name: "repeated RDNs",
        subject: "CN=db,OU=Second,OU=First,OU=Second,O=Example,DC=example,DC=com",
        alternative: || Ok(vec![dns("db.example.com")?]),
    },
    Names {
        name: "multi-valued RDN",
        subject: "CN=db+UID=7+OU=Databases,O=Example",
        alternative: || Ok(vec![dns("db.example.com")?]),
    },
    Names { name: "UTF-8", subject: "CN=Bücher-Datenbank,O=日本,C=JP", alternative: || Ok(Vec::new()) },
];

fn dns(name: &str) -> Result<GeneralName> {
    Ok(GeneralName::DnsName(Ia5String::new(name)?))
}

fn email(address: &str) -> Result<GeneralName> {
    Ok(GeneralName::Rfc822Name(Ia5String::new(address)?))
}

fn uri(uri: &str) -> Result<GeneralName> {
    Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(uri)?))
}

fn ip(address: IpAddr) -> Result<GeneralName> {
    Ok(address.into())
}

/// Microsoft's user principal name, which is what cert-manager's documentation of `otherNames` is about.
fn principal(name: &str) -> Result<GeneralName> {
    let type_id = ObjectIdentifier::new("1.3.6.1.4.1.311.20.2.3")?;
    Ok(GeneralName::OtherName(OtherName { type_id, value: Any::encode_from(&Utf8StringRef::new(name)?)? }))
}

/// What the certificate is for.
pub(crate) struct Usages {
    pub(crate) name: &'static str,
    /// `spec.usages`, in order.
    pub(crate) usages: &'static [&'static str],
    pub(crate) ca: Option<Ca>,
    /// What OpenSSL calls the purpose, where it has one that fits.
    pub(crate) purpose: &'static str,
}

/// What a CA's request says besides CA:TRUE.
pub(crate) struct Ca {
    pub(crate) path_length: Option<u8>,
    pub(crate) constraints: fn() -> Result<Option<NameConstraints>>,
}

const ANY_PURPOSE: &str = "any";

const fn leaf(name: &'static str, usages: &'static [&'static str], purpose: &'static str) -> Usages {
    Usages { name, usages, ca: None, purpose }
}

pub(crate) static USAGES: &[Usages] = &[
    leaf("default", &[], ANY_PURPOSE),
    leaf("server", &["digital signature", "server auth"], "sslserver"),
    leaf("client", &["digital signature", "client auth"], "sslclient"),
    leaf("server, client", &["digital signature", "server auth", "client auth"], "sslserver"),
    leaf("client, server", &["client auth", "digital signature", "server auth"], "sslclient"),
    // OpenSSL takes no server for one by this.
    leaf("any", &["digital signature", "any"], ANY_PURPOSE),
    leaf("code signing", &["signing", "code signing"], ANY_PURPOSE),
    leaf("mail and IPsec", &["digital signature", "s/mime", "ipsec end system", "ipsec user"], "smimesign"),
    leaf("no key usage", &["server auth"], "sslserver"),
    leaf("signatures alone", &["digital signature", "content commitment"], ANY_PURPOSE),
    Usages {
        name: "CA",
        usages: &["digital signature", "crl sign"],
        ca: Some(Ca { path_length: None, constraints: || Ok(None) }),
        purpose: ANY_PURPOSE,
    },
    Usages {
        name: "CA with a path length",
        usages: &["cert sign", "crl sign"],
        ca: Some(Ca { path_length: Some(0), constraints: || Ok(None) }),
        purpose: ANY_PURPOSE,
    },
    Usages {
        name: "CA with name constraints",
        usages: &["cert sign"],
        ca: Some(Ca { path_length: Some(1), constraints: || constraints().map(Some) }),
        purpose: ANY_PURPOSE,
    },
];

/// example.com and what is below it, but no address in 10.0.0.0/8.
fn constraints() -> Result<NameConstraints> {
    let subtree = |base| GeneralSubtree { base, minimum: 0, maximum: None };
    let addresses = GeneralName::IpAddress(OctetString::new([10, 0, 0, 0, 255, 0, 0, 0])?);
    Ok(NameConstraints {
        permitted_subtrees: Some(vec![subtree(dns("example.com")?)]),
        excluded_subtrees: Some(vec![subtree(addresses)]),
    })
}

/// An hour, cert-manager's default, and past 2050, from where on times are written otherwise (RFC 5280 clause 4.1.2.5).
const DURATIONS: &[SignedDuration] =
    &[SignedDuration::from_hours(1), SignedDuration::from_hours(90 * 24), SignedDuration::from_hours(30 * 365 * 24)];

/// All cases: names by usages three times over, while the other dimensions turn at paces of their own, so that any two
/// values of different dimensions meet (which a test checks).
pub(crate) fn cases() -> impl Iterator<Item = Case> {
    let block = NAMES.len() * USAGES.len();
    (0..3 * block).map(move |number| Case {
        number,
        names: &NAMES[number % NAMES.len()],
        usages: &USAGES[number / NAMES.len() % USAGES.len()],
        key: &KEYS[(number / 2 + number / block) % KEYS.len()],
        ca_key: &CA_KEYS[(number / 7 + number / block) % CA_KEYS.len()],
        chain: CHAINS[(number + number / block) % CHAINS.len()],
        urls: number / 4 % 2 == 1,
        duration: DURATIONS[number / 29 % DURATIONS.len()],
    })
}

impl Case {
    pub(crate) fn is_ca(&self) -> bool {
        self.usages.ca.is_some()
    }

    /// Whether the subject is empty.
    pub(crate) fn is_nameless(&self) -> bool {
        self.names.subject.is_empty()
    }

    /// The values in words, for messages and to compare by.
    pub(crate) fn values(&self) -> [String; 7] {
        [
            format!("{} key", self.key.name),
            self.names.name.to_owned(),
            format!("usages {}", self.usages.name),
            format!("{} CA", self.ca_key.name),
            format!("{:?}", self.chain),
            if self.urls { "URLs" } else { "no URLs" }.to_owned(),
            format!("{} h", self.duration.as_hours()),
        ]
    }
}
