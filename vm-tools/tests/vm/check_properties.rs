//! `tandem-vm check` on what is generated: no text makes it panic, and what is right has no errors.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use tandem_vm::check::{Severity, check};
use tandem_vm::model::Stream;

use crate::check::{BEFORE, repository};
use crate::{model, properties};

/// What a check of a text finds, in all forms of output; `None` where it is no stream.
fn all_forms(text: &str) -> Option<(usize, String)> {
    let stream = Stream::read(&["-".into()], &mut text.as_bytes(), "shop").ok()?;
    let mut report = check(&stream, &[]);
    let texts = BTreeMap::from([("standard input".to_owned(), text.to_owned())]);
    report.find_lines(&texts);
    Some((report.count(Severity::Error), report.text() + &report.json().unwrap() + &report.sarif().unwrap()))
}

/// User data that says much of what the rules look for, in any order.
fn any_user_data() -> impl Strategy<Value = String> {
    let pieces = [
        "#cloud-config",
        "\n",
        "runcmd:",
        "bootcmd:",
        "write_files:",
        "- ",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "\"",
        "'",
        "|",
        "*",
        "&a",
        "*a",
        "/dev/vdb",
        "/dev/disk/by-id/",
        "virtio-",
        "*-tls",
        "$SERIAL",
        "grep ",
        "lsblk ",
        "mongodb://",
        "a:b@",
        "host=",
        ":27017",
        ",",
        "keyFile: ",
        "--keyFile ",
        "/etc/key",
        "path: ",
        "content: ",
        "permissions: ",
        "0400",
        "644",
        "owner: ",
        "mounts: ",
        "LABEL=",
        "encoding: b64",
        "clusterAuthMode: x509",
        "tls.key",
        "cat ",
        "\u{e9}",
        "\0",
        "\u{feff}",
        "#",
        "## template: jinja",
        "\r\n",
    ];
    proptest::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_render_makes_has_no_errors(document in properties::document()) {
        let text = serde_yaml::to_string(&document).unwrap();
        let (errors, said) = all_forms(&text).unwrap();
        prop_assert_eq!(errors, 0, "{}", said);
    }

    #[test]
    fn no_manifest_makes_it_panic_and_the_same_gives_the_same(text in model::any_manifest()) {
        prop_assert_eq!(all_forms(&text), all_forms(&text));
    }

    #[test]
    fn no_user_data_makes_it_panic(text in prop_oneof![any_user_data(), any_user_data().prop_map(|text| format!("#cloud-config\n{text}"))]) {
        let user_data = serde_json::to_string(&text).unwrap();
        let machine = example_machine().replace("USER_DATA", &user_data);
        if let Some((_, said)) = all_forms(&machine) {
            prop_assert!(said.contains("in 1 object"));
        }
    }

    #[test]
    fn no_damage_to_the_example_makes_it_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..20, "[ -~\n\u{e9}]{0,6}"), 1..6)
    ) {
        let mut text: Vec<char> = fs::read_to_string(repository().join(BEFORE)).unwrap().chars().collect();
        for (index, remove, insert) in edits {
            let at = index.index(text.len());
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
        }
        all_forms(&text.into_iter().collect::<String>());
    }
}

fn example_machine() -> String {
    "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {name: a}\nspec: {template: {spec: {domain: {devices: {disks: [\
     {name: root, disk: {bus: virtio}}, {name: tls, disk: {bus: virtio}, serial: tls}, {name: seed, disk: {bus: virtio}}]}}, volumes: [\
     {name: root, persistentVolumeClaim: {claimName: a}}, {name: tls, secret: {secretName: tls}}, \
     {name: seed, cloudInitNoCloud: {userData: USER_DATA}}]}}}\n"
        .to_owned()
}

#[test]
fn a_hundred_machines_take_no_time_worth_mentioning() {
    let start = std::time::Instant::now();
    let before = fs::read_to_string(repository().join(BEFORE)).unwrap();
    let many: String = (0..100).map(|i| before.replace("shop", &format!("shop-{i}")) + "---\n").collect();
    let (errors, _) = all_forms(&many).unwrap();
    let (one, _) = all_forms(&before).unwrap();
    assert_eq!(errors, 100 * one);
    assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
}
