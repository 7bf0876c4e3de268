//! Manifests with `${…}` are filled in before a cluster has them, by Flux (`postBuild`) or envsubst: in all of their text, so that of the
//! guest's script, which has more of that form, nothing would be left that works. Neither sees into base64.
//! <https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution>

use serde_yaml::Value;

use super::InjectError;
use super::bundle::{Bundle, Object};
use super::secret::{self, Stands};

/// What may have a `${…}` of its own, because programs read it.
const OF_PROGRAMS: [&str; 11] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "userData",
    "userDataBase64",
    "networkData",
    "networkDataBase64",
    "command",
    "args",
    "data",
    "stringData",
    "binaryData",
    "script",
];

/// By which Flux passes over an object, as label or annotation.
const PASSED_OVER: &str = "kustomize.toolkit.fluxcd.io/substitute";

/// How the user data is to be written, and what is said of it.
#[derive(Default)]
pub(super) struct Way {
    /// Whether a Secret that is made for it has it encoded.
    pub(super) encoded: bool,
    pub(super) note: Option<String>,
}

/// What is to be done where something is filled in, or may be.
///
/// # Errors
/// What the user has written for those who fill in would be out of their sight, or the script in it.
pub(super) fn way(bundle: &Bundle, machine: &Object) -> Result<Way, InjectError> {
    let stands = secret::stands(bundle, machine);
    let has_own = match &stands {
        Some(Stands::Inline(_, text) | Stands::InSecret(_, _, text)) => is_in(text, false),
        None => false,
    };
    let told = |place: &str| Way {
        encoded: false,
        note: Some(format!(
            "{place} has ${{…}}: where Flux or envsubst fills that in, the guest's script breaks, which has more of that form; inject into \
             what they write"
        )),
    };
    let own = within(bundle.get(machine, &[]), "", true);
    let elsewhere = || {
        bundle.objects().iter().filter(|other| *other != machine).find_map(|other| {
            within(bundle.get(other, &[]), "", false)
                .map(|field| format!("{} in the same input ({field})", other.shown()))
        })
    };
    match (own, stands) {
        (_, Some(Stands::InSecret(secret, _, _))) if is_passed_over(bundle, &secret) => Ok(Way::default()),
        (Some(first), Some(Stands::InSecret(secret, field, _))) => {
            let why = format!(
                "would be filled in with ${{…}} in the VM's {first}, by Flux or envsubst, and what the guest's script has of that form with \
                 it; encode it under data, or inject into what they write"
            );
            Err(InjectError::new(&secret, &field, why))
        }
        (Some(first), Some(Stands::Inline(field, _))) if has_own => {
            let why = format!(
                "has ${{…}} for Flux or envsubst to fill in, as {first} has; what the guest's script has of that form would go with it, so \
                 all has to be encoded, where they find nothing; inject into what they write"
            );
            Err(InjectError::new(machine, &field, why))
        }
        (None, stands) => match elsewhere() {
            None if has_own => Ok(told("its user data")),
            None => Ok(Way::default()),
            Some(place) if has_own || matches!(stands, Some(Stands::InSecret(..))) => Ok(told(&place)),
            Some(place) => Ok(encoded(&place)),
        },
        (Some(first), _) => Ok(encoded(&first)),
    }
}

fn encoded(place: &str) -> Way {
    let note = format!(
        "{place} has ${{…}} for Flux or envsubst to fill in, so a Secret that is made for the user data has it encoded, where they find \
         nothing: they would fill in what the guest's script has of that form"
    );
    Way { encoded: true, note: Some(note) }
}

/// Whether Flux is told to pass over a Secret.
fn is_passed_over(bundle: &Bundle, secret: &Object) -> bool {
    let of = |map: &str| bundle.get(secret, &["metadata", map, PASSED_OVER]).and_then(Value::as_str);
    ["annotations", "labels"].into_iter().any(|map| of(map) == Some("disabled"))
}

/// The first field that is to be filled in; of a machine also those without braces, as envsubst alone does.
fn within(value: Option<&Value>, at: &str, bare: bool) -> Option<String> {
    match value? {
        Value::String(text) => is_in(text, bare).then(|| at.to_owned()),
        Value::Sequence(items) => {
            items.iter().enumerate().find_map(|(index, item)| within(Some(item), &format!("{at}[{index}]"), bare))
        }
        Value::Mapping(fields) => fields.iter().find_map(|(key, value)| {
            let key = key.as_str().filter(|key| !OF_PROGRAMS.contains(key))?;
            let field = if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
            if is_in(key, bare) { Some(field) } else { within(Some(value), &field, bare) }
        }),
        _ => None,
    }
}

/// Whether a text has the name of a variable in `${…}`, or without braces.
fn is_in(text: &str, bare: bool) -> bool {
    text.split('$').skip(1).any(|rest| {
        let name = rest.strip_prefix('{').or(bare.then_some(rest));
        name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
    })
}
