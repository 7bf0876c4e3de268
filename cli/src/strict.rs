//! Values → a type that passes over what it does not know, with all that it would pass over.

use serde::de::DeserializeOwned;
use serde_ignored::Path;
use serde_yaml::Value;

use crate::problem::{Problem, from_serde, join, shown};

/// Reads a value.
///
/// # Errors
///
/// Every field that nobody reads, unless it is one of `unread` or within one; or the first field that has the wrong shape.
pub fn read<T: DeserializeOwned>(value: &Value, unread: &[&str]) -> Result<T, Vec<Problem>> {
    let mut unknown = Vec::new();
    let mut ignored = |path: Path<'_>| {
        let path = place(&path);
        let within =
            |field: &str| path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        if !unread.iter().any(|field| within(field)) {
            unknown.push(Problem::new(shown(&path), "unknown field; remove it, or correct its name"));
        }
    };
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    let read: Result<T, serde_yaml::Error> = serde_ignored::deserialize(deserializer, &mut ignored);
    match read {
        Err(error) => Err(vec![from_serde(serde_path_to_error::Error::new(track.path(), error))]),
        Ok(_) if !unknown.is_empty() => Err(unknown),
        Ok(read) => Ok(read),
    }
}

/// A path as problems write it: `spec.clients[0].image`.
fn place(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", place(parent)),
        Path::Map { parent, key } => join(&place(parent), key),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => place(parent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code)]
    struct Outer {
        list: Vec<Inner>,
        one: Option<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code)]
    struct Inner {
        known: Option<u8>,
    }

    fn problems(text: &str, unread: &[&str]) -> Vec<String> {
        let value = serde_yaml::from_str(text).unwrap();
        let problems = read::<Outer>(&value, unread).expect_err("something is wrong");
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_field_that_nobody_reads_is_told_with_its_place() {
        let text = "{list: [{}, {knwon: 1}], one: {a: {b: 1}}, other: 2}";
        let remedy = "unknown field; remove it, or correct its name";
        assert_eq!(
            problems(text, &[]),
            [format!("list[1].knwon: {remedy}"), format!("one.a: {remedy}"), format!("other: {remedy}")]
        );
        assert_eq!(problems(text, &["other", "list"]), [format!("one.a: {remedy}")]);
        // Not within what only begins alike.
        assert_eq!(problems(text, &["oth", "list", "one"]), [format!("other: {remedy}")]);
    }

    #[test]
    fn a_wrong_shape_is_told_with_its_place() {
        assert_eq!(
            problems("{list: [{known: many}]}", &[]),
            ["list[0].known: expected a whole number, found string \"many\"; write one without quotes"]
        );
    }

    #[test]
    fn what_is_right_is_read() {
        let value = serde_yaml::from_str("{list: [{known: 1}], status: {}}").unwrap();
        assert!(read::<Outer>(&value, &["status"]).is_ok());
    }
}
