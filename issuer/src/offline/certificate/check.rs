//! What is wrong with a Certificate: what cert-manager's webhook would refuse, and what cannot be done offline.

use std::collections::HashSet;

use jiff::SignedDuration;
use tandem_cli::{Problem, shown};
use tandem_issuer_core::usage::Usages;

use super::{Algorithm, Certificate, SignatureAlgorithm, Spec, X509Subject, key, names, subject};
use crate::api::{certificate_request::duration, names::is_subdomain};

/// The upper bound of a common name (RFC 5280, appendix A.1), which cert-manager's webhook counts in bytes.
const MAX_COMMON_NAME: usize = 64;

/// cert-manager's shortest duration of a Certificate.
const MIN_DURATION: SignedDuration = SignedDuration::from_hours(1);

impl Certificate {
    /// # Errors
    /// Every field that is wrong.
    pub(crate) fn check(&self) -> Result<(), Vec<Problem>> {
        let spec = &self.spec;
        let mut problems = Vec::new();
        let mut add = |field: &str, message: String| problems.push(Problem::new(field, message));
        if !is_subdomain(&spec.secret_name) {
            add("spec.secretName", format!("`{}` is not the name of a Secret; correct it", shown(&spec.secret_name)));
        }
        check_subject(spec, &mut add);
        if let Some(text) = &spec.duration {
            match duration(text) {
                None => add("spec.duration", format!("`{}` is not a duration such as 2160h; correct it", shown(text))),
                Some(asked) if asked < MIN_DURATION => {
                    add("spec.duration", format!("`{}` is too short for cert-manager; write at least 1h", shown(text)));
                }
                Some(_) => {}
            }
        }
        for (index, usage) in spec.usages.iter().enumerate() {
            if Usages::from_names(std::slice::from_ref(usage), false).is_err() {
                add(&format!("spec.usages[{index}]"), format!("`{}` is not a key usage; correct it", shown(usage)));
            }
        }
        if spec.name_constraints.is_some() && !spec.is_ca {
            add("spec.nameConstraints", "only a CA has them; set isCA, or remove them".to_owned());
        }
        check_key(spec, &mut add);
        check_secret(spec, &mut add);
        problems.extend(names::subject_alternative(spec).err());
        problems.extend(names::constraints(spec).err());
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

fn check_subject(spec: &Spec, add: &mut impl FnMut(&str, String)) {
    let literal = spec.literal_subject.as_deref().is_some_and(|text| !text.is_empty());
    let subject = spec.subject.as_ref().is_some_and(|subject| *subject != X509Subject::default());
    if literal && (subject || spec.common_name.as_deref().is_some_and(|name| !name.is_empty())) {
        add("spec.literalSubject", "stands beside subject or commonName; keep one of them".to_owned());
    }
    let rdns = match subject::of(spec) {
        Ok(rdns) => rdns,
        Err(problem) => return add(&problem.field, problem.message),
    };
    let common_names = || rdns.iter().flatten().filter(|(kind, _)| *kind == subject::COMMON_NAME);
    if let Some((_, name)) = common_names().find(|(_, name)| name.len() > MAX_COMMON_NAME) {
        let field = if literal { "spec.literalSubject" } else { "spec.commonName" };
        let (length, advice) = (name.len(), "shorten it, or use dnsNames");
        add(
            field,
            format!("its common name has {length} bytes; cert-manager takes at most {MAX_COMMON_NAME}; {advice}"),
        );
    }
    let named = common_names().any(|(_, name)| !name.is_empty())
        || [&spec.dns_names, &spec.ip_addresses, &spec.uris, &spec.email_addresses].iter().any(|list| !list.is_empty())
        || !spec.other_names.is_empty();
    if !named {
        let fields = "commonName, literalSubject, dnsNames, ipAddresses, uris, emailAddresses, otherNames";
        add("spec", format!("names nobody; add one of: {fields}"));
    }
}

fn check_key(spec: &Spec, add: &mut impl FnMut(&str, String)) {
    if let Err(message) = key::kind(&spec.private_key) {
        add("spec.privateKey.size", message);
    }
    let (expected, fits) = match spec.private_key.algorithm {
        Algorithm::Rsa => ("SHA256WithRSA, SHA384WithRSA or SHA512WithRSA", SignatureAlgorithm::Rsa),
        Algorithm::Ecdsa => ("ECDSAWithSHA256, ECDSAWithSHA384 or ECDSAWithSHA512", SignatureAlgorithm::Ecdsa),
        Algorithm::Ed25519 => ("PureEd25519", SignatureAlgorithm::Ed25519),
    };
    if spec.signature_algorithm.is_some_and(|given| given != fits) {
        let algorithm = format!("{:?}", spec.private_key.algorithm).to_uppercase();
        add("spec.signatureAlgorithm", format!("does not go with {algorithm}; write {expected}, or leave it out"));
    }
}

fn check_secret(spec: &Spec, add: &mut impl FnMut(&str, String)) {
    let keystores = spec.keystores.iter().flat_map(|all| [("jks", &all.jks), ("pkcs12", &all.pkcs12)]);
    for (name, keystore) in keystores {
        if keystore.as_ref().is_some_and(|keystore| keystore.create) {
            let message = "keystores are not made offline; remove it: cert-manager adds it once it has the Secret";
            add(&format!("spec.keystores.{name}.create"), message.to_owned());
        }
    }
    if let Some(template) = &spec.secret_template {
        let reserved: HashSet<_> = template
            .annotations
            .keys()
            .filter(|key| key.starts_with("cert-manager.io/") && *key != "cert-manager.io/allow-direct-injection")
            .collect();
        if let Some(key) = reserved.into_iter().min() {
            let message = format!("`{}` is cert-manager's own to set; remove it", shown(key));
            add("spec.secretTemplate.annotations", message);
        }
    }
}
