//! `tandem-vm mongod-conf`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ValueEnum, ValueHint};
use serde_json::json;
use similar::TextDiff;
use tandem_cli::files::{self, Replacement};
use tandem_cli::{json, stdio};

use super::{Done, NO, Streams, note, one};
use crate::mongod_conf::{self, AUTH_MODES, Change, Changed, MODES};

/// Most bytes of a file; one with every option has a few thousand.
const MAX_BYTES: usize = 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The mongod.conf, or - for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// net.tls.mode
    #[arg(long, value_name = "MODE", value_parser = MODES)]
    mode: Option<String>,
    /// net.tls.certificateKeyFile: the PEM file of certificate chain and key
    #[arg(long, value_name = "PATH")]
    cert: Option<String>,
    /// net.tls.CAFile
    #[arg(long, value_name = "PATH")]
    ca: Option<String>,
    /// net.tls.clusterFile: the PEM file that this member shows to others, where it is not that of --cert
    #[arg(long, value_name = "PATH")]
    cluster_file: Option<String>,
    /// net.tls.clusterCAFile: the CA of those who connect, where it is not that of --ca
    #[arg(long, value_name = "PATH")]
    cluster_ca: Option<String>,
    /// net.tls.allowConnectionsWithoutCertificates
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = ["true", "false"]
    )]
    allow_connections_without_certificates: Option<String>,
    /// net.bindIp: addresses and host names, separated by commas
    #[arg(long, value_name = "ADDRESSES")]
    bind_ip: Option<String>,
    /// net.port
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// replication.replSetName
    #[arg(long, value_name = "NAME")]
    repl_set: Option<String>,
    /// security.keyFile
    #[arg(long, value_name = "PATH")]
    key_file: Option<String>,
    /// security.clusterAuthMode
    #[arg(long, value_name = "MODE", value_parser = AUTH_MODES)]
    cluster_auth_mode: Option<String>,
    /// Any other setting of net, security or replication that is known here, such as net.ipv6=true
    #[arg(long, value_name = "SETTING=VALUE")]
    set: Vec<String>,
    /// Show what would change instead of the changed file
    #[arg(long, conflicts_with_all = ["in_place", "output"])]
    diff: bool,
    /// With --diff: end with exit code 1 where something would change
    #[arg(long, requires = "diff", conflicts_with_all = ["in_place", "output"])]
    exit_code: bool,
    /// Write the changed file in place of the old one, whole or not at all, with its mode and owner
    #[arg(short, long)]
    in_place: bool,
    /// The changed file, or which settings were changed
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The changed file; nothing with --in-place.
    #[default]
    Text,
    /// The settings with their values before and after, and the warnings.
    Json,
}

pub(super) const EXAMPLE: &str = "\
Examples:
  # What would change?
  tandem-vm mongod-conf mongod.conf --mode requireTLS \\
    --cert /etc/ssl/mongodb.pem --ca /etc/ssl/ca.crt --bind-ip 0.0.0.0 --diff

  # A member of a replica set, whose clients need no certificate
  tandem-vm mongod-conf mongod.conf --in-place --mode requireTLS \\
    --cert /etc/ssl/mongodb.pem --ca /etc/ssl/ca.crt --allow-connections-without-certificates \\
    --repl-set rs0 --key-file /etc/mongodb.key

  # In a pipe
  tandem-vm mongod-conf - --port 27018 --set net.ipv6=true < mongod.conf > new.conf";

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    let changes = changes(args)?;
    let from_stdin = args.file.as_os_str() == "-";
    if args.in_place && from_stdin {
        return Err(one("--in-place: standard input has no place; name a file"));
    }
    let (name, text) = stdio::read(&args.file, streams.stdin, MAX_BYTES).map_err(one)?;
    let text = text.ok_or_else(|| one(format!("{name}: more than {MAX_BYTES} bytes; give a mongod.conf")))?;
    let changed = mongod_conf::change(&text, &changes)
        .map_err(|problems| problems.iter().map(|problem| format!("{name}: {problem}")).collect::<Vec<_>>())?;
    let same = changed.text == text;
    if args.in_place && !same {
        let file = Replacement { path: &args.file, before: &text, after: &changed.text };
        files::replace(&[file]).map_err(one)?;
    }
    let shown = match (args.diff, args.output, args.in_place) {
        (true, ..) => {
            let diff = TextDiff::from_lines(&text, &changed.text);
            diff.unified_diff().header(&name, &format!("{name} (changed)")).to_string()
        }
        (_, Output::Json, _) => report(&changed).map_err(one)?,
        (_, Output::Text, true) => String::new(),
        (_, Output::Text, false) => changed.text,
    };
    stdio::print(streams.stdout, shown.as_bytes()).map_err(one)?;
    if same && (args.diff || args.in_place) {
        note(streams, &format!("{name}: nothing to change"))?;
    }
    for warning in changed.warnings {
        note(streams, &format!("warning: {name}: {warning}"))?;
    }
    Ok(if args.exit_code && !same { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

/// All settings that the arguments name.
fn changes(args: &Args) -> Result<Vec<Change>, Vec<String>> {
    let options = [
        ("--mode", "net.tls.mode", &args.mode),
        ("--cert", "net.tls.certificateKeyFile", &args.cert),
        ("--ca", "net.tls.CAFile", &args.ca),
        ("--cluster-file", "net.tls.clusterFile", &args.cluster_file),
        ("--cluster-ca", "net.tls.clusterCAFile", &args.cluster_ca),
        (
            "--allow-connections-without-certificates",
            "net.tls.allowConnectionsWithoutCertificates",
            &args.allow_connections_without_certificates,
        ),
        ("--bind-ip", "net.bindIp", &args.bind_ip),
        ("--port", "net.port", &args.port),
        ("--repl-set", "replication.replSetName", &args.repl_set),
        ("--key-file", "security.keyFile", &args.key_file),
        ("--cluster-auth-mode", "security.clusterAuthMode", &args.cluster_auth_mode),
    ];
    let options =
        options.into_iter().filter_map(|(option, name, value)| Some((option, Some((name, value.as_deref()?)))));
    let all = options.chain(args.set.iter().map(|set| ("--set", set.split_once('='))));
    let (mut changes, mut problems) = (Vec::<Change>::new(), Vec::new());
    for (option, pair) in all {
        match pair.map(|(name, value)| Change::new(name, value)) {
            None => problems.push(format!("{option}: write SETTING=VALUE, such as net.ipv6=true")),
            Some(Err(problem)) => problems.push(format!("{option}: {problem}")),
            Some(Ok(change)) if changes.iter().any(|other| other.name() == change.name()) => {
                problems.push(format!("{option}: {} is set twice; set it once", change.name()));
            }
            Some(Ok(change)) => changes.push(change),
        }
    }
    if changes.is_empty() && problems.is_empty() {
        return Err(one("there is nothing to set; name a setting, such as --mode requireTLS (--help lists them)"));
    }
    if problems.is_empty() { Ok(changes) } else { Err(problems) }
}

fn report(changed: &Changed) -> Result<String, serde_json::Error> {
    let changes: Vec<_> = changed
        .changes
        .iter()
        .map(|(setting, before, after)| json!({ "setting": setting, "before": before, "after": after }))
        .collect();
    let warnings: Vec<_> = changed.warnings.iter().map(ToString::to_string).collect();
    json::text(&json!({ "changes": changes, "warnings": warnings }))
}
