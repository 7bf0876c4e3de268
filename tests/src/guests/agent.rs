//! QEMU's monitor and the guest agent: JSON in lines on Unix sockets.
//!
//! <https://www.qemu.org/docs/master/interop/qmp-spec.html>, <https://www.qemu.org/docs/master/interop/qemu-ga-ref.html>.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::machine::PATIENCE;

/// How long the first answer may take. Whoever asks before the guest listens gets none, and asks again.
const GREETING: Duration = Duration::from_secs(10);

/// A connection to one of the two.
#[derive(Debug)]
pub struct Line {
    stream: BufReader<UnixStream>,
}

/// How a command in the guest ended.
#[derive(Debug)]
pub struct Done {
    /// Its exit code; -1 where a signal ended it.
    pub code: i64,
    /// What it wrote to standard output and standard error.
    pub said: String,
}

impl Line {
    /// The monitor.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn monitor(socket: &Path) -> Result<Self> {
        let mut line = Self::connect(socket)?;
        line.read()?;
        line.call("qmp_capabilities", json!({}))?;
        Ok(line)
    }

    /// The guest agent, if it answers now.
    ///
    /// # Errors
    /// Where it does not.
    pub fn agent(socket: &Path) -> Result<Self> {
        let mut line = Self::connect(socket)?;
        // An answer to an earlier question may still come; the number says which one is ours.
        let id = next();
        line.write(&json!({"execute": "guest-sync", "arguments": {"id": id}}))?;
        while line.read()?["return"] != id {}
        // It is there. What it is asked now is not asked twice: a command would run twice.
        line.stream.get_ref().set_read_timeout(Some(PATIENCE))?;
        Ok(line)
    }

    fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| format!("{}", socket.display()))?;
        stream.set_read_timeout(Some(GREETING))?;
        stream.set_write_timeout(Some(GREETING))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn write(&mut self, message: &Value) -> Result<()> {
        let stream = self.stream.get_mut();
        Ok(stream.write_all(format!("{message}\n").as_bytes())?)
    }

    fn read(&mut self) -> Result<Value> {
        let mut text = String::new();
        if self.stream.read_line(&mut text)? == 0 {
            bail!("the line was closed");
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Asks and waits for the answer; events in between are nobody's.
    ///
    /// # Errors
    /// Where the answer is an error, or none comes.
    pub fn call(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.write(&json!({"execute": command, "arguments": arguments}))?;
        loop {
            let mut answer = self.read().with_context(|| command.to_owned())?;
            if !answer["error"].is_null() {
                bail!("{command}: {}", answer["error"]);
            }
            if answer.get("return").is_some() {
                return Ok(answer["return"].take());
            }
        }
    }

    /// Asks for something after which nobody may be there to answer.
    ///
    /// # Errors
    /// Where it cannot be said.
    pub fn tell(&mut self, command: &str, arguments: Value) -> Result<()> {
        self.write(&json!({"execute": command, "arguments": arguments}))
    }

    /// Runs a command in the guest to its end.
    ///
    /// # Errors
    /// Where the agent does not start it or goes away, or the command has no end within [`PATIENCE`]; how it ended is no error.
    pub fn run(&mut self, command: &[&str]) -> Result<Done> {
        let (program, arguments) = command.split_first().context("no command")?;
        let begun = Instant::now();
        let started = json!({"path": program, "arg": arguments, "capture-output": true});
        let pid = self.call("guest-exec", started)?["pid"].clone();
        loop {
            let status = self.call("guest-exec-status", json!({"pid": pid}))?;
            if status["exited"] == true {
                let mut said = String::new();
                for output in ["out-data", "err-data"] {
                    if let Some(data) = status.get(output) {
                        let bytes: ByteString = serde_json::from_value(data.clone())?;
                        said.push_str(&String::from_utf8_lossy(&bytes.0));
                    }
                }
                return Ok(Done { code: status["exitcode"].as_i64().unwrap_or(-1), said });
            }
            ensure!(begun.elapsed() < PATIENCE, "{command:?} still runs after {PATIENCE:?}");
            // The agent has no way to tell when.
            std::thread::park_timeout(Duration::from_millis(500));
        }
    }
}

/// A number that no earlier question had.
fn next() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
