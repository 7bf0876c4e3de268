//! A Secret's entry with user data: plain in `stringData`, encoded in `data`.

use serde_yaml::Value;

use super::InjectError;
use super::bundle::{Bundle, Object};
use super::machine::edit;
use super::user_data::DECRYPT;
use crate::encoding::{from_base64, to_base64};
use crate::model::{ENCRYPTED, USER_DATA_KEYS};
use crate::yaml_edit::{EditError, Editor, Step};

/// The user data in a Secret: the map that holds it, its key, and the text.
pub(super) fn stored(bundle: &Bundle, secret: &Object) -> Result<(&'static str, &'static str, String), InjectError> {
    // KubeVirt reads the first key that is there, wherever it is from: as the API server has it, stringData replaces data.
    for key in USER_DATA_KEYS {
        for map in ["stringData", "data"] {
            let Some(text) = bundle.get(secret, &[map, key]).and_then(Value::as_str) else { continue };
            let text = match map {
                "data" => decoded(text).map_err(|why| InjectError::new(secret, &format!("{map}.{key}"), why))?,
                _ => text.to_owned(),
            };
            return Ok((map, key, text));
        }
    }
    Err(InjectError::new(secret, "", "has neither the key userdata nor userData, in which KubeVirt looks; add one"))
}

pub(super) fn store(bundle: &mut Bundle, secret: &Object, map: &str, key: &str, text: &str) -> Result<(), InjectError> {
    edit(bundle, secret, |editor| write(editor, &secret.path(&[map, key]), text))
}

/// Writes an entry of `stringData` or `data`.
pub(super) fn write(editor: &mut Editor, path: &[Step], text: &str) -> Result<(), EditError> {
    match path {
        [.., Step::Key(map), Step::Key(key)] if map == "data" => {
            let encoded = to_base64(text.as_bytes()).as_str().into();
            // In one line, even where it was wrapped in a block before.
            if editor.get(path).is_some() { editor.exchange(path, key, &encoded) } else { editor.set(path, &encoded) }
        }
        _ => editor.set(path, &text.into()),
    }
}

pub(super) fn decoded(text: &str) -> Result<String, &'static str> {
    if text.starts_with(ENCRYPTED) {
        return Err(DECRYPT);
    }
    let bytes = from_base64(text).ok_or("is not base64; encode it with `base64 --wrap=0`")?;
    String::from_utf8(bytes).map_err(|_| "is no text once decoded, perhaps compressed; write it as plain #cloud-config")
}

/// The user data that an entry's source stands for, in the place of the one at the path.
pub(super) fn value_of(editor: &Editor, path: &[Step], source: &str) -> Option<String> {
    let (key, value) = editor.entry_of(path, &format!("{source}\n")).ok()?;
    let in_data = matches!(path, [.., Step::Key(map), _] if map == "data");
    let value = value.as_str()?;
    if in_data || key == "userDataBase64" { decoded(value).ok() } else { Some(value.to_owned()) }
}
