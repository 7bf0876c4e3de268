//! What can be said when all other tests have run: tests are started in the order of their names, several at a time, and this one
//! waits for those before it. What is done on control planes of their own is not judged here; `rights` does for two of them.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::Value;
use tandem_tests::issuer::NAMESPACE;
use tokio::time::{interval, timeout};

use crate::{
    environment::{AUDIT_LOG, Environment, shared, space_with_issuer, without_approver},
    leadership::replicas::{about_lease, asked, follower, until},
    requests::{ask_plainly, issued},
    rights::right::{Heard, Right, covers, granted, hear},
};

/// Whether all tests run, and not those alone that somebody has chosen.
fn all_run() -> bool {
    std::env::args().skip(1).all(|argument| argument.starts_with("--") && !argument.starts_with("--skip"))
}

/// Waits until no other test uses the control planes that tests share; none is begun after this one. Not for ever, lest a client that
/// is kept somewhere stops all: then what was done so far is judged. How many clients of others are still there.
async fn others_are_through(own: usize) -> Result<usize> {
    let users = || anyhow::Ok(shared()?.control_plane.users() + without_approver()?.control_plane.users());
    let mut look = interval(Duration::from_millis(200));
    let through = async {
        while users()? > own {
            look.tick().await;
        }
        anyhow::Ok(())
    };
    timeout(Duration::from_secs(600), through).await.unwrap_or(Ok(()))?;
    Ok(users()?.saturating_sub(own))
}

/// What the issuer of an environment was allowed, by the audit log up to now. Nothing was denied to it, but Secrets in
/// namespaces where nobody had opened them.
fn judged(environment: &Environment) -> Result<BTreeSet<Right>> {
    let audit = BufReader::new(File::open(environment.control_plane.folder().join(AUDIT_LOG))?);
    let mut allowed = BTreeSet::new();
    // The last line may still be written.
    for line in audit.lines().collect::<Result<Vec<_>, _>>()?.iter().filter(|line| line.ends_with('}')) {
        match hear(line)? {
            Heard::Nothing => {}
            Heard::Allowed(call) => allowed.extend(call),
            Heard::Denied(call, message) => {
                let elsewhere = call.role.namespace.as_deref().is_some_and(|place| place != NAMESPACE);
                ensure!(call.resource == "secrets" && elsewhere, "{call}: {message}");
            }
        }
    }
    Ok(allowed)
}

/// The issuer that all share has the chart's rights and its pods' arguments. Nothing that the tests made it do was denied, but
/// for Secrets in namespaces where nobody had opened them; and the tests together have made use of each right.
#[tokio::test]
async fn what_the_chart_grants_is_what_the_tests_needed_together() -> Result<()> {
    // It has done something, whichever tests were chosen.
    let (space, _) = space_with_issuer("whole-suite").await?;
    ask_plainly(&space, "leaf").await?;
    issued(&space, "leaf").await?;
    let others = others_are_through(1).await?;
    // One right is a follower's alone.
    let _second = follower(&shared()?.control_plane, "second", &[], None).await?;
    let watches = |call: &Value| about_lease(call) && call["verb"] == "watch";
    until(|| Ok(asked(&shared()?.control_plane, "second")?.iter().any(watches))).await?;
    let allowed = judged(shared()?)?;
    judged(without_approver()?)?;
    ensure!(!allowed.is_empty(), "the issuer is not in the audit log");
    // What tests granted in namespaces of their own is not the chart's.
    let of_the_chart = |right: &Right| right.role.namespace.as_deref().is_none_or(|place| place == NAMESPACE);
    let granted: Vec<_> = granted(&space.cluster).await?.into_iter().filter(of_the_chart).collect();
    ensure!(granted.len() > 20, "rights were left out: {granted:#?}");
    let unused = granted.iter().filter(|right| !allowed.iter().any(|call| covers(right, call)));
    let unused: Vec<_> = unused.map(ToString::to_string).collect();
    ensure!(unused.is_empty() || !all_run(), "granted, and not used by any test: {unused:#?}");
    println!("of {} rights these were not used: {unused:?}; {others} clients of others were left", granted.len());
    Ok(())
}
