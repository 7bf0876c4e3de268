//! `inject --diff`: short for people, whole for `patch`, and what its exit code tells.

use std::fs;
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::inject::manifest;
use crate::support::{example, output, said};

fn folder(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("vm.yaml"), text).unwrap();
    folder
}

fn run(folder: &Path, args: &[&str]) -> Output {
    output(tandem_vm().arg("inject").args(args).arg("vm.yaml").current_dir(folder))
}

fn shown(done: &Output) -> String {
    String::from_utf8(done.stdout.clone()).unwrap()
}

/// What becomes of a text by a unified diff.
fn patched(text: &str, diff: &str) -> String {
    let (old, mut at, mut new): (Vec<_>, usize, String) = (text.split_inclusive('\n').collect(), 0, String::new());
    for line in diff.split_inclusive('\n').skip(2) {
        if let Some(hunk) = line.strip_prefix("@@ -") {
            let start: usize = hunk.split([',', ' ']).next().unwrap().parse().unwrap();
            new += &old[at..start - 1].concat();
            at = start - 1;
            continue;
        }
        if !line.starts_with('+') {
            assert_eq!(&line[1..], old[at]);
            at += 1;
        }
        if !line.starts_with('-') {
            new += &line[1..];
        }
    }
    new + &old[at..].concat()
}

#[test]
fn a_diff_is_short_for_people_and_whole_for_patch() {
    let text = example("inject-own-vm/vm.yaml");
    let folder = folder(&text);
    let options = ["--secret", "shop-db-tls", "--database", "mongodb", "--os", "debian"];
    let [short, full] =
        ["--diff", "--diff=full"].map(|diff| shown(&run(folder.path(), &[&options[..], &[diff]].concat())));
    assert!(run(folder.path(), &[&options[..], &["--in-place"]].concat()).status.success());
    let after = fs::read_to_string(folder.path().join("vm.yaml")).unwrap();
    assert!(patched(&text, &full) == after, "{full}");
    // The script is begun and counted; all else is there.
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (short, full) = (lines(&short), lines(&full));
    let abridged: Vec<_> = short.iter().filter(|line| line.contains("more lines")).collect();
    let [abridged] = &abridged[..] else { panic!("{abridged:?}") };
    let left_out = full.len() + 1 - short.len();
    assert_eq!(**abridged, format!("+        … {left_out} more lines"));
    let at = short.iter().position(|line| line == *abridged).unwrap();
    assert_eq!((&short[..at], &short[at + 1..]), (&full[..at], &full[at + left_out..]));
    assert!(short.len() < 130, "{}", short.len());
    // What is taken out is shown no longer.
    let removed = shown(&run(folder.path(), &["--remove", "--diff"]));
    assert!(removed.contains(&format!("\n-        … {left_out} more lines\n")), "{removed}");
}

#[test]
fn what_is_base64_is_shown_decoded() {
    let folder = folder(&manifest("secret-data.yaml"));
    let [short, full] =
        ["--diff", "--diff=full"].map(|diff| shown(&run(folder.path(), &["--secret", "shop-tls", diff])));
    let (manifests, decoded) = short.split_once("--- vm.yaml: userData, decoded\n").unwrap();
    assert!(short.lines().all(|line| line.chars().count() < 250), "{short}");
    assert!(
        manifests
            .lines()
            .any(|line| line.starts_with("+  userData: I2Nsb3VkLWNvbmZpZ") && line.ends_with(" more characters")),
        "{short}"
    );
    for line in ["+write_files: # tandem-vm inject", "+- path: /usr/local/sbin/tandem-tls # tandem-vm inject"] {
        assert!(decoded.lines().any(|found| found.replace("+  ", "+") == line), "{line}: {decoded}");
    }
    assert!(!full.contains("decoded") && full.lines().any(|line| line.len() > 10_000), "{full}");
}

#[test]
fn the_exit_code_tells_whether_something_changes_and_it_is_said_that_nothing_does() {
    let folder = folder(&example("inject-own-vm/vm.yaml"));
    let nothing = "tandem-vm: VirtualMachine shop/shop-db: nothing to change\n";
    let secret = ["--secret", "shop-db-tls"];
    let with = |args: &[&'static str]| run(folder.path(), &[&secret[..], args].concat());
    let would = with(&["--diff", "--exit-code"]);
    assert_eq!(would.status.code(), Some(1), "{}", said(&would));
    assert!(!said(&would).contains("nothing to change"));
    assert_eq!(with(&["--diff"]).status.code(), Some(0));
    assert!(with(&["--in-place"]).status.success());
    for args in [&["--diff", "--exit-code"][..], &["--diff"], &["--in-place"]] {
        let done = with(args);
        assert_eq!((done.status.code(), said(&done).as_str()), (Some(0), nothing), "{args:?}");
    }
    assert_eq!(run(folder.path(), &["--remove", "--diff", "--exit-code"]).status.code(), Some(1));
    // An error is neither.
    let wrong = run(folder.path(), &["--secret", "Shop", "--diff", "--exit-code"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    let alone = with(&["--exit-code"]);
    assert!(alone.status.code() == Some(2) && said(&alone).contains("--diff"), "{}", said(&alone));
}

/// On each of the runs that come before it, nobody reads it any more.
#[test]
fn what_is_to_be_done_is_said_by_the_run_that_writes() {
    let folder = folder(&example("inject-own-vm/vm.yaml"));
    let stderr = |args: &[&str]| {
        let done = run(folder.path(), args);
        assert!(done.status.success(), "{}", said(&done));
        String::from_utf8(done.stderr).unwrap()
    };
    let secret = ["--secret", "shop-db-tls"];
    // That the VM waits for a Secret which nobody makes is about the manifests.
    let waits = "tandem-vm: VirtualMachine shop/shop-db: starts only where its namespace has the Secret shop-db-tls";
    for diff in ["--diff", "--diff=full"] {
        let told = stderr(&[&secret[..], &[diff]].concat());
        assert!(told.starts_with(waits) && told.lines().count() == 1, "{told}");
    }
    let shown = stderr(&secret);
    assert!(shown.starts_with(waits) && shown.lines().count() == 4, "{shown}");
    assert_eq!(stderr(&[&secret[..], &["--in-place"]].concat()), shown);
    assert_eq!(stderr(&["--remove", "--diff"]), "");
    assert!(stderr(&["--remove", "--in-place"]).contains("`kubectl delete secret shop-db-userdata --namespace shop`"));
}
