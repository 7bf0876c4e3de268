//! MongoDB in a VM: `examples/mongodb-vm` for Debian, from a golden image, with the Secret on a disk. The guest boots three times
//! from the same root disk, which is a claim, and cloud-init writes its files at the first boot alone. Between the first two
//! nothing is changed; before the third the Secret is renewed, and nothing else. In the end the same document with
//! `clientAuth: Required` is taken by the running guest, which then refuses who has no certificate.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use tandem_tests::{
    guests::{
        Extras, Machine, Parts,
        clients::{MongoClient, served},
    },
    sharing::{
        disk,
        rendered::{self, Secrets},
    },
    tools,
};

use crate::scenario::{Scenario, entry, example, leaf};

const SECRET: &str = "mongodb-cert-tls";

/// Of this boot alone.
const JOURNAL: &str = "journalctl --sync && journalctl --boot --no-pager --output cat --unit tandem-tls.service";

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

/// After each boot the same: this Secret's certificate is served, who verifies it finds what was written at the first boot, and
/// the files have their owners and modes.
fn assert_served(machine: &mut Machine, parts: &Parts, friend: &MongoClient, secrets: &Secrets) -> Result<()> {
    let ca = friend.ca.as_deref().context("a friend who verifies nothing")?;
    let shown = machine.until("mongod listens", |machine| served(machine.port(), None, ca, None))?;
    ensure!(shown == leaf(secrets, SECRET)?, "another certificate is served");
    let found = friend.start(parts, machine.port())?.run("find first-boot")?;
    ensure!(found["found"] == 1, "what was written is not found");
    let rights = machine.shell("stat -c '%a %U %n' /etc/ssl/mongodb.pem /etc/ssl/ca.crt")?;
    ensure!(rights == "400 mongodb /etc/ssl/mongodb.pem\n644 root /etc/ssl/ca.crt", "{rights}");
    Ok(())
}

/// The running guest takes the document that asks clients for certificates.
fn assert_a_certificate_is_required(scenario: &Scenario, machine: &mut Machine, friend: &MongoClient) -> Result<()> {
    let objects = scenario.render(&document("Required", "own")?, "kubevirt-networking-poc")?;
    let secrets = scenario.secrets()?;
    machine.take_user_data(rendered::find(&objects, "VirtualMachine")?, &secrets)?;
    let certificate = Some(scenario.client_certificate(&secrets, "mongodb-python-app-tls")?);
    MongoClient { certificate, ..friend.clone() }.start(&scenario.parts, machine.port())?.run("find first-boot")?;
    let told = friend.refused(&scenario.parts, machine.port())?;
    ensure!(told.contains("certificate required"), "without a certificate, but not for that: {told}");
    Ok(())
}

/// The example with `clientAuth` and the client's certificate as given.
fn document(client_auth: &str, certificate: &str) -> Result<String> {
    example(
        "mongodb-vm/databasevm-debian.yaml",
        &[
            ("      version: \"8.0\"\n", "      install: Image\n"),
            (
                "    image: quay.io/containerdisks/debian:12\n",
                "  root:\n    persistentVolumeClaim:\n      claimName: mongodb-root\n",
            ),
            ("clientAuth: Optional\n", &format!("clientAuth: {client_auth}\n")),
            ("certificate: none\n", &format!("certificate: {certificate}\n")),
        ],
    )
}

/// In one test, for each boot takes a minute: the first one, one with the same Secret, and one with a renewed Secret.
#[test]
fn the_guest_serves_its_secret_to_who_verifies_it_also_when_it_boots_again_and_then_a_renewed_one() -> Result<()> {
    let Some(scenario) = Scenario::new("mongodb")? else { return Ok(()) };
    let (parts, home) = (&scenario.parts, scenario.home());
    let objects = scenario.render(&document("Optional", "none")?, "kubevirt-networking-poc")?;
    let mut root = Command::new("cp");
    root.arg("--sparse=always").arg(parts.image.join("root.img")).arg(home.join("mongodb-root.img"));
    tools::run(&mut root)?;
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

    let extras = Extras { decoy: Some((&decoy, &decoy_serial)), ..Extras::default() };
    let mut machine = Machine::start(parts, vm, &secrets, home, extras)?;
    machine.wait_booted()?;
    let links = machine.shell("ls /dev/disk/by-id")?;
    let alike = links.lines().filter(|link| link.contains(&serial)).count();
    ensure!(alike == 2, "the decoy is not there, or does not look like ours: {links}");

    let ca = scenario.file("ca.crt", &[entry(&secrets, SECRET, "ca.crt")?])?;
    let host = format!("mongodb.{}.svc.cluster.local", scenario.space.name);
    let friend = MongoClient { host, ca: Some(ca), certificate: None };
    let mut client = friend.start(parts, machine.port())?;
    client.run("ping")?;
    client.run("insert first-boot")?;
    assert_served(&mut machine, parts, &friend, &secrets)?;
    assert_strangers_are_refused(parts, machine.port(), &friend, scenario.strange_ca()?)?;
    let data = machine.shell("findmnt --noheadings --output FSTYPE /var/lib/mongodb")?;
    ensure!(data == "xfs", "the data is on {data}");

    machine.shell("touch /root/first-boot")?;
    machine.stop()?;

    let mut machine = Machine::start(parts, vm, &secrets, home, extras)?;
    machine.wait_booted()?;
    machine.shell("test -e /root/first-boot").context("another root disk")?;
    assert_served(&mut machine, parts, &friend, &secrets).context("with the same Secret")?;
    let told = machine.shell(JOURNAL)?;
    let unchanged = told.contains("unchanged: /etc/ssl/mongodb.pem, /etc/ssl/ca.crt are those of ");
    ensure!(unchanged && !told.contains("installed"), "its journal:\n{told}");
    machine.stop()?;

    scenario.renew("mongodb-cert")?;
    let renewed = scenario.secrets()?;
    ensure!(leaf(&renewed, SECRET)? != leaf(&secrets, SECRET)?, "the certificate was not made anew");
    let mut machine = Machine::start(parts, vm, &renewed, home, extras)?;
    machine.wait_booted()?;
    assert_served(&mut machine, parts, &friend, &renewed).context("with the renewed Secret")?;
    let told = machine.shell(JOURNAL)?;
    ensure!(told.contains("installed /etc/ssl/mongodb.pem, /etc/ssl/ca.crt from "), "its journal:\n{told}");
    assert_a_certificate_is_required(&scenario, &mut machine, &friend)
}
