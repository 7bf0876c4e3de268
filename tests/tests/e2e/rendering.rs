//! What tandem-vm renders: taken by a real API server and by cloud-init; and both sides of the Secret trust each other.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use kube::api::{DynamicObject, Patch, PatchParams};
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde::Deserialize;
use serde_json::{Value, json};
use tandem_tests::{
    Space,
    certificates::root_ca,
    cluster::{CERTIFICATE, CLUSTER_ISSUER, is_ready},
    issuer,
    sharing::{
        disk,
        guest::Guest,
        mongod::Mongod,
        pod::{Pod, connect_without_tls},
        rendered::{self, Secrets},
    },
    tools::{self, root},
};

use crate::environment::space;

/// Every DatabaseVM among the examples, with its place.
fn examples() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root().join("examples"))? {
        for entry in std::fs::read_dir(folder?.path())? {
            let path = entry?.path();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if text.contains("\nkind: DatabaseVM\n") {
                found.push((path.display().to_string(), text));
            }
        }
    }
    found.sort();
    ensure!(found.len() >= 7, "the examples are gone");
    Ok(found)
}

/// The document's objects in a namespace of the test's own, with the issuer of that name.
fn render(document: &str, folder: &Path, space: &Space) -> Result<String> {
    let file = folder.join("databasevm.yaml");
    let mut document: serde_yaml::Value = serde_yaml::from_str(document)?;
    document["metadata"]["namespace"] = space.name.clone().into();
    document["spec"]["certificate"]["issuerRef"]["name"] = space.name.clone().into();
    std::fs::write(&file, serde_yaml::to_string(&document)?)?;
    tools::output(Command::new(tools::program("tandem-vm")?).arg("render").arg(file))
}

/// Makes a TandemClusterIssuer with the namespace's name, and waits until it is ready.
async fn make_cluster_issuer(space: &Space) -> Result<()> {
    let home = Space { cluster: space.cluster.clone(), name: issuer::NAMESPACE.to_owned() };
    let ca = root_ca(&space.name, &PKCS_ECDSA_P256_SHA256)?;
    home.put_tls(&space.name, &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
    let object = json!({
        "apiVersion": CLUSTER_ISSUER.0,
        "kind": CLUSTER_ISSUER.1,
        "metadata": {"name": space.name},
        "spec": {"ca": {"secretName": space.name}},
    });
    space.apply(&object.to_string()).await?;
    space.cluster.wait(CLUSTER_ISSUER, "", &space.name, |object| is_ready(object, "True", "")).await?;
    Ok(())
}

struct Applied {
    objects: Vec<DynamicObject>,
    secrets: Secrets,
}

/// Renders and applies with strict field validation; waits for the Certificates.
async fn applied(document: &str, folder: &Path) -> Result<Applied> {
    let space = space("render").await?;
    make_cluster_issuer(&space).await?;
    space.cluster.apply_crds(&root().join("tests/data/kubevirt-crd.yaml")).await?;
    let objects = space.apply(&render(document, folder, &space)?).await?;
    let is_certificate =
        |object: &&DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == "Certificate");
    for certificate in objects.iter().filter(is_certificate) {
        space.wait_ready(CERTIFICATE, certificate.metadata.name.as_deref().unwrap_or_default()).await?;
    }
    let secrets = rendered::secrets(&space.cluster, &space.name).await?;
    Ok(Applied { objects, secrets })
}

/// The Secret that cert-manager has made.
fn shared(applied: &Applied) -> Result<&BTreeMap<String, Vec<u8>>> {
    let certificate = rendered::find(&applied.objects, "Certificate")?;
    let name = certificate.data["spec"]["secretName"].as_str().unwrap_or_default();
    applied.secrets.get(name).context("the Certificate's Secret is not there")
}

#[tokio::test]
async fn both_sides_of_the_secret_trust_each_other() -> Result<()> {
    for (example, document) in examples()?.into_iter().filter(|(_, document)| document.contains("    mongodb:\n")) {
        let folder = tempfile::tempdir()?;
        let place = |name: &str| folder.path().join(name);
        let applied = applied(&document, folder.path()).await.context(example)?;
        disk::lay_out(shared(&applied)?, &place("mounted"))?;
        disk::make_iso(&place("mounted"), &place("secret.iso"))?;
        disk::unpack(&place("secret.iso"), &place("disk"))?;
        // As KubeVirt makes it: each key at the root, behind ..data, and in the folder with the time.
        let copies = tools::output(Command::new("find").arg(place("disk")).args(["-name", "tls.key"]))?;
        ensure!(copies.lines().count() == 3, "the ISO is not as KubeVirt's:\n{copies}");

        std::fs::create_dir(place("guest"))?;
        let vm = rendered::find(&applied.objects, "VirtualMachine")?;
        let guest = Guest::new(&rendered::user_data(vm, &applied.secrets)?, &place("guest"))?;
        guest.install_certificate(&place("disk"))?;
        let again = guest.install_certificate(&place("disk"))?;
        ensure!(again.contains("unchanged"), "twice is not once: {again}");

        let server = Mongod::start(&guest)?;
        let deployment = rendered::deployment(&applied.objects)?;
        let pod = Pod::new(&deployment, &applied.secrets, &place("pod"))?;
        let chain = pod.connect(server.address())?;
        let certificate = shared(&applied)?.get("tls.crt").context("no tls.crt")?;
        let first = pem::parse(certificate)?;
        ensure!(chain.first().is_some_and(|leaf| leaf.as_ref() == first.contents()), "not the Secret's certificate");

        // The certificate has each name of the connection string, and the client finds the files that it names.
        let uri = pod.variable("MONGODB_URI")?;
        let (hosts, options) = uri.trim_start_matches("mongodb://").split_once("/?").context("no options")?;
        for host in hosts.split(',') {
            pod.connect_as(server.address(), host.trim_end_matches(":27017"), None).with_context(|| host.to_owned())?;
        }
        let seen = pod.files()?;
        for file in options.split('&').filter_map(|option| option.split_once('=')?.1.strip_prefix('/')) {
            ensure!(seen.contains(&format!("/{file}")), "{uri} names /{file}, and there are {seen:?}");
        }

        let host = pod.variable("MONGODB_HOST")?;
        std::fs::write(place("stranger.crt"), root_ca("A stranger", &PKCS_ECDSA_P256_SHA256)?.as_ref().pem())?;
        let stranger = pod.connect_as(server.address(), host, Some(&place("stranger.crt")));
        ensure!(stranger.is_err_and(|e| e.to_string().contains("UnknownIssuer")), "trusted by a stranger's CA");
        let wrong_name = pod.connect_as(server.address(), "db.example.com", None);
        ensure!(wrong_name.is_err_and(|e| e.to_string().contains("not valid for name")), "any name will do");
        ensure!(connect_without_tls(server.address()).is_err(), "served without TLS");
    }
    Ok(())
}

/// Whoever has it is known for a client, and for no member of the set.
#[tokio::test]
async fn a_clients_own_certificate_is_none_of_the_members() -> Result<()> {
    let document = std::fs::read_to_string(root().join("examples/mongodb-replica-set/databasevm.yaml"))?;
    let folder = tempfile::tempdir()?;
    let applied = applied(&document, folder.path()).await?;
    let own = applied.secrets.get("mongodb-app-tls").context("the client has no Secret")?;
    let read = |secret: &BTreeMap<String, Vec<u8>>| -> Result<_> {
        let file = folder.path().join("tls.crt");
        std::fs::write(&file, secret.get("tls.crt").context("no tls.crt")?)?;
        let ask = ["-noout", "-subject", "-nameopt", "RFC2253", "-ext", "extendedKeyUsage"];
        tools::output(Command::new("openssl").args(["x509", "-in"]).arg(file).args(ask))
    };
    let [member, client] = [read(shared(&applied)?)?, read(own)?];
    let namespace = applied.objects[0].metadata.namespace.as_deref().unwrap_or_default();
    ensure!(member.contains(&format!("OU=mongodb,O={namespace}")), "{member}");
    ensure!(member.contains("TLS Web Server Authentication, TLS Web Client Authentication"), "{member}");
    ensure!(client.contains(&format!("subject=CN=mongodb-app,O={namespace}\n")), "{client}");
    ensure!(client.contains("TLS Web Client Authentication") && !client.contains("Server"), "{client}");
    // What MongoDB's drivers want in one file.
    let combined = own.get("tls-combined.pem").context("no tls-combined.pem")?;
    for key in ["tls.key", "tls.crt"] {
        let part = own.get(key).with_context(|| key.to_owned())?.trim_ascii();
        ensure!(combined.windows(part.len()).any(|window| window == part), "{key} is not in tls-combined.pem");
    }
    Ok(())
}

/// Another key in its place would split a running replica set.
#[tokio::test]
async fn a_key_file_in_the_cluster_is_not_replaced() -> Result<()> {
    let space = space("keyfile").await?;
    let secret = || {
        let mut command = Command::new(tools::program("tandem-vm")?);
        tools::output(command.args(["keyfile", "--secret", "mongodb-keyfile", "--namespace", &space.name]))
    };
    space.apply(&secret()?).await?;
    let first = rendered::secrets(&space.cluster, &space.name).await?;
    let refused = space.apply(&secret()?).await;
    ensure!(refused.is_err_and(|error| format!("{error:#}").contains("immutable")), "it was replaced");
    ensure!(rendered::secrets(&space.cluster, &space.name).await? == first, "it changed");
    Ok(())
}

/// The API server takes every object of every example with strict field validation, cert-manager and we make the Secret,
/// and cloud-init knows every key of the user data as it comes out of the cluster.
#[tokio::test]
async fn every_example_is_taken_as_it_stands() -> Result<()> {
    let cloud_init = tools::available("cloud-init")?;
    for (example, document) in examples()? {
        let folder = tempfile::tempdir()?;
        let applied = applied(&document, folder.path()).await.with_context(|| example.clone())?;
        let secret = shared(&applied)?;
        for key in ["tls.crt", "tls.key", "ca.crt"] {
            ensure!(secret.get(key).is_some_and(|value| !value.is_empty()), "{example}: the Secret has no {key}");
        }
        for vm in rendered::all(&applied.objects, "VirtualMachine") {
            let file = folder.path().join("user-data");
            std::fs::write(&file, rendered::user_data(vm, &applied.secrets)?)?;
            if cloud_init {
                let told = tools::output(Command::new("cloud-init").args(["schema", "--config-file"]).arg(&file))?;
                ensure!(told.contains("Valid"), "{example}: {told}");
            }
        }
    }
    Ok(())
}

/// Each database and delivery, as arguments of `inject`.
const INJECTIONS: [&[&str]; 4] = [
    &[],
    &["--database", "mongodb", "--os", "debian"],
    &["--database", "postgresql", "--os", "rhel", "--delivery", "filesystem"],
    &["--database", "redis", "--os", "debian"],
];

/// The objects of a stream, those of Lists alone, as kubectl reads them.
fn objects(stream: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for document in serde_yaml::Deserializer::from_str(stream) {
        let mut document = serde_yaml::Value::deserialize(document)?;
        document.apply_merge()?;
        let document = serde_json::to_value(document)?;
        match document["items"].as_array() {
            Some(items) => all.extend(items.iter().cloned()),
            None => all.extend(Some(document).filter(|document| !document.is_null())),
        }
    }
    Ok(all)
}

/// What the API server says of an object in this namespace, which it does not keep.
async fn try_strictly(space: &Space, mut object: Value) -> Result<()> {
    let metadata = object["metadata"].as_object_mut().context("no metadata")?;
    // Some of the manifests come out of a cluster, or ask for a name to be made.
    metadata.retain(|key, _| !["resourceVersion", "uid", "namespace"].contains(&key.as_str()));
    if let Some(start) = metadata.remove("generateName") {
        metadata.insert("name".to_owned(), format!("{}0", start.as_str().unwrap_or_default()).into());
    }
    let kind = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let (version, kind, name) = (kind("apiVersion"), kind("kind"), object["metadata"]["name"].clone());
    let params = PatchParams { dry_run: true, ..PatchParams::apply("tandem-tests").validation_strict() };
    let name = name.as_str().context("no name")?;
    space
        .api((&version, &kind))?
        .patch(name, &params, &Patch::Apply(&object))
        .await
        .context(format!("{kind} {name}"))?;
    Ok(())
}

/// The API server takes whatever `inject` gives of every manifest of its tests, by a dry run with strict field validation.
#[tokio::test]
async fn every_injected_manifest_is_taken_as_it_stands() -> Result<()> {
    let space = space("inject").await?;
    space.cluster.apply_crds(&root().join("tests/data/kubevirt-crd.yaml")).await?;
    let folder = tempfile::tempdir()?;
    let mut machines = 0;
    for entry in std::fs::read_dir(root().join("vm-tools/tests/vm/manifests"))? {
        let manifest = entry?.path();
        let before = std::fs::read_to_string(&manifest)?;
        for arguments in INJECTIONS {
            let file = folder.path().join("vm.yaml");
            std::fs::write(&file, &before)?;
            for object in objects(&before)? {
                let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
                if text("/kind").is_some_and(|kind| kind.starts_with("VirtualMachine")) {
                    let name = text("/metadata/name").or(text("/metadata/generateName")).context("no name")?;
                    let name = text("/metadata/namespace").map_or(name.to_owned(), |space| format!("{space}/{name}"));
                    let inject = ["inject", "--in-place", "--secret", "shop-tls", "--vm", &name];
                    let mut command = Command::new(tools::program("tandem-vm")?);
                    tools::run(command.args(inject).args(arguments).arg(&file))?;
                    machines += 1;
                }
            }
            let after = std::fs::read_to_string(&file)?;
            ensure!(after != before, "{} has no machine", manifest.display());
            for object in objects(&after)? {
                let taken = try_strictly(&space, object).await;
                taken.with_context(|| format!("{} {arguments:?}", manifest.display()))?;
            }
        }
    }
    ensure!(machines >= 60, "{machines} injections");
    Ok(())
}

/// What `inject` lets through is what the API server takes of a Secret, to the byte.
#[tokio::test]
async fn as_much_user_data_is_injected_into_as_the_api_server_takes() -> Result<()> {
    let space = space("inject-size").await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("vm.yaml");
    let vm = std::fs::read_to_string(root().join("vm-tools/tests/vm/manifests/none.yaml"))?.replace("status: {}\n", "");
    let inject = |long: usize| {
        let user_data = format!("#cloud-config\n    # x{}\n    hostname: bare", "x".repeat(long));
        let volume = "      - name: init\n        cloudInitNoCloud:\n          secretRef: {name: init}\n";
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: init\nstringData:\n  userdata: |\n    {user_data}\n"
        );
        std::fs::write(&file, format!("{secret}---\n{vm}{volume}"))?;
        let arguments = ["inject", "--in-place", "--secret", "shop-tls"];
        let done = tools::run(Command::new(tools::program("tandem-vm")?).args(arguments).arg(&file));
        done.map(|_| ())
    };
    let secret = || -> Result<Value> {
        let all = objects(&std::fs::read_to_string(&file)?)?;
        all.into_iter().find(|object| object["kind"] == "Secret").context("no Secret")
    };
    let size = |secret: &Value| secret["stringData"]["userdata"].as_str().map_or(0, str::len);
    inject(0)?;
    let room = 1_048_576 - size(&secret()?);
    inject(room)?;
    let mut most = secret()?;
    ensure!(size(&most) == 1_048_576, "{} bytes", size(&most));
    try_strictly(&space, most.clone()).await?;
    let refused = inject(room + 1).err().context("one byte more is injected")?;
    ensure!(format!("{refused:#}").contains("1048577 bytes"), "{refused:#}");
    most["stringData"]["userdata"] = format!("{}#", most["stringData"]["userdata"].as_str().unwrap_or_default()).into();
    let refused = try_strictly(&space, most).await.err().context("the API server takes one byte more")?;
    ensure!(format!("{refused:#}").contains("1048576"), "{refused:#}");
    Ok(())
}
