//! A VM of the user's own, `examples/inject-own-vm`, whose mongod knows nothing of TLS: after `tandem-vm inject` it serves the
//! Secret, from a filesystem, and takes nobody without TLS or without a certificate. Its mongod.conf is as it was. Having booted,
//! it takes what `--guest-script` prints: another mode, and the same for PostgreSQL and Redis, as Debian's packages have them.

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};
use tandem_tests::{
    guests::{
        Extras,
        clients::{MongoClient, served},
    },
    sharing::rendered,
    tools,
};

use crate::{
    rotation::Database,
    scenario::{Guest, Scenario, example},
};

const SECRET: &str = "shop-db-tls";

/// What the owner has written to mongod.conf.
const CONFIGURATION: &str = "storage: {dbPath: /var/lib/mongodb}
systemLog: {destination: file, path: /var/log/mongodb/mongod.log, logAppend: true}
net: {bindIp: 0.0.0.0, port: 27017}
";

/// The example, in this namespace. Its image has mongod, which is started while it boots, before cloud-init has written
/// anything: so it runs without TLS at first.
fn manifest(namespace: &str) -> Result<String> {
    let golden = format!(
        "              bootcmd:\n                - |\n                    cat >/etc/mongod.conf <<'END'\n{}                    END\n                    \
         systemctl start --no-block mongod\n              write_files:\n                - path: /etc/tandem/mongodb-credentials\n                  \
         permissions: \"0600\"\n                  content: |\n                    rotation\n                    of the test\n",
        CONFIGURATION.lines().map(|line| format!("                    {line}\n")).collect::<String>(),
    );
    example(
        "inject-own-vm/vm.yaml",
        &[
            ("  namespace: shop\n", &format!("  namespace: {namespace}\n")),
            (
                "          persistentVolumeClaim:\n            claimName: shop-db-root\n",
                "          containerDisk:\n            image: shop-db\n",
            ),
            (
                "              masquerade: {}\n",
                "              masquerade: {}\n              ports:\n                - port: 27017\n",
            ),
            ("              packages:\n                - mongodb-org   # 8.0, from our mirror\n", &golden),
        ],
    )
}

fn inject(file: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(tools::program("tandem-vm")?);
    tools::output(command.arg("inject").args(arguments).arg("--in-place").arg(file))?;
    Ok(std::fs::read_to_string(file)?)
}

/// Runs in the guest what `--guest-script` prints for these options.
fn run_script(guest: &mut Guest, file: &Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new(tools::program("tandem-vm")?);
    command.args(["inject", "--secret", SECRET, "--os", "debian", "--delivery", "filesystem", "--guest-script"]);
    let script = tools::output(command.args(options).arg(file))?;
    let done = guest.machine.try_shell(&script)?;
    ensure!(done.code == 0, "{options:?}: the script ended with {}: {}", done.code, done.said);
    Ok(())
}

/// PostgreSQL and Redis, which run without the Secret, serve it after the script, to those whom their configurations let in.
fn assert_databases_take_it(guest: &mut Guest, file: &Path, host: &str) -> Result<()> {
    guest.machine.shell("systemctl start postgresql@15-main.service redis-server.service && redis-cli ping")?;
    let configurations = "cat /etc/postgresql/15/main/*.conf /etc/redis/redis.conf | sha256sum";
    let before = guest.machine.shell(configurations)?;
    run_script(guest, file, &["--database", "postgresql"])?;
    run_script(guest, file, &["--database", "redis", "--client-auth", "Required"])?;
    for (folder, connect) in [("postgresql", "127.0.0.1:5432 -starttls postgres"), ("redis", "127.0.0.1:6379")] {
        guest.machine.shell(&format!(
            "served=$(openssl s_client -connect {connect} -CAfile /etc/ssl/{folder}/ca.crt -verify_return_error \
             -verify_hostname {host} </dev/null 2>/dev/null | openssl x509) &&
             test \"$served\" = \"$(openssl x509 -in /etc/ssl/{folder}/tls.crt)\""
        ))?;
    }
    let ssl = "runuser -u postgres -- psql -XAt -h 127.0.0.1 'sslmode=disable' -c 'show ssl' 2>&1 || :";
    let told = guest.machine.shell(ssl)?;
    // Debian's pg_hba.conf asks for a password there, with TLS and without.
    ensure!(told.contains("password"), "without TLS PostgreSQL says: {told}");
    let tls = "redis-cli --tls --cacert /etc/ssl/redis/ca.crt";
    let known = "--cert /etc/ssl/redis/tls.crt --key /etc/ssl/redis/tls.key";
    for (client, is_let_in) in
        [(format!("{tls} {known}"), true), (tls.to_owned(), false), ("redis-cli".to_owned(), false)]
    {
        let told = guest.machine.try_shell(&format!("{client} ping 2>&1"))?.said;
        ensure!((told.trim_end() == "PONG") == is_let_in, "{client}: {told}");
    }
    ensure!(guest.machine.shell(configurations)? == before, "the owner's configuration was changed");
    Ok(())
}

#[test]
fn a_mongod_that_knew_nothing_of_tls_serves_the_secret_after_inject_and_follows_it_with_no_connection_dropped()
-> Result<()> {
    let Some(scenario) = Scenario::new("inject")? else { return Ok(()) };
    let (parts, namespace) = (&scenario.parts, &scenario.space.name);
    let host = format!("shop-db.{namespace}.svc.cluster.local");
    let issuer = "issuerRef: {group: pki.tandem.internal, kind: TandemClusterIssuer, name: internal-ca}";
    scenario.apply(&format!(
        "{{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {{name: shop-db}}, spec: {{secretName: {SECRET},
          dnsNames: [{host}], privateKey: {{rotationPolicy: Always}}, {issuer}}}}}
---
{{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {{name: app}}, spec: {{secretName: app,
          commonName: app, usages: [digital signature, client auth], privateKey: {{rotationPolicy: Always}}, {issuer}}}}}"
    ))?;
    let original = manifest(namespace)?;
    let file = scenario.file("vm.yaml", &[original.as_bytes()])?;
    let mut arguments = vec!["--secret", SECRET, "--database", "mongodb", "--os", "debian"];
    arguments.extend(["--delivery", "filesystem", "--client-auth", "Required"]);
    arguments.extend(["--credentials", "/etc/tandem/mongodb-credentials"]);
    let injected = inject(&file, &arguments)?;
    ensure!(inject(&file, &["--remove"])? == original, "--remove does not give back the manifest as it was");
    let vm = rendered::find(&scenario.apply(&injected)?, "VirtualMachine")?.clone();
    let mut guest = scenario.boot(vm, SECRET, Extras::default())?;
    let (port, ca) = (guest.machine.port(), guest.ca.clone());

    let certificate = scenario.client_certificate(&guest.secrets, "app")?;
    let friend = MongoClient { host, ca: Some(ca.clone()), certificate: Some(certificate.clone()) };
    let mut held = friend.start(parts, port)?;
    held.run("ping")?;
    for (client, why) in [
        (MongoClient { ca: None, certificate: None, ..friend.clone() }, "connection closed"),
        (MongoClient { certificate: None, ..friend.clone() }, "certificate required"),
    ] {
        let told = client.refused(parts, port)?;
        ensure!(told.contains(why), "{client:?}: not for {why}: {told}");
    }
    let kept = guest.machine.shell("cat /etc/mongod.conf")?;
    ensure!(kept == CONFIGURATION.trim_end(), "the owner's mongod.conf was changed:\n{kept}");

    // The user whose name and password are in the credential file: its owner makes it.
    held.run("create-user rotation of the test")?;
    let mut ask = || {
        let answer = held.run("ping")?;
        Ok(format!("{} opened, {} closed", answer["opened"], answer["closed"]))
    };
    let database =
        Database { certificate: "shop-db", secret: SECRET, served: &|| served(port, None, &ca, Some(&certificate)) };
    database.assert_follows(&scenario, &mut guest, &mut ask)?;
    let log = guest.machine.shell("cat /var/log/mongodb/mongod.log")?;
    ensure!(log.contains("rotateCertificates by rotation: done"), "nobody asked for it by name:\n{log}");

    // By the script, for it has booted before: those without TLS are let in again, and those with it still.
    run_script(&mut guest, &file, &["--database", "mongodb", "--tls-mode", "allowTLS"])?;
    for client in [MongoClient { ca: None, certificate: None, ..friend.clone() }, friend.clone()] {
        client.start(parts, port)?.run("ping")?;
    }
    assert_databases_take_it(&mut guest, &file, &friend.host)
}
