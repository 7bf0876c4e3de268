//! `keyfile`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

use aws_lc_rs::rand::SystemRandom;
use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::Value;
use tandem_vm::keyfile::{Fault, KeyFile, MAX_KEYS, RANDOM_BYTES, check, check_mode};
use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::support::{output, said};

fn keyfile(args: &[&str]) -> Output {
    output(tandem_vm().arg("keyfile").args(args))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// What MongoDB's manual says of a keyFile, read anew: white space stripped, then 6 to 1024 characters of the base64 set.
fn mongodb_takes(content: &[u8]) -> bool {
    let stripped: Vec<_> = content.iter().filter(|byte| !b" \t\n\r\x0b\x0c".contains(byte)).collect();
    (6..=1024).contains(&stripped.len())
        && stripped.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
}

#[test]
fn a_new_key_file_is_756_random_bytes_that_only_its_owner_reads() {
    let folder = TempDir::new().unwrap();
    let [one, two] = ["one.key", "two.key"].map(|name| folder.path().join(name));
    for path in [&one, &two] {
        let done = keyfile(&[path.to_str().unwrap()]);
        assert!(done.status.success() && said(&done).is_empty(), "{}", said(&done));
        assert_eq!(mode(path), 0o400);
        let content = fs::read(path).unwrap();
        assert!(mongodb_takes(&content));
        let key = content.strip_suffix(b"\n").unwrap();
        assert_eq!((key.len(), STANDARD.decode(key).unwrap().len()), (1008, RANDOM_BYTES));
    }
    assert_ne!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
}

#[test]
fn a_key_file_that_is_there_stays_unless_it_is_to_be_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mongodb.key");
    let name = path.to_str().unwrap();
    fs::write(&path, "the set's key").unwrap();
    let refused = keyfile(&[name]);
    let expected = format!(
        "tandem-vm: {name}: is there already and was not touched: a member with another key than the others falls out of \
         the replica set; name another file, or --replace it\n"
    );
    assert_eq!((refused.status.code(), said(&refused)), (Some(2), expected));
    assert_eq!(fs::read(&path).unwrap(), b"the set's key");
    assert!(keyfile(&[name, "--replace"]).status.success());
    assert!(mongodb_takes(&fs::read(&path).unwrap()) && mode(&path) == 0o400);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
}

#[test]
fn a_secret_holds_the_same_kind_of_file_and_cannot_be_changed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("secret.yaml");
    let args = ["--secret", "mongodb-keyfile", "-n", "shop"];
    let done = keyfile(&[&args[..], &[path.to_str().unwrap()]].concat());
    assert!(done.status.success() && said(&done).is_empty(), "{}", said(&done));
    assert_eq!(mode(&path), 0o600);
    let piped = keyfile(&args);
    for text in [fs::read(&path).unwrap(), piped.stdout] {
        let mut secret: Value = serde_yaml::from_slice(&text).unwrap();
        let data = secret["data"]["keyfile"].take();
        assert!(mongodb_takes(&STANDARD.decode(data.as_str().unwrap()).unwrap()));
        let expected = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "mongodb-keyfile",
                "namespace": "shop",
                "labels": {"app.kubernetes.io/managed-by": "tandem-vm"},
            },
            "type": "Opaque",
            "immutable": true,
            "data": {"keyfile": null},
        });
        assert_eq!(secret, expected);
    }
}

#[test]
fn the_key_goes_to_standard_output_only_where_that_is_asked_for() {
    let done = keyfile(&["-"]);
    assert!(done.status.success() && mongodb_takes(&done.stdout));
    for wrong in [
        &[][..],
        &["--namespace", "shop", "-"],
        &["--check"],
        &["--check", "-", "--replace"],
        &["--check", "-", "--secret", "name"],
    ] {
        let done = keyfile(wrong);
        assert_eq!((done.status.code(), done.stdout.len()), (Some(2), 0), "{wrong:?}");
    }
}

#[test]
fn wrong_names_and_places_are_refused_with_the_remedy() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing/mongodb.key");
    let missing = missing.to_str().unwrap();
    for (args, expected) in [
        (
            &["--secret", "Mongo", "-n", "a_b"][..],
            "tandem-vm: --secret: `Mongo` is not a DNS name; use labels of a-z, 0-9 and -, joined by dots\n\
             tandem-vm: --namespace: `a_b` is not an RFC 1123 label; use a-z, 0-9 and -, beginning and ending with a letter \
             or digit\n"
                .to_owned(),
        ),
        (
            &[missing],
            format!(
                "tandem-vm: {missing}: No such file or directory (os error 2); name a file in a folder that can be written\n"
            ),
        ),
    ] {
        let done = keyfile(args);
        assert_eq!((done.status.code(), said(&done)), (Some(2), expected));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn check_says_what_mongodb_would_say_before_it_does() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mongodb.key");
    let name = path.to_str().unwrap();
    let uid = fs::metadata(folder.path()).unwrap().uid();
    let owner = format!("; its owner is user {uid}, as whom mongod has to run");
    let lines = "abcdef\n".repeat(40);
    for (content, mode, code, expected) in [
        (&lines[..], 0o400, 0, format!("good, 240 characters{owner}")),
        ("- oldkey\n- 'new key'\n", 0o600, 0, format!("good, 6 and 6 characters{owner}")),
        ("", 0o400, 1, "holds no key; make one with tandem-vm keyfile".to_owned()),
        (" a b c d e ", 0o400, 1, "key 1 has 5 characters without its white space; MongoDB takes 6 to 1024".to_owned()),
        (
            "abcdef\nabc-def",
            0o400,
            1,
            "line 2 has a character that is neither of the base64 set nor white space; write A-Z, a-z, 0-9, +, / and ="
                .to_owned(),
        ),
        (
            "[abcdef, abcdef, abcdef]",
            0o400,
            1,
            "holds 3 keys; MongoDB takes at most 2, the old and the new one".to_owned(),
        ),
        ("abcdef", 0o440, 1, "its mode is 0440, and MongoDB calls that too open; chmod 0400".to_owned()),
    ] {
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let done = keyfile(&["--check", name]);
        assert_eq!((done.status.code(), said(&done)), (Some(code), format!("{name}: {expected}\n")), "{content:?}");
        fs::remove_file(&path).unwrap();
    }
    let done = keyfile(&["--check", name]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    fs::write(&path, "a".repeat(64 * 1024 + 1)).unwrap();
    let done = keyfile(&["--check", name]);
    let expected = format!("tandem-vm: {name}: more than 65536 bytes; name a keyFile\n");
    assert_eq!((done.status.code(), said(&done)), (Some(2), expected));
}

#[test]
fn a_key_does_not_print_itself() {
    let key = KeyFile::generate(&SystemRandom::new()).unwrap();
    assert_eq!(format!("{key:?}"), "KeyFile(…)");
}

proptest! {
    #[test]
    fn plain_keys_are_judged_as_the_manual_says(content in "[A-Za-z0-9+/= \\t\\r\\n]{0,40}|[A-Z \\n]{1010,1040}|[ -~\\n]{0,20}") {
        let judged = check(content.as_bytes());
        // A text that is no plain key may still be a list of keys.
        if mongodb_takes(content.as_bytes()) || !content.contains(['-', '[']) {
            prop_assert_eq!(judged.is_ok(), mongodb_takes(content.as_bytes()), "{:?}", judged);
        }
    }

    #[test]
    fn a_list_is_good_if_each_of_its_keys_is(keys in proptest::collection::vec("[A-Za-z+/][A-Za-z0-9+/]{0,9}", 1..4)) {
        let text: String = keys.iter().map(|key| format!("- \"{key}\"\n")).collect();
        let good = keys.len() <= MAX_KEYS && keys.iter().all(|key| mongodb_takes(key.as_bytes()));
        prop_assert_eq!(check(text.as_bytes()).is_ok(), good);
    }

    #[test]
    fn no_bytes_make_the_check_panic(content in any::<Vec<u8>>()) {
        drop(check(&content));
    }

    #[test]
    fn a_mode_is_good_if_the_owner_alone_may_read(mode in 0u32..0o1000) {
        let expected = match (mode & 0o077 == 0, mode & 0o400 != 0) {
            (true, true) => Ok(()),
            (true, false) => Err(Fault::Unreadable(mode)),
            (false, _) => Err(Fault::TooOpen(mode)),
        };
        prop_assert_eq!(check_mode(mode), expected);
    }
}
