//! What the types alone cannot say: the rules between fields, and the limits of Kubernetes, KubeVirt and X.509.

use std::collections::HashSet;

use super::document::{API_VERSION, Algorithm, ClientAuth, ClientCertificate, Document, KIND, Spec};
use super::{Problem, SpecError, values};
use crate::names::{HOST_SUFFIX, Names};

/// Collects every problem, so that one run shows them all.
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { field: field.into(), message: message.into() });
    }

    fn check<T>(&mut self, field: impl Into<String>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }
}

/// Passes a document that has no problem.
pub(super) fn document(document: &Document) -> Result<(), SpecError> {
    let mut problems = Problems(Vec::new());
    if document.api_version != API_VERSION {
        problems.add("apiVersion", format!("`{}`; write {API_VERSION}", tandem_cli::shown(&document.api_version)));
    }
    if document.kind != KIND {
        problems.add("kind", format!("`{}`; write {KIND}", tandem_cli::shown(&document.kind)));
    }
    // The VM is called NAME-vm, which is also a host name and a label: at most 63 bytes.
    let name = values::service_label(&document.metadata.name, 63 - HOST_SUFFIX.len());
    let namespace = values::label(&document.metadata.namespace, 63);
    let named = name.is_ok() && namespace.is_ok();
    problems.check("metadata.name", name);
    problems.check("metadata.namespace", namespace);
    let spec = &document.spec;
    database(spec, &mut problems);
    guest(spec, &mut problems);
    certificate(spec, &mut problems);
    // Rules about names made from other names: only worth reading once those are right.
    if named {
        derived_names(document, &mut problems);
    }
    clients(document, &mut problems);
    if problems.0.is_empty() { Ok(()) } else { Err(SpecError::Fields(problems.0)) }
}

fn database(spec: &Spec, problems: &mut Problems) {
    let version = &spec.database.mongodb.version;
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u8>().ok()).flatten();
    let parts = version.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    if parts.is_none_or(|(major, _)| major < 5) {
        problems.add(
            "spec.database.mongodb.version",
            format!(
                "`{}` is not a release series of 5.0 or later; write one such as \"8.0\"",
                tandem_cli::shown(version)
            ),
        );
    }
}

fn guest(spec: &Spec, problems: &mut Problems) {
    problems.check("spec.os.image", values::image(&spec.os.image));
    for (i, key) in spec.os.ssh_authorized_keys.iter().enumerate() {
        problems.check(format!("spec.os.sshAuthorizedKeys[{i}]"), values::ssh_public_key(key));
    }
    problems.check("spec.storage.size", values::bytes_at_least(&spec.storage.size, ("1Gi", 1024f64.powi(3))));
    if let Some(class) = &spec.storage.storage_class_name {
        problems.check("spec.storage.storageClassName", values::subdomain(class));
    }
    if let Some(serial) = &spec.storage.serial {
        problems.check("spec.storage.serial", values::serial(serial));
        if spec.certificate.serial.as_ref() == Some(serial) {
            problems.add(
                "spec.storage.serial",
                "is also spec.certificate.serial, and the guest could not tell the disks apart; change one of them",
            );
        }
    }
    let machine = &spec.machine;
    problems.check("spec.machine.memory", values::bytes_at_least(&machine.memory, ("512Mi", 512.0 * 1024f64.powi(2))));
    if !(1..=512).contains(&machine.cores) {
        problems.add("spec.machine.cores", format!("{} cores; write 1 to 512", machine.cores));
    }
    problems.check("spec.clusterDomain", values::subdomain(&spec.cluster_domain));
}

fn certificate(spec: &Spec, problems: &mut Problems) {
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
    if let Some(name) = &certificate.common_name
        && (name.trim().is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control))
    {
        let message = format!(
            "`{}` is empty, has control characters or more than 64; shorten it or leave the field out",
            tandem_cli::shown(name)
        );
        problems.add("spec.certificate.commonName", message);
    }
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
        problems.check("spec.certificate.serial", values::serial(serial));
    }
    lifetime(spec, problems);
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

fn derived_names(document: &Document, problems: &mut Problems) {
    let names = Names::of(document);
    if document.spec.certificate.secret_name == names.user_data_secret {
        let message = format!("`{}` is the name of the VM's user data Secret; choose another", names.user_data_secret);
        problems.add("spec.certificate.secretName", message);
    }
    let (certificate, data) = (names.certificate_serial(document), names.data_serial(document));
    if certificate == data && document.spec.storage.serial.is_none() {
        problems.add("spec.certificate.serial", format!("`{certificate}` is the data disk's serial; choose another"));
    }
    let longest = names.service_names.last().map_or(0, String::len);
    if longest > 253 {
        problems
            .add("spec.clusterDomain", format!("makes a Service name of {longest} bytes; a DNS name has at most 253"));
    }
}

fn clients(document: &Document, problems: &mut Problems) {
    let mut seen = HashSet::new();
    let required = document.spec.database.mongodb.client_auth == ClientAuth::Required;
    for (i, client) in document.spec.clients.iter().enumerate() {
        let path = format!("spec.clients[{i}]");
        // The Deployment is called NAME-CLIENT, and its pods carry CLIENT as a label.
        let room = 63usize.saturating_sub(document.metadata.name.len() + 1).max(1);
        problems.check(format!("{path}.name"), values::label(&client.name, room));
        if !seen.insert(client.name.as_str()) {
            problems.add(
                format!("{path}.name"),
                format!("`{}` is there twice; give each client a name of its own", tandem_cli::shown(&client.name)),
            );
        }
        problems.check(format!("{path}.image"), values::image(&client.image));
        if required && client.certificate == ClientCertificate::None {
            problems.add(
                format!("{path}.certificate"),
                "`none`, but spec.database.mongodb.clientAuth is Required and would turn this client away; \
                 write certificate: shared, or clientAuth: Optional",
            );
        }
    }
}
