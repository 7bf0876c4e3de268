//! Manifests that are valid and odd: how a VM may be written, and where it may stand. What `inject` makes of each is what it makes of
//! others, and `check` finds no fault in it that was not there before.

use std::collections::BTreeSet;

use tandem_vm::check::{Severity, check};
use tandem_vm::inject::{Database, Delivery, Options, Os};
use tandem_vm::model::Stream;

use crate::inject::{self, check_injected, injected, options, removed};

const BASE: &str = "apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata:
  name: db
spec:
  runStrategy: Always
  template:
    spec:
      domain:
        devices:
          disks:
          - name: root
            disk:
              bus: virtio
          - name: init
            disk:
              bus: virtio
      volumes:
      - name: root
        containerDisk:
          image: registry.example/os:1
      - name: init
        cloudInitNoCloud:
          userData: |
            #cloud-config
            hostname: a
            runcmd:
            - echo one
";

const OTHER: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";

/// The VM with something else in one place.
fn swap(from: &str, to: &str) -> String {
    assert_eq!(BASE.matches(from).count(), 1, "{from}");
    BASE.replacen(from, to, 1)
}

/// The VM with something else from a line on.
fn from_line(line: &str, rest: &str) -> String {
    let at = BASE.find(line).unwrap_or_else(|| panic!("{line}"));
    format!("{}{rest}", &BASE[..at])
}

/// Its lines further to the right.
fn indented(text: &str, by: usize) -> String {
    let line = |line: &str| if line.trim().is_empty() { line.to_owned() } else { format!("{}{line}", " ".repeat(by)) };
    text.split_inclusive('\n').map(line).collect()
}

fn list(items: &[&str], dash: &str) -> String {
    let item = |text: &&str| format!("{dash}{}", indented(text, dash.len()).trim_start());
    format!("apiVersion: v1\nkind: List\nitems:\n{}", items.iter().map(item).collect::<String>())
}

/// Comments, blank lines, and what stands around a document.
fn layout() -> Vec<String> {
    let mut all = vec![
        BASE.replace('\n', "\r\n"),
        BASE.trim_end().to_owned(),
        format!("\u{feff}{BASE}"),
        BASE.replace('\n', "\n\n"),
        BASE.replace("spec:\n", "spec:   \n"),
        format!("\n\n\n{BASE}"),
        format!("{BASE}\n\n\n"),
        format!("# before\n{BASE}"),
        format!("{BASE}# behind\n"),
        format!("{BASE}      # behind\n"),
        format!("{BASE}                        # far behind\n"),
        format!("---\n{BASE}"),
        format!("--- # first\n{BASE}"),
        format!("---\n---\n{BASE}"),
        format!("{BASE}...\n"),
        format!("---\n{BASE}...\n---\n{OTHER}"),
        format!("---\n\n---\n# only a comment\n---\n{BASE}---\n---\n"),
        format!("{OTHER}---\n{BASE}"),
        format!("{BASE}---\n{OTHER}"),
        format!("{BASE}---\n{}", OTHER.trim_end()),
        format!("# Source: a\n---\n# Source: b\n{BASE}---\n# Source: c\n{OTHER}data:\n  a: |\n    ---\n    b\n"),
        format!("{}{BASE}", format!("{OTHER}---\n").repeat(30)),
        format!("{BASE}status:\n  ready: true\n  conditions:\n  - {{type: Ready, status: \"True\"}}\n"),
        list(&[BASE], "- "),
        list(&[BASE], "  - "),
        list(&[BASE], "-   "),
        list(&[BASE, OTHER], "- "),
        list(&[OTHER, BASE], "- "),
        format!("items:\n- {}apiVersion: v1\nkind: List\n", indented(BASE, 2).trim_start()),
    ];
    let [volumes, entry] = ["      volumes:\n", "- name: init\n        cloud"];
    all.extend([
        swap(volumes, "      volumes:\n# at the margin\n          # to the right\n"),
        swap(volumes, "      volumes: # all of them\n\n"),
        swap(entry, "- # which\n        name: init\n        cloud"),
        swap(entry, "-\n        name: init\n        cloud"),
        swap(entry, "-   name: init\n        cloud")
            .replace("        cloudInit", "          cloudInit")
            .replace("          userData: |\n", "           userData: |\n"),
        swap("userData: |", "userData: | # mine"),
        swap("  name: db\n", "  name: db\n  annotations: {x: \"[[[[[[[[\"}\n"),
    ]);
    all
}

/// Other ways to write the same, and fields that are there and empty.
fn values() -> Vec<String> {
    let devices = "        devices:\n          disks:\n          - name: root\n            disk:\n              bus: virtio\n          - name: \
                   init\n            disk:\n              bus: virtio\n";
    let mut all = vec![
        BASE.replace("spec:", "\"spec\":").replace("volumes:", "'volumes':").replace("disks:", "\"disks\":"),
        swap("name: db", "name: \"db\""),
        swap("name: db\n", "name: db\n  creationTimestamp: null\n"),
        swap("name: db\n", "name: db\n  labels:\n    x: \"ünï ☃ 🦀\"\n"),
        swap("metadata:\n  name: db\n", "? metadata\n: name: db\n"),
        swap("name: db", "name: &name db") + "status: {of: *name}\n",
        swap("volumes:\n", "volumes: &volumes\n"),
        swap("disks:\n", "disks: &disks\n"),
        swap("userData: |", "userData: &data |"),
        BASE.replacen(
            "bus: virtio\n          - name: init\n            disk:\n              bus: virtio\n",
            "bus: &bus virtio\n          - \
             name: init\n            disk:\n              bus: *bus\n",
            1,
        ),
        swap("          disks:\n", "          <<: {rng: {}}\n          disks:\n"),
        format!("&all\n{BASE}"),
        swap("volumes:\n", "volumes: !!seq\n"),
        swap("      volumes:\n", "      ? volumes\n      :\n"),
        format!(
            "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\n{}metadata:\n  name: db\n",
            &BASE[BASE.find("spec:").unwrap()..]
        ),
        format!("{}apiVersion: kubevirt.io/v1\nkind: VirtualMachine\n", &BASE[BASE.find("metadata:").unwrap()..]),
        swap(
            "  runStrategy: Always\n",
            "  runStrategy: Always\n  instancetype: {kind: VirtualMachineInstancetype, name: a}\n  preference:\n    name: b\n",
        ),
    ];
    for empty in [
        "        memory:\n          guest: 1Gi\n",
        "        devices: {}\n",
        "        devices:\n",
        "        devices: ~\n",
        "        devices: {} # none\n",
        "        devices:\n          disks:\n",
        "        devices:\n          disks: []\n",
        "        devices:\n          disks: [] # none yet\n          rng: {}\n",
    ] {
        all.push(swap(devices, empty));
    }
    for volumes in [
        "",
        "      volumes:\n",
        "      volumes: []\n",
        "      volumes: [] # none\n",
        "      volumes:\n      - {name: root, emptyDisk: {capacity: 1Gi}}\n",
    ] {
        all.push(from_line("      volumes:\n", volumes));
    }
    all
}

/// How the user data may be written, and what may be in it.
fn user_data() -> Vec<String> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let start = "          userData: |\n";
    let text = "#cloud-config\nhostname: a\nruncmd:\n- echo one\n";
    let mut all = Vec::new();
    for header in ["|", "|-", "|+", ">-", "|2", "|1", "|+2", "|9", "| # its text"] {
        let by =
            header.trim_start_matches(['|', '>', '+', '-']).chars().next().and_then(|c| c.to_digit(10)).unwrap_or(2);
        // Folded, two lines would be one.
        let text = if header.starts_with('>') { "#cloud-config\n\nhostname: a\n" } else { text };
        all.push(from_line(start, &format!("          userData: {header}\n{}", indented(text, 10 + by as usize))));
    }
    for value in [
        "\"#cloud-config\\nhostname: a\\n\"",
        "\"#cloud-config\\r\\nhostname: a\\r\\nruncmd:\\r\\n- echo\\r\\n\"",
        "'#cloud-config\n\n            hostname: a\n\n            '",
        "'#cloud-config'",
        "\"\\n#Cloud-Config\\nhostname: a\"",
        "\"\"",
        "~",
        "",
    ] {
        all.push(from_line(start, &format!("          userData: {value}\n")));
    }
    let encoded = BASE64_STANDARD.encode(text);
    for value in [
        encoded.clone(),
        format!("\"{encoded}\""),
        format!("|\n            {}\n            {}", &encoded[..20], &encoded[20..]),
        BASE64_STANDARD.encode(text.replace('\n', "\r\n")),
    ] {
        all.push(from_line(start, &format!("          userDataBase64: {value}\n")));
    }
    for source in [" {}", "", "\n          networkData: |\n            version: 2"] {
        all.push(from_line("        cloudInitNoCloud:\n", &format!("        cloudInitNoCloud:{source}\n")));
    }
    all.push(BASE.replace("NoCloud", "ConfigDrive"));
    all.push(format!("{BASE}          networkData: |\n            version: 2\n"));
    all.push(swap(start, "          networkData: |\n            version: 2\n          userData: |\n"));
    let last = "            runcmd:\n            - echo one\n";
    for rest in [
        "            runcmd: []\n",
        "            runcmd:\n",
        "            runcmd:\n                - echo one\n",
        "            users:\n            - default\n",
        "            # the end\n",
        "            runcmd:\n            - |\n              echo one\n              echo two\n",
        "            final_message: |+\n              done\n\n\n",
        "            runcmd:\n            - >-\n              echo one\n                two\n",
        "            runcmd:\n            - &echo echo one\n            - *echo\n",
        "            motd: \"🦀\u{a0}\"\n            runcmd:\n            - \"echo\tone\"\n",
        "            merge_how: list(append)+dict(no_replace,recurse_list)+str()\n            runcmd:\n            - echo one\n",
        "            runcmd:\n            - echo one\n            # the end\n\n\n",
        "            write_files:\n            - path: /a\n              content: |\n                #cloud-config\n                ---\n                x\n",
        "            snap:\n              commands:\n                10: snap install a\n                true: b\n",
    ] {
        all.push(swap(last, rest));
    }
    all.push(swap(
        "            hostname: a\n",
        &"            # a comment among many, of eighty characters or more, to make the text a long one\n".repeat(200),
    ));
    all.push(format!("{BASE}{}", "            - echo again\n".repeat(100)));
    all.push(swap("echo one", &format!("echo {}", "y".repeat(5_000))));
    all.push(swap("#cloud-config\n", "#cloud-config\n            ---\n"));
    all.push(swap("#cloud-config\n", "#cloud-config # owner: the team\n"));
    all
}

/// User data in a Secret of the stream.
fn in_secrets() -> Vec<String> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let text = "#cloud-config\nhostname: a\n";
    let encoded = BASE64_STANDARD.encode(text);
    let named = |reference: &str| from_line("          userData: |\n", &format!("          secretRef:{reference}\n"));
    let [block, flow] = ["\n            name: s", " {name: s}"].map(named);
    let secret = |data: &str| format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n{data}");
    let string = secret(&format!("stringData:\n  userdata: |\n{}", indented(text, 4)));
    vec![
        format!("{block}---\n{string}"),
        format!("{string}---\n{block}"),
        format!("{flow}---\n{}", string.trim_end()),
        format!("{flow}---\n{}", secret(&format!("data:\n  userData: {encoded}"))),
        format!(
            "{flow}---\n{}",
            secret(&format!("data:\n  userdata: |\n    {}\n    {}\n", &encoded[..20], &encoded[20..]))
        ),
        format!("{flow}---\n{}", secret("stringData:\n  userdata: \"#cloud-config\"\n")),
        format!(
            "{flow}---\n{}",
            secret(&format!(
                "type: Opaque\nstringData:\n  networkdata: x\n  userdata: |-\n{}\n",
                indented(text.trim_end(), 4)
            ))
        ),
        list(&[&flow, &string], "- "),
        list(&[&string, &block], "- "),
    ]
}

/// Other kinds, and other names.
fn kinds() -> Vec<(String, &'static str)> {
    let spec = &BASE[BASE.find("      domain:").unwrap()..];
    let whole = |api: &str, kind: &str, metadata: &str, outer: &str, by: usize| {
        let inner = indented(&spec.lines().map(|line| format!("{}\n", &line[6..])).collect::<String>(), by);
        format!("apiVersion: {api}\nkind: {kind}\nmetadata:\n  {metadata}\nspec:\n{outer}{inner}")
    };
    let pool = "  replicas: 2\n  virtualMachineTemplate:\n    spec:\n      runStrategy: Always\n      template:\n        spec:\n";
    vec![
        (whole("kubevirt.io/v1", "VirtualMachineInstance", "name: db", "", 2), "db"),
        (whole("kubevirt.io/v1", "VirtualMachineInstance", "generateName: db-", "", 2), "db-"),
        (
            whole(
                "kubevirt.io/v1",
                "VirtualMachineInstanceReplicaSet",
                "name: db",
                "  replicas: 1\n  template:\n    spec:\n",
                6,
            ),
            "db",
        ),
        (whole("pool.kubevirt.io/v1alpha1", "VirtualMachinePool", "name: db", pool, 10), "db"),
        (swap("  name: db\n", "  name: db\n  namespace: shop\n"), "shop/db"),
        (swap("  name: db\n", "  namespace: shop\n  generateName: db-\n"), "shop/db-"),
        (swap("name: db", "name: größe-数据"), "größe-数据"),
        (swap("name: db", "name: \"123\""), "123"),
        (swap("name: db", "name: \"true\""), "true"),
        (list(&[BASE, &swap("name: db", "name: other")], "- "), "other"),
        ((0..8).map(|i| format!("---\n{}", swap("name: db", &format!("name: db-{i}")))).collect(), "db-7"),
    ]
}

/// Rule and object of each error.
fn errors(text: &str) -> BTreeSet<String> {
    let stream = Stream::read(&["-".into()], &mut text.as_bytes(), "default")
        .unwrap_or_else(|lines| panic!("{lines:?}\n{text}"));
    let report = check(&stream, &[]);
    let errors = report.findings.iter().filter(|finding| finding.rule.severity == Severity::Error);
    errors.map(|finding| format!("{} {}", finding.rule.id, finding.object.name)).collect()
}

/// Every property of an injection.
fn holds(manifests: impl IntoIterator<Item = (String, &'static str)>, at_least: usize) {
    let mut tried = 0;
    for (text, vm) in manifests {
        let delivery = if tried % 2 == 0 { Delivery::Disk } else { Delivery::Filesystem };
        let options = Options { delivery, database: Database::PostgreSql, os: Some(Os::Debian), ..options(vm) };
        let once = injected(&text, &options);
        let plain = |text: &str| text.trim_start_matches('\u{feff}').to_owned();
        check_injected(&plain(&text), &plain(&once), &options);
        assert_eq!(injected(&once, &options), once, "{text}");
        assert_eq!(removed(&once, vm), text);
        let new: Vec<_> = errors(&once).difference(&errors(&text)).cloned().collect();
        assert_eq!(new, [""; 0], "{once}");
        tried += 1;
    }
    assert!(tried >= at_least, "{tried}");
}

fn of_db(texts: Vec<String>) -> impl Iterator<Item = (String, &'static str)> {
    texts.into_iter().map(|text| (text, "db"))
}

#[test]
fn comments_and_documents_in_odd_places_make_no_difference() {
    holds(of_db(layout()), 35);
}

#[test]
fn fields_that_are_empty_or_written_otherwise_make_no_difference() {
    holds(of_db(values()), 26);
}

#[test]
fn user_data_may_be_written_in_every_way() {
    holds(of_db(user_data()), 40);
}

/// A block at its end has no line break either, and gets none when other files follow.
#[test]
fn user_data_that_ends_without_a_line_break_keeps_what_it_says() {
    use base64::prelude::{BASE64_STANDARD, Engine};
    for style in ["|", ">", "|+", ">+ # all of it", "|2", "|2+", "|+2", "|-", "|2-", ">-2"] {
        let text = format!("#cloud-config\nwrite_files:\n- path: /etc/token\n  content: {style}\n    s3cret");
        let encoded = BASE64_STANDARD.encode(&text);
        let content = |text: &str| {
            let config: serde_json::Value = serde_yaml::from_str(text).unwrap();
            config["write_files"][0]["content"].clone()
        };
        let inline = |data: &str| from_line("          userData: |\n", &format!("          {data}"));
        let secret = |data: &str| {
            let secret = format!("---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n{data}");
            inline("secretRef: {name: s}\n") + &secret
        };
        let before = content(&text);
        for manifest in [
            inline(&format!("userData: |-\n{}\n", indented(&text, 12))),
            inline(&format!("userData: |\n{}", indented(&text, 12))),
            inline(&format!("userDataBase64: {encoded}\n")),
            secret(&format!("stringData:\n  userdata: |-\n{}\n", indented(&text, 4))),
            secret(&format!("data:\n  userdata: {encoded}\n")),
        ] {
            let options = options("db");
            let once = injected(&manifest, &options);
            assert_eq!(content(&inject::user_data(&inject::objects(&once), "db").unwrap()), before, "{once}");
            assert_eq!(injected(&once, &options), once);
            assert_eq!(removed(&once, "db"), manifest);
        }
    }
}

#[test]
fn user_data_may_stand_in_any_secret() {
    holds(of_db(in_secrets()), 9);
}

#[test]
fn every_kind_and_name_of_a_machine_is_edited() {
    holds(kinds(), 11);
}
