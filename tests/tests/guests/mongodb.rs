//! MongoDB in a VM: `examples/mongodb-vm` for Debian, from a golden image, with the Secret on a disk.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use tandem_tests::{
    guests::{
        Machine, Parts,
        clients::{MongoClient, served},
    },
    sharing::{disk, rendered},
};

use crate::scenario::{Scenario, entry, example, leaf};

const SECRET: &str = "mongodb-cert-tls";

/// Who knows too little, and what pymongo says of it.
fn assert_strangers_are_refused(parts: &Parts, port: u16, friend: &MongoClient, strange_ca: PathBuf) -> Result<()> {
    let refused = |client: MongoClient, why: &str| {
        let told = client.refused(parts, port)?;
        ensure!(told.contains(why), "{client:?}: not for {why}: {told}");
        Ok(())
    };
    refused(MongoClient { ca: None, ..friend.clone() }, "connection closed")?;
    refused(MongoClient { ca: Some(strange_ca), ..friend.clone() }, "certificate verify failed")?;
    refused(MongoClient { host: "mongodb.example.com".to_owned(), ..friend.clone() }, "Hostname mismatch")
}

/// In one test, for each boot takes a minute: the first boot, and a reboot.
#[test]
fn the_guest_serves_its_secret_to_who_verifies_it_also_after_a_reboot() -> Result<()> {
    let Some(scenario) = Scenario::new("mongodb")? else { return Ok(()) };
    let (parts, home) = (&scenario.parts, scenario.home());
    let image = [("      version: \"8.0\"\n", "      install: Image\n")];
    let document = example("mongodb-vm/databasevm-debian.yaml", &image)?;
    let objects = scenario.render(&document, "kubevirt-networking-poc")?;
    let vm = rendered::find(&objects, "VirtualMachine")?;
    // Another Secret on a disk whose serial contains ours: whoever looks for a part of the name finds both.
    scenario.apply(
        "{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: decoy}, spec: {secretName: decoy,
          dnsNames: [decoy.example.com], privateKey: {rotationPolicy: Always},
          issuerRef: {group: pki.tandem.internal, kind: TandemClusterIssuer, name: internal-ca}}}",
    )?;
    let secrets = scenario.secrets()?;
    let serial = rendered::serial(vm)?;
    let decoy_serial = format!("{serial}-old");
    let decoy = home.join("decoy.iso");
    disk::lay_out(secrets.get("decoy").unwrap_or(&Default::default()), &home.join("decoy"))?;
    disk::make_iso(&home.join("decoy"), &decoy)?;

    let mut machine = Machine::start(parts, vm, &secrets, home, Some((&decoy, &decoy_serial)))?;
    machine.wait_booted()?;
    let links = machine.shell("ls /dev/disk/by-id")?;
    let alike = links.lines().filter(|link| link.contains(&serial)).count();
    ensure!(alike == 2, "the decoy is not there, or does not look like ours: {links}");

    let ca = scenario.file("ca.crt", &[entry(&secrets, SECRET, "ca.crt")?])?;
    let host = format!("mongodb.{}.svc.cluster.local", scenario.space.name);
    let friend = MongoClient { host, ca: Some(ca.clone()), certificate: None };
    let mut client = friend.start(parts, machine.port())?;
    client.run("ping")?;
    client.run("insert first-boot")?;
    ensure!(client.run("find first-boot")?["found"] == 1, "what was inserted is not found");
    ensure!(served(machine.port(), None, &ca, None)? == leaf(&secrets, SECRET)?, "another certificate is served");
    assert_strangers_are_refused(parts, machine.port(), &friend, scenario.strange_ca()?)?;
    let rights = machine.shell("stat -c '%a %U %n' /etc/ssl/mongodb.pem /etc/ssl/ca.crt")?;
    ensure!(rights == "400 mongodb /etc/ssl/mongodb.pem\n644 root /etc/ssl/ca.crt", "{rights}");
    let data = machine.shell("findmnt --noheadings --output FSTYPE /var/lib/mongodb")?;
    ensure!(data == "xfs", "the data is on {data}");

    machine.reboot()?;
    ensure!(friend.start(parts, machine.port())?.run("find first-boot")?["found"] == 1, "lost by the reboot");
    ensure!(served(machine.port(), None, &ca, None)? == leaf(&secrets, SECRET)?, "another one after the reboot");
    Ok(())
}
