//! Redis in a VM: `examples/redis-vm`, the real server and the real redis-cli, with the Secret on a filesystem.

use anyhow::{Result, ensure};
use rcgen::PKCS_ECDSA_P256_SHA256;
use tandem_tests::{
    certificates::root_ca,
    guests::{
        Machine,
        clients::{RedisClient, served},
    },
    sharing::rendered,
    tools::root,
};

use crate::{
    rotation::{Database, filesystem},
    scenario::{Scenario, entry},
};

const SECRET: &str = "sessions-tls";

/// The example, with what a guest without a network asks for: Redis is in its image.
fn example() -> Result<String> {
    let document = std::fs::read_to_string(root().join("examples/redis-vm/databasevm.yaml"))?;
    let changed =
        document.replace("      clientAuth: Required\n", "      clientAuth: Required\n      install: Image\n");
    ensure!(changed != document, "the example asks for no certificates");
    Ok(changed)
}

#[test]
fn redis_lets_in_who_has_a_certificate_and_a_renewed_secret_is_served_with_no_connection_dropped() -> Result<()> {
    let Some(scenario) = Scenario::new("redis")? else { return Ok(()) };
    let objects = scenario.render(&example()?, "cache")?;
    let vm = rendered::find(&objects, "VirtualMachine")?;
    let secrets = scenario.secrets()?;
    let mut machine = Machine::start(&scenario.parts, vm, &secrets, scenario.home(), None)?;
    machine.wait_booted()?;
    let port = machine.port();

    let ca = scenario.file("ca.crt", &[entry(&secrets, SECRET, "ca.crt")?])?;
    // The example's client has the same Secret.
    let pem = scenario.file("app.pem", &[entry(&secrets, SECRET, "tls.key")?, entry(&secrets, SECRET, "tls.crt")?])?;
    let stranger = root_ca("A stranger", &PKCS_ECDSA_P256_SHA256)?.as_ref().pem();
    let strange_ca = scenario.file("stranger.crt", &[stranger.as_bytes()])?;
    let friend = RedisClient { ca: Some(ca.clone()), certificate: Some(pem.clone()) };
    ensure!(friend.run(port, &["ping"])? == "PONG", "no answer to its own client");
    for (client, why) in [
        (RedisClient { ca: None, certificate: None }, ""),
        (RedisClient { certificate: None, ..friend.clone() }, ""),
        (RedisClient { ca: Some(strange_ca), ..friend.clone() }, "certificate verify failed"),
    ] {
        let told = client.run(port, &["ping"]).unwrap_or_else(|error| format!("{error:#}"));
        ensure!(told != "PONG" && told.contains(why), "{client:?}: not refused for {why}: {told}");
    }
    let rights = machine.shell("cd /etc/ssl/redis && stat -c '%a %U %n' tls.key tls.crt ca.crt")?;
    ensure!(rights == "400 redis tls.key\n644 root tls.crt\n644 root ca.crt", "{rights}");

    let mut held = friend.start(port)?;
    let database = Database {
        certificate: "sessions-cert",
        secret: SECRET,
        filesystem: filesystem(vm)?,
        served: &|| served(port, None, &ca, Some(&pem)),
    };
    database.assert_follows(&scenario, &secrets, &mut machine, || held.say("CLIENT ID"))
}
