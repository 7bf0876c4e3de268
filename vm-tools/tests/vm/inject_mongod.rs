//! `inject --database mongodb`: mongod is started with TLS, and its mongod.conf stays the owner's.

use std::process::Output;

use tandem_vm::inject::{self, Database, Input, Options, Os};
use tandem_vm::spec::ClientAuth;

use crate::command::tandem_vm;
use crate::inject::{manifest, options};
use crate::support::{guest_files, output_of, said};

const UNITS: &str = "/etc/systemd/system";

pub(crate) fn run(options: &[&str]) -> Output {
    let mut command = tandem_vm();
    command.args(["inject", "--secret", "shop-tls"]).args(options).arg("-");
    output_of(&mut command, manifest("none.yaml").as_bytes())
}

/// The user data after `inject` with these options for a MongoDB, and what was said.
fn injected(options: &[&str]) -> (String, String) {
    injected_for(&[&["--database", "mongodb"], options].concat())
}

/// The user data after `inject` with these options, and what was said.
pub(crate) fn injected_for(options: &[&str]) -> (String, String) {
    let done = run(options);
    assert!(done.status.success(), "{}", said(&done));
    let stream = String::from_utf8(done.stdout).unwrap();
    let secret = stream.split("---\n").find(|document| document.contains("kind: Secret")).unwrap();
    let secret: serde_json::Value = serde_yaml::from_str(secret).unwrap();
    (secret["stringData"]["userdata"].as_str().unwrap().to_owned(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn mongod_is_started_as_before_with_the_files_and_the_mode_that_was_asked_for() {
    let files = "--tlsCertificateKeyFile /etc/ssl/mongodb.pem --tlsCAFile /etc/ssl/ca.crt";
    let anonymous = "--tlsAllowConnectionsWithoutCertificates";
    for (options, unit, expected, told) in [
        // How the packages of both families start it.
        (
            "--os debian",
            "mongod",
            format!("/usr/bin/mongod --config /etc/mongod.conf --tlsMode requireTLS {files} {anonymous}"),
            "turns away whoever comes without TLS, also on 127.0.0.1; where clients or members of its set cannot do it yet, \
             begin with --tls-mode allowTLS; nobody has to show a certificate",
        ),
        (
            "--os rhel --tls-mode allowTLS --client-auth Required",
            "mongod",
            format!("/usr/bin/mongod $OPTIONS --tlsMode allowTLS {files}"),
            "go on with --tls-mode preferTLS; with TLS, all have to show a certificate",
        ),
        (
            "--os rhel --tls-mode preferTLS --combined /srv/db.pem",
            "mongod",
            format!(
                "/usr/bin/mongod $OPTIONS --tlsMode preferTLS --tlsCertificateKeyFile /srv/db.pem --tlsCAFile /etc/ssl/ca.crt {anonymous}"
            ),
            "go on with --tls-mode requireTLS; nobody has to show a certificate",
        ),
        (
            "--os debian --service mongod@.service --exec-start /opt/mongod\u{a0}-f\u{a0}/srv/%i.conf",
            "mongod@",
            format!("/opt/mongod -f /srv/%i.conf --tlsMode requireTLS {files} {anonymous}"),
            "started with them, by `/opt/mongod -f /srv/%i.conf` and options that win over its configuration\n",
        ),
    ] {
        // A blank that belongs to an argument is written as another one above.
        let options: Vec<_> = options.split(' ').map(|word| word.replace('\u{a0}', " ")).collect();
        let (user_data, said) = injected(&options.iter().map(String::as_str).collect::<Vec<_>>());
        let files = guest_files(&user_data);
        let drop_in = &files[&format!("{UNITS}/{unit}.service.d/tandem-mongod.conf")].content;
        // systemd reads them in the order of their names, and the last ExecStart counts: an empty one takes away those of before.
        assert!("tandem-mongod.conf" > "override.conf" && drop_in.starts_with("[Service]\n"), "{drop_in}");
        assert!(drop_in.ends_with(&format!("\nExecStart=\nExecStart={expected}\n")), "{drop_in}");
        assert!(said.contains(told), "{said}");
        let config: serde_json::Value = serde_yaml::from_str(&user_data).unwrap();
        let commands = config["runcmd"].as_array().unwrap();
        let instances = format!("{}.service", unit.replace('@', "@*"));
        assert_eq!(commands.last().unwrap(), &serde_json::json!(["systemctl", "try-restart", instances]));
    }
}

#[test]
fn mongod_is_left_to_its_file_where_that_is_asked_for() {
    let (user_data, told) = injected(&["--os", "rhel", "--keep-config", "--service", "mongod-a.service"]);
    assert!(!user_data.contains("tlsMode"), "{user_data}");
    let config: serde_json::Value = serde_yaml::from_str(&user_data).unwrap();
    assert_eq!(config["runcmd"].as_array().unwrap().len(), 2, "{}", config["runcmd"]);
    assert!(told.contains("name them in mongod.conf, as `tandem-vm mongod-conf` does\n"), "{told}");
}

#[test]
fn what_mongod_could_not_be_started_with_is_refused() {
    let mongodb = ["--database", "mongodb", "--os", "debian"];
    let mut all = String::new();
    for options in [
        &["--tls-mode", "requireTLS"][..],
        &["--keep-config"],
        &["--database", "postgresql", "--os", "debian", "--client-auth", "Required"],
        &["--database", "postgresql", "--os", "rhel", "--tls-mode", "preferTLS"],
        &["--database", "redis", "--os", "debian", "--service", "valkey-server.service"],
        &["--database", "redis", "--os", "debian", "--endpoint", "localhost"],
        &[&mongodb[..], &["--folder", "/etc/db"]].concat(),
        &[&mongodb[..], &["--service", "mongod-a.service"]].concat(),
        &[&mongodb[..], &["--service", "mongod.service", "--service", "mongod-a.service"]].concat(),
        &[&mongodb[..], &["--exec-start", "mongod -f /etc/mongod.conf"]].concat(),
        &[&mongodb[..], &["--exec-start", "/bin/mongod\n-f /etc/mongod.conf"]].concat(),
        &[&mongodb[..], &["--exec-start", "/bin/sh -c \"exec mongod $OPTIONS\""]].concat(),
        &[&mongodb[..], &["--exec-start", "/bin/mongod --tlsMode disabled"]].concat(),
    ] {
        let done = run(options);
        assert!(done.status.code() == Some(2) && done.stdout.is_empty(), "{options:?}: {}", said(&done));
        all += &format!("{options:?}\n{}\n", said(&done));
    }
    // By the library, and as a function's configuration, at neither of which clap looks.
    let options = Options {
        database: Database::MongoDb,
        os: Some(Os::Rhel),
        client_auth: Some(ClientAuth::Optional),
        keep_config: true,
        ..options("bare")
    };
    let input = Input { name: "vm.yaml".to_owned(), text: manifest("none.yaml") };
    let errors = inject::inject(&[input], &options).err().unwrap();
    all += &errors.iter().map(|error| format!("{error}\n")).collect::<String>();
    let spec = "{secret: tls, database: mongodb, os: rhel, tlsMode: allowTLS, keepConfig: true}";
    let list = crate::krm::list(&manifest("none.yaml"), spec);
    let done = output_of(tandem_vm().arg("krm"), list.as_bytes());
    all += &format!("{spec}\n{}", String::from_utf8(done.stderr).unwrap());
    insta::assert_snapshot!(all);
}
