//! `--output-dir`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::command::{render_stdin, tandem_vm};
use crate::support::{example, example_path, output, render, said};

fn render_to(dir: &Path, args: &[&str]) -> Output {
    output(tandem_vm().arg("render").arg(example_path("databasevm.yaml")).arg("--output-dir").arg(dir).args(args))
}

/// Content, mode and inode of each file.
fn state(dir: &Path) -> BTreeMap<String, (String, u32, u64)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let found = fs::metadata(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, (fs::read_to_string(&path).unwrap(), found.permissions().mode() & 0o7777, found.ino()))
    };
    fs::read_dir(dir).unwrap().map(entry).collect()
}

#[test]
fn each_object_has_its_file_and_a_second_run_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("new/folder");
    let done = render_to(&dir, &[]);
    assert!(done.status.success() && said(&done).is_empty(), "{}", said(&done));
    let first = state(&dir);
    let modes: Vec<_> = first.iter().map(|(name, (_, mode, _))| format!("{mode:o} {name}")).collect();
    let expected = [
        "644 01-certificate-mongodb-cert.yaml",
        "644 02-persistentvolumeclaim-mongodb-data.yaml",
        "600 03-secret-mongodb-vm-userdata.yaml",
        "644 04-virtualmachine-mongodb-vm.yaml",
        "644 05-service-mongodb.yaml",
        "644 06-networkpolicy-mongodb-vm.yaml",
        "644 07-deployment-mongodb-python-app.yaml",
    ];
    assert_eq!(modes, expected);
    assert!(render_to(&dir, &[]).status.success());
    assert_eq!(state(&dir), first);
}

#[test]
fn the_files_are_the_stream() {
    let folder = TempDir::new().unwrap();
    assert!(render_to(folder.path(), &[]).status.success());
    let joined: String = state(folder.path()).values().map(|(content, ..)| format!("---\n{content}")).collect();
    let manifests = render(&example("databasevm.yaml")).manifests;
    assert_eq!(joined, tandem_vm::output::stream(&manifests, tandem_vm::output::Format::Yaml).unwrap());
}

#[test]
fn changed_files_are_replaced_and_other_files_left_alone() {
    let folder = TempDir::new().unwrap();
    assert!(render_to(folder.path(), &["-o", "json"]).status.success());
    let first = state(folder.path());
    let secret = folder.path().join("03-secret-mongodb-vm-userdata.json");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(folder.path().join("05-service-mongodb.json"), "old").unwrap();
    fs::write(folder.path().join("kustomization.yaml"), "mine").unwrap();
    assert!(render_to(folder.path(), &["-o", "json"]).status.success());
    let mut second = state(folder.path());
    assert_eq!(second.remove("kustomization.yaml").unwrap().0, "mine");
    let plain = |state: &BTreeMap<String, (String, u32, u64)>| -> Vec<_> {
        state.iter().map(|(name, (content, mode, _))| (name.clone(), content.clone(), *mode)).collect()
    };
    assert_eq!(plain(&second), plain(&first));
}

/// Both leave a file of ours that nothing renders any more, in either format; what is somebody else's stays untold.
#[test]
fn files_of_objects_that_are_gone_are_named_and_deleted_where_that_is_asked_for() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path();
    let mut without_clients = example("databasevm.yaml").split("  clients:").next().unwrap().to_owned();
    // Who else is let in, so that nothing is said of that.
    without_clients += "  networkPolicy: {from: [{podSelector: {}}]}\n";
    let render = |text: &str, args: &[&str]| {
        let done = render_stdin(text.as_bytes(), &[&["--output-dir", dir.to_str().unwrap()], args].concat());
        assert!(done.status.success() && done.stdout.is_empty(), "{}", said(&done));
        said(&done)
    };
    let named = |name: &str, what: &str| format!("tandem-vm: {}: {what}\n", dir.join(name).display());
    let earlier = "is of an earlier run, and nothing here renders it; kubectl delete its object, then delete it or render \
                   with --prune";
    let deleted =
        "deleted, since nothing here renders it; its object stays in a cluster until kubectl deletes it there";

    assert_eq!(render(&example("databasevm.yaml"), &[]), "");
    assert_eq!(render(&example("databasevm.yaml"), &["--prune"]), "");
    let client = "07-deployment-mongodb-python-app.yaml";
    let content = fs::read_to_string(dir.join(client)).unwrap();
    // With our label, but not where and as we write it; a name of ours, but somebody else's object; a link; no object.
    fs::write(dir.join("deployment.yaml"), &content).unwrap();
    fs::write(dir.join("08-deployment-other.yaml"), &content).unwrap();
    fs::write(dir.join("05-service-mine.yaml"), "apiVersion: v1\nkind: Service\nmetadata: {name: mine}\n").unwrap();
    fs::write(dir.join("06-service-broken.yaml"), "a: [").unwrap();
    std::os::unix::fs::symlink(client, dir.join("09-deployment-mongodb-python-app.yaml")).unwrap();
    let foreign = ["deployment.yaml", "08-deployment-other.yaml", "05-service-mine.yaml", "06-service-broken.yaml"];
    let foreign = || foreign.map(|name| fs::read(dir.join(name)).unwrap());
    let before = foreign();

    assert_eq!(render(&without_clients, &[]), named(client, earlier));
    assert_eq!(fs::read_to_string(dir.join(client)).unwrap(), content, "it was touched");
    let yaml = state(dir).into_keys().filter(|name| name != client && name.ends_with(".yaml")).collect::<Vec<_>>();
    assert_eq!(render(&without_clients, &["--prune"]), named(client, deleted));
    assert!(!dir.join(client).exists());
    fs::remove_file(dir.join("09-deployment-mongodb-python-app.yaml")).unwrap();
    assert_eq!(render(&without_clients, &["--prune"]), "");

    // Another format writes other files.
    let said = render(&without_clients, &["--output", "json"]);
    assert_eq!(said.lines().count(), yaml.len() - foreign().len() - 1, "{said}");
    assert_eq!(foreign(), before);
}

/// `--prune` deletes nothing where something fails.
#[test]
fn nothing_is_deleted_if_one_file_cannot_be_written() {
    let folder = TempDir::new().unwrap();
    assert!(render_to(folder.path(), &[]).status.success());
    let service = folder.path().join("05-service-mongodb.yaml");
    fs::remove_file(&service).unwrap();
    fs::create_dir(&service).unwrap();
    let text = example("databasevm.yaml").split("  clients:").next().unwrap().to_owned();
    let done = render_stdin(text.as_bytes(), &["--prune", "--output-dir", folder.path().to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(folder.path().join("07-deployment-mongodb-python-app.yaml").is_file());
}

#[test]
fn objects_of_two_namespaces_do_not_overwrite_each_other() {
    let folder = TempDir::new().unwrap();
    let text = example("databasevm.yaml");
    let two = format!("{text}---\n{}", text.replace("kubevirt-networking-poc", "shop"));
    assert!(render_stdin(two.as_bytes(), &[]).status.success());
    let done = render_stdin(two.as_bytes(), &["--output-dir", folder.path().to_str().unwrap()]);
    let expected = "tandem-vm: 01-certificate-mongodb-cert.yaml: objects of two namespaces would be in this file; \
                    render each namespace into a folder of its own\n";
    assert_eq!((done.status.code(), said(&done).as_str()), (Some(2), expected));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    let fails = |dir: &Path, expected: &str| {
        let done = render_to(dir, &[]);
        assert_eq!((done.status.code(), said(&done)), (Some(2), format!("tandem-vm: {expected}\n")));
    };
    let advice = "give a folder that can be written";
    fails(&file, &format!("{}: is not a folder; give a folder", file.display()));
    let below = file.join("below");
    fails(&below, &format!("{}: Not a directory (os error 20); {advice}", below.display()));
    // Not even root can make a folder there.
    fails(Path::new("/proc/tandem"), &format!("/proc/tandem: No such file or directory (os error 2); {advice}"));
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
}

#[test]
fn nothing_is_written_if_one_file_cannot_be() {
    let folder = TempDir::new().unwrap();
    let blocked = folder.path().join("07-deployment-mongodb-python-app.yaml");
    fs::create_dir(&blocked).unwrap();
    let done = render_to(folder.path(), &[]);
    let expected = format!("tandem-vm: {}: is a directory; give a folder that can be written\n", blocked.display());
    assert_eq!((done.status.code(), said(&done)), (Some(2), expected));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
}
