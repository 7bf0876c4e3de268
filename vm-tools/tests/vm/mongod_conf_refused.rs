//! `mongod-conf`: files that cannot be edited safely, settings with which mongod would not start, and wrong arguments; what is said of
//! each.

use crate::mongod_conf::{CONF, TLS, changed, run};
use crate::support::said;

fn refused(text: &str, args: &[&str], lines: &[&str]) {
    let done = run(text, args);
    let expected: String = lines.iter().map(|line| format!("tandem-vm: standard input: {line}\n")).collect();
    assert_eq!((done.status.code(), said(&done)), (Some(2), expected), "{text}");
}

fn wrong_arguments(args: &[&str], lines: &[&str]) {
    let done = run(CONF, args);
    let expected: String = lines.iter().map(|line| format!("tandem-vm: {line}\n")).collect();
    assert_eq!((done.status.code(), said(&done)), (Some(2), expected), "{args:?}");
}

#[test]
fn files_that_cannot_be_edited_safely() {
    let port = ["--port", "1"];
    let ini = "is in the old format, key = value; write it as YAML first, \
               such as port = 27017 as net: and below it port: 27017";
    refused("# old\nport = 27017\nbind_ip=127.0.0.1\n", &port, &[ini]);
    refused("\u{feff}net:\n", &port, &["begins with a byte order mark; save the file without"]);
    refused("net:\n  port: 1\0\n", &port, &["has a NUL byte, with which mongod does not start; take it out"]);
    refused("- net\n", &port, &["is no mapping; write sections such as net: and below them their settings"]);
    refused("net\n", &port, &["is no mapping; write sections such as net: and below them their settings"]);
    refused("a: 1\n---\nb: 1\n", &port, &["holds several documents; give one"]);
    refused(
        "net: {port: 2}\n",
        &port,
        &["net: is in flow style ({…} or […]); write it in block style, a line for each entry"],
    );
    refused(
        "{\"net\": {\"port\": 2}}\n",
        &port,
        &["the document: is in flow style ({…} or […]); write it in block style, a line for each entry"],
    );
    refused(
        "a: &net\n  port: 1\nnet: *net\n",
        &["--port", "2"],
        &["net: is an alias (*…); write the value out in its place"],
    );
    refused(
        "net: &net\n  port: 1\nb: *net\n",
        &["--port", "2"],
        &["net: has an anchor (&…); write the value without it, and out where it is used"],
    );
    refused("net:\n  - port\n", &port, &["net: is no mapping; write its fields as key: value"]);
    refused("net: 5\n", &port, &["net: is no mapping; write its fields as key: value"]);
}

#[test]
fn files_that_are_not_yaml() {
    for (text, expected) in [
        ("net:\n  port: 1\n  port: 2\n", "twice"),
        ("net:\n\tport: 1\n", "not readable as YAML"),
        ("net:\n  bindIp: [\n", "not readable as YAML"),
        ("net: !a\n  port: 2\n", "without a tag"),
        ("net:\n  port: \u{7}\n", "not readable as YAML"),
        ("%YAML 1.1\n", "not readable as YAML"),
        ("net:\n  ? port\n  : 2\n  <<: *none\n", "not readable as YAML"),
    ] {
        let done = run(text, &["--port", "1"]);
        assert_eq!(done.status.code(), Some(2), "{text:?}: {}", said(&done));
        assert!(done.stdout.is_empty() && said(&done).contains(expected), "{text:?}: {}", said(&done));
        assert_eq!(said(&done).lines().count(), 1, "{text:?}: {}", said(&done));
    }
}

#[test]
fn what_mongod_fetches_when_it_starts() {
    let message =
        "is fetched by mongod when it starts (__rest or __exec); change it where it comes from, or write it out here";
    refused(
        "net:\n  port:\n    __exec: /usr/bin/port\n    type: yaml\n",
        &["--port", "1"],
        &[&format!("net.port: {message}")],
    );
    refused("net:\n  __rest: 'https://conf.example/net'\n", &["--port", "1"], &[&format!("net: {message}")]);
    refused(
        "__rest: 'https://conf.example/all'\ntype: yaml\n",
        &["--port", "1"],
        &[&format!("the document: {message}")],
    );
    let elsewhere = "security:\n  keyFile:\n    __exec: key\nnet:\n  port: 1\n";
    assert_eq!(changed(elsewhere, &["--port", "2"]), elsewhere.replace("port: 1", "port: 2"));
}

#[test]
fn names_with_dots() {
    let message = "is written as one key with dots; write sections within each other, each on a line of its own";
    refused("net.port: 1\n", &["--port", "2"], &[&format!("net.port: {message}")]);
    refused("net.tls:\n  mode: disabled\n", &["--port", "2", "--mode", "disabled"], &[&format!("net.tls: {message}")]);
    refused("net:\n  tls.mode: disabled\n", &["--mode", "disabled"], &[&format!("net.tls.mode: {message}")]);
    assert_eq!(changed("net.ipv6: true\n", &["--port", "2"]), "net.ipv6: true\nnet:\n  port: 2\n");
}

/// One file never speaks of two modes.
#[test]
fn the_names_of_before_42() {
    let old = "net:\n  ssl:\n    mode: requireSSL\n    PEMKeyFile: /a.pem\n    CAFile: /ca.crt\n";
    refused(
        old,
        &["--mode", "requireTLS"],
        &["net.ssl: are the names of before MongoDB 4.2, and no others are written beside them; \
         rename net.ssl.CAFile to net.tls.CAFile, net.ssl.PEMKeyFile to net.tls.certificateKeyFile, \
         net.ssl.mode to net.tls.mode, and in the mode SSL to TLS"],
    );
    // They count as what they stand for.
    let done = run(old, &["--cluster-auth-mode", "x509", "--diff"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(
        String::from_utf8(done.stderr).unwrap(),
        "tandem-vm: warning: standard input: net.ssl: are the names of before MongoDB 4.2, which are deprecated; \
         rename them to those of net.tls\n"
    );
}

#[test]
fn settings_that_exclude_each_other() {
    refused(
        "net:\n  bindIpAll: true\n",
        &["--bind-ip", "::1"],
        &["net.bindIpAll: excludes net.bindIp; take it out first"],
    );
    refused(
        "net:\n  tls:\n    mode: requireTLS\n    certificateSelector: subject=a\n",
        &["--cert", "/a.pem"],
        &["net.tls.certificateSelector: excludes net.tls.certificateKeyFile; take it out first"],
    );
    refused(
        "net:\n  tls:\n    weakCertificateValidation: true\n",
        &["--allow-connections-without-certificates=false"],
        &["net.tls.weakCertificateValidation: excludes net.tls.allowConnectionsWithoutCertificates; take it out first"],
    );
    let off = "net:\n  bindIp: ::1\n  bindIpAll: false\n";
    assert_eq!(changed(off, &["--bind-ip", "127.0.0.1"]), off.replace("::1", "127.0.0.1"));
}

#[test]
fn authorization_in_a_replica_set_needs_what_its_members_know_each_other_by() {
    let enabled = "security:\n  authorization: enabled\n";
    let missing = "security.keyFile: is missing, and mongod does not start with security.authorization in a replica set without it; set it too, \
                   or security.clusterAuthMode to x509";
    refused(enabled, &["--repl-set", "rs0"], &[missing]);
    refused("replication:\n  replSetName: rs0\n", &["--set", "security.authorization=enabled"], &[missing]);
    refused(
        CONF,
        &["--set", "security.transitionToAuth=true"],
        &[
            "security.keyFile: is missing, and security.transitionToAuth needs it; set it too, or security.clusterAuthMode to x509",
        ],
    );
    for more in [vec!["--key-file", "/etc/key"], [&TLS[..], &["--cluster-auth-mode", "x509"]].concat()] {
        let text =
            changed(enabled, &[&["--repl-set", "rs0", "--set", "security.transitionToAuth=true"][..], &more].concat());
        assert!(text.contains("replSetName: rs0"), "{text}");
    }
    // It did not start before either, which is said.
    let done = run(&format!("{enabled}replication:\n  replSetName: rs0\n"), &["--port", "1"]);
    assert!(
        done.status.success() && said(&done).contains(&format!("warning: standard input: {missing}")),
        "{}",
        said(&done)
    );
}

#[test]
fn what_would_keep_mongod_from_starting() {
    refused(
        CONF,
        &["--cert", "/a.pem", "--ca", "/ca.crt", "--allow-connections-without-certificates"],
        &["net.tls.mode: is missing, and mongod does not start with net.tls.certificateKeyFile, net.tls.CAFile, \
         net.tls.allowConnectionsWithoutCertificates then; set it to requireTLS, or take the others out"],
    );
    let tls = changed(CONF, &TLS);
    refused(
        &tls,
        &["--mode", "disabled"],
        &[
            "net.tls.mode: is disabled, and mongod does not start with net.tls.certificateKeyFile, net.tls.CAFile then; \
         set it to requireTLS, or take the others out",
        ],
    );
    refused(
        CONF,
        &["--mode", "preferTLS"],
        &[
            "net.tls.certificateKeyFile: is missing, and net.tls.mode is preferTLS; set it too",
            "net.tls.CAFile: is missing, and net.tls.mode is preferTLS: mongod of 4.4.29, 5.0.25, 6.0.14, 7.0.6 and later does not \
             start without a chain of trust; set it too",
        ],
    );
    for mode in ["allowTLS", "preferTLS", "requireTLS"] {
        let refusal = format!(
            "net.tls.CAFile: is missing, and net.tls.mode is {mode}: mongod of 4.4.29, 5.0.25, 6.0.14, 7.0.6 and later does not \
             start without a chain of trust; set it too"
        );
        refused(CONF, &["--mode", mode, "--cert", "/a.pem"], &[&refusal]);
    }
    // The system's CAs are one.
    let system = "setParameter:\n  tlsUseSystemCA: true\n";
    assert!(changed(system, &["--mode", "requireTLS", "--cert", "/a.pem"]).contains("requireTLS"));
    refused(
        CONF,
        &["--mode", "allowTLS", "--cert", "/a.pem", "--set", "net.tls.CRLFile=/crl.pem"],
        &["net.tls.CAFile: is missing, and net.tls.CRLFile needs it; set it too"],
    );
    refused(
        CONF,
        &["--cluster-auth-mode", "x509"],
        &["security.clusterAuthMode: x509 needs TLS; set net.tls.mode too"],
    );
    refused(
        CONF,
        &["--cluster-auth-mode", "x509", "--mode", "requireTLS", "--cert", "/a.pem"],
        &["net.tls.CAFile: is missing, and security.clusterAuthMode x509 needs it; set it too"],
    );
    refused(
        &tls,
        &["--cluster-auth-mode", "sendX509", "--mode", "allowTLS"],
        &["security.clusterAuthMode: sendX509 needs TLS between members, which net.tls.mode allowTLS does not use; \
         set preferTLS or requireTLS"],
    );
    refused(
        &tls,
        &["--cluster-auth-mode", "sendKeyFile"],
        &["security.keyFile: is missing, and security.clusterAuthMode is sendKeyFile; set it too"],
    );
    // What was broken before is told, but in nobody's way.
    let done = run("net:\n  tls:\n    mode: requireTLS\n", &["--port", "2"]);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(
        String::from_utf8(done.stderr).unwrap(),
        "tandem-vm: warning: standard input: net.tls.certificateKeyFile: is missing, and net.tls.mode is requireTLS; \
         set it too\ntandem-vm: warning: standard input: net.tls.CAFile: is missing, and net.tls.mode is requireTLS: mongod of \
         4.4.29, 5.0.25, 6.0.14, 7.0.6 and later does not start without a chain of trust; set it too\n"
    );
}

#[test]
fn values_that_mongod_would_not_take() {
    wrong_arguments(
        &["--cert", "mongodb.pem", "--port", "0", "--set", "net.ipv6", "--set", "net.port=1"],
        &[
            "--cert: net.tls.certificateKeyFile: `mongodb.pem`: write the absolute path of a file in the guest, \
         such as /etc/ssl/mongodb.pem",
            "--port: net.port: `0`: write a number from 1 to 65535",
            "--set: write SETTING=VALUE, such as net.ipv6=true",
        ],
    );
    wrong_arguments(&["--port", "1", "--set", "net.port=1"], &["--set: net.port is set twice; set it once"]);
    wrong_arguments(&["--port", "65536"], &["--port: net.port: `65536`: write a number from 1 to 65535"]);
    let addresses = "write IP addresses or host names separated by commas, such as 127.0.0.1,10.0.0.5";
    for wrong in ["", "a b", "127.0.0.1,", "10.0.0.256", "https://a", "[::1]"] {
        wrong_arguments(&["--bind-ip", wrong], &[&format!("--bind-ip: net.bindIp: `{wrong}`: {addresses}")]);
    }
    wrong_arguments(
        &["--repl-set", "rs0/host"],
        &[
            "--repl-set: replication.replSetName: `rs0/host`: write a name without blanks, quotes, slashes and commas, such as rs0",
        ],
    );
    wrong_arguments(
        &["--key-file", "/etc/schlüssel"],
        &[
            "--key-file: security.keyFile: has characters other than printable ASCII, which is all that mongod reads; use others",
        ],
    );
    wrong_arguments(
        &["--set", "net.tls.cafile=/a"],
        &["--set: net.tls.cafile: is not a setting that is changed here; did you mean net.tls.CAFile?"],
    );
    wrong_arguments(&["--set", "net.ipv6=yes"], &["--set: net.ipv6: `yes`: write true or false"]);
    wrong_arguments(
        &["--set", "net.tls.disabledProtocols=TLS1_0, TLS1_1"],
        &["--set: net.tls.disabledProtocols: `TLS1_0, TLS1_1`: write none, or some of TLS1_0,TLS1_1,TLS1_2,TLS1_3 \
         separated by commas"],
    );
    wrong_arguments(
        &["--set", "security.authorization=on"],
        &["--set: security.authorization: `on`: write one of enabled, disabled"],
    );
    let unknown = run(CONF, &["--set", "storage.dbPath=/a"]);
    assert!(
        said(&unknown)
            .contains("storage.dbPath: is not a setting that is changed here; known here: net.bindIp, net.port")
    );
    // A password would stand in the list of processes.
    assert_eq!(run(CONF, &["--set", "net.tls.certificateKeyFilePassword=secret"]).status.code(), Some(2));
    for wrong in
        [&[][..], &["--mode", "require"], &["--cluster-auth-mode", "keyfile"], &["--port", "1", "--diff", "--in-place"]]
    {
        assert_eq!(run(CONF, wrong).status.code(), Some(2), "{wrong:?}");
    }
}
