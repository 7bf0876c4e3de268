//! CronJobs that restart VMs with a disk, and whether they come in time.

use insta::assert_snapshot;
use jiff::Timestamp;
use proptest::prelude::*;

use super::{NOW, by_disk, certificate, object, planned, run, settings};
use crate::support::example;

/// A CronJob that restarts VMs.
fn restarts(arguments: &str, when: &str) -> String {
    let container = format!("{{name: restart, image: i, command: [tandem-vm], args: [stale, --restart, {arguments}]}}");
    let spec = format!("{{{when}, jobTemplate: {{spec: {{template: {{spec: {{containers: [{container}]}}}}}}}}}}");
    object("batch/v1", "CronJob", "orders-restart", &spec)
}

#[test]
fn a_cron_job_that_restarts_the_vm_keeps_a_disk_fresh() {
    let with = |arguments: &str| {
        let job = restarts(arguments, "schedule: '0 3 * * *'");
        planned(&(certificate("orders", "orders-tls", "elsewhere", "") + &by_disk() + &job), &settings(2))
    };
    assert!(with("--vm=orders-vm").holds);
    assert!(!with("--vm, other-vm").holds);
    let plan = with("--vm, orders-vm");
    assert!(plan.holds);
    let of_vm: Vec<_> = plan.certificates[0].events.iter().filter(|event| event.who.contains("orders-vm")).collect();
    let told: Vec<_> = of_vm.iter().map(|event| format!("{} {}", event.time, event.what)).collect();
    assert_eq!(
        told[..2],
        [
            "2027-01-20T12:00:00Z serves certificate 1 until CronJob shop/orders-restart restarts it, at 2027-01-21T03:00:00Z",
            "2027-01-21T03:00:00Z has been restarted by CronJob shop/orders-restart: serves certificate 2",
        ]
    );
}

/// Of a CronJob that comes too late: the first time, and all that is said.
fn late(lifetime: &str, when: &str, count: u32) -> Option<(String, String)> {
    let leaf = certificate("orders", "orders-tls", "elsewhere", lifetime);
    let plan = planned(&(leaf + &by_disk() + &restarts("--vm, orders-vm", when)), &settings(count));
    let divergences = &plan.certificates[0].divergences;
    assert!(divergences.len() <= 1, "{}", plan.text());
    divergences.first().map(|found| (found.from.to_string(), plan.text()))
}

#[test]
fn a_cron_job_that_runs_too_seldom_parts_them_when_the_old_certificate_ends() {
    let day = ", duration: 24h, renewBefore: 6h";
    // Saturday noon, and Sundays at half past three.
    assert_snapshot!(late(day, "schedule: '30 3 * * 0'", 2).unwrap().1);
    for (lifetime, when, from, said) in [
        (", duration: 720h", "schedule: '0 0 1 1 *'", "2026-12-21T12:00:00Z", "at 2027-01-01T00:00:00Z"),
        (day, "schedule: '0 0 30 2 *'", "2026-11-22T12:00:00Z", "which has a schedule that never comes (`0 0 30 2 *`)"),
        (day, "schedule: '@hourly', suspend: true", "2026-11-22T12:00:00Z", "which is suspended (`@hourly`)"),
        (
            day,
            "schedule: '@every 1h'",
            "2026-11-22T12:00:00Z",
            "which has a schedule whose dates are not known (`@every 1h`)",
        ),
        // A run at the very end is too late.
        (day, "schedule: '0 12 * * *'", "2026-11-22T12:00:00Z", "at 2026-11-22T12:00:00Z"),
        // Somewhere on earth.
        (
            day,
            "schedule: '30 3 * * *', timeZone: Europe/Berlin",
            "2026-11-22T12:00:00Z",
            "at 2026-11-23T15:30:00Z at the latest (its time zone is Europe/Berlin)",
        ),
    ] {
        let (found, text) = late(lifetime, when, 2).unwrap_or_else(|| panic!("{when} is in time"));
        assert!(found == from && text.contains(said), "{when}\n{text}");
    }
    for (lifetime, when) in [
        (day, "schedule: '30 * * * *'"),
        (day, "schedule: '30 * * * *', timeZone: Etc/UTC"),
        (day, "schedule: '59 11 * * *'"),
        (", duration: 720h", "schedule: '30 3 * * 0'"),
        (", duration: 720h", "schedule: '30 3 * * *', timeZone: Europe/Berlin"),
    ] {
        assert_eq!(late(lifetime, when, 1), None, "{when}");
    }
}

/// What is looked at is the same by a DatabaseVM.
#[test]
fn the_schedule_of_a_document_is_looked_at() {
    let with = |schedule: &str| {
        example("databasevm.yaml")
            + &format!("\n  restartStale: {{schedule: {schedule:?}, image: registry.example/tandem-vm:0.1}}\n")
    };
    let (code, text) = run(&with("30 3 * * *"), &["--now", NOW]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&with("0 0 1 1 *"), &["--now", NOW]);
    assert!(
        code == Some(1) && text.contains(" such as \"30 3 * * *\" instead of \"0 0 1 1 *\" (restartStale.schedule"),
        "{text}"
    );
}

proptest! {
    /// Hour by hour: what is renewed, then restarted at this hour, then ended.
    #[test]
    fn a_restart_is_in_time_where_no_hour_has_an_ended_certificate(
        duration in 2..200_i64, before in 1..200_i64, hour in 0..24_i64, every_day in proptest::bool::ANY, count in 1..6_u32,
    ) {
        let before = before.min(duration - 1);
        let lifetime = format!(", duration: {duration}h, renewBefore: {before}h");
        // NOW is a Saturday's noon; the runs are half an hour after the hour.
        let found = late(&lifetime, &format!("schedule: '30 {hour} * * {}'", if every_day { "*" } else { "0" }), count);
        let end_of = |number: i64| (number - 1) * (duration - before) + duration;
        let (mut served, mut expected) = (1, None);
        for now in 0..=end_of(i64::from(count)) {
            if now == end_of(served) && expected.is_none() {
                expected = Some(now);
            }
            if (now + 12) % 24 == hour && (every_day || ((now + 12) / 24) % 7 == 1) {
                served = now / (duration - before) + 1;
            }
        }
        let now: Timestamp = NOW.parse().unwrap();
        let expected = expected.map(|hours| Timestamp::from_second(now.as_second() + hours * 3600).unwrap().to_string());
        prop_assert_eq!(found.map(|(from, _)| from), expected);
    }
}
