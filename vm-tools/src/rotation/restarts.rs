//! A CronJob that restarts a VM for a renewed certificate: when, and whether that is in time.

use jiff::Timestamp;
use tandem_cli::shown;

use super::{
    Divergence, Event,
    renewal::{Timelines, after},
};
use crate::{
    model::{Cron, Workload},
    probe::certificate::span,
    schedule::Schedule,
};

/// How far clocks are ahead of UTC at most, and behind it, in seconds.
const EAST: i64 = 14 * 3600;
const WEST: i64 = 12 * 3600;

/// A CronJob that restarts a VM when what it serves is stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Restarter {
    who: String,
    /// As it is written.
    schedule: String,
    /// Where that is not UTC.
    zone: Option<String>,
    /// Its dates, or why it has none.
    dates: Result<Schedule, &'static str>,
}

impl Restarter {
    pub(super) fn of(job: &Workload) -> Option<Self> {
        let Cron { schedule, time_zone, suspended } = job.cron.as_ref()?;
        let utc = |zone: &&String| ["UTC", "Etc/UTC"].iter().any(|utc| zone.eq_ignore_ascii_case(utc));
        let dates = match Schedule::read(schedule) {
            _ if *suspended => Err("is suspended"),
            Ok(read) => Ok(read),
            Err(_) => Err("has a schedule whose dates are not known"),
        };
        let zone = time_zone.as_ref().filter(|zone| !utc(zone)).map(|zone| shown(zone));
        Some(Self { who: job.meta.to_string(), schedule: shown(schedule), zone, dates })
    }

    /// The first run after a time. In a zone other than UTC, which is not looked up: when it has been, wherever that is.
    fn next(&self, time: Timestamp) -> Result<Timestamp, &'static str> {
        let dates = self.dates?;
        let next = match self.zone {
            None => dates.next(time),
            Some(_) => dates.next(after(time, EAST)).map(|run| after(run, WEST)),
        };
        next.ok_or("has a schedule that never comes")
    }

    /// When that is, in words.
    fn when(&self, run: Result<Timestamp, &'static str>) -> String {
        match (run, &self.zone) {
            (Ok(run), None) => format!("at {run}"),
            (Ok(run), Some(zone)) => format!("at {run} at the latest (its time zone is {zone})"),
            (Err(why), _) => format!("which {why} (`{}`)", self.schedule),
        }
    }
}

/// Each restart of a VM, from the present certificate on, and the first time that one comes too late.
pub(super) fn restarts(
    timelines: &Timelines<'_>,
    index: usize,
    (who, job): (&str, &Restarter),
    events: &mut Vec<Event>,
) -> Option<Divergence> {
    let generations = &timelines.all.get(index)?.generations;
    let mut late = None;
    let mut add = |time, what| events.push(Event { time, who: who.to_owned(), what });
    let mut at = 0;
    while let (Some(served), Some(next)) = (generations.get(at), generations.get(at + 1)) {
        if next.issued > timelines.until {
            break;
        }
        let run = job.next(next.issued);
        let (number, when) = (served.number, job.when(run));
        add(next.issued, format!("serves certificate {number} until {} restarts it, {when}", job.who));
        let end = timelines.chain_end(index, *served);
        // Where its authority ends before the renewal, no restart helps.
        let in_time = run.is_ok_and(|run| run < end);
        if !in_time && next.issued < end && end <= timelines.until {
            add(end, format!("certificate {number}, which it still has, has ended"));
            late.get_or_insert_with(|| too_late(who, job, &when, number, (next.issued, end)));
        }
        let Ok(run) = run else { break };
        if run > timelines.until {
            break;
        }
        at = generations.partition_point(|generation| generation.issued < run).saturating_sub(1);
        let number = generations.get(at).map_or(number, |generation| generation.number);
        add(run, format!("has been restarted by {}: serves certificate {number}", job.who));
    }
    late
}

fn too_late(
    who: &str,
    job: &Restarter,
    when: &str,
    number: usize,
    (issued, end): (Timestamp, Timestamp),
) -> Divergence {
    let left = end.as_second() - issued.as_second();
    let often = match left {
        90_000.. => "30 3 * * *",
        7_200.. => "30 * * * *",
        _ => "*/5 * * * *",
    };
    Divergence {
        from: end,
        who: who.to_owned(),
        why: format!("serves certificate {number}, which has ended: it is restarted by {}, {when}", job.who),
        change: format!(
            "a run is needed within the {} between each renewal and the end of the certificate before: schedule the CronJob more \
             often, such as \"{often}\" instead of \"{}\" (restartStale.schedule of a DatabaseVM), or renew earlier, by a longer \
             renewBefore",
            span(left),
            job.schedule
        ),
    }
}
