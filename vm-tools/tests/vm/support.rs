//! Examples, tools and the guest's files, for all tests.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tandem_vm::Rendered;

use crate::inject::user_data;

/// The examples with MongoDB, which most tests start from.
pub(crate) const MONGODB: [&str; 2] = ["databasevm.yaml", "databasevm-debian.yaml"];

/// All examples.
pub(crate) const EXAMPLES: [&str; 9] = [
    "databasevm.yaml",
    "databasevm-debian.yaml",
    "postgresql-vm/databasevm.yaml",
    "postgresql-vm/databasevm-rhel.yaml",
    "redis-vm/databasevm.yaml",
    "redis-vm/databasevm-valkey.yaml",
    "files-only/databasevm.yaml",
    "mongodb-replica-set/databasevm.yaml",
    "mongodb-replica-set/databasevm-keyfile.yaml",
];

/// A document of an example's folder; without a folder, of MongoDB's.
pub(crate) fn example_path(name: &str) -> PathBuf {
    let folder = if name.contains('/') { "../examples" } else { "../examples/mongodb-vm" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name)
}

pub(crate) fn example(name: &str) -> String {
    fs::read_to_string(example_path(name)).unwrap()
}

/// An example under another name, with another Secret, so that both can be in one cluster.
pub(crate) fn renamed(example_name: &str, name: &str) -> String {
    let text = example(example_name);
    assert_eq!(text.matches("name: mongodb\n").count(), 1, "{text}");
    text.replace("name: mongodb\n", &format!("name: {name}\n")).replace("mongodb-cert-tls", &format!("{name}-tls"))
}

pub(crate) fn render(text: &str) -> Rendered {
    tandem_vm::render(&tandem_vm::spec::parse(text).unwrap()).unwrap()
}

/// The only object of a kind.
pub(crate) fn object(rendered: &Rendered, kind: &str) -> Value {
    let mut found = rendered.manifests.iter().filter(|manifest| manifest.kind() == kind);
    let value = serde_json::to_value(found.next().unwrap()).unwrap();
    assert_eq!(found.count(), 0, "several {kind}s");
    value
}

/// All objects of a kind.
pub(crate) fn objects(rendered: &Rendered, kind: &str) -> Vec<Value> {
    let found = rendered.manifests.iter().filter(|manifest| manifest.kind() == kind);
    found.map(|manifest| serde_json::to_value(manifest).unwrap()).collect()
}

/// The user data of each VM.
pub(crate) fn all_user_data(rendered: &Rendered) -> Vec<String> {
    let objects: Vec<_> = rendered.manifests.iter().map(|manifest| serde_json::to_value(manifest).unwrap()).collect();
    let machines = objects.iter().filter(|object| object["kind"] == "VirtualMachine");
    machines.map(|machine| user_data(&objects, machine["metadata"]["name"].as_str().unwrap()).unwrap()).collect()
}

/// An object of a kind as a value, if there is one.
pub(crate) fn find(rendered: &Rendered, kind: &str) -> Option<Value> {
    let found = rendered.manifests.iter().find(|manifest| manifest.kind() == kind)?;
    Some(serde_json::to_value(found).unwrap())
}

/// A document with this spec, and what every document needs beside it.
pub(crate) fn document(spec: &str) -> String {
    format!(
        "apiVersion: vm.tandem.internal/v1alpha1\nkind: DatabaseVM\nmetadata: {{name: orders, namespace: shop}}\nspec:\n  \
         certificate: {{secretName: orders-tls, issuerRef: {{kind: TandemClusterIssuer, name: internal-ca}}}}\n  {}\n",
        spec.replace('\n', "\n  ")
    )
}

pub(crate) struct GuestFile {
    pub(crate) mode: u32,
    pub(crate) content: String,
}

/// `write_files` of a user data, by path.
pub(crate) fn guest_files(user_data: &str) -> BTreeMap<String, GuestFile> {
    let config: Value = serde_yaml::from_str(user_data).unwrap();
    let file = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        let mode = u32::from_str_radix(entry["permissions"].as_str().unwrap_or("0644"), 8).unwrap();
        (text("path"), GuestFile { mode, content: text("content") })
    };
    config["write_files"].as_array().unwrap().iter().map(file).collect()
}

/// A folder and those above it beneath `root`, open to all whatever this process' umask is: the guest's is 022.
pub(crate) fn make_folder(root: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for folder in folder.ancestors().take_while(|folder| *folder != root) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Writes the guest's files beneath a folder, as cloud-init would beneath `/`.
pub(crate) fn write_guest(user_data: &str, root: &Path) {
    for (path, file) in guest_files(user_data) {
        let path = root.join(path.trim_start_matches('/'));
        make_folder(root, path.parent().unwrap());
        fs::write(&path, file.content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)).unwrap();
    }
}

/// A tool of the system. Where it is missing the test is skipped and says so, or fails if TANDEM_REQUIRE_TOOLS=1.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    if found.is_none() {
        skipped(&format!("{name} is not installed"));
    }
    found
}

/// Writes a program of a test's own. Another process does: a file that this one has open for writing, a process that another
/// thread starts at that moment has open, too, and the system then refuses to run it.
pub(crate) fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut write = Command::new("sh");
    write.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(path);
    let done = output_of(&mut write, format!("#!/bin/sh\n{text}\n").as_bytes());
    assert!(done.status.success(), "{}", said(&done));
}

pub(crate) fn skipped(why: &str) {
    assert_ne!(std::env::var("TANDEM_REQUIRE_TOOLS").as_deref(), Ok("1"), "TANDEM_REQUIRE_TOOLS=1, but {why}");
    eprintln!("skipped: {why}");
}

/// How long a command may take, on a busy machine as well. Whatever hangs is ended then, and the test says what it had said.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// Runs a command to its end, with nothing on standard input.
pub(crate) fn output(command: &mut Command) -> Output {
    finish(start(command.stdin(Stdio::null())))
}

/// Runs a command to its end, with a text on standard input.
pub(crate) fn output_of(command: &mut Command, text: &[u8]) -> Output {
    let mut child = start(command.stdin(Stdio::piped()));
    // A command may stop reading before the end; the rest then has nowhere to go.
    if let Err(error) = child.child().stdin.take().unwrap().write_all(text) {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
    finish(child)
}

/// A process whose output is read. With a test that fails before its end it ends as well.
pub(crate) struct Started(Option<Child>);

impl Started {
    pub(crate) fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            kill(child.id());
            let _ = child.wait();
        }
    }
}

/// Starts a command; [`finish`] waits for its end.
pub(crate) fn start(command: &mut Command) -> Started {
    let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    Started(Some(started.unwrap_or_else(|error| panic!("{command:?}: {error}"))))
}

/// Waits for the end of what was started.
pub(crate) fn finish(mut started: Started) -> Output {
    let child = started.0.take().unwrap();
    let pid = child.id();
    let (ended, watched) = channel::<()>();
    let watch = std::thread::spawn(move || {
        let hangs = watched.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
        if hangs {
            kill(pid);
        }
        hangs
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    assert!(!watch.join().unwrap(), "ended, for it took longer than {LIMIT:?}; it had said: {}", said(&output));
    output
}

/// Kills a process, and what it has started, as systemd does with a unit.
pub(crate) fn kill(pid: u32) {
    const ALL: &str = r#"all() { for child in $(pgrep -P "$1"); do all "$child"; done; kill -KILL "$1"; }; all "$1""#;
    let _ = Command::new("sh").args(["-c", ALL, "kill", &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Ends a server: PostgreSQL by SIGINT, which takes along its processes and its shared memory, and by SIGTERM whatever ignores
/// SIGINT, as all does that a shell has started in the background. What does not end is killed.
pub(crate) fn end(server: &mut Child) {
    let asked = Instant::now();
    let both = r#"kill -INT "$1"; kill -TERM "$1""#;
    let both = ["-c", both, "end", &server.id().to_string()];
    while asked.elapsed() < Duration::from_secs(20) && matches!(server.try_wait(), Ok(None)) {
        let _ = Command::new("sh").args(both).stderr(Stdio::null()).status();
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = server.kill();
    let _ = server.wait();
}

/// Standard output and standard error together.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
