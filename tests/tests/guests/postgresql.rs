//! PostgreSQL in a VM: `examples/postgresql-vm`, the real server and the real psql, with the Secret on a filesystem.

use anyhow::{Result, ensure};
use rcgen::PKCS_ECDSA_P256_SHA256;
use tandem_tests::{
    certificates::root_ca,
    guests::{
        Machine,
        clients::{PostgresClient, served},
    },
    sharing::rendered,
    tools::root,
};

use crate::{
    rotation::{Database, filesystem},
    scenario::{Scenario, entry},
};

const SECRET: &str = "orders-tls";

/// The example, with what a guest without a network asks for: PostgreSQL is in its image. The application's role gets a
/// password, which the example leaves to the reader.
fn example() -> Result<String> {
    let mut document = std::fs::read_to_string(root().join("examples/postgresql-vm/databasevm.yaml"))?;
    for (theirs, ours) in [
        ("      clientAuth: Optional\n", "      clientAuth: Optional\n      install: Image\n"),
        ("    packages: [postgresql-contrib]\n", ""),
    ] {
        ensure!(document.contains(theirs), "the example has no line {theirs}");
        document = document.replace(theirs, ours);
    }
    // The list of commands is the example's end.
    let role = "      - [runuser, -u, postgres, --, psql, --command, \"alter role app password 'of the test'\"]\n";
    document.push_str(role);
    Ok(document)
}

#[test]
fn libpq_verifies_the_guest_fully_and_a_renewed_secret_is_served_with_no_connection_dropped() -> Result<()> {
    let Some(scenario) = Scenario::new("postgresql")? else { return Ok(()) };
    let objects = scenario.render(&example()?, "shop")?;
    let vm = rendered::find(&objects, "VirtualMachine")?;
    let secrets = scenario.secrets()?;
    let mut machine = Machine::start(&scenario.parts, vm, &secrets, scenario.home(), None)?;
    machine.wait_booted()?;
    let port = machine.port();

    let ca = scenario.file("ca.crt", &[entry(&secrets, SECRET, "ca.crt")?])?;
    let stranger = root_ca("A stranger", &PKCS_ECDSA_P256_SHA256)?.as_ref().pem();
    let strange_ca = scenario.file("stranger.crt", &[stranger.as_bytes()])?;
    let host = format!("orders.{}.svc.cluster.local", scenario.space.name);
    let client = |host: &str, mode: &str, ca: &std::path::Path| PostgresClient {
        parameters: format!(
            "host={host} dbname=orders user=app password='of the test' sslmode={mode} sslrootcert={}",
            ca.display()
        ),
    };
    let friend = client(&host, "verify-full", &ca);
    let tls = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    ensure!(friend.query(port, tls)? == "t", "connected without TLS");
    for (client, why) in [
        (client(&host, "disable", &ca), "no encryption"),
        (client(&host, "verify-full", &strange_ca), "certificate verify failed"),
        (client("orders.example.com", "verify-full", &ca), "does not match host name"),
    ] {
        let told = client.query(port, tls).err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(told.contains(why), "{client:?}: not for {why}: {told}");
    }
    let rights = machine.shell("cd /etc/ssl/postgresql && stat -c '%a %U %n' tls.key tls.crt ca.crt")?;
    ensure!(rights == "400 postgres tls.key\n644 root tls.crt\n644 root ca.crt", "{rights}");
    let data = machine.shell("findmnt --noheadings --output FSTYPE /var/lib/postgresql")?;
    ensure!(data == "xfs", "the data is on {data}");

    let mut held = friend.start(port)?;
    let database = Database {
        certificate: "orders-cert",
        secret: SECRET,
        filesystem: filesystem(vm)?,
        served: &|| served(port, Some("postgres"), &ca, None),
    };
    database.assert_follows(&scenario, &secrets, &mut machine, || held.say("select pg_backend_pid();"))
}
