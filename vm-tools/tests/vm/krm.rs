//! The KRM function, alone and under the real kustomize.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tandem_vm::inject::{Input, Options, inject};
use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::inject::{check_injected, injected, manifest, objects, options};
use crate::support::{output, output_of, program, said, skipped};

/// A ResourceList of the objects of a stream, as their authors wrote them, with a functionConfig.
pub(crate) fn list(stream: &str, spec: &str) -> String {
    let mut text = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n".to_owned();
    for document in stream.split("---\n").filter(|document| document.contains("kind:")) {
        let mut lines = document.lines().skip_while(|line| line.starts_with('#') || line.is_empty());
        text += &format!("- {}\n", lines.next().unwrap());
        for line in lines {
            text += &if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") };
        }
    }
    let config = "apiVersion: vm.tandem.internal/v1alpha1\n  kind: Inject\n  metadata: {name: tls}\n";
    format!("{text}functionConfig:\n  {config}  spec: {spec}\n")
}

/// What `inject` says of its VM, but for the one option that it names.
fn notes(list: &str, options: &Options) -> Vec<String> {
    let input = Input { name: "list.yaml".to_owned(), text: list.to_owned() };
    let done = inject(&[input], options).unwrap_or_else(|errors| panic!("{errors:?}"));
    let notes = done.notes.iter().chain(&done.advice);
    notes
        .map(|note| note.replace("with --delivery filesystem", "with functionConfig.spec.delivery filesystem"))
        .collect()
}

fn function(list: &str) -> Output {
    output_of(tandem_vm().arg("krm"), list.as_bytes())
}

#[test]
fn a_list_goes_through_with_one_vm_edited_and_what_is_to_be_said() {
    for (name, vm) in [("secret-string.yaml", "ledger"), ("inline.yaml", "orders"), ("none.yaml", "bare")] {
        let list = list(&manifest(name), &format!("{{secret: shop-tls, vm: {vm}, serial: tandem-tls}}"));
        let done = function(&list);
        assert!(done.status.success() && done.stderr.is_empty(), "{}", said(&done));
        let after = String::from_utf8(done.stdout).unwrap();
        check_injected(&list, &after, &options(vm));
        let (before, results) = after.split_once("\nresults:").unwrap();
        assert_eq!(format!("{before}\n"), injected(&list, &options(vm)));
        let results: Vec<Value> = serde_yaml::from_str(results).unwrap();
        let notes = notes(&list, &options(vm));
        let notes: Vec<_> = notes.iter().map(|note| json!({"message": note, "severity": "info"})).collect();
        assert!(notes.len() > 1 && results == notes, "{results:?}");
        assert!(notes.iter().any(|note| note.to_string().contains("functionConfig.spec.delivery")), "{notes:?}");
    }
}

#[test]
fn several_vms_are_a_list() {
    let stream = ["inline.yaml", "secret-string.yaml"].map(manifest).join("---\n");
    let list = list(&stream, "{secret: shop-tls, vm: [orders, shop/ledger], serial: tandem-tls}");
    let done = function(&list);
    assert!(done.status.success() && done.stderr.is_empty(), "{}", said(&done));
    let after = String::from_utf8(done.stdout).unwrap();
    let (before, _) = after.split_once("\nresults:").unwrap();
    let each = ["orders", "ledger"].into_iter().fold(list, |text, vm| injected(&text, &options(vm)));
    assert_eq!(format!("{before}\n"), each);
}

/// As with kyaml, whose functions write their own results in place of any that came in.
#[test]
fn results_are_those_of_the_last_run() {
    let list = list(&manifest("inline.yaml"), "{secret: shop-tls, vm: orders, serial: tandem-tls}");
    let once = function(&list);
    assert!(once.status.success(), "{}", said(&once));
    let once = String::from_utf8(once.stdout).unwrap();
    for before in [
        once.clone(),
        format!("{list}results: []\n"),
        format!("{list}results:\n- {{message: of another function, severity: error}}\n"),
        // As in the first version of the specification.
        format!("{list}results:\n  name: foo\n  results:\n  - message: of another function\n"),
    ] {
        let again = function(&before);
        assert!(again.status.success(), "{}", said(&again));
        assert_eq!(String::from_utf8(again.stdout).unwrap(), once);
    }
}

#[test]
fn what_cannot_be_done_is_in_the_results_and_on_standard_error() {
    let vm = manifest("inline.yaml");
    let told: Vec<String> = [
        ("{}", vm.clone()),
        ("{secret: tls, delivry: disk}", vm.clone()),
        ("{secret: tls, database: oracle}", vm.clone()),
        ("{secret: tls, keepConfig: 7}", vm.clone()),
        ("{secret: tls, database: mongodb}", vm.clone()),
        ("{secret: tls, vm: other}", vm.clone()),
        ("{secret: tls, vm: 5}", vm.clone()),
        ("{secret: tls, vm: []}", vm.clone()),
        ("{secret: tls, vm: [orders, other, another]}", vm.clone()),
        ("{secret: tls}", [vm.clone(), manifest("secret-string.yaml")].join("---\n")),
        ("{secret: tls, reload: restart, os: debian, tlsMode: allowTLS}", vm.clone()),
        ("{secret: TLS, folder: relative}", vm.clone()),
        ("{secret: tls}", "kind: ConfigMap\nmetadata: {name: x}\n".to_owned()),
    ]
    .map(|(spec, stream)| {
        let list = list(&stream, spec);
        let done = function(&list);
        assert_eq!(done.status.code(), Some(2));
        let after = String::from_utf8(done.stdout).unwrap();
        let (before, results) = after.split_once("\nresults:").unwrap();
        assert_eq!(format!("{before}\n"), list);
        let stderr = String::from_utf8(done.stderr).unwrap();
        let messages = stderr.lines().map(|line| line.strip_prefix("tandem-vm: ").unwrap());
        let results: Vec<Value> = serde_yaml::from_str(results).unwrap();
        let told = messages.map(|message| json!({"message": message, "severity": "error"}));
        assert_eq!(results, told.collect::<Vec<_>>());
        stderr
    })
    .into();
    insta::assert_snapshot!(told.concat());
    // Named as an option before it is named as a field; of `inject` clap asks for it.
    let options: Options = serde_json::from_value(json!({"secret": "tls", "database": "mongodb"})).unwrap();
    assert_eq!(options.problems(), ["--os: is missing; the database's user and service depend on it"]);
    let none = function("kind: List\nitems: []\n");
    assert!(none.stdout.is_empty() && !none.status.success());
    let why = "standard input: is no ResourceList; run this as a KRM function, or use `tandem-vm inject`";
    assert!(said(&none).contains(why), "{}", said(&none));
    let large = function(&"#\n".repeat(10 << 20));
    assert!(said(&large).ends_with(" bytes; give a smaller list\n"), "{}", said(&large));
}

/// The kustomize that `make tools` builds. Without it the test is skipped, or fails if TANDEM_REQUIRE_TOOLS=1.
pub(crate) fn kustomize() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/kustomize");
    if !program.is_file() {
        skipped("kustomize is not there; `make kustomize` builds it");
        return None;
    }
    Some(program)
}

/// A kustomization of the manifests with the function among its transformers, in a folder of its own.
fn kustomization(text: &str, spec: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("vm.yaml", text);
    write("kustomization.yaml", "resources: [vm.yaml]\ntransformers: [tls.yaml]\nnamePrefix: prod-\n");
    write(
        "tls.yaml",
        &format!(
            "apiVersion: vm.tandem.internal/v1alpha1\nkind: Inject\nmetadata:\n  name: tls\n  annotations:\n    \
             config.kubernetes.io/function: |\n      exec: {{path: ./tandem-vm-krm}}\nspec: {spec}\n"
        ),
    );
    program(&folder.path().join("tandem-vm-krm"), &format!("exec '{}' krm", env!("CARGO_BIN_EXE_tandem-vm")));
    folder
}

fn build(kustomize: &Path, folder: &Path, more: &[&str]) -> Output {
    output(Command::new(kustomize).arg("build").args(more).arg(".").current_dir(folder))
}

#[test]
fn kustomize_runs_the_function() {
    let Some(kustomize) = kustomize() else { return };
    for (name, vm) in [("secret-string.yaml", "ledger"), ("inline.yaml", "orders"), ("none.yaml", "bare")] {
        let text = manifest(name);
        let folder = kustomization(&text, &format!("{{secret: shop-tls, vm: {vm}}}"));
        let plain = folder.path().join("plain");
        fs::create_dir(&plain).unwrap();
        fs::write(plain.join("vm.yaml"), &text).unwrap();
        fs::write(plain.join("kustomization.yaml"), "resources: [vm.yaml]\n").unwrap();
        let before = build(&kustomize, &plain, &[]);
        assert!(before.status.success(), "{}", said(&before));
        let before = String::from_utf8(before.stdout).unwrap();
        // Transformers come before the prefix, so the function sees the names as they are written.
        fs::write(folder.path().join("kustomization.yaml"), "resources: [vm.yaml]\ntransformers: [tls.yaml]\n")
            .unwrap();
        let built = build(&kustomize, folder.path(), &["--enable-alpha-plugins", "--enable-exec"]);
        assert!(built.status.success(), "{name}: {}", said(&built));
        let built = String::from_utf8(built.stdout).unwrap();
        check_injected(&before, &built, &options(vm));
        assert!(objects(&built).len() >= objects(&before).len());
    }
}

/// A prefix over injected manifests: kustomize renames the Secret with the user data, and not what the VM calls it. What `check` says then
/// helps, the one as the other.
#[test]
fn a_prefix_over_an_injection_is_told_of_and_what_is_told_helps() {
    let Some(kustomize) = kustomize() else { return };
    let text = manifest("inline.yaml");
    let checked = |text: &str| said(&output_of(tandem_vm().args(["check", "-"]), text.as_bytes()));
    let prefixed = |text: &str, more: &str| {
        let folder = kustomization(text, "{secret: shop-tls, vm: prod-orders}");
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::rename(folder.path().join("vm.yaml"), inner.join("vm.yaml")).unwrap();
        fs::write(inner.join("kustomization.yaml"), format!("resources: [vm.yaml]\nnamePrefix: prod-\n{more}"))
            .unwrap();
        let names = "nameReference:\n- kind: Secret\n  version: v1\n  fieldSpecs:\n  - kind: VirtualMachine\n    path: \
                     spec/template/spec/volumes/cloudInitNoCloud/secretRef/name\n";
        fs::write(inner.join("names.yaml"), names).unwrap();
        let outer = "resources: [inner]\ntransformers: [tls.yaml]\n";
        fs::write(folder.path().join("kustomization.yaml"), outer).unwrap();
        folder
    };
    let built = |folder: &Path| {
        let built = build(&kustomize, folder, &["--enable-alpha-plugins", "--enable-exec"]);
        assert!(built.status.success(), "{}", said(&built));
        String::from_utf8(built.stdout).unwrap()
    };
    let edited = injected(&text, &options("orders"));
    let broken = checked(&built(&prefixed(&edited, "").path().join("inner")));
    let told = "the Secret `orders-userdata`, made for its user data, is not in the stream, but `prod-orders-userdata`";
    assert!(broken.contains("TVM107") && broken.contains(told), "{broken}");
    let followed = checked(&built(&prefixed(&edited, "configurations: [names.yaml]\n").path().join("inner")));
    assert!(!followed.contains("TVM107") && !followed.contains("TVM105"), "{followed}");
    let outer = built(prefixed(&text, "").path());
    check_injected(&text.replace("name: orders\n", "name: prod-orders\n"), &outer, &options("prod-orders"));
}

#[test]
fn kustomize_shows_why_a_function_fails() {
    let Some(kustomize) = kustomize() else { return };
    let folder = kustomization(&manifest("inline.yaml"), "{secret: shop-tls, vm: other}");
    let built = build(&kustomize, folder.path(), &["--enable-alpha-plugins", "--enable-exec"]);
    assert!(!built.status.success() && built.stdout.is_empty());
    assert!(said(&built).contains("there is no VM `other`"), "{}", said(&built));
}
