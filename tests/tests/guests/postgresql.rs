//! PostgreSQL in a VM: `examples/postgresql-vm`, the real server and the real psql, with the Secret on a filesystem, and
//! SELinux's labels. Then, in the same guest, Redis.

use std::path::Path;

use anyhow::{Result, ensure};
use tandem_tests::{
    guests::{
        Extras, Machine,
        clients::{PostgresClient, served},
    },
    sharing::rendered,
};

use crate::{
    redis,
    rotation::Database,
    scenario::{Scenario, example},
    selinux,
};

const SECRET: &str = "orders-tls";

/// The example's application has a password, too, which it leaves to the reader.
fn document() -> Result<String> {
    let mut document = example(
        "postgresql-vm/databasevm.yaml",
        &[
            ("      clientAuth: Optional\n", "      clientAuth: Optional\n      install: Image\n"),
            ("    packages: [postgresql-contrib]\n", ""),
        ],
    )?;
    // The list of commands is the example's end.
    let role = "      - [runuser, -u, postgres, --, psql, --command, \"alter role app password 'of the test'\"]\n";
    document.push_str(role);
    Ok(document)
}

/// In one test, for each boot takes a minute: PostgreSQL, and Redis after it.
#[test]
fn libpq_verifies_the_guest_fully_and_a_renewed_secret_is_served_with_no_connection_dropped_and_so_with_redis()
-> Result<()> {
    let Some(scenario) = Scenario::new("postgresql")? else { return Ok(()) };
    let mut vm = rendered::find(&scenario.render(&document()?, "shop")?, "VirtualMachine")?.clone();
    let redis = redis::rendered(&scenario)?;
    redis::lend_disk_and_port(&redis, &mut vm)?;
    let mut guest = scenario.boot(vm, SECRET, Extras { selinux: true, ..Extras::default() })?;
    let (port, ca) = (guest.machine.port(), guest.ca.clone());

    let host = format!("orders.{}.svc.cluster.local", scenario.space.name);
    let client = |host: &str, mode: &str, ca: &Path| PostgresClient {
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
        (client(&host, "verify-full", &scenario.strange_ca()?), "certificate verify failed"),
        (client("orders.example.com", "verify-full", &ca), "does not match host name"),
    ] {
        let told = client.query(port, tls).map_or_else(|error| error.to_string(), |answer| format!("let in: {answer}"));
        ensure!(told.contains(why), "{client:?}: not for {why}: {told}");
    }
    let rights = guest.machine.shell("cd /etc/ssl/postgresql && stat -c '%a %U %n' tls.key tls.crt ca.crt")?;
    ensure!(rights == "400 postgres tls.key\n644 root tls.crt\n644 root ca.crt", "{rights}");
    let data = guest.machine.shell("findmnt --noheadings --output FSTYPE /var/lib/postgresql")?;
    ensure!(data == "xfs", "the data is on {data}");
    let assert_labelled = |machine: &mut Machine| {
        let data = "/var/lib/postgresql /var/lib/postgresql/15/main /var/lib/postgresql/15/main/PG_VERSION";
        selinux::assert_labelled(machine, "/etc/ssl/postgresql", data)
    };
    assert_labelled(&mut guest.machine)?;
    selinux::assert_new_folders_are_labelled(&mut guest.machine, "/etc/ssl/postgresql")?;

    let mut held = friend.start(port)?;
    let database =
        Database { certificate: "orders-cert", secret: SECRET, served: &|| served(port, Some("postgres"), &ca, None) };
    database.assert_follows(&scenario, &mut guest, || held.say("select pg_backend_pid();"))?;
    assert_labelled(&mut guest.machine)?;
    redis::assert_served_instead(&scenario, &mut guest, redis)
}
