//! Manifests with `${…}` are filled in before a cluster has them, by Flux (`postBuild`) or envsubst: in all of their text, so that of the
//! guest's script, which has more of that form, nothing would be left that works. Neither sees into base64.
//! <https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution>

use serde_yaml::Value;

use super::bundle::{Bundle, Object};

/// What may have a `${…}` of its own: programs read it.
const OF_PROGRAMS: [&str; 5] = ["annotations", "userData", "userDataBase64", "networkData", "networkDataBase64"];

/// The first field of a machine that is to be filled in.
pub(super) fn first(bundle: &Bundle, machine: &Object) -> Option<String> {
    within(bundle.get(machine, &[])?, "")
}

fn within(value: &Value, at: &str) -> Option<String> {
    match value {
        Value::String(text) => is_in(text).then(|| at.to_owned()),
        Value::Sequence(items) => {
            items.iter().enumerate().find_map(|(index, item)| within(item, &format!("{at}[{index}]")))
        }
        Value::Mapping(fields) => fields.iter().find_map(|(key, value)| {
            let key = key.as_str().filter(|key| !OF_PROGRAMS.contains(key))?;
            within(value, &if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") })
        }),
        _ => None,
    }
}

/// Whether a text has the name of a variable in `${…}`.
pub(super) fn is_in(text: &str) -> bool {
    text.split("${").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
}
