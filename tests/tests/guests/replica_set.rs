//! A replica set of three members: the first one's guest, as it was rendered; the other two as processes in it. First they
//! know one another by certificates. Then the first one's guest takes the other example, by whose document they do so by a
//! keyFile: as a new instance would at its first boot, which has the data disk and nothing on its root disk.
//!
//! What they share with real members: each runs with the mongod.conf that was rendered for it, in a network of its own,
//! under its own name, with the Secrets of the set. What they do not: a guest of their own, and talk among mongods, which
//! the stand-in cannot hold. So this shows the files, who is waited for, that a set is initiated once, and whose
//! certificates are taken for a member's, by the rule that mongod has; not elections, and no rights.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;
use tandem_tests::{
    guests::{
        Extras, Machine,
        clients::{MongoClient, served},
    },
    sharing::rendered::{self, Secrets},
    tools,
};

use crate::scenario::{Guest, Scenario, example, leaf, lend};

const MEMBERS: usize = 3;
const SECRET: &str = "mongodb-cert-tls";
const JOURNAL: &str = "journalctl --sync && journalctl --no-pager --output cat --unit tandem-replset";
/// What it says where the set has been initiated.
const NOTHING: &str = "nothing to initiate";

/// The example whose members know one another by certificates, on Debian and under the name of the other one's set.
fn by_certificates() -> Result<String> {
    example(
        "mongodb-replica-set/databasevm.yaml",
        &[
            ("      version: \"8.0\"\n", "      replicaSetName: rs0\n      install: Image\n"),
            (
                "    family: rhel\n    image: quay.io/containerdisks/centos-stream:9\n",
                "    family: debian\n    image: debian\n",
            ),
            ("  storage:\n    size: 30Gi\n", ""),
        ],
    )
}

fn by_key_file() -> Result<String> {
    let image = [("      replicaSetName: rs0\n", "      replicaSetName: rs0\n      install: Image\n")];
    example("mongodb-replica-set/databasevm-keyfile.yaml", &image)
}

/// What the user data of a member writes to /etc/mongod.conf.
fn configuration(vm: &DynamicObject, secrets: &Secrets) -> Result<String> {
    let user_data: Value = serde_yaml::from_str(&rendered::user_data(vm, secrets)?)?;
    let files = user_data["write_files"].as_array().context("no files")?;
    let file = files.iter().find(|file| file["path"] == "/etc/mongod.conf").context("no mongod.conf")?;
    Ok(file["content"].as_str().context("no content")?.to_owned())
}

/// Starts a member beside the guest's own: a network with one address, to which its name leads.
fn start_beside(machine: &mut Machine, number: usize, host: &str, configuration: &str) -> Result<()> {
    machine.shell(&format!(
        "set -eu
         ip netns add m{number}
         ip link add v{number} type veth peer name eth0 netns m{number}
         ip address add 10.99.{number}.1/24 dev v{number}
         ip link set v{number} up
         ip -n m{number} address add 10.99.{number}.2/24 dev eth0
         ip -n m{number} link set eth0 up
         echo '10.99.{number}.2 {host}' >>/etc/hosts
         install -d -o mongodb -g mongodb /run/m{number} /run/m{number}/data /run/m{number}/log
         cat >/run/m{number}/mongod.conf <<'CONFIGURATION'\n{configuration}\nCONFIGURATION
         systemd-run --quiet --unit mongod-{number} --property User=mongodb \\
             --property NetworkNamespacePath=/run/netns/m{number} \\
             --property BindReadOnlyPaths=/run/m{number}/mongod.conf:/etc/mongod.conf \\
             --property BindPaths=/run/m{number}/data:/var/lib/mongodb \\
             --property BindPaths=/run/m{number}/log:/var/log/mongodb \\
             /usr/bin/mongod --config /etc/mongod.conf"
    ))?;
    Ok(())
}

/// The set's machines and the names of its members.
fn machines<'o>(objects: &'o [DynamicObject], namespace: &str) -> Result<(Vec<&'o DynamicObject>, Vec<String>)> {
    let kind = |object: &&DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == "VirtualMachine");
    let vms: Vec<_> = objects.iter().filter(kind).collect();
    ensure!(vms.len() == MEMBERS, "{} machines for {MEMBERS} members", vms.len());
    let hosts = vms.iter().map(|vm| format!("{}.mongodb.{namespace}.svc.cluster.local", vm.name_any())).collect();
    Ok((vms, hosts))
}

/// Starts the others, and sees the first one wait for them and then initiate the set.
fn assert_initiated(machine: &mut Machine, hosts: &[String], others: &[String]) -> Result<()> {
    machine.until("the first member waits for the others", |machine| {
        let told = machine.shell(JOURNAL)?;
        let waits =
            told.lines().any(|line| line.contains("waiting for") && hosts[1..].iter().all(|host| line.contains(host)));
        ensure!(waits, "its journal:\n{told}");
        Ok(())
    })?;
    for (number, configuration) in (1..).zip(others) {
        start_beside(machine, number, &hosts[number], configuration)?;
    }
    machine.until("the set is initiated", |machine| {
        let told = machine.shell(JOURNAL)?;
        ensure!(told.contains("initiated the set rs0: "), "its journal:\n{told}");
        Ok(())
    })
}

/// Whom the members take for whom: the first one came to the others with its certificate, and the client to the first one.
fn assert_recognized(machine: &mut Machine) -> Result<()> {
    for number in 1..MEMBERS {
        let log = machine.shell(&format!("cat /run/m{number}/log/mongod.log"))?;
        ensure!(log.contains("shows the certificate of a member: "), "the log of member {number}:\n{log}");
        ensure!(
            !log.contains("shows the certificate of a client: "),
            "member {number} took a member for a client:\n{log}"
        );
    }
    let log = machine.shell("cat /var/log/mongodb/mongod.log")?;
    let app: Vec<_> = log.lines().filter(|line| line.contains("commonName=mongodb-app")).collect();
    let client = |line: &&str| line.contains("shows the certificate of a client: ");
    ensure!(!app.is_empty() && app.iter().all(client), "the log of the first member:\n{log}");
    Ok(())
}

/// Takes from the guest what a new instance would not have, and has it take the document with the keyFile: clients need no
/// certificate any more, and find their data.
fn assert_taken_by_key_file(
    machine: &mut Machine,
    vm: &DynamicObject,
    secrets: &Secrets,
    check: impl FnOnce(&mut Machine) -> Result<()>,
) -> Result<()> {
    machine.shell(
        "systemctl stop tandem-replset.service mongod.service var-lib-mongodb.mount 'tandem-*' &&
         rm -r /run/tandem-tls /etc/ssl/mongodb.pem /etc/ssl/ca.crt && ! mountpoint /var/lib/mongodb",
    )?;
    let nothing = machine.shell(JOURNAL)?.matches(NOTHING).count();
    machine.take_user_data(vm, secrets)?;
    let rights = machine.shell("stat -c '%a %U' /etc/ssl/mongodb.keyfile")?;
    ensure!(rights == "400 mongodb", "the keyFile is {rights}");
    let told = machine.shell("journalctl --sync && journalctl --no-pager --output cat --unit tandem-data.service")?;
    ensure!(told.contains("has its filesystem already"), "its journal:\n{told}");
    check(machine)?;
    machine.until("it finds its set", |machine| {
        let told = machine.shell(JOURNAL)?;
        ensure!(told.matches(NOTHING).count() > nothing, "its journal:\n{told}");
        Ok(())
    })
}

/// In one test, for each boot takes a minute.
#[test]
fn three_members_become_a_set_once_and_know_one_another_by_certificates_or_by_a_key_file() -> Result<()> {
    let Some(scenario) = Scenario::new("replica-set")? else { return Ok(()) };
    let (parts, namespace) = (&scenario.parts, &scenario.space.name);
    let mut keyfile = Command::new(tools::program("tandem-vm")?);
    keyfile.args(["keyfile", "--secret", "mongodb-keyfile", "--namespace", namespace]);
    scenario.apply(&tools::output(&mut keyfile)?)?;
    let objects = scenario.render(&by_key_file()?, "keyfile-datastores")?;
    let by_key_file = machines(&objects, namespace)?.0[0].clone();
    // With its user data, which the other document's takes the place of.
    let key_file_secrets = scenario.secrets()?;

    let objects = scenario.render(&by_certificates()?, "sec-datastores")?;
    let (vms, hosts) = machines(&objects, namespace)?;
    let mut vm = vms[0].clone();
    lend(&by_key_file, &mut vm, &[("domain/devices/disks", "keyfile-disk"), ("volumes", "keyfile-disk")])?;
    let Guest { mut machine, secrets, ca, .. } = scenario.boot(vm, SECRET, Extras::default())?;
    let others = vms[1..].iter().map(|vm| configuration(vm, &secrets)).collect::<Result<Vec<_>>>()?;
    assert_initiated(&mut machine, &hosts, &others)?;

    let certificate = scenario.client_certificate(&secrets, "mongodb-app-tls")?;
    let nobody = MongoClient { host: hosts[0].clone(), ca: Some(ca.clone()), certificate: None };
    let told = nobody.refused(parts, machine.port())?;
    ensure!(told.contains("certificate required"), "without a certificate, but not for that: {told}");
    let mut client =
        MongoClient { certificate: Some(certificate.clone()), ..nobody.clone() }.start(parts, machine.port())?;
    let told = client.run("hosts")?;
    let expected: Vec<_> = hosts.iter().map(|host| format!("{host}:27017")).collect();
    ensure!(told["hosts"] == serde_json::json!(expected), "the set's members: {told}");
    client.run("insert by-certificates")?;
    assert_recognized(&mut machine)?;
    let shown = served(machine.port(), None, &ca, Some(&certificate))?;
    ensure!(shown == leaf(&secrets, SECRET)?, "another certificate is served");

    // Once more, as at each start of mongod.
    machine.shell("systemctl restart tandem-replset.service")?;
    let told = machine.shell(JOURNAL)?;
    ensure!(told.contains(NOTHING), "its journal:\n{told}");

    assert_taken_by_key_file(&mut machine, &by_key_file, &key_file_secrets, |machine| {
        let shown = machine.until("mongod listens", |machine| served(machine.port(), None, &ca, None))?;
        ensure!(shown == leaf(&secrets, SECRET)?, "another certificate is served");
        let found = nobody.start(parts, machine.port())?.run("find by-certificates")?;
        ensure!(found["found"] == 1, "the data was lost");
        Ok(())
    })
}
