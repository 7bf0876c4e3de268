//! An issued certificate → the Secret, as cert-manager writes it: it takes the Secret over without issuing anew. Only where
//! a literal subject has a common name that is not among `dnsNames`, cert-manager (1.21) does not find it in the spec.

use std::{collections::BTreeMap, net::IpAddr};

use der::oid::ObjectIdentifier;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use tandem_issuer_core::{Error, Issued, signer::LocalKey};
use x509_cert::ext::pkix::name::GeneralName;

use super::{Certificate, OutputFormatType, names, subject};

/// The label by which cert-manager's controller finds its Secrets.
const LABEL: &str = "controller.cert-manager.io/fao";

/// Annotations of the subject's attributes. That of the common name is always there, and of the last one.
const OF_SUBJECT: &[(&str, ObjectIdentifier)] = &[
    ("subject-organizations", subject::ORGANIZATION),
    ("subject-organizationalunits", subject::UNIT),
    ("subject-countries", subject::COUNTRY),
    ("subject-provinces", subject::PROVINCE),
    ("subject-localities", subject::LOCALITY),
    ("subject-postalcodes", subject::POSTAL_CODE),
    ("subject-streetaddresses", subject::STREET),
];

impl Certificate {
    /// The Secret for `key` and what was issued for it.
    ///
    /// # Errors
    /// Where the library does not encode the key.
    pub(crate) fn secret(&self, key: &LocalKey, issued: &Issued) -> Result<Secret, Error> {
        let spec = &self.spec;
        let encoding = spec.private_key.encoding.into();
        let private_key = key.to_pem(encoding)?;
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let mut data = BTreeMap::from([
            ("tls.crt".to_owned(), bytes(&issued.certificate)),
            ("tls.key".to_owned(), bytes(&private_key)),
            ("ca.crt".to_owned(), bytes(&issued.ca)),
        ]);
        for format in &spec.additional_output_formats {
            match format.type_ {
                OutputFormatType::Der => {
                    data.insert("key.der".to_owned(), ByteString(key.to_der(encoding)?.1.to_vec()));
                }
                OutputFormatType::CombinedPem => {
                    let combined = format!("{}\n{}", *private_key, issued.certificate);
                    data.insert("tls-combined.pem".to_owned(), bytes(&combined));
                }
            }
        }
        let template = spec.secret_template.as_ref();
        let mut labels = template.map(|template| template.labels.clone()).unwrap_or_default();
        labels.insert(LABEL.to_owned(), "true".to_owned());
        let mut annotations = template.map(|template| template.annotations.clone()).unwrap_or_default();
        annotations.extend(self.annotations());
        Ok(Secret {
            metadata: ObjectMeta {
                name: Some(spec.secret_name.clone()),
                namespace: self.metadata.namespace.clone().filter(|namespace| !namespace.is_empty()),
                labels: Some(labels),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data),
            ..Secret::default()
        })
    }

    /// What cert-manager notes about a certificate. Names and subject are the request's: nothing else is ever signed.
    fn annotations(&self) -> BTreeMap<String, String> {
        let spec = &self.spec;
        let mut all = BTreeMap::new();
        let mut note = |name: &str, value: String| all.insert(format!("cert-manager.io/{name}"), value);
        let attributes = subject::in_order(&subject::of(spec).unwrap_or_default());
        let of_type = |wanted: ObjectIdentifier| {
            let found = attributes.iter().filter(move |(kind, _)| *kind == wanted);
            found.map(|(_, text)| text.clone()).collect::<Vec<_>>()
        };
        note("common-name", of_type(subject::COMMON_NAME).pop().unwrap_or_default());
        if let Some(serial) = of_type(subject::SERIAL_NUMBER).pop().filter(|serial| !serial.is_empty()) {
            note("subject-serialnumber", serial);
        }
        for (name, kind) in OF_SUBJECT {
            let values = of_type(*kind);
            if !values.is_empty() {
                note(name, csv(&values));
            }
        }
        let (mut dns, mut emails, mut addresses, mut uris) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for name in names::subject_alternative(spec).unwrap_or_default() {
            match name {
                GeneralName::DnsName(name) => dns.push(name.to_string()),
                GeneralName::Rfc822Name(name) => emails.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(name) => uris.push(name.to_string()),
                GeneralName::IpAddress(bytes) => addresses.extend(address(bytes.as_bytes()).map(|ip| ip.to_string())),
                _ => {}
            }
        }
        note("alt-names", csv(&dns));
        note("ip-sans", csv(&addresses));
        note("uri-sans", csv(&uris));
        if !emails.is_empty() {
            note("email-sans", csv(&emails));
        }
        note("certificate-name", self.metadata.name.clone().unwrap_or_default());
        note("issuer-name", spec.issuer_ref.name.clone());
        note("issuer-kind", spec.issuer_ref.kind.clone().unwrap_or_default());
        note("issuer-group", spec.issuer_ref.group.clone().unwrap_or_default());
        all
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// One line of comma-separated values, quoted where Go's encoding/csv quotes.
fn csv(values: &[String]) -> String {
    let quoted = |value: &String| {
        let special =
            value.contains([',', '"', '\r', '\n']) || value.starts_with(char::is_whitespace) || value == "\\.";
        if special { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.clone() }
    };
    values.iter().map(quoted).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn lists_are_quoted_as_go_quotes_them() {
        let line = |values: &[&str]| super::csv(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["a", "b c"]), "a,b c");
        assert_eq!(line(&["Shop, Inc.", "say \"hi\"", " x", ""]), "\"Shop, Inc.\",\"say \"\"hi\"\"\",\" x\",");
        assert_eq!(line(&[]), "");
    }
}
