//! The commands of the README and of the guides, run as they stand, in order, on a control plane of their own.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::rbac::v1::Role;
use kube::Api;
use tandem_tests::{
    ControlPlane, IssuerProcess, Space,
    cluster::CERTIFICATE_REQUEST,
    tools::{self, root},
};

use crate::{
    environment::Environment,
    guides::{follow, with_pods},
    requests::touched,
};

/// The lines of a text's `sh` blocks.
///
/// A busy machine is waited for longer than kubectl would by itself.
pub(crate) fn commands(text: &str) -> String {
    let blocks = text.split("```sh\n").skip(1);
    let commands: String = blocks.filter_map(|block| block.split_once("```")).map(|(commands, _)| commands).collect();
    commands.replace("kubectl wait ", "kubectl wait --timeout 2m ")
}

/// Runs a script as a reader would: in a folder of its own, with what it names of the repository.
pub(crate) fn run(script: &str, control_plane: &ControlPlane) -> Result<()> {
    let folder = control_plane.folder().join("reader");
    if std::fs::create_dir(&folder).is_ok() {
        for name in ["charts", "deploy", "examples"] {
            std::os::unix::fs::symlink(root().join(name), folder.join(name))?;
        }
    }
    let kubectl = control_plane.kubectl();
    let kubectl = std::path::Path::new(kubectl.get_program()).parent().context("no folder")?;
    tools::program("tandem-issuer")?;
    let built = tools::program("tandem-vm")?;
    let built = built.parent().context("no folder")?;
    let helm = tools::helm()?;
    let helm = helm.parent().context("no folder")?;
    let path = format!("{}:{}:{}:{}", kubectl.display(), built.display(), helm.display(), std::env::var("PATH")?);
    tools::run(
        Command::new("sh")
            .args(["-ec", script])
            .current_dir(folder)
            .env("PATH", path)
            .env("KUBECONFIG", control_plane.kubeconfig()),
    )
}

/// Fact 32: on a new server the CRDs come first, and the first request after them is approved and issued.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_readme_works() -> Result<()> {
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let commands = commands(&readme);
    ensure!(commands.contains("helm install") && commands.contains("tandem-vm render"), "no commands were found");

    let control_plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    control_plane.cluster().await?.apply_crds(&root().join("tests/data/kubevirt-crd.yaml")).await?;
    // Two things differ from what a reader does: these tests have built the programs already, and there are no nodes, so
    // that a process with the chart's rights stands for the pods.
    let built = tools::program("tandem-issuer")?;
    let built = built.parent().context("no folder")?;
    let script = commands
        .replace("cargo build --release --locked\n", "")
        .replace("target/release/", &format!("{}/", built.display()));
    ensure!(!script.contains("cargo"), "an unknown build command");
    let (install, rest) = script.split_once("\n# An internal CA").context("the first issuer is gone")?;
    run(install, &control_plane)?;
    let _issuer = IssuerProcess::of(&control_plane).start().await?;
    run(&format!("# An internal CA{rest}"), &control_plane)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_way_from_the_ca_issuer_works() -> Result<()> {
    let guide = std::fs::read_to_string(root().join("docs/from-the-ca-issuer.md"))?;
    let commands = commands(&guide);
    ensure!(commands.contains("openssl verify -CAfile ca.crt before.crt after.crt"), "trust is not looked at");
    let (control_plane, kubelet) = with_pods().await?;
    // The example's README ends before anything is installed.
    follow(&control_plane, of_example("from-the-ca-issuer")?).await?;
    // Before and after are certificates of the one CA by different issuers.
    let script = format!("{commands}\n! cmp -s before.crt after.crt\n");
    if let Err(error) = follow(&control_plane, script).await {
        return Err(error.context(kubelet.trouble().await));
    }
    let shop = Space { cluster: control_plane.cluster().await?, name: "shop".to_owned() };
    let by_us = shop.list(CERTIFICATE_REQUEST).await?.iter().filter(|request| touched(request)).count();
    ensure!(by_us > 0, "no request was signed by tandem-issuer");
    // Of cert-manager's Secrets it reads the one.
    let roles: Api<Role> = Api::namespaced(shop.cluster.client.clone(), "cert-manager");
    let rules = roles.get("tandem-issuer-ca").await?.rules.unwrap_or_default();
    let names: Vec<_> = rules.into_iter().map(|rule| rule.resource_names.unwrap_or_default()).collect();
    ensure!(names == [["internal-ca"]], "it may read {names:?}");
    Ok(())
}

/// The commands of an example's README; each example has one, and each README has commands.
fn of_example(name: &str) -> Result<String> {
    let file = root().join("examples").join(name).join("README.md");
    let commands = commands(&std::fs::read_to_string(&file).with_context(|| file.display().to_string())?);
    ensure!(!commands.trim().is_empty(), "{} has no commands", file.display());
    Ok(commands)
}

/// The examples whose commands another test runs: its file, and its name.
const ELSEWHERE: [(&str, &str, &str); 3] = [
    ("check", "vm-tools/tests/vm/check.rs", "the_commands_of_the_page_and_of_the_example_work"),
    ("from-the-ca-issuer", "tests/tests/e2e/readme.rs", "every_command_of_the_way_from_the_ca_issuer_works"),
    ("inject-own-vm", "vm-tools/tests/vm/inject_files.rs", "the_examples_readme_does_what_it_says"),
];

/// All other examples, one after the other, in one cluster. What needs KubeVirt is told apart in their READMEs.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_examples_works() -> Result<()> {
    let entries = std::fs::read_dir(root().join("examples"))?.collect::<std::io::Result<Vec<_>>>()?;
    let mut names: Vec<_> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    for (name, file, test) in ELSEWHERE {
        of_example(name)?;
        let text = std::fs::read_to_string(root().join(file))?;
        ensure!(text.contains(&format!("fn {test}()")), "{file} has no {test}");
        names.retain(|other| other != name);
    }
    // The issuer of the others comes first, and last the one that takes a namespace that is there.
    names.sort_by_key(|name| (name != "internal-ca", name == "install", name.clone()));
    let scripts = names.iter().map(|name| of_example(name)).collect::<Result<Vec<_>>>()?;
    let environment = Environment::start(&[], &[]).await?;
    let cluster = environment.control_plane.cluster().await?;
    cluster.apply_crds(&root().join("tests/data/kubevirt-crd.yaml")).await?;
    for (name, script) in names.iter().zip(scripts) {
        run(&script, &environment.control_plane).with_context(|| format!("examples/{name}/README.md"))?;
    }
    Ok(())
}

/// `make` itself cannot be run here; that its targets exist can be seen.
#[test]
fn every_make_target_of_the_readme_exists() -> Result<()> {
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let help = tools::output(Command::new("make").arg("help").current_dir(root()))?;
    let targets: Vec<_> =
        readme.split("make ").skip(1).filter_map(|rest| rest.split(['`', ' ', '\n']).next()).collect();
    ensure!(targets.contains(&"demo") && targets.contains(&"test"), "the two commands are gone");
    // "Debian with Rust, Go and make (the first…" names no target.
    for target in targets.into_iter().filter(|target| target.chars().all(|c| c.is_ascii_lowercase())) {
        ensure!(help.contains(&format!("make {target} ")), "make {target} is not in make help");
    }
    Ok(())
}
