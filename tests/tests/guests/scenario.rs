//! What the scenarios share: one control plane with an issuer; and for each a namespace, a folder and a runtime.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use anyhow::{Context, Result, anyhow, ensure};
use kube::api::DynamicObject;
use rcgen::PKCS_ECDSA_P256_SHA256;
use serde_json::{Value, json};
use tandem_tests::{
    ControlPlane, IssuerProcess, Space,
    certificates::root_ca,
    cluster::{CERTIFICATE, CLUSTER_ISSUER, is_ready},
    guests::{self, Extras, Machine, Parts, clients::first_certificate},
    issuer,
    sharing::rendered::{self, Secrets},
    tools::{self, root},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The name of every scenario's TandemClusterIssuer, and of its CA's Secret.
const ISSUER: &str = "internal-ca";

/// A document of `examples`, with some of its lines changed: a guest here has no network, and no registry has mongod.
pub(crate) fn example(path: &str, changes: &[(&str, &str)]) -> Result<String> {
    let mut document = std::fs::read_to_string(root().join("examples").join(path))?;
    for (theirs, ours) in changes {
        ensure!(document.contains(theirs), "{path} has no {theirs}");
        document = document.replace(theirs, ours);
    }
    Ok(document)
}

/// Gives a VirtualMachine entries of another one's lists, each by its list and name: what its guest needs to take the other
/// one's user data later. They are called `lent-…`.
pub(crate) fn lend(from: &DynamicObject, to: &mut DynamicObject, entries: &[(&str, &str)]) -> Result<()> {
    for (list, name) in entries {
        let path = format!("/spec/template/spec/{list}");
        let theirs = from.data.pointer(&path).and_then(Value::as_array).with_context(|| format!("no {list}"))?;
        let found = theirs.iter().find(|entry| entry["name"] == *name);
        let mut entry = found.with_context(|| format!("{list} has no {name}"))?.clone();
        entry["name"] = json!(format!("lent-{name}"));
        let own = to.data.pointer_mut(&path).and_then(Value::as_array_mut);
        own.with_context(|| format!("no {list}"))?.push(entry);
    }
    Ok(())
}

/// A guest that has booted, and what those who connect to it have.
pub(crate) struct Guest {
    pub(crate) machine: Machine,
    pub(crate) vm: DynamicObject,
    /// Those that it was started with.
    pub(crate) secrets: Secrets,
    /// The authority in its Secret.
    pub(crate) ca: PathBuf,
}

/// A namespace with what was rendered, on a control plane where it is signed.
pub(crate) struct Scenario {
    pub(crate) parts: Parts,
    pub(crate) space: Space,
    /// For disks and files; gone with the scenario.
    pub(crate) home: TempDir,
    runtime: Runtime,
}

/// The control plane and the issuer that all scenarios share.
fn shared() -> Result<&'static (ControlPlane, IssuerProcess)> {
    static SHARED: LazyLock<Result<(ControlPlane, IssuerProcess), String>> = LazyLock::new(|| {
        let start = async {
            let control_plane = ControlPlane::start()?;
            let cluster = control_plane.cluster().await?;
            issuer::install(&cluster).await?;
            cluster.apply_crds(&root().join("tests/data/kubevirt-crd.yaml")).await?;
            let issuer = IssuerProcess::of(&control_plane).start().await?;
            let home = Space { cluster: cluster.clone(), name: issuer::NAMESPACE.to_owned() };
            let ca = root_ca("Internal CA of the guests", &PKCS_ECDSA_P256_SHA256)?;
            home.put_tls(ISSUER, &ca.as_ref().pem(), &ca.key().serialize_pem(), None).await?;
            let object = json!({
                "apiVersion": CLUSTER_ISSUER.0, "kind": CLUSTER_ISSUER.1, "metadata": {"name": ISSUER},
                "spec": {"ca": {"secretName": ISSUER}},
            });
            home.apply(&object.to_string()).await?;
            cluster.wait(CLUSTER_ISSUER, "", ISSUER, |object| is_ready(object, "True", "")).await?;
            Ok((control_plane, issuer))
        };
        Runtime::new()
            .map_err(anyhow::Error::from)
            .and_then(|runtime| runtime.block_on(start))
            .map_err(|e| format!("{e:#}"))
    });
    SHARED.as_ref().map_err(|error| anyhow!("starting the control plane: {error}"))
}

impl Scenario {
    /// A new one; None where QEMU is not there and not required.
    pub(crate) fn new(purpose: &str) -> Result<Option<Self>> {
        let Some(parts) = guests::parts()? else { return Ok(None) };
        let (control_plane, _) = shared()?;
        let runtime = Runtime::new()?;
        let space = runtime.block_on(async { control_plane.cluster().await?.space(purpose).await })?;
        Ok(Some(Self { parts, space, home: tempfile::tempdir()?, runtime }))
    }

    /// Renders a document, with this namespace in place of its own, applies it with strict validation, and waits for its Certificates.
    pub(crate) fn render(&self, document: &str, namespace: &str) -> Result<Vec<DynamicObject>> {
        let file = self.home.path().join("databasevm.yaml");
        std::fs::write(
            &file,
            document.replace(&format!("namespace: {namespace}\n"), &format!("namespace: {}\n", self.space.name)),
        )?;
        let rendered = tools::output(Command::new(tools::program("tandem-vm")?).arg("render").arg(file))?;
        self.apply(&rendered)
    }

    /// Applies objects in this namespace, and waits for the Certificates among them.
    pub(crate) fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        self.runtime.block_on(async {
            let objects = self.space.apply(yaml).await?;
            for object in &objects {
                if object.types.as_ref().is_some_and(|types| types.kind == CERTIFICATE.1) {
                    let name = object.metadata.name.as_deref().unwrap_or_default();
                    self.space.wait_ready(CERTIFICATE, name).await?;
                }
            }
            Ok(objects)
        })
    }

    /// Boots a VirtualMachine, which has its certificate from `secret`.
    pub(crate) fn boot(&self, vm: DynamicObject, secret: &str, extras: Extras<'_>) -> Result<Guest> {
        let secrets = self.secrets()?;
        let mut machine = Machine::start(&self.parts, &vm, &secrets, self.home(), extras)?;
        machine.wait_booted()?;
        let ca = self.file("ca.crt", &[entry(&secrets, secret, "ca.crt")?])?;
        Ok(Guest { machine, vm, secrets, ca })
    }

    /// An authority that is nobody's here.
    pub(crate) fn strange_ca(&self) -> Result<PathBuf> {
        let stranger = root_ca("A stranger", &PKCS_ECDSA_P256_SHA256)?.as_ref().pem();
        self.file("stranger.crt", &[stranger.as_bytes()])
    }

    /// A client's certificate and key of a Secret, in one file.
    pub(crate) fn client_certificate(&self, secrets: &Secrets, secret: &str) -> Result<PathBuf> {
        self.file("app.pem", &[entry(secrets, secret, "tls.key")?, entry(secrets, secret, "tls.crt")?])
    }

    /// All Secrets as they are now.
    pub(crate) fn secrets(&self) -> Result<Secrets> {
        self.runtime.block_on(rendered::secrets(&self.space.cluster, &self.space.name))
    }

    /// Has cert-manager issue a Certificate anew, and waits for it.
    pub(crate) fn renew(&self, certificate: &str) -> Result<()> {
        self.runtime.block_on(self.space.renew(certificate))
    }

    /// Writes a file for a client, with these contents one after the other.
    pub(crate) fn file(&self, name: &str, contents: &[&[u8]]) -> Result<PathBuf> {
        let path = self.home.path().join(name);
        std::fs::write(&path, contents.concat())?;
        Ok(path)
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }
}

/// An entry of a Secret.
pub(crate) fn entry<'a>(secrets: &'a Secrets, secret: &str, key: &str) -> Result<&'a [u8]> {
    let found = secrets.get(secret).and_then(|secret| secret.get(key));
    Ok(found.with_context(|| format!("the Secret {secret} has no {key}"))?)
}

/// The leaf certificate of a Secret, in PEM.
pub(crate) fn leaf(secrets: &Secrets, secret: &str) -> Result<String> {
    first_certificate(std::str::from_utf8(entry(secrets, secret, "tls.crt")?)?)
}
