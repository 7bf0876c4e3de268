//! Which names the CAs of a chain leave to those beneath them (RFC 5280 clause 4.2.1.10).
//!
//! No library does it whole: webpki compares DNS names and addresses, and refuses each certificate beneath a constraint of
//! another form. What is signed has to be taken by all verifiers, so wherever OpenSSL, Go and the RFC read a constraint
//! differently, the strictest of them counts.

use der::{
    Decode,
    asn1::{Any, Ia5String},
    oid::ObjectIdentifier,
};
use x509_cert::{
    ext::pkix::{
        NameConstraints,
        constraints::name::{GeneralSubtree, GeneralSubtrees},
        name::GeneralName as DerName,
    },
    name::RdnSequence,
};

use crate::{
    general_name::{Directory, GeneralName, Role},
    names,
    request::COMMON_NAME,
};

const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// The name constraints of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Constraints {
    permitted: Vec<GeneralName>,
    excluded: Vec<GeneralName>,
}

impl Constraints {
    /// Reads the extension of a CA's certificate (DER).
    ///
    /// # Errors
    /// As [`Constraints::new`]; also text that is no name, which in a request is a rule's to find.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, String> {
        let read = NameConstraints::from_der(der).map_err(|error| error.to_string())?;
        let subtrees = [&read.permitted_subtrees, &read.excluded_subtrees];
        for GeneralSubtree { base, .. } in subtrees.into_iter().flatten().flatten() {
            names::check_constraint(base).map_err(|problem| format!("{}: {problem}", names::describe(base)))?;
        }
        Self::new(read)
    }

    /// Takes an extension's content.
    ///
    /// # Errors
    /// What is wrong with it: what Go refuses to read, and RFC 5280 clause 4.2.1.10 to write.
    pub(crate) fn new(constraints: NameConstraints) -> Result<Self, String> {
        let permitted = bases(constraints.permitted_subtrees)?;
        let excluded = bases(constraints.excluded_subtrees)?;
        if permitted.is_empty() && excluded.is_empty() {
            return Err("they constrain nothing".to_owned());
        }
        Ok(Self { permitted, excluded })
    }

    /// Whether they are on nothing but DNS names and addresses: all that webpki compares.
    pub(crate) fn are_plain(&self) -> bool {
        let is_plain = |base: &GeneralName| matches!(base, GeneralName::Dns(_) | GeneralName::Ip(_));
        self.permitted.iter().chain(&self.excluded).all(is_plain)
    }

    /// Whether a name may stand in a certificate beneath.
    ///
    /// # Errors
    /// Why not, in words about "them", the constraints.
    pub(crate) fn check(&self, name: &GeneralName) -> Result<(), String> {
        let like =
            |bases: &'_ [GeneralName]| bases.iter().filter(|base| name.is_like(base)).cloned().collect::<Vec<_>>();
        let (permitted, excluded) = (like(&self.permitted), like(&self.excluded));
        let concerned = !permitted.is_empty() || !excluded.is_empty();
        if !name.is_comparable() || concerned && (matches!(name, GeneralName::Other(_)) || name.is_mapped_ip()) {
            return Err("it cannot be compared with them".to_owned());
        }
        if let Some(base) = excluded.iter().find(|base| name.is_within(base, Role::Excluded)) {
            return Err(format!("they exclude {base}"));
        }
        if !permitted.is_empty() && !permitted.iter().any(|base| name.is_within(base, Role::Permitted)) {
            return Err(format!("they permit only {}", names::list(&permitted)));
        }
        Ok(())
    }
}

fn bases(subtrees: Option<GeneralSubtrees>) -> Result<Vec<GeneralName>, String> {
    let base = |subtree: GeneralSubtree| {
        if subtree.minimum != 0 || subtree.maximum.is_some() {
            return Err("a subtree has a minimum or a maximum".to_owned());
        }
        match GeneralName::new(&subtree.base) {
            base if base.is_base() => Ok(base),
            GeneralName::Ip(_) => Err("an IP range is not an address and a mask".to_owned()),
            base => Err(format!("the {base} is not a subtree of names")),
        }
    };
    subtrees.unwrap_or_default().into_iter().map(base).collect()
}

/// All names in a certificate of this subject (Name, DER) and these subject alternative names to which constraints apply.
/// Beside the RFC's they are, for OpenSSL, the subject's email addresses in any case, and its common names where they look
/// like DNS names and no other is there.
///
/// # Errors
/// The subject cannot be read.
pub(crate) fn constrained_names(subject: &[u8], alternative: &[DerName]) -> Result<Vec<GeneralName>, der::Error> {
    let rdns = RdnSequence::from_der(subject)?;
    let subject = Directory::new(&rdns);
    let mut names: Vec<_> = alternative.iter().map(GeneralName::new).collect();
    if !names.iter().any(|name| matches!(name, GeneralName::Dns(_))) {
        let dns_names = subject.values(COMMON_NAME).map(|name| GeneralName::Dns(name.to_ascii_lowercase()));
        let plausible =
            |name: &GeneralName| name.is_comparable() && matches!(name, GeneralName::Dns(n) if n.contains('.'));
        names.extend(dns_names.filter(plausible));
    }
    // One in another string type is compared by nobody, no more than one that is empty.
    let address = |value: &Any| value.decode_as::<Ia5String>().map(|text| text.as_str().to_owned()).unwrap_or_default();
    let attributes = rdns.iter().flat_map(|rdn| rdn.iter()).filter(|attribute| attribute.oid == EMAIL_ADDRESS);
    names.extend(attributes.map(|attribute| GeneralName::Email(address(&attribute.value))));
    if !subject.is_empty() {
        names.push(GeneralName::Directory(subject));
    }
    Ok(names)
}
