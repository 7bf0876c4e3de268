//! Values → a type, with everything in them that has the wrong shape.
//!
//! serde ends at the first error. Here what it is about is taken out, or given the name that was meant, and the rest is read again.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use serde_yaml::Value;

use crate::problem::{Problem, from_serde, missing_field, names_expected, unknown_field};

/// Nobody reads more of them, and each is a look at the whole document.
const MAX_PROBLEMS: usize = 20;

/// What was read, as far as nothing had to be taken out, and what is wrong with it.
pub struct Read<T> {
    /// With the names of fields that were meant; `None` where only part of it could be read.
    pub value: Option<T>,
    /// What is wrong, without what only follows from it.
    pub problems: Vec<Problem>,
}

/// Reads values.
#[must_use]
pub fn read<T: DeserializeOwned>(mut values: Value) -> Read<T> {
    let (mut problems, mut taken) = (Vec::new(), Vec::<Vec<Value>>::new());
    loop {
        let error = match serde_path_to_error::deserialize(&values) {
            Ok(value) => return Read { value: Some(value).filter(|_| taken.is_empty()), problems },
            Err(error) => error,
        };
        let (text, mut at) = (error.inner().to_string(), steps(error.path()));
        let problem = from_serde(error);
        let follows = match missing_field(&text) {
            Some(field) => taken.contains(&[at.as_slice(), &[field.into()]].concat()),
            None => taken.iter().any(|taken| taken.len() > at.len() && taken.starts_with(&at)),
        };
        if !follows {
            problems.push(problem);
        }
        if problems.len() == MAX_PROBLEMS {
            return Read { value: None, problems };
        }
        if let Some(field) = unknown_field(&text) {
            if at.last() != Some(&field.into()) {
                at.push(field.into());
            }
            if let Some(meant) = names_expected(field, &text).0
                && rename(&mut values, &at, meant)
            {
                continue;
            }
        }
        if !take_out(&mut values, &mut at) {
            return Read { value: None, problems };
        }
        taken.push(at);
    }
}

/// The keys and indices of a path, up to what is neither.
fn steps(path: &Path) -> Vec<Value> {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Value::from(*index)),
        Segment::Map { key } => Some(Value::from(key.as_str())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().map_while(step).collect()
}

fn find<'v>(values: &'v mut Value, path: &[Value]) -> Option<&'v mut Value> {
    path.iter().try_fold(values, |value, step| match step.as_u64() {
        Some(index) => value.get_mut(usize::try_from(index).ok()?),
        None => value.get_mut(step),
    })
}

/// Gives a field the name that was meant, where that one is not there.
fn rename(values: &mut Value, path: &[Value], meant: &str) -> bool {
    let Some((key, parent)) = path.split_last() else { return false };
    let Some(fields) = find(values, parent).and_then(Value::as_mapping_mut) else { return false };
    if fields.contains_key(meant) {
        return false;
    }
    fields.shift_remove(key).is_some_and(|value| fields.insert(meant.into(), value).is_none())
}

/// Takes out the field at the path, or the nearest around it, to which the path is then shortened: entries of lists stay, so that
/// those after them keep their numbers.
fn take_out(values: &mut Value, path: &mut Vec<Value>) -> bool {
    while let Some((key, parent)) = path.split_last() {
        let fields = find(values, parent).and_then(Value::as_mapping_mut);
        if key.is_string() && fields.is_some_and(|fields| fields.shift_remove(key).is_some()) {
            return true;
        }
        path.pop();
    }
    false
}
