//! What can be said when all other tests have run, or nearly: tests are started in the order of their names.

use std::{
    fs::File,
    io::{BufRead, BufReader},
};

use anyhow::{Result, ensure};
use tandem_tests::issuer::NAMESPACE;

use crate::{
    environment::{AUDIT_LOG, shared, space_with_issuer},
    requests::{ask_plainly, issued},
    rights::right::{Heard, hear},
};

/// The issuer that all share has the chart's rights: nothing that the tests made it do was denied, but for Secrets in
/// namespaces where nobody had opened them.
#[tokio::test]
async fn nothing_was_denied_but_secrets_that_nobody_had_opened() -> Result<()> {
    // It has done something, whichever tests were chosen.
    let (space, _) = space_with_issuer("whole-suite").await?;
    ask_plainly(&space, "leaf").await?;
    issued(&space, "leaf").await?;
    let audit = BufReader::new(File::open(shared()?.control_plane.folder().join(AUDIT_LOG))?);
    let mut allowed = 0;
    // The last line may still be written.
    for line in audit.lines().collect::<Result<Vec<_>, _>>()?.iter().filter(|line| line.ends_with('}')) {
        match hear(line)? {
            Heard::Nothing => {}
            Heard::Allowed(_) => allowed += 1,
            Heard::Denied(call, message) => {
                let elsewhere = call.role.namespace.as_deref().is_some_and(|place| place != NAMESPACE);
                ensure!(call.resource == "secrets" && elsewhere, "{call}: {message}");
            }
        }
    }
    ensure!(allowed > 0, "the issuer is not in the audit log");
    Ok(())
}
