//! `tandem-vm verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use jiff::{SignedDuration, Timestamp};
use tandem_cli::{json, stdio};

use super::endpoint::{ReportFormat, SecretFrom, To};
use super::{Done, Streams, UNKNOWN, duration, note, one, time};
use crate::probe::secret::Material;
use crate::verify::{ClientAuth, Expected, verify};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    to: To,
    #[command(flatten)]
    secret: SecretFrom,
    /// What the endpoint should do about client certificates; otherwise it is only told what it does
    #[arg(long, value_enum, value_name = "WHAT")]
    client_auth: Option<ClientAuth>,
    /// A folder with the tls.crt and tls.key of a client, to be let in with [default: with --client-auth required, the
    /// Secret's own, which a server takes only if its usages have client auth]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    client: Option<PathBuf>,
    /// Do not mind that the endpoint also talks without TLS
    #[arg(long)]
    allow_plaintext: bool,
    /// Fail where less than this is left of the certificate, such as 168h
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    warn_before: SignedDuration,
    /// The time to go by instead of the present, such as 2026-11-21T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<Timestamp>,
    /// Text for people, or JSON
    #[arg(short, long, value_enum, default_value_t)]
    output: ReportFormat,
}

pub(super) const EXAMPLE: &str = "\
Examples:
  # a database in the cluster, whose clients need certificates, and with a week left at least
  tandem-vm verify --endpoint mongodb.shop.svc:27017 --protocol mongodb \\
    --secret shop/mongodb-cert-tls --client-auth required --warn-before 168h

  # through a port that is forwarded, with the Secret's manifest
  kubectl --namespace shop get secret orders-tls --output yaml |
    tandem-vm verify --endpoint localhost:5432 --protocol postgresql \\
      --server-name orders.shop.svc --file -

In JSON as in text each check is good, told (seen, and not judged) or failed, and so is the whole.

Exit codes, for monitoring:
0 all is good; 1 a check failed (CRITICAL, as Nagios has it);
2 the arguments or the Secret are at fault;
3 the endpoint was not reached, so nothing is known of it (UNKNOWN).";

pub(super) fn run(args: &Args, streams: &mut Streams<'_>) -> Done {
    let target = args.to.target()?;
    let secret = args.secret.read(streams.stdin, target.timeout)?;
    let client = args.client.as_deref().map(Material::from_folder).transpose().map_err(one)?;
    if client.as_ref().is_some_and(|client| client.holder().is_none()) {
        return Err(vec![
            "--client: its folder has no tls.key; a client needs its key to show its certificate".to_owned(),
        ]);
    }
    let expected = Expected {
        secret: &secret,
        client: client.as_ref(),
        client_auth: args.client_auth,
        allow_plaintext: args.allow_plaintext,
        warn_before: args.warn_before,
        now: args.now.unwrap_or_else(Timestamp::now),
    };
    let report = match verify(&target, &expected) {
        Ok(report) => report,
        Err(unreachable) => {
            return note(streams, &unreachable.to_string()).map(|()| ExitCode::from(UNKNOWN));
        }
    };
    let text = match args.output {
        ReportFormat::Text => report.text(),
        ReportFormat::Json => json::text(&report.json()).map_err(one)?,
    };
    stdio::print(streams.stdout, text.as_bytes()).map_err(one)?;
    Ok(if report.good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
