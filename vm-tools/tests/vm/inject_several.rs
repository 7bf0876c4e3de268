//! `inject` for several VMs at once, as for replicas of one service: the same as one run for each; and all that is in the way is
//! told in one run.

use std::fs;

use proptest::prelude::*;
use tandem_vm::inject::{self, Input, Options};

use crate::inject::{MANIFESTS, every_delivery, manifest};
use crate::inject_files::{folder, run};
use crate::support::{example, said};

/// The manifests with these VMs, each in its file.
fn files(vms: &[String]) -> Vec<Input> {
    let with = MANIFESTS.into_iter().filter(|(_, all)| all.iter().any(|vm| vms.iter().any(|chosen| chosen == vm)));
    with.map(|(name, _)| Input { name: name.to_owned(), text: manifest(name) }).collect()
}

fn with_texts(files: &[Input], done: inject::Output) -> Vec<Input> {
    files.iter().zip(done.texts).map(|(file, text)| Input { name: file.name.clone(), text }).collect()
}

fn injected(files: &[Input], options: &Options) -> Vec<Input> {
    with_texts(files, inject::inject(files, options).unwrap_or_else(|errors| panic!("{errors:?}")))
}

fn removed(files: &[Input], vms: &[String]) -> Vec<Input> {
    with_texts(files, inject::remove(files, vms).unwrap_or_else(|errors| panic!("{errors:?}")))
}

/// Some of the VMs, in any order.
fn vms() -> impl Strategy<Value = Vec<String>> {
    let all: Vec<_> = MANIFESTS.iter().flat_map(|(_, vms)| vms.iter().map(|vm| (*vm).to_owned())).collect();
    proptest::sample::subsequence(all, 2..=5).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn at_once_is_one_after_the_other(vms in vms(), way in 0_usize..4, back in any::<prop::sample::Index>()) {
        let files = files(&vms);
        let options = |vms: &[String]| Options { vm: vms.to_vec(), ..every_delivery("")[way].clone() };
        let each = vms.iter().fold(files.clone(), |files, vm| injected(&files, &options(std::slice::from_ref(vm))));
        let once = injected(&files, &options(&vms));
        prop_assert!(once == each, "{:?}", vms);
        prop_assert!(injected(&once, &options(&vms)) == once, "{:?}", vms);
        // And some of them out again.
        let some = &vms[..=back.index(vms.len())];
        let each = some.iter().fold(once.clone(), |files, vm| removed(&files, std::slice::from_ref(vm)));
        prop_assert!(removed(&once, some) == each, "{:?}", some);
        prop_assert!(removed(&once, &vms) == files, "{:?}", vms);
    }
}

#[test]
fn what_is_true_of_all_is_said_once_and_what_is_true_of_some_with_their_names() {
    let folder = folder(&[
        ("vm.yaml", &manifest("several.yaml")),
        ("certificate.yaml", &example("inject-own-vm/certificate.yaml")),
    ]);
    let vms = ["--vm", "db-0", "--vm", "shop/db-1", "--vm", "stage/db-1", "--vm", "shop/db-0"];
    let secret = ["--secret", "shop-db-tls"];
    let in_place = |args: &[&str]| {
        let done = run(folder.path(), &[args, &vms, &["--in-place", "."]].concat());
        assert!(done.status.success() && done.stdout.is_empty(), "{}", said(&done));
        said(&done)
    };
    let told = in_place(&secret);
    let whose: Vec<_> = told.lines().map(|line| line.split(": ").nth(1).unwrap()).collect();
    let all = "each of the 3 VMs";
    let (stage, shop) = ("VirtualMachine stage/db-1", "VirtualMachine shop/db-0, VirtualMachine shop/db-1");
    // One has no cloud-init, so that something else is said of its next start.
    assert_eq!(whose, [stage, all, shop, all, stage], "{told}");
    assert!(
        told.starts_with("tandem-vm: VirtualMachine stage/db-1: starts only where its namespace has the Secret"),
        "{told}"
    );
    assert_eq!(in_place(&secret), format!("tandem-vm: {all}: nothing to change\n"));
    let left = in_place(&["--remove"]);
    for name in ["db-0-userdata --namespace shop", "db-1-userdata --namespace shop"] {
        assert!(left.contains(&format!("`kubectl delete secret {name}`")), "{left}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("vm.yaml")).unwrap(), manifest("several.yaml"));
    assert_eq!(in_place(&["--remove"]), format!("tandem-vm: {all}: has nothing of an injection\n"));
    // A VM that is named twice is one.
    let twice = run(folder.path(), &["--remove", "--vm", "db-0", "--vm", "shop/db-0", "--diff", "."]);
    assert_eq!(said(&twice), "tandem-vm: VirtualMachine shop/db-0: has nothing of an injection\n");
}

/// Three VMs, two of them with several faults each, a name that there is not, and two files that cannot be read.
#[test]
fn all_that_is_in_the_way_is_told_at_once_and_nothing_is_written() {
    let good = manifest("inline.yaml");
    let script = "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: a}\nspec:\n  template:\n    spec:\n      domain:\n        \
                  devices:\n          disks: [{name: x, serial: tandem-tls}]\n      volumes:\n      - name: tls\n        secret: {secretName: \
                  shop-tls}\n      - name: unattend\n        sysprep: {}\n      - name: init\n        cloudInitNoCloud:\n          userData: \
                  |\n            #!/bin/sh\n";
    let flow = "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: b}\nspec: {template: {spec: {domain: {devices: {}}}}}\n";
    let folder = folder(&[("a.yaml", script), ("b.yaml", flow), ("c.yaml", &good)]);
    let lines = |args: &[&str]| {
        let done = run(folder.path(), &[&["--secret", "shop-tls", "--in-place"], args].concat());
        assert!(done.status.code() == Some(2) && done.stdout.is_empty(), "{}", said(&done));
        assert_eq!(fs::read_to_string(folder.path().join("c.yaml")).unwrap(), good);
        said(&done).lines().map(|line| line.strip_prefix("tandem-vm: ").unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = ["a.yaml", "b.yaml", "c.yaml"];
    let a = "a.yaml: document 1: VirtualMachine a: spec.template.spec";
    assert_eq!(
        lines(&[&["--vm", "b", "--vm", "a", "--vm", "orders"], &all[..]].concat()),
        [
            "b.yaml: document 1: VirtualMachine b: spec: is in flow style ({…} or […]); write it in block style, a line for each entry",
            &format!("{a}.volumes[0]: already brings the Secret shop-tls; remove this volume and its disk"),
            &format!(
                "{a}.volumes[1]: is a sysprep volume: Windows has neither cloud-init nor systemd; give that guest the Secret by its own means"
            ),
            &format!("{a}.domain.devices.disks[0].serial: is `tandem-tls` already; choose another with --serial"),
            &format!(
                "{a}.volumes[2].cloudInitNoCloud.userData: is a script; put it into `runcmd` of a #cloud-config, or into a file that \
                 `runcmd` runs"
            ),
            &format!(
                "{a}.domain.devices.disks: is in flow style ({{…}} or […]); write it in block style, a line for each entry"
            ),
        ]
    );
    let there = "choose one with --vm: a, b, shop/orders";
    assert_eq!(
        lines(&[&["--vm", "x", "--vm", "orders", "--vm", "y"], &all[..]].concat()),
        [format!("there is no VM `x`; {there}"), format!("there is no VM `y`; {there}")]
    );
    fs::write(folder.path().join("b.yaml"), "a: [").unwrap();
    fs::write(folder.path().join("a.yaml"), "a: 1\na: 2\n").unwrap();
    let unread = lines(&all);
    let begins = |at: usize, start: &str| unread[at].starts_with(start);
    assert!(
        unread.len() == 2 && begins(0, "a.yaml: not readable as YAML: ") && begins(1, "b.yaml: not readable as YAML: "),
        "{unread:?}"
    );
    let missing = lines(&["x.yaml", "c.yaml", "y"]);
    assert!(missing.len() == 2 && missing[0].starts_with("x.yaml: No such file"), "{missing:?}");
}
