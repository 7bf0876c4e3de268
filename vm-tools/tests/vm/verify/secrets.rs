//! The Secret beside which an endpoint is verified: from a folder and from manifests, whatever is in them.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_vm::probe::secret::Material;
use tempfile::TempDir;

use super::servers::{ca, leaf, s_server, secret};
use crate::{
    command::tandem_vm,
    support::{output, said, tool},
};

fn entries(folder: &Path) -> [(&'static str, String); 3] {
    ["tls.crt", "tls.key", "ca.crt"].map(|key| (key, fs::read_to_string(folder.join(key)).unwrap()))
}

pub(crate) fn manifest(folder: &Path) -> Value {
    let data: serde_json::Map<_, _> =
        entries(folder).into_iter().map(|(key, text)| (key.to_owned(), STANDARD.encode(text).into())).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders-tls"}, "type": "kubernetes.io/tls", "data": data})
}

/// Reads the manifest from standard input.
fn read(text: &[u8]) -> Result<Material, Vec<String>> {
    Material::from_file(Path::new("-"), &mut &*text)
}

/// Why it was not read.
fn problem(manifest: &Value) -> String {
    read(manifest.to_string().as_bytes()).err().map(|lines| lines.join("\n")).unwrap_or_default()
}

#[test]
fn a_folder_a_manifest_and_a_list_hold_the_same() {
    if tool("openssl").is_none() {
        return;
    }
    let ca = ca("internal-ca");
    let secret = secret(&ca, &leaf());
    let server = s_server(secret.path(), &[]);
    let data = manifest(secret.path());
    let strings: serde_json::Map<_, _> =
        entries(secret.path()).into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    let string_data =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders-tls"}, "stringData": strings});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service"}, data]});
    let file = secret.path().join("secret.yaml");
    for manifest in [&data, &string_data, &list] {
        fs::write(&file, serde_yaml::to_string(manifest).unwrap()).unwrap();
        let endpoint = format!("127.0.0.1:{}", server.port);
        let done = output(tandem_vm().args(["verify", "--endpoint", &endpoint, "--file"]).arg(&file));
        assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    }
}

#[test]
fn what_is_wrong_with_a_secret_is_said_without_its_content() {
    let ca = ca("internal-ca");
    let folder = secret(&ca, &leaf());
    let good = manifest(folder.path());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = good.clone();
        change(&mut changed);
        problem(&changed)
    };
    let key = fs::read_to_string(folder.path().join("tls.key")).unwrap();
    let place = "standard input: document 1, Secret orders-tls";
    assert_eq!(with(&|_| {}), "");
    assert_eq!(
        with(&|s| s["kind"] = "ConfigMap".into()),
        "-: no Secret with a tls.crt is in it; give the Secret's manifest"
    );
    assert_eq!(
        with(&|s| s["data"]["tls.key"] = key.clone().into()),
        format!("{place}: data: its tls.key is not base64; put plain text under stringData")
    );
    assert_eq!(
        with(&|s| s["data"]["tls.key"] = 7.into()),
        format!("{place}: data: its tls.key is not a string; write it in quotes")
    );
    assert_eq!(
        with(&|s| s["data"]["tls.key"] = STANDARD.encode(&key[40..]).into()),
        format!("{place}: tls.key: holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, unencrypted)")
    );
    let nonsense = |what: &str| STANDARD.encode(format!("-----BEGIN {what}-----\nAAAA\n-----END {what}-----\n"));
    assert_eq!(
        with(&|s| s["data"]["tls.key"] = nonsense("PRIVATE KEY").into()),
        format!("{place}: tls.key: is not an RSA, ECDSA or Ed25519 private key that can be used")
    );
    let made = |command: &str| {
        let mut words = command.split(' ');
        let done = output(std::process::Command::new(words.next().unwrap()).args(words));
        assert!(done.status.success(), "{command}: {}", said(&done));
        with(&|s| s["data"]["tls.key"] = STANDARD.encode(&done.stdout).into())
    };
    if tool("openssl").is_some() {
        let short = "tls.key: is an RSA key of less than 2048 bits; issue a certificate with a longer one";
        assert_eq!(made("openssl genrsa 1024"), format!("{place}: {short}"));
        assert_eq!(made("openssl genrsa -traditional 1024"), format!("{place}: {short}"));
        let encrypted = "tls.key: is encrypted, and a Secret brings no password; `openssl pkey` takes it out";
        for more in ["", " -traditional"] {
            assert_eq!(
                made(&format!("openssl genrsa -aes256 -passout pass:x{more} 2048")),
                format!("{place}: {encrypted}")
            );
        }
    }
    let no_certificate = with(&|s| s["data"]["tls.crt"] = nonsense("CERTIFICATE").into());
    assert!(
        no_certificate.starts_with(&format!("{place}: tls.crt: it is not an X.509 certificate: ")),
        "{no_certificate}"
    );
    // A key where the certificate belongs.
    assert_eq!(
        with(&|s| s["data"]["tls.crt"] = STANDARD.encode(&key).into()),
        format!("{place}: tls.crt: holds no certificate in PEM")
    );
    let broken = key.replace("-----END", "----END");
    assert_eq!(
        with(&|s| s["data"]["ca.crt"] = STANDARD.encode(broken.replace("PRIVATE KEY", "CERTIFICATE")).into()),
        format!("{place}: ca.crt: is not PEM; write BEGIN CERTIFICATE, base64 and END CERTIFICATE")
    );
    let twice = json!({"apiVersion": "v1", "kind": "List", "items": [good, good]});
    assert!(
        problem(&twice).ends_with(": several Secrets hold a tls.crt; leave the one that is meant"),
        "{}",
        problem(&twice)
    );

    let empty = TempDir::new().unwrap();
    let why = |folder: &Path| Material::from_folder(folder).err().unwrap_or_default();
    assert!(why(empty.path()).ends_with("has no tls.crt; cert-manager has not issued it yet, or it is another Secret"));
    let none = empty.path().join("none");
    let advised = |why: &str| format!("{}: {why}; give a folder with tls.crt, tls.key and ca.crt", none.display());
    assert_eq!(why(&none), advised("No such file or directory (os error 2)"));
    fs::write(&none, "").unwrap();
    assert_eq!(why(&none), advised("not a directory"));
    fs::create_dir(empty.path().join("tls.crt")).unwrap();
    assert!(why(empty.path()).contains("Is a directory"), "{}", why(empty.path()));
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let ca = ca("internal-ca");
    let folder = secret(&ca, &leaf());
    let kubeconfig = folder.path().join("kubeconfig");
    let folder = folder.path().to_str().unwrap();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"client-certificate-data": "AAAA", "client-key-data": "AAAA"}}],
    });
    fs::write(&kubeconfig, config.to_string()).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    for (args, why) in [
        (&["--endpoint", "db:5432"][..], "--folder <DIR>|--file <FILE>|--secret <NAMESPACE/NAME>"),
        (&["--folder", folder], "--endpoint <HOST:PORT>"),
        (&["--endpoint", "db", "--folder", folder], "`db` is not HOST:PORT"),
        (&["--endpoint", "db:1", "--folder", folder, "--secret", "a/b"], "cannot be used with"),
        (&["--endpoint", "db:1", "--secret", "orders-tls"], "`orders-tls` is not NAMESPACE/NAME"),
        (
            &["--endpoint", "db:1", "--folder", folder, "--server-name", "a b"],
            "`a b` is neither a DNS name nor an IP address",
        ),
        (
            &["--endpoint", "db:1", "--folder", folder, "--timeout", "0s"],
            "--timeout: write a duration between 1ms and 1h, such as 5s",
        ),
        (&["--endpoint", "db:1", "--folder", folder, "--kubeconfig", "x"], "cannot be used with"),
        (&["--endpoint", "127.0.0.1:1", "--secret", "a/b", "--kubeconfig", "/nowhere"], "the kubeconfig: "),
        (
            &["--endpoint", "127.0.0.1:1", "--secret", "a/b", "--kubeconfig", kubeconfig],
            "the client for the API server: ",
        ),
        (
            &["--endpoint", "127.0.0.1:1", "--folder", folder, "--client", "/nowhere"],
            "tandem-vm: /nowhere: No such file",
        ),
    ] {
        let done = output(tandem_vm().arg("verify").args(args));
        assert!(done.status.code() == Some(2) && said(&done).contains(why), "{args:?}: {}", said(&done));
    }
}

#[test]
fn why_an_endpoint_is_not_reached_is_said() {
    let folder = secret(&ca("internal-ca"), &leaf());
    for (endpoint, timeout, why) in [
        ("a..b:5432", "60s", "a..b:5432: no connection: the name is not known: "),
        ("127.0.0.1:1", "5s", "127.0.0.1:1: no connection: 127.0.0.1:1: Connection refused"),
    ] {
        let mut command = tandem_vm();
        command.args(["verify", "--server-name", "orders", "--endpoint", endpoint, "--timeout", timeout, "--folder"]);
        let done = output(command.arg(folder.path()));
        assert!(done.status.code() == Some(3) && said(&done).contains(why), "{endpoint}: {}", said(&done));
    }
}

/// A Secret with something changed: a byte, a length, an entry, or all of it.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let folder = secret(&ca("internal-ca"), &leaf());
    let whole = serde_yaml::to_string(&manifest(folder.path())).unwrap().into_bytes();
    let pem: Vec<_> = entries(folder.path()).into_iter().map(|(_, text)| text.into_bytes()).collect();
    let changed_text = (Just(whole), any::<proptest::sample::Index>(), any::<Vec<u8>>(), 0..200_usize).prop_map(
        |(mut text, at, bytes, removed)| {
            let at = at.index(text.len());
            let end = (at + removed).min(text.len());
            text.splice(at..end, bytes);
            text
        },
    );
    let changed_entry = (0..3_usize, any::<proptest::sample::Index>(), any::<Vec<u8>>(), 0..200_usize).prop_map(
        move |(which, at, bytes, removed)| {
            let mut pem = pem.clone();
            let at = at.index(pem[which].len());
            let end = (at + removed).min(pem[which].len());
            pem[which].splice(at..end, bytes);
            let [certificate, key, ca] = [0, 1, 2].map(|i| STANDARD.encode(&pem[i]));
            let data = json!({"tls.crt": certificate, "tls.key": key, "ca.crt": ca});
            json!({"apiVersion": "v1", "kind": "Secret", "data": data}).to_string().into_bytes()
        },
    );
    prop_oneof![changed_text, changed_entry, any::<Vec<u8>>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever is in the file: it is read, or a message says why not, on one line of moderate length.
    #[test]
    fn no_file_makes_it_panic_or_say_what_it_read(text in damaged()) {
        if let Err(lines) = read(&text) {
            for line in lines {
                prop_assert!(line.len() < 400 && !line.contains('\n'), "{}", line);
                prop_assert!(!line.contains("MIG") && !line.contains("LS0tLS1"), "{}", line);
            }
        }
    }
}
