//! What is published beside the image: programs, chart, bills of materials and checksums, gathered as for a release.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tandem_tests::{
    helm::{self, RELEASE, chart},
    issuer::NAMESPACE,
    tools::{self, available, image, output, root, run, target},
};

use crate::{
    chart::EVERYTHING,
    image::{AMD64, Architecture, possible},
};

const PROGRAMS: [&str; 2] = ["tandem-issuer", "tandem-vm"];
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Name and version of each crate of these programs along edges of cargo's tree, themselves among them.
fn crates(programs: &[&str], edges: &str) -> Result<BTreeSet<String>> {
    let mut tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tree.args(["tree", "--quiet", "--locked", "--edges", edges, "--target", AMD64.triple, "--prefix", "none"]);
    tree.args(["--format", "{p}"]).args(programs.iter().flat_map(|program| ["--package", program]));
    let of = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        Some(format!("{name} {}", rest.split(' ').next()?))
    };
    Ok(output(tree.current_dir(root()))?.lines().filter_map(of).collect())
}

/// A bill of materials has every crate that is in the program, and none that no build compiles.
fn ensure_complete(folder: &Path, program: &str) -> Result<()> {
    let bill: Value = serde_json::from_slice(&fs::read(folder.join(format!("{program}-{VERSION}.cdx.json")))?)?;
    let text = |component: &Value, field: &str| component[field].as_str().unwrap_or_default().to_owned();
    let of = |component: &Value| format!("{} {}", text(component, "name"), text(component, "version"));
    let itself = format!("{program} {VERSION}");
    ensure!(bill["bomFormat"] == "CycloneDX" && of(&bill["metadata"]["component"]) == itself, "{}", bill["metadata"]);
    let components = bill["components"].as_array().context("no components")?;
    for component in components {
        let told = component["licenses"].is_array() && text(component, "purl").starts_with("pkg:cargo/");
        ensure!(told, "{program}: without a licence or an address: {component}");
    }
    let listed: BTreeSet<_> = components.iter().map(of).chain([itself]).collect();
    let (linked, built) = (crates(&[program], "normal,no-proc-macro")?, crates(&PROGRAMS, "normal,build")?);
    ensure!(linked.len() > 100, "{program} is made of {linked:?}");
    let missing: Vec<_> = linked.difference(&listed).collect();
    ensure!(missing.is_empty(), "{program}: in the program, and not in its bill: {missing:?}");
    let strange: Vec<_> = listed.difference(&built).collect();
    ensure!(strange.is_empty(), "{program}: in its bill, and never compiled: {strange:?}");
    Ok(())
}

/// Who follows a guide pushes the image that the chart pulls, and looks for the files that there are.
#[test]
fn the_guides_name_the_version_that_is_built() -> Result<()> {
    let mut named = 0;
    let guides = fs::read_dir(root().join("docs"))?.map(|entry| Ok(entry?.path()));
    for guide in guides.chain([Ok(root().join("README.md"))]).collect::<Result<Vec<_>>>()? {
        let text = fs::read_to_string(&guide)?;
        for before in ["tandem-issuer:", "tandem-issuer-", "tandem-vm-"] {
            for rest in text.split(before).skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
                let word = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
                ensure!(word.trim_end_matches('.') == VERSION, "{}: {before}{word}, not {VERSION}", guide.display());
                named += 1;
            }
        }
    }
    ensure!(named >= 5, "the guides name {named} versions");
    Ok(())
}

#[test]
fn what_is_released_is_what_was_built_and_its_bills_list_what_is_in_it() -> Result<()> {
    if !possible()? || !available("jq")? {
        return Ok(());
    }
    let (archive, scratch) = (image()?, tempfile::tempdir()?);
    let folder = scratch.path().join("artifacts");
    let architectures = Architecture::all()?;
    let mut gather = Command::new(root().join("release/artifacts.sh"));
    gather.arg(&folder).arg(&archive).arg(target()).arg(tools::release_tools()?);
    run(gather.args(architectures.iter().map(|architecture| architecture.name)))?;

    // Every file is as it was summed up, and none was left out.
    let sums = "SHA256SUMS";
    run(Command::new("sha256sum").args(["--check", "--strict", "--quiet", sums]).current_dir(&folder))?;
    let summed = fs::read_to_string(folder.join(sums))?;
    let summed: BTreeSet<_> = summed.lines().filter_map(|line| Some(line.split_once("  ")?.1.to_owned())).collect();
    let names = fs::read_dir(&folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<BTreeSet<_>>>()?;
    ensure!(names.remove(sums) && names == summed, "there are {names:?}, and summed up are {summed:?}");
    // Image and chart, and of each program its bill, and itself for each architecture.
    ensure!(names.len() == 2 + PROGRAMS.len() * (1 + architectures.len()), "{names:?}");

    ensure!(
        fs::read(folder.join(format!("tandem-issuer-{VERSION}.oci.tar")))? == fs::read(&archive)?,
        "another image than was built"
    );
    for (architecture, program) in architectures.iter().flat_map(|one| PROGRAMS.map(|program| (one, program))) {
        let packed = folder.join(format!("{program}-{VERSION}-linux-{}.tar.gz", architecture.name));
        run(Command::new("tar").arg("-xzf").arg(&packed).arg("-C").arg(scratch.path()))?;
        let same = fs::read(scratch.path().join(program))? == fs::read(architecture.program(program))?;
        ensure!(same, "{}: another program than was built", packed.display());
        ensure!(fs::read(scratch.path().join("LICENSE"))? == fs::read(root().join("LICENSE"))?, "no licence");
    }
    for program in PROGRAMS {
        ensure_complete(&folder, program)?;
    }

    // The packaged chart is the chart.
    let packaged = folder.join(format!("tandem-issuer-{VERSION}.tgz"));
    let rendered = |chart: &Path| {
        output(helm::command()?.args(["template", RELEASE, "--namespace", NAMESPACE]).args(EVERYTHING).arg(chart))
    };
    ensure!(rendered(&packaged)? == rendered(&chart())?, "the packaged chart renders otherwise");
    let shown = output(helm::command()?.args(["show", "chart"]).arg(&packaged))?;
    ensure!(shown.contains(&format!("\nversion: {VERSION}\n")), "{shown}");
    Ok(())
}
