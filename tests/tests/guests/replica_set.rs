//! A replica set of three members: the first one's guest, as it was rendered; the other two as processes in it.
//!
//! What they share with real members: each runs with the mongod.conf that was rendered for it, in a network of its own,
//! under its own name, with the Secrets of the set. What they do not: a guest of their own, and talk among mongods, which
//! the stand-in cannot hold. So this shows the files, who is waited for, and that a set is initiated once; not elections.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;
use tandem_tests::{
    guests::{Machine, clients::MongoClient},
    sharing::rendered::{self, Secrets},
    tools::{self, root},
};

use crate::scenario::{Scenario, entry};

const MEMBERS: usize = 3;

/// The example whose members know one another by a keyFile, with mongod in the guests' image.
fn example() -> Result<String> {
    let document = std::fs::read_to_string(root().join("examples/mongodb-replica-set/databasevm-keyfile.yaml"))?;
    let changed = document.replace("      replicaSetName: rs0\n", "      replicaSetName: rs0\n      install: Image\n");
    ensure!(changed != document, "the example names no set");
    Ok(changed)
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

#[test]
fn the_first_of_three_members_waits_for_the_others_and_initiates_the_set_once() -> Result<()> {
    const JOURNAL: &str = "journalctl --no-pager --output cat --unit tandem-replset";
    let Some(scenario) = Scenario::new("replica-set")? else { return Ok(()) };
    let namespace = &scenario.space.name;
    let mut keyfile = Command::new(tools::program("tandem-vm")?);
    keyfile.args(["keyfile", "--secret", "mongodb-keyfile", "--namespace", namespace]);
    scenario.apply(&tools::output(&mut keyfile)?)?;
    let objects = scenario.render(&example()?, "keyfile-datastores")?;
    let secrets = scenario.secrets()?;
    let kind = |object: &&DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == "VirtualMachine");
    let vms: Vec<_> = objects.iter().filter(kind).collect();
    ensure!(vms.len() == MEMBERS, "{} machines for {MEMBERS} members", vms.len());
    let hosts: Vec<_> =
        vms.iter().map(|vm| format!("{}.mongodb.{namespace}.svc.cluster.local", vm.name_any())).collect();

    let mut machine = Machine::start(&scenario.parts, vms[0], &secrets, scenario.home(), None)?;
    machine.wait_booted()?;
    let rights = machine.shell("stat -c '%a %U' /etc/ssl/mongodb.keyfile")?;
    ensure!(rights == "400 mongodb", "the keyFile is {rights}");
    machine.until("the first member waits for the others", |machine| {
        let told = machine.shell(JOURNAL)?;
        let waits =
            told.lines().any(|line| line.contains("waiting for") && hosts[1..].iter().all(|host| line.contains(host)));
        ensure!(waits, "its journal:\n{told}");
        Ok(())
    })?;

    for (number, vm) in vms.iter().enumerate().skip(1) {
        start_beside(&mut machine, number, &hosts[number], &configuration(vm, &secrets)?)?;
    }
    machine.until("the set is initiated", |machine| {
        let told = machine.shell(JOURNAL)?;
        ensure!(told.contains("initiated the set rs0: "), "its journal:\n{told}");
        Ok(())
    })?;
    let ca = scenario.file("ca.crt", &[entry(&secrets, "mongodb-cert-tls", "ca.crt")?])?;
    let client = MongoClient { host: hosts[0].clone(), ca: Some(ca), certificate: None };
    let told = client.start(&scenario.parts, machine.port())?.run("hosts")?;
    let expected: Vec<_> = hosts.iter().map(|host| format!("{host}:27017")).collect();
    ensure!(told["hosts"] == serde_json::json!(expected), "the set's members: {told}");

    // Once more, as at each start of mongod.
    machine.shell("systemctl restart tandem-replset.service")?;
    let told = machine.shell(JOURNAL)?;
    ensure!(told.contains("nothing to initiate"), "its journal:\n{told}");
    let log = machine.shell("cat /var/log/mongodb/mongod.log")?;
    ensure!(log.matches("replica set initiated").count() == 1, "not once:\n{log}");
    Ok(())
}
