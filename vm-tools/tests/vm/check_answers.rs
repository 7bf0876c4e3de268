//! What `tandem-vm check` once told wrongly: a false alarm, or a fault that it passed over.

use serde_json::Value;
use tandem_vm::check::check;
use tandem_vm::model::{Format, KNOWN_KEYS, Stream};

use crate::check::{run, run_stdin, text_of, told};
use crate::gates::schema;
use crate::support::{said, tool};

fn stream(text: &str) -> Stream {
    Stream::read(&["-".into()], &mut text.as_bytes(), "shop").unwrap_or_else(|lines| panic!("{lines:?}\n{text}"))
}

/// `RULE FIELD` of what is found.
pub(crate) fn found(text: &str) -> Vec<String> {
    let report = check(&stream(text), &[]);
    report.findings.iter().map(|finding| format!("{} {}", finding.rule.id, finding.field)).collect()
}

/// A VM with disks of the serials `orders-tls` and `data-part`, and this source of its cloud-init.
fn vm_with(cloud_init: &str) -> String {
    format!(
        "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata: {{name: vm, namespace: shop}}\nspec:\n  runStrategy: Always\n  \
         template:\n    metadata: {{labels: {{app: db}}}}\n    spec:\n      domain: {{devices: {{disks: [{{name: root, disk: {{bus: \
         virtio}}}}, {{name: tls, disk: {{bus: virtio}}, serial: orders-tls}}, {{name: data, disk: {{bus: virtio}}, serial: \
         data-part}}, {{name: seed, disk: {{bus: virtio}}}}], interfaces: [{{name: default, masquerade: {{}}, ports: [{{name: db, \
         port: 5432}}]}}]}}}}\n      volumes:\n      - {{name: root, persistentVolumeClaim: {{claimName: a}}}}\n      - {{name: tls, \
         persistentVolumeClaim: {{claimName: b}}}}\n      - {{name: data, persistentVolumeClaim: {{claimName: c}}}}\n      - name: \
         seed\n        cloudInitNoCloud:\n          {cloud_init}\n"
    )
}

/// The same with this user data.
pub(crate) fn vm(user_data: &str) -> String {
    vm_with(&format!("userData: {}", serde_json::to_string(user_data).unwrap()))
}

const USER_DATA: &str = "spec.template.spec.volumes[3].cloudInitNoCloud.userData";

/// What cloud-init takes texts for: its own functions are asked, as they are installed.
fn cloud_init(texts: &[&str]) -> Option<Vec<String>> {
    tool("cloud-init")?;
    let script = "import json, sys\nfrom cloudinit import user_data\nfor text in json.load(sys.stdin):\n    message = \
                  user_data.UserDataProcessor(None)\n    parts = []\n    message._attach_part = lambda outer, part: \
                  parts.append(part)\n    message._do_include = lambda *a: parts.append('text/x-include-url')\n    \
                  message._explode_archive = lambda *a: parts.append('text/cloud-config-archive')\n    message.process(text)\n    \
                  part = parts[0]\n    print(part if isinstance(part, str) else part.get_content_type())\n";
    // The system's own, for which the package is.
    let mut python = std::process::Command::new("/usr/bin/python3");
    let mut child = python
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &serde_json::to_vec(texts).unwrap()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    Some(String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn user_data_is_taken_for_what_cloud_init_takes_it_for() {
    let texts = [
        "#cloud-config\nhostname: a\n",
        "\n\n#cloud-config\nhostname: a\n",
        " \t\r\n #cloud-config\nhostname: a\n",
        "#Cloud-Config\nhostname: a\n",
        "#CLOUD-CONFIG   \nhostname: a\n",
        "#cloud-config # mine\nhostname: a\n",
        "#cloud-config-mine\nhostname: a\n",
        "#cloud-config\r\nhostname: a\r\n",
        "#cloud-configuration\nhostname: a\n",
        "# cloud-config\nhostname: a\n",
        "#cloud_config\nhostname: a\n",
        "\u{feff}#cloud-config\nhostname: a\n",
        "---\n#cloud-config\nhostname: a\n",
        "# a comment\n#cloud-config\nhostname: a\n",
        "hostname: a\n",
        "#cloud-config-archive\n- content: x\n",
        "\n#Cloud-Config-Archive\n- content: x\n",
        "#cloud-config-jsonp\n- {op: add, path: /hostname, value: x}\n",
        "## template: jinja\n#cloud-config\nhostname: a\n",
        "##template: jinja\n#cloud-config\nhostname: a\n",
        "## Template: Jinja\n#cloud-config\nhostname: a\n",
        "#!/bin/sh\ntrue\n",
        "\n#!/bin/sh\ntrue\n",
        "#cloud-boothook\ntrue\n",
        "#include\nhttps://example.org\n",
        "#Include-once\nhttps://example.org\n",
        "#part-handler\n",
        "nothing at all\n",
        "#cloud-config\n# MIME-Version: 1.0\nhostname: a\n",
        "Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n\n--x\nContent-Type: text/cloud-config\n\na: b\n--x--\n",
        "Content-Type: multipart/mixed; boundary=x\n\n--x\n",
    ];
    let Some(types) = cloud_init(&texts) else { return };
    assert_eq!(types.len(), texts.len());
    for (text, kind) in texts.iter().zip(types) {
        let stream = stream(&vm(text));
        let format = &stream.machines[0].user_data[0].format;
        let right = match format {
            Format::CloudConfig(_) | Format::Broken(_) => kind == "text/cloud-config",
            Format::Script => kind == "text/x-shellscript",
            Format::Jinja => kind == "text/jinja2",
            Format::Archive => kind == "text/cloud-config-archive",
            // Of those its parts are seen.
            Format::Mime => text.contains("MIME") && kind == "text/cloud-config",
            Format::Headerless => kind == "text/x-not-multipart" && text.contains("hostname"),
            Format::Other => !["text/cloud-config", "text/x-shellscript", "text/jinja2"].contains(&kind.as_str()),
            Format::Empty | Format::NotBase64 | Format::NoKey | Format::NotInStream => false,
        };
        assert!(right, "{text:?} is {kind} to cloud-init");
        // What is passed over is said, and inject refuses it.
        let rules = found(&vm(text));
        assert_eq!(
            rules.iter().any(|rule| rule.starts_with("TVM104")),
            matches!(format, Format::Headerless),
            "{text:?}"
        );
        let input = tandem_vm::inject::Input { name: "vm.yaml".to_owned(), text: block(text) };
        let done = tandem_vm::inject::inject(&[input], &crate::inject::options("vm"));
        assert_eq!(done.is_ok(), matches!(format, Format::CloudConfig(_)), "{text:?}: {:?}", done.err());
    }
}

/// A VM in block style with this user data.
fn block(user_data: &str) -> String {
    format!(
        "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nmetadata:\n  name: vm\nspec:\n  template:\n    spec:\n      domain:\n        \
         devices: {{}}\n      volumes:\n      - name: seed\n        cloudInitNoCloud:\n          userData: {}\n",
        serde_json::to_string(user_data).unwrap()
    )
}

#[test]
fn several_documents_are_no_cloud_config() {
    assert_eq!(found(&vm("#cloud-config\nhostname: a\n---\nfqdn: b\n")), [format!("TVM110 {USER_DATA}")]);
    assert_eq!(found(&vm("#cloud-config\n---\nhostname: a\n")), [""; 0]);
}

#[test]
fn base64_in_lines_is_read_as_kubevirt_reads_it() {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let long = format!("#cloud-config\nhostname: a\nfinal_message: {}\n", "x".repeat(2048));
    let wrapped = |text: &str, header: &str| {
        let encoded = BASE64_STANDARD.encode(text);
        let lines: Vec<_> = encoded.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
        vm_with(&format!("userDataBase64: {header}\n            {}", lines.join("\n            ")))
    };
    let field = format!("{USER_DATA}Base64");
    assert_eq!(found(&wrapped(&long, "|")), [format!("TVM101 {field}")]);
    let short = format!("#cloud-config\nfinal_message: {}\n", "x".repeat(1000));
    assert_eq!(found(&wrapped(&short, "|")), [""; 0]);
    // Folded there are spaces in it, which Go's decoder refuses.
    assert_eq!(found(&wrapped(&short, ">")), [format!("TVM102 {field}")]);
}

/// The VM with a Service, a client and a policy that opens this port.
fn reached(target: &str, open: &str) -> String {
    vm("#cloud-config\nhostname: a\n")
        + &format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: db, namespace: shop}}\nspec: {{selector: {{app: db}}, ports: [{{port: \
             5432, targetPort: {target}}}]}}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: db, \
             namespace: shop}}\nspec: {{podSelector: {{matchLabels: {{app: db}}}}, policyTypes: [Ingress], ingress: [{{from: \
             [{{podSelector: {{matchLabels: {{app: web}}}}}}], ports: [{{port: {open}}}]}}]}}\n---\napiVersion: v1\nkind: Pod\nmetadata: \
             {{name: web, namespace: shop, labels: {{app: web}}}}\nspec: {{containers: [{{name: web, image: x, env: [{{name: PGHOST, \
             value: db}}]}}]}}\n"
        )
}

#[test]
fn a_port_may_go_by_its_name() {
    for (target, open) in [("5432", "5432"), ("db", "5432"), ("5432", "db"), ("db", "db")] {
        assert_eq!(found(&reached(target, open)), [""; 0], "{target} {open}");
    }
    for (target, open) in [("5432", "5433"), ("db", "5433")] {
        assert_eq!(found(&reached(target, open)), ["TVM308 spec.ingress"], "{target} {open}");
    }
}

#[test]
fn a_disk_is_found_by_its_name_in_a_sentence_and_by_its_partitions() {
    let looked = |path: &str| found(&vm(&format!("#cloud-config\nruncmd:\n- 'echo waiting for {path}'\n")));
    let by_id = "/dev/disk/by-id/virtio-";
    for name in [
        "orders-tls",
        "orders-tls.",
        "orders-tls-part1",
        "orders-tls-part12.",
        "data-part",
        "data-part-part1",
        "data-part:",
    ] {
        assert_eq!(looked(&format!("{by_id}{name}")), [""; 0], "{name}");
    }
    for name in ["orders", "orders-tls-partx", "orders-tls-1", "data", "other.", "other-part1"] {
        assert_eq!(looked(&format!("{by_id}{name}")), [format!("TVM123 {USER_DATA} > runcmd[0]")], "{name}");
    }
}

/// A pod with this container's fields and volumes, beside a Secret with these keys, in a namespace.
fn pod(fields: &str, volumes: &str, keys: &str, namespace: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: creds, namespace: {namespace}}}\nstringData: {{{keys}}}\n---\napiVersion: \
         v1\nkind: Pod\nmetadata: {{name: web, namespace: shop}}\nspec: {{containers: [{{name: web, image: x, {fields}}}], volumes: \
         [{volumes}]}}\n"
    )
}

#[test]
fn what_is_optional_is_not_missed() {
    let variable = |optional: &str| {
        format!("env: [{{name: A, valueFrom: {{secretKeyRef: {{name: creds, key: token{optional}}}}}}}]")
    };
    let volume = |optional: &str| {
        format!("{{name: v, secret: {{secretName: creds, items: [{{key: token, path: a}}]{optional}}}}}")
    };
    let projected = |optional: &str| {
        format!(
            "{{name: v, projected: {{sources: [{{secret: {{name: creds, items: [{{key: token, path: a}}]{optional}}}}}]}}}}"
        )
    };
    let all = |optional: &str| format!("envFrom: [{{secretRef: {{name: creds{optional}}}}}]");
    for (optional, there) in [("", true), (", optional: false", true), (", optional: true", false)] {
        let count = |rule: &str, text: String| {
            let rules = found(&text);
            assert!(rules.iter().all(|found| found.starts_with(rule)), "{rules:?}\n{text}");
            assert_eq!(!rules.is_empty(), there, "{rules:?}\n{text}");
        };
        count("TVM402", pod(&variable(optional), "", "user: a", "shop"));
        count("TVM402", pod("", &volume(optional), "user: a", "shop"));
        count("TVM402", pod("", &projected(optional), "user: a", "shop"));
        count("TVM407", pod(&variable(optional), "", "token: a", "stage"));
        count("TVM407", pod(&all(optional), "", "token: a", "stage"));
        count("TVM407", pod("", &volume(optional), "token: a", "stage"));
        count("TVM407", pod("", &projected(optional), "token: a", "stage"));
    }
}

#[test]
fn a_pod_that_takes_some_keys_misses_none_of_the_others() {
    let with = |items: &str, keys: &str| {
        found(&pod("", &format!("{{name: v, secret: {{secretName: creds{items}}}}}"), keys, "shop"))
    };
    let items = ", items: [{key: tls.crt, path: tls.crt}]";
    assert_eq!(with(items, "tls.crt: a"), [""; 0]);
    assert_eq!(with(items, "tls.key: a"), ["TVM402 spec.volumes[0].secret.items[0].key"]);
    assert_eq!(with("", "tls.crt: a"), ["TVM401 data"]);
}

#[test]
fn an_object_is_ignored_by_each_of_its_names() {
    let text = pod("", "{name: v, secret: {secretName: creds}}", "tls.crt: a", "shop")
        + "---\napiVersion: cert-manager.io/v1\nkind: ClusterIssuer\nmetadata: {name: ca, annotations: {vm.tandem.internal/ignore: \
           TVM1}}\nspec: {ca: {secretName: ca}}\n";
    let rest = |ignore: &[&str]| {
        let args: Vec<_> = ignore.iter().flat_map(|ignore| ["--ignore", ignore]).chain(["-o", "json"]).collect();
        told(&run_stdin(&text, &args))
    };
    assert_eq!(rest(&[]), ["TVM401", "TVM901"]);
    for secret in ["TVM401", "tvm401", "TVM401:Secret/shop/creds", "TVM401:Secret/creds", "TVM401:secret/creds"] {
        assert_eq!(rest(&[secret]), ["TVM901"], "{secret}");
    }
    for issuer in ["TVM901:ClusterIssuer/ca", "TVM901:ClusterIssuer//ca"] {
        assert_eq!(rest(&[issuer]), ["TVM401"], "{issuer}");
    }
    for other in
        ["TVM401:Secret/stage/creds", "TVM401:Secret/other", "TVM401:Pod/creds", "TVM901:ClusterIssuer/shop/ca"]
    {
        assert_eq!(rest(&[other]), ["TVM401", "TVM901"], "{other}");
    }
    for wrong in ["TVM401:creds", "TVM401:/creds", "TVM401:Secret/", "TVM401:a/b/c/d"] {
        let done = run_stdin(&text, &["--ignore", wrong]);
        let told = "write RULE, or for one object RULE:KIND/NAMESPACE/NAME or RULE:KIND/NAME";
        assert!(done.status.code() == Some(2) && said(&done).contains(told), "{wrong}: {}", said(&done));
    }
    // An annotation as well.
    let annotated = text.replace("{name: creds,", "{name: creds, annotations: {vm.tandem.internal/ignore: tvm401},");
    assert_eq!(told(&run_stdin(&annotated, &["-o", "json"])), ["TVM901"]);
}

#[test]
fn permissions_are_those_of_write_files() {
    let file = |permissions: &str| {
        found(&vm(&format!("#cloud-config\nwrite_files:\n- path: /etc/a\n  {permissions}\n  content: x\n")))
    };
    for fine in [
        "permissions: '0644'",
        "permissions: \"0644\" # permissions: 0644",
        "# permissions: 0644",
        "encoding: |-\n    permissions: 0644",
        "owner: >-\n    permissions: 0644",
        "permissions: 0o644",
        "permissions: ''",
    ] {
        let rules: Vec<_> = file(fine).into_iter().filter(|rule| rule.starts_with("TVM114")).collect();
        assert_eq!(rules, [""; 0], "{fine}");
    }
    let field = format!("TVM114 {USER_DATA} > write_files[0].permissions");
    for number in ["permissions: 644", "permissions: 0644", "permissions:   0644 # octal", "\"permissions\": 0400"] {
        assert_eq!(file(number), [field.as_str()], "{number}");
    }
    let inner = "#cloud-config\nwrite_files:\n- path: /etc/a\n  content: |\n    write_files:\n    - path: /etc/b\n      permissions: \
                 0644\nruncmd:\n- |\n  cat <<X\n  permissions: 0600\n  X\n";
    assert_eq!(found(&vm(inner)), [""; 0]);
    let flow = "#cloud-config\nwrite_files: [{path: /etc/a, permissions: 0600}]\n";
    assert_eq!(found(&vm(flow)), [field.as_str()]);
}

#[test]
fn every_password_and_key_is_told_of() {
    let found = |user_data: &str| {
        let start = format!("TVM106 {USER_DATA} > ");
        let all = found(&vm(&format!("#cloud-config\n{user_data}")));
        all.iter().map(|one| one.strip_prefix(&start).unwrap_or(one).to_owned()).collect::<Vec<_>>()
    };
    let key = "-----BEGIN PRIVATE KEY-----";
    for (user_data, expected) in [
        (
            "password: one\nusers: [{name: a, plain_text_passwd: two}]\n".to_owned(),
            &["password", "users[0].plain_text_passwd"][..],
        ),
        ("password: RANDOM\n".to_owned(), &[]),
        ("chpasswd: {list: \"root:one\\nops:two\\nweb:RANDOM\\n\"}\n".to_owned(), &["chpasswd.list", "chpasswd.list"]),
        (
            "chpasswd:\n  list:\n  - root:one\n  - ops:$6$hash\n  - web:two\n".to_owned(),
            &["chpasswd.list[0]", "chpasswd.list[2]"],
        ),
        (
            format!(
                "write_files: [{{path: /a, content: \"{key}\"}}, {{path: /b, content: \"{key}\"}}]\nssh_keys: {{rsa_private: '{key}'}}\n"
            ),
            &["ssh_keys.rsa_private", "write_files[0].content", "write_files[1].content"],
        ),
    ] {
        assert_eq!(found(&user_data), expected, "{user_data}");
    }
    let two = text_of(&run_stdin(&vm("#cloud-config\nchpasswd: {list: \"root:hunter1\\nops:hunter2\\n\"}\n"), &[]));
    assert!(two.contains("the password of `root`") && two.contains("the password of `ops`"), "{two}");
    assert!(!two.contains("hunter"), "{two}");
}

#[test]
fn a_rule_is_explained_by_its_number_in_small_letters() {
    assert_eq!(text_of(&run(&["--explain", "tvm001"])), text_of(&run(&["--explain", "TVM001"])));
}

/// The first document of the page: what it leaves open is not held against it.
#[test]
fn the_smallest_document_lacks_no_client() {
    let page = std::fs::read_to_string(crate::check::repository().join("docs/databasevm.md")).unwrap();
    let document = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    // That a disk does not follow a rotation is right, and said.
    assert_eq!(told(&run_stdin(document, &["-o", "json"])), ["TVM210"]);
    // A pod beside it that is no client is one that is not let in.
    let beside = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\nspec: {containers: []}\n";
    assert_eq!(told(&run_stdin(&format!("{document}{beside}"), &["-o", "json"])), ["TVM210", "TVM303"]);
}

/// A number is right for none of the keys whose shape is known; cloud-init says the same of each of them.
#[test]
fn what_has_another_shape_is_found_where_cloud_init_finds_it() {
    let text = KNOWN_KEYS.iter().fold("#cloud-config\n".to_owned(), |text, key| text + key + ": 5\n");
    let report: Value = serde_json::from_slice(&run_stdin(&vm(&text), &["-o", "json"]).stdout).unwrap();
    let told = report["findings"].as_array().unwrap().iter().filter(|finding| {
        let message = finding["message"].as_str().unwrap();
        message == "is a number, not a list" || message == "is a number, not a mapping"
    });
    let keys: Vec<_> = told.map(|finding| finding["field"].as_str().unwrap().rsplit_once(" > ").unwrap().1).collect();
    assert!(keys.len() > 25, "{keys:?}");
    let Some(judged) = schema(&text) else { return };
    for key in keys {
        assert!(said(&judged).contains(&format!("{key}: 5 is not")), "{key}: {}", said(&judged));
    }
}

#[test]
fn fields_and_files_are_shown_without_what_moves_a_terminal() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("a\u{1b}[31m.yaml");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: shop}\ndata: {\"keyfile\\e[31m\\u009b\": '!'}\n---\n"
        .to_owned()
        + &vm("#cloud-config\n\"hostname\\e[31m\": a\nwrite_files: [{path: \"a\\e[31m\", permissions: 644}]\n");
    std::fs::write(&file, &secret).unwrap();
    for format in ["text", "json", "sarif"] {
        let done = run(&[file.to_str().unwrap(), "-o", format]);
        let text = said(&done);
        assert!(text.contains("TVM112"), "{text}");
        assert_eq!(text.chars().find(|c| c.is_control() && *c != '\n'), None, "{format}: {text:?}");
    }
    let report: Value = serde_json::from_slice(&run(&[file.to_str().unwrap(), "-o", "json"]).stdout).unwrap();
    // A machine reads it as it is.
    assert_eq!(report["findings"][0]["file"], file.to_str().unwrap());
}
