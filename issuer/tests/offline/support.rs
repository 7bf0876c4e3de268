//! A folder with manifests, and the command that runs in it.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A CA for all tests, valid for as long as anybody cares.
pub(crate) static CA: LazyLock<CertifiedIssuer<'static, KeyPair>> = LazyLock::new(|| {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Internal CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
});

/// The moment that `--now` is set to.
pub(crate) const NOW: &str = "2026-11-21T12:00:00Z";

/// A cluster issuer and its CA Secret.
pub(crate) fn issuer() -> String {
    format!("---\n{}\n---\n{}\n", cluster_issuer(), ca_secret())
}

pub(crate) fn cluster_issuer() -> Value {
    json!({
        "apiVersion": "pki.tandem.internal/v1alpha1", "kind": "TandemClusterIssuer",
        "metadata": {"name": "internal-ca"}, "spec": {"ca": {"secretName": "internal-ca"}},
    })
}

pub(crate) fn ca_secret() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "internal-ca", "namespace": "tandem"},
        "stringData": {"tls.crt": CA.as_ref().pem(), "tls.key": CA.key().serialize_pem()},
    })
}

pub(crate) fn issuer_ref() -> Value {
    json!({"group": "pki.tandem.internal", "kind": "TandemClusterIssuer", "name": "internal-ca"})
}

/// A Certificate `shop/db` for the Secret `db-tls`, with further fields in its spec.
pub(crate) fn certificate(more: Value) -> Value {
    let mut certificate = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "db", "namespace": "shop"},
        "spec": {
            "secretName": "db-tls", "dnsNames": ["db.shop.svc"], "privateKey": {"algorithm": "ECDSA"},
            "issuerRef": issuer_ref(),
        },
    });
    extend(&mut certificate["spec"], more);
    certificate
}

pub(crate) fn extend(object: &mut Value, more: Value) {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
}

/// A request (PEM) for these DNS names.
pub(crate) fn csr(names: &[&str]) -> String {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

/// A CertificateRequest in the namespace `shop` for the DNS name `NAME.shop.svc`.
pub(crate) fn request(name: &str) -> Value {
    request_of(name, &csr(&[&format!("{name}.shop.svc")]))
}

pub(crate) fn request_of(name: &str, csr: &str) -> Value {
    json!({
        "apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"request": ByteString(csr.as_bytes().to_vec()), "issuerRef": issuer_ref()},
    })
}

/// A condition as it stands in a status.
pub(crate) fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": NOW})
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem-issuer"));
    command.env_clear();
    command
}

/// Runs it with a text on standard input.
pub(crate) fn run_with(text: impl AsRef<[u8]>, args: &[&str]) -> Output {
    let mut command = command();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Where the arguments are wrong nobody reads.
    let _ = child.stdin.take().unwrap().write_all(text.as_ref());
    child.wait_with_output().unwrap()
}

/// `sign -` of documents.
pub(crate) fn sign(documents: &[Value], args: &[&str]) -> Output {
    run_with(stream(documents), &[&["sign", "-", "--now", NOW], args].concat())
}

/// `explain -` of documents.
pub(crate) fn explain(documents: &[Value], args: &[&str]) -> Output {
    run_with(stream(documents), &[&["explain", "-", "--now", NOW], args].concat())
}

/// The issuer, its Secret, and these documents.
pub(crate) fn stream(documents: &[Value]) -> String {
    documents.iter().fold(issuer(), |all, document| format!("{all}---\n{document}\n"))
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What `sign -o json` wrote, where all went well.
pub(crate) fn items(output: &Output) -> Vec<Value> {
    assert_eq!((output.status.code(), stderr(output).as_str()), (Some(0), ""));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("v1"), &json!("List")));
    list["items"].as_array().unwrap().clone()
}

/// The text of a base64 value.
pub(crate) fn text(value: &Value) -> String {
    let bytes: ByteString = serde_json::from_value(value.clone()).unwrap();
    String::from_utf8(bytes.0).unwrap()
}

/// A folder with files in it.
pub(crate) fn folder(files: &[(&str, String)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        write(folder.path(), name, content);
    }
    folder
}

pub(crate) fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}
