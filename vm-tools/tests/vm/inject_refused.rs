//! What is not injected into: why, and the way out. Nothing is written then.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use tandem_vm::inject::{Input, inject};
use tempfile::TempDir;

use crate::command::tandem_vm;
use crate::inject::{manifest, options};
use crate::support::{output, output_of, said};

/// A VM with this cloud-init volume.
fn vm(cloud_init: &str) -> String {
    let plain = "apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata:
  name: db
spec:
  template:
    spec:
      domain:
        devices:
          disks:
          - name: root
            disk: {bus: virtio}
            serial: root
      volumes:
      - name: root
        containerDisk: {image: registry.example/debian:13}
";
    format!("{plain}{cloud_init}")
}

/// A VM with this user data.
fn with(user_data: &str) -> String {
    let lines: String = user_data.lines().map(|line| format!("            {line}\n")).collect();
    vm(&format!("      - name: init\n        cloudInitNoCloud:\n          userData: |\n{lines}"))
}

fn with_secret(secret: &str) -> String {
    vm("      - name: init\n        cloudInitNoCloud:\n          secretRef: {name: init}\n")
        + &format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: init}}\n{secret}")
}

/// A VM with this field in its cloud-init volume, whose value may be that of an annotation.
fn aliased(field: &str) -> String {
    vm(&format!("      - name: init\n        cloudInitNoCloud:\n          {field}\n"))
        .replace("  name: db\n", "  name: db\n  annotations:\n    init: &ud '#cloud-config'\n")
}

/// The texts, what is wrong with each, and further arguments.
fn refused() -> Vec<(String, &'static [&'static str])> {
    let several = manifest("several.yaml");
    let twice = |text: &str| format!("{text}---\n{text}");
    let plain: Vec<String> = vec![
        with("## template: jinja\n#cloud-config\nhostname: {{ ds.meta_data.name }}"),
        with("#cloud-config-archive\n- type: text/cloud-config\n  content: 'hostname: x'"),
        with("#cloud-config-jsonp\n- {op: add, path: /hostname, value: x}"),
        with("Content-Type: multipart/mixed; boundary=\"x\"\nMIME-Version: 1.0\n\n--x"),
        with("#!/bin/bash\nhostnamectl hostname db"),
        with("#cloud-boothook\n#!/bin/sh"),
        with("#include\nhttps://config.example/db"),
        with("{\"ignition\": {\"version\": \"3.4.0\"}}"),
        with("<powershell>\nGet-Date\n</powershell>"),
        with("hostname: db"),
        with("#cloud-config hostname: db runcmd: [a]"),
        with("ENC[AES256_GCM,data:YWJj,iv:YWJj,tag:YWJj,type:str]"),
        with("#cloud-config\nhostname: ${NAME:=db}").replace("name: db\n", "name: db\n  namespace: ${NAMESPACE}\n"),
        with("#cloud-config\n- a list"),
        with("#cloud-config\nruncmd: [a, b]"),
        with("#cloud-config\n? runcmd\n: - a"),
        with("#cloud-config\nwrite_files:\n- path: /a\n  content: &b |\n    b").replace("userData: |\n", "userData: |-\n"),
        with("#cloud-config\nhostname: {{ .Values.name }}"),
        with("#cloud-config\nwrite_files: [{path: /a}]"),
        with("#cloud-config\nwrite_files: &f\n- path: /a\nx: *f"),
        with("#cloud-config\na: &a\n- b\nruncmd: *a"),
        with("#cloud-config\nruncmd: 'echo one'"),
        with("#cloud-config\nhostname: a\nhostname: b"),
        with("#cloud-config\nruncmd:\n- [a"),
        with("#cloud-config\nwrite_files:\n- path: /etc/tandem/tls.conf\n  content: x"),
        vm("      - name: init\n        cloudInitNoCloud:\n          userDataBase64: '***'\n"),
        vm("      - name: init\n        cloudInitNoCloud:\n          userDataBase64: H4sIAAAAAAAAA1NOzskvTdFNzs9Ly0znAgD0ZqhaDgAAAA==\n"),
        vm("      - name: init\n        cloudInitNoCloud: {userData: '#cloud-config'}\n"),
        vm("      - name: init\n        cloudInitNoCloud:\n          secretRef: {name: elsewhere}\n"),
        vm("      - name: a\n        cloudInitNoCloud: {userData: x}\n      - name: b\n        cloudInitConfigDrive: {userData: x}\n"),
        vm("      - name: unattend\n        sysprep: {configMap: {name: unattend}}\n"),
        vm("").replace("spec:\n  template:\n", "spec:\n  preference: {name: windows.2k22}\n  template:\n"),
        vm("      - name: tls\n        secret: {secretName: shop-tls}\n"),
        vm("      - name: tandem-tls\n        emptyDisk: {capacity: 1Gi}\n"),
        with_secret("stringData: {userdata: '#cloud-config'}\n"),
        with_secret("stringData:\n  other: x\n"),
        with_secret("data:\n  userdata: '***'\n"),
        with_secret("data:\n  userdata: ENC[AES256_GCM,data:YWJj,iv:YWJj,tag:YWJj,type:str]\n"),
        with_secret("immutable: true\nstringData:\n  userdata: '#cloud-config'\n"),
        with_secret("stringData:\n  userdata: |\n    #!/bin/sh\n"),
        with_secret("stringData:\n  userdata: |\n    #cloud-config\n").replace("name: db\n", "name: db\n  labels:\n    site: ${SITE}\n"),
        with_secret("stringData:\n  userdata: '#cloud-config'\n").replace("apiVersion: v1", "apiVersion: vault.example/v1"),
        with_secret("stringData:\n  userdata: '#cloud-config'\n")
            + &vm("      - name: init\n        cloudInitNoCloud:\n          secretRef: {name: init}\n").replace("apiVersion: kube", "---\napiVersion: kube").replace("name: db", "name: db2"),
        vm("").replace("          disks:\n          - name: root\n            disk: {bus: virtio}\n            serial: root\n", "          disks: [{name: root}]\n"),
        vm("").replace("      volumes:\n", "      volumes: &v\n") + "  x: *v\n",
        vm("").replace("      domain:\n", "      domain: &d\n") + "  x: *d\n",
        format!("%YAML 1.1\n---\n{}", with("#cloud-config")),
        serde_json::json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "db"}, "spec": {"template": {"spec": {}}}}).to_string(),
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n".to_owned(),
        "kind: [".to_owned(),
        "a: 1\na: 2\n".to_owned(),
        "{{ template }}\n".to_owned(),
        format!("{{{{- if .Values.x }}}}\n{}", vm("")),
        vm("").replace("name: db\n", "name: {{ .Release.Name }}-db\n"),
        vm("").replace("name: db\n", "name: db\n  labels:\n    {{- include \"labels\" . | nindent 4 }}\n"),
        twice(&vm("")),
        several.clone(),
        vm("      - name: init\n        cloudInitNoCloud:\n          userDataBase64: 77u/I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogYQo=\n"),
        vm("") + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db-userdata}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: db-tandem-userdata}\n",
        aliased("userData: *ud"),
        aliased("userData: &own '#cloud-config'\n          networkData: *own"),
    ];
    let mut all: Vec<(String, &[&str])> = plain.into_iter().map(|text| (text, &[] as &[&str])).collect();
    all.extend([
        (several.clone(), &["--vm", "db-1"] as &[&str]),
        (several, &["--vm", "db-7"]),
        (vm(""), &["--serial", "root"]),
        (vm(""), &["--serial", "a-serial-of-22-bytes-x"]),
        (vm(""), &["--owner", "no body"]),
        (vm(""), &["--owner", "nobody:no group"]),
        (vm(""), &["--folder", "relative/", "--owner", "no body", "--endpoint", "here"]),
        (vm(""), &["--folder", "/etc/db", "--combined", "both.pem"]),
        (vm(""), &["--database", "redis", "--os", "debian", "--delivery", "filesystem", "--credentials", "password"]),
        (vm(""), &["--service", "nginx"]),
        (vm(""), &["--service", "tandem-tls.service"]),
        (vm(""), &["--combined", "/etc/ssl/tandem/ca.crt"]),
        (vm(""), &["--secret", "Not_A_Name"]),
        (vm(""), &["--reload", "restart"]),
        (
            manifest("pool.yaml")
                .replace("  replicas: 3\n", "  replicas: 3\n  nameGeneration:\n    appendIndexToSecretRefs: true\n"),
            &[],
        ),
    ]);
    all
}

#[test]
fn each_is_refused_with_the_reason_and_nothing_is_written() {
    let refused = refused();
    assert!(refused.len() > 50, "{}", refused.len());
    let mut told = String::new();
    for (text, args) in refused {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("vm.yaml");
        fs::write(&file, &text).unwrap();
        let secret: &[&str] = if args.contains(&"--secret") { &[] } else { &["--secret", "shop-tls"] };
        let run = |more: &[&str]| {
            let mut command = tandem_vm();
            output(command.arg("inject").args(secret).args(args).args(more).arg("vm.yaml").current_dir(folder.path()))
        };
        for more in [&["--in-place"] as &[&str], &["--output-dir", "out"], &[]] {
            let done = run(more);
            assert_eq!(done.status.code(), Some(2), "{}\n{text}", said(&done));
            assert!(done.stdout.is_empty());
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert!(!folder.path().join("out").exists());
            if more.is_empty() {
                told += &said(&done);
            }
        }
    }
    insta::assert_snapshot!(told);
}

#[test]
fn files_that_cannot_be_read_or_written_are_named() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["a", "b"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("vm.yaml"), vm("").replace("name: db", &format!("name: {name}"))).unwrap();
    }
    fs::create_dir(at("empty")).unwrap();
    let told: Vec<String> = [
        &["missing.yaml"] as &[&str],
        &["empty"],
        &["--vm", "a", "--output-dir", "out", "a", "b"],
        &["--in-place", "-"],
        &["--output-dir", "a/vm.yaml", "b"],
        &["--output-dir", "out", "-"],
    ]
    .map(|args| {
        let mut command = tandem_vm();
        command.args(["inject", "--secret", "tls"]).args(args).current_dir(folder.path());
        let done = output_of(&mut command, &fs::read(at("b/vm.yaml")).unwrap());
        assert_eq!(done.status.code(), Some(2), "{args:?} {}", said(&done));
        assert!(!at("out").exists());
        String::from_utf8(done.stderr).unwrap()
    })
    .into();
    insta::assert_snapshot!(told.concat());
    let unnamed = at("b").join(OsStr::from_bytes(b"\xff.yaml"));
    fs::rename(at("b/vm.yaml"), &unnamed).unwrap();
    let done = output(tandem_vm().args(["inject", "--secret", "tls", "--output-dir"]).arg(at("out")).arg(&unnamed));
    assert_eq!(done.status.code(), Some(2));
    assert!(said(&done).ends_with("\u{fffd}.yaml: is not named in UTF-8; rename it\n"), "{}", said(&done));
    assert!(!at("out").exists());
}

#[test]
fn user_data_that_was_changed_since_is_not_thrown_away() {
    let run = |text: &str, args: &[&str]| {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("vm.yaml"), text).unwrap();
        output(tandem_vm().arg("inject").args(args).arg("vm.yaml").current_dir(folder.path()))
    };
    let inline = with("#cloud-config\nhostname: old");
    let injected = String::from_utf8(run(&inline, &["--secret", "tls"]).stdout).unwrap();
    let changed = injected.replacen("\n    hostname: old\n", "\n    hostname: new\n", 1);
    let back = run(&changed, &["--remove"]);
    assert_eq!(String::from_utf8(back.stdout).unwrap(), inline.replace("hostname: old", "hostname: new"));
    assert_eq!(
        String::from_utf8(back.stderr).unwrap(),
        "tandem-vm: VirtualMachine db: its user data was changed since the injection; as it is now it stands in the VM again\n\
         tandem-vm: VirtualMachine db: the Secret db-userdata is out of the manifests, and still in a cluster that has it; delete it \
         there, as by `kubectl delete secret db-userdata`\n"
    );
    let injected = String::from_utf8(run(&vm(""), &["--secret", "tls"]).stdout).unwrap();
    let changed = injected.replacen("    write_files:", "    hostname: new\n    write_files:", 1);
    let kept = run(&changed, &["--remove"]);
    assert_eq!(
        said(&kept),
        "tandem-vm: vm.yaml: document 1: Secret db-userdata: stringData.userdata: was changed since the injection; \
         move your own user data to a Secret of your own first\n"
    );
}

#[test]
fn mixed_line_ends_that_would_not_come_back_are_refused_with_their_line() {
    let text = manifest("inline.yaml");
    let mixed: String = text
        .split_inclusive('\n')
        .enumerate()
        .map(|(index, line)| if index < 8 { line.replace('\n', "\r\n") } else { line.to_owned() })
        .collect();
    let input = Input { name: "vm.yaml".to_owned(), text: mixed };
    let errors = inject(&[input], &options("orders")).err().unwrap();
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        "vm.yaml: line 9 ends with LF, and the first with CRLF: --remove could not give back each byte; let all lines end alike, as \
         dos2unix makes them"
    );
}
