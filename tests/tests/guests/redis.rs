//! Redis in a VM: `examples/redis-vm`, the real server and the real redis-cli, with the Secret on a filesystem. It has no boot of
//! its own: when all is said of PostgreSQL in its guest, cloud-init takes this VirtualMachine's user data there.

use anyhow::{Context, Result, ensure};
use kube::api::DynamicObject;
use tandem_tests::{
    guests::clients::{RedisClient, served},
    sharing::{disk, rendered},
};

use crate::{
    rotation::{Database, filesystem},
    scenario::{Guest, Scenario, example, lend},
    selinux,
};

const SECRET: &str = "sessions-tls";

/// The example's VirtualMachine, on an image that has Redis.
pub(crate) fn rendered(scenario: &Scenario) -> Result<DynamicObject> {
    let required = "      clientAuth: Required\n";
    let document = example("redis-vm/databasevm.yaml", &[(required, &format!("{required}      install: Image\n"))])?;
    Ok(rendered::find(&scenario.render(&document, "cache")?, "VirtualMachine")?.clone())
}

/// What another VirtualMachine needs to stand for this one: its data disk and its port. The filesystem is called the same
/// in both.
pub(crate) fn lend_disk_and_port(redis: &DynamicObject, to: &mut DynamicObject) -> Result<()> {
    let ports = "domain/devices/interfaces/0/ports";
    lend(redis, to, &[("domain/devices/disks", "data-disk"), ("volumes", "data-disk"), (ports, "redis")])
}

/// Has Redis served in PostgreSQL's guest: with a certificate alone, and the Secret followed.
pub(crate) fn assert_served_instead(scenario: &Scenario, guest: &mut Guest, redis: DynamicObject) -> Result<()> {
    // What a shutdown ends.
    guest.machine.shell(
        "systemctl stop 'tandem-tls*' 'postgresql*' var-lib-postgresql.mount tandem-data.service && rm -r /run/tandem-tls",
    )?;
    let secret = guest.secrets.get(SECRET).context("no Secret")?;
    disk::lay_out(secret, &guest.machine.mounted(&filesystem(&redis)?))?;
    guest.machine.take_user_data(&redis, &guest.secrets)?;
    guest.vm = redis;
    let port = *guest.machine.ports().last().context("no port")?;
    let ca = guest.ca.clone();

    // The example's client has the same Secret.
    let pem = scenario.client_certificate(&guest.secrets, SECRET)?;
    let friend = RedisClient { ca: Some(ca.clone()), certificate: Some(pem.clone()) };
    ensure!(friend.run(port, &["ping"])? == "PONG", "no answer to its own client");
    let ping = |client: &RedisClient| {
        client.run(port, &["ping"]).map_or_else(|error| error.to_string(), |said| format!("let in: {said}"))
    };
    for (client, why) in [
        (RedisClient { ca: None, certificate: None }, "wrong version number"),
        (RedisClient { certificate: None, ..friend.clone() }, "peer did not return a certificate"),
    ] {
        const LOG: &str = "cat /var/log/redis/redis-server.log";
        let before = guest.machine.shell(LOG)?.matches(why).count();
        let told = ping(&client);
        // It is cut off, which redis-cli notices in one way or another; the server says why.
        ensure!(!told.starts_with("let in"), "{client:?}: {told}");
        let log = guest.machine.shell(LOG)?;
        ensure!(log.matches(why).count() > before, "{client:?}: not for {why}: {told}; the server's log:\n{log}");
    }
    let told = ping(&RedisClient { ca: Some(scenario.strange_ca()?), ..friend.clone() });
    ensure!(told.contains("certificate verify failed"), "a stranger's authority, but not refused for that: {told}");
    // Nor is there another port, where it might speak without TLS.
    let ports = guest.machine.shell(
        "ss --no-header --tcp --listening --numeric --processes | awk '/redis-server/ {sub(\".*:\", \"\", $4); print $4}' | sort -u",
    )?;
    ensure!(ports == "6379", "it listens on {ports}");
    let rights = guest.machine.shell("cd /etc/ssl/redis && stat -c '%a %U %n' tls.key tls.crt ca.crt")?;
    ensure!(rights == "400 redis tls.key\n644 root tls.crt\n644 root ca.crt", "{rights}");
    let data = guest.machine.shell("findmnt --noheadings --output FSTYPE /var/lib/redis")?;
    ensure!(data == "xfs", "the data is on {data}");
    selinux::assert_labelled(&mut guest.machine, "/etc/ssl/redis", "/var/lib/redis")?;

    let mut held = friend.start(port)?;
    let database =
        Database { certificate: "sessions-cert", secret: SECRET, served: &|| served(port, None, &ca, Some(&pem)) };
    database.assert_follows(scenario, guest, || held.say("CLIENT ID"))?;
    selinux::assert_labelled(&mut guest.machine, "/etc/ssl/redis", "/var/lib/redis")
}
