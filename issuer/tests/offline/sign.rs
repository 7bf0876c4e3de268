//! What `sign` writes.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tandem_issuer_core::{
    request::ValidRequest,
    signer::{KeyKind, LocalKey},
};
use x509_parser::{certificate::X509Certificate, pem::parse_x509_pem, prelude::FromDer};

use crate::support::{
    CA, NOW, ca_secret, certificate, condition, csr, extend, folder, issuer, items, request, request_of, run_with,
    sign, stderr, stdout, stream, text,
};

/// The first certificate of a PEM text in DER.
fn leaf(pem: &str) -> Vec<u8> {
    parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

/// The public key and the validity (seconds) of a certificate, once the CA's signature has been verified.
fn judged(pem: &str) -> (Vec<u8>, i64, i64) {
    let der = leaf(pem);
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let (_, ca) = X509Certificate::from_der(CA.der()).unwrap();
    leaf.verify_signature(Some(ca.public_key())).unwrap();
    let validity = leaf.validity();
    (leaf.public_key().raw.to_vec(), validity.not_before.timestamp(), validity.not_after.timestamp())
}

#[test]
fn a_request_is_written_with_the_status_that_the_controller_writes() {
    let pem = csr(&["db.shop.svc"]);
    let mut asked = request_of("db-1", &pem);
    extend(&mut asked["spec"], json!({"duration": "2h", "username": "jane", "groups": ["ops"], "extra": {"a": ["b"]}}));
    asked["metadata"]["labels"] = json!({"z": "1", "a": "2"});
    asked["status"] =
        json!({"conditions": [condition("Ready", "False", "Pending"), condition("Approved", "True", "")]});
    let [signed] = items(&sign(std::slice::from_ref(&asked), &["-o", "json"])).try_into().unwrap();

    for part in ["apiVersion", "kind", "metadata", "spec"] {
        assert_eq!(signed[part], asked[part], "{part}");
    }
    let status = &signed["status"];
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Issued",
        "message": "Certificate fetched from issuer successfully", "lastTransitionTime": NOW,
    });
    assert_eq!(status["conditions"], json!([condition("Approved", "True", ""), ready]));
    assert_eq!(text(&status["ca"]).replace('\r', ""), CA.as_ref().pem().replace('\r', ""));
    let (key, from, to) = judged(&text(&status["certificate"]));
    assert_eq!(key, ValidRequest::from_pem(pem.as_bytes()).unwrap().public_key);
    // A minute back, and for exactly as long as was asked for.
    let now = NOW.parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!((from, to), (now - 60, now - 60 + 7200));
}

#[test]
fn a_signing_request_of_kubernetes_is_written_with_its_certificate() {
    let asked = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "db"},
        "spec": {
            "request": ByteString(csr(&["db.shop.svc"]).into_bytes()), "expirationSeconds": 3600,
            "signerName": "tandemclusterissuers.pki.tandem.internal/internal-ca", "usages": ["server auth"],
        },
    });
    let [signed] = items(&sign(&[asked], &["-o", "json"])).try_into().unwrap();
    let (_, from, to) = judged(&text(&signed["status"]["certificate"]));
    assert_eq!(to - from, 3600);
    assert_eq!(signed["status"].as_object().unwrap().len(), 1);
}

/// The Secret that a Certificate becomes, its key, and its public key as certified.
fn obtain(certificate: Value, more: &[Value]) -> (Value, LocalKey) {
    let documents = [&[certificate], more].concat();
    let [secret] = items(&sign(&documents, &["-o", "json"])).try_into().unwrap();
    let key = LocalKey::from_pem(text(&secret["data"]["tls.key"]).as_bytes()).unwrap();
    assert_eq!(judged(&text(&secret["data"]["tls.crt"])).0, key.public_key_info().unwrap());
    (secret, key)
}

#[test]
fn keys_are_of_the_kind_and_encoding_that_is_asked_for() {
    let cases = [
        (json!({}), KeyKind::Rsa(2048), "RSA PRIVATE KEY"),
        (json!({"size": 3072, "encoding": "PKCS8"}), KeyKind::Rsa(3072), "PRIVATE KEY"),
        (json!({"algorithm": "ECDSA"}), KeyKind::Ecdsa(256), "EC PRIVATE KEY"),
        (json!({"algorithm": "ECDSA", "size": 384, "encoding": "PKCS8"}), KeyKind::Ecdsa(384), "PRIVATE KEY"),
        (json!({"algorithm": "ECDSA", "size": 521, "encoding": "PKCS1"}), KeyKind::Ecdsa(521), "EC PRIVATE KEY"),
        (json!({"algorithm": "Ed25519"}), KeyKind::Ed25519, "PRIVATE KEY"),
    ];
    for (asked, kind, label) in cases {
        let (secret, key) = obtain(certificate(json!({ "privateKey": asked })), &[]);
        assert_eq!(key.kind(), kind, "{asked}");
        let pem = text(&secret["data"]["tls.key"]);
        assert!(pem.starts_with(&format!("-----BEGIN {label}-----\n")), "{asked}");
        assert_eq!(secret["type"], "kubernetes.io/tls");
        assert_eq!(text(&secret["data"]["ca.crt"]), CA.as_ref().pem().replace('\r', ""));
    }
}

#[test]
fn a_key_is_kept_where_the_certificate_says_never_and_made_anew_where_it_says_always() {
    let asked = |policy: &str| {
        certificate(json!({"privateKey": {"algorithm": "ECDSA", "rotationPolicy": policy, "encoding": "PKCS8"}}))
    };
    let (first, _) = obtain(asked("Never"), &[]);
    let (kept, _) = obtain(asked("Never"), std::slice::from_ref(&first));
    assert_eq!(kept["data"]["tls.key"], first["data"]["tls.key"]);
    assert_ne!(kept["data"]["tls.crt"], first["data"]["tls.crt"]);
    let (renewed, _) = obtain(asked("Always"), std::slice::from_ref(&first));
    assert_ne!(renewed["data"]["tls.key"], first["data"]["tls.key"]);

    // A Secret in another namespace is another Secret.
    let mut elsewhere = first.clone();
    elsewhere["metadata"]["namespace"] = json!("other");
    let (new, _) = obtain(asked("Never"), &[elsewhere]);
    assert_ne!(new["data"]["tls.key"], first["data"]["tls.key"]);

    let rsa = certificate(json!({"privateKey": {"rotationPolicy": "Never"}}));
    let done = sign(&[rsa, first], &[]);
    assert_eq!((done.status.code(), stdout(&done).as_str()), (Some(2), ""));
    assert!(
        stderr(&done).contains("the Secret shop/db-tls has an ECDSA 256 key, but spec.privateKey asks for RSA 2048"),
        "{}",
        stderr(&done)
    );
}

#[test]
fn a_secret_is_marked_as_cert_manager_marks_it() {
    let asked = certificate(json!({
        "subject": {"organizations": ["Shop, Inc.", "Shop"], "serialNumber": "7"}, "commonName": "db",
        "ipAddresses": ["10.0.0.1", "::ffff:10.0.0.2"], "uris": ["spiffe://shop/db"], "emailAddresses": ["ops@shop.test"],
        "secretTemplate": {"labels": {"team": "db"}, "annotations": {"note": "mine"}},
        "additionalOutputFormats": [{"type": "DER"}, {"type": "CombinedPEM"}],
        "renewBefore": "240h", "revisionHistoryLimit": 3, "keystores": {"jks": {"create": false}},
    }));
    let (secret, key) = obtain(asked, &[]);
    let metadata = &secret["metadata"];
    assert_eq!((&metadata["name"], &metadata["namespace"]), (&json!("db-tls"), &json!("shop")));
    assert_eq!(metadata["labels"], json!({"controller.cert-manager.io/fao": "true", "team": "db"}));
    assert_eq!(
        metadata["annotations"],
        json!({
            "note": "mine",
            "cert-manager.io/alt-names": "db.shop.svc",
            "cert-manager.io/certificate-name": "db",
            "cert-manager.io/common-name": "db",
            "cert-manager.io/email-sans": "ops@shop.test",
            "cert-manager.io/ip-sans": "10.0.0.1,10.0.0.2",
            "cert-manager.io/issuer-group": "pki.tandem.internal",
            "cert-manager.io/issuer-kind": "TandemClusterIssuer",
            "cert-manager.io/issuer-name": "internal-ca",
            "cert-manager.io/subject-organizations": "Shop,\"Shop, Inc.\"",
            "cert-manager.io/subject-serialnumber": "7",
            "cert-manager.io/uri-sans": "spiffe://shop/db",
        })
    );
    let data = &secret["data"];
    assert_eq!(text(&data["tls-combined.pem"]), format!("{}\n{}", text(&data["tls.key"]), text(&data["tls.crt"])));
    let der: ByteString = serde_json::from_value(data["key.der"].clone()).unwrap();
    assert_eq!(LocalKey::from_der(&der.0).unwrap().public_key_info(), key.public_key_info());
}

#[test]
fn streams_lists_folders_and_standard_input_are_the_same() {
    let (a, b) = (request("a"), request("b"));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [a, b]});
    let folder = folder(&[
        ("in/1.yaml", issuer()),
        ("in/2.yml", format!("{a}\n---\n{b}\n")),
        ("in/readme.txt", "no manifest".to_owned()),
        ("in/deeper/3.yaml", "no manifest".to_owned()),
        ("list.json", list.to_string()),
        ("ca.yaml", ca_secret().to_string()),
    ]);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let names = |done| items(&done).iter().map(|item| item["metadata"]["name"].clone()).collect::<Vec<_>>();
    let expected = [json!("a"), json!("b")];
    assert_eq!(names(run_with("", &["sign", &path("in"), "-o", "json"])), expected);
    assert_eq!(names(run_with(issuer(), &["sign", "-", &path("list.json"), "-o", "json"])), expected);
    assert_eq!(names(sign(&[a, b], &["-o", "json"])), expected);
    let yaml = run_with("", &["sign", &path("in")]);
    assert_eq!(stdout(&yaml).matches("---\napiVersion: ").count(), 2);
}

#[test]
fn what_is_not_for_tandem_is_passed_over_and_told() {
    let mut other = request("other");
    other["spec"]["issuerRef"] = json!({"name": "internal-ca", "kind": "ClusterIssuer"});
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let done = sign(&[other, config, namespace, request("a")], &["-o", "json"]);
    assert_eq!(done.status.code(), Some(0));
    let list: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        stderr(&done),
        "tandem-issuer: standard input: document 4: passed over: the kind ConfigMap of v1 is not read\n\
         tandem-issuer: standard input: document 3, CertificateRequest shop/other: passed over: it does not refer to a \
         TandemIssuer or TandemClusterIssuer\n"
    );
}

/// As kubectl does.
#[test]
fn a_file_without_a_document_is_passed_over_in_a_folder_and_told() {
    let folder = folder(&[
        ("in/1.yaml", issuer()),
        ("in/2.yaml", "# later\n".to_owned()),
        ("in/3.yaml", request("a").to_string()),
        ("none/1.yaml", String::new()),
    ]);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let told = format!("tandem-issuer: {}: passed over: no document is in it\n", path("in/2.yaml"));
    for args in [&["sign"][..], &["explain", "--assume-approved"]] {
        let done = run_with("", &[args, &[&path("in")]].concat());
        assert_eq!((done.status.code(), stderr(&done)), (Some(0), told.clone()), "{args:?}");
        for (paths, empty) in
            [([path("in"), path("in/2.yaml")], "in/2.yaml"), ([path("none"), path("none")], "none/1.yaml")]
        {
            let done = run_with("", &[args, &paths.each_ref().map(String::as_str)].concat());
            let expected =
                format!("tandem-issuer: {}: no document is in it; write Kubernetes manifests\n", path(empty));
            assert_eq!(done.status.code(), Some(2), "{args:?}");
            assert!(stderr(&done).starts_with(&expected), "{}", stderr(&done));
        }
    }
}

#[test]
fn a_namespaced_issuer_serves_its_own_namespace_alone() {
    let mut secret = ca_secret();
    secret["metadata"].as_object_mut().unwrap().remove("namespace");
    let manifest = json!({
        "apiVersion": "pki.tandem.internal/v1alpha1", "kind": "TandemIssuer",
        "metadata": {"name": "internal-ca"}, "spec": {"ca": {"secretName": "internal-ca"}},
    });
    let mut asked = request("a");
    asked["spec"]["issuerRef"]["kind"] = json!("TandemIssuer");
    let input = format!("{manifest}\n---\n{secret}\n---\n{asked}\n");
    let done = |args: &[&str]| run_with(&input, &[&["sign", "-", "-o", "json"], args].concat());
    assert_eq!(items(&done(&["--namespace", "shop"])).len(), 1);
    let refused = done(&[]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        stderr(&refused),
        "tandem-issuer: standard input: document 3, CertificateRequest shop/a: TandemIssuer shop/internal-ca is not among \
         the input; add its manifest\n"
    );
}

/// Content and mode of each file.
fn state(folder: &Path) -> BTreeMap<String, (String, u32)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        (path.file_name().unwrap().to_str().unwrap().to_owned(), (fs::read_to_string(&path).unwrap(), mode))
    };
    fs::read_dir(folder).unwrap().map(entry).collect()
}

#[test]
fn files_are_for_their_owner_alone_and_all_there_or_none() {
    let folder = folder(&[("mine", "mine".to_owned())]);
    let to = ["--output-dir", folder.path().to_str().unwrap()];
    let mut denied = request("denied");
    denied["status"] = json!({"conditions": [condition("Denied", "True", "")]});
    let done = sign(&[request("a"), certificate(json!({})), denied], &to);
    assert_eq!(
        (done.status.code(), stderr(&done).as_str()),
        (
            Some(1),
            "tandem-issuer: standard input: document 5, CertificateRequest shop/denied: refused: The \
             CertificateRequest was denied by an approval controller\n"
        )
    );
    assert_eq!(state(folder.path()).into_keys().collect::<Vec<_>>(), ["mine"]);

    let mut plain = certificate(json!({"secretName": "plain"}));
    plain["metadata"] = json!({"name": "plain"});
    let done = sign(&[request("a"), certificate(json!({})), plain], &to);
    assert_eq!((done.status.code(), stdout(&done), stderr(&done)), (Some(0), String::new(), String::new()));
    let written = state(folder.path());
    let modes: Vec<_> = written.iter().map(|(name, (_, mode))| format!("{mode:o} {name}")).collect();
    assert_eq!(modes[..3], ["600 certificaterequest-shop_a.yaml", "644 mine", "600 secret-plain.yaml"], "{modes:?}");
    assert_eq!(modes[3..], ["600 secret-shop_db-tls.yaml"]);
    assert!(!written["secret-plain.yaml"].0.contains("namespace"), "a namespace was made up");

    // A file that cannot be replaced stops all the others.
    let before = state(folder.path());
    fs::create_dir(folder.path().join("certificaterequest-shop_b.yaml")).unwrap();
    let done = sign(&[request("a"), request("b")], &to);
    assert_eq!(done.status.code(), Some(2));
    assert!(stderr(&done).contains("certificaterequest-shop_b.yaml: is a directory"), "{}", stderr(&done));
    fs::remove_dir(folder.path().join("certificaterequest-shop_b.yaml")).unwrap();
    assert_eq!(state(folder.path()), before);
}

#[test]
fn a_private_key_that_is_there_is_replaced_only_where_that_is_asked_for() {
    let folder = folder(&[]);
    let at = |name: &str| folder.path().join(name);
    let to = ["--output-dir", folder.path().to_str().unwrap()];
    let replace = [&to[..], &["--replace"]].concat();
    let secret = |name: &str| -> Value { serde_yaml::from_str(&fs::read_to_string(at(name)).unwrap()).unwrap() };
    let key =
        |name: &str| LocalKey::from_pem(text(&secret(name)["data"]["tls.key"]).as_bytes()).unwrap().public_key_info();
    let certificate = |name: &str, more: Value| {
        let mut certificate = certificate(json!({ "secretName": name, "privateKey": more }));
        certificate["metadata"]["name"] = json!(name);
        certificate
    };
    let always = json!({"algorithm": "ECDSA"});
    let all = [request("a"), certificate("a", always.clone()), certificate("b", always)];
    let written = |documents: &[Value], args: &[&str]| {
        let done = sign(documents, args);
        assert_eq!((done.status.code(), stdout(&done), stderr(&done)), (Some(0), String::new(), String::new()));
    };
    written(&all, &to);

    // All are told, and nothing is written, what has no key neither.
    let before = state(folder.path());
    let refused = sign(&all, &to);
    let line = |name: &str| {
        format!(
            "tandem-issuer: {}: is there already and was not touched, for its private key may be in use; keep that key, with this file \
             among the input and spec.privateKey.rotationPolicy: Never in its Certificate, name another folder, or --replace it\n",
            at(name).display()
        )
    };
    let expected = line("secret-shop_a.yaml") + &line("secret-shop_b.yaml");
    assert_eq!((refused.status.code(), stdout(&refused), stderr(&refused)), (Some(2), String::new(), expected));
    assert_eq!(state(folder.path()), before);
    // Nor is it written beside it in another format.
    let beside = sign(&all, &[&to[..], &["-o", "json"]].concat());
    assert_eq!(
        (beside.status.code(), stderr(&beside)),
        (Some(2), line("secret-shop_a.yaml") + &line("secret-shop_b.yaml"))
    );
    assert_eq!(state(folder.path()), before);
    // A request's key is elsewhere.
    written(&all[..1], &to);
    assert_ne!(state(folder.path()), before);

    // The same key, however it is encoded, is the way of renewals.
    let first = key("secret-shop_a.yaml").unwrap();
    for encoding in ["PKCS1", "PKCS8"] {
        let never = json!({"algorithm": "ECDSA", "rotationPolicy": "Never", "encoding": encoding});
        let (before, never) = (secret("secret-shop_a.yaml"), certificate("a", never));
        let forgotten = sign(std::slice::from_ref(&never), &to);
        assert_eq!((forgotten.status.code(), stderr(&forgotten)), (Some(2), line("secret-shop_a.yaml")));
        written(&[never, before.clone()], &to);
        assert_eq!(key("secret-shop_a.yaml").unwrap(), first);
        assert_ne!(secret("secret-shop_a.yaml")["data"]["tls.crt"], before["data"]["tls.crt"]);
    }
    written(&all, &replace);
    assert_ne!(key("secret-shop_a.yaml").unwrap(), first);
    // What cannot be read may be a key as well.
    for unread in ["", "data: [", "apiVersion: v1\nkind: Secret\ndata: {tls.key: eA==}\n"] {
        fs::write(at("secret-shop_b.yaml"), unread).unwrap();
        assert_eq!(stderr(&sign(&all[2..], &to)), line("secret-shop_b.yaml"), "{unread}");
        assert_eq!(fs::read_to_string(at("secret-shop_b.yaml")).unwrap(), unread);
    }
    written(&all[2..], &replace);
}

/// Neither takes away the key that the other has just written.
#[test]
fn of_two_at_once_one_has_the_key() {
    let folder = folder(&[]);
    let all = [certificate(json!({}))];
    for turn in 0..5 {
        let to = folder.path().join(turn.to_string());
        let run = || sign(&all, &["--output-dir", to.to_str().unwrap()]).status.code();
        let mut codes = std::thread::scope(|scope| [scope.spawn(run), scope.spawn(run)].map(|run| run.join().unwrap()));
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(2)]);
    }
}

/// Fact 3: offline as well.
#[test]
fn what_is_final_is_never_signed_again() {
    for reason in ["Issued", "Failed", "Denied"] {
        let mut done = request("a");
        done["status"] = json!({"conditions": [condition("Ready", "False", reason)]});
        let refused = sign(&[done], &[]);
        assert_eq!(refused.status.code(), Some(1), "{reason}");
        assert!(stderr(&refused).contains("that is final"), "{}", stderr(&refused));
    }
}

#[test]
fn serial_numbers_differ_also_at_the_same_time() {
    let asked = request("a");
    let serial = || {
        let [signed] = items(&sign(std::slice::from_ref(&asked), &["-o", "json"])).try_into().unwrap();
        let der = leaf(&text(&signed["status"]["certificate"]));
        X509Certificate::from_der(&der).unwrap().1.raw_serial().to_vec()
    };
    assert_ne!(serial(), serial());
}

#[test]
fn a_thousand_requests_are_signed_at_once() {
    let pem = csr(&["db.shop.svc"]);
    let all: Vec<_> = (0..1000).map(|index| request_of(&format!("r-{index}"), &pem)).collect();
    let done = run_with(stream(&all), &["sign", "-", "-o", "json"]);
    assert_eq!(items(&done).len(), 1000);
}
