//! From which disk an injected VM boots: the one from which it booted before.

use serde_json::Value;
use tandem_vm::inject::{Delivery, Options};

use crate::inject::{MANIFESTS, injected, instance, is_named, manifest, objects, options, removed};
use crate::support::said;

/// As `virtctl create vm` writes it: volumes, and no disk.
pub(crate) const GOLDEN: &str = "apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata:
  name: golden
spec:
  runStrategy: Always
  template:
    spec:
      domain:
        devices: {}
      volumes:
      - dataVolume:
          name: golden-root
        name: root
      - memoryDump:
          claimName: dump
        name: dump
      - emptyDisk:
          capacity: 1Gi
        name: \"1\"
      - cloudInitNoCloud:
          userData: |
            #cloud-config
            hostname: golden
        name: cloudinitdisk
";

/// A second disk is written out, the first is not.
const HALF: &str = "        devices:
          disks: # in this order
          - name: cloudinitdisk
            disk:
              bus: virtio
";

fn half() -> String {
    GOLDEN.replace("        devices: {}\n", HALF)
}

/// The disks of a VM as KubeVirt's defaulting has them (`SetDefaultVolumeDisk`): those that are written, then those of volumes
/// that are neither a disk nor a filesystem. What a dump is written into is no drive.
fn drives(text: &str, vm: &str) -> Vec<String> {
    let objects = objects(text);
    let spec = instance(objects.iter().find(|object| is_named(object, vm)).unwrap());
    let names = |list: &Value| -> Vec<String> {
        let named = |entry: &Value| entry["name"].as_str().unwrap().to_owned();
        list.as_array().into_iter().flatten().map(named).collect()
    };
    let devices = &spec["domain"]["devices"];
    let (mut disks, filesystems) = (names(&devices["disks"]), names(&devices["filesystems"]));
    for volume in spec["volumes"].as_array().into_iter().flatten().filter(|volume| volume.get("memoryDump").is_none()) {
        let name = volume["name"].as_str().unwrap();
        if !disks.iter().chain(&filesystems).any(|other| other == name) {
            disks.push(name.to_owned());
        }
    }
    disks
}

fn both(vm: &str) -> [Options; 2] {
    [options(vm), Options { delivery: Delivery::Filesystem, ..options(vm) }]
}

#[test]
fn the_disks_of_before_come_first_and_in_their_order() {
    let mut tried: Vec<(String, &str)> =
        MANIFESTS.iter().flat_map(|(file, machines)| machines.iter().map(|vm| (manifest(file), *vm))).collect();
    tried.extend([(GOLDEN.to_owned(), "golden"), (half(), "golden")]);
    for (text, vm) in tried {
        for options in both(vm) {
            let after = injected(&text, &options);
            let (before, after) = (drives(&text, vm), drives(&after, vm));
            assert_eq!(after[..before.len().min(after.len())], before, "{text}");
            let ours = after[before.len()..].iter().all(|name| name.starts_with("tandem-"));
            assert!(ours, "{after:?}\n{text}");
        }
    }
}

#[test]
fn what_kubevirt_would_attach_is_written_out_and_taken_back() {
    for text in [GOLDEN.to_owned(), half(), half().replace('\n', "\r\n")] {
        for options in both("golden") {
            let once = injected(&text, &options);
            assert_eq!(injected(&once, &options), once, "{text}");
            assert_eq!(removed(&once, "golden"), text);
        }
    }
    let disks = "        devices: # tandem-vm inject, was {}
          disks: # tandem-vm inject
          - name: root # tandem-vm inject
            disk: {}
          - name: '1' # tandem-vm inject
            disk: {}
          - name: cloudinitdisk # tandem-vm inject
            disk: {}
          - name: tandem-tls # tandem-vm inject
            disk:
              bus: virtio
            serial: tandem-tls
";
    let after = injected(GOLDEN, &options("golden"));
    assert!(after.contains(disks), "{after}");
    // A filesystem comes before no disk.
    let filesystem = injected(GOLDEN, &both("golden")[1]);
    assert!(!filesystem.contains("disks:"), "{filesystem}");
}

#[test]
fn a_disk_that_somebody_has_written_on_stays() {
    let after = injected(GOLDEN, &options("golden"));
    let named = "- name: root # tandem-vm inject\n            disk: {}\n";
    let edited = after
        .replace(named, "- name: root # tandem-vm inject\n            disk: {bus: virtio}\n            bootOrder: 1\n");
    assert_ne!(edited, after);
    let rest = removed(&edited, "golden");
    assert!(rest.contains("bootOrder: 1") && !rest.contains("tandem-tls") && !rest.contains("- name: '1'"), "{rest}");
    assert_eq!(drives(&rest, "golden")[0], "root");
}

#[test]
fn the_diff_shows_the_disks() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("vm.yaml"), GOLDEN).unwrap();
    let mut command = crate::command::tandem_vm();
    let done = crate::support::output(
        command.args(["inject", "--secret", "shop-tls", "--diff", "vm.yaml"]).current_dir(folder.path()),
    );
    let shown = String::from_utf8(done.stdout.clone()).unwrap();
    assert!(
        shown.contains("+          - name: root # tandem-vm inject\n+            disk: {}\n"),
        "{shown}{}",
        said(&done)
    );
}

#[test]
fn a_disk_that_was_added_behind_ours_does_not_become_the_first() {
    let after = injected(GOLDEN, &options("golden"));
    let edited = after.replace(
        "            serial: tandem-tls\n",
        "            serial: tandem-tls\n          - name: \"2\"\n            disk: {}\n",
    );
    assert_ne!(edited, after);
    for text in [injected(&edited, &options("golden")), removed(&edited, "golden")] {
        assert_eq!(drives(&text, "golden")[..4], ["root", "1", "cloudinitdisk", "2"], "{text}");
    }
}
