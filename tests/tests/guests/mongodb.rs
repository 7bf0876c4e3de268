//! MongoDB in a VM: `examples/mongodb-vm` for Debian, from a golden image, with the Secret on a disk.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use rcgen::PKCS_ECDSA_P256_SHA256;
use tandem_tests::{
    certificates::root_ca,
    guests::{
        Machine, Parts,
        clients::{MongoClient, served},
    },
    sharing::{disk, rendered},
    tools::root,
};

use crate::{
    rotation::{Database, filesystem},
    scenario::{Scenario, entry, leaf},
};

const SECRET: &str = "mongodb-cert-tls";
const NAMESPACE: &str = "kubevirt-networking-poc";

/// The example, with the one change that no registry has mongod: the guests' image has it (`install: Image`).
pub(crate) fn example() -> Result<String> {
    let document = std::fs::read_to_string(root().join("examples/mongodb-vm/databasevm-debian.yaml"))?;
    let changed = document.replace("      version: \"8.0\"\n", "      install: Image\n");
    ensure!(changed != document, "the example has no version to leave out");
    Ok(changed)
}

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

/// In one test, for each boot takes a minute: the first boot, a reboot, and a new instance with the renewed Secret.
#[test]
fn the_guest_serves_its_secret_to_who_verifies_it_and_a_new_instance_serves_the_renewed_one() -> Result<()> {
    let Some(scenario) = Scenario::new("mongodb")? else { return Ok(()) };
    let (parts, home) = (&scenario.parts, scenario.home());
    let objects = scenario.render(&example()?, NAMESPACE)?;
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
    let stranger = root_ca("A stranger", &PKCS_ECDSA_P256_SHA256)?.as_ref().pem();
    let strange_ca = scenario.file("stranger.crt", &[stranger.as_bytes()])?;
    assert_strangers_are_refused(parts, machine.port(), &friend, strange_ca)?;
    let rights = machine.shell("stat -c '%a %U %n' /etc/ssl/mongodb.pem /etc/ssl/ca.crt")?;
    ensure!(rights == "400 mongodb /etc/ssl/mongodb.pem\n644 root /etc/ssl/ca.crt", "{rights}");
    let data = machine.shell("findmnt --noheadings --output FSTYPE /var/lib/mongodb")?;
    ensure!(data == "xfs", "the data is on {data}");

    machine.reboot()?;
    ensure!(friend.start(parts, machine.port())?.run("find first-boot")?["found"] == 1, "lost by the reboot");
    ensure!(served(machine.port(), None, &ca, None)? == leaf(&secrets, SECRET)?, "another one after the reboot");

    scenario.renew("mongodb-cert")?;
    machine.stop()?;
    let renewed = scenario.secrets()?;
    ensure!(leaf(&renewed, SECRET)? != leaf(&secrets, SECRET)?, "nothing was renewed");
    let mut machine = Machine::start(parts, vm, &renewed, home, Some((&decoy, &decoy_serial)))?;
    machine.wait_booted()?;
    let mut client = friend.start(parts, machine.port())?;
    ensure!(client.run("find first-boot")?["found"] == 1, "the data disk was lost with the instance");
    ensure!(served(machine.port(), None, &ca, None)? == leaf(&renewed, SECRET)?, "the old certificate is served");
    Ok(())
}

/// The same from a filesystem, with client certificates required, which the example's client has to have then.
fn example_that_follows() -> Result<String> {
    let mut document = example()?;
    for (theirs, ours) in [
        (
            "      clientAuth: Optional\n",
            "      clientAuth: Required\n      credentialFile: /etc/tandem/mongodb-credentials\n",
        ),
        ("      certificate: none\n", "      certificate: shared\n"),
        (
            "  storage:\n",
            "  delivery: filesystem\n  cloudConfig:\n    write_files:\n      - path: /etc/tandem/mongodb-credentials\n        \
             permissions: \"0600\"\n        content: |\n          rotation\n          of the test\n  storage:\n",
        ),
    ] {
        ensure!(document.contains(theirs), "the example has no line {theirs}");
        document = document.replace(theirs, ours);
    }
    Ok(document)
}

/// A client's certificate and key in one file, made by the same issuer.
fn client_certificate(scenario: &Scenario) -> Result<PathBuf> {
    scenario.apply(
        "{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: app}, spec: {secretName: app,
          commonName: app, usages: [digital signature, client auth], privateKey: {rotationPolicy: Always},
          issuerRef: {group: pki.tandem.internal, kind: TandemClusterIssuer, name: internal-ca}}}",
    )?;
    let secrets = scenario.secrets()?;
    scenario.file("app.pem", &[entry(&secrets, "app", "tls.key")?, entry(&secrets, "app", "tls.crt")?])
}

#[test]
fn with_client_certificates_required_a_renewed_secret_is_served_with_no_connection_dropped() -> Result<()> {
    let Some(scenario) = Scenario::new("mongodb-fs")? else { return Ok(()) };
    let parts = &scenario.parts;
    let objects = scenario.render(&example_that_follows()?, NAMESPACE)?;
    let vm = rendered::find(&objects, "VirtualMachine")?;
    let certificate = client_certificate(&scenario)?;
    let secrets = scenario.secrets()?;
    let mut machine = Machine::start(parts, vm, &secrets, scenario.home(), None)?;
    machine.wait_booted()?;
    let port = machine.port();

    let ca = scenario.file("ca.crt", &[entry(&secrets, SECRET, "ca.crt")?])?;
    let host = format!("mongodb.{}.svc.cluster.local", scenario.space.name);
    let friend = MongoClient { host, ca: Some(ca.clone()), certificate: Some(certificate.clone()) };
    let told = MongoClient { certificate: None, ..friend.clone() }.refused(parts, port)?;
    ensure!(told.contains("certificate required"), "without a certificate, but not for that: {told}");

    // The user whose name and password are in the credential file: its owner makes it.
    let mut held = friend.start(parts, port)?;
    held.run("create-user rotation of the test")?;
    let mut ask = || {
        let answer = held.run("ping")?;
        Ok(format!("{} opened, {} closed", answer["opened"], answer["closed"]))
    };
    let database = Database {
        certificate: "mongodb-cert",
        secret: SECRET,
        filesystem: filesystem(vm)?,
        served: &|| served(port, None, &ca, Some(&certificate)),
    };
    database.assert_follows(&scenario, &secrets, &mut machine, &mut ask)?;
    let log = machine.shell("cat /var/log/mongodb/mongod.log")?;
    ensure!(log.contains("rotateCertificates by rotation: done"), "nobody asked for it by name:\n{log}");
    Ok(())
}
