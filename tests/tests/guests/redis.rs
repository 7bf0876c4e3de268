//! Redis in a VM: `examples/redis-vm`, the real server and the real redis-cli, with the Secret on a filesystem.

use anyhow::{Result, ensure};
use tandem_tests::guests::clients::{RedisClient, served};

use crate::{
    rotation::Database,
    scenario::{Scenario, example},
};

const SECRET: &str = "sessions-tls";

#[test]
fn redis_lets_in_who_has_a_certificate_and_a_renewed_secret_is_served_with_no_connection_dropped() -> Result<()> {
    let Some(scenario) = Scenario::new("redis")? else { return Ok(()) };
    let required = "      clientAuth: Required\n";
    let document = example("redis-vm/databasevm.yaml", &[(required, &format!("{required}      install: Image\n"))])?;
    let mut guest = scenario.boot(&scenario.render(&document, "cache")?, SECRET)?;
    let (port, ca) = (guest.machine.port(), guest.ca.clone());

    // The example's client has the same Secret.
    let pem = scenario.client_certificate(&guest.secrets, SECRET)?;
    let friend = RedisClient { ca: Some(ca.clone()), certificate: Some(pem.clone()) };
    ensure!(friend.run(port, &["ping"])? == "PONG", "no answer to its own client");
    for (client, why) in [
        (RedisClient { ca: None, certificate: None }, ""),
        (RedisClient { certificate: None, ..friend.clone() }, ""),
        (RedisClient { ca: Some(scenario.strange_ca()?), ..friend.clone() }, "certificate verify failed"),
    ] {
        let told = client.run(port, &["ping"]).unwrap_or_else(|error| format!("{error:#}"));
        ensure!(told != "PONG" && told.contains(why), "{client:?}: not refused for {why}: {told}");
    }
    // Nor is there another port, where it might speak without TLS.
    let ports = guest.machine.shell(
        "ss --no-header --tcp --listening --numeric --processes | awk '/redis-server/ {sub(\".*:\", \"\", $4); print $4}' | sort -u",
    )?;
    ensure!(ports == "6379", "it listens on {ports}");
    let rights = guest.machine.shell("cd /etc/ssl/redis && stat -c '%a %U %n' tls.key tls.crt ca.crt")?;
    ensure!(rights == "400 redis tls.key\n644 root tls.crt\n644 root ca.crt", "{rights}");

    let mut held = friend.start(port)?;
    let database =
        Database { certificate: "sessions-cert", secret: SECRET, served: &|| served(port, None, &ca, Some(&pem)) };
    database.assert_follows(&scenario, &mut guest, || held.say("CLIENT ID"))
}
