//! The container image, run as a cluster runs it: by its user, on a root that nobody can write to, with what the kubelet
//! gives to a pod and nothing else.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use pem::Pem;
use rcgen::PKCS_ECDSA_P384_SHA384;
use rustix::process::{Pid, Signal, getuid, kill_process};
use serde_json::{Value, json};
use tandem_tests::{
    ControlPlane,
    certificates::{OpenSsl, root_ca},
    issuer,
    process::Process,
    tools::{available, image, output, root, run, target},
};
use tempfile::TempDir;

use crate::{
    environment::with_issuer,
    requests::{ask_plainly, issued},
};

/// Where the kubelet puts a pod's ServiceAccount.
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// An architecture that images are built for.
pub(crate) struct Architecture {
    /// As images call it.
    pub(crate) name: &'static str,
    /// As Rust calls it.
    pub(crate) triple: &'static str,
    /// As readelf calls it.
    machine: &'static str,
    /// What runs its programs here, if the machine itself does not.
    emulator: Option<&'static str>,
}

pub(crate) const AMD64: Architecture = Architecture {
    name: "amd64",
    triple: "x86_64-unknown-linux-musl",
    machine: "Advanced Micro Devices X86-64",
    emulator: None,
};
const ARM64: Architecture = Architecture {
    name: "arm64",
    triple: "aarch64-unknown-linux-musl",
    machine: "AArch64",
    emulator: Some("qemu-aarch64-static"),
};

impl Architecture {
    /// Those that are built for, as the Makefile has it: the `ARCHES` of the environment, or what can be built and run here.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let arm64 = match env::var("ARCHES") {
            Ok(asked) => asked.split_whitespace().any(|name| name == ARM64.name),
            Err(_) => available("aarch64-linux-gnu-gcc")? && available("qemu-aarch64-static")?,
        };
        Ok([Some(AMD64), arm64.then_some(ARM64)].into_iter().flatten().collect())
    }

    /// A static program, as `release/binaries.sh` leaves it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        target().join(self.triple).join("release").join(name)
    }

    /// A command that runs a program of it.
    fn command(&self, program: &Path) -> Command {
        self.emulator.map_or_else(
            || Command::new(program),
            |emulator| {
                let mut command = Command::new(emulator);
                command.arg(program);
                command
            },
        )
    }

    /// For this machine, without a program that the kernel would have to load for it, and without a library.
    fn ensure_static(&self, program: &Path) -> Result<()> {
        let mut readelf = Command::new("readelf");
        let headers = output(readelf.args(["--wide", "--file-header", "--program-headers", "--dynamic"]).arg(program))?;
        ensure!(headers.contains(self.machine), "{}: not for {}:\n{headers}", program.display(), self.name);
        for needed in ["INTERP", "NEEDED"] {
            ensure!(!headers.contains(needed), "{}: {needed} in\n{headers}", program.display());
        }
        Ok(())
    }
}

/// Whether images can be built and run here.
pub(crate) fn possible() -> Result<bool> {
    Ok(available("buildah")? && available("musl-gcc")? && available("bwrap")? && available("setpriv")?)
}

/// The image for one architecture, unpacked.
struct Image {
    folder: TempDir,
    /// The OCI configuration, under the names of the image specification.
    config: Value,
}

impl Image {
    fn unpack(archive: &Path, architecture: &Architecture) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The image's user has to get there.
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
        let layout = folder.path().join("layout");
        fs::create_dir(&layout)?;
        run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&layout))?;
        let blob = |descriptor: &Value| -> Result<PathBuf> {
            let digest = descriptor["digest"].as_str().context("a descriptor without a digest")?;
            Ok(layout.join("blobs").join(digest.replace(':', "/")))
        };
        let read = |path: PathBuf| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
        let index = read(blob(&read(layout.join("index.json"))?["manifests"][0])?)?;
        let wanted = |manifest: &&Value| manifest["platform"]["architecture"] == architecture.name;
        let manifests = index["manifests"].as_array().context("no index")?;
        let manifest = manifests.iter().find(wanted).with_context(|| format!("no image for {}", architecture.name))?;
        let manifest = read(blob(manifest)?)?;
        let config = read(blob(&manifest["config"])?)?["config"].clone();
        let layers = manifest["layers"].as_array().context("no layers")?;
        ensure!(layers.len() == 1, "{} layers", layers.len());
        fs::copy(blob(&layers[0])?, folder.path().join("layer.tar.gz"))?;
        let rootfs = folder.path().join("root");
        fs::create_dir_all(rootfs.join(ACCOUNT))?;
        run(Command::new("tar").arg("-xzf").arg(folder.path().join("layer.tar.gz")).arg("-C").arg(&rootfs))?;
        Ok(Self { folder, config })
    }

    /// What is in it: mode, owner, size and name of each entry.
    fn content(&self) -> Result<Vec<String>> {
        let mut list = Command::new("tar");
        list.args(["--numeric-owner", "-tvzf"]).arg(self.folder.path().join("layer.tar.gz"));
        let columns = |line: &str| {
            let columns: Vec<_> = line.split_whitespace().collect();
            [&columns[..2], &columns[columns.len() - 1..]].concat().join(" ")
        };
        Ok(output(&mut list)?.lines().map(columns).collect())
    }

    /// A command in a container of it, as the image says: its user, no capability, process 1, a root that is read-only, no
    /// /proc, no /dev. `arguments` come after the entrypoint in place of the image's own; `account` lies where the kubelet
    /// puts it.
    fn command(&self, arguments: &[&str], variables: &[(&str, &str)], account: Option<&Path>) -> Result<Command> {
        let user = self.config["User"].as_str().context("no user")?;
        let (user, group) = user.split_once(':').context("a user without a group")?;
        let mut command = Command::new("bwrap");
        if getuid().is_root() {
            command = Command::new("setpriv");
            command.args(["--reuid", user, "--regid", group, "--clear-groups", "--", "bwrap"]);
        }
        command.arg("--ro-bind").arg(self.folder.path().join("root")).arg("/");
        if let Some(account) = account {
            command.arg("--ro-bind").arg(account).arg(Path::new("/").join(ACCOUNT));
        }
        command.args(["--unshare-user", "--uid", user, "--gid", group, "--unshare-pid", "--as-pid-1"]);
        command.args(["--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL", "--die-with-parent", "--clearenv"]);
        for (name, value) in variables {
            command.args(["--setenv", name, value]);
        }
        let words = |field: &str| -> Result<Vec<String>> { Ok(serde_json::from_value(self.config[field].clone())?) };
        command.arg("--").args(words("Entrypoint")?);
        if arguments.is_empty() {
            command.args(words("Cmd")?);
        }
        command.args(arguments);
        Ok(command)
    }
}

/// The guides' own commands, to a folder in place of a registry: every architecture gets there, under the digest that it has here.
#[test]
fn the_image_is_pushed_as_the_guides_say() -> Result<()> {
    if !possible()? || !available("skopeo")? {
        return Ok(());
    }
    let (archive, folder) = (image()?, tempfile::tempdir()?);
    for guide in ["install.md", "release.md"] {
        let text = fs::read_to_string(root().join("docs").join(guide))?;
        let pushed = folder.path().join(guide);
        let follow = |command: &str| {
            let registry = command.split(' ').find(|word| word.starts_with("docker://")).unwrap_or("docker://");
            let command = command.replace(registry, &format!("dir:{}", pushed.display()));
            let command = command.replace("target/image/tandem-issuer.oci.tar", &archive.display().to_string());
            output(Command::new("sh").args(["-c", &command]))
        };
        follow(text.lines().find(|line| line.starts_with("skopeo copy ")).context("no skopeo copy")?)?;
        let digests = text.lines().filter(|line| line.starts_with("skopeo inspect "));
        let digests = digests.map(follow).collect::<Result<Vec<_>>>()?;
        let compared = guide == "install.md" || digests.len() == 2 && digests[0] == digests[1];
        ensure!(compared, "{guide}: the digests are {digests:?}");
        let index: Value = serde_json::from_slice(&fs::read(pushed.join("manifest.json"))?)?;
        let manifests = index["manifests"].as_array().context("not all architectures")?.len();
        ensure!(manifests == Architecture::all()?.len(), "{guide}: {index}");
    }
    Ok(())
}

#[test]
fn the_image_holds_one_static_program_and_says_what_it_is() -> Result<()> {
    if !possible()? {
        return Ok(());
    }
    let archive = image()?;
    for architecture in Architecture::all()? {
        let image = Image::unpack(&archive, &architecture)?;
        ensure!(image.content()? == ["-rwxr-xr-x 0/0 tandem-issuer"], "{:?}", image.content()?);
        let issuer = image.folder.path().join("root/tandem-issuer");
        let vm = architecture.program("tandem-vm");
        architecture.ensure_static(&issuer)?;
        architecture.ensure_static(&vm)?;

        let label = |name: &str| image.config["Labels"][format!("org.opencontainers.image.{name}")].as_str();
        let (version, revision) = (label("version").context("no version")?, label("revision").context("no revision")?);
        ensure!(
            label("licenses") == Some("Apache-2.0") && label("title") == Some("tandem-issuer"),
            "{:?}",
            image.config
        );
        let number = env!("CARGO_PKG_VERSION");
        // `0.1.0+f2a9c1d04e6b`, with `.dirty` behind it where files were changed; without a repository the number alone.
        let from =
            version.strip_prefix(number).context("another version")?.trim_end_matches(".dirty").trim_start_matches('+');
        ensure!(revision.starts_with(from) && from.is_empty() == (revision == "unknown"), "{version} {revision}");
        for (name, program) in [("tandem-issuer", &issuer), ("tandem-vm", &vm)] {
            let told = output(architecture.command(program).arg("--version"))?;
            ensure!(told.trim_end() == format!("{name} {version}"), "{}: {told}", architecture.name);
        }
        if architecture.emulator.is_none() {
            let told = output(&mut image.command(&["--version"], &[], None)?)?;
            ensure!(told.trim_end() == format!("tandem-issuer {version}"), "{told}");
        }
    }
    // Whoever runs containers can read it: every digest is what it should be.
    let store = tempfile::tempdir()?;
    let mut pull = Command::new("buildah");
    pull.args(["--storage-driver", "vfs", "--root"]).arg(store.path().join("root"));
    pull.arg("--runroot").arg(store.path().join("run")).args(["pull", "--quiet"]);
    run(pull.arg(format!("oci-archive:{}", archive.display())))
}

/// The same commit gives the same image wherever and whenever it is built: `make image-check` shows that by building all of it
/// again. What would break it is looked for here, for every architecture: a path of this machine in a program, a time or an
/// order in the archive.
#[test]
fn the_image_and_the_programs_know_nothing_of_where_and_when_they_were_built() -> Result<()> {
    if !possible()? {
        return Ok(());
    }
    let archive = image()?;
    let home = env::var("HOME")?;
    let cargo = env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    let target = target();
    let architectures = Architecture::all()?;
    for program in architectures.iter().flat_map(|one| ["tandem-issuer", "tandem-vm"].map(|name| one.program(name))) {
        let bytes = fs::read(&program)?;
        let (text, name) = (String::from_utf8_lossy(&bytes), program.display());
        for path in [root(), target.as_path(), Path::new(&cargo), Path::new(&format!("{home}/.rustup"))] {
            ensure!(!text.contains(&*path.to_string_lossy()), "{name} holds the path {}", path.display());
        }
        // The remapped form is there, so that the search is known to find paths.
        ensure!(text.contains("/cargo/registry/src/"), "{name}: where are the paths of its sources?");
    }
    let folder = tempfile::tempdir()?;
    let again = folder.path().join("again.tar");
    let mut assemble = Command::new("sh");
    assemble.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(root().join("release/image.sh"));
    let names = architectures.iter().map(|architecture| architecture.name);
    run(assemble.arg(&again).arg(&target).args(names).env("TZ", "Pacific/Auckland"))?;
    ensure!(fs::read(&archive)? == fs::read(&again)?, "the image is another one when it is put together again");
    Ok(())
}

/// What is built for other processors has other cryptography in it, written for them: OpenSSL judges what it signs.
#[test]
fn what_is_built_for_each_processor_signs() -> Result<()> {
    if !possible()? {
        return Ok(());
    }
    image()?;
    let openssl = OpenSsl::new()?;
    let ca = root_ca("Internal CA", &PKCS_ECDSA_P384_SHA384)?;
    let input = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "internal-ca", "namespace": "tandem"},
         "stringData": {"tls.crt": ca.as_ref().pem(), "tls.key": ca.key().serialize_pem()}},
        {"apiVersion": "pki.tandem.internal/v1alpha1", "kind": "TandemClusterIssuer", "metadata": {"name": "internal-ca"},
         "spec": {"ca": {"secretName": "internal-ca"}}},
    ]});
    fs::write(openssl.folder().join("issuer.json"), input.to_string())?;
    for architecture in Architecture::all()? {
        let mut sign = architecture.command(&architecture.program("tandem-issuer"));
        sign.args(["sign", "--output", "json"]).arg(openssl.folder().join("issuer.json"));
        let signed = output(sign.arg(root().join("examples/offline/certificate.yaml")))?;
        let secret: Secret = serde_json::from_value(serde_json::from_str::<Value>(&signed)?["items"][0].take())?;
        let data = secret.data.context("a Secret without data")?;
        let chain = data.get("tls.crt").context("a Secret without tls.crt")?;
        openssl
            .verify(str::from_utf8(&chain.0)?, &ca.as_ref().pem(), &["-verify_hostname", "orders.default.svc"])
            .with_context(|| format!("signed by the program for {}", architecture.name))?;
    }
    Ok(())
}

/// A ServiceAccount's folder as the kubelet makes it: the files behind two links, for everybody to read. Beside it, the
/// variables by which a pod finds the API server.
async fn service_account(control_plane: &ControlPlane, folder: &Path) -> Result<[(&'static str, String); 2]> {
    let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let ca = config.root_cert.context("no CA")?.into_iter().map(|der| pem::encode(&Pem::new("CERTIFICATE", der)));
    let data = folder.join("..2026_11_26");
    fs::create_dir_all(&data)?;
    symlink("..2026_11_26", folder.join("..data"))?;
    let token = issuer::token(&control_plane.cluster().await?, (issuer::NAMESPACE, "tandem-issuer")).await?;
    for (name, text) in [("token", token), ("ca.crt", ca.collect()), ("namespace", issuer::NAMESPACE.to_owned())] {
        fs::write(data.join(name), text)?;
        symlink(Path::new("..data").join(name), folder.join(name))?;
    }
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(folder))?;
    let host = config.cluster_url.host().context("no host")?.to_owned();
    let port = config.cluster_url.port_u16().context("no port")?.to_string();
    Ok([("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)])
}

#[tokio::test]
async fn in_a_pod_the_image_finds_the_cluster_by_its_service_account_signs_and_stops_when_told_to() -> Result<()> {
    if !possible()? {
        return Ok(());
    }
    let image = Image::unpack(&image()?, &AMD64)?;
    let control_plane = ControlPlane::start()?;
    let cluster = control_plane.cluster().await?;
    issuer::install(&cluster).await?;
    let account = image.folder.path().join("account");
    let variables = service_account(&control_plane, &account).await?;
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let log = control_plane.folder().join("pod.log");
    let mut pod = Process::start(&mut image.command(&[], &variables, Some(&account))?, &log, None)?;

    let space = cluster.space("pod").await?;
    let signed = async {
        let ca = with_issuer(&space).await?;
        ask_plainly(&space, "leaf").await?;
        let issued = issued(&space, "leaf").await?;
        OpenSsl::new()?.verify(&issued.chain, &ca.as_ref().pem(), &[])
    };
    signed.await.with_context(|| pod.log_tail())?;

    // The first process of a container gets no signal that it does not ask for.
    let outer = pod.id();
    let inner: i32 = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?.trim().parse()?;
    kill_process(Pid::from_raw(inner).context("no process")?, Signal::TERM)?;
    let ended = pod.wait().context("SIGTERM did not end it")?;
    ensure!(ended.success(), "SIGTERM ended it with {ended}:\n{}", pod.log_tail());
    // Nobody reads it on a terminal.
    for line in fs::read_to_string(&log)?.lines() {
        serde_json::from_str::<Value>(line).with_context(|| format!("not in JSON: {line}"))?;
    }
    Ok(())
}
