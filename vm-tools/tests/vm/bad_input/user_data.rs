//! User data into which nothing can be merged, wherever it stands: each is left as it is, with the reason.

use serde_json::{Value, json};

use super::manifests::{INJECT, object, secret, stream};
use super::{Case, case};

/// A VM whose one cloud-init volume is this.
fn machine(cloud_init: &Value) -> String {
    let volumes = [json!({ "name": "root", "dataVolume": { "name": "db-root" } }), with_name("init", cloud_init)];
    stream(&[object("VirtualMachine", &volumes)])
}

fn with_name(name: &str, source: &Value) -> Value {
    let mut volume = source.clone();
    volume["name"] = name.into();
    volume
}

fn inline(user_data: &str) -> String {
    machine(&json!({ "cloudInitNoCloud": { "userData": user_data } }))
}

pub(super) fn cases() -> Vec<Case> {
    let bomb = (0..40).fold("a0: &a0 [x]\n".to_owned(), |text, i| {
        format!("{text}a{}: &a{} [{}]\n", i + 1, i + 1, vec![format!("*a{i}"); 9].join(","))
    });
    let texts = [
        ("a shell script", "#!/bin/sh\necho hello\n".to_owned()),
        ("a jinja template", "## template: jinja\n#cloud-config\nhostname: '{{ v1.local_hostname }}'\n".to_owned()),
        ("a jinja template in other letters", "##  Template: Jinja\n#cloud-config\n{}\n".to_owned()),
        ("an archive", "#cloud-config-archive\n- type: text/cloud-config\n  content: '{}'\n".to_owned()),
        ("a list of addresses", "#include\nhttps://conf.example/a\n".to_owned()),
        ("a boothook", "#cloud-boothook\necho hello\n".to_owned()),
        ("a part handler", "#part-handler\nimport os\n".to_owned()),
        (
            "a MIME message",
            "Content-Type: multipart/mixed; boundary=\"a\"\nMIME-Version: 1.0\n\n--a\n\n--a--\n".to_owned(),
        ),
        ("Ignition", "{\"ignition\": {\"version\": \"3.4.0\"}}\n".to_owned()),
        ("YAML without its first line", "runcmd:\n- 'true'\n".to_owned()),
        ("a comment before the first line", "# ours\n#cloud-config\nruncmd: []\n".to_owned()),
        ("prose", "please install nginx\n".to_owned()),
        ("a tab", "#cloud-config\nruncmd:\n\t- 'true'\n".to_owned()),
        ("a bracket without its end", "#cloud-config\nruncmd: [\n".to_owned()),
        ("a list", "#cloud-config\n- runcmd\n".to_owned()),
        ("a text behind the first line", "#cloud-config\nruncmd\n".to_owned()),
        ("two documents", "#cloud-config\na: 1\n---\nb: 1\n".to_owned()),
        ("runcmd twice", "#cloud-config\nruncmd: []\nruncmd: []\n".to_owned()),
        ("runcmd that is a text", "#cloud-config\nruncmd: systemctl restart nginx\n".to_owned()),
        ("runcmd that is a mapping", "#cloud-config\nruncmd:\n  a: b\n".to_owned()),
        ("runcmd in flow style", "#cloud-config\nruncmd: [['true']]\n".to_owned()),
        ("write_files that is a mapping", "#cloud-config\nwrite_files:\n  path: /a\n".to_owned()),
        ("write_files that is an alias", "#cloud-config\na: &a\n- path: /a\nwrite_files: *a\n".to_owned()),
        ("write_files with a shared anchor", "#cloud-config\nwrite_files: &a\n- path: /a\nb: *a\n".to_owned()),
        ("runcmd with a tag", "#cloud-config\nruncmd: !a\n- 'true'\n".to_owned()),
        ("a merge key", "#cloud-config\na: &a\n  runcmd: []\n<<: *a\n".to_owned()),
        ("all in brackets", "#cloud-config\n{runcmd: []}\n".to_owned()),
        ("an alias bomb", format!("#cloud-config\n{bomb}")),
        ("deep brackets", format!("#cloud-config\na: {}\n", "[".repeat(60_000))),
        ("a NUL byte", "#cloud-config\nruncmd:\n- \"a\0b\"\n".to_owned()),
        ("a bell", "#cloud-config\nruncmd:\n- a\u{7}b\n".to_owned()),
    ];
    let mut cases: Vec<_> =
        texts.into_iter().map(|(name, text)| case(format!("user data: {name}"), INJECT, inline(&text))).collect();
    let cloud_init = |name: &str, source: Value| case(format!("cloud-init: {name}"), INJECT, machine(&source));
    cases.extend([
        cloud_init("base64 that is none", json!({ "cloudInitNoCloud": { "userDataBase64": "%%%" } })),
        cloud_init("base64 of bytes that are no text", json!({ "cloudInitNoCloud": { "userDataBase64": "/////w==" } })),
        // The first bytes of a gzip file.
        cloud_init(
            "base64 of what gzip has packed",
            json!({ "cloudInitConfigDrive": { "userDataBase64": "H4sIAAAAAAAA" } }),
        ),
        cloud_init(
            "base64 of a shell script",
            json!({ "cloudInitConfigDrive": { "userDataBase64": "IyEvYmluL3NoCg==" } }),
        ),
        cloud_init(
            "user data twice",
            json!({ "cloudInitNoCloud": { "userData": "#cloud-config\n", "userDataBase64": "I2Nsb3VkLWNvbmZpZwo=" } }),
        ),
        cloud_init("user data that is a number", json!({ "cloudInitNoCloud": { "userData": 5 } })),
        cloud_init("a source that is a text", json!({ "cloudInitNoCloud": "#cloud-config" })),
        cloud_init(
            "a Secret that is not there",
            json!({ "cloudInitNoCloud": { "secretRef": { "name": "elsewhere" } } }),
        ),
        cloud_init("a Secret without a name", json!({ "cloudInitNoCloud": { "secretRef": {} } })),
        cloud_init("Sysprep", json!({ "sysprep": { "secret": { "name": "windows" } } })),
    ]);
    let in_secret = |name: &str, fields: Value| {
        let volume = with_name("init", &json!({ "cloudInitNoCloud": { "secretRef": { "name": "db-init" } } }));
        case(
            format!("cloud-init's Secret: {name}"),
            INJECT,
            stream(&[object("VirtualMachine", &[volume]), secret("db-init", &fields)]),
        )
    };
    cases.extend([
        in_secret("without user data", json!({ "data": { "networkdata": "e30=" } })),
        in_secret("with base64 that is none", json!({ "data": { "userdata": "%%%" } })),
        in_secret("with a shell script", json!({ "stringData": { "userdata": "#!/bin/sh\n" } })),
        in_secret("with a number", json!({ "stringData": { "userdata": 5 } })),
        in_secret("whose data are a list", json!({ "data": ["userdata"] })),
    ]);
    cases
}
