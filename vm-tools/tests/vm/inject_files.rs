//! `inject` as a command: files and folders, what else it says, its options, and the example's README.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tandem_vm::inject::{self, Database, Delivery, Options, Os};
use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::inject::{injected, manifest, objects, options, user_data};
use crate::support::{example, output, program, said};

/// A folder with files of these names and contents.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    output(tandem_vm().arg("inject").args(args).current_dir(folder))
}

fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> =
        entries.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn files_are_changed_in_place_or_written_elsewhere_or_shown() {
    let (vm, secret) = (manifest("secret-data.yaml"), "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n");
    let folder = folder(&[("vm.yaml", &vm), ("ns.yml", secret), ("notes.txt", "not a manifest")]);
    let at = |name: &str| folder.path().join(name);
    fs::set_permissions(at("vm.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(at("ns.yml"), fs::Permissions::from_mode(0o644)).unwrap();
    let before = files(folder.path());

    let shown = run(folder.path(), &["--secret", "shop-tls", "."]);
    assert!(shown.status.success(), "{}", said(&shown));
    let all = String::from_utf8(shown.stdout).unwrap();
    assert!(all.starts_with(secret) && all[secret.len()..].starts_with("---\napiVersion: kubevirt.io/v1\n"), "{all}");
    let diff = run(folder.path(), &["--secret", "shop-tls", "--diff", "."]);
    let diff = String::from_utf8(diff.stdout).unwrap();
    assert!(diff.starts_with("--- ./vm.yaml\n+++ ./vm.yaml\n@@ "), "{diff}");
    assert_eq!(files(folder.path()), before);

    let written = run(folder.path(), &["--secret", "shop-tls", "--output-dir", "out", "."]);
    assert!(written.status.success() && written.stdout.is_empty(), "{}", said(&written));
    assert_eq!(fs::read_to_string(at("out/ns.yml")).unwrap(), secret);
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("out/vm.yaml"), mode("out/ns.yml")), (0o600, 0o644));
    // A file that was closed to others is not opened to them, whatever is in it.
    fs::set_permissions(at("ns.yml"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(run(folder.path(), &["--secret", "shop-tls", "--output-dir", "out", "."]).status.success());
    assert_eq!((mode("out/vm.yaml"), mode("out/ns.yml")), (0o600, 0o640));
    assert_eq!(files(folder.path()), before);

    let changed = run(folder.path(), &["--secret", "shop-tls", "--in-place", "."]);
    assert!(changed.status.success() && changed.stdout.is_empty(), "{}", said(&changed));
    assert_eq!(fs::read(at("vm.yaml")).unwrap(), fs::read(at("out/vm.yaml")).unwrap());
    assert_eq!(mode("vm.yaml"), 0o640);
    assert!(run(folder.path(), &["--remove", "-i", "vm.yaml"]).status.success());
    assert_eq!(files(folder.path()), before);
    let nothing = run(folder.path(), &["--remove", "-i", "vm.yaml"]);
    assert_eq!(said(&nothing), "tandem-vm: VirtualMachine web: has nothing of an injection\n");
}

/// What stays behind of what an injection made.
#[test]
fn removing_says_what_is_left_to_delete() {
    let injected = injected(&manifest("inline.yaml"), &options("orders"));
    let (secret, vm) = injected.split_once("---\n").unwrap();
    let folder = folder(&[("secret.yaml", secret), ("vm.yaml", vm)]);
    let removed = run(folder.path(), &["--remove", "--in-place", "."]);
    assert!(removed.status.success(), "{}", said(&removed));
    let whose = "tandem-vm: VirtualMachine shop/orders:";
    assert_eq!(
        said(&removed),
        format!(
            "{whose} the Secret orders-userdata is out of the manifests, and still in a cluster that has it; delete it there, as by \
             `kubectl delete secret orders-userdata --namespace shop`\n{whose} ./secret.yaml has nothing left in it; delete it\n"
        )
    );
    assert_eq!(fs::read_to_string(folder.path().join("secret.yaml")).unwrap(), "");
}

/// With half of the injection taken out, the VM would wait for a disk that it has not, and nobody would say so.
#[test]
fn nothing_is_removed_without_the_secret_that_has_the_user_data() {
    let injected = injected(&manifest("inline.yaml"), &options("orders"));
    let (_, vm) = injected.split_once("---\n").unwrap();
    let folder = folder(&[("vm.yaml", vm)]);
    let refused = run(folder.path(), &["--remove", "--in-place", "vm.yaml"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    let why = "secretRef.name: the Secret orders-userdata is not in the input; add it, as by `kubectl get secret orders-userdata --output \
               yaml`";
    assert!(said(&refused).contains(why), "{}", said(&refused));
    assert_eq!(fs::read_to_string(folder.path().join("vm.yaml")).unwrap(), vm);
}

#[test]
fn what_else_is_to_be_done_is_said() {
    let vm = manifest("inline.yaml");
    let folder = folder(&[("vm.yaml", &vm), ("none.yaml", &manifest("none.yaml"))]);
    let said = |args: &[&str]| {
        let file = if args == ["--vm", "bare"] { "none.yaml" } else { "vm.yaml" };
        let done = run(folder.path(), &[&["--secret", "shop-tls", file], args].concat());
        assert!(done.status.success(), "{}", said(&done));
        format!("{}\n{}", args.join(" "), String::from_utf8(done.stderr).unwrap())
    };
    insta::assert_snapshot!(
        [
            said(&[]),
            said(&["--vm", "bare"]),
            said(&["--database", "mongodb", "--os", "rhel"]),
            said(&["--delivery", "filesystem", "--database", "postgresql", "--os", "debian", "--folder", "/srv/tls/"]),
            said(&[
                "--delivery",
                "filesystem",
                "--combined",
                "/etc/haproxy/tls.pem",
                "--owner",
                "haproxy:ssl",
                "--service",
                "haproxy.service",
                "--reload",
                "restart"
            ]),
            said(&["--delivery", "filesystem", "--reload-command", "systemctl reload nginx"]),
            said(&["--delivery", "filesystem", "--reload", "none"]),
            said(&["--database", "mongodb", "--os", "debian", "--tls-mode", "allowTLS"]),
            said(&["--database", "mongodb", "--os", "debian", "--tls-mode", "preferTLS", "--client-auth", "Required"]),
            said(&["--database", "redis", "--os", "debian"]),
            said(&["--database", "redis", "--os", "debian", "--tls-mode", "allowTLS"]),
            said(&["--database", "redis", "--os", "debian", "--tls-mode", "preferTLS"]),
        ]
        .join("\n")
    );
}

#[test]
fn options_reach_the_guests_settings() {
    let text = manifest("none.yaml");
    let settings = |options: Options| {
        let user_data = user_data(&objects(&injected(&text, &options)), "bare").unwrap();
        let files = crate::support::guest_files(&user_data);
        files["/etc/tandem/tls.conf"].content.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let own = Options {
        delivery: Delivery::Filesystem,
        combined: Some("/etc/haproxy/tls.pem".to_owned()),
        owner: Some("haproxy:ssl".to_owned()),
        service: vec!["haproxy.service".to_owned()],
        reload: inject::ReloadBy::Restart,
        endpoint: Some("127.0.0.1:8443".to_owned()),
        ..options("bare")
    };
    assert_eq!(
        settings(own),
        [
            "TAG='tandem-tls'",
            "FILE='combined 0400 haproxy:ssl /etc/haproxy/tls.pem'",
            "FILE='ca 0644 - /etc/ssl/tandem/ca.crt'",
            "SERVICE='haproxy.service'",
            "RELOAD='restart'",
            "ENDPOINT='127.0.0.1:8443'",
        ]
    );
    let redis = Options {
        delivery: Delivery::Filesystem,
        database: Database::Redis,
        os: Some(Os::Debian),
        credentials: Some("/etc/tandem/redis".to_owned()),
        ..options("bare")
    };
    let redis = settings(redis);
    for line in
        ["TAG='tandem-tls'", "RELOAD='redis'", "CREDENTIALS='/etc/tandem/redis'", "SERVICE='redis-server.service'"]
    {
        assert!(redis.iter().any(|other| other == line), "{redis:?}");
    }
}

/// The blocks of shell in a text.
fn shell(text: &str) -> Vec<&str> {
    text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_examples_readme_does_what_it_says() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/inject-own-vm");
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(output(Command::new("cp").arg("-a").arg(example.join(".")).arg(folder.path())).status.success());
    fs::create_dir(at("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tandem-vm"), at("bin/tandem-vm")).unwrap();
    program(&at("bin/kubectl"), "exec cp \"$3\" applied.yaml");
    let kustomize = crate::krm::kustomize();
    if let Some(kustomize) = &kustomize {
        std::os::unix::fs::symlink(kustomize, at("bin/kustomize")).unwrap();
    }
    let original = fs::read_to_string(at("vm.yaml")).unwrap();
    let readme = fs::read_to_string(example.join("README.md")).unwrap();
    let mut shown = Vec::new();
    for block in shell(&readme) {
        if block.contains("kustomize") && kustomize.is_none() {
            continue;
        }
        let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
        let done = output(Command::new("sh").args(["-euc", block]).current_dir(folder.path()).env("PATH", path));
        assert!(done.status.success(), "{block}{}", said(&done));
        shown.push((String::from_utf8(done.stdout).unwrap(), fs::read_to_string(at("vm.yaml")).unwrap()));
    }
    let options = Options {
        database: Database::MongoDb,
        os: Some(Os::Debian),
        secret: "shop-db-tls".to_owned(),
        ..options("shop-db")
    };
    let disk = injected(&original, &options);
    assert!(shown[0].0.contains("+            - name: tandem-tls # tandem-vm inject\n") && shown[0].1 == original);
    // The second run's diff is empty.
    assert_eq!(shown[1], (String::new(), disk.clone()));
    assert_eq!(fs::read_to_string(at("applied.yaml")).unwrap(), disk);
    let script = fs::read_to_string(at("guest.sh")).unwrap();
    assert!(script.starts_with("#!/bin/sh\n") && shown[2].1 == disk);
    // The last of the three steps is what it is without steps.
    assert_eq!(shown[3].1, disk);
    for drop_in in ["postgresql@.service.d/tandem-postgresql.conf", "redis-server.service.d/tandem-redis.conf"] {
        assert!(shown[4].0.contains(drop_in), "{}", shown[4].0);
    }
    assert_eq!(shown[5].1, injected(&original, &Options { delivery: Delivery::Filesystem, ..options.clone() }));
    assert_eq!(shown[6].1, original);
    if let Some((built, _)) = shown.get(7) {
        assert_eq!(user_data(&objects(built), "shop-db"), user_data(&objects(&disk), "shop-db"));
    }
}

/// A VM waits for its Secret before it starts, and does not say so.
#[test]
fn a_secret_that_nobody_makes_is_told() {
    let (vm, made) = (example("inject-own-vm/vm.yaml"), example("inject-own-vm/certificate.yaml"));
    let there = "apiVersion: v1\nkind: Secret\nmetadata: {name: shop-db-tls, namespace: shop}\n";
    let told = "VirtualMachine shop/shop-db: starts only where its namespace has the Secret shop-db-tls with tls.crt";
    for (other, is_told) in [
        (&*made, false),
        (there, false),
        (&*made.replace("secretName: shop-db-tls", "secretName: shop-tls"), true),
        (&*made.replace("namespace: shop", "namespace: stop"), true),
        (&*there.replace("Secret", "ConfigMap"), true),
        // Of other groups.
        (&*there.replace("v1", "vault.example/v1"), true),
        (&*made.replace("cert-manager.io/v1", "certificates.example/v1"), true),
    ] {
        let folder = folder(&[("vm.yaml", &vm), ("other.yaml", other)]);
        let done = run(folder.path(), &["--secret", "shop-db-tls", "--diff", "."]);
        assert!(done.status.success() && said(&done).contains(told) == is_told, "{other}{}", said(&done));
    }
}

#[test]
fn a_secret_is_closed_to_others_however_its_kind_is_written() {
    let vm = manifest("none.yaml");
    for (text, expected) in [
        ("apiVersion: v1\nkind: \"Secret\"\nmetadata: {name: a}\n", 0o600),
        ("apiVersion: v1\nkind: Secret # mine\nmetadata: {name: a}\n", 0o600),
        ("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n", 0o600),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  note: |\n    kind: Secret\n", 0o644),
    ] {
        let folder = folder(&[("vm.yaml", &vm), ("other.yaml", text)]);
        let done = run(folder.path(), &["--secret", "shop-tls", "--output-dir", "out", "."]);
        assert!(done.status.success(), "{}", said(&done));
        let mode = fs::metadata(folder.path().join("out/other.yaml")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{text}");
    }
}
