//! `tandem-vm keyfile`.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};

use aws_lc_rs::rand::SystemRandom;
use clap::ValueHint;
use tandem_cli::{files, stdio};
use zeroize::Zeroizing;

use super::{Done, Streams, one};
use crate::keyfile::{self, KeyFile};
use crate::spec::values;
use crate::yaml_edit;

/// Most bytes of a file that is checked; a keyFile has about a thousand.
const MAX_BYTES: usize = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write it, mode 0400 (a Secret: 0600), never over a file that is there; - for standard output
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "secret")]
    file: Option<PathBuf>,
    /// Write an immutable Secret of this name instead, with the key `keyfile`; without FILE to standard output
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// Namespace of the Secret: that of the DatabaseVM
    #[arg(short, long, requires = "secret")]
    namespace: Option<String>,
    /// Replace a FILE that is there. Members with the old key do not know those with the new one
    #[arg(long, requires = "file")]
    replace: bool,
    /// Write nothing; check whether MongoDB takes the keyFile FILE: length, characters, permissions
    #[arg(long, requires = "file", conflicts_with_all = ["secret", "namespace", "replace"])]
    check: bool,
}

pub(super) const EXAMPLE: &str = "\
Examples:
  # The Secret that membership.keyFile of a DatabaseVM names, then the replica set itself
  tandem-vm keyfile --secret mongodb-keyfile --namespace keyfile-datastores | kubectl create -f -
  tandem-vm render databasevm-keyfile.yaml | kubectl apply -f -

  # A file for members that you set up yourself
  tandem-vm keyfile mongodb.key
  tandem-vm keyfile --check mongodb.key

With --check the exit code is 1 where MongoDB would not take the file.";

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    match &args.file {
        Some(file) if args.check => check(file, streams),
        file => write(args, file.as_deref(), streams),
    }
}

fn write(args: &Args, file: Option<&Path>, streams: &mut Streams<'_>) -> Done {
    if args.replace && file.is_some_and(|file| file.as_os_str() == "-") {
        return Err(one("--replace: standard output has no file to replace; name one, or leave it out"));
    }
    let named = [
        ("--secret", &args.secret, values::subdomain as fn(&str) -> _),
        ("--namespace", &args.namespace, |name| values::label(name, 63)),
    ];
    let wrong =
        named.into_iter().filter_map(|(option, name, rule)| Some(format!("{option}: {}", rule(name.as_ref()?).err()?)));
    let wrong: Vec<_> = wrong.collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let random = |_| one("the operating system gives no random bytes; try again");
    let key = KeyFile::generate(&SystemRandom::new()).map_err(random)?;
    let (text, mode) = match &args.secret {
        Some(name) => {
            let secret = yaml_edit::to_string(&key.secret(name, args.namespace.as_deref())).map_err(one)?;
            (Zeroizing::new(secret), 0o600)
        }
        None => (Zeroizing::new(key.text().to_owned()), 0o400),
    };
    match file.filter(|file| file.as_os_str() != "-") {
        None => stdio::print(streams.stdout, text.as_bytes()).map_err(one)?,
        Some(file) => files::write_one(file, text.as_bytes(), mode, args.replace).map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    "is there already and was not touched: a member with another key than the others falls out of the \
                     replica set; name another file, or --replace it"
                        .to_owned()
                }
                _ => format!("{error}; name a file in a folder that can be written"),
            };
            one(format!("{}: {remedy}", file.display()))
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(file: &Path, streams: &mut Streams<'_>) -> Done {
    let (name, text) = stdio::read(file, streams.stdin, MAX_BYTES).map_err(one)?;
    let text = Zeroizing::new(text.ok_or_else(|| one(format!("{name}: more than {MAX_BYTES} bytes; name a keyFile")))?);
    // Standard input has neither mode nor owner of its own.
    let found = (file.as_os_str() != "-").then(|| fs::metadata(file)).transpose();
    let found = found.map_err(|error| one(format!("{name}: {error}; give a file that can be read")))?;
    let mode = found.as_ref().map(|found| found.permissions().mode());
    let keys = keyfile::check(text.as_bytes());
    let mut faults = keys.as_ref().err().cloned().unwrap_or_default();
    faults.extend(mode.and_then(|mode| keyfile::check_mode(mode).err()));
    let mut said = String::new();
    for fault in &faults {
        said += &format!("{name}: {fault}\n");
    }
    if let (Ok(keys), true) = (&keys, faults.is_empty()) {
        let lengths: Vec<_> = keys.iter().map(usize::to_string).collect();
        let owner = found.map(|found| format!("; its owner is user {}, as whom mongod has to run", found.uid()));
        said = format!("{name}: good, {} characters{}\n", lengths.join(" and "), owner.unwrap_or_default());
    }
    stdio::print(streams.stdout, said.as_bytes()).map_err(one)?;
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(super::NO) })
}
