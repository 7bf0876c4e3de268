//! The certificate: names, key, lifetime and who signs.

use super::super::{Algorithm, Spec, values};
use super::Problems;

pub(super) fn certificate(spec: &Spec, problems: &mut Problems) {
    let certificate = &spec.certificate;
    problems.check("spec.certificate.secretName", values::subdomain(&certificate.secret_name));
    let issuer = &certificate.issuer_ref;
    problems.check("spec.certificate.issuerRef.name", values::subdomain(&issuer.name));
    problems.check("spec.certificate.issuerRef.group", values::subdomain(&issuer.group));
    let kinds: &[&str] = match issuer.group.as_str() {
        "pki.tandem.internal" => &["TandemIssuer", "TandemClusterIssuer"],
        "cert-manager.io" => &["Issuer", "ClusterIssuer"],
        _ => &[],
    };
    let kind = issuer.kind.as_str();
    let path = "spec.certificate.issuerRef.kind";
    if !kinds.is_empty() && !kinds.contains(&kind) {
        let group = if ["Issuer", "ClusterIssuer"].contains(&kind) {
            "; for cert-manager's own add group: cert-manager.io"
        } else {
            ""
        };
        let message = format!(
            "`{}` is not a kind of {}; write {}{group}",
            tandem_cli::shown(kind),
            issuer.group,
            kinds.join(" or ")
        );
        problems.add(path, message);
    } else if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric()) {
        problems.add(path, format!("`{}` is not a kind; write the issuer's kind", tandem_cli::shown(kind)));
    }
    problems.check_some("spec.certificate.commonName", certificate.common_name.as_ref(), common_name);
    for (i, name) in certificate.dns_names.iter().enumerate() {
        problems.check(format!("spec.certificate.dnsNames[{i}]"), values::dns_san(name));
    }
    let (sizes, name) = match certificate.private_key.algorithm {
        Algorithm::Rsa => ([2048, 3072, 4096], "RSA"),
        Algorithm::Ecdsa => ([256, 384, 521], "ECDSA"),
    };
    if let Some(size) = certificate.private_key.size
        && !sizes.contains(&size)
    {
        let [a, b, c] = sizes;
        problems.add("spec.certificate.privateKey.size", format!("{size} bits with {name}; write {a}, {b} or {c}"));
    }
    if let Some(serial) = &certificate.serial {
        problems.check("spec.certificate.serial", values::serial(serial, values::VIRTIO_SERIAL));
    }
    lifetime(spec, problems);
}

/// RFC 5280, ub-common-name; control characters would end a line of a log.
pub(super) fn common_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        let name = tandem_cli::shown(name);
        return Err(format!(
            "`{name}` is empty, has control characters or more than 64; shorten it or leave the field out"
        ));
    }
    Ok(())
}

/// cert-manager's own limits: <https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.CertificateSpec>.
fn lifetime(spec: &Spec, problems: &mut Problems) {
    let certificate = &spec.certificate;
    let mut read = |field: &str, value: &Option<String>, min: (u64, &str)| {
        let path = format!("spec.certificate.{field}");
        let value = value.as_ref()?;
        let seconds = problems.check(path.clone(), values::duration(value))?;
        if seconds < min.0 {
            problems.add(path, format!("`{value}` is shorter than cert-manager takes; write at least {}", min.1));
            return None;
        }
        Some(seconds)
    };
    let duration = read("duration", &certificate.duration, (3600, "1h"));
    let renew_before = read("renewBefore", &certificate.renew_before, (300, "5m"));
    // Without a duration, cert-manager takes 90 days.
    let whole = if certificate.duration.is_some() { duration } else { Some(90 * 24 * 3600) };
    if let (Some(whole), Some(before)) = (whole, renew_before)
        && before >= whole
    {
        problems.add("spec.certificate.renewBefore", "is not shorter than the certificate's duration; make it shorter");
    }
}
