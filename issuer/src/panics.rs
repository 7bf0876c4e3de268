//! A panic is a fault of ours. Its message may quote what was being read, so only its place is told.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    cell::Cell,
    io::Write,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook},
};

thread_local! {
    static ISOLATED: Cell<bool> = const { Cell::new(false) };
}

/// The work panicked; where, is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// From now on a panic ends the process, wherever it happens, so that nothing goes on without a part of it; except within
/// [`isolate`].
pub(crate) fn end_the_process() {
    set_hook(Box::new(|info| {
        tell(info);
        if !ISOLATED.get() {
            // The code with which a panic of the main thread ends a process.
            std::process::exit(101);
        }
    }));
}

/// Runs what reads other people's bytes: whoever wrote them must not be able to stop the issuer for everybody.
pub(crate) fn isolate<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    ISOLATED.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    ISOLATED.set(false);
    done.map_err(|_| Panicked)
}

fn tell(info: &PanicHookInfo<'_>) {
    const WHAT: &str = "a fault of tandem-issuer's own: please report it";
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    // By RUST_BACKTRACE. It names functions and lines, and no values.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    if tracing::dispatcher::has_been_set() {
        tracing::error!(place, backtrace, "{WHAT}");
    } else {
        let text = format!("{WHAT}: {place}\n{}", backtrace.unwrap_or_default());
        // Nothing is left to do where even this cannot be written.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use tandem_issuer_core::{Authority, authority::Material, signer::LocalKey};
    use tandem_tests::canary::Canary;
    use tracing_subscriber::filter::{LevelFilter, Targets};

    use super::*;

    const HOW: &str = "TANDEM_TEST_PANIC";

    /// This very test once more, as a process of its own that ends by a panic.
    fn panicking(how: &str) -> Output {
        let test = "panics::tests::a_panic_ends_the_process_and_tells_no_key";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        command.env(HOW, how).env("RUST_BACKTRACE", "full").output().unwrap()
    }

    /// Panics with keys in hand, in the way in which it is told to.
    fn panic(how: &str) -> ! {
        end_the_process();
        if how != "without-log" {
            let everything = Targets::new().with_default(LevelFilter::TRACE);
            crate::telemetry::log_to_stderr(crate::args::LogFormat::Text, everything, None);
        }
        let (certificate, pem) = (certificate(), key());
        let material = Material { certificates: Some(certificate.as_bytes()), key: Some(pem.as_bytes()), roots: None };
        let key = LocalKey::from_pem(pem.as_bytes()).unwrap();
        let authority = Authority::from_secret(material).unwrap();
        tracing::trace!(?key, ?authority, "in hand");
        match how {
            // A slice of text that is cut at the wrong place quotes the text.
            "quoting" | "without-log" => drop(format!("ä{pem}")[1..].to_owned()),
            "debugging" => panic!("{key:?} {authority:?} {pem}"),
            "isolated" => {
                assert!(isolate(|| 7) == Ok(7) && isolate(|| panic!("{pem}")) == Err::<(), _>(Panicked));
                // What follows is not.
                panic!("{pem}");
            }
            "in-a-task" => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async {
                    tokio::spawn(async move { panic!("{pem}") });
                    // Far longer than the process lives.
                    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
                });
            }
            other => unreachable!("{other}"),
        }
        unreachable!("it did not panic");
    }

    /// The same in each process.
    fn key() -> String {
        include_str!("../core/tests/data/ca-pkcs8.key").to_owned()
    }

    fn certificate() -> String {
        include_str!("../core/tests/data/ca-sec1.crt").to_owned()
    }

    #[test]
    fn a_panic_ends_the_process_and_tells_no_key() {
        if let Some(how) = std::env::var_os(HOW) {
            panic(how.to_str().unwrap());
        }
        let canary = Canary::of(&[&key()], &[&certificate()]).unwrap();
        for (how, panics) in [("quoting", 1), ("without-log", 1), ("debugging", 1), ("isolated", 2), ("in-a-task", 1)] {
            let output = panicking(how);
            let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(101), "{how}: {told}");
            assert_eq!(told.matches("please report it").count(), panics, "{how}: {told}");
            assert!(told.contains("panics.rs:") && told.contains("rust_begin_unwind"), "{how}: not where: {told}");
            assert!(told.contains("redacted") || how == "without-log", "{how}: the keys were not at hand: {told}");
            let leaks = canary.find(&told);
            assert!(leaks.is_empty(), "{how}: {leaks:?} in {told}");
        }
    }
}
