//! `tandem-vm inject`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueHint;
use serde_yaml::Value;
use tandem_cli::files::{self, Replacement, Wanted};
use tandem_cli::manifests;
use tandem_cli::{stdio, yaml};

use super::diff::Diff;
use super::{Done, NO, Streams, note, notes, one};
use crate::inject::{self, InjectError, Input, Options};

/// Most bytes of one file. An edit in place holds its text in several copies, and nobody writes this much by hand.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Manifests: files, folders, or - for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath, required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    options: Options,
    /// Take out again what an earlier run put in
    #[arg(long, conflicts_with_all = [
        "secret", "delivery", "serial", "database", "os", "folder", "combined", "owner", "service", "tls_mode", "client_auth",
        "exec_start", "keep_config", "reload", "reload_command", "credentials", "endpoint",
    ])]
    remove: bool,
    /// Show what changes, and write nothing: in short, or with --diff=full every line
    #[arg(
        long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "short",
        conflicts_with_all = ["in_place", "output_dir"]
    )]
    diff: Option<Diff>,
    /// With --diff: end with exit code 1 where something changes
    #[arg(long, requires = "diff", conflicts_with_all = ["in_place", "output_dir"])]
    exit_code: bool,
    /// Print a shell script for a guest that has booted before, to which cloud-init brings nothing more: it puts there what is
    /// injected, and nothing else of the user data; write nothing else
    #[arg(long, conflicts_with_all = ["remove", "diff", "exit_code", "in_place", "output_dir"])]
    guest_script: bool,
    /// Change the files themselves
    #[arg(short, long, conflicts_with = "output_dir")]
    in_place: bool,
    /// Write the files into DIR, by the same names
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output_dir: Option<PathBuf>,
}

/// clap does not tell that one of two options is required.
pub(super) const USAGE: &str = "\
tandem-vm inject [OPTIONS] --secret <NAME> <FILE>...
       tandem-vm inject [OPTIONS] --remove <FILE>...";

pub(super) const EXAMPLE: &str = "\
Examples:
  # What would change in a VM of your own
  tandem-vm inject --secret shop-db-tls --diff vm.yaml

  # MongoDB on Debian, which then takes no connection without TLS, applied at once
  tandem-vm inject --secret shop-db-tls --database mongodb --os debian \\
      --tls-mode requireTLS vm.yaml | kubectl apply -f -

  # A member of a set whose clients and other members have no TLS yet: the first of three steps
  tandem-vm inject --secret shop-db-tls --database mongodb --os debian --tls-mode allowTLS \\
      --in-place vm.yaml

  # As a filesystem that follows the Secret, for a service of your own
  tandem-vm inject --secret shop-db-tls --delivery filesystem --owner www-data \\
      --service nginx.service --reload-command 'systemctl reload nginx' --in-place vm.yaml

  # In a pipeline: has every manifest what it needs? (exit code 1: it has not)
  tandem-vm inject --secret shop-db-tls --diff --exit-code vm.yaml || echo 'run it --in-place'

  # What to run in a guest that has booted before, once its VM has started with the new manifest
  tandem-vm inject --secret shop-db-tls --database mongodb --os debian \\
      --guest-script vm.yaml >guest.sh

  # The same Secret for several VMs of one file
  tandem-vm inject --secret web-tls --vm web-0 --vm web-1 --in-place replicas.yaml

  # And out again
  tandem-vm inject --remove --in-place vm.yaml

The manifests come out as they went in, with their comments and order, and with what the VM needs:
a volume, its disk or filesystem, and in the user data files and commands for the guest. User data
moves to a Secret: what the guest needs is longer than the 2048 bytes that KubeVirt admits inline.
The Secret keeps how it stood, so that --remove puts it back byte for byte. A database is started
with TLS by options, whatever its configuration says of it, and that file stays its owner's.
cloud-init writes files at a guest's first boot only. Do not repeat that with `cloud-init clean`,
which runs all of your own user data again: --guest-script is for guests that have booted before.
The guest needs cloud-init, systemd and openssl. Other options replace those of an earlier run.

Exit codes: 0 done; 1 with --exit-code, where something changes; 2 the arguments or the files are
at fault; 3 standard error could not be written to: files may be changed all the same.";

/// A file, and where it is; none for standard input.
struct Source {
    path: Option<PathBuf>,
    input: Input,
}

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    let sources = read(&args.files, streams)?;
    let inputs: Vec<Input> = sources.iter().map(|source| source.input.clone()).collect();
    let done = if args.remove {
        inject::remove(&inputs, &args.options.vm)
    } else {
        let problems = args.options.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        inject::inject(&inputs, &args.options)
    };
    let output = done.map_err(lines)?;
    if args.guest_script {
        let script = inject::guest_script(&args.options).map_err(lines)?;
        stdio::print(streams.stdout, script.as_bytes()).map_err(one)?;
        return Ok(ExitCode::SUCCESS);
    }
    let changed = sources.iter().zip(&output.texts).any(|(source, text)| source.input.text != *text);
    if let Some(diff) = args.diff {
        let one = |(source, text): (&Source, &String)| diff.of(&source.input.name, &source.input.text, text);
        let diffs = sources.iter().zip(&output.texts).map(one);
        stdio::print(streams.stdout, diffs.collect::<String>().as_bytes()).map_err(super::one)?;
    } else if args.in_place {
        write_in_place(&sources, &output.texts)?;
    } else if let Some(dir) = &args.output_dir {
        files::write(dir, &named(&sources, &output.texts)?).map_err(one)?;
    } else {
        stdio::print(streams.stdout, joined(&output.texts).as_bytes()).map_err(one)?;
    }
    let same = !changed && !args.remove && (args.diff.is_some() || args.in_place);
    if same {
        note(streams, &format!("{}: nothing to change", output.machines))?;
    } else {
        // What is to be done is told once, by the run that writes.
        notes(streams, output.notes.iter().chain(output.advice.iter().filter(|_| args.diff.is_none())))?;
    }
    Ok(if args.exit_code && changed { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

/// A line for each reason.
pub(super) fn lines(errors: Vec<InjectError>) -> Vec<String> {
    errors.iter().map(InjectError::to_string).collect()
}

/// All files, or what is wrong with any of them.
fn read(paths: &[PathBuf], streams: &mut Streams<'_>) -> Result<Vec<Source>, Vec<String>> {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let files = manifests::files(path).unwrap_or_else(|problem| {
            problems.push(problem);
            Vec::new()
        });
        for path in files {
            match stdio::read(&path, streams.stdin, MAX_BYTES) {
                Ok((name, Some(text))) => {
                    let path = (path.as_os_str() != "-").then_some(path);
                    sources.push(Source { path, input: Input { name, text } });
                }
                Ok((name, None)) => {
                    problems.push(format!("{name}: more than {MAX_BYTES} bytes; split it into several files"));
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(problems) }
}

/// One stream of all files.
fn joined(texts: &[String]) -> String {
    let mut all = String::new();
    for text in texts {
        if !all.is_empty() {
            if !all.ends_with('\n') {
                all.push('\n');
            }
            if !text.starts_with("---") {
                all.push_str("---\n");
            }
        }
        all.push_str(text);
    }
    all
}

/// The files that are not as they were, with the rights that they have.
fn write_in_place(sources: &[Source], texts: &[String]) -> Result<(), Vec<String>> {
    let mut changed = Vec::new();
    for (source, text) in sources.iter().zip(texts) {
        let path = source.path.as_ref().ok_or_else(|| one("standard input cannot be changed in place; name files"))?;
        if *text != source.input.text {
            changed.push(Replacement { path, before: &source.input.text, after: text });
        }
    }
    files::replace(&changed).map_err(one)
}

/// All files under their own names, with no right that they had not; those with a Secret closed to others.
fn named(sources: &[Source], texts: &[String]) -> Result<Vec<Wanted>, Vec<String>> {
    let mut all: Vec<Wanted> = Vec::new();
    for (source, text) in sources.iter().zip(texts) {
        let path = source.path.as_ref().ok_or_else(|| one("standard input has no name to write to; name files"))?;
        let name = name_of(path)?;
        if all.iter().any(|other| other.name == name) {
            return Err(one(format!("{}: another file is called {name} as well; rename one", path.display())));
        }
        let found = fs::metadata(path).map_err(|error| one(format!("{}: {error}; run it again", path.display())))?;
        let widest = if has_secret(text) { 0o600 } else { 0o644 };
        all.push(Wanted { name, content: text.clone(), mode: widest & found.permissions().mode() });
    }
    Ok(all)
}

/// Whether a Secret is in a text, also in a List; a text that cannot be read counts as one.
fn has_secret(text: &str) -> bool {
    fn is_secret(object: &Value) -> bool {
        let items = object.get("items").and_then(Value::as_sequence);
        object.get("kind").is_some_and(|kind| kind == "Secret" || kind == "SecretList")
            || items.is_some_and(|items| items.iter().any(is_secret))
    }
    yaml::documents(text, 2 * MAX_BYTES).any(|document| document.map_or(true, |object| is_secret(&object)))
}

fn name_of(path: &Path) -> Result<String, Vec<String>> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| one(format!("{}: is not named in UTF-8; rename it", path.display())))
}
