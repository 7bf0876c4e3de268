//! `tandem-vm stale`.

use std::process::ExitCode;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use tandem_cli::{json, stdio};

use super::endpoint::{How, ReportFormat, SecretFrom};
use super::{Done, NO, Streams, UNKNOWN, duration, note, one};
use crate::cluster;
use crate::probe::secret::Material;
use crate::probe::{Endpoint, Target};
use crate::stale::{Fleet, Seen, Told, look};

#[derive(Debug, clap::Args)]
#[group(id = "where", required = true, multiple = false, args = ["endpoint", "vm"])]
#[command(mut_arg("server_name", |name| name.help(SERVER_NAME)))]
pub(super) struct Args {
    /// Where to connect: a name or an address, and a port
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Option<Endpoint>,
    /// A VM in the Secret's namespace, found by its instance's address; may be given several times
    #[arg(long, value_name = "NAME", requires = "secret")]
    vm: Vec<String>,
    /// The port of the VMs [default: the protocol's own]
    #[arg(long, value_name = "PORT", conflicts_with = "endpoint", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    secret: SecretFrom,
    /// Restart each VM that is stale, one at a time, and wait until it serves the new certificate. The first that does not
    /// come back ends it; with a VM of which nothing is known none is restarted
    #[arg(long, conflicts_with = "endpoint")]
    restart: bool,
    /// How long a VM may take to come back
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration, requires = "restart", conflicts_with = "endpoint")]
    wait: SignedDuration,
    /// Text for people, or JSON
    #[arg(short, long, value_enum, default_value_t)]
    output: ReportFormat,
}

/// `verify` checks the name.
const SERVER_NAME: &str = "The name that is sent as SNI, by which a server may choose what it serves; the certificate is compared \
                           with the Secret's alone [default: the endpoint's host]";

pub(super) const EXAMPLE: &str = "\
Examples:
  # does the database still serve an older certificate than its Secret has?
  tandem-vm stale --endpoint orders.shop.svc:5432 --protocol postgresql --secret shop/orders-tls

  # restart the members of a replica set whose disks have an older Secret, one at a time
  tandem-vm stale --restart --secret shop/mongodb-cert-tls --protocol mongodb \\
    --vm mongodb-vm-0 --vm mongodb-vm-1 --vm mongodb-vm-2

VMs are restarted by deleting their instances, so their run strategy must be Always. Rights:
get on the Secret; get and, to restart, delete on virtualmachineinstances of kubevirt.io.

Exit codes: 0 all is fresh, or has become so; 1 something is stale, or foreign
(for none of the Secret's names, or of another CA and no older, which no restart
mends: none is restarted for it);
2 the arguments or the Secret are at fault; 3 nothing is known of an endpoint or VM.";

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    let timeout = args.how.timeout()?;
    match &args.endpoint {
        Some(endpoint) => {
            let target = args.how.target(endpoint.clone())?;
            let secret = args.secret.read(streams.stdin, timeout)?;
            match look(&target, &secret) {
                Ok(seen) => report(args, streams, &secret, &seen),
                Err(why) => unknown(streams, &why),
            }
        }
        None => of_vms(args, streams, timeout),
    }
}

fn report(args: &Args, streams: &mut Streams<'_>, secret: &Material, seen: &Seen) -> Done {
    let text = match args.output {
        ReportFormat::Text => format!("{}: {}\n", seen.endpoint, seen.text(secret)),
        ReportFormat::Json => json::text(
            &json!({"endpoint": seen.endpoint, "age": seen.age, "served": seen.served, "secret": secret.leaf}),
        )
        .map_err(one)?,
    };
    stdio::print(streams.stdout, text.as_bytes()).map_err(one)?;
    Ok(if seen.age.is_behind() { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

fn unknown(streams: &mut Streams<'_>, why: &str) -> Done {
    note(streams, why).map(|()| ExitCode::from(UNKNOWN))
}

/// How it ended, before it is told.
enum End {
    Known(Vec<Told>),
    Unknown(String),
    Failed(String),
}

fn of_vms(args: &Args, streams: &mut Streams<'_>, timeout: Duration) -> Done {
    let id = args.secret.id().ok_or_else(|| vec!["--vm: name the Secret in the cluster with --secret".to_owned()])?;
    let wait = Duration::try_from(args.wait).map_err(|_| vec!["--wait: write a duration such as 15m".to_owned()])?;
    // The host is that of each instance.
    let placeholder = Endpoint { host: "localhost".to_owned(), port: args.port()? };
    let target: Target = args.how.target(placeholder)?;
    let text = args.output == ReportFormat::Text;
    let stdout = &mut *streams.stdout;
    let (secret, end) = cluster::run(async {
        let client = cluster::connect(args.secret.kubeconfig(), timeout).await?;
        let secret = cluster::secret(&client, id).await?;
        let fleet = Fleet::new(client, &id.namespace, &secret, target);
        let end = match fleet.look(&args.vm).await {
            Err(why) => End::Unknown(why),
            Ok(all) if !args.restart => End::Known(all.into_iter().map(|(told, _)| told).collect()),
            Ok(all) => {
                let tell =
                    |line: &str| if text { stdio::print(stdout, format!("{line}\n").as_bytes()) } else { Ok(()) };
                match fleet.restart(all, wait, tell).await {
                    Ok(all) => End::Known(all),
                    Err(why) => End::Failed(why),
                }
            }
        };
        Ok((secret, end))
    })
    .map_err(one)?;
    let all = match end {
        End::Known(all) => all,
        End::Unknown(why) => return unknown(streams, &why),
        End::Failed(why) => {
            return note(streams, &why).map(|()| ExitCode::from(NO));
        }
    };
    let stale = all.iter().any(|vm| vm.restarted.as_ref().unwrap_or(&vm.seen).age.is_behind());
    let report = match (args.output, args.restart) {
        (ReportFormat::Json, _) => json::text(&json!({"vms": all, "secret": secret.leaf})).map_err(one)?,
        // It was told as it was done.
        (ReportFormat::Text, true) => String::new(),
        (ReportFormat::Text, false) => all.iter().map(|vm| format!("{}: {}\n", vm.vm, vm.seen.text(&secret))).collect(),
    };
    stdio::print(streams.stdout, report.as_bytes()).map_err(one)?;
    Ok(if stale { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

impl Args {
    fn port(&self) -> Result<u16, Vec<String>> {
        let port = self.port.or_else(|| self.how.default_port());
        port.ok_or_else(|| vec!["--port: is needed with --protocol tls, which has no port of its own".to_owned()])
    }
}
