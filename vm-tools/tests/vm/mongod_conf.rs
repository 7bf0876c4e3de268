//! `mongod-conf`: what is changed, and how files are replaced.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Output;

use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::support::{output, output_of, said};

/// As a package brings it, and somebody has worked on it.
pub(crate) const CONF: &str = "\
# mongod.conf of the orders database
# Ask the storage team before you change anything below storage.

storage:
  dbPath: /var/lib/mongo   # its own disk
  wiredTiger:
    engineConfig: {cacheSizeGB: 2}

systemLog:
  destination: file
  logAppend:  true
  path: '/var/log/mongodb/mongod.log'

# network interfaces
net:
  port: 27017
  bindIp: 127.0.0.1  # Listen to local interface only, comment to listen on all interfaces.
  compression:
    compressors: \"zstd,snappy\"

processManagement:
  fork: true
  timeZoneInfo: /usr/share/zoneinfo

#security:
#  keyFile: /old/key

#replication:
setParameter: &parameters
  diagnosticDataCollectionEnabled: yes
";

/// Runs the command with a text on standard input.
pub(crate) fn run(text: &str, args: &[&str]) -> Output {
    let mut command = tandem_vm();
    command.args(["mongod-conf", "-"]).args(args);
    output_of(&mut command, text.as_bytes())
}

/// The changed text; nothing is warned of.
pub(crate) fn changed(text: &str, args: &[&str]) -> String {
    let done = run(text, args);
    assert!(done.status.success() && done.stderr.is_empty(), "{text}: {}", said(&done));
    String::from_utf8(done.stdout).unwrap()
}

pub(crate) const TLS: [&str; 6] = ["--mode", "requireTLS", "--cert", "/etc/ssl/mongodb.pem", "--ca", "/etc/ssl/ca.crt"];

#[test]
fn the_diff_is_what_was_asked_for_and_nothing_else() {
    let args = [
        &TLS[..],
        &["--allow-connections-without-certificates", "--bind-ip", "0.0.0.0", "--port", "27018", "--repl-set", "rs0"],
        &["--key-file", "/etc/mongodb.key", "--cluster-auth-mode", "keyFile", "--set", "net.ipv6=true", "--diff"],
    ];
    insta::assert_snapshot!(changed(CONF, &args.concat()));
}

#[test]
fn twice_is_once() {
    let once = changed(CONF, &[&TLS[..], &["--repl-set", "7"]].concat());
    assert_eq!(changed(&once, &[&TLS[..], &["--repl-set", "7"]].concat()), once);
    assert!(once.contains("replSetName: '7'\n"), "{once}");
}

#[test]
fn the_exit_code_of_a_diff_tells_whether_something_would_change_and_it_is_said_that_nothing_does() {
    let diff = |text: &str, more: &[&str]| {
        let done = run(text, &[&TLS[..], &["--diff"], more].concat());
        (done.status.code().unwrap(), done.stdout.is_empty(), said(&done))
    };
    let (code, empty, _) = diff(CONF, &["--exit-code"]);
    assert_eq!((code, empty, diff(CONF, &[]).0), (1, false, 0));
    let nothing = "tandem-vm: standard input: nothing to change\n";
    assert_eq!(diff(&changed(CONF, &TLS), &["--exit-code"]), (0, true, nothing.to_owned()));
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("mongod.conf");
    fs::write(&file, changed(CONF, &TLS)).unwrap();
    let mut command = tandem_vm();
    let done = output(command.arg("mongod-conf").arg(&file).args(TLS).arg("--in-place"));
    assert_eq!(said(&done), format!("tandem-vm: {}: nothing to change\n", file.display()));
}

/// mongod takes a quoted number for a number, so it stays quoted.
#[test]
fn a_setting_that_is_right_stays_as_it_is_written() {
    let text = "net:\n  port: \"27017\"  # quoted\n  bindIp: 'localhost,::1'\n";
    assert_eq!(changed(text, &["--port", "27017", "--bind-ip", "localhost,::1"]), text);
}

#[test]
fn an_empty_file_and_empty_sections_are_filled() {
    assert_eq!(changed("", &["--port", "1"]), "net:\n  port: 1\n");
    assert_eq!(changed("# mine\n", &["--port", "1"]), "# mine\nnet:\n  port: 1\n");
    assert_eq!(changed("net:\n# end\n", &["--port", "1"]), "net:\n  port: 1\n# end\n");
    assert_eq!(changed("net: {}\n", &["--port", "1"]), "net:\n  port: 1\n");
    assert_eq!(changed("net:\n  port: # none\n", &["--port", "1"]), "net:\n  port: 1 # none\n");
}

/// Where the packages' files keep a place by a comment, the section takes it; otherwise it comes last, as the others stand.
#[test]
fn a_new_section_stands_where_somebody_would_write_it() {
    let args = ["--repl-set", "rs0", "--key-file", "/etc/key"];
    let packaged = "net:\n  port: 1\n\n\n#security:\n\n#operationProfiling:\n\n# replication:\n#  replSetName: a\n\n## The end\n#auditLog:\n";
    let written = packaged
        .replace("#security:\n", "security:\n  keyFile: /etc/key\n")
        .replace("# replication:\n", "replication:\n  replSetName: rs0\n");
    assert_eq!(changed(packaged, &args), written);
    assert_eq!(changed(&packaged.replace('\n', "\r\n"), &args), written.replace('\n', "\r\n"));
    // A comment that is further in belongs to the section above; columns and blank lines are as in the others.
    let own = "net:\n    port: 1\n\nstorage:\n    dbPath: /srv\n    # journal: no\n\n# The end\n";
    let inserted = "\nreplication:\n    replSetName: rs0\n\nsecurity:\n    keyFile: /etc/key\n";
    assert_eq!(changed(own, &args), own.replace("no\n", &format!("no\n{inserted}")));
    assert_eq!(
        changed(own, &[&TLS[..], &["--set", "net.ipv6=true"]].concat()),
        own.replace(
            "port: 1\n",
            "port: 1\n    tls:\n        mode: requireTLS\n        certificateKeyFile: /etc/ssl/mongodb.pem\n        CAFile: \
             /etc/ssl/ca.crt\n    ipv6: true\n"
        )
    );
    let close = "net:\n  port: 1\nstorage:\n  dbPath: /srv";
    let last = "replication:\n  replSetName: rs0\nsecurity:\n  keyFile: /etc/key";
    assert_eq!(changed(close, &args), format!("{close}\n{last}"));
    // Comments below one that keeps a place stay below the section that takes it, and before those that come last.
    let replaced = "storage:\n  dbPath: /data\n#replication:\n#  replSetName: prod\n#\toplogSizeMB: 2048\n# The end\n";
    let written = replaced
        .replace("#replication:\n", "replication:\n  replSetName: rs0\n")
        .replace("2048\n", "2048\nsecurity:\n  keyFile: /etc/key\n");
    assert_eq!(changed(replaced, &args), written);
    assert_eq!(changed(&written, &args), written);
    assert_eq!(changed(replaced, &args[2..]), replaced.replace("/data\n", "/data\nsecurity:\n  keyFile: /etc/key\n"));
    // Two places, and one within something else.
    let two = "net:\n  port: 1\n#security:\n# security:\n";
    assert_eq!(changed(two, &args[2..]), two.replace("1\n", "1\nsecurity:\n  keyFile: /etc/key\n"));
    let text = "setParameter: {a: 1,\n#security:\n  b: 2}\n";
    assert_eq!(changed(text, &args[2..]), format!("{text}security:\n  keyFile: /etc/key\n"));
}

#[test]
fn line_breaks_and_missing_ones_stay() {
    assert_eq!(
        changed("net:\r\n  port: 1 # a\r\n", &["--port", "2", "--set", "net.ipv6=false"]),
        "net:\r\n  port: 2 # a\r\n  ipv6: false\r\n"
    );
    assert_eq!(changed("net:\n  port: 1", &["--port", "2"]), "net:\n  port: 2");
}

#[test]
fn every_setting_can_be_set_and_mongod_reads_what_was_meant() {
    let values = |setting: &str| match setting {
        "net.bindIp" => "localhost,10.0.0.5,fe80::1,/run/mongod.sock,*",
        "net.port" | "net.maxIncomingConnections" | "replication.oplogSizeMB" => "990",
        "net.tls.mode" => "preferTLS",
        "net.tls.disabledProtocols" | "net.tls.logVersions" => "TLS1_0,TLS1_1",
        "replication.replSetName" => "rs0",
        "security.clusterAuthMode" => "x509",
        "security.authorization" => "enabled",
        name if name.ends_with("File") || name.ends_with("Prefix") => "/etc/ssl/a file.pem",
        _ => "true",
    };
    let sets: Vec<_> =
        tandem_vm::mongod_conf::SETTINGS.iter().map(|setting| (setting.name, values(setting.name))).collect();
    let args: Vec<_> = sets.iter().flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")]).collect();
    let text = changed(CONF, &args.iter().map(String::as_str).collect::<Vec<_>>());
    let read: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    for (name, value) in sets {
        let found = read.pointer(&format!("/{}", name.replace('.', "/"))).unwrap();
        assert_eq!(found.as_str().map_or_else(|| found.to_string(), str::to_owned), value, "{name}");
    }
}

#[test]
fn json_says_what_was_changed() {
    let done = run(CONF, &["--port", "27018", "--set", "net.ipv6=true", "--bind-ip", "127.0.0.1", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let expected = serde_json::json!({
        "changes": [
            { "setting": "net.port", "before": 27017, "after": 27018 },
            { "setting": "net.ipv6", "before": null, "after": true },
        ],
        "warnings": [],
    });
    assert_eq!(report, expected);
}

#[test]
fn a_file_is_replaced_with_its_mode_and_owner() {
    let folder = TempDir::new().unwrap();
    let (file, link) = (folder.path().join("real.conf"), folder.path().join("mongod.conf"));
    fs::write(&file, CONF).unwrap();
    symlink("real.conf", &link).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let root = fs::metadata(&file).unwrap().uid() == 0;
    if root {
        chown(&file, Some(1234), Some(4321)).unwrap();
    }
    let before = fs::metadata(&file).unwrap();
    let in_place = |port: &str| output(tandem_vm().arg("mongod-conf").arg(&link).args(["--in-place", "--port", port]));
    let done = in_place("27018");
    assert!(done.status.success() && said(&done).is_empty(), "{}", said(&done));
    assert_eq!(fs::read_to_string(&file).unwrap(), CONF.replace("port: 27017", "port: 27018"));
    let after = fs::metadata(&file).unwrap();
    let rights = |found: &fs::Metadata| (found.mode() & 0o7777, found.uid(), found.gid());
    assert_eq!(rights(&after), rights(&before));
    assert_eq!(fs::read_link(&link).unwrap().to_str(), Some("real.conf"));
    // What is right already is not written at all.
    assert!(in_place("27018").status.success());
    assert_eq!(fs::metadata(&file).unwrap().ino(), after.ino());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_file_stays_as_it_is_when_it_cannot_be_replaced_or_the_change_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("mongod.conf");
    fs::write(&file, CONF).unwrap();
    let in_place = |args: &[&str]| output(tandem_vm().arg("mongod-conf").arg(&file).arg("--in-place").args(args));
    assert_eq!(in_place(&["--mode", "requireTLS"]).status.code(), Some(2));
    assert_eq!(fs::read_to_string(&file).unwrap(), CONF);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // Not even root can make a file beside this one.
    let done = output(tandem_vm().args(["mongod-conf", "/proc/self/mountinfo", "--in-place", "--port", "1"]));
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    let done = run(CONF, &["--in-place", "--port", "1"]);
    assert_eq!(
        (done.status.code(), said(&done).as_str()),
        (Some(2), "tandem-vm: --in-place: standard input has no place; name a file\n")
    );
}
