//! What each check says where it fails, in a table.

use std::{fmt::Write, fs, path::Path};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyUsagePurpose, date_time_ymd};
use tempfile::TempDir;

use super::{
    servers::{Ca, Spoken, ca, client_usage, drain, leaf, s_server, secret},
    verify,
};
use crate::support::tool;

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
