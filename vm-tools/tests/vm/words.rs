//! What is said to somebody who has only the command and a folder of manifests, and types what is nearly right.

use std::fs;

use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::support::{example_path, output, said};

#[test]
fn what_was_typed_nearly_right_is_answered_by_what_to_type() {
    let folder = TempDir::new().unwrap();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir_all(at("machines/shop")).unwrap();
    fs::copy(example_path("inject-own-vm/vm.yaml"), at("vm.yaml")).unwrap();
    fs::copy(example_path("databasevm.yaml"), at("machines/shop/databasevm.yaml")).unwrap();
    fs::write(at("mongod.conf"), "net:\n  port: 27017\n").unwrap();
    let inject = "or have tandem-vm inject change a VM";
    for (arguments, answer) in [
        (
            "render machines",
            "machines: no .yaml, .yml or .json file is in this folder; name one of the folders in it, which are not looked into",
        ),
        ("render vm.yaml", inject),
        (
            "mongod-conf vm.yaml --port 1",
            "is a manifest of Kubernetes; give a mongod.conf, or have tandem-vm inject change a VM",
        ),
        (
            "mongod-conf mongod.conf",
            "there is nothing to set; name a setting, such as --mode requireTLS (--help lists them)",
        ),
        (
            "verify --endpoint a:1 --secret orders",
            "`orders` is not NAMESPACE/NAME; write both, such as shop/orders-tls",
        ),
        ("verify --endpoint a:1 --folder s --timeout 5", "`5` is not a duration; write one such as 30s, 15m or 168h"),
        ("verify --endpoint a:1 --folder s --warn-before week", "`week` is not a duration; write one such as 30s"),
        (
            "verify --endpoint a:1 --folder s --now today",
            "`today` is not a time; write one such as 2026-11-21T12:00:00Z",
        ),
        ("stale --vm a --secret a/b --restart --wait long", "`long` is not a duration; write one such as 30s"),
        ("stale --vm a --secret a/b --restart --wait=-1m", "--wait: write a duration such as 15m"),
        ("rotation-plan vm.yaml --now today", "`today` is not a time; write one such as 2026-11-21T12:00:00Z"),
        ("rotation-plan vm.yaml --until 2027", "`2027` is not a time; write one such as 2026-11-21T12:00:00Z"),
        ("rotation-plan vm.yaml --issued a/b=x", "`x` is not a time; write one such as 2026-11-21T12:00:00Z"),
    ] {
        let done = output(tandem_vm().args(arguments.split(' ')).current_dir(folder.path()));
        assert_eq!(done.status.code(), Some(2), "{arguments}: {}", said(&done));
        assert!(said(&done).contains(answer), "{arguments}: {}", said(&done));
    }
}

#[test]
fn a_rule_is_explained_however_its_letters_are_written() {
    let explained = |rule: &str| output(tandem_vm().args(["check", "--explain", rule])).stdout;
    assert!(!explained("TVM001").is_empty());
    assert_eq!(explained("tvm001"), explained("TVM001"));
}

#[test]
fn the_command_alone_says_where_to_begin() {
    for arguments in [&[][..], &["--help"], &["-h"]] {
        let text = said(&output(tandem_vm().args(arguments)));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let begin = "To begin with: `tandem-vm render --help` for a new VM, `tandem-vm inject --help` for one that you have. Every \
                     command's --help has examples.";
        assert!(text.contains(begin), "{text}");
    }
}
