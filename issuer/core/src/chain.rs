//! What the certificates of a CA's chain say about those beneath them: order, path length, names and usages. What one
//! of them forbids no verifier takes, so it is not signed.

use der::{Decode, oid::ObjectIdentifier};
use x509_cert::ext::pkix::{SubjectAltName, name::GeneralName};

use crate::{
    Error,
    link::Link,
    name_constraints::constrained_names,
    usage::{ANY, describe_extended},
};

/// Each certificate of `tls.crt` was signed by the next, which is a CA.
pub(crate) fn check_order(chain: &[Link]) -> Result<(), Error> {
    for (index, pair) in chain.windows(2).enumerate() {
        let [lower, upper] = pair else { continue };
        if !lower.signed_by(upper) || !upper.is_ca() {
            return Err(invalid(format!(
                "certificate {} was not issued by certificate {}; order them from the CA upwards",
                index + 1,
                index + 2
            )));
        }
    }
    Ok(())
}

/// How many CAs may still follow beneath the first certificate, by every path length in the chain; `None`: any number.
pub(crate) fn path_room(chain: &[Link]) -> Result<Option<i64>, Error> {
    let room = (0_i64..)
        .zip(chain)
        .filter_map(|(beneath, link)| link.basic_constraints?.1.map(|length| i64::from(length) - beneath))
        .min();
    match room {
        Some(room) if room < 0 => Err(invalid("the chain is longer than a path length in it allows".to_owned())),
        room => Ok(room),
    }
}

/// The chain's own certificates keep the name constraints above them; those that signed themselves, in a change of
/// keys, need not (RFC 5280 clause 6.1.3).
pub(crate) fn check_own_names(chain: &[Link]) -> Result<(), Error> {
    for (index, link) in chain.iter().enumerate().filter(|(index, link)| *index == 0 || link.subject != link.issuer) {
        let above = chain.get(index + 1..).unwrap_or_default();
        if above.iter().all(|link| link.name_constraints.is_none()) {
            continue;
        }
        let alternative = match &link.alternative_names {
            Some(der) => SubjectAltName::from_der(der).map_err(|error| invalid(format!("its names: {error}")))?.0,
            None => Vec::new(),
        };
        if let Some(error) = check_names(above, &link.subject, &alternative) {
            return Err(invalid(format!("the certificate {:?}: {error}", link.description.subject)));
        }
    }
    Ok(())
}

/// Whether a certificate of this subject (Name, DER) and these names may stand beneath `chain`: every constraint that
/// is broken.
pub(crate) fn check_names(chain: &[Link], subject: &[u8], alternative: &[GeneralName]) -> Option<Error> {
    let constraining = || chain.iter().filter_map(|link| Some((link, link.name_constraints.as_ref()?)));
    constraining().next()?;
    let names = match constrained_names(subject, alternative) {
        Ok(names) => names,
        Err(_) => return Some(Error::NameUnreadable("the subject")),
    };
    Error::all(constraining().flat_map(|(link, constraints)| {
        names.iter().filter_map(|name| {
            let problem = constraints.check(name).err()?;
            Some(Error::NameConstraint { name: name.to_string(), problem, ca: link.description.subject.clone() })
        })
    }))
}

/// Whether a certificate for these extended key usages may stand beneath `chain`: each certificate that restricts them
/// must allow all (RFC 5280 clause 4.2.1.12). One that asks for none leaves it to the verifier.
pub(crate) fn check_usages(chain: &[Link], wanted: &[ObjectIdentifier]) -> Option<Error> {
    Error::all(chain.iter().filter_map(|link| {
        let allowed = link.extended.as_ref().filter(|allowed| !allowed.contains(&ANY))?;
        let missing: Vec<_> = wanted.iter().filter(|usage| !allowed.contains(usage)).copied().collect();
        (!missing.is_empty()).then(|| Error::ExtendedUsage {
            wanted: describe_extended(&missing),
            ca: link.description.subject.clone(),
            allowed: describe_extended(allowed),
        })
    }))
}

fn invalid(problem: String) -> Error {
    Error::SecretInvalid { field: "tls.crt", problem }
}
