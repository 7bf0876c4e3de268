//! The judges in Go (`tests/judges`), who share no code with the issuer.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Serialize, de::DeserializeOwned};

use crate::tools;

/// Asks them one question a line, and returns their answers in the same order; `arguments` say what is judged.
///
/// # Errors
/// Where they cannot be built or fail, or leave a question without an answer.
pub fn ask<Q: Serialize, A: DeserializeOwned>(arguments: &[&str], questions: &[Q]) -> Result<Vec<A>> {
    let mut lines = Vec::new();
    for question in questions {
        serde_json::to_writer(&mut lines, question)?;
        lines.push(b'\n');
    }
    let mut command = Command::new(tools::judges()?);
    let mut judges = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = judges.stdin.take().context("no standard input")?;
    let writer = std::thread::spawn(move || input.write_all(&lines));
    let output = judges.wait_with_output()?;
    writer.join().map_err(|_| anyhow!("the writer panicked"))??;
    ensure!(output.status.success(), "the judges failed; they say why on standard error");
    let answers: Vec<_> = serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>()?;
    ensure!(answers.len() == questions.len(), "{} answers to {} questions", answers.len(), questions.len());
    Ok(answers)
}
