//! `inject` where two answers were possible: which VM is meant, which key KubeVirt reads, whose Secret goes, and what a terminal is shown.

use std::fs;

use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::inject::{
    check_injected, decoded, injected, instance, is_named, manifest, objects, options, removed, user_data,
};
use crate::support::{output, said};

/// A VM of this name and further metadata, with this cloud-init volume.
fn vm(name: &str, more: &str, cloud_init: &str) -> String {
    format!(
        "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata:\n  name: {name}\n{more}spec:\n  template:\n    spec:\n      \
         domain:\n        devices: {{}}\n      volumes:\n      - name: init\n        cloudInitNoCloud:\n          {cloud_init}\n"
    )
}

const INLINE: &str = "userData: |\n            #cloud-config\n            hostname: a";

#[test]
fn a_vm_that_was_renamed_takes_its_secret_with_it() {
    for (manifest, name) in [(manifest("inline.yaml"), "orders"), (vm("orders", "", INLINE), "orders")] {
        let rename = |text: &str| text.replace(&format!("  name: {name}\n"), "  name: billing\n");
        let after = rename(&injected(&manifest, &options(name)));
        assert!(after.contains("orders-userdata"), "{after}");
        assert_eq!(removed(&after, "billing"), rename(&manifest));
        // Injected again it gets a Secret of its present name.
        let again = injected(&after, &options("billing"));
        assert!(!again.contains("orders-userdata") && again.contains("billing-userdata"), "{again}");
    }
}

#[test]
fn the_only_vm_with_an_injection_need_not_be_named_to_remove_it() {
    let text = manifest("several.yaml");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("vm.yaml");
    let remove = || output(tandem_vm().args(["inject", "--remove", "-i", "vm.yaml"]).current_dir(&folder));
    fs::write(&file, injected(&text, &options("shop/db-1"))).unwrap();
    let done = remove();
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // Of none and of two nobody knows which.
    let two = injected(&injected(&text, &options("shop/db-1")), &options("db-0"));
    for text in [&text, &two] {
        fs::write(&file, text).unwrap();
        let done = remove();
        assert!(done.status.code() == Some(2) && said(&done).contains("choose one with --vm"), "{}", said(&done));
        assert_eq!(&fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn another_vms_secret_stays_where_it_is() {
    let first = injected(&vm("a", "", INLINE), &options("a"));
    // A copy of the VM alone names the Secret of the first.
    let copy = first.rsplit_once("---\n").unwrap().1.replace("name: a\n", "name: b\n");
    let both = format!("{first}---\n{copy}");
    let rest = removed(&both, "b");
    assert_eq!(rest, format!("{first}---\n{}", vm("b", "", INLINE)));
    assert_eq!(removed(&rest, "a"), format!("{}---\n{}", vm("a", "", INLINE), vm("b", "", INLINE)));
    // The user's own is left alone as well, as long as two VMs read it.
    let own = "apiVersion: v1\nkind: Secret\nmetadata: {name: init}\nstringData:\n  userdata: |\n    #cloud-config\n";
    let named = |name: &str| vm(name, "", "secretRef: {name: init}");
    let one = injected(&format!("{own}---\n{}", named("a")), &options("a"));
    let two = format!("{one}---\n{}", one.rsplit_once("---\n").unwrap().1.replace("name: a\n", "name: b\n"));
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("vm.yaml"), &two).unwrap();
    let done = output(tandem_vm().args(["inject", "--remove", "-i", "--vm", "a", "vm.yaml"]).current_dir(&folder));
    let told = "the Secret init is also the user data of VirtualMachine b; give each VM its own";
    assert!(!done.status.success() && said(&done).contains(told), "{}", said(&done));
    assert_eq!(fs::read_to_string(folder.path().join("vm.yaml")).unwrap(), two);
}

/// KubeVirt mounts the Secret and reads the first file that is there of `userdata` and `userData`.
#[test]
fn the_key_that_kubevirt_reads_is_edited() {
    let [plain, other] = ["#cloud-config\nhostname: read\n", "#cloud-config\nhostname: passed-over\n"];
    let block = |key: &str, text: &str| format!("  {key}: |\n    {}\n", text.trim_end().replace('\n', "\n    "));
    let coded = |key: &str, text: &str| {
        use base64::prelude::{BASE64_STANDARD, Engine};
        format!("  {key}: {}\n", BASE64_STANDARD.encode(text))
    };
    for entries in [
        format!("stringData:\n{}data:\n{}", block("userData", other), coded("userdata", plain)),
        format!("data:\n{}{}", coded("userData", other), coded("userdata", plain)),
        format!("data:\n{}stringData:\n{}", coded("userdata", other), block("userdata", plain)),
        format!("stringData:\n{}{}", block("userData", other), block("userdata", plain)),
        format!("data:\n{}stringData:\n{}", coded("userData", other), block("userData", plain)),
    ] {
        let text = format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: init\n{entries}---\n{}",
            vm("a", "", "secretRef:\n            name: init")
        );
        assert_eq!(user_data(&objects(&text), "a").as_deref(), Some(plain), "{text}");
        let after = injected(&text, &options("a"));
        check_injected(&text, &after, &options("a"));
        let secret = objects(&after).into_iter().find(|object| object["kind"] == "Secret").unwrap();
        let values = ["data", "stringData"].iter().flat_map(|map| secret[map].as_object().into_iter().flatten());
        let kept = values.filter(|(_, value)| {
            let text = value.as_str().unwrap();
            text == other || !text.starts_with('#') && !text.contains(": ") && decoded(text) == other
        });
        assert_eq!(kept.count(), 1, "{after}");
        assert_eq!(removed(&after, "a"), text);
    }
}

#[test]
fn a_vm_without_a_namespace_can_be_chosen_beside_one_of_its_name() {
    let shop = vm("db", "  namespace: shop\n", INLINE);
    for text in [format!("{}---\n{shop}", vm("db", "", INLINE)), format!("{shop}---\n{}", vm("db", "", INLINE))] {
        for (target, other) in [("db", "shop/db"), ("shop/db", "/db")] {
            let after = injected(&text, &options(target));
            let volumes = |vm: &str| {
                let all = objects(&after);
                let full = |object: &&serde_json::Value| {
                    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
                    is_named(object, "db")
                        && format!("{namespace}/db").ends_with(vm)
                        && (namespace.is_empty() || vm != "/db")
                };
                instance(all.iter().find(full).unwrap())["volumes"].as_array().unwrap().len()
            };
            let chosen = if target == "db" { "/db" } else { target };
            assert_eq!((volumes(chosen), volumes(other)), (2, 1), "{after}");
            assert_eq!(injected(&after, &options(target)), after);
            assert_eq!(removed(&after, target), text);
        }
    }
}

#[test]
fn no_manifest_moves_a_terminal() {
    let folder = TempDir::new().unwrap();
    let evil = "\\e[31m\\u009b2J\\u202e\\n\\r";
    let named = format!("\"a{evil}\"");
    let one = vm(&named, &format!("  namespace: \"n{evil}\"\n"), INLINE);
    let shared = format!("{}---\n{one}", vm("b", "", &format!("secretRef: {{name: {named}}}")));
    let files = [
        ("one.yaml", one.clone()),
        ("twice.yaml", format!("{one}---\n{one}")),
        ("several.yaml", shared.clone()),
        ("kind.yaml", one.replace("cloudInitNoCloud:", "secret: {secretName: shop-tls}\n        x:")),
        ("list.yaml", format!("apiVersion: v1\nkind: \"List{evil}\"\nitems: []\n---\n{one}")),
        ("tag.yaml", one.replace("devices: {}", &format!("devices: {{\"x{evil}\": !<{evil}> y}}"))),
        ("field.yaml", one.replace("devices: {}", &format!("devices: &a {{\"x{evil}\": *b}}"))),
    ];
    for (name, text) in &files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut runs = vec![vec!["inject", "--secret", "shop-tls", "--vm", "b", "several.yaml"]];
    for (name, _) in &files {
        runs.push(vec!["inject", "--secret", "shop-tls", name]);
        runs.push(vec!["inject", "--remove", name]);
        runs.push(vec!["check", name]);
        runs.push(vec!["rotation-plan", "--now", "2026-01-01T00:00:00Z", name]);
    }
    for args in runs {
        let done = output(tandem_vm().args(&args).current_dir(&folder));
        // What goes on is what came in; check writes for people.
        let shown = if args[0] == "inject" { done.stderr } else { [done.stdout, done.stderr].concat() };
        let shown = String::from_utf8(shown).unwrap();
        let moved = shown.chars().find(|c| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{202e}').contains(c));
        assert_eq!(moved, None, "{args:?}: {shown:?}");
        // Nor a line of its own.
        assert!(!shown.lines().any(|line| line.starts_with('\u{fffd}')), "{args:?}: {shown}");
    }
}
