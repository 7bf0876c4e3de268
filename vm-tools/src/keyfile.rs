//! keyFiles, by which the members of a MongoDB replica set know one another:
//! <https://www.mongodb.com/docs/manual/core/security-internal-authentication/#keyfiles>.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::{error::Unspecified, rand::SecureRandom};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde_yaml::Value;
use zeroize::Zeroizing;

use crate::encoding::to_base64;
use crate::names::MANAGED_BY;

/// Random bytes in a key: in base64 they give 1008 characters, which is what MongoDB's manual makes.
pub const RANDOM_BYTES: usize = 756;
/// Characters that MongoDB takes for a key, white space not counted.
pub const CHARACTERS: std::ops::RangeInclusive<usize> = 6..=1024;
/// Most keys in one file: the old and the new one, while they are exchanged.
pub const MAX_KEYS: usize = 2;
/// Key of the Secret under which the file is kept.
pub const SECRET_KEY: &str = "keyfile";

/// A new keyFile. It does not print itself, and is zeroed on drop.
pub struct KeyFile(Zeroizing<String>);

impl KeyFile {
    /// One of [`RANDOM_BYTES`] from this source.
    ///
    /// # Errors
    /// Where the source has none to give.
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, Unspecified> {
        let mut bytes = Zeroizing::new([0; RANDOM_BYTES]);
        random.fill(bytes.as_mut())?;
        Ok(Self(Zeroizing::new([to_base64(bytes.as_ref()).as_str(), "\n"].concat())))
    }

    /// The file's content: one line of base64.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The file in a Secret, which is immutable: were another key applied over it, members that restart would no longer
    /// know those that did not.
    #[must_use]
    pub fn secret(&self, name: &str, namespace: Option<&str>) -> Secret {
        let (key, value) = MANAGED_BY;
        Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: namespace.map(str::to_owned),
                labels: Some(BTreeMap::from([(key.to_owned(), value.to_owned())])),
                ..ObjectMeta::default()
            },
            immutable: Some(true),
            type_: Some("Opaque".to_owned()),
            data: Some(BTreeMap::from([(SECRET_KEY.to_owned(), ByteString(self.0.as_bytes().to_vec()))])),
            ..Secret::default()
        }
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFile(…)")
    }
}

/// Why MongoDB would not take a keyFile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not even white space, or only that.
    #[error("holds no key; make one with tandem-vm keyfile")]
    Empty,
    /// Neither one key nor a YAML list of keys.
    #[error(
        "line {line} has a character that is neither of the base64 set nor white space; write A-Z, a-z, 0-9, +, / and ="
    )]
    Character {
        /// The first such line, from 1.
        line: usize,
    },
    /// A key that is too short or too long.
    #[error("key {key} has {characters} characters without its white space; MongoDB takes {} to {}", CHARACTERS.start(), CHARACTERS.end())]
    Length {
        /// Which of the keys, from 1.
        key: usize,
        /// How long it is.
        characters: usize,
    },
    /// More keys than MongoDB takes.
    #[error("holds {0} keys; MongoDB takes at most {MAX_KEYS}, the old and the new one")]
    TooManyKeys(usize),
    /// Permission bits for others than the owner.
    #[error("its mode is {0:04o}, and MongoDB calls that too open; chmod 0400")]
    TooOpen(u32),
    /// The owner may not read it.
    #[error("its mode is {0:04o}, so its owner cannot read it; chmod 0400")]
    Unreadable(u32),
}

/// Number of characters of each key in a keyFile: one key as plain text, or since MongoDB 4.2 a YAML list of them.
///
/// # Errors
/// All that MongoDB would not take.
pub fn check(content: &[u8]) -> Result<Vec<usize>, Vec<Fault>> {
    let keys = match (first_bad_line(content), list(content)) {
        (None, _) => vec![characters(content)],
        (Some(_), Some(keys)) => keys.iter().map(|key| characters(key.as_bytes())).collect(),
        (Some(line), None) => return Err(vec![Fault::Character { line }]),
    };
    if keys.iter().all(|characters| *characters == 0) {
        return Err(vec![Fault::Empty]);
    }
    let wrong = |(key, &characters): (usize, &usize)| {
        (!CHARACTERS.contains(&characters)).then_some(Fault::Length { key: key + 1, characters })
    };
    let mut faults: Vec<_> = keys.iter().enumerate().filter_map(wrong).collect();
    if keys.len() > MAX_KEYS {
        faults.push(Fault::TooManyKeys(keys.len()));
    }
    if faults.is_empty() { Ok(keys) } else { Err(faults) }
}

/// Whether MongoDB takes a file with these permission bits, read by its owner.
///
/// # Errors
/// [`Fault::TooOpen`] or [`Fault::Unreadable`].
pub fn check_mode(mode: u32) -> Result<(), Fault> {
    let mode = mode & 0o7777;
    match (mode & 0o077, mode & 0o400) {
        (0, 0) => Err(Fault::Unreadable(mode)),
        (0, _) => Ok(()),
        _ => Err(Fault::TooOpen(mode)),
    }
}

/// What MongoDB strips: tab, line feed, vertical tab, form feed, carriage return and space.
fn is_space(byte: u8) -> bool {
    matches!(byte, 0x09..=0x0d | b' ')
}

fn characters(key: &[u8]) -> usize {
    key.iter().filter(|byte| !is_space(**byte)).count()
}

fn first_bad_line(content: &[u8]) -> Option<usize> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte) || is_space(byte);
    let at = content.iter().position(|byte| !good(*byte))?;
    Some(content[..at].iter().filter(|byte| **byte == b'\n').count() + 1)
}

/// The keys of a YAML list of plain keys.
fn list(content: &[u8]) -> Option<Vec<String>> {
    let text = str::from_utf8(content).ok()?;
    let document = tandem_cli::yaml::document(text, 2 * content.len() + 1).ok()?;
    let key = |key: &Value| {
        // A key of digits alone is a number to YAML, and the same digits to MongoDB.
        let text = key.as_str().map(str::to_owned).or_else(|| key.as_u64().map(|number| number.to_string()))?;
        first_bad_line(text.as_bytes()).is_none().then_some(text)
    };
    document.as_sequence()?.iter().map(key).collect()
}
