//! What a Certificate's spec may hold wrongly.

use serde_json::json;

use super::{PLACE, refused, refused_spec, without};
use crate::support::{certificate, stream};

#[test]
fn fields_of_the_wrong_kind() {
    refused_spec(
        json!({"dnsNames": "db"}),
        &["spec.dnsNames: expected a list, found string \"db\"; begin each entry with -"],
    );
    refused_spec(
        json!({"dnsNames": [5]}),
        &["spec.dnsNames[0]: expected a string, found the number 5; write it in quotes"],
    );
    refused_spec(
        json!({"privateKey": {"size": "2048"}}),
        &["spec.privateKey.size: expected a whole number, found string \"2048\"; write one without quotes"],
    );
    refused_spec(
        json!({"privateKey": {"algorithm": "ecdsa"}}),
        &["spec.privateKey.algorithm: `ecdsa` is unknown; did you mean ECDSA? Known here: RSA, ECDSA, Ed25519"],
    );
    refused_spec(
        json!({"privateKey": {"encoding": "PKCS12"}}),
        &["spec.privateKey.encoding: `PKCS12` is unknown; did you mean PKCS1? Known here: PKCS1, PKCS8"],
    );
    refused_spec(
        json!({"additionalOutputFormats": [{"type": "PKCS12"}]}),
        &["spec.additionalOutputFormats[0].type: `PKCS12` is unknown; known here: DER, CombinedPEM"],
    );
    refused_spec(
        json!({"subject": {"organisations": ["Shop"]}}),
        &[
            "spec.subject.organisations: unknown field; did you mean organizations? Known here: organizations, countries, \
           organizationalUnits, localities, provinces, streetAddresses, postalCodes, serialNumber",
        ],
    );
    let text = stream(&[without(certificate(json!({})), "secretName")]);
    refused(text, &[&format!("{PLACE}: spec.secretName: is missing; add it")]);
}

#[test]
fn names() {
    refused_spec(
        json!({"dnsNames": ["bücher.test"]}),
        &["spec.dnsNames[0]: `bücher.test` is not ASCII; write host names as A-labels (xn--…), URIs percent-encoded"],
    );
    refused_spec(
        json!({"ipAddresses": ["10.0.0.1", "10.0.0.256"]}),
        &["spec.ipAddresses[1]: `10.0.0.256` is not an IP address; write one such as 10.0.0.1"],
    );
    for email in ["Ops <ops@shop.test>", "ops", "@shop.test", "ops@", "a@b@c", "a b@c"] {
        let line = format!("spec.emailAddresses[0]: `{email}` is not an address; write one such as ops@example.com");
        refused_spec(json!({"emailAddresses": [email]}), &[&line]);
    }
    refused_spec(
        json!({"otherNames": [{"oid": "upn", "utf8Value": "a"}]}),
        &["spec.otherNames[0].oid: `upn` is not an OID; write one such as 1.3.6.1.4.1.311.20.2.3"],
    );
    refused_spec(
        json!({"otherNames": [{"oid": "1.2.3", "utf8Value": ""}]}),
        &["spec.otherNames[0].utf8Value: is empty; write a value"],
    );
    refused_spec(
        json!({"dnsNames": []}),
        &["spec: names nobody; add one of: commonName, literalSubject, dnsNames, ipAddresses, uris, emailAddresses, \
           otherNames"],
    );
    refused_spec(
        json!({"commonName": "n".repeat(65)}),
        &["spec.commonName: its common name has 65 bytes; cert-manager takes at most 64; shorten it, or use dnsNames"],
    );
    refused_spec(
        json!({"literalSubject": "cn=db"}),
        &[
            "spec.literalSubject: `cn=db` has an unknown type; known here: C, O, OU, CN, SERIALNUMBER, L, ST, STREET, DC, \
           UID, or an OID",
        ],
    );
    refused_spec(
        json!({"literalSubject": "CN=db,Shop"}),
        &["spec.literalSubject: `Shop` has no =; write TYPE=value, as in CN=db,O=Shop"],
    );
    refused_spec(
        json!({"literalSubject": "CN=db\\"}),
        &["spec.literalSubject: `CN=db\\` has a value that RFC 4514 does not allow"],
    );
    refused_spec(
        json!({"literalSubject": "CN=db", "commonName": "db"}),
        &["spec.literalSubject: stands beside subject or commonName; keep one of them"],
    );
    refused_spec(
        json!({"isCA": true, "nameConstraints": {"permitted": {"ipRanges": ["10.0.0.0"]}}}),
        &["spec.nameConstraints.permitted.ipRanges[0]: `10.0.0.0` is not a range; write one such as 10.0.0.0/8"],
    );
    refused_spec(
        json!({"nameConstraints": {"excluded": {"dnsDomains": ["shop.test"]}}}),
        &["spec.nameConstraints: only a CA has them; set isCA, or remove them"],
    );
}

#[test]
fn keys_durations_and_usages() {
    refused_spec(
        json!({"privateKey": {"size": 1024}}),
        &["spec.privateKey.size: RSA keys of 1024 bits are not made here; write 2048, 3072, 4096 or 8192"],
    );
    refused_spec(
        json!({"privateKey": {"algorithm": "ECDSA", "size": 224}}),
        &["spec.privateKey.size: there is no ECDSA curve of 224 bits; write 256, 384 or 521"],
    );
    refused_spec(
        json!({"signatureAlgorithm": "SHA256WithRSA"}),
        &[
            "spec.signatureAlgorithm: does not go with ECDSA; write ECDSAWithSHA256, ECDSAWithSHA384 or ECDSAWithSHA512, or \
           leave it out",
        ],
    );
    refused_spec(json!({"duration": "90d"}), &["spec.duration: `90d` is not a duration such as 2160h; correct it"]);
    refused_spec(
        json!({"duration": "59m"}),
        &["spec.duration: `59m` is too short for cert-manager; write at least 1h"],
    );
    refused_spec(
        json!({"usages": ["server auth", "serverAuth"]}),
        &["spec.usages[1]: `serverAuth` is not a key usage; correct it"],
    );
}

#[test]
fn what_cannot_be_done_offline_is_refused_by_its_name() {
    refused_spec(
        json!({"keystores": {"jks": {"create": true, "password": "x"}, "pkcs12": {"create": true}}}),
        &[
            "spec.keystores.jks.create: keystores are not made offline; remove it: cert-manager adds it once it has the \
             Secret",
            "spec.keystores.pkcs12.create: keystores are not made offline; remove it: cert-manager adds it once it has \
             the Secret",
        ],
    );
    refused_spec(
        json!({"secretTemplate": {"annotations": {"cert-manager.io/common-name": "x"}}}),
        &["spec.secretTemplate.annotations: `cert-manager.io/common-name` is cert-manager's own to set; remove it"],
    );
}
