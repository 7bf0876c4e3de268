//! Signed objects → one text, or files that are either whole or not there.

use std::path::Path;

use k8s_openapi::api::core::v1::Secret;
use serde::Serialize;
use serde_json::json;
use serde_yaml::{Mapping, Value};
use tandem_cli::{
    files::{self, Wanted as File},
    stdio, yaml,
};
use tandem_issuer_core::signer::LocalKey;

use super::{
    End,
    objects::{Name, Wanted},
};
use crate::args::Format;

/// An object to be written. It has no `Debug`: it may be a Secret.
pub(crate) struct Output {
    pub(crate) name: Name,
    object: Value,
}

impl Output {
    pub(crate) fn of_secret(secret: &Secret) -> Result<Self, serde_yaml::Error> {
        let metadata = secret.metadata.clone();
        let name = Name { kind: "Secret", namespace: metadata.namespace, name: metadata.name.unwrap_or_default() };
        Ok(Self { name, object: serde_yaml::to_value(secret)? })
    }

    /// The object as it was read, with the status of the controller's patch.
    pub(crate) fn of_status(wanted: &Wanted, patch: &serde_json::Value) -> Result<Self, serde_yaml::Error> {
        let mut object = wanted.value.clone();
        if let (Some(object), Value::Mapping(patch)) =
            (object.as_mapping_mut(), serde_yaml::to_value(&patch["status"])?)
        {
            let status = object.entry("status".into()).or_insert_with(|| Mapping::new().into());
            merge(status, patch);
        }
        Ok(Self { name: wanted.name.clone(), object })
    }

    fn text(&self, format: Format) -> Result<String, String> {
        match format {
            Format::Yaml => serde_yaml::to_string(&self.object).map_err(|error| error.to_string()),
            Format::Json => json_text(&self.object),
        }
    }

    /// Whether what is at `path` holds another private key, or cannot be read, so that nobody knows.
    fn takes_a_key_away(&self, path: &Path) -> bool {
        if self.name.kind != "Secret" || !path.is_file() {
            return false;
        }
        let read = stdio::read(path, &mut std::io::empty(), MAX_SECRET).ok().and_then(|(_, text)| text);
        let found = read.and_then(|text| yaml::document(&text, 2 * MAX_SECRET).ok());
        let found = found.and_then(public_key);
        found.is_none() || found != public_key(self.object.clone())
    }

    /// Of kind, namespace and name. Neither has a `_` in it, so no two objects share a file.
    fn file_name(&self, format: Format) -> String {
        let Name { kind, namespace, name } = &self.name;
        let (kind, end) = (kind.to_lowercase(), if format == Format::Json { "json" } else { "yaml" });
        match namespace {
            Some(namespace) => format!("{kind}-{namespace}_{name}.{end}"),
            None => format!("{kind}-{name}.{end}"),
        }
    }
}

/// Most bytes of a Secret's file: more than the API server takes.
const MAX_SECRET: usize = 4 * 1024 * 1024;

/// The public half of a Secret's key (DER), however it is encoded.
fn public_key(secret: Value) -> Option<Vec<u8>> {
    let Secret { data, string_data, .. } = serde_yaml::from_value(secret).ok()?;
    let text = string_data.and_then(|mut data| data.remove("tls.key")).map(String::into_bytes);
    let pem = text.or_else(|| Some(data?.remove("tls.key")?.0))?;
    LocalKey::from_pem(&pem).ok()?.public_key_info().ok()
}

/// As server-side apply does: a condition replaces the one of its type, other fields replace those of their name.
fn merge(status: &mut Value, patch: Mapping) {
    let Some(status) = status.as_mapping_mut() else {
        *status = patch.into();
        return;
    };
    for (field, value) in patch {
        match (status.get_mut(&field).and_then(Value::as_sequence_mut), value) {
            (Some(before), Value::Sequence(conditions)) if field == "conditions" => {
                before.retain(|old| conditions.iter().all(|new| new.get("type") != old.get("type")));
                before.extend(conditions);
            }
            (_, value) => {
                status.insert(field, value);
            }
        }
    }
}

/// Prints all of `outputs`: a stream or, as JSON, a List.
///
/// # Errors
/// In words.
pub(crate) fn print(outputs: &[Output], format: Format) -> Result<(), String> {
    let text = match format {
        Format::Yaml => {
            let document = |output: &Output| Ok(format!("---\n{}", output.text(format)?));
            outputs.iter().map(document).collect::<Result<String, String>>()?
        }
        Format::Json => {
            let items: Vec<_> = outputs.iter().map(|output| &output.object).collect();
            json_text(&json!({"apiVersion": "v1", "kind": "List", "items": items}))?
        }
    };
    stdio::print(&mut std::io::stdout().lock(), text.as_bytes())
}

/// Writes a file for each of `outputs` into `folder`, for nobody but the owner to read. A private key that is there is replaced only
/// where that is asked for.
///
/// # Errors
/// Nothing is written then.
pub(crate) fn write_files(outputs: &[Output], format: Format, folder: &Path, replace: bool) -> Result<(), End> {
    let file =
        |output: &Output| Ok(File { name: output.file_name(format), content: output.text(format)?, mode: 0o600 });
    let files = outputs.iter().map(file).collect::<Result<Vec<_>, String>>().map_err(End::bad)?;
    // Of two that run at once, one sees what the other has written. Where there are no locks, as on some network file systems, it goes
    // on without.
    let _lock = std::fs::create_dir_all(folder).and_then(|()| std::fs::File::open(folder)).and_then(|folder| {
        folder.lock()?;
        Ok(folder)
    });
    // Whoever applies the folder applies what was written in another format as well.
    let both =
        |output| [Format::Yaml, Format::Json].map(|format| (folder.join(Output::file_name(output, format)), output));
    let lost = outputs.iter().flat_map(both).filter(|(path, output)| !replace && output.takes_a_key_away(path));
    let lost: Vec<_> = lost
        .map(|(path, _)| {
            format!(
                "{}: is there already and was not touched, for its private key may be in use; keep that key, with this file among the \
                 input and spec.privateKey.rotationPolicy: Never in its Certificate, name another folder, or --replace it",
                path.display()
            )
        })
        .collect();
    if !lost.is_empty() {
        return Err(End::BadInput(lost));
    }
    files::write(folder, &files).map_err(End::bad)
}

/// Indented, with a line's end.
pub(crate) fn json_text(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_replaces_its_like_and_leaves_others() {
        let read = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
        let mut status = read("{conditions: [{type: Approved, status: 'True'}, {type: Ready, status: 'False'}], a: 1}");
        let patch = read("{conditions: [{type: Ready, status: 'True'}], certificate: x}");
        merge(&mut status, patch.as_mapping().unwrap().clone());
        let expected =
            "{conditions: [{type: Approved, status: 'True'}, {type: Ready, status: 'True'}], a: 1, certificate: x}";
        assert_eq!(status, read(expected));
        let mut nothing = Value::Null;
        merge(&mut nothing, patch.as_mapping().unwrap().clone());
        assert_eq!(nothing, patch);
    }

    #[test]
    fn no_two_objects_share_a_file() {
        let file = |namespace: Option<&str>, name: &str| {
            let name = Name { kind: "Secret", namespace: namespace.map(str::to_owned), name: name.to_owned() };
            Output { name, object: Value::Null }.file_name(Format::Yaml)
        };
        assert_eq!(file(Some("shop"), "db"), "secret-shop_db.yaml");
        assert_eq!(file(None, "db"), "secret-db.yaml");
        assert_ne!(file(Some("a-b"), "c"), file(Some("a"), "b-c"));
        assert_ne!(file(None, "a.b"), file(Some("a"), "b"));
    }
}
