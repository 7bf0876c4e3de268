//! Logs for people: on a terminal, which `script` makes.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use tandem_tests::{issuer, process::Process, tools};

use crate::{
    environment::{with_issuer, without_issuer},
    leadership::replicas::until,
    requests::{ask_plainly, issued},
};

/// A text without what colours it.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| plain + piece.split_once('m').map_or(piece, |(_, rest)| rest))
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_lines_are_in_words_and_colours_and_name_request_issuer_and_trace() -> Result<()> {
    let control_plane = without_issuer().await?;
    let folder = control_plane.folder();
    let (kubeconfig, shown) = (folder.join("terminal.kubeconfig"), folder.join("terminal"));
    issuer::write_kubeconfig(&control_plane, (issuer::NAMESPACE, "tandem-issuer"), None, &kubeconfig).await?;
    let program = tools::program("tandem-issuer")?;
    // There are traces, whether or not anybody takes them.
    let run = format!("{} run --otlp-endpoint=http://127.0.0.1:9", program.display());
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--flush", "--command", &format!("{run} --kubeconfig={}", kubeconfig.display())]);
    let _issuer = Process::start(terminal.arg(&shown), &folder.join("terminal.log"), None)?;

    let space = control_plane.cluster().await?.space("terminal").await?;
    with_issuer(&space).await?;
    ask_plainly(&space, "leaf").await?;
    issued(&space, "leaf").await?;
    let issued = "Certificate fetched from issuer successfully";
    until(|| Ok(fs::read_to_string(&shown)?.contains(issued))).await?;
    let text = fs::read_to_string(&shown)?;
    let line = text.lines().find(|line| line.contains(issued)).context("no line")?;
    ensure!(line.contains("\u{1b}["), "no colours: {line:?}");
    let line = plain(line);
    let of = format!("issuer=TandemIssuer {}/internal-ca", space.name);
    let asked = format!("request=CertificateRequest.v1.cert-manager.io/leaf.{}", space.name);
    ensure!(line.contains(" INFO ") && line.contains(&of) && line.contains(&asked), "{line}");
    let trace = line.split_once("trace_id=").map(|(_, rest)| rest.chars().take_while(char::is_ascii_hexdigit).count());
    ensure!(trace == Some(32), "no trace: {line}");
    Ok(())
}
