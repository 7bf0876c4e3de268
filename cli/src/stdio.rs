//! Bytes from a file or standard input, within a limit, and text to standard output.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

/// Name for messages, and content, of a file or, for `-`, of `stdin`. Never reads more than `limit` bytes, whatever the
/// file's size. `None` in place of the content where there are more.
///
/// # Errors
/// In words, beginning with the name.
pub fn read(path: &Path, stdin: &mut dyn Read, limit: usize) -> Result<(String, Option<String>), String> {
    let from_stdin = path.as_os_str() == "-";
    let name = if from_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let done = if from_stdin {
        stdin.take(most).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    done.map_err(|error| format!("{name}: {error}; give a file that can be read, or - for standard input"))?;
    if bytes.len() > limit {
        return Ok((name, None));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, Some(text))),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Err(format!("{name}: byte {at} is not UTF-8; save the document as UTF-8"))
        }
    }
}

/// Writes all of it. That the reader, such as `head`, has seen enough is no error.
///
/// # Errors
/// In words.
pub fn print(stdout: &mut dyn Write, bytes: &[u8]) -> Result<(), String> {
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| format!("standard output: {error}")),
    }
}
