//! Where the user data stands: in the machine, in a Secret of the stream, or nowhere yet.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;
use tandem_cli::shown;

use super::bundle::{Bundle, Object, twice};
use super::entry::{decoded, store, stored, value_of, write};
use super::machine::{self, edit};
use super::user_data::{self, HEADER, Part};
use super::{CLOUD_INIT, InjectError, ORIGINAL, USER_DATA_OF, map};
use crate::encoding::{from_base64, to_base64};
use crate::model::mention;
use crate::user_data::{MAX_INLINE, user_data_names};
use crate::yaml_edit::Step;

/// What [`take`] found and has still to be done.
pub(super) struct Kept {
    pub(super) notes: Vec<String>,
    /// Whether the cloud-init volume was added, and goes.
    pub(super) added: bool,
    /// A Secret that an injection made, and that nobody else needs.
    made: Option<Object>,
}

/// Before a Secret that is made here, in its document.
pub(super) const COMMENT: &str = "# Made by tandem-vm inject, which takes it away again with --remove.\n";

/// Adds the part to the machine's user data, which moves to a Secret if it is not in one: the Secret to write, if any. Its name is
/// another than that of `tls`, the Secret that the VM gets, and it may have to be encoded.
pub(super) fn give(
    bundle: &mut Bundle,
    machine: &Object,
    part: &Part,
    tls: &str,
    encoded: bool,
) -> Result<Option<Value>, InjectError> {
    let Some(source) = machine::cloud_init(bundle, machine)? else {
        let name = free_name(bundle, machine, tls)?;
        machine::add_cloud_init(bundle, machine, &name)?;
        return made(machine, &name, "", None, part, encoded).map(Some);
    };
    let at = |key: &str| [source.as_slice(), &[key.into()]].concat();
    if bundle.editor(machine).get(&at("secretRef")).is_some_and(|value| !value.is_null()) {
        return give_secret(bundle, machine, &source, part).map(|()| None);
    }
    let name = free_name(bundle, machine, tls)?;
    let reference = reference(&name);
    for (key, in_base64) in [("userData", false), ("userDataBase64", true)] {
        let editor = bundle.editor(machine);
        let Some(text) = editor.get(&at(key)).and_then(Value::as_str) else { continue };
        let field = field(machine, &at(key));
        let text = if in_base64 {
            decoded(text).map_err(|why| InjectError::new(machine, &field, why))?
        } else {
            text.to_owned()
        };
        let original = editor.source(&at(key)).map_err(|error| InjectError::edit(machine, "", error))?.to_owned();
        let secret = made(machine, &name, &text, Some(original), part, encoded);
        // What is wrong with it, is wrong where it stands.
        let secret = secret.map_err(|error| InjectError::new(machine, &field, error.problem.message))?;
        edit(bundle, machine, |editor| editor.exchange(&at(key), "secretRef", &reference))?;
        return Ok(Some(secret));
    }
    edit(bundle, machine, |editor| editor.set(&at("secretRef"), &reference))?;
    // What is now like ours would be taken away like ours.
    if let Some(volume) = added(bundle, machine, &source) {
        return Err(machine::taken(machine, volume, CLOUD_INIT));
    }
    made(machine, &name, "", None, part, encoded).map(Some)
}

/// Edits the user data in the Secret that the machine names.
fn give_secret(bundle: &mut Bundle, machine: &Object, source: &[Step], part: &Part) -> Result<(), InjectError> {
    let path = [source, &["secretRef".into(), "name".into()]].concat();
    let field = field(machine, &path);
    let name = bundle.editor(machine).get(&path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(secret) = find(bundle, machine, &name)? else {
        return Err(missing(bundle, machine, &field, &name));
    };
    not_shared(bundle, machine, &name, &field)?;
    if bundle.get(&secret, &["immutable"]).and_then(Value::as_bool) == Some(true) {
        return Err(InjectError::new(
            &secret,
            "immutable",
            "nothing of it can be changed; give the user data a new Secret",
        ));
    }
    let (map, key, text) = stored(bundle, &secret)?;
    let field = format!("{map}.{key}");
    let new = user_data::with(&text, part).map_err(|why| InjectError::new(&secret, &field, why))?;
    let path = secret.path(&[map, key]);
    let original =
        bundle.editor(&secret).source(&path).map_err(|error| InjectError::edit(&secret, "", error))?.to_owned();
    store(bundle, &secret, map, key, &new)?;
    // Does taking it out give the same bytes? If not, how it was written is kept.
    let mut trial = bundle.editor(&secret).clone();
    let restored = user_data::without(&new).is_ok_and(|rest| {
        rest == text && write(&mut trial, &path, &rest).is_ok() && trial.source(&path) == Ok(&original)
    });
    if !restored {
        store(bundle, &secret, map, ORIGINAL, &original)?;
    }
    within_limit(values(bundle, &secret)).map_err(|why| InjectError::new(&secret, &field, why))
}

/// The machine's user data is in a Secret that is somewhere else.
fn missing(bundle: &Bundle, machine: &Object, field: &str, name: &str) -> InjectError {
    let elsewhere = bundle.objects().into_iter().find(|object| is_secret(object, name));
    let name = shown(name);
    let namespace = |object: &Object| match object.namespace.as_str() {
        "" => "none".to_owned(),
        namespace => format!("the namespace {}", shown(namespace)),
    };
    let why = match elsewhere {
        Some(other) => format!(
            "the Secret {name} of the input is in {}, and the VM in {}; give both the same metadata.namespace, or add the Secret of the VM's",
            namespace(&other),
            namespace(machine)
        ),
        None => {
            // Which kubectl always writes.
            let as_the_vm = if machine.namespace.is_empty() { " without its namespace, as the VM is," } else { "," };
            format!(
                "the Secret {name} is not in the input; add it{as_the_vm} as by `kubectl get secret {name} --output yaml`"
            )
        }
    };
    InjectError::new(machine, field, why)
}

/// Most bytes of a Secret's values together, as they are once decoded:
/// <https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size>.
const MAX_VALUES: usize = 1024 * 1024;

fn within_limit(bytes: usize) -> Result<(), String> {
    if bytes <= MAX_VALUES {
        return Ok(());
    }
    Err(format!(
        "with it and what the guest needs the Secret's values have {bytes} bytes, of which Kubernetes takes at most {MAX_VALUES}; \
         shorten it: what is long belongs in the guest's image, or where the guest fetches it from"
    ))
}

/// How many bytes the API server counts of a Secret: of the keys in both maps those in `stringData`.
fn values(bundle: &Bundle, secret: &Object) -> usize {
    let mut sizes = BTreeMap::new();
    for map in ["data", "stringData"] {
        for (key, value) in bundle.get(secret, &[map]).and_then(Value::as_mapping).into_iter().flatten() {
            let Some((key, text)) = key.as_str().zip(value.as_str()) else { continue };
            let decoded = if map == "data" { from_base64(text).map(|bytes| bytes.len()) } else { None };
            sizes.insert(key, decoded.unwrap_or(text.len()));
        }
    }
    sizes.values().sum()
}

/// Another machine whose user data is in this Secret.
fn sharing(bundle: &Bundle, machine: &Object, name: &str) -> Option<Object> {
    let same = |other: &Object| {
        other.namespace == machine.namespace
            && machine::user_data_secret(bundle, other).is_some_and(|other| other == name)
    };
    let others = bundle.objects().into_iter().filter(|other| other != machine && !other.instance().is_empty());
    others.into_iter().find(same)
}

fn not_shared(bundle: &Bundle, machine: &Object, name: &str, field: &str) -> Result<(), InjectError> {
    let Some(other) = sharing(bundle, machine, name) else { return Ok(()) };
    let message =
        format!("the Secret {} is also the user data of {}; give each VM its own", shown(name), other.shown());
    Err(InjectError::new(machine, field, message))
}

/// Whether an injection has written into the machine's user data. That of an injected machine has to be there: half of an injection
/// would stay where nobody sees it.
pub(super) fn has_part(bundle: &Bundle, machine: &Object) -> Result<bool, InjectError> {
    let source = machine::cloud_init(bundle, machine)?;
    let Some((source, name)) = source.zip(machine::user_data_secret(bundle, machine)) else { return Ok(false) };
    let Some(secret) = find(bundle, machine, &name)? else {
        let field = field(machine, &[source, vec!["secretRef".into(), "name".into()]].concat());
        let injected = machine::is_injected(bundle, machine);
        return if injected { Err(missing(bundle, machine, &field, &name)) } else { Ok(false) };
    };
    let has = |text: &String| user_data::without(text).as_ref() != Ok(text);
    Ok(is_made(bundle, &secret) || stored(bundle, &secret).is_ok_and(|(_, _, text)| has(&text)))
}

/// Whether an injection made a Secret.
fn is_made(bundle: &Bundle, secret: &Object) -> bool {
    bundle.get(secret, &["metadata", "annotations", USER_DATA_OF]).is_some()
}

/// Takes the part out of the user data, and puts back what stood in the machine before it moved.
pub(super) fn take(bundle: &mut Bundle, machine: &Object) -> Result<Kept, InjectError> {
    let mut kept = Kept { notes: Vec::new(), added: false, made: None };
    let Some(source) = machine::cloud_init(bundle, machine)? else { return Ok(kept) };
    let reference = [source.as_slice(), &["secretRef".into()]].concat();
    let name_path = [reference.as_slice(), &["name".into()]].concat();
    let name = bundle.editor(machine).get(&name_path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(secret) = find(bundle, machine, &name)? else { return Ok(kept) };
    // The user's own Secret may have nothing that could be read: then there is nothing of ours in it.
    let Ok((map, key, text)) = stored(bundle, &secret) else { return Ok(kept) };
    let rest = user_data::without(&text).map_err(|why| InjectError::new(&secret, &format!("{map}.{key}"), why))?;
    let original = bundle.get(&secret, &[map, ORIGINAL]).and_then(Value::as_str).map(str::to_owned);
    let original = match (original, map) {
        (Some(text), "data") => {
            Some(decoded(&text).map_err(|why| InjectError::new(&secret, &format!("data.{ORIGINAL}"), why))?)
        }
        (original, _) => original,
    };
    let made = is_made(bundle, &secret);
    let before = original.as_deref().and_then(|source| match made {
        true => value_of(bundle.editor(machine), &reference, source),
        false => value_of(bundle.editor(&secret), &secret.path(&[map, key]), source),
    });
    let empty = rest.trim() == HEADER.trim();
    let unchanged = before.is_some_and(|before| user_data::is_same(&before, &rest) || before.is_empty() && empty);
    if !made {
        if rest == text {
            return Ok(kept);
        }
        not_shared(bundle, machine, &name, &field(machine, &name_path))?;
        // First, or a block at the end of a text without a line break would change with it.
        if original.is_some() {
            edit(bundle, &secret, |editor| editor.remove(&secret.path(&[map, ORIGINAL])))?;
        }
        match original {
            Some(source) if unchanged => {
                edit(bundle, &secret, |editor| editor.put_back(&secret.path(&[map, key]), &source))?
            }
            _ => store(bundle, &secret, map, key, &rest)?,
        }
        return Ok(kept);
    }
    // A copy of an injected VM names the same Secret.
    kept.made = Some(secret.clone()).filter(|_| sharing(bundle, machine, &name).is_none());
    // One that had user data of its own was there before, whatever it is called.
    let ours = original.is_none() && added(bundle, machine, &source).is_some();
    match original {
        Some(source) if unchanged => edit(bundle, machine, |editor| editor.put_back(&reference, &source))?,
        None if empty && ours => kept.added = true,
        None if empty => edit(bundle, machine, |editor| editor.remove(&reference))?,
        _ if rest.len() <= MAX_INLINE && !ours => {
            edit(bundle, machine, |editor| editor.exchange(&reference, "userData", &rest.as_str().into()))?;
            kept.notes.push(
                "its user data was changed since the injection; as it is now it stands in the VM again".to_owned(),
            );
        }
        _ => {
            let message = "was changed since the injection; move your own user data to a Secret of your own first";
            return Err(InjectError::new(&secret, &format!("{map}.{key}"), message));
        }
    }
    Ok(kept)
}

/// What is left to delete of the Secret that [`discard`] takes away.
pub(super) fn left(kept: &Kept) -> Option<String> {
    let secret = kept.made.as_ref()?;
    let name = shown(&secret.name);
    let namespace = match secret.namespace.as_str() {
        "" => String::new(),
        namespace => format!(" --namespace {}", shown(namespace)),
    };
    Some(format!(
        "the Secret {name} is out of the manifests, and still in a cluster that has it; delete it there, as by \
         `kubectl delete secret {name}{namespace}`"
    ))
}

/// Takes the Secret away that an injection made.
pub(super) fn discard(bundle: &mut Bundle, kept: &Kept) -> Result<(), InjectError> {
    // What was edited meanwhile is the machine, which moves no document.
    kept.made.as_ref().map_or(Ok(()), |secret| bundle.remove_object(secret))
}

/// The Secret with the user data and the part, `encoded` where nobody is to fill in what it holds.
fn made(
    machine: &Object,
    name: &str,
    text: &str,
    original: Option<String>,
    part: &Part,
    encoded: bool,
) -> Result<Value, InjectError> {
    let text = if text.is_empty() { HEADER } else { text };
    let text = user_data::with(text, part)
        .and_then(|text| within_limit(text.len() + original.as_ref().map_or(0, String::len)).map(|()| text))
        .map_err(|why| InjectError::new(machine, "", why))?;
    let mut metadata = vec![("name", name.into())];
    if !machine.namespace.is_empty() {
        metadata.push(("namespace", machine.namespace.as_str().into()));
    }
    metadata.push(("annotations", map([(USER_DATA_OF, machine.name.as_str().into())])));
    let entries = original.map(|original| (ORIGINAL, original)).into_iter().chain([("userdata", text)]);
    let written = |text: String| if encoded { to_base64(text.as_bytes()).as_str().into() } else { text.into() };
    let data = map(entries.map(|(key, text)| (key, written(text))));
    let field = if encoded { "data" } else { "stringData" };
    Ok(map([("apiVersion", "v1".into()), ("kind", "Secret".into()), ("metadata", map(metadata)), (field, data)]))
}

/// The volume around a source of cloud-init, if it is one that was added.
fn added<'s>(bundle: &Bundle, machine: &Object, source: &'s [Step]) -> Option<&'s [Step]> {
    let (_, volume) = source.split_last()?;
    bundle.editor(machine).get(volume).filter(|value| machine::is_added_cloud_init(value)).map(|_| volume)
}

fn is_secret(object: &Object, name: &str) -> bool {
    (object.group(), &*object.kind, &*object.name) == ("", "Secret", name)
}

/// The Secret of this name beside the machine.
fn find(bundle: &Bundle, machine: &Object, name: &str) -> Result<Option<Object>, InjectError> {
    let meant = |object: &Object| is_secret(object, name) && object.namespace == machine.namespace;
    let mut found = bundle.objects().into_iter().filter(meant);
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => Err(twice(&one, &other)),
        (one, _) => Ok(one),
    }
}

/// A name for the Secret that is not `tls`, and that nothing in the namespace has or names: a Secret, a Certificate, a VM.
fn free_name(bundle: &Bundle, machine: &Object, tls: &str) -> Result<String, InjectError> {
    let stem = machine.name.trim_end_matches('-');
    let mut used = BTreeSet::from([tls.to_owned()]);
    for object in bundle.objects().iter().filter(|object| object.namespace == machine.namespace) {
        bundle.get(object, &[]).into_iter().for_each(|value| mention(value, &mut used));
    }
    user_data_names(&machine.name).into_iter().find(|name| !used.contains(name)).ok_or_else(|| {
        let stem = shown(stem);
        let why = format!(
            "the names {stem}-userdata and {stem}-tandem-userdata are in use already; rename one of the Secrets"
        );
        InjectError::new(machine, "", why)
    })
}

/// Where a machine has user data in plain text.
pub(super) enum Stands {
    /// In this field of its own.
    Inline(String, String),
    /// In a Secret, in this field.
    InSecret(Object, String, String),
}

pub(super) fn stands(bundle: &Bundle, machine: &Object) -> Option<Stands> {
    let source = machine::cloud_init(bundle, machine).ok()??;
    let path = [source.as_slice(), &["userData".into()]].concat();
    if let Some(text) = bundle.editor(machine).get(&path).and_then(Value::as_str) {
        return Some(Stands::Inline(field(machine, &path), text.to_owned()));
    }
    let secret = find(bundle, machine, &machine::user_data_secret(bundle, machine)?).ok()??;
    let (map, key, text) = stored(bundle, &secret).ok()?;
    (map == "stringData").then(|| Stands::InSecret(secret, format!("{map}.{key}"), text))
}

fn reference(name: &str) -> Value {
    map([("name", name.into())])
}

/// A path as messages show it, without a List's entry.
pub(super) fn field(machine: &Object, path: &[Step]) -> String {
    let steps = path.iter().skip(machine.prefix.len());
    steps.fold(String::new(), |text, step| match step {
        Step::Key(key) if text.is_empty() => key.clone(),
        Step::Key(key) => format!("{text}.{key}"),
        Step::Index(index) => format!("{text}[{index}]"),
    })
}
