//! A CronJob's schedule: what the API server admits, which reads it by `ParseStandard` of
//! <https://pkg.go.dev/github.com/robfig/cron/v3>. Crates that read cron's format admit others (a weekday of 7, `L`, seconds),
//! and bring a calendar along.

use tandem_cli::shown;

const MACROS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

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

/// What is wrong with a schedule and what to write, as the end of a sentence that begins with the field's path.
pub(crate) fn check(value: &str) -> Result<(), String> {
    if MACROS.contains(&value) {
        return Ok(());
    }
    let fields: Vec<_> = value.split_ascii_whitespace().collect();
    let wrong = if fields.len() == FIELDS.len() {
        FIELDS.iter().zip(fields).find_map(|(field, text)| field.check(text).err())
    } else {
        Some(format!("has {} fields", fields.len()))
    };
    wrong.map_or(Ok(()), |wrong| {
        let value = shown(value);
        Err(format!(
            "`{value}` is not a schedule: {wrong}; write minute, hour, day, month and weekday, such as \"30 3 * * *\""
        ))
    })
}

impl Field {
    /// A list of numbers and ranges, perhaps with steps.
    fn check(&self, text: &str) -> Result<(), String> {
        text.split(',').try_for_each(|part| self.part(part, text))
    }

    fn part(&self, part: &str, whole: &str) -> Result<(), String> {
        let name = self.name;
        let unread = || format!("{name} `{}` is no number, range or step", shown(whole));
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        if let Some(step) = step {
            let step: u32 = number(step).ok_or_else(unread)?;
            if step == 0 {
                return Err(format!("{name} `{}` has no step above 0", shown(part)));
            }
        }
        if matches!(range, "*" | "?") {
            return Ok(());
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (low, high) = (self.value(first).ok_or_else(unread)?, self.value(last).ok_or_else(unread)?);
        for (text, value) in [(first, low), (last, high)] {
            if value < u32::from(self.min) {
                return Err(format!("{name} `{}` is below {}", shown(text), self.min));
            }
            if value > u32::from(self.max) {
                return Err(format!("{name} `{}` is above {}", shown(text), self.max));
            }
        }
        if low > high { Err(format!("{name} `{}` ends before it begins", shown(range))) } else { Ok(()) }
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
