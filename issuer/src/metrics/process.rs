//! What Prometheus' own libraries tell of any process, under the same names.
//!
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>

use std::{
    fs,
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::metrics::MetricType::{Counter, Gauge};
use rustix::{
    param::page_size,
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::catalog::Catalog;

/// When this was asked for first, which is at the start.
static STARTED: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

pub(super) fn describe(catalog: &mut Catalog) {
    LazyLock::force(&STARTED);
    catalog.process("process_cpu_seconds", Counter, "User and system CPU time spent", cpu);
    catalog.process("process_resident_memory_bytes", Gauge, "Resident memory", resident_memory);
    catalog.process("process_start_time_seconds", Gauge, "When the process started", started);
    catalog.process("process_open_fds", Gauge, "Open file descriptors", open_files);
    catalog.process("process_max_fds", Gauge, "How many file descriptors may be open", most_files);
}

fn cpu() -> Option<f64> {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok().map(|time| time.as_secs_f64())
}

/// The second number of `/proc/self/statm`, in pages: proc(5).
fn resident_memory() -> Option<f64> {
    let numbers = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u32 = numbers.split_whitespace().nth(1)?.parse().ok()?;
    Some(f64::from(pages) * f64::from(u32::try_from(page_size()).ok()?))
}

fn started() -> Option<f64> {
    STARTED.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
}

fn open_files() -> Option<f64> {
    let files = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the folder that was just read.
    u32::try_from(files).ok()?.checked_sub(1).map(f64::from)
}

fn most_files() -> Option<f64> {
    getrlimit(Resource::Nofile).current.and_then(|limit| u32::try_from(limit).ok()).map(f64::from)
}
