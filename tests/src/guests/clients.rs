//! Those who connect to a guest: pymongo, psql and redis-cli, each a process that keeps its connection, and OpenSSL, which shows what
//! certificate is served.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Parts;
use crate::tools;

/// How long who must succeed may take: under emulation, with other tests beside it.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long pymongo tries to connect: less, so that it says why it did not.
const TRIES: Duration = Duration::from_secs(60);

/// How long who is refused goes on trying, as pymongo does.
const PERSISTENCE: Duration = Duration::from_secs(15);

/// A program that answers each line with a line.
#[derive(Debug)]
pub struct Talk {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Talk {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("it does not start")?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        // Read aside, so that a silent one is noticed.
        let (send, answers) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Ok(Self { child, input, answers })
    }

    /// Says a line and waits for the answer.
    ///
    /// # Errors
    /// Where it ended, or is silent.
    pub fn say(&mut self, line: &str) -> Result<String> {
        writeln!(self.input, "{line}")?;
        match self.answers.recv_timeout(PATIENCE) {
            Ok(answer) => Ok(answer.trim_end().to_owned()),
            Err(RecvTimeoutError::Timeout) => bail!("{line}: no answer within {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("{line}: it ended without an answer ({})", self.child.wait()?),
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // A destructor can tell nobody.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How pymongo connects.
#[derive(Clone, Debug)]
pub struct MongoClient {
    /// The name that is dialled, and that the certificate must hold.
    pub host: String,
    /// The authorities to trust; None is a client without TLS.
    pub ca: Option<PathBuf>,
    /// The client's own key and certificate in one PEM file.
    pub certificate: Option<PathBuf>,
}

impl MongoClient {
    /// A running pymongo, connected at its first command to the forwarded port.
    ///
    /// # Errors
    /// Where Python does not start.
    pub fn start(&self, parts: &Parts, port: u16) -> Result<Mongo> {
        self.trying_for(TRIES, parts, port)
    }

    fn trying_for(&self, limit: Duration, parts: &Parts, port: u16) -> Result<Mongo> {
        let mut options = json!({
            "uri": format!("mongodb://{}:27017/", self.host),
            "address": "127.0.0.1",
            "port": port,
            "tls": self.ca.is_some(),
            // A refusal is tried again until then, and an answer waited for.
            "serverSelectionTimeoutMS": limit.as_millis(),
            "connectTimeoutMS": limit.as_millis(),
            "socketTimeoutMS": limit.as_millis(),
            "maxPoolSize": 1,
        });
        if let Some(ca) = &self.ca {
            options["tlsCAFile"] = json!(ca);
        }
        if let Some(certificate) = &self.certificate {
            options["tlsCertificateKeyFile"] = json!(certificate);
        }
        let mut command = Command::new(&parts.python);
        command.arg(tools::root().join("tests/guest/client.py")).arg(options.to_string());
        Ok(Mongo(Talk::start(&mut command)?))
    }

    /// Why a ping is refused.
    ///
    /// # Errors
    /// Where it is not.
    pub fn refused(&self, parts: &Parts, port: u16) -> Result<String> {
        let mut answer = self.trying_for(PERSISTENCE, parts, port)?.ask("ping")?;
        // Without a reason of the server's, it has had no answer yet: a guest takes its time on a busy machine.
        if ["timed out", "No servers found yet"]
            .iter()
            .any(|late| answer["error"].as_str().unwrap_or_default().contains(late))
        {
            answer = self.trying_for(TRIES, parts, port)?.ask("ping")?;
        }
        let why = answer["error"].as_str().with_context(|| format!("{self:?} was let in: {answer}"))?;
        Ok(why.to_owned())
    }
}

/// A running pymongo.
#[derive(Debug)]
pub struct Mongo(Talk);

impl Mongo {
    fn ask(&mut self, command: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.0.say(command)?)?)
    }

    /// A command that must succeed; the answer.
    ///
    /// # Errors
    /// What pymongo said.
    pub fn run(&mut self, command: &str) -> Result<Value> {
        let answer = self.ask(command)?;
        ensure!(answer["error"].is_null(), "pymongo: {command}: {}", answer["error"]);
        Ok(answer)
    }
}

/// psql with the server's name and authorities.
#[derive(Clone, Debug)]
pub struct PostgresClient {
    /// libpq's connection parameters, but for the address and port.
    pub parameters: String,
}

impl PostgresClient {
    fn command(&self, port: u16) -> Command {
        let mut command = Command::new("psql");
        // hostaddr stands for the cluster's DNS; the name that is verified is `host`.
        command.args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--dbname"]);
        command.arg(format!(
            "{} hostaddr=127.0.0.1 port={port} connect_timeout={}",
            self.parameters,
            PATIENCE.as_secs()
        ));
        // Nothing of the caller's may help, and messages are compared.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent");
        command
    }

    /// Runs one query on a connection of its own.
    ///
    /// # Errors
    /// What psql said.
    pub fn query(&self, port: u16, query: &str) -> Result<String> {
        Ok(tools::output_within(PATIENCE, self.command(port).arg("--command").arg(query))?.trim_end().to_owned())
    }

    /// A running psql.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(&self, port: u16) -> Result<Talk> {
        Talk::start(&mut self.command(port))
    }
}

/// redis-cli, which verifies the chain and no name.
#[derive(Clone, Debug)]
pub struct RedisClient {
    /// The authorities to trust; None is a client without TLS.
    pub ca: Option<PathBuf>,
    /// The client's own key and certificate in one PEM file.
    pub certificate: Option<PathBuf>,
}

impl RedisClient {
    fn command(&self, port: u16) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        if let Some(ca) = &self.ca {
            command.arg("--tls").arg("--cacert").arg(ca);
        }
        if let Some(certificate) = &self.certificate {
            command.arg("--cert").arg(certificate).arg("--key").arg(certificate);
        }
        command
    }

    /// Runs one command on a connection of its own.
    ///
    /// # Errors
    /// What redis-cli said.
    pub fn run(&self, port: u16, words: &[&str]) -> Result<String> {
        Ok(tools::output_within(PATIENCE, self.command(port).args(words))?.trim_end().to_owned())
    }

    /// A running redis-cli.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(&self, port: u16) -> Result<Talk> {
        Talk::start(&mut self.command(port))
    }
}

/// The certificate that is served to a new connection, in PEM, verified against `ca` and, if given, to a client with a key
/// and certificate in one PEM file.
///
/// # Errors
/// What OpenSSL said.
pub fn served(port: u16, start_tls: Option<&str>, ca: &Path, certificate: Option<&Path>) -> Result<String> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect"]).arg(format!("127.0.0.1:{port}"));
    command.args(["-verify_return_error", "-CAfile"]).arg(ca).stdin(Stdio::null());
    if let Some(protocol) = start_tls {
        command.args(["-starttls", protocol]);
    }
    if let Some(certificate) = certificate {
        command.arg("-cert").arg(certificate).arg("-key").arg(certificate);
    }
    let told = tools::output_within(PATIENCE, &mut command)?;
    first_certificate(&told)
}

/// The first certificate of a text, in PEM with line feeds.
///
/// # Errors
/// Where there is none.
pub fn first_certificate(text: &str) -> Result<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let begin = text.find("-----BEGIN CERTIFICATE-----").context("no certificate")?;
    let (certificate, _) = text[begin..].split_once(END).context("a certificate without an end")?;
    Ok(format!("{}{END}\n", certificate.replace('\r', "")))
}
