//! A CronJob's schedule: what the API server admits, which reads it by `ParseStandard` of
//! <https://pkg.go.dev/github.com/robfig/cron/v3>, and when it runs.
//!
//! Crates that read cron's format read another one: `cron`, `saffron` and `jiff-cron` have seconds, years or weekdays from 1 on,
//! croner brings chrono, and cronexpr wants a zone; all admit what the API server refuses (a weekday of 7, `L`). In none does
//! `*/2` restrict the day as it does here. The calendar is jiff's.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use tandem_cli::shown;

/// Names of whole schedules.
const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The longest time between two runs: from one 29 February to the next, where a century has none. In days.
const LONGEST: usize = 8 * 366;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One of the five: its name, its least and greatest value, and names for its values from the least on.
struct Field {
    name: &'static str,
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day", min: 1, max: 31, names: &[] },
    Field { name: "month", min: 1, max: 12, names: &MONTHS },
    Field { name: "weekday", min: 0, max: 6, names: &WEEKDAYS },
];

/// The values of a field, each a bit, and whether it is `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Values {
    bits: u64,
    any: bool,
}

impl Values {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits & (1 << value) != 0)
    }
}

/// When something runs, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    minute: Values,
    hour: Values,
    day: Values,
    month: Values,
    weekday: Values,
}

/// What is wrong with a schedule and what to write, as the end of a sentence that begins with the field's path.
pub(crate) fn check(value: &str) -> Result<(), String> {
    let schedule = Schedule::read(value)?;
    // From a time on after which there is each day of each month.
    match schedule.next(Timestamp::UNIX_EPOCH) {
        Some(_) => Ok(()),
        None => Err(format!(
            "`{}` never runs: none of its months has such a day; write minute, hour, day, month and weekday, such as \"30 3 * * *\"",
            shown(value)
        )),
    }
}

impl Schedule {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong and what to write, as the end of a sentence that begins with the field's path.
    pub(crate) fn read(value: &str) -> Result<Self, String> {
        let text = MACROS.iter().find(|(name, _)| *name == value).map_or(value, |(_, text)| text);
        Self::fields(text).map_err(|wrong| {
            let value = shown(value);
            format!(
                "`{value}` is not a schedule: {wrong}; write minute, hour, day, month and weekday, such as \"30 3 * * *\""
            )
        })
    }

    fn fields(text: &str) -> Result<Self, String> {
        let fields: Vec<_> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("has {} fields", fields.len()));
        };
        let [minutes, hours, days, months, weekdays] = &FIELDS;
        Ok(Self {
            minute: minutes.read(minute)?,
            hour: hours.read(hour)?,
            day: days.read(day)?,
            month: months.read(month)?,
            weekday: weekdays.read(weekday)?,
        })
    }

    /// The first run after a time; `None` where it never runs.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.to_zoned(TimeZone::UTC).datetime();
        let mut earliest = Some((after.hour(), after.minute()));
        for date in after.date().series(1.day()).take(LONGEST + 2) {
            let passed = earliest.take();
            if !self.runs_on(date) {
                continue;
            }
            let hours = (0..24).filter(|hour| self.hour.has(*hour));
            let mut times = hours.flat_map(|hour| (0..60).map(move |minute| (hour, minute)));
            let time = times.find(|time| self.minute.has(time.1) && passed.is_none_or(|passed| *time > passed));
            if let Some((hour, minute)) = time {
                return date.at(hour, minute, 0, 0).to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp());
            }
        }
        None
    }

    /// Where both day and weekday are restricted, one of them is enough.
    fn runs_on(&self, date: Date) -> bool {
        let (day, weekday) = (self.day.has(date.day()), self.weekday.has(date.weekday().to_sunday_zero_offset()));
        let either = if self.day.any || self.weekday.any { day && weekday } else { day || weekday };
        either && self.month.has(date.month())
    }
}

impl Field {
    /// A list of numbers and ranges, perhaps with steps.
    fn read(&self, text: &str) -> Result<Values, String> {
        text.split(',').try_fold(Values { bits: 0, any: false }, |all, part| {
            let Values { bits, any } = self.part(part, text)?;
            Ok(Values { bits: all.bits | bits, any: all.any || any })
        })
    }

    fn part(&self, part: &str, whole: &str) -> Result<Values, String> {
        let name = self.name;
        let unread = || format!("{name} `{}` is no number, range or step", shown(whole));
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = step.map(|step| number(step).ok_or_else(unread)).transpose()?;
        if step == Some(0) {
            return Err(format!("{name} `{}` has no step above 0", shown(part)));
        }
        let (min, max) = (u32::from(self.min), u32::from(self.max));
        let any = matches!(range, "*" | "?");
        let (low, high) = if any {
            (min, max)
        } else {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (low, high) = (self.value(first).ok_or_else(unread)?, self.value(last).ok_or_else(unread)?);
            for (text, value) in [(first, low), (last, high)] {
                if value < min {
                    return Err(format!("{name} `{}` is below {min}", shown(text)));
                }
                if value > max {
                    return Err(format!("{name} `{}` is above {max}", shown(text)));
                }
            }
            if low > high {
                return Err(format!("{name} `{}` ends before it begins", shown(range)));
            }
            // A number with a step is the first of a range.
            (low, if step.is_some() && !range.contains('-') { max } else { high })
        };
        let step = step.unwrap_or(1);
        let bits =
            (low..=high).filter(|value| (value - low).is_multiple_of(step)).fold(0, |bits, value| bits | 1 << value);
        // Each second day is a restriction.
        Ok(Values { bits, any: any && step == 1 })
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        named.and_then(|at| u32::try_from(at).ok()).map(|at| at + u32::from(self.min)).or_else(|| number(text))
    }
}

/// Digits alone: what Rust reads as a number may have a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(schedule: &str, after: &str) -> Option<String> {
        Schedule::read(schedule).unwrap().next(after.parse().unwrap()).map(|time| time.to_string())
    }

    #[test]
    fn the_next_run_is_the_api_servers() {
        for (schedule, after, expected) in [
            ("30 3 * * 0", "2026-11-22T06:00:00Z", "2026-11-29T03:30:00Z"),
            // A run at that very time has been.
            ("30 3 * * 0", "2026-11-22T03:30:00Z", "2026-11-29T03:30:00Z"),
            ("30 3 * * 0", "2026-11-22T03:29:59.999Z", "2026-11-22T03:30:00Z"),
            ("0 0 1 1 *", "2026-12-15T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("@annually", "2026-12-15T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("@hourly", "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"),
            // The thirteenth, and every Friday.
            ("0 0 13 * fri", "2026-11-14T00:00:00Z", "2026-11-20T00:00:00Z"),
            ("0 0 13 * *", "2026-11-14T00:00:00Z", "2026-12-13T00:00:00Z"),
            ("0 0 * * FRI", "2026-11-14T00:00:00Z", "2026-11-20T00:00:00Z"),
            // Odd days, and Sundays as well; every day of the month does not restrict, and Mondays do.
            ("0 0 */2 * 0", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            ("0 0 */1 * 1", "2026-11-21T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("50/3 4 * * ?", "2026-11-21T04:50:00Z", "2026-11-21T04:53:00Z"),
            ("0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, after).as_deref(), Some(expected), "{schedule} after {after}");
        }
        assert_eq!(next("* * * * *", &Timestamp::MAX.to_string()), None);
        assert_eq!(next("0 0 30 2 *", "2026-11-21T00:00:00Z"), None);
    }

    #[test]
    fn what_never_runs_is_refused() {
        for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30-31 feb *"] {
            let why = format!("`{never}` never runs: none of its months has such a day; ");
            assert!(check(never).is_err_and(|found| found.starts_with(&why)), "{never}");
        }
        for runs in ["0 0 29 2 *", "0 0 30 2 0", "0 0 30 1-2 *", "@yearly"] {
            assert_eq!(check(runs), Ok(()), "{runs}");
        }
    }

    /// A field, and what it is meant to have.
    fn field(min: u8, max: u8) -> impl Strategy<Value = (String, Vec<u8>)> {
        let all = move |step: u8| (min..=max).step_by(step.into()).collect::<Vec<_>>();
        prop_oneof![
            Just(("*".to_owned(), all(1))),
            (2_u8..9).prop_map(move |step| (format!("*/{step}"), all(step))),
            (min..=max).prop_map(|value| (value.to_string(), vec![value])),
            (min..=max, 1_u8..9)
                .prop_map(move |(low, step)| (format!("{low}/{step}"), (low..=max).step_by(step.into()).collect())),
            (min..=max, min..=max)
                .prop_map(|(a, b)| (format!("{}-{}", a.min(b), a.max(b)), (a.min(b)..=a.max(b)).collect())),
            (min..=max, min..=max).prop_map(|(a, b)| (format!("{a},{b}"), vec![a, b])),
        ]
    }

    proptest! {
        /// Every minute is asked, for three weeks.
        #[test]
        fn the_next_run_is_the_first_minute_that_fits(
            minute in field(0, 59), hour in field(0, 23), day in field(1, 31), month in field(1, 12), weekday in field(0, 6),
            second in 1_700_000_000_i64..2_000_000_000,
        ) {
            let text = [&minute.0, &hour.0, &day.0, &month.0, &weekday.0].map(String::as_str).join(" ");
            let after = Timestamp::from_second(second).unwrap();
            let fits = |time: &Timestamp| {
                let time = time.to_zoned(TimeZone::UTC);
                let has = |field: &(String, Vec<u8>), value: i8| field.1.contains(&value.try_into().unwrap());
                let days = [has(&day, time.day()), has(&weekday, time.weekday().to_sunday_zero_offset())];
                let day = if day.0 == "*" || weekday.0 == "*" { days[0] && days[1] } else { days[0] || days[1] };
                has(&minute, time.minute()) && has(&hour, time.hour()) && day && has(&month, time.month())
            };
            let first = second - second.rem_euclid(60) + 60;
            let minutes = (0..21 * 1440).map(|minute| Timestamp::from_second(first + minute * 60).unwrap());
            let found = Schedule::read(&text).unwrap().next(after);
            match minutes.into_iter().find(fits) {
                Some(expected) => prop_assert_eq!(found, Some(expected), "{}", text),
                None => prop_assert!(found.is_none_or(|found| found.as_second() >= first + 21 * 86_400), "{}", text),
            }
        }
    }
}
