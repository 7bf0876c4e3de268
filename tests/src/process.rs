//! A child process that does not outlive its value, nor this process.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::channel,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to stop after SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a process may take until it is ready, on a busy machine as well.
const READY: Duration = Duration::from_secs(300);

/// What ends a process and deletes a folder when its standard input ends: when this process is gone without having run
/// its destructors. Those of statics never run, and a killed process runs none. What does not stop is killed.
const GUARD: &str = r#"trap '' INT TERM HUP; read -r never; kill -TERM "$1"
patience=200
while kill -0 "$1" && [ "$patience" -gt 0 ]; do sleep 0.1; patience=$((patience - 1)); done
[ "$patience" -gt 0 ] || kill -KILL "$1"
if [ -n "$2" ]; then rm -rf -- "$2"; fi"#;

/// A running child. Its standard error goes to a file; dropping it sends SIGTERM and waits.
#[derive(Debug)]
pub struct Process {
    child: Child,
    guard: Child,
    /// Where its standard error goes.
    pub log: PathBuf,
}

impl Process {
    /// Starts `command`, with standard error at the end of the file `log` and a standard input that ends when this
    /// process does. Then it is stopped as well, and `folder`, if given, is deleted.
    ///
    /// # Errors
    /// Where the file cannot be made or the program does not start.
    pub fn start(command: &mut Command, log: &Path, folder: Option<&Path>) -> Result<Self> {
        let errors =
            File::options().create(true).append(true).open(log).with_context(|| format!("{}", log.display()))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("{} does not start", command.get_program().to_string_lossy()))?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(child.id().to_string())
            .arg(folder.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            // It lives a little longer than this process, and must not hold open what others read to its end.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(guard) => Ok(Self { child, guard, log: log.to_owned() }),
            Err(error) => {
                child.kill()?;
                Err(error).context("sh does not start")
            }
        }
    }

    /// Waits for the first line on its standard output.
    ///
    /// # Errors
    /// Where it ends before it has written one, or does not write one; then with the end of its log.
    pub fn first_line(&mut self) -> Result<String> {
        let output: ChildStdout = self.child.stdout.take().context("its standard output was read before")?;
        let (send, first) = channel();
        std::thread::spawn(move || {
            let (mut line, mut output) = (String::new(), BufReader::new(output));
            // Nothing was read where it could not be, and nothing is done where nobody waits any more.
            let _ = output.read_line(&mut line);
            let _ = send.send(line);
            // What comes after it must go somewhere.
            let _ = std::io::copy(&mut output, &mut std::io::sink());
        });
        let Ok(line) = first.recv_timeout(READY) else {
            bail!("it was not ready within {READY:?}:\n{}", self.log_tail())
        };
        if line.is_empty() {
            let status = self.child.wait()?;
            bail!("it ended ({status}) before it was ready:\n{}", self.log_tail());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    /// Kills it, as `kill -9` does, and waits for its end.
    ///
    /// # Errors
    /// Where the system does not say that it ended.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it where it is (SIGSTOP), or has it go on (SIGCONT).
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn pause(&self, paused: bool) -> Result<()> {
        self.signal(if paused { Signal::STOP } else { Signal::CONT })
    }

    /// Waits for its end, for which something else has seen to it; kills what does not end.
    ///
    /// # Errors
    /// Where the system does not say how it ended, or it did not end by itself.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        self.kill()?;
        bail!("it did not end within {PATIENCE:?}:\n{}", self.log_tail())
    }

    /// Tells it to stop (SIGTERM), without waiting for that.
    ///
    /// # Errors
    /// Where the system refuses, such as where it has ended and been waited for.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Sends SIGTERM and waits for the end; kills what does not end. Returns whether it ended with code 0.
    ///
    /// # Errors
    /// Where the system does not say how it ended.
    pub fn stop(&mut self) -> Result<bool> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status.success());
        }
        self.terminate()?;
        Ok(self.wait().is_ok_and(|status| status.success()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A destructor can tell nobody; the process was told to stop or is dead already.
        let _ = self.stop();
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}
