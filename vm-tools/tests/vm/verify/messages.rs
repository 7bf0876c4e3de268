//! What each check says where it fails, in a table.

use std::{fmt::Write, fs, path::Path, process::Command};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use tempfile::TempDir;

use super::{
    servers::{Ca, Spoken, ca, client_usage, drain, leaf, s_server, secret, write_secret},
    verify,
};
use crate::support::{output, said, tool};

/// A Secret whose certificate has a serial number that stays, and something else.
fn numbered(ca: &Ca, number: u64, change: impl FnOnce(&mut CertificateParams)) -> TempDir {
    let mut params = leaf();
    params.serial_number = Some(number.into());
    change(&mut params);
    secret(ca, &params)
}

/// A folder with the first one's files, but for one, which is the second one's.
fn mixed(first: &Path, file: &str, second: &Path) -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        let from = if name == file { second } else { first };
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// Its name, what is served and how, the Secret beside it, and further arguments.
type Case<'a> = (&'a str, &'a TempDir, &'a [&'a str], TempDir, &'a [&'a str]);

#[test]
fn each_check_that_fails_says_why_and_what_to_do() {
    if tool("openssl").is_none() {
        return;
    }
    let (ours, other) = (ca("internal-ca"), ca("other-ca"));
    let good = numbered(&ours, 1, |_| {});
    let later = numbered(&ours, 2, |params| params.not_before = date_time_ymd(2026, 2, 1));
    let twin = numbered(&ours, 3, |_| {});
    let of_other = numbered(&other, 4, |_| {});
    let for_clients = numbered(&ours, 5, |params| params.extended_key_usages = client_usage());
    let unsigning = numbered(&ours, 6, |params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    let for_servers =
        numbered(&ours, 7, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let other_names = CertificateParams::new(["orders.other.svc".to_owned()]).unwrap().subject_alt_names;
    let named = numbered(&ours, 8, |params| params.subject_alt_names = other_names);
    let (none, required) = (&[][..], &["-Verify", "1", "-verify_return_error"][..]);
    let own = |folder: &TempDir| mixed(folder.path(), "", folder.path());
    let without_ca = own(&good);
    fs::remove_file(without_ca.path().join("ca.crt")).unwrap();
    let (optional, demanded) = (["--client-auth", "optional"], ["--client-auth", "required"]);
    let cases: [Case<'_>; 16] = [
        ("another key", &good, none, mixed(good.path(), "tls.key", twin.path()), &[]),
        ("no authority", &good, none, without_ca, &[]),
        ("another authority", &good, none, mixed(good.path(), "ca.crt", of_other.path()), &[]),
        ("another name", &named, none, own(&named), &[]),
        ("for clients alone", &for_clients, none, own(&for_clients), &[]),
        ("no signatures", &unsigning, none, own(&unsigning), &[]),
        ("too early", &good, none, own(&good), &["--now", "2025-12-31T23:00:00Z"]),
        ("too late", &good, none, own(&good), &["--now", "2036-01-03T01:00:00Z"]),
        ("soon too late", &good, none, own(&good), &["--now", "2035-12-30T00:00:00Z", "--warn-before", "49h"]),
        ("an older certificate", &good, none, own(&later), &[]),
        ("a newer certificate", &later, none, own(&good), &[]),
        ("another certificate", &good, none, own(&twin), &[]),
        ("TLS 1.1", &good, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], own(&good), &[]),
        ("nobody is asked", &good, none, own(&good), &demanded),
        ("everybody is asked", &good, required, own(&good), &optional),
        ("a server's certificate for a client", &for_servers, required, own(&for_servers), &demanded),
    ];
    let mut told = String::new();
    for (name, served, options, beside, arguments) in &cases {
        let server = s_server(served.path(), options);
        let now: &[&str] = if arguments.contains(&"--now") { &[] } else { &["--now", "2026-06-01T00:00:00Z"] };
        table(&mut told, name, server.port, beside.path(), &[arguments, now].concat());
    }
    let plain = Spoken::start(|mut stream| {
        let _ = std::io::Write::write_all(&mut stream, b"+PONG\r\n");
        drain(&mut stream);
    });
    table(&mut told, "no TLS at all", plain.port, good.path(), &[]);
    insta::assert_snapshot!(told);
}

/// What stands between a certificate and the authority in ca.crt, and is at fault.
fn between(root: &Ca, change: impl FnOnce(&mut CertificateParams)) -> TempDir {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "between");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let between = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), root).unwrap();
    let (key, mut leaf) = (KeyPair::generate().unwrap(), leaf());
    leaf.serial_number = Some(9.into());
    let chain = leaf.signed_by(&key, &between).unwrap().pem() + &between.as_ref().pem();
    write_secret(&chain, &key, &root.as_ref().pem())
}

#[test]
fn what_is_at_fault_with_a_certificate_or_above_it_is_said() {
    if tool("openssl").is_none() {
        return;
    }
    let root = ca("internal-ca");
    let constraints = NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("other.svc".to_owned())],
        excluded_subtrees: vec![],
    };
    let mut brief = CertificateParams::default();
    brief.distinguished_name.push(DnType::CommonName, "brief-ca");
    brief.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (brief.not_before, brief.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 3, 1));
    let brief = CertifiedIssuer::self_signed(brief, KeyPair::generate().unwrap()).unwrap();
    let again = ca("internal-ca");
    let anew = numbered(&root, 1, |_| {});
    fs::write(anew.path().join("ca.crt"), again.as_ref().pem()).unwrap();
    let cases = [
        ("an authority made anew", anew),
        ("an authority that has ended", numbered(&brief, 2, |_| {})),
        ("no name at all", numbered(&root, 3, |params| params.subject_alt_names = Vec::new())),
        (
            "an authority's own certificate",
            numbered(&root, 4, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ),
        ("between them one that has ended", between(&root, |params| params.not_after = date_time_ymd(2026, 2, 1))),
        ("between them one that is to come", between(&root, |params| params.not_before = date_time_ymd(2027, 2, 1))),
        ("between them one that is no authority", between(&root, |params| params.is_ca = IsCa::ExplicitNoCa)),
        ("between them one for other names", between(&root, |params| params.name_constraints = Some(constraints))),
    ];
    let mut told = String::new();
    for (name, folder) in &cases {
        let server = s_server(folder.path(), &["-cert_chain", "tls.crt"]);
        table(&mut told, name, server.port, folder.path(), &["--now", "2026-06-01T00:00:00Z"]);
    }
    // Before extensions there were versions 1 and 2, and openssl makes the former where it is told of none.
    let first = numbered(&root, 5, |_| {});
    let line = "set -e; openssl req -new -key tls.key -subj /CN=orders -out csr; openssl ecparam -genkey -name prime256v1 -out ca.key; \
                openssl req -x509 -new -key ca.key -subj /CN=old-ca -days 9999 -out ca.crt; openssl x509 -req -in csr -CA ca.crt \
                -CAkey ca.key -set_serial 6 -days 9998 -out tls.crt";
    let made = output(Command::new("sh").args(["-c", line]).current_dir(first.path()));
    assert!(made.status.success(), "{}", said(&made));
    let server = s_server(first.path(), &[]);
    let done = verify(server.port, first.path(), &[]);
    done.expect("chain", "failed", "it is not an X.509 certificate of version 3");
    done.expect("names", "failed", "the certificate cannot be read: UnsupportedCertVersion");
    done.expect("usages", "good", "it does not restrict them");
    insta::assert_snapshot!(told);
}

/// Adds the checks that failed.
fn table(told: &mut String, name: &str, port: u16, beside: &Path, arguments: &[&str]) {
    let done = verify(port, beside, arguments);
    assert_eq!(done.code, Some(1), "{name}: {}", done.said);
    writeln!(told, "{name}").unwrap();
    for check in done.report["checks"].as_array().unwrap().iter().filter(|check| check["verdict"] == "failed") {
        let text = |key: &str| check[key].as_str().unwrap();
        writeln!(told, "  {:<11}{}", text("check"), text("message")).unwrap();
    }
}
