//! A stream of manifests in, the same stream out with one of its VMs given a Secret.
//!
//! ```text
//! Input ─▶ bundle: documents, each with an editor ──▶ strip: what an earlier injection left goes ─▶ remove ends here
//!                                                        │
//!          machine: volume, disk or filesystem ◀─────────┤
//!          user_data: write_files and runcmd  ◀──────────┘──▶ secret: where the user data stands, or moves to ─▶ Output
//! ```
//!
//! Injecting begins with stripping, so twice is once, and other options replace those of before. What is added carries
//! [`MARK`] as a comment, by which it is found again; in a manifest that has lost its comments its names do.
//! User data moves to a Secret of its own, since what the guest needs is longer than KubeVirt admits inline; the
//! entry as it stood is kept there under [`ORIGINAL`], so that removing puts it back byte for byte.

mod bundle;
mod krm;
mod machine;
mod notes;
mod options;
mod script;
mod secret;
mod useless;
mod user_data;

use std::fmt;

use serde_yaml::Value;
use tandem_cli::Problem;

use bundle::{Bundle, Object};
pub use krm::function;
pub use options::{Database, Delivery, Options, Os, ReloadBy};

use crate::yaml_edit::{EditError, other_line_break};

/// The comment behind everything that is added.
pub const MARK: &str = "tandem-vm inject";
/// The volume with the Secret, and its disk or filesystem.
pub const VOLUME: &str = "tandem-tls";
/// The cloud-init volume of a VM that had none, and its disk.
pub const CLOUD_INIT: &str = "tandem-cloudinit";
/// The key of a Secret that keeps an entry with user data as it stood before. KubeVirt reads only the keys that it knows.
pub const ORIGINAL: &str = "tandem-vm.original";
/// The annotation of a Secret that was made for the user data of the VM that it names.
pub const USER_DATA_OF: &str = "vm.tandem.internal/user-data-of";

/// A file, and what it holds.
#[derive(Clone)]
pub struct Input {
    /// Its name, for messages.
    pub name: String,
    /// Its documents.
    pub text: String,
}

/// The same files, edited.
pub struct Output {
    /// The texts, in the order of the input.
    pub texts: Vec<String>,
    /// What else is to be done or known, a sentence each.
    pub notes: Vec<String>,
    /// Kind, namespace and name of the VM.
    pub machine: String,
}

/// Nothing was changed: why, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectError {
    /// File, document and object; empty where it is about all of them.
    pub object: String,
    /// What is wrong.
    pub problem: Problem,
}

impl std::error::Error for InjectError {}

impl fmt::Display for InjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object.is_empty() { self.problem.fmt(f) } else { write!(f, "{}: {}", self.object, self.problem) }
    }
}

impl InjectError {
    fn new(object: &Object, field: &str, message: impl Into<String>) -> Self {
        Self { object: object.place.clone(), problem: Problem::new(field, message) }
    }

    fn general(message: impl Into<String>) -> Self {
        Self { object: String::new(), problem: Problem::new("", message) }
    }

    /// An edit that was refused; within the user data, the field that it stands in comes first.
    fn edit(object: &Object, within: &str, error: EditError) -> Self {
        Self::new(object, within, error.to_string())
    }
}

/// Gives a VM of the stream the Secret.
///
/// # Errors
/// [`InjectError`]: then nothing of it was done.
pub fn inject(inputs: &[Input], options: &Options) -> Result<Output, InjectError> {
    let target = options.vm.as_deref();
    let mut bundle = Bundle::read(inputs)?;
    let guest = options.guest().map_err(|problems| InjectError::general(problems.join("; ")))?;
    let machine = bundle.machine(target)?;
    let mut notes = strip(&mut bundle, &machine)?.notes;
    let machine = bundle.machine(target)?;
    let before = bundle.texts();
    machine::refuse(&bundle, &machine, options)?;
    let files = guest.write_files().map_err(|error| InjectError::general(error.to_string()))?;
    let part = user_data::Part { files, commands: guest.commands() };
    // Where the user data ends the text without a line break, it has to move before anything follows it.
    let made = secret::give(&mut bundle, &machine, &part)?;
    machine::add(&mut bundle, &machine, options)?;
    machine::write_implicit(&mut bundle, &machine)?;
    if let Some(secret) = made {
        bundle.insert_before(&machine, &secret, secret::COMMENT)?;
    }
    let texts = bundle.texts();
    // What is written must be found again: by the next injection, and by --remove.
    let mut again = Bundle::read(&bundle.as_inputs())?;
    let machine = again.machine(Some(&machine.full_name()))?;
    strip(&mut again, &machine)?;
    if again.texts() != before {
        refuse_mixed(inputs, &before, &again.texts())?;
        notes
            .push("--remove will give back what the manifests say, but not each byte of how it was written".to_owned());
    }
    if !has_secret(&bundle, &machine, &options.secret) {
        let name = &options.secret;
        notes.push(format!(
            "starts only where its namespace has the Secret {name} with tls.crt, tls.key and ca.crt, such as a Certificate with \
             secretName: {name} makes it"
        ));
    }
    notes.extend(options.notes(&guest));
    Ok(Output { texts, notes, machine: machine.shown() })
}

/// Whether the stream has the VM's Secret, or a Certificate that makes it.
fn has_secret(bundle: &Bundle, machine: &Object, secret: &str) -> bool {
    bundle.objects().iter().filter(|object| object.namespace == machine.namespace).any(|object| {
        let made = match &*object.kind {
            "Secret" => Some(&*object.name),
            "Certificate" => bundle.get(object, &["spec", "secretName"]).and_then(Value::as_str),
            _ => None,
        };
        made == Some(secret)
    })
}

/// Lines that do not all end alike are where [`remove`] could not give back each byte, and a second injection not the first one's.
fn refuse_mixed(inputs: &[Input], before: &[String], again: &[String]) -> Result<(), InjectError> {
    let others = inputs.iter().zip(before).zip(again).filter(|((_, before), again)| before != again);
    let mut mixed = others.filter_map(|((input, before), _)| Some((input, mixed_line_ends(before)?)));
    mixed
        .next()
        .map_or(Ok(()), |(input, why)| Err(InjectError { object: input.name.clone(), problem: Problem::new("", why) }))
}

/// Where the lines of a text do not all end alike, and the way out.
fn mixed_line_ends(text: &str) -> Option<String> {
    let (line, end, first) = other_line_break(text)?;
    Some(format!(
        "line {line} ends with {end}, and the first with {first}: --remove could not give back each byte; let all lines end alike, as \
         dos2unix makes them"
    ))
}

/// A POSIX shell script that does in a running guest what the injected user data does at a first boot, and nothing of what is
/// its owner's.
///
/// # Errors
/// [`InjectError`] for options that no guest could use.
pub fn guest_script(options: &Options) -> Result<String, InjectError> {
    let guest = options.guest().map_err(|problems| InjectError::general(problems.join("; ")))?;
    let files = guest.write_files().map_err(|error| InjectError::general(error.to_string()))?;
    Ok(script::text(&files, &guest.commands()))
}

/// Takes out again what [`inject`] added to a VM (`target` is its name or `NAMESPACE/NAME`, where several have an injection).
///
/// # Errors
/// [`InjectError`]: then nothing of it was done.
pub fn remove(inputs: &[Input], target: Option<&str>) -> Result<Output, InjectError> {
    let mut bundle = Bundle::read(inputs)?;
    let only = bundle.only_injected();
    let machine = bundle.machine(target.or(only.as_deref()))?;
    let kept = strip(&mut bundle, &machine)?;
    let texts = bundle.texts();
    let empty =
        inputs.iter().zip(&texts).filter(|(input, text)| text.trim().is_empty() && !input.text.trim().is_empty());
    let empty = empty.map(|(input, _)| format!("{} has nothing left in it; delete it", input.name));
    let left = secret::left(&kept).into_iter().chain(empty).collect::<Vec<_>>();
    let mut notes = [kept.notes, left].concat();
    if texts.iter().zip(inputs).all(|(text, input)| *text == input.text) {
        notes.push("has nothing of an injection".to_owned());
    }
    Ok(Output { texts, notes, machine: machine.shown() })
}

fn strip(bundle: &mut Bundle, machine: &Object) -> Result<secret::Kept, InjectError> {
    // In the reverse order.
    machine::unwrite_implicit(bundle, machine)?;
    machine::remove(bundle, machine, VOLUME)?;
    let kept = secret::take(bundle, machine)?;
    machine::remove(bundle, machine, CLOUD_INIT)?;
    secret::discard(bundle, &kept)?;
    Ok(kept)
}

/// A mapping with its entries in this order.
fn map<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    Value::Mapping(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}
