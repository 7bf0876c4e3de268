//! Where the programs are that tests run, and how they are built.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        OnceLock,
        mpsc::{RecvTimeoutError, channel},
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The repository's root.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo puts what it builds.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A folder of ours beneath the target folder.
#[must_use]
pub fn control_plane_folder() -> PathBuf {
    target().join("control-plane")
}

/// Builds the control plane and kubectl, once per process; nothing happens where they are up to date.
///
/// # Errors
/// What `make` said: which tool is missing, or what does not compile.
pub fn build_control_plane() -> Result<()> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    build_go(&DONE, "control-plane").map(|_| ())
}

/// Builds cert-manager's conformance suites and ginkgo, once per process; the folder that holds them.
///
/// # Errors
/// What `make` said.
pub fn conformance() -> Result<PathBuf> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    build_go(&DONE, "conformance")
}

/// Builds the judges of `tests/judges`, once per process; the command.
///
/// # Errors
/// What `make` said.
pub fn judges() -> Result<PathBuf> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    Ok(build_go(&DONE, "judges")?.join("judges"))
}

/// Builds what takes and judges telemetry (`tests/telemetry`), once per process; the command.
///
/// # Errors
/// What `make` said.
pub fn telemetry() -> Result<PathBuf> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    Ok(build_go(&DONE, "telemetry")?.join("telemetry"))
}

/// Builds the container image, once per process; the OCI archive.
///
/// # Errors
/// What `make` said.
pub fn image() -> Result<PathBuf> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    once(&DONE, || {
        let target = format!("TARGET={}", target().display());
        run(Command::new("make").args(["--no-print-directory", "image"]).arg(target).current_dir(root()))
    })?;
    Ok(target().join("image/tandem-issuer.oci.tar"))
}

/// Builds Toxiproxy, once per process; the command.
///
/// # Errors
/// What `make` said.
pub fn toxiproxy() -> Result<PathBuf> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let program = target().join("tools/bin/toxiproxy");
    let target = program.strip_prefix(root()).unwrap_or(&program);
    once(&DONE, || run(Command::new("make").arg("--silent").arg("-C").arg(root()).arg(target)))?;
    Ok(program)
}

/// Builds a Go module beneath `tests` into a folder of the same name beneath the target folder, which is returned.
fn build_go(done: &'static OnceLock<Result<(), String>>, module: &str) -> Result<PathBuf> {
    let folder = target().join(module);
    once(done, || {
        let out = format!("OUT={}", folder.display());
        run(Command::new("make").arg("-C").arg(root().join("tests").join(module)).arg(out))
    })?;
    Ok(folder)
}

/// Helm, built where it is missing, once per process; with it what else the chart's tests need: promtool beside it, and the
/// Prometheus operator's CRDs.
///
/// # Errors
/// What `make` said.
pub fn helm() -> Result<PathBuf> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    once(&DONE, || {
        let mut make = Command::new("make");
        run(make
            .args(["--no-print-directory", "target/tools/bin/helm", "promtool", "monitoring-crds"])
            .current_dir(root()))
    })?;
    Ok(root().join("target/tools/bin/helm"))
}

/// The folder with what gathers a release, Helm and cargo-cyclonedx, built where they are missing, once per process.
///
/// # Errors
/// What `make` said.
pub fn release_tools() -> Result<PathBuf> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    once(&DONE, || {
        let mut make = Command::new("make");
        run(make.args(["--no-print-directory", "target/tools/bin/cargo-cyclonedx"]).current_dir(root()))
    })?;
    Ok(helm()?.with_file_name(""))
}

/// One of the workspace's programs, built as this one was (debug or release).
///
/// # Errors
/// What cargo said.
pub fn program(name: &str) -> Result<PathBuf> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let release = !cfg!(debug_assertions);
    once(&DONE, || {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // The whole workspace with its tests, as `make` builds it: a part of it would have other features, and all that it
        // stands on would be built once more.
        cargo.args(["build", "--quiet", "--locked", "--workspace"]).current_dir(root());
        run(cargo.arg(if release { "--release" } else { "--all-targets" }))
    })?;
    Ok(target().join(if release { "release" } else { "debug" }).join(name))
}

/// Whether a program is on the PATH. Where `TANDEM_REQUIRE_TOOLS` is set, as `make test` does, one that is missing is an
/// error; elsewhere its checks are skipped, and say so.
///
/// # Errors
/// Where the program is missing and required.
pub fn available(program: &str) -> Result<bool> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|folder| folder.join(program).is_file());
    if !found && std::env::var_os("TANDEM_REQUIRE_TOOLS").is_some() {
        bail!("{program} is not installed, and TANDEM_REQUIRE_TOOLS asks for it; `make tools` installs what is needed");
    }
    Ok(found)
}

/// Debian's libfaketime, for programs with threads; it is not found by a name alone. None where it is not installed; see
/// [`available`].
///
/// # Errors
/// Where it is missing and required.
pub fn libfaketime() -> Result<Option<PathBuf>> {
    if !available("faketime")? {
        return Ok(None);
    }
    let folders = std::fs::read_dir("/usr/lib")?.filter_map(|folder| Some(folder.ok()?.path()));
    let mut libraries = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    let found = libraries.find(|library| library.is_file());
    found.map(Some).context("libfaketime is not beneath /usr/lib; `make tools` installs it")
}

/// Runs a command to its end.
///
/// # Errors
/// Where it does not start or fails, with what it wrote to standard error.
pub fn run(command: &mut Command) -> Result<()> {
    output(command).map(|_| ())
}

/// Runs a command to its end and returns what it wrote to standard output.
///
/// # Errors
/// As [`run`].
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| format!("{name} does not start; is it installed?"))?;
    told(&name, &done)
}

/// As [`output`], for a command that may hang.
///
/// # Errors
/// As [`run`], and where it has no end within the limit.
pub fn output_within(limit: Duration, command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.with_context(|| format!("{name} does not start; is it installed?"))?;
    let pid = Pid::from_child(&child);
    let (ended, watched) = channel::<()>();
    let watch = std::thread::spawn(move || {
        let hangs = watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if hangs {
            // Where it has just ended there is nothing to kill.
            let _ = kill_process(pid, Signal::KILL);
        }
        hangs
    });
    let done = child.wait_with_output()?;
    drop(ended);
    if watch.join().unwrap_or_default() {
        bail!("{name}: no end within {limit:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    told(&name, &done)
}

/// Standard output, or why there is none to rely on.
fn told(name: &str, done: &Output) -> Result<String> {
    if !done.status.success() {
        bail!("{name}: {}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

fn once(cell: &'static OnceLock<Result<(), String>>, action: impl FnOnce() -> Result<()>) -> Result<()> {
    cell.get_or_init(|| action().map_err(|error| format!("{error:#}"))).clone().map_err(|error| anyhow!(error))
}
